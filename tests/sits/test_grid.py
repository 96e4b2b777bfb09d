import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alise_plugin.errors import SeriesError
from alise_plugin.sits.grid import Grid, Window, plan_tiles
from tests.helpers.rasters import TRANSFORM, utm

GRID = Grid(utm().ExportToWkt(), TRANSFORM, 40, 30)


@st.composite
def plans(draw):
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    col, row = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    inner = Window(col, row, draw(st.integers(1, width - col)), draw(st.integers(1, height - row)))
    tile, halo = draw(st.integers(1, 100)), draw(st.integers(0, 40))
    return (width, height), inner, tile, halo, draw(st.sampled_from([1, 2, 8, 16]))


@given(plans(), st.integers(1, 40))
def test_squares_partition_a_window_wherever_it_is_counted_from(plan, side):
    size, inner, *_ = plan
    whole = Window(0, 0, *size)
    seen = np.zeros(size[::-1], dtype=int)
    shown = np.zeros((inner.height, inner.width), dtype=int)
    for square in inner.squares(side):
        assert max(square.width, square.height) <= side
        seen[square.slices_in(whole)] += 1
        place = square.relative_to(inner)
        shown[place.slices_in(Window(0, 0, inner.width, inner.height))] += 1
    assert (shown == 1).all()
    assert seen.sum() == inner.pixels
    assert (seen[inner.slices_in(whole)] == 1).all()


@given(plans())
def test_tiles_partition_the_window(plan):
    size, inner, tile, halo, stride = plan
    seen = np.zeros(size[::-1], dtype=int)
    for item in plan_tiles(size, inner, tile, halo, stride):
        assert item.inner.width <= tile
        assert item.inner.height <= tile
        seen[item.inner.slices_in(Window(0, 0, *size))] += 1
    wanted = np.zeros_like(seen)
    wanted[inner.slices_in(Window(0, 0, *size))] = 1
    assert (seen == wanted).all()


@given(plans())
def test_reads_lie_on_the_stride_and_keep_the_halo(plan):
    size, inner, tile, halo, stride = plan
    for item in plan_tiles(size, inner, tile, halo, stride):
        read, kept = item.read, item.inner
        for start, end, kept_start, kept_end, limit in (
            (read.col, read.col_end, kept.col, kept.col_end, size[0]),
            (read.row, read.row_end, kept.row, kept.row_end, size[1]),
        ):
            assert start >= 0
            assert end <= limit
            assert start % stride == 0
            assert end % stride == 0 or end == limit
            assert start <= max(kept_start - halo, 0)
            assert end >= min(kept_end + halo, limit)
            # no more than is needed, or memory is wasted
            assert start > kept_start - halo - stride
            assert end < kept_end + halo + stride


def test_plan_takes_a_grid():
    assert plan_tiles(GRID, GRID.window, 64, 8, 8) == plan_tiles((40, 30), GRID.window, 64, 8, 8)


def test_window_of_snaps_outward_and_stays_inside():
    left, _, _, top, _, _ = TRANSFORM
    assert GRID.window_of(GRID.extent) == GRID.window
    assert GRID.window_of((left + 11, top - 29, left + 20, top - 12)) == Window(1, 1, 1, 2)
    assert GRID.window_of((left - 500, top - 15, left + 5, top + 500)) == Window(0, 0, 1, 2)


@pytest.mark.parametrize("shift", [(1e4, 0), (-1e4, 0), (0, 1e4), (0, -1e4)])
def test_an_extent_elsewhere_is_refused(shift):
    xmin, ymin, xmax, ymax = GRID.extent
    extent = (xmin + shift[0], ymin + shift[1], xmax + shift[0], ymax + shift[1])
    with pytest.raises(SeriesError, match="does not overlap"):
        GRID.window_of(extent)


def test_subgrid_is_the_extent_of_its_window():
    window = Window(3, 5, 7, 11)
    assert GRID.window_of(GRID.subgrid(window).extent) == window


def test_same_grid_ignores_how_the_crs_is_spelled():
    other = Grid(utm().ExportToWkt(["FORMAT=WKT2_2018"]), TRANSFORM, 40, 30)
    assert GRID.same_grid(other)
    assert not GRID.same_grid(Grid(utm(32).ExportToWkt(), TRANSFORM, 40, 30))
    assert not GRID.same_grid(GRID.subgrid(Window(0, 0, 39, 30)))


def test_a_crs_with_a_code_and_a_shift_is_the_registered_one(tmp_path):
    from osgeo import gdal, osr

    shifted = osr.SpatialReference()
    shifted.ImportFromEPSG(3035)
    shifted.SetTOWGS84(0, 0, 0, 0, 0, 0, 0)
    dataset = gdal.GetDriverByName("MEM").Create("", 4, 4, 1)
    dataset.SetGeoTransform((4321000, 10, 0, 3210000, 0, -10))
    dataset.SetSpatialRef(shifted)
    registered = osr.SpatialReference()
    registered.ImportFromEPSG(3035)
    assert "TOWGS84" in shifted.ExportToWkt()
    assert Grid.from_dataset(dataset, "cube").crs_wkt == registered.ExportToWkt()
