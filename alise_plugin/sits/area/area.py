"""The area that a user marks, in any CRS."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import SeriesError
from ..crs import reference_of, transformation
from ..grid import Grid, Window
from ..rasters import quiet_gdal

Box = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax

_EDGE_POINTS = 21
_LATTICE = 20.0  # m: the coarsest pixels that are read; windows of all bands cover the same
# Coarse pixels around the area: what resampling at its edge looks at.
_MARGIN = 5


@dataclass(frozen=True)
class Area:
    """A rectangle.

    Attributes:
        box: in the CRS.
        crs: as GDAL reads it.
    """

    box: Box
    crs: str

    def __post_init__(self) -> None:
        xmin, ymin, xmax, ymax = self.box
        if not (all(map(math.isfinite, self.box)) and xmin < xmax and ymin < ymax):
            raise SeriesError(
                "The area is empty, endless or turned round: give xmin, ymin, xmax and ymax."
            )

    def in_crs(self, crs: str) -> Box:
        """Return the rectangle around the area in another CRS.

        Raises:
            SeriesError: the area cannot be taken there.
        """
        found = None
        with quiet_gdal() as failures:
            found = transformation(self.crs, crs).TransformBounds(*self.box, _EDGE_POINTS)
        if failures or found is None or not all(map(math.isfinite, found)):
            name = reference_of(self.crs).GetName()
            raise SeriesError(
                f"The area {self.box} in {name} does not lie on the map of the images; check the "
                "coordinates and their CRS."
            )
        return (found[0], found[1], found[2], found[3])

    def lonlat(self) -> Box:
        """Return west, south, east and north in degrees.

        Raises:
            SeriesError: the area is nowhere on the Earth, or lies across the 180th meridian.
        """
        west, south, east, north = self.in_crs("EPSG:4326")
        if not (-180 <= west <= 180 and -90 <= south <= north <= 90 and east <= 180):
            raise SeriesError(
                f"The area {self.box} is nowhere on the Earth; check the coordinates and their CRS."
            )
        if west >= east:
            raise SeriesError(
                "The area lies across the 180th meridian; give the parts west and east of it "
                "one by one."
            )
        return west, south, east, north

    def window(self, grid: Grid) -> Window | None:
        """Return the pixels of an image that the area and a margin cover; None for none."""
        xmin, ymin, xmax, ymax = self.in_crs(grid.crs_wkt)
        left, bottom, right, top = grid.extent
        dx, dy = grid.pixel_size
        # Pixels that bands of 10 m and 20 m both begin at.
        across, down = (max(1, round(_LATTICE / size)) if size >= 1 else 1 for size in (dx, dy))
        margin_x, margin_y = _MARGIN * across * dx, _MARGIN * down * dy
        if xmax <= left or xmin >= right or ymax <= bottom or ymin >= top:
            return None
        first = math.floor((xmin - margin_x - left) / (dx * across)) * across
        last = math.ceil((xmax + margin_x - left) / (dx * across)) * across
        upper = math.floor((top - ymax - margin_y) / (dy * down)) * down
        lower = math.ceil((top - ymin + margin_y) / (dy * down)) * down
        col, row = max(0, first), max(0, upper)
        width, height = min(grid.width, last) - col, min(grid.height, lower) - row
        return Window(col, row, width, height)
