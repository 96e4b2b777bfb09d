#!/usr/bin/env bash
# Makes what the demo and the tests need, once; quick when it is already there.
#   scripts/setup.sh qgis    QGIS with its Python, GDAL and NumPy (Debian's packages)
#   scripts/setup.sh python  also .venv beside them: PyTorch, onnxruntime, the test tools
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages="qgis python3-qgis python3-venv python3-pip python3-scipy python3-matplotlib gdal-bin unzip"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing="$missing $package"
done
if [ -n "$missing" ]; then
  echo "Installing from Debian:$missing"
  as_root apt-get update -qq
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    $missing >/dev/null
fi
[ "${1:-python}" = python ] || exit 0

# QGIS's own Python and NumPy: pip must not bring another NumPy, GDAL's bindings are built for this.
numpy=$(/usr/bin/python3 -c 'import numpy; print(numpy.__version__)')
wanted="$numpy $(sha256sum scripts/requirements.txt)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
  echo "Installing from PyPI into .venv"
  /usr/bin/python3 -m venv --system-site-packages .venv
  echo "numpy==$numpy" >.venv/constraints.txt
  .venv/bin/python -m pip install -q --disable-pip-version-check -c .venv/constraints.txt \
    torch==2.13.0
  .venv/bin/python -m pip install -q --disable-pip-version-check -c .venv/constraints.txt \
    -r scripts/requirements.txt
  # Only its table of leaf absorption coefficients is read: what it needs to run is left out.
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps prosail==2.0.5
  echo "$wanted" >.venv/installed
fi
