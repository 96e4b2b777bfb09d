"""Features of chosen pixels, read from as few tiles as possible."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import HeadError
from ...feedback import Feedback, Part
from ...model.encoder import Encoder
from ...sits.grid import Grid, Tile, Window
from ...sits.rasters import block_cache
from ...sits.series import ImageSeries
from ..features.source import FeatureSource, encoder_identity, features_of, needed_encoder
from ..features.tiling import cache_size, choose_tile_size, tile_halo, tile_step
from ..labels.layers import Labels, Values
from .pixels import limit_samples
from .samples import ChosenPixels, LabelledSource

MAX_SAMPLES = 50_000  # samples: more of them cost time and change a classifier little


SAMPLES_SHARE = 1 / 6  # of the memory that samples may take; fitting needs copies of them


def features_of_chosen(
    pairs: Sequence[LabelledSource[Labels | Values]],
    chosen: Sequence[ChosenPixels],
    groups: Sequence[NDArray[np.int64]],
    encoder: Encoder | None,
    memory_mb: float,
    tile_size: int | None,
    feedback: Feedback,
    notes: list[str],
) -> tuple[NDArray[np.float32], list[ChosenPixels], NDArray[np.int64]]:
    """Features `(N, F)` of chosen pixels, as many as the memory holds; these, and their group.

    Pixels that have no value in any date are left out.
    """
    count = encoder_identity(pairs[0].source, encoder)[2]
    limit = int(min(MAX_SAMPLES, SAMPLES_SHARE * memory_mb * 1e6 / (4 * count)))
    kept = limit_samples(chosen, limit, notes)
    chosen = [part.take(keep) for part, keep in zip(chosen, kept)]
    group = np.concatenate([numbers[keep] for numbers, keep in zip(groups, kept)])
    group = np.unique(group, return_inverse=True)[1].reshape(-1)
    features = np.empty((len(group), count), np.float32)
    ends = np.cumsum([len(part.row) for part in chosen])
    for number, (pair, part, end) in enumerate(zip(pairs, chosen, ends)):
        step = Part(feedback, number / len(pairs), (number + 1) / len(pairs))
        rows = features[end - len(part.row) : end]
        left = memory_mb - features.nbytes / 1e6
        take_features(pair.source, encoder, part, rows, left, tile_size, step)
    seen = np.isfinite(features[:, 0])
    if seen.all():
        return features, chosen, group
    notes.append(f"{np.count_nonzero(~seen)} labelled pixels have no value in any date.")
    parts = np.split(seen, ends[:-1])
    return features[seen], [part.take(keep) for part, keep in zip(chosen, parts)], group[seen]


def require_same_encoder(
    pairs: Sequence[LabelledSource[Labels | Values]], encoder: Encoder | None
) -> None:
    """Make sure that the features of all sources come from one encoder.

    Raises:
        HeadError: they come from different encoders.
    """
    first = encoder_identity(pairs[0].source, encoder)
    for pair in pairs[1:]:
        other = encoder_identity(pair.source, encoder)
        if other[0] == first[0] and other[2] != first[2]:
            raise HeadError(
                f"{pair.name} holds {other[2]} features per pixel and {pairs[0].name} {first[2]}; "
                "give them in one form, compact or not."
            )
        if other != first:
            raise HeadError(
                f"The features of {pair.name} come from {other[1]} and those of {pairs[0].name} "
                f"from {first[1]}; use one model for all of them."
            )


def take_features(
    source: FeatureSource,
    encoder: Encoder | None,
    chosen: ChosenPixels,
    out: NDArray[np.float32],
    memory_mb: float,
    tile_size: int | None,
    feedback: Feedback,
) -> None:
    """Write the features of the chosen pixels into `out` `(pixels, F)`."""
    plan = _plan(source, encoder, chosen, memory_mb, tile_size, out.shape[1])
    inner = [tile for tile, _ in plan]
    members = {tile.inner: pixels for tile, pixels in plan}
    read = sum(tile.read.pixels for tile in inner)
    feedback.info(
        f"{len(chosen.row)} chosen pixels of {os.path.basename(source.path)} lie in "
        f"{len(inner)} tiles, {read} pixels to read."
    )
    with block_cache(cache_size(memory_mb)):
        for tile, features in features_of(source, encoder, inner, feedback):
            pixels = members[tile.inner]
            rows, cols = chosen.row[pixels], chosen.col[pixels]
            out[pixels] = features[:, rows - tile.inner.row, cols - tile.inner.col].T


def _plan(
    source: FeatureSource,
    encoder: Encoder | None,
    chosen: ChosenPixels,
    memory_mb: float,
    tile_size: int | None,
    n_features: int,
) -> list[tuple[Tile, NDArray[np.int64]]]:
    """Tiles that hold chosen pixels, cut to them, with the pixels of each.

    Small tiles leave out more of what lies between the labels, large ones read less halo: the
    side that reads least wins.
    """
    halo, stride, step = 0, 1, 16
    if isinstance(source, ImageSeries):
        encoder = needed_encoder(source, encoder)
        halo, stride, step = tile_halo(encoder), encoder.package.stride, tile_step(encoder)
        whole = source.grid.window
        largest = choose_tile_size(encoder, len(source.dates), whole, whole, memory_mb)
    else:
        budget = memory_mb * 1e6 - cache_size(memory_mb)
        largest = max(step, int(math.sqrt(max(0.0, budget) / (2 * 4 * n_features))) // step * step)
    if tile_size:
        return _tiles_around(source.grid, chosen, math.ceil(tile_size / step) * step, halo, stride)
    plans = []
    side = largest
    while True:
        plans.append(_tiles_around(source.grid, chosen, side, halo, stride))
        if side == step:
            break
        side = max(step, side // 2 // step * step)
    return min(plans, key=lambda plan: sum(tile.read.pixels for tile, _ in plan))


def _tiles_around(
    grid: Grid, chosen: ChosenPixels, side: int, halo: int, stride: int
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
            (Tile(inner.expand(halo, grid.window).snap(stride, grid.window), inner), pixels)
        )
    return plan
