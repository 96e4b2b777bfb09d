"""Groups of samples that are never split between training and validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from osgeo import osr

from ...sits.crs import transformation
from ...sits.grid import Grid
from ..labels.layers import Labels, Values, VectorLabels, VectorValues
from ..labels.places import merge_places
from .samples import ChosenPixels, LabelledSource, SampleDesign

VALIDATIONS = ("polygons", "blocks")


_METRES_PER_DEGREE = 111_320.0


def pixel_centres(
    grid: Grid, row: NDArray[np.int64], col: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coordinates x and y of pixel centres in the CRS of the grid."""
    left, dx, _, top, _, dy = grid.geotransform
    return left + dx * (col + 0.5), top + dy * (row + 0.5)


def _blocks(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Grid, block_size: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row of the block that each place lies in."""
    reference = osr.SpatialReference()
    reference.ImportFromWkt(grid.crs_wkt)
    side = block_size / (
        _METRES_PER_DEGREE if reference.IsGeographic() else reference.GetLinearUnits()
    )
    return np.floor(x / side).astype(np.int64), np.floor(y / side).astype(np.int64)


def block_numbers(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Grid, block_size: float
) -> NDArray[np.int64]:
    """Return one number for each block; blocks are counted from far outside the grid."""
    columns, rows = _blocks(x, y, grid, block_size)
    return (columns + 2**20) * 2**21 + rows + 2**20


def have_polygons(pairs: Sequence[LabelledSource[Labels | Values]]) -> bool:
    """Return whether all labels are areas or places, which can be left out one by one."""
    return all(isinstance(pair.labels, (VectorLabels, VectorValues)) for pair in pairs)


def group_numbers(
    pairs: Sequence[LabelledSource[Labels | Values]],
    chosen: Sequence[ChosenPixels],
    design: SampleDesign,
) -> tuple[list[NDArray[np.int64]], list[str]]:
    """Return `(pixels,)` the group of each pixel, for each source, and warnings about them."""
    layers = [
        pair.labels for pair in pairs if isinstance(pair.labels, (VectorLabels, VectorValues))
    ]
    if design.validation == "polygons" and have_polygons(pairs):
        distinct = list({id(layer): layer for layer in layers}.values())
        numbers = merge_places(distinct, pairs[0].source.grid.crs_wkt)
        numbers_of = {id(layer): place for layer, place in zip(distinct, numbers)}
        return [numbers_of[id(pair.labels)][part.area] for pair, part in zip(pairs, chosen)], []
    side = design.block_size
    warnings = []
    if design.validation == "polygons":
        warnings = [f"A raster has no polygons: blocks of {side:g} m are left out instead."]
    grid = pairs[0].source.grid
    out = []
    for pair, part in zip(pairs, chosen):
        x, y = pixel_centres(pair.source.grid, part.row, part.col)
        if not pair.source.grid.same_crs(grid):
            transform = transformation(pair.source.grid.crs_wkt, grid.crs_wkt)
            x, y, _ = np.array(transform.TransformPoints(np.stack([x, y], 1).tolist())).T
        if isinstance(pair.labels, (VectorLabels, VectorValues)):
            # A polygon is not split: the middle of its pixels decides.
            _, which = np.unique(part.area, return_inverse=True)
            size = np.bincount(which)
            x, y = (np.bincount(which, v)[which] / size[which] for v in (x, y))
        out.append(block_numbers(x, y, grid, side))
    return out, warnings
