#!/usr/bin/env bash
# Installs what the tests need, builds with g++ and with clang under the sanitizers, runs every test.
#   tools/test.sh          everything
#   tools/test.sh --fast   no installation: lint, the dev build and the tests that take seconds
#   tools/test.sh --full   everything, and the golden models on SwiftShader in every way instead of two
#   tools/test.sh --ci     everything, and a driver that cannot be loaded is a failure instead of a skip
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

fast=0
for argument in "$@"; do
  case "$argument" in
    --fast) fast=1 ;;
    --full) export NIBBLE_TEST_FULL=1 ;;
    --ci) export NIBBLE_REQUIRE_DRIVERS=1 ;;
    -h | --help) sed -n '2,6s/^# \?//p' "$0"; exit 0 ;;
    *) echo "test: unknown argument '$argument' (known: --fast, --full, --ci)" >&2; exit 2 ;;
  esac
done

jobs="$(nproc)"
export CTEST_OUTPUT_ON_FAILURE=1
# What one clone compiled, another finds.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
results=()
failed=0

# phase NAME COMMAND...: runs it, remembers how long it took and whether it passed.
phase() {
  local name="$1" begin=$SECONDS verdict=Passed
  shift
  echo "==== $name"
  "$@" || { verdict='***Failed'; failed=$((failed + 1)); }
  results+=("$(printf '%-44s %-10s %5d s' "$name" "$verdict" $((SECONDS - begin)))")
  [ "$verdict" = Passed ]
}

summary() {
  echo
  echo "==== Summary"
  printf '%s\n' "${results[@]}"
  if [ "$failed" = 0 ]; then
    echo "100% passed: ${#results[@]} steps in $SECONDS s"
  else
    echo "$failed of ${#results[@]} steps failed, $SECONDS s"
  fi
  exit $((failed != 0))
}

# build PRESET TARGET...
build() {
  local preset="$1"
  shift
  cmake --preset "$preset" --log-level=WARNING && cmake --build --preset "$preset" -j "$jobs" --target "$@"
}

# Vulkan's loader unloads drivers at the end, and what an unloaded driver leaked cannot be told from nibble's own leaks:
# leaks are looked for where no driver is loaded.
sanitized_tests() {
  mkdir -p build/asan/vendors
  cp /etc/OpenCL/vendors/pocl.icd build/asan/vendors/
  export OCL_ICD_VENDORS="$PWD/build/asan/vendors" UBSAN_OPTIONS=print_stacktrace=1
  local verdict=0
  local with_drivers='^(kernels[.]cpu|conformance[.]cpu|cli[.])'
  ctest --test-dir build/asan -L unit -E "$with_drivers" -j "$jobs" || verdict=1
  ASAN_OPTIONS=detect_leaks=0 ctest --test-dir build/asan -R "$with_drivers" -LE slow -j "$jobs" || verdict=1
  return $verdict
}

if [ $fast = 1 ]; then
  phase "lint" tests/lint/lint.sh
  phase "build: g++, dev" build dev all || summary
  phase "tests: unit, cli" ctest --test-dir build/dev -L 'unit|cli' -LE slow -j "$jobs"
  summary
fi

phase "setup" tools/setup.sh --tests || summary
phase "lint" tests/lint/lint.sh
phase "build: g++, dev" build dev all || summary
phase "tests: all" ctest --test-dir build/dev -j "$jobs"
phase "build: clang, sanitizers" build asan all &&
  phase "tests: unit, cli, sanitizers" sanitized_tests
summary
