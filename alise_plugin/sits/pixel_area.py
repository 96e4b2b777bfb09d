"""True areas of pixels: on the ellipsoid of the CRS, whatever its projection does to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import osr

from .crs import reference_of, transformation
from .grid import Grid, Window
from .rasters import quiet_gdal

_CELL = 16  # pixels: inside, the area of a pixel is taken as constant


class PixelAreas:
    """The area of each pixel of a grid, in m2.

    The corners of cells of 16 x 16 pixels go to longitude and latitude and from there to the
    ellipsoid's cylindrical equal-area projection (Snyder 1987, Eq. 10-14, 3-12), where a polygon's
    planar area is its true one. A grid whose CRS knows no longitude (a site's own coordinates) has
    planar areas.

    Args:
        grid: the raster.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        reference = reference_of(grid.crs_wkt)
        self._transform: osr.CoordinateTransformation | None = None
        with quiet_gdal():
            geographic = reference.CloneGeogCS()
            if geographic is not None:
                self._transform = transformation(reference, geographic)
        width, height = grid.pixel_size
        unit = 1.0 if reference.IsGeographic() else reference.GetLinearUnits()
        self._planar = width * height * unit**2
        self._major = reference.GetSemiMajor()
        flattening = reference.GetInvFlattening()
        squared = (2 - 1 / flattening) / flattening if flattening else 0.0
        self._eccentricity = float(np.sqrt(squared))

    def of(self, window: Window) -> NDArray[np.float64]:
        """Return `(H, W)` m2 of the pixels of a window."""
        shape = (window.height, window.width)
        if self._transform is None:
            return np.full(shape, self._planar)
        # Cells are counted from the grid's origin, so that windows agree on a pixel.
        col, row = window.col // _CELL, window.row // _CELL
        columns = np.arange(col, -(-window.col_end // _CELL) + 1) * _CELL
        rows = np.arange(row, -(-window.row_end // _CELL) + 1) * _CELL
        cells = self._cells(columns, rows) / _CELL**2
        pixels = cells.repeat(_CELL, 0).repeat(_CELL, 1)
        top, left = window.row - row * _CELL, window.col - col * _CELL
        return pixels[top : top + window.height, left : left + window.width]

    def mean(self) -> float:
        """Return m2 of the pixel in the middle of the grid."""
        middle = Window(self._grid.width // 2, self._grid.height // 2, 1, 1)
        return float(self.of(middle)[0, 0])

    def _cells(self, columns: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return m2 of the quadrilaterals between columns and rows of pixel corners."""
        assert self._transform is not None  # nosec B101  # narrows a type
        left, dx, _, top, _, dy = self._grid.geotransform
        x, y = np.meshgrid(left + dx * columns, top + dy * rows)
        corners_xy = np.stack([x.ravel(), y.ravel()], 1).tolist()
        lon, lat, _ = np.radians(np.array(self._transform.TransformPoints(corners_xy))).T
        across = lon.reshape(x.shape)
        # Within a step of a few pixels, a jump is the 180th meridian.
        across = (across - across[:1, :1] + np.pi) % (2 * np.pi) - np.pi
        across, up = self._major * across, self._equal_area(lat).reshape(x.shape)
        corners = [
            (
                across[i : i + len(rows) - 1, j : j + len(columns) - 1],
                up[i : i + len(rows) - 1, j : j + len(columns) - 1],
            )
            for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))
        ]
        twice = sum(
            x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1])
        )
        return np.asarray(np.abs(twice) / 2)

    def _equal_area(self, latitude: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return northing of the cylindrical equal-area projection with the equator true, in m."""
        sine, e = np.sin(latitude), self._eccentricity
        if e == 0:
            return np.asarray(self._major * sine)
        q = (1 - e**2) * (
            sine / (1 - (e * sine) ** 2) - np.log((1 - e * sine) / (1 + e * sine)) / (2 * e)
        )
        return np.asarray(self._major * q / 2)
