"""Image series in, embedding raster out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..model.encoder import Encoder
from ..sits.grid import Tile, Window, plan_tiles
from ..sits.rasters import block_cache
from ..sits.series import ImageSeries
from .feedback import Feedback, SilentFeedback
from .output import RasterForm, RasterOutput, block_side, require_folder
from .quantise import NODATA, Quantiser
from .tile_loop import cache_size, encode_tile, encode_tiles, tile_halo, tiles_of

FORMATS = ("float32", "int8")
_SAMPLE_SIDE = 16  # pixels: windows that the ranges of int8 are judged on
_SAMPLE_PIXELS = 5000  # of a tile, at most about
_SAMPLE_SHARE = 0.05  # of the pixels that the map reads
_SAMPLE_WINDOWS = (4, 25)  # at least, at most


@dataclass(frozen=True)
class EmbedResult:
    """What `embed` wrote and with what.

    Attributes:
        path: the embedding raster.
        dates: the acquisitions that went in.
        device: the device that the encoder really used.
        model_id: name, version and hash of the model.
        clipped: share of the values that int8 could not hold, 0 to 1.
    """

    path: str
    dates: tuple[date, ...]
    device: str
    model_id: str
    clipped: float = 0.0


def feature_names(n_queries: int, d_model: int) -> list[str]:
    """Band names of an embedding raster: "q03_d17" is feature 17 of query 3."""
    return [
        f"q{query:02d}_d{feature:02d}" for query in range(n_queries) for feature in range(d_model)
    ]


def embed(
    series: ImageSeries,
    encoder: Encoder,
    output: str | os.PathLike[str],
    *,
    extent: Sequence[float] | None = None,
    memory_mb: float = 2048,
    tile_size: int | None = None,
    format: str = "float32",
    feedback: Feedback | None = None,
) -> EmbedResult:
    """Writes the embedding of every pixel (paper, Eq. 1), one band per query and feature.

    Values depend neither on the tiles nor on the extent: every tile is read with the model's halo
    from the whole series, on the model's stride.

    Args:
        series: the image series.
        encoder: the encoder.
        output: a GeoTIFF, which appears when it is complete.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the series; all of it if None.
        memory_mb: what the run may take, in 10^6 bytes, beside the program itself.
        tile_size: side of the tiles in pixels instead of what the memory allows.
        format: "float32" (nodata NaN), or "int8": one byte per feature (nodata 0), with scale and
            offset per band from a sample of the map's pixels (see `Quantiser`).
        feedback: progress and cancelling.

    Raises:
        SeriesError: the extent is outside, or a file cannot be read.
        AliseError: the memory is too little.
        OutputError: the raster cannot be written.
        Cancelled: the feedback said so; nothing is left.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
    require_folder(output)
    feedback = feedback or SilentFeedback()
    package = encoder.package
    inner = series.grid.window if extent is None else series.grid.window_of(extent)
    side, tiles = tiles_of(series, encoder, inner, memory_mb, tile_size)
    feedback.info(
        f"{len(series.dates)} dates from {series.dates[0]} to {series.dates[-1]}, "
        f"{inner.width} x {inner.height} pixels in {len(tiles)} tiles of {side}, "
        f"model {package.model_id} on {encoder.device_used}."
    )
    metadata = provenance(series, encoder)
    names = feature_names(package.n_queries, package.d_model)
    encoded = encode_tiles(series, encoder, tiles, feedback)
    quantiser = None
    form = RasterForm(names, np.dtype(np.float32), float("nan"), metadata=metadata)
    if format == "int8":
        if len(tiles) == 1:  # then the map is its own sample, and nothing is encoded twice
            only = next(encoded)
            quantiser = Quantiser.from_sample(_valid_pixels(only[1], len(names)))
            encoded = chain([only], encoded)
        else:
            quantiser = _sampled_quantiser(series, encoder, inner, tiles, feedback)
        form = _int8_form(names, quantiser, metadata)
    clipped = 0
    grid = series.grid.subgrid(inner)
    raster = RasterOutput(output, grid, form, block_side(side))
    with block_cache(cache_size(memory_mb)), raster:
        for tile, features in encoded:
            values: NDArray = features
            if quantiser is not None:
                values, beyond = quantiser.encode(features)
                clipped += beyond
            raster.write(_relative(tile.inner, inner), values)
    share = clipped / (len(names) * inner.pixels)
    if share:
        feedback.info(
            f"{100 * share:.2g} % of the values lay outside the range of int8 and were clipped."
        )
    return EmbedResult(
        os.fspath(output), series.dates, encoder.device_used, package.model_id, share
    )


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
    }


def _relative(window: Window, origin: Window) -> Window:
    return Window(window.col - origin.col, window.row - origin.row, window.width, window.height)


def _int8_form(names: list[str], quantiser: Quantiser, metadata: dict[str, str]) -> RasterForm:
    return RasterForm(
        names,
        np.dtype(np.uint8),
        NODATA,
        scale=quantiser.scale.tolist(),
        offset=quantiser.offset.tolist(),
        metadata={**metadata, "ALISE_QUANTISATION": "value = raw x scale + offset, raw 1 to 255"},
    )


def _valid_pixels(features: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """`(pixels, features)` of pixels that have values, a few thousand evenly among them.

    One pixel of zeros where none has.
    """
    pixels = features.reshape(count, -1)
    chosen = np.flatnonzero(np.isfinite(pixels[0]))
    chosen = chosen[:: max(1, len(chosen) // _SAMPLE_PIXELS)]
    return pixels[:, chosen].T if len(chosen) else np.zeros((1, count), dtype=np.float32)


def _sampled_quantiser(
    series: ImageSeries,
    encoder: Encoder,
    inner: Window,
    tiles: Sequence[Tile],
    feedback: Feedback,
) -> Quantiser:
    """Ranges from small windows spread over the map, which are encoded once more later."""
    halo, stride = tile_halo(encoder), encoder.package.stride
    count = encoder.package.n_queries * encoder.package.d_model
    read = sum(tile.read.pixels for tile in tiles)
    cost = (_SAMPLE_SIDE + 2 * halo + stride) ** 2
    wanted = int(np.clip(_SAMPLE_SHARE * read / cost, *_SAMPLE_WINDOWS))
    samples: list[NDArray[np.float32]] = []
    for window in _spread(inner, 4 * wanted):
        tile = plan_tiles(series.grid, window, _SAMPLE_SIDE, halo, stride)[0]
        features = encode_tile(series, encoder, tile, lambda _: None, feedback.cancelled)
        if np.isfinite(features).any():
            samples.append(_valid_pixels(features, count))
        if len(samples) == wanted:
            break
    for tile in [] if samples else tiles:  # all samples fell where there is no value
        features = encode_tile(series, encoder, tile, lambda _: None, feedback.cancelled)
        if np.isfinite(features).any():
            samples.append(_valid_pixels(features, count))
            break
    feedback.info(f"The ranges of int8 come from {sum(map(len, samples))} sampled pixels.")
    return Quantiser.from_sample(np.concatenate(samples or [np.zeros((1, count), np.float32)]))


def _spread(inner: Window, count: int) -> Iterator[Window]:
    """Windows spread evenly over another, in an order in which any first few are spread too.

    The points of the additive recurrence of the plastic number (R2 sequence).
    """
    width, height = min(_SAMPLE_SIDE, inner.width), min(_SAMPLE_SIDE, inner.height)
    for index in range(count):
        x, y = (0.5 + 0.7548776662 * index) % 1, (0.5 + 0.5698402910 * index) % 1
        yield Window(
            inner.col + int(x * (inner.width - width + 1)),
            inner.row + int(y * (inner.height - height + 1)),
            width,
            height,
        )
