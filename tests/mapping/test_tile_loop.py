import pytest
from fake_encoder import FakeEncoder
from hypothesis import given
from hypothesis import strategies as st

from alise_plugin.errors import AliseError
from alise_plugin.mapping.output import block_side
from alise_plugin.mapping.tile_loop import (
    cache_size,
    choose_tile_size,
    strip_block,
    tile_memory,
    tile_step,
)
from alise_plugin.sits.grid import Window


@given(
    st.integers(1, 200),
    st.integers(1, 6000),
    st.integers(1, 6000),
    st.floats(5, 4000),
    st.booleans(),
)
def test_tiles_stay_within_the_memory(dates, width, height, memory_mb, in_strips):
    encoder = FakeEncoder(bytes_per_read_pixel=3000)
    raster = Window(0, 0, width, height)
    step = tile_step(encoder)
    least = tile_memory(encoder, dates, step, raster, in_strips)
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    if least > budget:
        with pytest.raises(AliseError, match="allow at least") as error:
            choose_tile_size(encoder, dates, raster, raster, memory_mb, in_strips)
        assert "\n" not in str(error.value)
        return
    side = choose_tile_size(encoder, dates, raster, raster, memory_mb, in_strips)
    assert side % encoder.package.stride == 0
    assert side % 16 == 0
    assert tile_memory(encoder, dates, side, raster, in_strips) <= budget
    # and no more tiles than that takes, unless their blocks would be slivers
    assert strip_block(side) >= min(side, 48)
    longest = max(width, height)
    fewer = -(-longest // side) - 1
    if fewer:
        larger = -(-longest // fewer // step) * step
        assert (
            tile_memory(encoder, dates, larger, raster, in_strips) > budget
            or strip_block(larger) < 48
        )


@given(st.integers(1, 400))
def test_blocks_fill_tiles(parts):
    side = block_side(16 * parts)
    assert 16 * parts % side == 0
    assert side % 16 == 0
    assert side <= 512
