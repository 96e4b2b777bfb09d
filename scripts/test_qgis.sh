#!/usr/bin/env bash
# Runs the tests that need no PyTorch in the QGIS of another Debian release, in a chroot:
#   scripts/test_qgis.sh trixie [pytest arguments]     (QGIS 3.40, Python 3.13, NumPy 2)
# The first run installs that release under build/ (about 2 GB, some minutes); needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:?name a Debian release, such as trixie}
shift
bash scripts/setup.sh python
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
chroot=$PWD/build/chroot-$suite
# With /proc, in a mount namespace of its own, so that nothing is left mounted.
inside() {
  as_root unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' \
    "$chroot" "$@"
}

if ! command -v debootstrap >/dev/null && [ ! -x /usr/sbin/debootstrap ]; then
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >/dev/null
fi
mkdir -p build
packages="qgis python3-qgis python3-gdal python3-pip python3-pytest python3-hypothesis python3-scipy
  python3-sklearn python3-distributed gdal-bin"
if [ ! -f "$chroot/installed" ]; then
  as_root rm -rf "$chroot"
  as_root /usr/sbin/debootstrap --variant=minbase --include=ca-certificates "$suite" "$chroot" \
    >"build/chroot-$suite.log"
fi
if [ "$(cat "$chroot/installed" 2>/dev/null)" != "$packages" ]; then
  as_root cp /etc/resolv.conf "$chroot/etc/resolv.conf"
  inside apt-get update -qq
  # shellcheck disable=SC2086
  inside env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    $packages >>"build/chroot-$suite.log"
  echo "$packages" | as_root tee "$chroot/installed" >/dev/null
fi

# onnxruntime for the Python in there; fetched out here, where pip knows the network.
tag=$(inside python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')
wheels=build/wheels-$suite
if ! ls "$wheels"/onnxruntime-*.whl >/dev/null 2>&1; then
  .venv/bin/python -m pip download -q --disable-pip-version-check --no-deps \
    --only-binary :all: --python-version "$tag" -d "$wheels" onnxruntime
fi
as_root rm -rf "$chroot/alise" "$chroot/runtime"
as_root mkdir -p "$chroot/alise/main" "$chroot/runtime"
as_root cp "$wheels"/onnxruntime-*.whl "$chroot/runtime"
inside sh -c 'python3 -m pip install -q --no-deps --no-index --target /runtime/packages \
  --root-user-action ignore /runtime/*.whl'

# The working tree, the shared data, and a model package with random weights made out here.
.venv/bin/python - build/tiny_package <<'END'
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, ".")
from training.export.command import untrained
from training.export.package import write_package

shutil.rmtree(sys.argv[1], ignore_errors=True)
write_package(
    untrained("bundled"),
    Path(sys.argv[1]),
    name="tiny",
    version="0.0.1",
    statistics=np.array([[0.1] * 10, [0.01] * 10, [0.5] * 10]),
    card="# Tiny\n\nRandom weights, for tests.\n",
)
END
git ls-files -z --cached --others --exclude-standard |
  tar --null -T - --ignore-failed-read -cf - | as_root tar -xf - -C "$chroot/alise/main"
as_root cp -r build/tiny_package "$chroot/alise/tiny_package"
if [ -d ../shared/data ]; then
  as_root mkdir -p "$chroot/alise/shared"
  as_root cp -r ../shared/data "$chroot/alise/shared/data"
fi

rooms="tests/algorithms tests/cli tests/sits tests/mapping tests/model tests/runtime tests/test_rooms.py"
# shellcheck disable=SC2086
inside env -C /alise/main -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
  QT_QPA_PLATFORM=offscreen PYTHONPATH=/runtime/packages OMP_NUM_THREADS=2 \
  ALISE_TEST_PACKAGE=/alise/tiny_package \
  sh -c 'python3 -c "
from osgeo import gdal
from qgis.core import Qgis
import numpy, sys
print(\"QGIS\", Qgis.version(), \"Python\", sys.version.split()[0], \"NumPy\", numpy.__version__,
      \"GDAL\", gdal.__version__)" && python3 -m pytest -p no:cacheprovider "$@"' sh ${@:-$rooms}
