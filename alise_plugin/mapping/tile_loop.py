"""Tiles of a map: how large the memory lets them be, and the loop over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import AliseError, Cancelled
from ..model.encoder import Encoder
from ..sits.grid import Tile, Window, plan_tiles
from ..sits.series import ImageSeries
from .feedback import Feedback
from .output import block_side

_BLOCK = 16  # pixels: a tile is a whole number of GeoTIFF blocks, whose side is a multiple of 16
_STRIP_BLOCK = 128  # pixels: of the blocks of a raster that is written strip by strip, at most
_LEAST_BLOCK = 48  # pixels: a tile whose blocks would be smaller is made a little smaller itself
_STRIPS = 2.5  # beside the one that is encoded: one is written, and what it is turned into

_CACHE_SHARE = 0.1  # of the memory: GDAL's cache of blocks
_CACHE_MOST = 128e6  # bytes: the blocks of one date, or of one strip, and some
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
    return min(_CACHE_SHARE * memory_mb * 1e6, _CACHE_MOST)


def strip_block(side: int) -> int:
    """Side of the blocks, and rows of a strip, for tiles that are written strip by strip."""
    return block_side(side, _STRIP_BLOCK)


def tile_memory(
    encoder: Encoder, dates: int, side: int, raster: Window, in_strips: bool = False
) -> int:
    """Bytes that one tile takes at the peak: reading, encoding, and writing its features.

    Args:
        encoder: the encoder.
        dates: T.
        side: of the inner window, in pixels.
        raster: the whole raster; a read never passes its edges.
        in_strips: whether the tile is encoded and written by `encode_strips`.
    """
    around = side + 2 * (tile_halo(encoder) + encoder.package.stride)
    read = min(around, raster.width) * min(around, raster.height)
    inner = min(side, raster.width) * min(side, raster.height)
    features = 4 * encoder.package.n_queries * encoder.package.d_model
    if in_strips:
        strip = min(side, raster.width) * min(strip_block(side), raster.height)
        held = encoder.memory_needed(dates, read, inner, strip)
        return int(held + _STRIPS * features * strip)
    return int(encoder.memory_needed(dates, read, inner)) + features * inner


def choose_tile_size(
    encoder: Encoder,
    dates: int,
    raster: Window,
    inner: Window,
    memory_mb: float,
    in_strips: bool = False,
) -> int:
    """The side of the tiles that make the fewest steps within a memory.

    Args:
        encoder: the encoder.
        dates: T.
        raster: the whole raster.
        inner: what the map covers.
        memory_mb: what a tile may take, in 10^6 bytes, beside the program itself.
        in_strips: see `tile_memory`.

    Returns:
        Pixels, a multiple of `tile_step`; tiles are made about equal, and so that they divide into
        blocks of a good size.

    Raises:
        AliseError: not even the smallest tile fits.
    """
    step = tile_step(encoder)
    cache = cache_size(memory_mb)
    budget = memory_mb * 1e6 - cache
    least = tile_memory(encoder, dates, step, raster, in_strips)
    if least > budget:
        raise AliseError(
            f"A memory of {memory_mb:g} MB is too little for {dates} dates; allow at least "
            f"{math.ceil(least / (1 - _CACHE_SHARE) / 1e6)} MB or use fewer dates."
        )
    longest = max(inner.width, inner.height)
    largest = math.ceil(longest / step) * step
    while tile_memory(encoder, dates, largest, raster, in_strips) > budget:
        largest -= step
    equal = math.ceil(longest / math.ceil(longest / largest) / step) * step
    sides = [*range(equal, largest + 1, step), *range(equal, 0, -step)]
    return next(side for side in sides if strip_block(side) >= min(side, _LEAST_BLOCK))


def tiles_of(
    series: ImageSeries,
    encoder: Encoder,
    inner: Window,
    memory_mb: float,
    tile_size: int | None = None,
    in_strips: bool = False,
) -> tuple[int, list[Tile]]:
    """Side and tiles of a map.

    Args:
        series: the image series.
        encoder: the encoder.
        inner: what the map covers.
        memory_mb: see `choose_tile_size`.
        tile_size: side to use instead, rounded up to a multiple of `tile_step`.
        in_strips: see `tile_memory`.

    Raises:
        AliseError: the memory is too little.
    """
    if tile_size:
        step = tile_step(encoder)
        side = math.ceil(tile_size / step) * step
    else:
        side = choose_tile_size(
            encoder, len(series.dates), series.grid.window, inner, memory_mb, in_strips
        )
    halo, stride = tile_halo(encoder), encoder.package.stride
    return side, plan_tiles(series.grid, inner, side, halo, stride)


def encode_tile(
    series: ImageSeries,
    encoder: Encoder,
    tile: Tile,
    report: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> NDArray[np.float32]:
    """The features of a tile: dates go through the encoder one by one, the next is read meanwhile.

    Args:
        series: the image series; it is read in another thread until this returns.
        encoder: the encoder.
        tile: what to read and what to keep.
        report: called with how much of the tile is read, 0 to 1.
        cancelled: asked before each date and between the encoder's steps.

    Returns:
        `(n_queries * d_model, h, w)` float32, NaN for a pixel without any value.

    Raises:
        Cancelled: `cancelled()` was true.
    """
    reading = _Reading(series, tile, report, cancelled)
    crop = tile.inner.slices_in(tile.read)
    embedding = encoder.encode(reading, series.days, crop=crop, cancelled=reading.cancelled)
    reading.cancelled()
    return embedding.reshape(-1, *embedding.shape[2:])


class _Reading:
    """The dates of a tile, read in one thread; progress is reported in the thread that asks."""

    def __init__(
        self,
        series: ImageSeries,
        tile: Tile,
        report: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._series = series
        self._tile = tile
        self._report = report
        self._cancelled = cancelled
        self._read = self._reported = 0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for index in range(len(self._series.dates)):
            yield self._series.read(self._tile.read, index)
            self._read = index + 1

    def cancelled(self) -> bool:
        """Whether to stop; on the way, what was read since the last time is reported."""
        if self._read > self._reported:
            self._reported = self._read
            self._report(self._reported / len(self._series.dates))
        return self._cancelled()


def encode_tiles(
    series: ImageSeries, encoder: Encoder, tiles: Sequence[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Tiles with their features (see `encode_tile`), with progress and cancelling.

    Raises:
        Cancelled: the feedback says so.
    """
    with series.reopen() as own:
        for tile, share in _shares(tiles, feedback):
            yield tile, encode_tile(own, encoder, tile, share, feedback.cancelled)


def encode_strips(
    series: ImageSeries,
    encoder: Encoder,
    tiles: Sequence[Tile],
    rows: int,
    feedback: Feedback,
) -> Iterator[tuple[Tile, Window, NDArray[np.float32]]]:
    """As `encode_tiles`, a few rows at a time, so that a tile's features are never held at once.

    Args:
        series: the image series.
        encoder: the encoder.
        tiles: what to read and what to keep.
        rows: of a strip (see `strip_block`).
        feedback: progress and cancelling.

    Yields:
        The tile, the strip of its inner window, and `(n_queries * d_model, h, w)` float32.

    Raises:
        Cancelled: the feedback says so.
    """
    with series.reopen() as own:
        for tile, share in _shares(tiles, feedback):
            reading = _Reading(own, tile, share, feedback.cancelled)
            inner = tile.inner
            strips = encoder.encode_strips(
                reading,
                own.days,
                rows,
                crop=inner.slices_in(tile.read),
                cancelled=reading.cancelled,
            )
            row = inner.row
            for strip in strips:
                window = Window(inner.col, row, inner.width, strip.shape[2])
                yield tile, window, strip.reshape(-1, *strip.shape[2:])
                row = window.row_end
                # Reading was the larger part; what is left of the tile's share is the strips'.
                share(1 + (row - inner.row) / inner.height * (1 / _READ_SHARE - 1))
            reading.cancelled()


def _shares(
    tiles: Sequence[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, Callable[[float], None]]]:
    """Tiles, each with what reports how much of it is read; progress goes by pixels read.

    Raises:
        Cancelled: the feedback says so.
    """
    total = sum(tile.read.pixels for tile in tiles)
    done = 0
    for tile in tiles:
        start, share = done / total, tile.read.pixels / total

        def report(fraction: float, start: float = start, share: float = share) -> None:
            feedback.progress(min(start + share, start + share * _READ_SHARE * fraction))

        yield tile, report
        done += tile.read.pixels
        feedback.progress(max(start + share, done / total))
        if feedback.cancelled():
            raise Cancelled("The run was cancelled.")
