#!/bin/sh
# Everything a person does with the tree, in one file of POSIX sh:
#   ./mk run            install what is missing, build, start the pool on its embedded devnet with a miner
#   ./mk test [PART..]  all tests, or parts: lint unit plugin integration sim fault e2e asan tsan fuzz
#   ./mk help           the rest
set -eu
umask 022 # plugins in a group-writable folder are refused
cd "$(dirname "$0")"

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config ccache libuv1-dev libcurl4-openssl-dev
 libyaml-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev
 liblua5.4-dev zlib1g-dev libssl-dev"
TEST_PACKAGES="libcmocka-dev openssl haproxy python3 git g++ make binutils clang clang-format libclang-rt-14-dev curl
 sqlite3 mount iproute2 systemd groff-base libevent-core-2.1-7 libevent-extra-2.1-7 libevent-pthreads-2.1-7 libzmq5
 libsqlite3-0 litecoind"
ARM64_PACKAGES="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}

say() { printf '%s\n' "mk: $*" >&2; }
die() { say "$*"; exit 1; }

usage() {
  cat <<'TXT'
usage: ./mk COMMAND [ARGUMENTS]
  setup [test|arm64]   install the Debian packages that building (testing, cross-building) needs
  build [PRESET]       configure and build; presets: release (default, build/), dev, asan, ubsan, tsan,
                       fuzz, coverage, arm64 (build-PRESET/)
  run [ARGUMENTS]      setup, build, then build/otedama serve -c etc/devnet.yaml ARGUMENTS
  test [PART..]        setup, build, then all tests or the parts named:
                       lint unit plugin integration sim fault e2e asan tsan fuzz arm64
  sim [SEEDS] [FROM]   the whole pool in virtual time, so many seeds (1000) from this one on (1)
  soak [TIME]          a pool that serves for so long (2h; 90s, 10m): no slope in memory or descriptors
  fuzz [SECONDS [TARGET..]]
                       each fuzz target (or those named) for SECONDS, 60 where not said; what is found stays in build-fuzz/corpus
  bench [NAME]         the benchmarks, printed; --write keeps them in docs/performance.md
  bench tip            a new block on a real node to the first miner (--help)
  bench million        as many miners as fit, over processes on one port (docs/scaling.md)
  lint                 the gates: layers, seams, sizes, names, floats near money, format
  fmt                  clang-format over the tree
  install [DESTDIR=DIR] [PREFIX=DIR]
  clean                remove build folders
TXT
}

# missing PACKAGE.. prints those that are not installed.
missing() {
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || printf ' %s' "$p"
  done
}

setup() {
  command -v dpkg-query >/dev/null 2>&1 || {
    say "not a Debian system: install the equivalents of: $*"
    return 0
  }
  need=$(missing "$@")
  [ -n "$need" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    say "packages are missing; as root run:"
    printf 'apt-get install -y --no-install-recommends%s\n' "$need"
    exit 1
  fi
  say "installing:$need"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  apt-get install -q -y --no-install-recommends $need >/dev/null 2>&1 ||
    { apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends $need >/dev/null; } ||
    die "apt-get could not install:$need"
}

folder_of() { [ "$1" = release ] && echo build || echo "build-$1"; }

build() {
  preset=$1
  shift
  d=$(folder_of "$preset")
  launcher=
  command -v ccache >/dev/null 2>&1 && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
  testing=OFF
  # Tests are built where what they need is there; elsewhere than on Debian nobody can tell.
  { ! command -v dpkg-query >/dev/null 2>&1 || [ -z "$(missing libcmocka-dev python3)" ]; } && testing=ON
  [ "$preset" = arm64 ] && testing=ON
  [ "$preset" = fuzz ] && testing=OFF
  # Somebody configured the folder by hand, with make.
  if [ -f "$d/CMakeCache.txt" ] && ! grep -q '^CMAKE_GENERATOR:INTERNAL=Ninja$' "$d/CMakeCache.txt"; then
    rm -rf "$d/CMakeCache.txt" "$d/CMakeFiles"
  fi
  # shellcheck disable=SC2086
  cmake --preset "$preset" $launcher -DBUILD_TESTING=$testing "$@" >"$d.configure.log" 2>&1 ||
    { tail -n 30 "$d.configure.log" >&2; die "configuring failed, see $d.configure.log"; }
  mv "$d.configure.log" "$d/configure.log"
  targets=
  [ "$preset" = fuzz ] && targets=fuzzers
  # shellcheck disable=SC2086
  ninja -C "$d" -j "$JOBS" $targets >"$d/build.log" 2>&1 ||
    { grep -E 'error|warning|FAILED' "$d/build.log" | head -n 40 >&2; die "the build failed, see $d/build.log"; }
}

cmd=${1:-help}
[ $# -gt 0 ] && shift
case $cmd in
setup)
  # shellcheck disable=SC2086
  case ${1:-build} in
  build) setup $BUILD_PACKAGES ;;
  test) setup $BUILD_PACKAGES $TEST_PACKAGES ;;
  arm64) setup $BUILD_PACKAGES $TEST_PACKAGES $ARM64_PACKAGES && sh tools/arm64_sysroot.sh ;;
  *) die "setup: build, test or arm64" ;;
  esac
  ;;
build)
  # shellcheck disable=SC2086
  case ${1:-release} in
  fuzz) setup $BUILD_PACKAGES $TEST_PACKAGES ;;
  arm64) setup $BUILD_PACKAGES $TEST_PACKAGES $ARM64_PACKAGES && sh tools/arm64_sysroot.sh ;;
  *) setup $BUILD_PACKAGES ;;
  esac
  build "${1:-release}"
  say "built $(folder_of "${1:-release}")/otedama"
  ;;
run)
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES
  say "building (the first time takes a minute or two)"
  build release
  exec build/otedama serve -c etc/devnet.yaml "$@"
  ;;
test)
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES $TEST_PACKAGES
  say "building"
  build release
  exec python3 tools/run_tests.py "$@"
  ;;
sim)
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES $TEST_PACKAGES
  build release
  cd build && OTEDAMA_SIM_SEEDS=${1:-1000} OTEDAMA_SIM_FIRST=${2:-1} exec ./test_sim_host
  ;;
soak)
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES $TEST_PACKAGES
  build release
  t=${1:-2h}
  case $t in
  *h) t=$((${t%h} * 3600)) ;;
  *m) t=$((${t%m} * 60)) ;;
  *) t=${t%s} ;;
  esac
  OTEDAMA_SOAK=$t OTEDAMA_E2E_SECONDS=$((t + 600)) exec python3 tests/e2e/run.py soak:
  ;;
fuzz)
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES $TEST_PACKAGES
  OTEDAMA_FUZZ_SECONDS=${1:-60}
  export OTEDAMA_FUZZ_SECONDS
  [ $# -gt 0 ] && shift
  OTEDAMA_FUZZ_TARGETS=$* exec python3 tools/run_tests.py fuzz
  ;;
bench)
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES $TEST_PACKAGES
  build release
  ninja -C build -j "$JOBS" benches >build/bench.log 2>&1 || die "the benches do not build, see build/bench.log"
  [ "${1:-}" = million ] && shift && exec python3 bench/million.py "$@"
  exec python3 bench/run.py "$@"
  ;;
lint) exec python3 tools/lint.py "$@" ;;
fmt)
  # shellcheck disable=SC2046
  clang-format -i $(git ls-files --cached --others --exclude-standard '*.c' '*.h')
  ;;
install)
  DESTDIR= PREFIX=/usr/local
  for a in "$@"; do
    case $a in
    DESTDIR=*) DESTDIR=${a#DESTDIR=} ;;
    PREFIX=*) PREFIX=${a#PREFIX=} ;;
    *) die "install: DESTDIR=DIR and PREFIX=DIR, not '$a'" ;;
    esac
  done
  # shellcheck disable=SC2086
  setup $BUILD_PACKAGES python3 # the manual page and the completion are made by it
  # The prefix is compiled in: it is where the program looks for plugins that are not beside it.
  build release -DCMAKE_INSTALL_PREFIX="$PREFIX"
  DESTDIR=$DESTDIR cmake --install build >build/install.log || die "installing failed, see build/install.log"
  say "installed under $DESTDIR$PREFIX"
  ;;
clean) rm -rf build build-* ;;
help | -h | --help) usage ;;
*)
  usage >&2
  exit 2
  ;;
esac
