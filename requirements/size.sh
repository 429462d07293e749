#!/bin/sh
# Installs the pinned requirements and Pilotage into a venv of their own, and says how much that is. Fails above the
# promise: under 45 packages and 300 MB.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
${PYTHON:-python3} -m venv --without-pip "$venv"
install="${PYTHON:-python3} -m pip --disable-pip-version-check --python $venv/bin/python install --quiet --no-deps --no-compile"
$install --require-hashes -r "$here/requirements/run.txt"
$install "$here"
packages=$(find "$venv" -maxdepth 5 -name '*.dist-info' | wc -l)
megabytes=$(du -sm "$venv" | cut -f1)
echo "$packages packages, $megabytes MB installed (promised: under 45 and under 300)"
test "$packages" -lt 45 && test "$megabytes" -lt 300
