"""Pixel windows, the grid of a raster, and the tiles that a map is made in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from osgeo import gdal, osr

from ..errors import SeriesError

_EDGE = 1e-6  # pixels: an extent drawn on a pixel's edge does not take the next pixel along


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels of a raster: first column and row, and size."""

    col: int
    row: int
    width: int
    height: int

    @property
    def col_end(self) -> int:
        """Return the first column after the window."""
        return self.col + self.width

    @property
    def row_end(self) -> int:
        """Return the first row after the window."""
        return self.row + self.height

    @property
    def pixels(self) -> int:
        """Return how many pixels it holds."""
        return self.width * self.height

    def expand(self, halo: int, within: Window) -> Window:
        """Return the window with `halo` pixels more on each side, cut at the edges of `within`."""
        return _between(
            max(self.col - halo, within.col),
            max(self.row - halo, within.row),
            min(self.col_end + halo, within.col_end),
            min(self.row_end + halo, within.row_end),
        )

    def snap(self, stride: int, within: Window) -> Window:
        """Return the smallest window around this one whose edges are multiples of `stride`.

        Multiples are counted from the origin of `within`, and its edges cut the result.
        """
        left = within.col + (self.col - within.col) // stride * stride
        top = within.row + (self.row - within.row) // stride * stride
        right = within.col - (within.col - self.col_end) // stride * stride
        bottom = within.row - (within.row - self.row_end) // stride * stride
        return _between(
            max(left, within.col),
            max(top, within.row),
            min(right, within.col_end),
            min(bottom, within.row_end),
        )

    def slices_in(self, outer: Window) -> tuple[slice, slice]:
        """Return where this window lies in an array read from `outer`: (rows, columns)."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)

    def relative_to(self, origin: Window) -> Window:
        """Return the same pixels, counted from the first row and column of another window."""
        return Window(self.col - origin.col, self.row - origin.row, self.width, self.height)

    def squares(self, side: int) -> list[Window]:
        """Return the window in squares, row by row; the last ones may be smaller."""
        return self.blocks(side, side)

    def blocks(self, rows: int, columns: int) -> list[Window]:
        """Return the window in blocks, row by row; the last ones may be smaller."""
        return [
            Window(col, row, columns, rows).expand(0, self)
            for row in range(self.row, self.row_end, rows)
            for col in range(self.col, self.col_end, columns)
        ]


def _between(col: int, row: int, col_end: int, row_end: int) -> Window:
    return Window(col, row, col_end - col, row_end - row)


@dataclass(frozen=True)
class Grid:
    """CRS, place and size of a north-up raster.

    Attributes:
        crs_wkt: the CRS.
        geotransform: GDAL's six numbers, from pixel corners to CRS units.
        width: columns.
        height: rows.
    """

    crs_wkt: str
    geotransform: tuple[float, float, float, float, float, float]
    width: int
    height: int

    @classmethod
    def from_dataset(cls, dataset: gdal.Dataset, name: str) -> Grid:
        """Return the grid of an open raster, named `name` in messages.

        Raises:
            SeriesError: it has no CRS, no georeferencing, or is rotated or upside down.
        """
        transform = dataset.GetGeoTransform(can_return_null=True)
        if transform is None:
            raise SeriesError(f"{name} is not georeferenced; give it a CRS and a position first.")
        reference = dataset.GetSpatialRef()
        if reference is None:
            raise SeriesError(
                f"{name} has no CRS; assign the one that it was made in (Assign Projection)."
            )
        if transform[2] or transform[4] or transform[1] <= 0 or transform[5] >= 0:
            raise SeriesError(
                f"{name} is rotated or upside down; warp it to a north-up raster first."
            )
        return cls(
            cls.registered_wkt(reference),
            tuple(transform),
            dataset.RasterXSize,
            dataset.RasterYSize,
        )

    @staticmethod
    def registered_wkt(reference: osr.SpatialReference) -> str:
        """Return the WKT of the EPSG definition of a CRS with a code, else of the CRS as it is."""
        return str(_registered(reference).ExportToWkt())

    @property
    def window(self) -> Window:
        """Return the whole raster."""
        return Window(0, 0, self.width, self.height)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Return (xmin, ymin, xmax, ymax) in CRS units."""
        left, dx, _, top, _, dy = self.geotransform
        return left, top + dy * self.height, left + dx * self.width, top

    @property
    def crs_name(self) -> str:
        """Return the name of the CRS, with its code where it has one."""
        reference = osr.SpatialReference()
        reference.ImportFromWkt(self.crs_wkt)
        code = reference.GetAuthorityCode(None)
        name = reference.GetName() or "unknown CRS"
        return f"{name} ({reference.GetAuthorityName(None)}:{code})" if code else name

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Return width and height of a pixel in CRS units, both positive."""
        return self.geotransform[1], -self.geotransform[5]

    def window_of(self, extent: Sequence[float]) -> Window:
        """Return the pixels that an extent touches, cut at the raster's edges.

        Args:
            extent: (xmin, ymin, xmax, ymax) in this grid's CRS.

        Raises:
            SeriesError: the extent is empty or lies outside the raster.
        """
        xmin, ymin, xmax, ymax = extent
        left, dx, _, top, _, dy = self.geotransform
        col = max(math.floor((xmin - left) / dx + _EDGE), 0)
        row = max(math.floor((ymax - top) / dy + _EDGE), 0)
        col_end = min(math.ceil((xmax - left) / dx - _EDGE), self.width)
        row_end = min(math.ceil((ymin - top) / dy - _EDGE), self.height)
        if not (xmin < xmax and ymin < ymax and col < col_end and row < row_end):
            raise SeriesError(
                f"The extent {_numbers(extent)} does not overlap the image series, which covers "
                f"{_numbers(self.extent)}; choose an extent inside it, in its CRS."
            )
        return _between(col, row, col_end, row_end)

    def subgrid(self, window: Window) -> Grid:
        """Return the grid of a window of this raster."""
        left, dx, _, top, _, dy = self.geotransform
        transform = (left + dx * window.col, dx, 0.0, top + dy * window.row, 0.0, dy)
        return Grid(self.crs_wkt, transform, window.width, window.height)

    def same_crs(self, other: Grid) -> bool:
        """Return whether both CRS are one, however their WKT is spelled."""
        return self.crs_wkt == other.crs_wkt or _same_crs(self.crs_wkt, other.crs_wkt)

    def same_grid(self, other: Grid) -> bool:
        """Return whether both have the same CRS, size and place, to a hundredth of a pixel."""
        dx, dy = self.pixel_size
        return (
            (self.width, self.height) == (other.width, other.height)
            and all(
                abs(a - b) <= 0.01 * size
                for a, b, size in zip(self.extent, other.extent, (dx, dy, dx, dy))
            )
            and self.same_crs(other)
        )


def _numbers(extent: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in extent) + ")"


def _registered(reference: osr.SpatialReference) -> osr.SpatialReference:
    """Return the EPSG definition of a CRS that states its code, else the CRS as it is.

    Files add shifts to WGS 84 of their own, which QGIS then shows as an unknown CRS.
    """
    if reference.GetAuthorityName(None) != "EPSG":
        return reference
    registered = osr.SpatialReference()
    try:
        failed = registered.ImportFromEPSG(int(reference.GetAuthorityCode(None)))
    except RuntimeError:
        return reference
    return reference if failed else registered


def _same_crs(first_wkt: str, second_wkt: str) -> bool:
    first, second = osr.SpatialReference(), osr.SpatialReference()
    first.ImportFromWkt(first_wkt)
    second.ImportFromWkt(second_wkt)
    return bool(first.IsSame(second))


@dataclass(frozen=True)
class Tile:
    """One step of a map: the window to read, and the part of it to keep."""

    read: Window
    inner: Window


def plan_tiles(
    grid_or_size: Grid | tuple[int, int],
    inner_window: Window,
    tile_size: int | tuple[int, int],
    halo: int,
    stride: int,
) -> list[Tile]:
    """Cut a window into tiles whose values do not depend on the cutting.

    A convolutional encoder with `stride` gives a pixel the same value in two reads if both begin
    on multiples of its stride and both hold its receptive field. So reads begin and end on
    multiples of `stride` counted from the origin of the whole raster (or at the raster's edge),
    and keep at least `halo` pixels around what is kept (or end at the raster's edge).

    Args:
        grid_or_size: the whole raster, as a grid or (width, height).
        inner_window: what the map covers.
        tile_size: side of the inner windows in pixels, or their rows and columns; the last of a
            row or column may be smaller.
        halo: pixels.
        stride: pixels.

    Returns:
        Tiles in row order; their inner windows partition `inner_window`.
    """
    size = grid_or_size
    whole = size.window if isinstance(size, Grid) else Window(0, 0, *size)
    rows, columns = (tile_size, tile_size) if isinstance(tile_size, int) else tile_size
    tiles = []
    for inner in inner_window.blocks(rows, columns):
        tiles.append(Tile(inner.expand(halo, whole).snap(stride, whole), inner))
    return tiles
