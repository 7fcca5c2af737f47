#!/bin/sh
# A real Bitcoin node for tests on Debian 12, from Debian's own packages, without touching the system's
# apt state: bitcoin-knots (a Bitcoin Core derivative) of Debian testing, run on trixie's libc and
# libstdc++ from a private folder.
#   tools/bitcoin_node.sh DIR     makes DIR/bitcoind and DIR/bitcoin-cli; nothing where they are there
# Where Debian no longer carries it, the exit status is 3 and tests use bcoin from npm instead.
set -eu
[ $# -eq 1 ] || { echo "usage: tools/bitcoin_node.sh DIR" >&2; exit 2; }
D=$(mkdir -p "$1" && cd "$1" && pwd)
if [ -x "$D/bitcoind" ] && "$D/bitcoind" --version >/dev/null 2>&1; then exit 0; fi
rm -rf "$D/lists" "$D/cache" "$D/deb" "$D/node" "$D/lib"
mkdir -p "$D/lists/partial" "$D/cache/archives/partial" "$D/deb" "$D/node" "$D/lib"

# The mirror and the key ring are those that this Debian uses, in *.sources or in an old sources.list.
eval "$(apt-config shell PARTS Dir::Etc::sourceparts/d LIST Dir::Etc::sourcelist/f)"
f=$(grep -l -E '^Suites:.*bookworm' "$PARTS"/*.sources 2>/dev/null | head -n 1 || true)
if [ -n "$f" ]; then
  L=$D/two.sources
  awk -v RS= 'NR==1' "$f" | sed -e '/^#/d' -e 's/^Suites:.*/Suites: trixie testing/' >"$L"
else
  L=$D/two.list
  sed -n -E 's/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm +.*/deb \1\2 trixie main\ndeb \1\2 testing main/p' \
    "$LIST" | head -n 2 >"$L"
fi
[ -s "$L" ] || { echo "bitcoin_node: no Debian bookworm source found in $PARTS or $LIST" >&2; exit 3; }
O="-o Dir::Etc::sourcelist=$L -o Dir::Etc::sourceparts=- -o Dir::State::lists=$D/lists
 -o Dir::Cache=$D/cache -o APT::Sandbox::User=root"
# shellcheck disable=SC2086
apt-get $O -q update >"$D/log" 2>&1 || { cat "$D/log" >&2; exit 3; }
# shellcheck disable=SC2086
(cd "$D/deb" && apt-get $O -q download bitcoin-knots/testing libc6/trixie libstdc++6/trixie libgcc-s1/trixie) \
  >>"$D/log" 2>&1 || { tail -n 5 "$D/log" >&2; exit 3; }
dpkg-deb -x "$D"/deb/bitcoin-knots_*.deb "$D/node"
for p in "$D"/deb/libc6_*.deb "$D"/deb/libstdc*.deb "$D"/deb/libgcc*.deb; do dpkg-deb -x "$p" "$D/lib"; done
M=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
ld=$(find "$D/lib" -name 'ld-linux-*.so.*' | head -n 1)
for b in bitcoind bitcoin-cli; do
  printf '#!/bin/sh\nexec "%s" --argv0 %s --library-path "%s:%s:/usr/lib/%s" "%s" "$@"\n' \
    "$ld" $b "$D/lib/usr/lib/$M" "$D/lib/lib/$M" "$M" "$D/node/usr/bin/$b" >"$D/$b"
  chmod +x "$D/$b"
done
rm -rf "$D/lists" "$D/cache" "$D/deb"
"$D/bitcoind" --version | head -n 1 || exit 3
