"""Areas that lie on one another count as one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from osgeo import ogr

from ...sits.crs import transformation
from ...sits.rasters import quiet_gdal
from .layers import Areas

_PREDICATE = 0.05  # of the smaller area: what two areas share before they count as one place


def merge_places(labels: Sequence[Areas], crs_wkt: str) -> list[NDArray[np.int64]]:
    """Return one number per area, the same for areas of any layers that lie on one another.

    Fields drawn once for each year are one place: validation must not train on one year of a
    field and test on the other.

    Args:
        labels: layers.
        crs_wkt: where to compare them.

    Returns:
        For each layer `(areas,)` place numbers.
    """
    geometries: list[ogr.Geometry | None] = []
    for item in labels:
        transform = transformation(item.crs_wkt, crs_wkt)
        for geometry in item.geometries:
            moved = geometry.Clone()
            failed: int | None = None
            with quiet_gdal():
                failed = moved.Transform(transform)
            geometries.append(moved if failed == 0 else None)
    parents = np.arange(len(geometries))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    empty = (np.inf, -np.inf, np.inf, -np.inf)
    boxes = np.array([empty if g is None else g.GetEnvelope() for g in geometries])
    by_left = np.argsort(boxes[:, 0], kind="stable")
    lefts = boxes[by_left, 0]
    for position, index in enumerate(by_left):
        last = np.searchsorted(lefts, boxes[index, 1], side="right")
        others = by_left[position + 1 : last]
        beside = (boxes[others, 2] > boxes[index, 3]) | (boxes[others, 3] < boxes[index, 2])
        for other in others[~beside]:
            if root(index) != root(other) and _same_place(geometries[index], geometries[other]):
                parents[root(other)] = root(index)
    roots = np.array([root(index) for index in range(len(geometries))], np.int64)
    ends = np.cumsum([len(item.geometries) for item in labels])
    return np.split(roots, ends[:-1])


def _same_place(first: ogr.Geometry, second: ogr.Geometry) -> bool:
    """Return whether two areas overlap by more than their borders, or a point lies in the other."""
    with quiet_gdal():
        if not first.Intersects(second):
            return False
        least = min(first.GetArea(), second.GetArea())
        if least == 0:
            return True
        common = first.Intersection(second)
        # GEOS refuses polygons that cross themselves; they count as one place.
        return common is None or common.GetArea() > _PREDICATE * least
    return True
