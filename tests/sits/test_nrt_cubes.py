"""The real cubes of the wheel nrt==0.2.1, where it is installed."""

import importlib.util
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.sits.build import build_series

NRT = importlib.util.find_spec("nrt")
pytestmark = pytest.mark.skipif(NRT is None, reason="the wheel nrt==0.2.1 is not installed")


@pytest.fixture(scope="module")
def cubes():
    folder = Path(NRT.submodule_search_locations[0]) / "data"
    return [str(folder / f"sentinel2_cube_subset_romania_{size}.nc") for size in ("20m", "10m")]


def test_both_cubes_make_one_series(cubes, tmp_path):
    series = build_series(cubes, tmp_path / "series.vrt")
    assert len(series.dates) == 140
    assert (series.dates[0], series.dates[-1]) == (date(2015, 8, 1), date(2021, 1, 1))
    assert series.bands_present == ("B02", "B03", "B04", "B08", "B8A", "B11")
    assert (series.grid.width, series.grid.height) == (100, 100)
    xmin, ymin, xmax, ymax = series.grid.extent
    assert (xmin, ymax) == pytest.approx((5271982.5766, 2533004.2149))
    assert (xmax - xmin, ymax - ymin) == pytest.approx((1000, 1000))


def test_values_are_those_of_the_arrays(cubes, tmp_path):
    """Read through the multidimensional interface, which knows nothing of rasters."""
    series = build_series(cubes, tmp_path / "series.vrt", start=date(2018, 1, 1))
    first = 140 - len(series.dates)
    got = series.read_all(series.grid.window)
    fine, coarse = (
        gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER).GetRootGroup() for path in reversed(cubes)
    )
    for plane, name in ((0, "B2"), (1, "B3"), (2, "B4"), (6, "B8")):
        raw = fine.OpenMDArray(name).ReadAsArray()[first:]
        truth = np.where(raw == 0, np.nan, raw * 1e-4)
        np.testing.assert_allclose(got[:, plane], truth, atol=2e-7)
    for plane, name in ((7, "B8A"), (8, "B11")):
        raw = coarse.OpenMDArray(name).ReadAsArray()[first:] * 1e-4
        means = got[:, plane].reshape(len(raw), 50, 2, 50, 2).mean((2, 4))
        assert np.abs(means - raw).mean() < 0.003
        assert np.corrcoef(means.ravel(), raw.ravel())[0, 1] > 0.999
