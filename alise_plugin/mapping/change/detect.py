"""Two years of one place in, a map of their distance out, and what makes a decision of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from ...feedback import Feedback, Part, SilentFeedback
from ...sits.rasters import block_cache
from ...whole_files import cannot_write, temporary_name
from ..features.features import Features
from ..features.tiling import TileBudget, cache_size
from ..rasters.destinations import require_outputs
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput, block_side, discard, put_in_place
from ..rasters.style import ramp_style, write_style
from .distances import PAIR_SHARE, CollectedValues, DistanceStrips, PairWalk, require_values
from .explanation import Explanation
from .prepare import (
    ChangeOptions,
    ChangeOutputs,
    change_metadata,
    check_options,
    common_window,
    describe_inputs,
    make_pair,
)
from .threshold import threshold_of
from .zones import ZoneChange, distances_inside, zone_changes

_STRETCH = (0.02, 0.98)  # quantiles of the distances that QGIS shows as the ends of its colours


_ZONES_SHARE = 0.99  # until the zones are summed up


@dataclass(frozen=True)
class ChangeResult:
    """What `detect_change` found.

    Attributes:
        dates: of the two years.
        year_shift: days that were taken from the days of the second year.
        encoded: acquisitions that went through the encoder, each once.
        device: that the encoder really used; "" without one.
        model_id: name, version and hash of the model; "" without one.
        median_distance: of the map.
        large_distance: that one pixel in a hundred passes.
        noise_floor: median distance between the even and the odd acquisitions of a year; None
            where it cannot be measured.
        threshold: above it a pixel is changed; None without a rule.
        changed_share: of the pixels that have a distance, 0 to 1; None without a threshold.
        changed_area: in square metres (see `PixelAreas`); None without a threshold.
        zones: one entry for each zone.
    """

    dates: tuple[tuple[date, ...], tuple[date, ...]]
    year_shift: int
    encoded: int
    device: str
    model_id: str
    median_distance: float
    large_distance: float
    noise_floor: float | None
    threshold: float | None
    changed_share: float | None
    changed_area: float | None
    zones: list[ZoneChange]

    @property
    def noise_ratio(self) -> float | None:
        """Return the noise floor over the large distances of the map; near 1 nothing stands out."""
        if self.noise_floor is None or not self.large_distance:
            return None
        return self.noise_floor / self.large_distance


def detect_change(
    before: Features,
    after: Features,
    outputs: ChangeOutputs,
    *,
    options: ChangeOptions | None = None,
    zones: Sequence[bytes] = (),
    unchanged: Sequence[bytes] = (),
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> ChangeResult:
    """Write how far each pixel is from itself in another year.

    One pass: each acquisition is read and encoded once, whatever is asked for, and no vector is
    written. Rasters appear when all are complete.

    Args:
        before: an image series or an embedding raster; the map is on its grid.
        after: another of the same kind; it may have other dates, another grid and CRS.
        outputs: files to write.
        options: how the two are compared.
        zones: WKB of polygons in the CRS of `before`, to be summed up.
        unchanged: WKB of polygons in the CRS of `before` that are known to be stable.
        extent: (xmin, ymin, xmax, ymax) in the CRS of `before`; all that both cover if None.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        SeriesError: the two do not compare, do not overlap, or one is empty in the extent.
        AliseError: the memory is too little, or what is asked for needs something else.
        OutputError: a raster cannot be written, or would overwrite an input or another output.
        Cancelled: the feedback said so; nothing is left.
    """
    options, budget = options or ChangeOptions(), budget or TileBudget()
    feedback = feedback or SilentFeedback()
    rule, distance, explanation = options.rule, outputs.distance, outputs.explanation
    if rule.value is not None and rule.kind not in ("value", "quantile"):
        feedback.info(
            f"The threshold value {rule.value:g} is not used: only the thresholds value and "
            f"quantile take a number, and {rule.kind} was chosen."
        )
    if len(unchanged) and rule.kind != "unchanged":
        feedback.info(
            "The unchanged areas are not used: only the threshold unchanged takes them, and "
            f"{rule.kind} was chosen."
        )
    check_options(before, after, options, outputs, unchanged)
    require_outputs((distance, outputs.change, explanation), (before.path, after.path))
    pair = make_pair(before, after, options)
    inner = common_window(before, after, pair, extent)
    side, tiles = pair.plan(inner, budget)
    size = f"{inner.width} x {inner.height} pixels in {len(tiles)} tiles of {side}"
    describe_inputs(before, after, pair, options, size, feedback)
    explain = None
    metadata = change_metadata(before, after, pair, options, explanation is not None)
    if explanation is not None:
        explain = Explanation(pair, before.open_encoder())
    grid = pair.grid.subgrid(inner)
    block = block_side(side)
    collected = CollectedValues()
    with ExitStack() as stack:
        stack.enter_context(block_cache(cache_size(budget.memory_mb)))
        because = None
        if explain is not None and explanation is not None:
            most = explain.names.index("top_query")
            form = replace(
                _float_form(explain.names, metadata),
                style=ramp_style(most + 1, 0, most - 1),  # the shares of the dates come first
            )
            because = stack.enter_context(RasterOutput(explanation, grid, form, block))
        staged = stack.enter_context(_staged(distance))
        with RasterOutput(staged, grid, _float_form(["distance"], metadata), block) as raster:
            vectors_of = PairWalk(pair, tiles, inner, options.align in ("shift", "both"), feedback)
            for tile, vectors, shift in vectors_of:
                window = tile.inner.relative_to(inner)
                if because is not None and explain is not None:
                    because.write(window, explain.bands(vectors, shift))
                collected.add(vectors)
                # The last use of these vectors: they may be changed.
                vectors.after[:] -= shift[:, None, None]
                values = pair.distance(vectors.before, vectors.after)
                raster.write(window, values[None])
        distances = DistanceStrips(staged, feedback)
        sample = distances.sample()
        require_values(pair, collected, sample)
        write_style(staged, ramp_style(1, *np.quantile(sample, _STRETCH)))
        noise = collected.noise()
        rest = Part(feedback, PAIR_SHARE, _ZONES_SHARE)
        threshold = None
        if rule.kind != "none":
            areas = unchanged if rule.kind == "unchanged" else ()
            stable = distances_inside(staged, areas, rest)
            threshold = threshold_of(rule, sample, stable, noise)
        summary = zone_changes(staged, zones, threshold, options.changed_from, rest)
        shapeless = sum(not zone for zone in (*zones, *unchanged))
        if shapeless:
            feedback.warning(
                f"{shapeless} features of the layers of polygons have no polygon and count for "
                "nothing."
            )
        outside = sum(zone.pixels == 0 for zone in summary)
        if outside:
            feedback.info(
                f"{outside} of {len(summary)} zones hold no pixel that has a distance: they lie "
                "outside the map or where a year has no value."
            )
        share = area = None
        if threshold is not None:
            share, area, largest = distances.changed(threshold, outputs.change, metadata, block)
            if not share:
                feedback.info(
                    f"No pixel is changed: the threshold is {threshold:.4g} and the largest "
                    f"distance {largest:.4g}."
                )
        feedback.progress(1.0)
    return ChangeResult(
        dates=pair.dates,
        year_shift=pair.year_shift,
        encoded=pair.encoded,
        device=before.device_used if pair.encoded else "",
        model_id=metadata.get("ALISE_MODEL_ID", ""),
        median_distance=float(np.median(sample)),
        large_distance=float(np.quantile(sample, 0.99)),
        noise_floor=float(np.median(noise)) if len(noise) else None,
        threshold=threshold,
        changed_share=share,
        changed_area=area,
        zones=summary,
    )


def _float_form(names: list[str], metadata: dict[str, str]) -> RasterForm:
    return RasterForm(names, np.dtype(np.float32), float("nan"), metadata=metadata)


@contextlib.contextmanager
def _staged(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a name beside the final one; the raster moves from there unless something fails."""
    staged = temporary_name(path, ".tif")
    try:
        yield staged
        try:
            put_in_place(staged, os.fspath(path))
        except OSError as reason:
            raise cannot_write(path, reason.strerror) from reason
    finally:
        discard(staged)
