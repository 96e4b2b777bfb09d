"""Features tile by tile, from an image series or from an embedding raster alike."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Union

import numpy as np
from numpy.typing import NDArray

from ...errors import AliseError, Cancelled, SeriesError
from ...feedback import Feedback
from ...model.encoder import Encoder
from ...sits.grid import Tile, Window, plan_tiles
from ...sits.series import ImageSeries
from .embedding_raster import EmbeddingRaster
from .encode_tiles import encode_tiles
from .tiling import cache_size, tiles_of


def provenance(series: ImageSeries, encoder: Encoder) -> dict[str, str]:
    """Metadata items of a map: which model made it, of which dates and bands, on what."""
    package = encoder.package
    return {
        "ALISE_MODEL": package.name,
        "ALISE_MODEL_VERSION": package.version,
        "ALISE_MODEL_SHA256": package.sha256,
        "ALISE_DATES": ",".join(day.isoformat() for day in series.dates),
        "ALISE_BANDS": ",".join(series.bands_present),
        "ALISE_SERIES": os.path.basename(series.path),
        "ALISE_DEVICE": encoder.device_used,
        "ALISE_PRECISION": encoder.precision,
    }


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


def bands_of(source: FeatureSource) -> list[str] | None:
    """Names of the bands that features were made of; None where an embedding raster says none."""
    if isinstance(source, ImageSeries):
        return list(source.bands_present)
    stated = source.metadata.get("ALISE_BANDS", "")
    return stated.split(",") if stated else None


def provenance_of(source: FeatureSource, encoder: Encoder | None) -> dict[str, str]:
    """Metadata items of a map: what its features are made of, and which encoder made them."""
    if isinstance(source, ImageSeries):
        return provenance(source, needed_encoder(source, encoder))
    return {key: text for key, text in source.metadata.items() if key.startswith("ALISE_")}


def dates_text(source: FeatureSource) -> str:
    """Return the dates of the features in a few words; an empty text if they are unknown."""
    if isinstance(source, ImageSeries):
        return f"{source.dates[0]} to {source.dates[-1]}, {len(source.dates)} dates"
    return source.metadata.get("ALISE_DATES", "")


def encoder_identity(source: FeatureSource, encoder: Encoder | None) -> tuple[str, str, int]:
    """Which encoder features come from: hash, what to call it, and how many features it gives."""
    if isinstance(source, ImageSeries):
        package = needed_encoder(source, encoder).package
        return package.sha256, package.model_id, package.n_queries * package.d_model
    items = source.metadata
    sha256 = items["ALISE_MODEL_SHA256"]
    name = f"{items.get('ALISE_MODEL', '')} {items.get('ALISE_MODEL_VERSION', '')} {sha256[:8]}"
    return sha256, name, len(source.names)


def files_read(sources: Sequence[FeatureSource], encoder: Encoder | None) -> list[str]:
    """The files of features and model, which no output may take the place of."""
    model = Path(encoder.package.folder).glob("*") if encoder is not None else ()
    return [*map(str, model), *(source.path for source in sources)]


_YEAR_DAYS = 365.25


_MOST = 1.5  # years: a season with what comes before and after it


def warn_of_several_years(series: ImageSeries, feedback: Feedback) -> None:
    """Say that vectors of one year tell more of it (measured: `bench_segment`, table together)."""
    years = (series.dates[-1] - series.dates[0]).days / _YEAR_DAYS
    if years > _MOST:
        feedback.info(
            f"{os.path.basename(series.path)} covers {years:.1f} years. Vectors of a single year "
            "tell more of it: for a map of one year, build a series of its dates."
        )
