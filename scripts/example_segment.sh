#!/usr/bin/env bash
# The worked example of the README: a simulated region, some polygons, a map with its legend, its
# accuracy report, and pictures. Everything stays under build/example.
#   scripts/example_segment.sh [folder of a model package]
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh python

example=$PWD/build/example
mkdir -p "$example/plugins" "$example/profile" "$example/run"
chmod 700 "$example/run"
ln -sfn "$PWD" "$example/plugins/alise"
export QT_QPA_PLATFORM=offscreen
export QGIS_PLUGINPATH=$example/plugins QGIS_CUSTOM_CONFIG_PATH=$example/profile
export XDG_RUNTIME_DIR=$example/run
qgis_process=/usr/bin/qgis_process.bin
[ -x "$qgis_process" ] || qgis_process=qgis_process
run() { # algorithm, parameters: the log of the run goes to build/example/<algorithm>.log
  local log=$example/${1#alise:}.log
  if ! "$qgis_process" run "$@" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
}
result() { # algorithm, output: the value that qgis_process printed for a declared output
  sed -n "s/^$2:[[:space:]]*//p" "$example/${1#alise:}.log" | tail -n 1
}
if ! "$qgis_process" plugins enable alise >"$example/enable.log" 2>&1 &&
  ! grep -q 'already enabled' "$example/enable.log"; then
  cat "$example/enable.log" >&2
  exit 1
fi
run alise:installruntime --VARIANT=cpu

region=$example/region
[ -f "$region/train.gpkg" ] || .venv/bin/python -m scripts.simulated_region "$region"

run alise:trainclassifier --INPUT="$region/series_2019.vrt" --LABELS="$region/train.gpkg" \
  --FIELD=code_2019 --NAME=crop_2019 --COLOR=color_2019 --SAMPLES=8 ${1:+--MODEL="$1"} \
  --HEAD="$example/crops.onnx" --REPORT="$example/training.html"
run alise:segment --INPUT="$region/series_2019.vrt" --HEAD="$example/crops.onnx" \
  ${1:+--MODEL="$1"} --SMOOTHING=bayes --MINIMUM_AREA=1000 --OUTPUT="$example/crops.tif" \
  --CONFIDENCE="$example/confidence.tif" --VECTOR="$example/polygons.gpkg" \
  --AREAS="$example/areas.csv"
run alise:assessaccuracy --INPUT="$example/crops.tif" --REFERENCE="$region/test.gpkg" \
  --FIELD=code_2019 --REPORT="$example/accuracy.html"

# Pictures: the truth beside the map, and how sure the map is.
.venv/bin/python - "$example" <<'PYTHON'
import sys

import numpy as np
from osgeo import gdal

from scripts.simulated_region import CLASSES

folder = sys.argv[1]
colors = np.array([[255, 255, 255], *(list(bytes.fromhex(c[1:])) for c in CLASSES.values())])
for name, path in (("truth", f"{folder}/region/truth_2019.tif"), ("map", f"{folder}/crops.tif")):
    rgb = colors[gdal.Open(path).ReadAsArray()].astype(np.uint8)
    rgb = np.moveaxis(rgb.repeat(2, 0).repeat(2, 1), 2, 0)
    memory = gdal.GetDriverByName("MEM").Create("", rgb.shape[2], rgb.shape[1], 3, gdal.GDT_Byte)
    memory.WriteArray(rgb)
    gdal.GetDriverByName("PNG").CreateCopy(f"{folder}/{name}.png", memory, options=["ZLEVEL=9"])
sure = gdal.Open(f"{folder}/confidence.tif").ReadAsArray()[0]
grey = (255 * np.nan_to_num(sure)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
memory = gdal.GetDriverByName("MEM").Create("", grey.shape[1], grey.shape[0], 1, gdal.GDT_Byte)
memory.WriteArray(grey)
gdal.GetDriverByName("PNG").CreateCopy(f"{folder}/confidence.png", memory, options=["ZLEVEL=9"])
PYTHON

cat <<END
Trained on $(result alise:trainclassifier GROUPS) polygons of \
$(result alise:trainclassifier CLASSES) classes.
  left-out polygons: overall accuracy $(result alise:trainclassifier OVERALL_ACCURACY), \
macro-F1 $(result alise:trainclassifier MACRO_F1)
  test polygons:     overall accuracy $(result alise:assessaccuracy OVERALL_ACCURACY), \
macro-F1 $(result alise:assessaccuracy MACRO_F1)
  head     $example/crops.onnx
  map      $example/crops.tif (open it in QGIS: its legend comes with it)
  polygons $example/polygons.gpkg
  areas    $example/areas.csv
  reports  $example/training.html and $example/accuracy.html
  pictures $example/truth.png, map.png and confidence.png
END
