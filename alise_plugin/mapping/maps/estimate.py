"""Features and a head in, a map of estimated values out: in one pass from the series."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...feedback import Feedback, SilentFeedback, stop_if_cancelled
from ...model.heads.value_head import ValueHead
from ...sits.rasters import block_cache
from ..features.features import Features
from ..features.tiling import TileBudget, cache_size
from ..labels.layers import VectorLabels
from ..labels.mask import Mask
from ..rasters.destinations import require_outputs
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput, block_side
from ..rasters.style import ramp_style
from .head_items import head_items, warn_of_missing_bands

_TOLD = 0.001  # share of the pixels beyond the measurements that is worth a sentence


@dataclass(frozen=True)
class EstimateResult:
    """What `estimate` wrote.

    Attributes:
        path: the raster.
        mean: of its pixels; NaN where none has a value.
        beyond: share of the pixels, 0 to 1, that lay outside what the head had learned from.
        device: the device that the encoder used; empty for an embedding raster.
    """

    path: str
    mean: float
    beyond: float
    device: str


def estimate(
    source: Features,
    head: ValueHead,
    output: str | os.PathLike[str],
    *,
    extrapolate: bool = False,
    mask: VectorLabels | None = None,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> EstimateResult:
    """Return map the value that a head estimates.

    Args:
        source: the features.
        head: the regression.
        output: GeoTIFF of one band, float32, NaN without a value, with a style that QGIS loads.
        extrapolate: keep estimates beyond the least and the largest value that the head learned
            from; else they are set to the nearer end, for a line goes on below zero.
        mask: polygons outside of which nothing is mapped.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source; all of it if None.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        HeadError: the head belongs to another encoder.
        LabelsError: the mask lies elsewhere.
        SeriesError: the extent is outside, or a file cannot be read.
        AliseError: the memory is too little.
        OutputError: the raster cannot be written, or would overwrite an input.
        Cancelled: the feedback says so; nothing is left.
    """
    feedback = feedback or SilentFeedback()
    require_outputs([output], (source.path, head.path))
    budget = budget or TileBudget()
    head.require(source.identity)
    source = source.in_season(head.season, feedback)
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    side, tiles = source.tiles(inner, budget)
    inside = Mask(mask, source.grid)
    for text in mask.warnings if mask else ():
        feedback.warning(text)
    chosen = [tile for tile in tiles if inside.any(tile.inner)]
    inside.require_some([tile.inner for tile in chosen], mask)
    said = head.description
    feedback.info(
        f"{inner.width} x {inner.height} pixels, {len(chosen)} tiles of {side}, {said.name} from "
        f"{said.low:g} to {said.high:g}, model {source.identity.name}{source.on_device}."
    )
    warn_of_missing_bands(source, head, feedback)
    items = source.provenance | head_items(head)
    items["ALISE_VALUE"] = said.name
    items["ALISE_LIMITED"] = "no" if extrapolate else f"{said.low:g} to {said.high:g}"
    form = RasterForm(
        [said.name],
        np.dtype(np.float32),
        float("nan"),
        metadata=items,
        overviews="average",
        style=ramp_style(1, said.low, said.high),
    )
    pixels = beyond = 0
    total = 0.0
    with block_cache(cache_size(budget.memory_mb)):
        raster = RasterOutput(output, source.grid.subgrid(inner), form, block_side(side))
        with raster:
            for tile, features in source.read_tiles(chosen, feedback):
                stop_if_cancelled(feedback)
                values = head.values(features)
                values[~inside.of(tile.inner)] = np.nan
                valid = np.isfinite(values)
                pixels += int(np.count_nonzero(valid))
                beyond += int(np.count_nonzero((values < said.low) | (values > said.high)))
                if not extrapolate:
                    values = np.clip(values, said.low, said.high)
                total += float(values[valid].sum(dtype=np.float64))
                raster.write(tile.inner.relative_to(inner), values[None])
    share = beyond / max(1, pixels)
    if share > _TOLD:
        what = "and were left as they are" if extrapolate else "and were set to the nearer end"
        feedback.info(
            f"{100 * share:.1f} % of the estimates lay beyond {said.low:g} to {said.high:g}, what "
            f"the head has learned from, {what}."
        )
    feedback.progress(1.0)
    mean = total / pixels if pixels else float("nan")
    return EstimateResult(os.fspath(output), mean, share, source.device_used)
