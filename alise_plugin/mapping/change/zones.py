"""Distances inside polygons: parcels that changed, and areas known to be stable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import ogr

from ...errors import SeriesError
from ...feedback import Feedback, stop_if_cancelled
from ...sits.grid import Grid, Window
from ...sits.rasters import open_raster, read_bands
from ..rasters.rasterize import numbered_shapes, rasterize

_STRIP_PIXELS = 1 << 22  # of a zone, read at a time


_MEDIAN_PIXELS = 1 << 20  # of a zone, evenly among all, that its median comes from


@dataclass(frozen=True)
class ZoneChange:
    """What happened inside a polygon.

    Attributes:
        pixels: with a distance, whose centre lies inside (or, for a polygon that holds no centre,
            that it touches); 0 outside the map, and then all that follows is None.
        mean: distance.
        median: distance.
        changed_share: share of the pixels above the threshold, 0 to 1; None without a threshold.
        rank: 1 for the zone with the highest mean distance.
        changed: whether the share reaches what makes a zone changed; None without a threshold.
    """

    pixels: int
    mean: float | None = None
    median: float | None = None
    changed_share: float | None = None
    rank: int | None = None
    changed: bool | None = None


def zone_changes(
    distance: str,
    zones: Sequence[bytes],
    threshold: float | None,
    changed_from: float,
    feedback: Feedback,
) -> list[ZoneChange]:
    """Return statistics of the distance in each zone; zones may overlap.

    Args:
        distance: a distance raster.
        zones: WKB of polygons in the CRS of the raster; empty for one without a shape.
        threshold: a pixel is changed above it; None for no decision.
        changed_from: share of changed pixels from which a zone is changed, 0 to 1.
        feedback: progress and cancelling.

    Raises:
        SeriesError: the raster cannot be read.
        Cancelled: the feedback says so.
    """
    raster = _Distances(distance)
    found = []
    for zone in zones:
        stop_if_cancelled(feedback)
        found.append(_of_zone(raster, zone, threshold))
        feedback.progress(len(found) / len(zones))
    means = sorted((zone.mean for zone in found if zone.mean is not None), reverse=True)
    ranks: dict[float, int] = {}
    for rank, mean in enumerate(means, start=1):
        ranks.setdefault(mean, rank)  # equal zones share a rank
    return [
        zone
        if zone.mean is None
        else ZoneChange(
            zone.pixels,
            zone.mean,
            zone.median,
            zone.changed_share,
            ranks[zone.mean],
            None if zone.changed_share is None else zone.changed_share >= changed_from,
        )
        for zone in found
    ]


def distances_inside(
    distance: str, zones: Sequence[bytes], feedback: Feedback
) -> NDArray[np.float32]:
    """Return `(n,)` distances of the pixels inside the polygons (see `zone_changes`), finite.

    Raises:
        Cancelled: the feedback says so.
    """
    raster = _Distances(distance)
    parts: list[NDArray[np.float32]] = []
    for zone in zones:
        stop_if_cancelled(feedback)
        parts += raster.inside(zone)
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _of_zone(raster: _Distances, zone: bytes, threshold: float | None) -> ZoneChange:
    pixels, changed, total = 0, 0, 0.0
    kept: list[NDArray[np.float32]] = []
    step = max(1, raster.pixels_around(zone) // _MEDIAN_PIXELS)
    for values in raster.inside(zone):
        pixels += len(values)
        total += float(values.sum(dtype=np.float64))
        kept.append(values[::step])
        if threshold is not None:
            changed += int(np.count_nonzero(values > threshold))
    if not pixels:
        return ZoneChange(0)
    median = float(np.median(np.concatenate(kept)))
    share = None if threshold is None else changed / pixels
    return ZoneChange(pixels, total / pixels, median, share)


class _Distances:
    """A distance raster, and the pixels of it inside polygons."""

    def __init__(self, path: str) -> None:
        self._dataset = open_raster(path)
        self._grid = Grid.from_dataset(self._dataset, path)

    def pixels_around(self, zone: bytes) -> int:
        """Return pixels of the box around a polygon."""
        window = self._window(_geometry(zone))
        return window.pixels if window else 0

    def inside(self, zone: bytes) -> Iterator[NDArray[np.float32]]:
        """Yield finite distances inside a polygon, strip by strip."""
        geometry = _geometry(zone)
        window = self._window(geometry)
        if geometry is None or window is None:
            return
        centres = 0
        for values in self._burnt(geometry, window):
            centres += len(values)
            yield values[np.isfinite(values)]
        if not centres:  # narrower than a pixel
            for values in self._burnt(geometry, window, all_touched=True):
                yield values[np.isfinite(values)]

    def _window(self, geometry: ogr.Geometry | None) -> Window | None:
        if geometry is None or geometry.IsEmpty():
            return None
        left, right, bottom, top = geometry.GetEnvelope()
        try:
            return self._grid.window_of((left, bottom, right, top))
        except SeriesError:
            return None

    def _burnt(
        self, geometry: ogr.Geometry, window: Window, all_touched: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """Yield all distances under a polygon, NaN too, strip by strip."""
        shape = numbered_shapes([(1, geometry)], self._grid.crs_wkt)
        rows = max(1, _STRIP_PIXELS // window.width)
        for row in range(window.row, window.row_end, rows):
            strip = Window(window.col, row, window.width, min(rows, window.row_end - row))
            size = (strip.col, strip.row, strip.width, strip.height)
            values = read_bands(self._dataset, [1], *size)[0]
            inside = rasterize(shape, self._grid.subgrid(strip), 0, all_touched=all_touched)
            yield values[inside == 1]


def _geometry(zone: bytes) -> ogr.Geometry | None:
    """Return a polygon; None for a feature that has none."""
    return ogr.CreateGeometryFromWkb(zone) if zone else None
