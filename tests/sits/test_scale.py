"""Integers are taken as DN only where they look like DN."""

from datetime import date

import numpy as np
import pytest

from alise_plugin.errors import SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from tests.helpers.products import dn
from tests.helpers.rasters import days, write_raster


def landscape(day):
    """DN of 1000 to 4500."""
    return np.stack([dn(band, day) for band in BANDS])


@pytest.mark.parametrize(
    ("kind", "factor", "match"),
    [
        (np.uint8, 255 / 4500, "holds bytes"),
        (np.uint16, 6.5535, "are not DN"),
        (np.uint16, 0.1, "are not DN"),
        (np.int16, 0.01, "are not DN"),
    ],
)
def test_integers_that_are_not_dn_are_refused(tmp_path, kind, factor, match):
    paths = []
    for number, day in enumerate(days(5)):
        values = landscape(day)
        if number == 2:
            values += 5000  # a cloud does not hide what the others are
        values = (values * factor).clip(0, np.iinfo(kind).max).astype(kind)
        paths.append(write_raster(tmp_path / f"{day:%Y%m%d}.tif", values))
    with pytest.raises(SeriesError, match=match) as error:
        build_series(paths, tmp_path / "s.vrt")
    assert "SCALE" in str(error.value)
    series = build_series(paths, tmp_path / "s.vrt", scale=1e-4 / factor)
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got, landscape(series.dates[0]) * 1e-4, atol=1e-4 / factor)


@pytest.mark.parametrize("kind", ["water", "snow"])
def test_dark_water_and_bright_snow_are_dn(tmp_path, kind):
    values = landscape(date(2019, 1, 5)).astype(np.uint16)
    values = values[::-1] // 8 if kind == "water" else values // 2 + 7000
    path = write_raster(tmp_path / "20190105.tif", values)
    series = build_series([path], tmp_path / "s.vrt")
    np.testing.assert_allclose(series.read(series.grid.window, 0), values * 1e-4, atol=2e-7)


@pytest.mark.parametrize(
    ("stated", "given"),
    [
        ({"scale": 10000}, {}),
        ({"scale": 0}, {}),
        ({}, {"scale": 10000}),
        ({}, {"scale": -1e-4}),
        ({}, {"scale": float("nan")}),
        ({}, {"scale": 1}),  # of integers
        ({}, {"offset": -1000}),
        ({}, {"offset": float("nan")}),
    ],
)
def test_a_scale_or_an_offset_that_makes_no_reflectance_is_refused(tmp_path, stated, given):
    values = landscape(date(2019, 1, 5)).astype(np.uint16)
    path = write_raster(tmp_path / "20190105.tif", values, **stated)
    output = tmp_path / "s.vrt"
    with pytest.raises(SeriesError, match=r"values of 20190105\.tif are no reflectance"):
        build_series([path], output, **given)
    assert not output.exists()
