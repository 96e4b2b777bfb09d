"""Chosen pixels of a series: what was observed, and the curve that the model decodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import AliseError
from ...feedback import Feedback, stop_if_cancelled
from ...sentinel2 import BANDS
from ...sits.acquisitions import days_since_reference
from ...sits.grid import Tile
from ...sits.rasters import block_cache
from ..features.decode_days import day_shares, embeddings_of_shares, require_decodable
from ..features.features import Features
from ..features.tiling import TileBudget, cache_size
from ..samples.features import tiles_around
from ..samples.samples import ChosenPixels

# An observation is unlike the curve from here on (see `departure`). `benchmarks/phenology.py`
# prints how often that finds what a simulator's clouds and shadows cover.
UNLIKE = 1.5
# Reflectance by which a clear observation may miss the curve: so much, and such a share of it.
_MARGIN, _MARGIN_SHARE = 0.01, 0.1

_CURVES_SHARE = 0.25  # of the memory that curves may take


@dataclass(frozen=True)
class PixelCurves:
    """Curves of P pixels on T days.

    Attributes:
        dates: the days, ascending.
        reconstructed: `(P, T, 10)` reflectance that the model expects; NaN for a pixel without any
            value.
        observed: `(P, T, 10)` reflectance of the acquisition of the day; NaN where there is none.
        unlike: `(P, T)` whether an observation is unlike the curve, as under a cloud, a shadow or
            snow; False where there is none.
    """

    dates: tuple[date, ...]
    reconstructed: Float
    observed: Float
    unlike: NDArray[np.bool_]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Return `(P, T)` whether there is an observation."""
        seen: NDArray[np.bool_] = np.isfinite(self.observed).any(-1)
        return seen


def departure(
    observed: NDArray[np.floating[Any]], reconstructed: NDArray[np.floating[Any]]
) -> Float:
    """Return how far observations lie from the curve, in margins of a clear one.

    Args:
        observed: `(..., 10)` reflectance.
        reconstructed: `(..., 10)` reflectance.

    Returns:
        `(...)` median over the bands that have a value of the difference over its margin; NaN
        without a band.
    """
    margin = _MARGIN + _MARGIN_SHARE * np.maximum(reconstructed, 0)
    distance = np.abs(observed - reconstructed) / margin
    out = np.full(distance.shape[:-1], np.nan, np.float32)
    valid = np.isfinite(distance).any(-1)
    out[valid] = np.nanmedian(distance[valid], -1)
    return out


def regular_dates(first: date, last: date, every: int) -> tuple[date, ...]:
    """Return a date every so many days, both ends included as far as they are met."""
    return tuple(first + timedelta(days=n) for n in range(0, (last - first).days + 1, every))


def most_pixels(dates: int, budget: TileBudget) -> int:
    """Return the number of pixels whose curves the memory holds."""
    return int(_CURVES_SHARE * budget.memory_mb * 1e6 / (dates * (2 * 4 * len(BANDS) + 1)))


def curves_of_pixels(
    source: Features,
    chosen: ChosenPixels,
    dates: Sequence[date],
    *,
    budget: TileBudget,
    feedback: Feedback,
    halo: int | None = None,
) -> PixelCurves:
    """Return the curves of chosen pixels on the acquisitions and on other days.

    The values are those of `reconstruct`: of a series of more than a year, each day is decoded
    from the acquisitions of the year around it.

    Args:
        source: an image series, or an embedding raster with all its features; the latter has no
            observations.
        chosen: the pixels.
        dates: further days.
        budget: memory and tile size.
        feedback: progress and cancelling.
        halo: pixels to read around the pixels, for a first look; what exact curves need if None.

    Raises:
        SeriesError: the source cannot be decoded, or a file cannot be read.
        AliseError: the memory is too little, or there is no day.
        Cancelled: the feedback says so.
    """
    encoder = source.open_encoder()
    require_decodable(source, encoder)
    acquired = source.dates if source.is_series else ()
    shown = tuple(sorted({*acquired, *dates}))
    if not shown:
        raise AliseError(f"{source.name} has no acquisitions: give the days to show.")
    pixels = len(chosen.row)
    days = days_since_reference(shown)
    reconstructed = np.full((pixels, len(shown), len(BANDS)), np.nan, np.float32)
    plan = tiles_around(source, chosen, budget, halo)
    tiles = [tile for tile, _ in plan]
    members = {tile.inner: indices for tile, indices in plan}
    package = encoder.package
    decoded_from, shares = day_shares(source, days)
    with block_cache(cache_size(budget.memory_mb)):
        for tile, embeddings in embeddings_of_shares(decoded_from, tiles, shares, feedback):
            indices = members[tile.inner]
            place = chosen.row[indices] - tile.inner.row, chosen.col[indices] - tile.inner.col
            for features, share in zip(embeddings, shares):
                stop_if_cancelled(feedback)
                vectors = features[(slice(None), *place)]
                vectors = vectors.reshape(package.n_queries, package.d_model, -1, 1)
                decoded = encoder.decode(vectors, days[share.shown])[..., 0]
                reconstructed[np.ix_(indices, share.shown)] = decoded.transpose(2, 0, 1)
        observed = _observed(source, chosen, tiles, members, shown, feedback)
    unlike = departure(observed, reconstructed) > UNLIKE
    return PixelCurves(shown, reconstructed, observed, unlike)


def _observed(
    source: Features,
    chosen: ChosenPixels,
    tiles: Sequence[Tile],
    members: dict[Any, NDArray[np.int64]],
    shown: Sequence[date],
    feedback: Feedback,
) -> Float:
    """Return `(P, T, 10)` what was observed on the days to show."""
    observed = np.full((len(chosen.row), len(shown), len(BANDS)), np.nan, np.float32)
    if not source.is_series:
        return observed
    series = source.require_series("choose a series").series
    where = {day: number for number, day in enumerate(shown)}
    with series.reopen() as own:
        for tile in tiles:
            indices, inner = members[tile.inner], tile.inner
            rows, cols = chosen.row[indices] - inner.row, chosen.col[indices] - inner.col
            for number, day in enumerate(own.dates):
                stop_if_cancelled(feedback)
                image = own.read(inner, number)
                observed[indices, where[day]] = image[:, rows, cols].T
    return observed
