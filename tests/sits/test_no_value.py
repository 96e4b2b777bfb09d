"""Pixels without a value that the file does not declare, or declares otherwise."""

import numpy as np
import pytest
from rasters_for_tests import digital_numbers, write_raster

from alise_plugin.sits.build import SeriesOptions, plan_series

HOLE = (slice(None), slice(None), slice(0, 5))


@pytest.mark.parametrize(
    ("kind", "hole", "nodata"),
    [
        (np.int16, -9999, None),
        (np.int16, 0, -9999),
        (np.int16, -10000, -32768),
        (np.uint16, 65535, None),
        (np.uint16, 65535, 0),
        (np.float32, 0, None),
        (np.float32, -9999, None),
        (np.float32, 0, -9999),
    ],
)
def test_pixels_without_a_value_never_become_reflectance(tmp_path, rng, kind, hole, nodata):
    values = digital_numbers(rng).astype(kind)
    wanted = values * np.float32(1e-4)
    if kind is np.float32:
        values = wanted.copy()
    values[HOLE], wanted[HOLE] = hole, np.nan
    path = write_raster(tmp_path / "20190514.tif", values, nodata=nodata)
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions(measured=True))
    assert plan.dates[0].fractions.valid == pytest.approx(10 / 15)
    series = plan.write(tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got, wanted, atol=2e-7)


def test_black_in_some_bands_is_a_value(tmp_path, rng):
    """Over water a correction may give 0, or a little less, in the infrared."""
    values = digital_numbers(rng).astype(np.int16)
    values[6:, 2:4] = 0
    values[9, 4] = -300
    path = write_raster(tmp_path / "20190514.tif", values, nodata=-9999)
    series = plan_series([path], tmp_path / "s.vrt", SeriesOptions()).write(tmp_path / "s.vrt")
    np.testing.assert_allclose(series.read(series.grid.window, 0), values * 1e-4, atol=2e-7)
