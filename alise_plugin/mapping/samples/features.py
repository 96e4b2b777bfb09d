"""Features of chosen pixels, read from as few tiles as possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import HeadError
from ...feedback import Feedback, Part
from ...sits.grid import Grid, Tile, Window
from ...sits.rasters import block_cache
from ..features.features import Features, ScatteredReading
from ..features.tiling import TileBudget, cache_size
from ..labels.layers import Labels, Values
from .pixels import limit_samples
from .samples import ChosenPixels, LabelledSource

MAX_SAMPLES = 50_000  # samples: more of them cost time and change a classifier little


SAMPLES_SHARE = 1 / 6  # of the memory that samples may take; fitting needs copies of them


@dataclass(frozen=True)
class ChosenFeatures:
    """Features of chosen pixels.

    Attributes:
        features: `(N, F)` float32.
        chosen: the pixels of each source, N in all.
        group: `(N,)` group of each pixel, counted from 0.
        warnings: sentences about what was left out.
    """

    features: Float
    chosen: list[ChosenPixels]
    group: NDArray[np.int64]
    warnings: list[str]


def features_of_chosen(
    pairs: Sequence[LabelledSource[Labels | Values]],
    chosen: Sequence[ChosenPixels],
    groups: Sequence[NDArray[np.int64]],
    budget: TileBudget,
    feedback: Feedback,
) -> ChosenFeatures:
    """Return the features of chosen pixels, as many as the memory holds.

    Pixels that have no value in any date are left out.
    """
    count = pairs[0].source.identity.n_features
    kept, warnings = limit_samples(chosen, most_samples(budget, count))
    chosen = [part.take(keep) for part, keep in zip(chosen, kept)]
    group = np.concatenate([numbers[keep] for numbers, keep in zip(groups, kept)])
    group = np.unique(group, return_inverse=True)[1].reshape(-1)
    features = np.empty((len(group), count), np.float32)
    ends = np.cumsum([len(part.row) for part in chosen])
    for number, (pair, part, end) in enumerate(zip(pairs, chosen, ends)):
        step = Part(feedback, number / len(pairs), (number + 1) / len(pairs))
        rows = features[end - len(part.row) : end]
        left = budget.memory_mb - features.nbytes / 1e6
        take_features(pair.source, part, rows, TileBudget(left, budget.tile_size), step)
    valid = np.isfinite(features[:, 0])
    if valid.all():
        return ChosenFeatures(features, chosen, group, warnings)
    warnings.append(f"{np.count_nonzero(~valid)} labelled pixels have no value in any date.")
    parts = [part.take(keep) for part, keep in zip(chosen, np.split(valid, ends[:-1]))]
    return ChosenFeatures(features[valid], parts, group[valid], warnings)


def most_samples(budget: TileBudget, n_features: int) -> int:
    """Return the number of samples that the memory and good sense allow."""
    return int(min(MAX_SAMPLES, SAMPLES_SHARE * budget.memory_mb * 1e6 / (4 * n_features)))


def require_same_encoder(
    pairs: Sequence[LabelledSource[Labels | Values]],
) -> None:
    """Make sure that the features of all sources come from one encoder.

    Raises:
        HeadError: they come from different encoders.
    """
    first = pairs[0].source.identity
    for pair in pairs[1:]:
        other = pair.source.identity
        same = first.gives_vectors_of(other.sha256) or other.gives_vectors_of(first.sha256)
        if same and other.n_features != first.n_features:
            raise HeadError(
                f"{pair.name} holds {other.n_features} features per pixel and {pairs[0].name} "
                f"{first.n_features}; "
                "give them in one form, compact or not."
            )
        if not same:
            raise HeadError(
                f"The features of {pair.name} come from {other.name} and those of {pairs[0].name} "
                f"from {first.name}; use one model for all of them."
            )


def take_features(
    source: Features,
    chosen: ChosenPixels,
    out: Float,
    budget: TileBudget,
    feedback: Feedback,
) -> None:
    """Write the features of the chosen pixels into `out` `(pixels, F)`."""
    plan = tiles_around(source, chosen, budget)
    inner = [tile for tile, _ in plan]
    members = {tile.inner: pixels for tile, pixels in plan}
    read = sum(tile.read.pixels for tile in inner)
    feedback.info(
        f"{len(chosen.row)} chosen pixels of {source.name} lie in "
        f"{len(inner)} tiles, {read} pixels to read."
    )
    with block_cache(cache_size(budget.memory_mb)):
        for tile, features in source.read_tiles(inner, feedback):
            pixels = members[tile.inner]
            rows, cols = chosen.row[pixels], chosen.col[pixels]
            out[pixels] = features[:, rows - tile.inner.row, cols - tile.inner.col].T


def tiles_around(
    source: Features, chosen: ChosenPixels, budget: TileBudget, halo: int | None = None
) -> list[tuple[Tile, NDArray[np.int64]]]:
    """Return tiles that hold chosen pixels, cut to them, with the pixels of each.

    Small tiles leave out more of what lies between the labels, large ones read less halo: the
    side that reads least wins.

    Args:
        source: the features.
        chosen: the pixels.
        budget: memory and tile size.
        halo: pixels to read around a tile; as many as exact features need if None.
    """
    reading = source.scattered(budget)
    if halo is not None:
        reading = replace(reading, halo=halo)
    step = reading.step
    if budget.tile_size:
        side = math.ceil(budget.tile_size / step) * step
        return _tiles_around(source.grid, chosen, side, reading)
    plans = []
    side = reading.largest
    while True:
        plans.append(_tiles_around(source.grid, chosen, side, reading))
        if side == step:
            break
        side = max(step, side // 2 // step * step)
    return min(plans, key=lambda plan: sum(tile.read.pixels for tile, _ in plan))


def _tiles_around(
    grid: Grid, chosen: ChosenPixels, side: int, reading: ScatteredReading
) -> list[tuple[Tile, NDArray[np.int64]]]:
    across = -(-grid.width // side)
    cell = chosen.row // side * across + chosen.col // side
    order = np.argsort(cell, kind="stable")
    ends = np.flatnonzero(np.diff(cell[order])) + 1
    plan = []
    for pixels in np.split(order, ends):
        rows, cols = chosen.row[pixels], chosen.col[pixels]
        row, col = int(rows.min()), int(cols.min())
        inner = Window(col, row, int(cols.max()) - col + 1, int(rows.max()) - row + 1)
        plan.append(
            (
                Tile(
                    inner.expand(reading.halo, grid.window).snap(reading.stride, grid.window), inner
                ),
                pixels,
            )
        )
    return plan
