#!/usr/bin/env bash
# From a fresh clone to generated text: installs what is missing, builds, runs the demo model.
# Only generated text goes to stdout. Arguments are passed to `nibble run`, and the last one given wins:
#   tools/demo.sh -p "And it came to pass" -n 100 --temp 0.7 -d cpu
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
nibble="$root/build/release/nibble"

build() {
  cd "$root"
  tools/setup.sh
  cmake --preset release --log-level=WARNING >&2
  echo "demo: building (a few minutes the first time)" >&2
  local log=build/release/demo-build.log
  if [ -t 2 ]; then
    cmake --build --preset release --target nibble >&2
  else
    cmake --build --preset release --target nibble >"$log" 2>&1 || { tail -n 40 "$log" >&2; exit 1; }
  fi
}

# The model ends a text where another turn may begin: from the middle of a verse, and drawn with care, it goes on.
sampling=(--temp 0.7 --top-p 0.9)
prompt="And it came to pass in those days, that there went out"

(build)
exec "$nibble" run -m "$root/tools/demo/model" -p "$prompt" -n 200 "${sampling[@]}" "$@"
