"""Tiles of a map: how large the memory lets them be, and the loop over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import AliseError, Cancelled
from ..model.encoder import Encoder
from ..sits.bands import BANDS
from ..sits.grid import Tile, Window, plan_tiles
from ..sits.series import ImageSeries
from .feedback import Feedback

_BLOCK = 16  # pixels: a tile is a whole number of GeoTIFF blocks, whose side is a multiple of 16

_CACHE_SHARE = 0.1  # of the memory: GDAL's cache of blocks
_READ_SHARE = 0.7  # of a tile's time: its dates go through the spatial encoder as they are read


def tile_step(encoder: Encoder) -> int:
    """What the side of a tile is a multiple of, in pixels."""
    return math.lcm(encoder.package.stride, _BLOCK)


def tile_halo(encoder: Encoder) -> int:
    """Pixels to read around a tile.

    At least the smallest size that the encoder takes: a narrower read would be padded further
    than the whole raster is, and its values would then depend on the tiling.
    """
    return max(encoder.package.halo, encoder.package.minimum_size)


def cache_size(memory_mb: float) -> float:
    """Bytes of a memory that are left to GDAL's cache of blocks (see `block_cache`)."""
    return _CACHE_SHARE * memory_mb * 1e6


def tile_memory(encoder: Encoder, dates: int, side: int, raster: Window) -> int:
    """Bytes that one tile takes at the peak: reading, encoding, and writing its features.

    Args:
        encoder: the encoder.
        dates: T.
        side: of the inner window, in pixels.
        raster: the whole raster; a read never passes its edges.
    """
    around = side + 2 * (tile_halo(encoder) + encoder.package.stride)
    read = min(around, raster.width) * min(around, raster.height)
    inner = min(side, raster.width) * min(side, raster.height)
    # What one date and its mask take while they are read, and features beside their bytes.
    reading = 2 * 4 * len(BANDS) * read
    writing = 4 * encoder.package.n_queries * encoder.package.d_model * inner
    return int(encoder.memory_needed(dates, read, inner)) + reading + writing


def choose_tile_size(
    encoder: Encoder, dates: int, raster: Window, inner: Window, memory_mb: float
) -> int:
    """The side of the tiles that make the fewest steps within a memory.

    Args:
        encoder: the encoder.
        dates: T.
        raster: the whole raster.
        inner: what the map covers.
        memory_mb: what a tile may take, in 10^6 bytes, beside the program itself.

    Returns:
        Pixels, a multiple of `tile_step`; tiles are made about equal.

    Raises:
        AliseError: not even the smallest tile fits.
    """
    step = tile_step(encoder)
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    least = tile_memory(encoder, dates, step, raster)
    if least > budget:
        raise AliseError(
            f"A memory of {memory_mb:g} MB is too little for {dates} dates; allow at least "
            f"{math.ceil(least / (1 - _CACHE_SHARE) / 1e6)} MB or use fewer dates."
        )
    longest = max(inner.width, inner.height)
    steps = math.ceil(longest / step)
    while tile_memory(encoder, dates, steps * step, raster) > budget:
        steps -= 1
    tiles = math.ceil(longest / (steps * step))
    return math.ceil(longest / tiles / step) * step


def tiles_of(
    series: ImageSeries,
    encoder: Encoder,
    inner: Window,
    memory_mb: float,
    tile_size: int | None = None,
) -> tuple[int, list[Tile]]:
    """Side and tiles of a map.

    Args:
        series: the image series.
        encoder: the encoder.
        inner: what the map covers.
        memory_mb: see `choose_tile_size`.
        tile_size: side to use instead, rounded up to a multiple of `tile_step`.

    Raises:
        AliseError: the memory is too little.
    """
    if tile_size:
        step = tile_step(encoder)
        side = math.ceil(tile_size / step) * step
    else:
        side = choose_tile_size(encoder, len(series.dates), series.grid.window, inner, memory_mb)
    halo, stride = tile_halo(encoder), encoder.package.stride
    return side, plan_tiles(series.grid, inner, side, halo, stride)


def encode_tile(
    series: ImageSeries,
    encoder: Encoder,
    tile: Tile,
    report: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> NDArray[np.float32]:
    """The features of a tile: reads its dates one after the other and encodes them.

    Args:
        series: the image series.
        encoder: the encoder.
        tile: what to read and what to keep.
        report: called with how much of the tile is read, 0 to 1.
        cancelled: asked before each date and between the encoder's steps.

    Returns:
        `(n_queries * d_model, h, w)` float32, NaN for a pixel without any value.

    Raises:
        Cancelled: `cancelled()` was true.
    """
    count = len(series.dates)

    def acquisitions() -> Iterator[NDArray[np.float32]]:
        for index in range(count):
            if cancelled():
                raise Cancelled("The run was cancelled.")
            yield series.read(tile.read, index)
            report((index + 1) / count)

    embedding = encoder.encode(
        acquisitions(), series.days, crop=tile.inner.slices_in(tile.read), cancelled=cancelled
    )
    return embedding.reshape(-1, *embedding.shape[2:])


def encode_tiles(
    series: ImageSeries, encoder: Encoder, tiles: Sequence[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Tiles with their features (see `encode_tile`), with progress and cancelling.

    Raises:
        Cancelled: the feedback says so.
    """
    total = sum(tile.read.pixels for tile in tiles)
    done = 0
    for tile in tiles:
        start, share = done / total, tile.read.pixels / total

        def report(fraction: float, start: float = start, share: float = share) -> None:
            feedback.progress(start + share * _READ_SHARE * fraction)

        yield tile, encode_tile(series, encoder, tile, report, feedback.cancelled)
        done += tile.read.pixels
        feedback.progress(done / total)
        if feedback.cancelled():
            raise Cancelled("The run was cancelled.")
