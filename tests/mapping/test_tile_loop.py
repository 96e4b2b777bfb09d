import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alise_plugin.errors import AliseError
from alise_plugin.mapping.features.tiling import (
    Tiling,
    cache_size,
    choose_tile_size,
    choose_tiling,
    strip_memory,
    tile_halo,
    tile_memory,
    tile_step,
)
from alise_plugin.mapping.rasters.geotiff import block_side
from alise_plugin.sits.grid import Window, plan_tiles
from tests.helpers.fake_encoder import FakeEncoder

SIZES = (st.integers(1, 200), st.integers(1, 6000), st.integers(1, 6000), st.floats(5, 4000))


@given(*SIZES)
def test_tiles_stay_within_the_memory(dates, width, height, memory_mb):
    encoder = FakeEncoder(bytes_per_read_pixel=3000)
    raster = Window(0, 0, width, height)
    step = tile_step(encoder)
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    if tile_memory(encoder, dates, step, raster) > budget:
        with pytest.raises(AliseError, match="allow at least") as error:
            choose_tile_size(encoder, dates, raster, raster, memory_mb)
        assert "\n" not in str(error.value)
        return
    side = choose_tile_size(encoder, dates, raster, raster, memory_mb)
    assert side % encoder.package.stride == 0
    assert side % 16 == 0
    assert tile_memory(encoder, dates, side, raster) <= budget
    # and no more tiles than that takes
    longest = max(width, height)
    fewer = -(-longest // side) - 1
    if fewer:
        larger = -(-longest // fewer // step) * step
        assert tile_memory(encoder, dates, larger, raster) > budget


def read_pixels(encoder, raster, inner, tile):
    tiles = plan_tiles(
        (raster.width, raster.height), inner, tile, tile_halo(encoder), encoder.package.stride
    )
    return sum(item.read.pixels for item in tiles)


@settings(deadline=None)
@given(*SIZES, st.tuples(*[st.floats(0, 1)] * 4))
@example(1, 897, 369, 603.0, (0.0, 1.0, 0.0, 1.0))  # only a tile above the map's height fits
@example(1, 897, 1393, 890.0, (0.0, 1.0, 0.0, 1.0))  # only one that ends beyond its width
def test_cuts_stay_within_the_memory_and_read_little_twice(
    dates, width, height, memory_mb, corners
):
    encoder = FakeEncoder(bytes_per_read_pixel=3000)
    raster = Window(0, 0, width, height)
    left, right = sorted(int(part * (width - 1)) for part in corners[:2])
    top, bottom = sorted(int(part * (height - 1)) for part in corners[2:])
    inner = Window(left, top, right - left + 1, bottom - top + 1)
    step = tile_step(encoder)
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    if strip_memory(encoder, dates, (step, step), raster, inner) > budget:
        with pytest.raises(AliseError, match="allow at least") as error:
            choose_tiling(encoder, dates, raster, inner, memory_mb)
        assert "\n" not in str(error.value)
        return
    cut = choose_tiling(encoder, dates, raster, inner, memory_mb)
    assert strip_memory(encoder, dates, cut.tile, raster, inner) <= budget
    assert all(side % step == 0 for side in cut.tile)
    if min(inner.width, inner.height) < 200:
        return
    assert not cut.has_slivers
    # A square that fits reads no less.
    units = -(-max(inner.width, inner.height) // step)
    while strip_memory(encoder, dates, (units * step, units * step), raster, inner) > budget:
        units -= 1
    parts = -(-max(inner.width, inner.height) // (units * step))
    side = -(-max(inner.width, inner.height) // parts // step) * step
    if not Tiling.of((side, side)).has_slivers:
        least = read_pixels(encoder, raster, inner, (side, side))
        assert read_pixels(encoder, raster, inner, cut.tile) <= least


@given(st.integers(1, 400), st.integers(1, 400))
def test_strips_and_blocks_fill_tiles(rows, columns):
    cut = Tiling.of((16 * rows, 16 * columns))
    assert cut.rows % cut.block[0] == 0
    assert 0 < cut.rows <= 64
    for side, block in zip(cut.tile, cut.block):
        assert side % block == 0
        assert block % 16 == 0


@given(st.integers(1, 400))
def test_blocks_fill_tiles(parts):
    side = block_side(16 * parts)
    assert 16 * parts % side == 0
    assert side % 16 == 0
    assert side <= 512
