"""Distances between two years of a place, one value a pixel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import ModelPackage
from alise_plugin.sentinel2 import REFERENCE_DATE

from .pairs import AnnualSeries, Rotation

# Two years -> (H, W), NaN where one of them holds nothing.
Distance = Callable[[Rotation], np.ndarray]
# Two years as vectors, (features, H, W) twice -> (H, W).
Between = Callable[[np.ndarray, np.ndarray], np.ndarray]
# A year -> (features, H, W).
Embed = Callable[[AnnualSeries], np.ndarray]

GRID_DAYS = 5
YEAR_DAYS = 365


def mean_squared_difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Map eq. 12: `(features, H, W)` twice to `(H, W)`."""
    return np.asarray(((before - after) ** 2).mean(0))


def embedded(embed: Embed, between: Between = mean_squared_difference) -> Distance:
    """Between what an encoder makes of each year; by default Eq. 12, as the paper does it."""

    def distance(pair: Rotation) -> np.ndarray:
        return between(embed(pair.before), embed(pair.after))

    return distance


def in_one_season(embed: Embed, between: Between = mean_squared_difference) -> Distance:
    """As `embedded`, the second year moved back by whole years, onto the days of the first."""

    def distance(pair: Rotation) -> np.ndarray:
        years = round(float(pair.after.days.mean() - pair.before.days.mean()) / 365.25)
        days = pair.after.days - np.float32(round(years * 365.25))
        moved = AnnualSeries(pair.after.reflectance, days, pair.after.clear)
        return between(embed(pair.before), embed(moved))

    return distance


def without_common_shift(embed: Embed) -> Distance:
    """Return eq. 12 after taking the place's median difference from each feature."""

    def distance(pair: Rotation) -> np.ndarray:
        difference = embed(pair.after) - embed(pair.before)
        difference -= np.nanmedian(difference, axis=(1, 2), keepdims=True)
        return np.asarray((difference**2).mean(0))

    return distance


def alise(encoder: Encoder) -> Embed:
    """Return the 640 features of a model package; clouds are seen, no mask is."""

    def embed(year: AnnualSeries) -> np.ndarray:
        vectors = encoder.encode(year.reflectance, year.days)
        return vectors.reshape(-1, *vectors.shape[2:])

    return embed


def malice(path: Path, package: ModelPackage) -> Embed:
    """Return the features of the published MALICE-S2 encoder, run from its own file.

    Args:
        path: the ONNX file of the peer's repository.
        package: its median and quantiles normalise (the European statistics, as the peer's do).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    median, low, high = (values[:, None, None] for values in package.normalisation)

    def embed(year: AnnualSeries) -> np.ndarray:
        shown = np.isfinite(year.reflectance).any((1, 2, 3))
        image = (np.clip(year.reflectance[shown], low, high) - median) / (high - low)
        out = session.run(
            None,
            {
                "sits": np.nan_to_num(image).astype(np.float32)[None],
                "tpe": year.days[shown][None].astype(np.float32),
                "padd_mask": np.zeros((1, int(shown.sum())), bool),
            },
        )[0][0]
        return np.asarray(out.reshape(-1, *out.shape[2:]))

    return embed


def gap_filled(pair: Rotation) -> np.ndarray:
    """Return the baseline GF (section IV-C2): the distance of both years on one annual grid.

    Valid acquisitions are interpolated linearly every five days of the year; before the first and
    after the last one the nearest is repeated.
    """
    return mean_squared_difference(on_grid(pair.before), on_grid(pair.after))


def on_grid(year: AnnualSeries) -> np.ndarray:
    """Return a year as `(grid dates x 10, H, W)`, NaN where a band of a pixel was never valid.

    The grid begins on 1 January of the year in which the median acquisition lies.
    """
    middle = REFERENCE_DATE + timedelta(days=int(np.median(year.days)))
    origin = (date(middle.year, 1, 1) - REFERENCE_DATE).days
    grid = origin + np.arange(0, YEAR_DAYS, GRID_DAYS, dtype=np.float32)
    count = len(year.days)
    valid = np.isfinite(year.reflectance) & year.clear[:, None]
    values = np.where(valid, year.reflectance, 0.0)
    place = np.arange(count).reshape(-1, 1, 1, 1)
    # The nearest valid acquisition up to each one, and from each one on.
    last = np.maximum.accumulate(np.where(valid, place, -1), 0)
    following = np.minimum.accumulate(np.where(valid, place, count)[::-1], 0)[::-1]
    edge = np.full((1, *last.shape[1:]), -1), np.full((1, *last.shape[1:]), count)
    passed = np.searchsorted(year.days, grid, side="right")
    before = np.concatenate([edge[0], last])[passed]
    after = np.concatenate([following, edge[1]])[passed]
    known = (before >= 0) | (after < count)
    before, after = (
        np.where(before < 0, after, before).clip(0, count - 1),
        np.where(after >= count, before, after).clip(0, count - 1),
    )
    span = year.days[after] - year.days[before]
    since = grid[:, None, None, None] - year.days[before]
    weight = np.where(span > 0, since / np.where(span > 0, span, 1.0), 0.0)
    start, end = (np.take_along_axis(values, index, 0) for index in (before, after))
    filled = np.where(known, start + weight * (end - start), np.nan)
    return filled.reshape(-1, *filled.shape[2:]).astype(np.float32)
