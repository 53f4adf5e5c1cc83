#!/usr/bin/env bash
# Installs what nibble needs from Debian or Ubuntu. Never asks; does nothing when everything is there.
#   tools/setup.sh           what a build and the demo need
#   tools/setup.sh --tests   also what the tests need: software drivers, validation layers, clang, Python packages
set -euo pipefail
cd "$(dirname "$0")/.."

# glslang-tools: the CMake files of glslang-dev insist that its program exists.
build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libfmt-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libxxhash-dev
  libvulkan-dev libvulkan-volk-dev glslang-dev glslang-tools spirv-tools
  opencl-headers ocl-icd-opencl-dev libclblast-dev
)
test_packages=(
  git python3 python3-venv
  libgtest-dev libbenchmark-dev
  libvulkan1 mesa-vulkan-drivers vulkan-validationlayers pocl-opencl-icd oclgrind
  clang-14 libclang-rt-14-dev libclc-14 clang-format clang-tidy
)
# Ubuntu ships its browser as a snap, so this one may be missing. It brings SwiftShader, a third Vulkan driver.
# Intel's OpenCL driver brings ocloc, which compiles kernels for GPUs that are not here.
optional_test_packages=(chromium chromium-common intel-opencl-icd)

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

with_tests=0
for argument in "$@"; do
  case "$argument" in
    --tests) with_tests=1 ;;
    -h | --help) sed -n '2,4s/^# \?//p' "$0"; exit 0 ;;
    *) die "unknown argument '$argument' (known: --tests)" ;;
  esac
done

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_of() {
  local package
  for package in "$@"; do
    is_installed "$package" || echo "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# Another apt may hold the lock and mirrors hiccup: wait for the one, try the other again once.
apt() {
  local options=(-y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  as_root apt-get "${options[@]}" "$@" >&2 && return
  say "apt-get $1 failed; trying once more in 20 s"
  sleep 20
  as_root apt-get "${options[@]}" "$@" >&2
}

install_packages() {
  local wanted=("${build_packages[@]}") missing optional=() package
  [ $with_tests = 0 ] || wanted+=("${test_packages[@]}")
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "this system has no apt. Install the equivalents of these Debian packages, then build with" \
      "'cmake --preset release && cmake --build --preset release': ${wanted[*]}"
  fi
  mapfile -t missing < <(missing_of "${wanted[@]}")
  [ $with_tests = 0 ] || mapfile -t optional < <(missing_of "${optional_test_packages[@]}")
  [ ${#missing[@]} != 0 ] || [ ${#optional[@]} != 0 ] || return 0

  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    [ ${#missing[@]} != 0 ] || return 0
    die "installing packages needs root; run 'sudo tools/setup.sh $*' once. Missing: ${missing[*]}"
  fi
  # On a fresh machine the lists are empty; a stale index of some unrelated source is no reason to stop.
  apt update || say "apt-get update reported errors; going on with the lists at hand"
  for package in "${optional[@]}"; do
    if apt-get install -s -q --no-install-recommends "$package" >/dev/null 2>&1; then
      missing+=("$package")
    else
      say "note: no package '$package' here; the tests that need it are skipped"
    fi
  done
  [ ${#missing[@]} != 0 ] || return 0
  say "installing: ${missing[*]}"
  apt install --no-install-recommends "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
}

# The Python of the tests. The stamp holds the requirements it was made from.
make_venv() {
  local stamp=build/venv/requirements.stamp
  cat tests/requirements.txt tests/requirements_optional.txt | cmp -s - "$stamp" && return
  say "installing the Python packages of the tests into build/venv"
  mkdir -p build
  # python3-venv belongs to Debian's interpreter; another python3 may come first in PATH.
  /usr/bin/python3 -m venv --clear build/venv
  local try
  for try in 1 2; do
    if build/venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt >&2; then
      # Intel's OpenCL driver for processors: only for x86-64, and large.
      build/venv/bin/pip install -q --disable-pip-version-check -r tests/requirements_optional.txt >&2 ||
        say "note: pip could not install tests/requirements_optional.txt; the tests that need it are skipped"
      cat tests/requirements.txt tests/requirements_optional.txt > "$stamp"
      # Under plain sudo the checkout still belongs to somebody else, who must be able to build in it.
      [ "$(id -u)" != 0 ] || chown -R --reference=. build/venv
      [ "$(id -u)" != 0 ] || chown --reference=. build
      return
    fi
    [ $try = 2 ] || { say "pip failed; trying once more in 20 s"; sleep 20; }
  done
  die "pip could not install tests/requirements.txt"
}

install_packages "$@"
[ $with_tests = 0 ] || make_venv
