#!/usr/bin/env bash
# From a fresh Debian to an embedding map and a map of forest loss of a real Sentinel-2 series, made
# by qgis_process.
# Everything stays under build/demo; the QGIS profile of the user is not touched.
#   scripts/demo.sh [folder of a model package]
set -euo pipefail
cd "$(dirname "$0")/.."
began=$(date +%s)
bash scripts/setup.sh qgis

demo=$PWD/build/demo
mkdir -p "$demo/plugins" "$demo/profile" "$demo/data" "$demo/run"
chmod 700 "$demo/run"
ln -sfn "$PWD" "$demo/plugins/alise"
export QT_QPA_PLATFORM=offscreen
export QGIS_PLUGINPATH=$demo/plugins QGIS_CUSTOM_CONFIG_PATH=$demo/profile
export XDG_RUNTIME_DIR=$demo/run

# Debian 12 wraps qgis_process in a script that passes an option it does not know.
qgis_process=/usr/bin/qgis_process.bin
[ -x "$qgis_process" ] || qgis_process=qgis_process
run() { # algorithm, parameters: the log of the run goes to build/demo/<algorithm>.log
  local log=$demo/${1#alise:}.log
  if ! "$qgis_process" run "$@" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
}
result() { # algorithm, output: the value that qgis_process printed for a declared output
  sed -n "s/^$2:[[:space:]]*//p" "$demo/${1#alise:}.log" | tail -n 1
}

# Enabling a plugin a second time counts as an error.
if ! "$qgis_process" plugins enable alise >"$demo/enable.log" 2>&1 &&
  ! grep -q 'already enabled' "$demo/enable.log"; then
  cat "$demo/enable.log" >&2
  exit 1
fi
run alise:installruntime --VARIANT=cpu

# A real series, 10 m and 20 m, six of the ten bands, that comes in a small package on PyPI.
wheel=nrt-0.2.1
if [ ! -f "$demo/data/$wheel.done" ]; then
  /usr/bin/python3 -m pip download -q --disable-pip-version-check --no-deps -d "$demo/data" nrt==0.2.1
  unzip -qo -j "$demo/data/$wheel"-*.whl 'nrt/data/sentinel2_cube_subset_romania_*.nc' -d "$demo/data"
  touch "$demo/data/$wheel.done"
fi

run alise:buildtimeseries --FOLDER="$demo/data" --START=2018-01-01 --END=2018-12-31 \
  --OUTPUT="$demo/series_2018.vrt"

count=$(result alise:buildtimeseries COUNT) missing=$(result alise:buildtimeseries BANDS_MISSING)
embedding=$demo/embedding_2018.tif
embed_began=$(date +%s)
run alise:embed --INPUT="$demo/series_2018.vrt" ${1:+--MODEL="$1"} --OUTPUT="$embedding"
embed_seconds=$(($(date +%s) - embed_began))
/usr/bin/python3 -c '
import sys

from scripts.principal_components import principal_components_png

principal_components_png(sys.argv[1], sys.argv[2])
' "$embedding" "$demo/pixels.png"
# One pixel of the map becomes 6 x 6 of the picture, so that it can be looked at.
gdal_translate -q -of PNG -outsize 600% 600% "$demo/pixels.png" "$demo/embedding_2018.png"

# The ground without clouds on six days of that year, five of which no acquisition shows whole.
run alise:reconstruct --INPUT="$embedding" ${1:+--MODEL="$1"} --OUTPUT="$demo/images_2018.tif" \
  --DATES="2018-05-12, 2018-06-06, 2018-07-06, 2018-07-31, 2018-08-25, 2018-09-29"
/usr/bin/python3 scripts/demo_pictures.py days "$demo/series_2018.vrt" "$demo/images_2018.tif" \
  "$demo/images_2018.png"

# The same place two years later: where the two vectors of a pixel differ by more than chance.
run alise:buildtimeseries --FOLDER="$demo/data" --START=2020-01-01 --END=2020-12-31 \
  --OUTPUT="$demo/series_2020.vrt"
change_began=$(date +%s)
run alise:detectchange --BEFORE="$demo/series_2018.vrt" --AFTER="$demo/series_2020.vrt" \
  ${1:+--MODEL="$1"} --THRESHOLD=mixture --FALSE_ALARM=0.05 \
  --DISTANCE="$demo/distance_2018_2020.tif" --CHANGE="$demo/change_2018_2020.tif"
change_seconds=$(($(date +%s) - change_began))
/usr/bin/python3 scripts/demo_pictures.py change "$demo/series_2018.vrt" "$demo/series_2020.vrt" \
  "$demo/distance_2018_2020.tif" "$demo/change_2018_2020.tif" "$demo/change_2018_2020.png"

cat <<END
Made from $count dates of 2018 in Romania (bands without data: $missing):
  image series      $demo/series_2018.vrt
  embedding raster  $embedding
  its picture       $demo/embedding_2018.png
  cloud-free images $demo/images_2018.tif
  their picture     $demo/images_2018.png (above as seen, below as reconstructed)
and, with $(result alise:buildtimeseries COUNT) dates of 2020, the change of the forest in two years:
  distance          $demo/distance_2018_2020.tif
  changed pixels    $demo/change_2018_2020.tif
  their picture     $demo/change_2018_2020.png (before, after, distance, changed)
  changed area      $(result alise:detectchange CHANGED_AREA) m2, above the distance \
$(result alise:detectchange THRESHOLD_USED)
Model:  $(result alise:embed MODEL_ID)
Device: $(result alise:embed DEVICE_USED)
Time:   $embed_seconds s for the embedding, $change_seconds s for the change, \
$(($(date +%s) - began)) s for everything
END
