"""The memory that a run really takes, measured from outside."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from alise_plugin.sits.build import build_series
from tests.helpers.rasters import dated_rasters

ROOT = Path(__file__).resolve().parents[2]
BESIDE = 500  # MB: Python, GDAL, onnxruntime and the model, which MEMORY does not count

RUN = """
import sys
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.series import ImageSeries
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget

encoder = load_encoder(sys.argv[1], "cpu", threads=1)
series = ImageSeries.open(sys.argv[2])
features = SeriesFeatures(series, lambda: encoder)
embed(features, sys.argv[3], budget=TileBudget(float(sys.argv[4])), format=sys.argv[5])
status = open("/proc/self/status").read()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
@pytest.mark.parametrize(
    ("dates", "side", "memory", "form"),
    [
        (1, 288, 256, "float32"),
        (2, 256, 256, "int8"),
        (12, 112, 256, "float32"),
        (200, 56, 256, "float32"),  # 160 MB of features
    ],
)
def test_the_peak_stays_within_the_memory(tmp_path, tiny_package, dates, side, memory, form):
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, _ = dated_rasters(folder, np.random.default_rng(0), dates, height=side, width=side)
    with build_series(paths, folder / "series.vrt") as series:
        command = [sys.executable, "-c", RUN, tiny_package, series.path, tmp_path / "map.tif"]
        command += [str(memory), form]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout.split()[-1]) / 1000
    assert peak < memory + BESIDE
    assert peak > 150  # and the figure is one
