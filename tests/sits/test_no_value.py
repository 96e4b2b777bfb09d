"""Pixels without a value that the file does not declare, or declares otherwise."""

import numpy as np
import pytest
from rasters_for_tests import TRANSFORM, digital_numbers, write_raster

from alise_plugin.sits.build import SeriesOptions, build_series, plan_series

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


@pytest.mark.parametrize(
    ("kind", "hole"),
    [
        (np.int16, -9999),
        (np.int16, -32768),
        (np.uint16, 65535),
        (np.float32, -9999),
        (np.float32, -1),
        (np.float32, 0),
        (np.float32, np.finfo(np.float32).min),
    ],
)
@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:3035"])
def test_what_no_file_declares_does_not_bleed_where_it_is_resampled(tmp_path, rng, kind, hole, crs):
    names = ["B02", "B03", "B04", "B08"]
    fine = digital_numbers(rng, 4, 24, 24)
    write_raster(tmp_path / "20190514_10m.tif", fine, descriptions=names, nodata=0)
    rows, cols = np.mgrid[:12, :12]
    coarse = np.stack([3000 + 40 * rows + 25 * cols] * 2).astype(kind)
    if kind is not np.uint16:
        coarse[0, 0, 0] = -500  # a little below black is a value
    if kind is np.float32:
        coarse /= 10000
    coarse[:, 4:8, 4:8] = hole
    double = (TRANSFORM[0], 20.0, 0.0, TRANSFORM[3], 0.0, -20.0)
    path = tmp_path / "20190514_20m.tif"
    write_raster(path, coarse, descriptions=["B11", "B12"], transform=double)
    series = build_series([tmp_path], tmp_path / "s.vrt", crs=crs, resolution=10)
    got = series.read(series.grid.window, 0)[8:]
    assert np.nanmin(got) > -0.15
    assert np.nanmax(got) < 0.40  # of 0.3715, and the ringing of a cubic kernel
    if crs == "EPSG:32631":
        assert np.isnan(got[:, 9:15, 9:15]).all()
        assert np.isfinite(got[:, :5]).all()


@pytest.mark.parametrize(
    ("kind", "hole"),
    [(np.int16, -9999), (np.uint16, 65535), (np.uint16, 0), (np.float32, -9999), (np.float32, 0)],
)
def test_what_no_file_declares_hides_no_other_image_of_the_day(tmp_path, rng, kind, hole):
    values = digital_numbers(rng).astype(kind)
    if kind is np.float32:
        values /= 10000
    for tile, hidden in (("T31TCJ", slice(0, 5)), ("T31TDJ", slice(5, None))):
        part = values.copy()
        part[..., hidden] = hole
        write_raster(tmp_path / f"{tile}_20190514T105031.tif", part)
    series = build_series([tmp_path], tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got, values * (1 if kind is np.float32 else 1e-4), atol=2e-7)
