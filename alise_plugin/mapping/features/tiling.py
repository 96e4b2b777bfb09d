"""How a map is cut into tiles, strips and blocks that fit into the memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import AliseError
from ...model.encoder import Encoder
from ...sits.grid import Tile, Window, plan_tiles
from ...sits.series import ImageSeries
from ..rasters.geotiff import block_side

_BLOCK = 16  # pixels: a tile is a whole number of GeoTIFF blocks, whose side is a multiple of 16


_STRIP = 64  # rows of a strip, at most


_BLOCK_SIDE = 512  # pixels: of a GeoTIFF block, at most


_BLOCK_PIXELS = 128**2  # of a GeoTIFF block, at most


_STRIPS_READING = 1.5  # that may still be being written, and what they are turned into


_STRIPS_ENCODING = 2.5  # the same while the next one is encoded


_CACHE_SHARE = 0.1  # of the memory: blocks of rasters that are read or written


_CACHE_MOST = 128e6  # bytes: those of one date, or of one strip, and some


def tile_step(encoder: Encoder) -> int:
    """Return what the side of a tile is a multiple of, in pixels."""
    return math.lcm(encoder.package.stride, _BLOCK)


def tile_halo(encoder: Encoder) -> int:
    """Return pixels to read around a tile.

    At least the smallest size that the encoder takes: a narrower read would be padded further
    than the whole raster is, and its values would then depend on the tiling.
    """
    return max(encoder.package.halo, encoder.package.minimum_size)


def cache_size(memory_mb: float) -> float:
    """Return bytes of a memory that are left to blocks of rasters (see `block_cache`)."""
    return min(_CACHE_SHARE * memory_mb * 1e6, _CACHE_MOST)


@dataclass(frozen=True)
class TileBudget:
    """What a run may take.

    Attributes:
        memory_mb: memory in 10^6 bytes, beside the program itself.
        tile_size: side of the tiles in pixels; as large as the memory allows if None.
    """

    memory_mb: float = 2048
    tile_size: int | None = None

    @property
    def bytes(self) -> float:
        """Return what is left of the memory beside the blocks of rasters (see `block_cache`)."""
        return self.memory_mb * 1e6 - cache_size(self.memory_mb)


@dataclass(frozen=True)
class Tiling:
    """How a map that is written strip by strip is cut.

    Attributes:
        tile: rows and columns of the tiles; the last of a row or column may have fewer.
        rows: of the strips of a tile; the last may have fewer.
        block: rows and columns of the GeoTIFF's blocks, of which tiles and strips are whole
            numbers, so that each is compressed once.
    """

    tile: tuple[int, int]
    rows: int
    block: tuple[int, int]

    @classmethod
    def of(cls, tile: tuple[int, int]) -> Tiling:
        """Return the cut with tiles of so many rows and columns, multiples of 16."""
        height = block_side(tile[0], _STRIP)
        width = block_side(tile[1], min(_BLOCK_SIDE, _BLOCK_PIXELS // height))
        return cls(tile, _STRIP // height * height, (height, width))

    @property
    def has_slivers(self) -> bool:
        """Return whether blocks are small although tiles are not."""
        return 2 * math.prod(self.block) < math.prod(min(side, _STRIP) for side in self.tile)


def tile_memory(encoder: Encoder, dates: int, side: int, raster: Window, beside: int = 0) -> int:
    """Return bytes that one square tile takes at the peak: reading, encoding, and its features.

    Args:
        encoder: the encoder.
        dates: T.
        side: of the inner window, in pixels.
        raster: the whole raster; a read never passes its edges.
        beside: bytes of a pixel of the inner window that are held all the while.
    """
    around = side + 2 * (tile_halo(encoder) + encoder.package.stride)
    read = min(around, raster.width) * min(around, raster.height)
    inner = min(side, raster.width) * min(side, raster.height)
    features = 4 * encoder.package.n_queries * encoder.package.d_model
    return int(encoder.memory_needed(dates, read, inner)) + (features + beside) * inner


def strip_memory(
    encoder: Encoder, dates: int, tile: tuple[int, int], raster: Window, inner: Window
) -> int:
    """Return bytes that one tile takes at the peak where it is encoded and written strip by strip.

    Args:
        encoder: the encoder.
        dates: T.
        tile: rows and columns.
        raster: the whole raster; a read never passes its edges.
        inner: what the map covers.
    """
    reads = (_reads(encoder, tile[axis], raster, inner, axis) for axis in (0, 1))
    return _strip_memory(encoder, dates, tile, inner, math.prod(max(each) for each in reads))


def _strip_memory(
    encoder: Encoder, dates: int, tile: tuple[int, int], inner: Window, read: int
) -> int:
    """See `strip_memory`; `read` are the pixels that the largest tile reads."""
    height, width = min(tile[0], inner.height), min(tile[1], inner.width)
    strip = width * min(_STRIP, height)
    features = 4 * encoder.package.n_queries * encoder.package.d_model
    # While dates are read, strips of the tile before are still written; while the tile is
    # projected, the encoder holds a strip as well.
    both = 1 + _STRIPS_ENCODING - _STRIPS_READING
    held = encoder.memory_needed(dates, read, height * width, int(both * strip))
    return int(held + _STRIPS_READING * features * strip)


def _reads(encoder: Encoder, side: int, raster: Window, inner: Window, axis: int) -> list[int]:
    """Return rows (axis 0) or columns (axis 1) that tiles of a side read, one after the other."""
    size = (raster.height, raster.width)[axis]
    start, length = ((inner.row, inner.height), (inner.col, inner.width))[axis]
    line = Window(start, 0, length, 1)
    tiles = plan_tiles((size, 1), line, side, tile_halo(encoder), encoder.package.stride)
    return [tile.read.width for tile in tiles]


def choose_tile_size(
    encoder: Encoder,
    dates: int,
    raster: Window,
    inner: Window,
    memory_mb: float,
    beside: int = 0,
) -> int:
    """Return the side of the square tiles that make the fewest steps within a memory.

    Args:
        encoder: the encoder.
        dates: T.
        raster: the whole raster.
        inner: what the map covers.
        memory_mb: what a tile may take, in 10^6 bytes, beside the program itself.
        beside: see `tile_memory`.

    Returns:
        Pixels, a multiple of `tile_step`; tiles are made about equal.

    Raises:
        AliseError: not even the smallest tile fits.
    """
    step = tile_step(encoder)
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    least = tile_memory(encoder, dates, step, raster, beside)
    if least > budget:
        raise _too_little(memory_mb, dates, least)
    longest = max(inner.width, inner.height)
    largest = math.ceil(longest / step) * step
    while tile_memory(encoder, dates, largest, raster, beside) > budget:
        largest -= step
    return math.ceil(longest / math.ceil(longest / largest) / step) * step


def choose_tiling(
    encoder: Encoder, dates: int, raster: Window, inner: Window, memory_mb: float
) -> Tiling:
    """Return the cut that reads, and so encodes, the fewest pixels twice within a memory.

    Tiles need not be square, because whole tiles rarely fill both sides of a map equally well.

    Args:
        encoder: the encoder.
        dates: T.
        raster: the whole raster.
        inner: what the map covers.
        memory_mb: what a tile may take, in 10^6 bytes, beside the program itself.

    Raises:
        AliseError: not even the smallest tile fits.
    """
    step = tile_step(encoder)
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    least = strip_memory(encoder, dates, (step, step), raster, inner)
    if least > budget:
        raise _too_little(memory_mb, dates, least)
    # Each side is tried on both axes: a tile that is longer than the map, or divides it unequally,
    # may be the only one without slivers.
    sides = _equal_sides(inner.width, step) | _equal_sides(inner.height, step)
    rows, widths = (
        {side: _reads(encoder, side, raster, inner, axis) for side in sides} for axis in (0, 1)
    )
    ranked = []
    for width, columns in widths.items():
        for height, lines in rows.items():
            largest = max(lines) * max(columns)
            if _strip_memory(encoder, dates, (height, width), inner, largest) > budget:
                continue
            cut = Tiling.of((height, width))
            tiles = len(lines) * len(columns)
            read = sum(lines) * sum(columns)
            ranked.append((cut.has_slivers, read, tiles, height, width, cut))
    return min(ranked, key=lambda one: one[:5])[-1]


def _equal_sides(length: int, step: int) -> set[int]:
    """Return sides, multiples of a step, that cut a length into equal parts but the last."""
    units = math.ceil(length / step)
    return {math.ceil(units / parts) * step for parts in range(1, units + 1)}


def _too_little(memory_mb: float, dates: int, least: int) -> AliseError:
    return AliseError(
        f"A memory of {memory_mb:g} MB is too little for {dates} dates; allow at least "
        f"{math.ceil(least / (1 - _CACHE_SHARE) / 1e6)} MB or use fewer dates."
    )


def tiles_of(
    series: ImageSeries,
    encoder: Encoder,
    inner: Window,
    budget: TileBudget,
    beside: int = 0,
) -> tuple[int, list[Tile]]:
    """Return side and tiles of a map whose tiles are square and held as a whole.

    Args:
        series: the image series.
        encoder: the encoder.
        inner: what the map covers.
        budget: memory, and a side to use instead, rounded up to a multiple of `tile_step`.
        beside: see `tile_memory`.

    Raises:
        AliseError: the memory is too little.
    """
    if budget.tile_size:
        side = _whole_steps(encoder, budget.tile_size)
    else:
        raster, dates = series.grid.window, len(series.dates)
        side = choose_tile_size(encoder, dates, raster, inner, budget.memory_mb, beside)
    return side, plan_tiles(series.grid, inner, side, tile_halo(encoder), encoder.package.stride)


def cut_into_tiles(
    series: ImageSeries,
    encoder: Encoder,
    inner: Window,
    memory_mb: float,
    tile: int | tuple[int, int] | None = None,
) -> tuple[Tiling, list[Tile]]:
    """Cut and tiles of a map that is written strip by strip.

    Args:
        series: the image series.
        encoder: the encoder.
        inner: what the map covers.
        memory_mb: see `choose_tiling`.
        tile: side, or rows and columns, to use instead, rounded up to multiples of `tile_step`.

    Raises:
        AliseError: the memory is too little.
    """
    if tile:
        rows, columns = (tile, tile) if isinstance(tile, int) else tile
        cut = Tiling.of((_whole_steps(encoder, rows), _whole_steps(encoder, columns)))
    else:
        cut = choose_tiling(encoder, len(series.dates), series.grid.window, inner, memory_mb)
    halo, stride = tile_halo(encoder), encoder.package.stride
    return cut, plan_tiles(series.grid, inner, cut.tile, halo, stride)


def _whole_steps(encoder: Encoder, side: int) -> int:
    step = tile_step(encoder)
    return math.ceil(side / step) * step
