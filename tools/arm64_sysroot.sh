#!/bin/sh
# The arm64 libraries that the cross build links, unpacked into build-arm64/sysroot. The system's own apt
# and dpkg state is not touched: no foreign architecture is added and nothing is installed; apt resolves and
# downloads in private folders, dpkg-deb unpacks.
#   tools/arm64_sysroot.sh [DIR]    DIR: build-arm64/sysroot; nothing to do where it is complete
set -eu
cd "$(dirname "$0")/.."
WANTED="libuv1-dev libcurl4-openssl-dev libyaml-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev liblua5.4-dev
 libcmocka-dev libssl-dev zlib1g-dev libatomic1"
D=${1:-build-arm64/sysroot}
mkdir -p "$D"
D=$(cd "$D" && pwd)
# shellcheck disable=SC2086
stamp=$(echo $WANTED)
[ "$(cat "$D/.complete" 2>/dev/null)" != "$stamp" ] || exit 0

T=$D.apt
rm -rf "$T" "$D"
mkdir -p "$T/lists/partial" "$T/archives/partial" "$D"
: >"$T/status"
trap 'rm -rf "$T"' EXIT

# The mirror is the one that this Debian uses, in *.sources or in an old sources.list.
eval "$(apt-config shell PARTS Dir::Etc::sourceparts/d LIST Dir::Etc::sourcelist/f)"
f=$(grep -l -E '^Suites:.*bookworm' "$PARTS"/*.sources 2>/dev/null | head -n 1 || true)
if [ -n "$f" ]; then
  S=$T/arm64.sources
  sed -e '/^#/d' -e '/^Architectures:/d' "$f" >"$S"
else
  S=$T/arm64.list
  sed -n -E 's/^deb +(\[[^]]*\] +)?([^ ]+) +(bookworm[^ ]*) +.*/deb [arch=arm64] \2 \3 main/p' "$LIST" >"$S"
fi
[ -s "$S" ] || {
  echo "arm64_sysroot: no Debian bookworm source in $PARTS or $LIST; add one, then run it again" >&2
  exit 1
}
# With an empty status file apt resolves from nothing, so that the sysroot is whole.
O="-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status=$T/status
 -o Dir::State::lists=$T/lists -o Dir::Cache::archives=$T/archives -o Dir::Cache::pkgcache=
 -o Dir::Cache::srcpkgcache= -o Dir::State::extended_states=$T/extended -o Dir::Etc::sourcelist=$S
 -o Dir::Etc::sourceparts=- -o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=-
 -o APT::Sandbox::User=root -o DPkg::Pre-Install-Pkgs="
# shellcheck disable=SC2086
{
  apt-get $O -q update >"$T/log" 2>&1 &&
    apt-get $O -q -y --no-install-recommends --download-only install $WANTED >>"$T/log" 2>&1
} || {
  tail -n 5 "$T/log" >&2
  echo "arm64_sysroot: apt could not download the arm64 packages" >&2
  exit 1
}
for p in "$T"/archives/*.deb; do dpkg-deb -x "$p" "$D"; done

# A link with an absolute target would lead out of the sysroot.
find "$D" -type l -lname '/*' | while read -r l; do
  ln -sfn "$(realpath -m --relative-to="$(dirname "$l")" "$D$(readlink "$l")")" "$l"
done
# Debian 12 merged /lib into /usr/lib; packages that still ship /lib expect the link.
if [ -d "$D/lib" ] && [ ! -L "$D/lib" ]; then
  mkdir -p "$D/usr/lib"
  cp -a "$D/lib/." "$D/usr/lib/"
  rm -rf "$D/lib"
  ln -s usr/lib "$D/lib"
fi
rm -rf "$D/usr/share/doc" "$D/usr/share/man" "$D/usr/share/locale" "$D/var"
echo "$stamp" >"$D/.complete"
