import numpy as np
import pytest
from osgeo import gdal, osr

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Grid, Window
from alise_plugin.sits.regrid import SeriesOnGrid, extent_on, read_on_grid
from alise_plugin.sits.shared import shared_acquisitions
from tests.helpers.rasters import TRANSFORM, dated_rasters, write_raster


def wkt(code):
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(code)
    return reference.ExportToWkt()


UTM31 = wkt(32631)


def reader(values):
    return lambda window: values[(slice(None), *window.slices_in(Window(0, 0, 10**6, 10**6)))]


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_a_shift_by_whole_pixels_takes_pixels_as_they_are(rng):
    values = rng.uniform(0, 1, (2, 30, 40)).astype(np.float32)
    values[:, 3, 5] = np.nan
    source = Grid(UTM31, TRANSFORM, 40, 30)
    moved = (TRANSFORM[0] + 70, 10.0, 0.0, TRANSFORM[3] + 40, 0.0, -10.0)
    target = Grid(UTM31, moved, 50, 20)
    found = read_on_grid(reader(values), source, target, Window(0, 0, 50, 20), "cubic")
    np.testing.assert_array_equal(found[:, 4:, :33], values[:, :16, 7:])
    assert np.isnan(found[:, :4]).all()
    assert np.isnan(found[:, :, 33:]).all()
    outside = read_on_grid(reader(values), source, target, Window(40, 5, 10, 10), "cubic")
    assert outside.shape == (2, 10, 10)
    assert np.isnan(outside).all()


@pytest.mark.parametrize("code", [32631, 32632, 4326])
def test_a_smooth_field_keeps_its_values(code):
    """A plane in the source's coordinates is that plane on any other grid."""
    source = Grid(UTM31, TRANSFORM, 120, 100)
    col, row = np.meshgrid(np.arange(120) + 0.5, np.arange(100) + 0.5)
    plane = (0.2 + 0.003 * col + 0.002 * row).astype(np.float32)[None]
    extent = extent_on(source, Grid(wkt(code), TRANSFORM, 1, 1))
    size = (extent[2] - extent[0]) / 90
    shifted = (extent[0] + size / 3, size, 0.0, extent[3] - size / 4, 0.0, -size)
    target = Grid(wkt(code), shifted, 90, int((extent[3] - extent[1]) / size) - 1)
    found = read_on_grid(reader(plane), source, target, target.window, "cubic")
    to_source = osr.CoordinateTransformation(srs(target), srs(source))
    height, width = found.shape[1:]
    expected = np.full((height, width), np.nan)
    for r in range(0, height, 7):
        for c in range(0, width, 7):
            x = target.geotransform[0] + size * (c + 0.5)
            y = target.geotransform[3] - size * (r + 0.5)
            x, y, _ = to_source.TransformPoint(x, y)
            col, row = (x - TRANSFORM[0]) / 10, (TRANSFORM[3] - y) / 10
            if 3 < col < 117 and 3 < row < 97:
                expected[r, c] = 0.2 + 0.003 * col + 0.002 * row
    seen = np.isfinite(expected)
    assert seen.sum() > 50
    np.testing.assert_allclose(found[0][seen], expected[seen], atol=2e-4)


def srs(grid):
    reference = osr.SpatialReference()
    reference.ImportFromWkt(grid.crs_wkt)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return reference


def test_a_window_gives_what_the_whole_gives(rng):
    values = rng.uniform(0, 1, (1, 90, 90)).astype(np.float32)
    source = Grid(UTM31, TRANSFORM, 90, 90)
    extent = extent_on(source, Grid(wkt(32632), TRANSFORM, 1, 1))
    target = Grid(wkt(32632), (extent[0], 12.0, 0.0, extent[3], 0.0, -12.0), 70, 70)
    whole = read_on_grid(reader(values), source, target, target.window, "cubic")
    for window in (Window(8, 16, 24, 9), Window(40, 40, 30, 30), Window(33, 2, 1, 1)):
        part = read_on_grid(reader(values), source, target, window, "cubic")
        where = (slice(None), *window.slices_in(target.window))
        np.testing.assert_allclose(part, whole[where], atol=1e-5)


def test_no_value_does_not_bleed(rng):
    values = np.full((1, 60, 60), 0.5, np.float32)
    values[:, 20:30, 20:30] = np.nan
    source = Grid(UTM31, TRANSFORM, 60, 60)
    half = (TRANSFORM[0] + 5, 10.0, 0.0, TRANSFORM[3] - 5, 0.0, -10.0)
    target = Grid(UTM31, half, 59, 59)
    for resampling in ("cubic", "bilinear"):
        found = read_on_grid(reader(values), source, target, target.window, resampling)
        assert np.isnan(found[0, 21:28, 21:28]).all()
        np.testing.assert_allclose(found[np.isfinite(found)], 0.5, atol=1e-6)
        assert np.isfinite(found[0, :19]).all()


def test_a_series_on_another_grid(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng, 3, height=30, width=40)
    series = build_series(paths, tmp_path / "series.vrt")
    moved = (TRANSFORM[0] + 50, 10.0, 0.0, TRANSFORM[3] - 20, 0.0, -10.0)
    there = SeriesOnGrid(series, Grid(UTM31, moved, 35, 28))
    assert (there.dates, there.grid.width) == (tuple(dates), 35)
    expected = values[1, :, 2:, 5:] / 10000
    for one in (there, there.reopen()):
        np.testing.assert_allclose(one.read(one.grid.window, 1), expected, rtol=1e-6)
    part = there.subset(dates[1:])
    np.testing.assert_allclose(part.read(part.grid.window, 0), expected, rtol=1e-6)
    assert shared_acquisitions(series, there) == {}


def test_what_two_series_share(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng, 4)
    first = build_series(paths[:3], tmp_path / "first.vrt")
    (tmp_path / "sub").mkdir()
    second = build_series(paths[1:], tmp_path / "sub" / "second.vrt")
    assert shared_acquisitions(first, second) == {0: 1, 1: 2}
    assert shared_acquisitions(first, first.subset(dates[:2])) == {0: 0, 1: 1}
    # The same file under another scale is something else, and so is another file of that date.
    scaled = build_series(paths[1:], tmp_path / "scaled.vrt", scale=2e-4)
    assert shared_acquisitions(first, scaled) == {}
    (tmp_path / "other").mkdir()
    other = write_raster(tmp_path / "other" / f"S2_{dates[1]:%Y%m%d}.tif", values[1])
    assert shared_acquisitions(first, build_series([other], tmp_path / "other.vrt")) == {}


def test_coarser_bands_are_shared_through_helpers(tmp_path, rng):
    """20 m bands without a declared nodata lie behind a VRT of their own in each series."""
    fine, coarse = list(BANDS[:3]), list(BANDS[4:7])
    for day in ("20190105", "20190210", "20190402"):
        values = rng.integers(1, 9000, (3, 20, 24)).astype(np.uint16)
        write_raster(tmp_path / f"S2_{day}_10m.tif", values, descriptions=fine)
        twice = (TRANSFORM[0], 20.0, 0.0, TRANSFORM[3], 0.0, -20.0)
        write_raster(
            tmp_path / f"S2_{day}_20m.tif",
            values[:, :10, :12],
            descriptions=coarse,
            transform=twice,
        )
    files = sorted(tmp_path.glob("S2_*.tif"))
    first = build_series(files[:4], tmp_path / "first.vrt")
    second = build_series(files[2:], tmp_path / "second.vrt")
    assert shared_acquisitions(first, second) == {0: 1}
    np.testing.assert_array_equal(
        first.read(first.grid.window, 1), second.read(second.grid.window, 0)
    )


def test_what_two_stacks_share(tmp_path, rng):
    """Rasters that are series themselves, without a VRT."""
    _, dates, _ = dated_rasters(tmp_path, rng, 2)
    series = build_series([tmp_path / f"S2_{day:%Y%m%d}.tif" for day in dates], tmp_path / "s.vrt")
    gdal.Translate(str(tmp_path / "stack.tif"), gdal.Open(series.path))
    stack = type(series).open(tmp_path / "stack.tif")
    assert shared_acquisitions(stack, stack.subset(dates[1:])) == {0: 1}
    assert shared_acquisitions(series, stack) == {}
    assert stack.dates == tuple(dates)
