"""Stratified random points by which a class map is judged."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ...errors import OutputError
from ...feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from ...model.heads.class_head import MapClass
from ...sits.rasters import quiet_gdal
from ..samples.hashing import pixel_hash
from ..scores.estimators import allocate, sample_size
from .class_map import ClassMap

STRATUM_FIELDS = ("stratum", "stratum_m2")  # of a sample: code and area of the stratum
REFERENCE = "reference"  # field of a sample that its interpreter fills in


@dataclass(frozen=True)
class SamplePoint:
    """A pixel to interpret.

    Attributes:
        x, y: its middle, in the CRS of the map.
        item: class of the map, its stratum.
        stratum_square_metres: area of the stratum.
        stratum_points: points in it; the area divided by them is what the point stands for.
    """

    x: float
    y: float
    item: MapClass
    stratum_square_metres: float
    stratum_points: int


def require_no_references(path: str) -> None:
    """Make sure that a new sample does not take the place of one that somebody has interpreted.

    Args:
        path: of the new sample; nothing or anything may be there.

    Raises:
        OutputError: the file is a sample with references filled in.
    """
    found = None
    with quiet_gdal():
        if os.path.isfile(path):
            found = gdal.OpenEx(path, gdal.OF_VECTOR)
    layers = [found.GetLayer(i) for i in range(found.GetLayerCount())] if found else []
    for layer in layers:
        definition = layer.GetLayerDefn()
        if min(definition.GetFieldIndex(name) for name in ("stratum", REFERENCE)) < 0:
            continue
        filled = sum(bool(feature.GetField(REFERENCE)) for feature in layer)
        if filled:
            raise OutputError(
                f"{path} is a sample with {filled} references filled in, which would be lost; "
                "choose another name for the output."
            )


def draw_sample(
    class_map: ClassMap,
    *,
    size: int = 500,
    minimum: int = 50,
    expected: float = 0.85,
    standard_error: float = 0.01,
    seed: int = 0,
    feedback: Feedback | None = None,
) -> list[SamplePoint]:
    """Draw a stratified random sample of pixels, the map's classes being strata.

    Args:
        class_map: the map.
        size: points in all; 0 for as many as the standard error asks for.
        minimum: points of each class at least.
        expected: user's accuracy that is expected of every class, where size is 0.
        standard_error: of the overall accuracy that is wanted, where size is 0.
        seed: of chance.
        feedback: progress and cancelling.

    Returns:
        Points in random order, so that an interpreter who stops early has a sample too.

    Raises:
        Cancelled: the feedback says so.
    """
    feedback = Part(feedback or SilentFeedback(), 0.0, 1.0)
    size = size or sample_size(class_map.square_metres, expected, standard_error)
    wanted = allocate(class_map.pixels, size, minimum)
    codes = [item.code for item in class_map.classes]
    grid = class_map.grid
    found: list[NDArray[np.uint64]] = [np.empty((2, 0), np.uint64) for _ in codes]
    windows = class_map.windows()
    for done, window in enumerate(windows):
        stop_if_cancelled(feedback)
        values, valid = class_map.read(window)
        for place, code in enumerate(codes):
            rows, cols = np.nonzero(valid & (values == code))
            number = (rows + window.row) * grid.width + cols + window.col
            both = np.stack([pixel_hash(number, seed), number.astype(np.uint64)])
            joined = np.concatenate([found[place], both], 1)
            found[place] = joined[:, np.argsort(joined[0], kind="stable")[: wanted[place]]]
        feedback.progress((done + 1) / len(windows))
    left, dx, _, top, _, dy = grid.geotransform
    points = []
    for place, item in enumerate(class_map.classes):
        # The choice leaves low numbers where few of many are chosen: they cannot be the order.
        order = pixel_hash(found[place][0], seed).tolist()
        for turn, number in zip(order, found[place][1].tolist()):
            row, col = divmod(number, grid.width)
            x, y = left + dx * (col + 0.5), top + dy * (row + 0.5)
            area = float(class_map.square_metres[place])
            points.append((turn, SamplePoint(x, y, item, area, int(wanted[place]))))
    return [point for _, point in sorted(points, key=lambda pair: pair[0])]
