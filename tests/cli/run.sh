#!/bin/sh
# Runs one file of command line tests with the Python that tools/setup.sh --tests made; 77 means skipped to ctest.
python="$(dirname "$0")/../../build/venv/bin/python"
if [ ! -x "$python" ]; then
  echo "skipped: no build/venv; run tools/setup.sh --tests"
  [ -z "$NIBBLE_REQUIRE_DRIVERS" ] || exit 1
  exit 77
fi
exec "$python" -m pytest -q -p no:cacheprovider "$@"
