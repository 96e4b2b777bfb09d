"""The choice of pixels of labelled areas, class rasters and rasters of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LabelsError
from ...feedback import Feedback, stop_if_cancelled
from ...sits.grid import Grid, Window
from ..features.features import Features
from ..labels.layers import Areas, RasterLabels, RasterValues, VectorValues
from ..labels.on_grid import AreaRasterizer, WarpedLabels, WarpedValues, on_grid
from .groups import block_numbers, pixel_centres
from .hashing import pixel_hash
from .samples import ChosenPixels, SampleDesign

_STRIP = 1024  # pixels: side of the windows in which labels are looked for


@dataclass(frozen=True)
class AreaPixels:
    """Pixels of areas.

    Attributes:
        chosen: the pixels.
        warnings: sentences about what is left out.
        ambiguous: targets of the areas that share pixels with an area of another target.
    """

    chosen: ChosenPixels
    warnings: list[str]
    ambiguous: set[float]


def choose_from_areas(
    source: Features,
    labels: Areas,
    targets: NDArray[np.number[Any]],
    per_area: int,
    seed: int,
    feedback: Feedback,
) -> AreaPixels:
    """Choose pixels of areas.

    Args:
        source: of the features.
        labels: the areas.
        targets: class or value of each.
        per_area, seed: see `SampleDesign`.
        feedback: cancelling.

    Raises:
        LabelsError: areas and source do not overlap, or no area holds a pixel.
    """
    grid, name = source.grid, source.name
    geometries = on_grid(labels, grid)
    boxes = np.array([g.GetEnvelope() for g in geometries if g is not None]).reshape(-1, 4)
    left, bottom, right, top = grid.extent
    inside = (boxes[:, 0] < right) & (boxes[:, 1] > left) & (boxes[:, 2] < top)
    inside &= boxes[:, 3] > bottom
    if not inside.any():
        raise LabelsError(
            f"{labels.name} and {name} do not overlap; choose layers of the same area, or check "
            "the CRS of both."
        )
    boxes = boxes[inside]
    # A little wider, so that a point has an extent.
    dx, dy = grid.pixel_size
    extent = boxes[:, 0].min() - dx, boxes[:, 2].min() - dy
    around = grid.window_of((*extent, boxes[:, 1].max() + dx, boxes[:, 3].max() + dy))
    burner = AreaRasterizer(geometries, grid, targets)
    parts = [_nothing()]
    warnings: list[str] = []
    ambiguous: set[float] = set()
    ambiguous_pixels = 0
    for window in _strips(around):
        stop_if_cancelled(feedback)
        over, under = burner.burn(window)
        rows, cols = np.nonzero(over >= 0)
        area = over[rows, cols].astype(np.int64)
        clear = targets[area] == targets[under[rows, cols]]
        ambiguous_pixels += int(np.count_nonzero(~clear))
        for areas in (over, under):
            ambiguous.update(np.unique(targets[areas[rows, cols][~clear]]).tolist())
        rows, cols, area = rows[clear], cols[clear], area[clear]
        part = _ranked(rows + window.row, cols + window.col, area, targets[area], grid, seed)
        parts.append(part.take(part.rank < per_area))
    one, two = ("value", "values") if isinstance(labels, VectorValues) else ("class", "classes")
    if ambiguous_pixels:
        warnings.append(
            f"{ambiguous_pixels} pixels of {labels.name} lie in areas of two {two} and are left "
            "out."
        )
    if isinstance(labels, VectorValues):
        if labels.without_value:
            fill = labels.fill
            what = "NULL" if fill is None else f"NULL, or {fill:g}, which stands for no value"
            warnings.append(
                f"{labels.without_value} features of {labels.name} have no value ({what})."
            )
    elif labels.without_class:
        warnings.append(f"{labels.without_class} features of {labels.name} have no class (NULL).")
    chosen = _joined(parts, grid, seed, per_area)
    missing = len(targets) - len(np.unique(chosen.area))
    if missing:
        warnings.append(
            f"{missing} of {len(targets)} areas of {labels.name} give no pixel: they lie outside "
            f"{name}, hold no pixel centre or are covered by others."
        )
    if not len(chosen.row):
        of_one, apart = "", ""
        if ambiguous_pixels:
            of_one, apart = f" that is clearly of one {one}", " or apart"
        raise LabelsError(
            f"The areas of {labels.name} hold no pixel centre of {name}{of_one}; draw them "
            f"larger{apart}."
        )
    return AreaPixels(chosen, warnings, ambiguous)


def choose_from_classes(
    source: Features,
    labels: RasterLabels,
    targets: NDArray[np.int64],
    count: int,
    design: SampleDesign,
    feedback: Feedback,
) -> ChosenPixels:
    """Choose pixels of a class raster, so many of each class in a block.

    Args:
        source: of the features.
        labels: the raster.
        targets: place of each of its values in the list of `count` classes.
        count: see `targets`.
        design: how many, in which blocks, and the seed.
        feedback: cancelling.

    Raises:
        LabelsError: raster and source do not overlap.
    """
    grid = source.grid
    warped = WarpedLabels(labels, grid)
    parts = [_nothing()]
    for window in _strips(grid.window):
        stop_if_cancelled(feedback)
        values = warped.read(window)
        rows, cols = np.nonzero(values >= 0)
        target = targets[values[rows, cols]]
        rows, cols = rows + window.row, cols + window.col
        # One number for a class in a block.
        block = block_numbers(*pixel_centres(grid, rows, cols), grid, design.block_size)
        part = _ranked(rows, cols, block * count + target, target, grid, design.seed)
        parts.append(part.take(part.rank < design.per_area))
    return _some(_joined(parts, grid, design.seed, design.per_area), labels.name, source)


def choose_from_values(
    source: Features,
    values: RasterValues,
    design: SampleDesign,
    feedback: Feedback,
) -> ChosenPixels:
    """Choose pixels of a raster of measured values, so many of each block.

    Each pixel is an area of its own.

    Raises:
        LabelsError: raster and source do not overlap.
    """
    grid = source.grid
    warped = WarpedValues(values, grid)
    parts = [_nothing()]
    for window in _strips(grid.window):
        stop_if_cancelled(feedback)
        measured = warped.read(window)
        rows, cols = np.nonzero(np.isfinite(measured))
        target = measured[rows, cols]
        rows, cols = rows + window.row, cols + window.col
        block = block_numbers(*pixel_centres(grid, rows, cols), grid, design.block_size)
        part = _ranked(rows, cols, block, target, grid, design.seed)
        parts.append(part.take(part.rank < design.per_area))
    chosen = _some(_joined(parts, grid, design.seed, design.per_area), values.name, source)
    return replace(chosen, area=chosen.row * grid.width + chosen.col)


def _some(chosen: ChosenPixels, name: str, source: Features) -> ChosenPixels:
    """Return the pixels of a raster.

    Raises:
        LabelsError: there are none.
    """
    if not len(chosen.row):
        raise LabelsError(
            f"{name} and {source.name} do not overlap; choose labels of the same "
            "area, or check the CRS of both."
        )
    return chosen


def _strips(around: Window) -> list[Window]:
    return [
        Window(col, row, _STRIP, _STRIP).expand(0, around)
        for row in range(around.row, around.row_end, _STRIP)
        for col in range(around.col, around.col_end, _STRIP)
    ]


def _nothing() -> ChosenPixels:
    none = np.empty(0, np.int64)
    return ChosenPixels(none, none, none, none, none, none.astype(np.uint64))


def _ranked(
    row: NDArray[np.int64],
    col: NDArray[np.int64],
    area: NDArray[np.int64],
    target: NDArray[np.number[Any]],
    grid: Grid,
    seed: int,
) -> ChosenPixels:
    """Return pixels ordered by area and chance, with their rank in the area."""
    priority = pixel_hash(row * grid.width + col, seed)
    order = np.lexsort((priority, area))
    row, col, area, target, priority = (v[order] for v in (row, col, area, target, priority))
    first = np.flatnonzero(np.r_[True, area[1:] != area[:-1]]) if len(area) else area
    sizes = np.diff(np.r_[first, len(area)])
    rank = np.arange(len(area)) - np.repeat(first, sizes)
    return ChosenPixels(row, col, area, target, rank, priority)


def _joined(parts: Sequence[ChosenPixels], grid: Grid, seed: int, per_area: int) -> ChosenPixels:
    """Return pixels of all windows; an area may lie in several, so its ranks are made anew."""
    row, col, area, target = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("row", "col", "area", "target")
    )
    ranked = _ranked(row, col, area, target, grid, seed)
    return ranked.take(ranked.rank < per_area)


def limit_samples(
    chosen: Sequence[ChosenPixels], limit: int
) -> tuple[list[NDArray[np.bool_]], list[str]]:
    """Return which pixels to keep so that there are at most `limit`, and warnings about that."""
    rank = np.concatenate([part.rank for part in chosen])
    per_rank = np.cumsum(np.bincount(rank))
    fits = int(np.searchsorted(per_rank, limit, side="right"))
    if fits == len(per_rank):
        return [np.ones(len(part.rank), bool) for part in chosen], []
    if fits:
        warning = f"The memory leaves room for {fits} pixels of an area instead of more."
        return [part.rank < fits for part in chosen], [warning]
    # Not even one of each: some areas, by chance.
    priority = np.concatenate([part.priority[part.rank == 0] for part in chosen])
    last = np.partition(priority, limit - 1)[limit - 1]
    warning = f"The memory leaves room for {limit} of {len(priority)} areas."
    return [(part.rank == 0) & (part.priority <= last) for part in chosen], [warning]
