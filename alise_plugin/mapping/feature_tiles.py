"""Features tile by tile, from an image series or from an embedding raster alike."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Union

import numpy as np
from numpy.typing import NDArray

from ..errors import AliseError, Cancelled, SeriesError
from ..model.encoder import Encoder
from ..sits.grid import Tile, Window, plan_tiles
from ..sits.series import ImageSeries
from .embedding_raster import EmbeddingRaster
from .feedback import Feedback
from .several_years import warn_of_several_years
from .tile_loop import cache_size, encode_tiles, tiles_of

# What maps are made of: a series is encoded on the way, an embedding raster has been already.
FeatureSource = Union[ImageSeries, EmbeddingRaster]
_BLOCK = 16  # pixels: sides of tiles are multiples, as the blocks of a GeoTIFF are
# Pixels: sides of tiles that are only read. Multiples of the first have blocks of a good size; a
# tile of the second is read in a few seconds, between which a run tells how far it is.
_STEP, _LARGEST = 64, 512


def open_source(path: str | os.PathLike[str]) -> FeatureSource:
    """Open a raster as what it is.

    Raises:
        SeriesError: it is neither an image series nor an embedding raster; the sentence is the
            one of a series.
    """
    try:
        return EmbeddingRaster(path)
    except SeriesError:
        return ImageSeries.open(os.fspath(path))


def tiles_for(
    source: FeatureSource,
    encoder: Encoder | None,
    inner: Window,
    memory_mb: float,
    tile_size: int | None,
    beside: int = 0,
) -> tuple[int, list[Tile]]:
    """Side of the tiles of a map, a multiple of 16 pixels, and the tiles.

    Args:
        source: an image series, or an embedding raster.
        encoder: for an image series.
        inner: what the map covers, in pixels of the source.
        memory_mb: what the run may take, in 10^6 bytes, beside the program itself.
        tile_size: side of the tiles in pixels instead of what the memory allows.
        beside: bytes of a pixel that are held beside the features.

    Raises:
        AliseError: the memory is too little, or a series comes without an encoder.
    """
    if isinstance(source, ImageSeries):
        needed = needed_encoder(source, encoder)
        return tiles_of(source, needed, inner, memory_mb, tile_size, beside)
    side = math.ceil((tile_size or _side_in(source, memory_mb, beside)) / _BLOCK) * _BLOCK
    return side, plan_tiles(source.grid, inner, side, 0, 1)


def features_of(
    source: FeatureSource, encoder: Encoder | None, tiles: list[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Tiles with `(features, h, w)` float32, NaN for a pixel without any value.

    Args:
        source: an image series, or an embedding raster.
        encoder: for an image series.
        tiles: all or some of `tiles_for`.
        feedback: progress and cancelling.

    Raises:
        AliseError: a series comes without an encoder.
        Cancelled: the feedback says so.
    """
    if not isinstance(source, ImageSeries):
        return _read_tiles(source, tiles, feedback)
    warn_of_several_years(source, feedback)
    return encode_tiles(source, needed_encoder(source, encoder), tiles, feedback)


def needed_encoder(source: ImageSeries, encoder: Encoder | None) -> Encoder:
    """The encoder, which a series needs.

    Raises:
        AliseError: there is none.
    """
    if encoder is None:
        raise AliseError(
            f"{os.path.basename(source.path)} is an image series: choose the model to encode "
            "it with."
        )
    return encoder


def _side_in(source: EmbeddingRaster, memory_mb: float, beside: int) -> int:
    """Pixels: the features of a tile, twice, within the memory."""
    budget = memory_mb * 1e6 - cache_size(memory_mb)
    most = math.isqrt(int(budget / (2 * 4 * len(source.names) + beside)))
    step = _STEP if most >= _STEP else _BLOCK
    return min(_LARGEST, max(_BLOCK, most // step * step))


def _read_tiles(
    source: EmbeddingRaster, tiles: list[Tile], feedback: Feedback
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    for number, tile in enumerate(tiles):
        if feedback.cancelled():
            raise Cancelled("The run was cancelled.")
        yield tile, source.read(tile.inner)
        feedback.progress((number + 1) / len(tiles))
