#!/bin/sh
# Does the simulation see what it is for? Builds a copy of the tree once, then with each of
# tests/sim/mutants/*.patch, and expects the simulation to fail over every one of them.
#   tests/sim/run_mutants.sh [NAME...]      all, or some
#   OTEDAMA_MUTANT_SEEDS=40  seeds a mutant may live through; the first that fails ends it
#   OTEDAMA_MUTANT_DIR=DIR   where to build (kept); otherwise a temporary folder
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${OTEDAMA_MUTANT_SEEDS:-40}
if [ -n "${OTEDAMA_MUTANT_DIR:-}" ]; then
  work=$OTEDAMA_MUTANT_DIR
  mkdir -p "$work"
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
tree=$work/tree
rm -rf "$tree"
mkdir -p "$tree"
(cd "$root" && tar cf - --exclude=./.git --exclude='./build*' .) | (cd "$tree" && tar xmf -)
# A repository of its own: git apply would take the one around it for the root of the paths.
git -C "$tree" init -q
launcher=
if command -v ccache >/dev/null 2>&1; then launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache; fi
export CCACHE_BASEDIR="$tree"
cmake -S "$tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DOTEDAMA_WERROR=OFF $launcher >"$work/cmake.log" 2>&1 || {
  tail -5 "$work/cmake.log" >&2
  exit 1
}

# What must see a mutant: the simulation; for payments (pay-*) the tests of their rules; for swaps
# theirs; for the fees of accounts (own-*) that of single situations.
tests_of() {
  case $1 in
  pay-*) echo "test_ledger_payment test_sim_accounting test_pool_payer test_pool_payer_doubt" ;;
  swap-*) echo "test_sim_swap" ;;
  own-*) echo "test_sim_accounting" ;;
  *) echo "test_sim_sim test_sim_journal" ;;
  esac
}

build() {
  # shellcheck disable=SC2046 # words
  ninja -C "$work/build" $(tests_of "$1") >"$work/build.log" 2>&1 || {
    tail -20 "$work/build.log" >&2
    echo "mutants: $1 does not build; mend its patch" >&2
    exit 1
  }
}

# simulate NAME SEEDS; status 0: nothing was found wrong.
simulate() {
  for test in $(tests_of "$1"); do
    (cd "$work/build" && OTEDAMA_SIM_SEEDS=$2 timeout 300 "./$test" >"$work/run.log" 2>&1) || return 1
  done
}

for name in pay-none swap-none own-none none; do
  build "$name"
  simulate "$name" 2 || {
    tail -5 "$work/run.log" >&2
    echo "mutants: a test fails without any mutant" >&2
    exit 1
  }
done
[ $# -gt 0 ] || set -- $(cd "$root/tests/sim/mutants" && ls ./*.patch | sed 's|^\./||; s|\.patch$||')
alive=0
for name in "$@"; do
  patch=$root/tests/sim/mutants/$name.patch
  git -C "$tree" apply "$patch" || {
    echo "mutants: $name.patch does not apply any more; make it anew" >&2
    exit 1
  }
  build "$name"
  if simulate "$name" "$seeds"; then
    echo "mutants: $name lived through $seeds seeds: no test sees it" >&2
    alive=$((alive + 1))
  else
    echo "mutants: $name was caught: $(grep -h '^sim: seed\|error: Failure' "$work/run.log" | head -1)"
  fi
  git -C "$tree" apply -R "$patch"
done
[ "$alive" -eq 0 ]
