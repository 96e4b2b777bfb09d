"""The tutorials on real data: each command of each page runs, in the page's order."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

gdal = pytest.importorskip("osgeo.gdal")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)


@pytest.fixture
def done(tmp_path, request):
    """Run the blocks of a page in a copy of the data; return the folder and what was printed."""
    shutil.copytree(TUTORIALS / "data", tmp_path / "data")
    folder, printed = tmp_path / "data", []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    for language, code in BLOCK.findall((TUTORIALS / f"{request.param}.md").read_text()):
        script = 'set -e; alise() { "$PYTHON" -W ignore -m alise_plugin "$@" --quiet; }\n' + code
        command = ["bash", "-c", script] if language == "sh" else [sys.executable, "-c", code]
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, f"{code}\n{run.stderr}"
        printed.append(run.stdout)
    return folder, printed


def values_of(path):
    source = gdal.Open(str(path))
    band = source.GetRasterBand(1)
    values = band.ReadAsArray()
    return values[values != band.GetNoDataValue()]


@pytest.mark.parametrize("done", ["first_map"], indirect=True)
def test_a_first_map_has_all_three_covers(done):
    folder, printed = done
    assert (folder / "training.html").stat().st_size > 1000
    assert set(np.unique(values_of(folder / "covers.tif"))) == {1, 2, 3}
    assert "COUNT: 27" in printed[0]
    areas = re.split(r"[,\n]", (folder / "areas.csv").read_text())
    assert {"crops", "grassland", "other"} <= set(areas)


@pytest.mark.parametrize("done", ["two_years"], indirect=True)
def test_two_years_of_a_forest_differ_more_than_noise(done):
    folder, printed = done
    assert "COUNT: 28" in printed[0]
    assert "COUNT: 26" in printed[0]
    changed = [values_of(folder / name).mean() for name in ("change.tif", "change_noise.tif")]
    assert 0.02 < changed[0] < changed[1]


@pytest.mark.parametrize("done", ["years_of_a_pixel"], indirect=True)
def test_a_pixel_is_greener_in_april_than_in_june(done):
    _, printed = done
    (said,) = [text for text in printed if "2020-04-15 " in text and "OUTPUT" not in text]
    ndvi = dict(line.split() for line in said.splitlines())
    assert len(ndvi) == 12
    for year in ("2019", "2020", "2021"):
        assert float(ndvi[f"{year}-04-15"]) > float(ndvi[f"{year}-06-15"])


@pytest.mark.parametrize("done", ["yield"], indirect=True)
def test_yield_of_blocks_left_out_is_explained_in_part(done):
    folder, printed = done
    r2 = float(re.search(r"^R2: (.*)$", printed[0], re.MULTILINE)[1])
    assert 0.1 < r2 < 0.4
    estimated = values_of(folder / "harvest" / "D3_estimate.tif")
    assert 4 < np.nanmean(estimated) < 9
