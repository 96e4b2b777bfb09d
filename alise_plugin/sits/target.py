"""The one grid that a series is on, from its sources or from the user."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import SeriesError
from .crs import reference_of, transformation
from .grid import Grid
from .rasters import quiet_gdal
from .sources.record import SourceBand

_LATTICE = 0.05  # pixels: how far a layer may lie beside the lattice before it is resampled
_METRES_PER_DEGREE = 111_320.0  # along a meridian
_EDGE_POINTS = 21  # of each side of an extent that is taken to another CRS
_MAX_PIXELS = 2_000_000_000  # of a side: what a GDAL raster can have

Extent = tuple[float, float, float, float]


def extent_in(grid: Grid, crs_wkt: str) -> Extent:
    """Return (xmin, ymin, xmax, ymax) of a grid in another CRS.

    Raises:
        SeriesError: the grid lies where that CRS is not defined.
    """
    if grid.crs_wkt == crs_wkt:
        return grid.extent
    result = None
    with quiet_gdal() as failures:
        transform = transformation(grid.crs_wkt, crs_wkt)
        if not failures:  # else there is none, which GDAL may say without an exception
            result = transform.TransformBounds(*grid.extent, _EDGE_POINTS)
    if result is None or not all(math.isfinite(value) for value in result):
        raise SeriesError(
            f"The extent {grid.extent} in {grid.crs_name} cannot be taken to the target CRS; "
            "choose another CRS."
        )
    return tuple(result)


def target_grid(
    records: Sequence[SourceBand],
    crs: str | None = None,
    resolution: float | None = None,
    extent: Sequence[float] | None = None,
    extent_crs: str | None = None,
) -> Grid:
    """Return the grid of a series.

    Without a word from the user: the lattice of the finest source (of the commonest CRS, if
    sources differ), extended over all sources.

    Args:
        records: bands and masks.
        crs: of the series, as a user writes it.
        resolution: side of a pixel in units of that CRS.
        extent: (xmin, ymin, xmax, ymax); grown outward to whole pixels.
        extent_crs: of the extent; None: that of the series.

    Raises:
        SeriesError: the finest source is in degrees and no CRS is given; sources lie apart, or
            outside the extent; a number makes no sense.
    """
    reference = _reference(records)
    if resolution is not None and not (math.isfinite(resolution) and resolution > 0):
        raise SeriesError(f"The resolution {resolution} is not a positive number; correct it.")
    geographic = reference_of(reference.grid.crs_wkt).IsGeographic()
    if crs is None:
        if geographic:
            raise SeriesError(
                f"{reference.name} is in degrees, in which pixels are not square on the ground; "
                f"give a target CRS ({_utm(reference.grid)} fits)."
            )
        crs_wkt = reference.grid.crs_wkt
    else:
        crs_wkt = Grid.registered_wkt(reference_of(crs))
    own = Grid(crs_wkt, reference.grid.geotransform, 1, 1).same_crs(reference.grid)
    if own:
        crs_wkt = reference.grid.crs_wkt
    x0, y0, dx, dy = _lattice(reference.grid, own, resolution, geographic, crs_wkt)
    boxes = {record.grid: (extent_in(record.grid, crs_wkt), record) for record in records}
    if extent is None:
        _refuse_apart(list(boxes.values()), reference, (dx, dy))
        box = _around([item[0] for item in boxes.values()])
    else:
        box = _checked(extent)
        if extent_crs is not None:
            left, bottom, right, top = box
            drawn = (left, right - left, 0.0, top, 0.0, bottom - top)
            box = extent_in(Grid(reference_of(extent_crs).ExportToWkt(), drawn, 1, 1), crs_wkt)
        if not any(overlap(box, item[0]) for item in boxes.values()):
            raise SeriesError(
                f"No raster overlaps the extent {tuple(round(v, 3) for v in box)}; give it in the "
                "CRS of the series, where the rasters are."
            )
    # Counted from the lattice's corner, so that sums of rounded corners do not drift.
    col, row = _floor((box[0] - x0) / dx), _floor((y0 - box[3]) / dy)
    width = max(1, _ceil((box[2] - x0) / dx) - col)
    height = max(1, _ceil((y0 - box[1]) / dy) - row)
    if max(width, height) > _MAX_PIXELS:
        raise SeriesError(
            f"A series of {width} x {height} pixels is too large; give a coarser resolution."
        )
    return Grid(crs_wkt, (x0 + col * dx, dx, 0.0, y0 - row * dy, 0.0, -dy), width, height)


def _reference(records: Sequence[SourceBand]) -> SourceBand:
    """Return the source that sets the lattice: a finest one, in the CRS of most of the finest."""

    def size(record: SourceBand) -> float:
        dx = record.grid.pixel_size[0]
        degrees = reference_of(record.grid.crs_wkt).IsGeographic()
        return dx * _METRES_PER_DEGREE if degrees else dx

    sizes = {grid: size(record) for grid, record in {r.grid: r for r in records}.items()}
    finest = min(sizes.values())
    candidates = [record for record in records if sizes[record.grid] <= finest * 1.001]
    counts: dict[str, int] = {}
    for record in candidates:
        counts[record.grid.crs_wkt] = counts.get(record.grid.crs_wkt, 0) + 1
    commonest = max(counts, key=lambda wkt: counts[wkt])
    return next(record for record in candidates if record.grid.crs_wkt == commonest)


def _lattice(
    grid: Grid, own: bool, resolution: float | None, geographic: bool, crs_wkt: str
) -> tuple[float, float, float, float]:
    """Return a corner and the pixel size of the lattice."""
    dx, dy = grid.pixel_size
    if own and (resolution is None or all(math.isclose(resolution, size) for size in (dx, dy))):
        return grid.extent[0], grid.extent[3], dx, dy
    if resolution is None:
        degrees = bool(reference_of(crs_wkt).IsGeographic())
        resolution = dy
        if geographic and not degrees:
            resolution = float(max(1, round(dy * _METRES_PER_DEGREE)))
        elif degrees and not geographic:
            resolution = dy / _METRES_PER_DEGREE
    return 0.0, 0.0, resolution, resolution


def _checked(extent: Sequence[float]) -> Extent:
    xmin, ymin, xmax, ymax = (float(value) for value in extent)
    finite = all(math.isfinite(value) for value in (xmin, ymin, xmax, ymax))
    if not (finite and xmin < xmax and ymin < ymax):
        raise SeriesError(f"The extent {tuple(extent)} is empty; draw it again.")
    return xmin, ymin, xmax, ymax


def overlap(first: Extent, second: Extent, gap: tuple[float, float] = (0.0, 0.0)) -> bool:
    """Return whether two extents share an area, or lie no farther apart than `gap`."""
    return (
        first[0] < second[2] + gap[0]
        and second[0] < first[2] + gap[0]
        and first[1] < second[3] + gap[1]
        and second[1] < first[3] + gap[1]
    )


def _refuse_apart(
    boxes: list[tuple[Extent, SourceBand]], reference: SourceBand, pixel: tuple[float, float]
) -> None:
    """Raise where a source neither overlaps nor touches the others, step by step."""
    reached = [item for item in boxes if item[1].grid == reference.grid]
    left = [item for item in boxes if item[1].grid != reference.grid]
    frontier = reached
    while frontier and left:
        frontier = [
            item for item in left if any(overlap(item[0], other[0], pixel) for other in frontier)
        ]
        left = [item for item in left if item not in frontier]
    if left:
        raise SeriesError(
            f"{left[0][1].name} does not overlap {reference.name}; give rasters of one area, or "
            "the extent to keep."
        )


def _around(boxes: Sequence[Extent]) -> Extent:
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def _floor(value: float) -> int:
    return round(value) if abs(value - round(value)) < _LATTICE else math.floor(value)


def _ceil(value: float) -> int:
    return round(value) if abs(value - round(value)) < _LATTICE else math.ceil(value)


def on_lattice(grid: Grid, target: Grid) -> bool:
    """Return whether a grid's edges lie on the pixel edges of another."""
    if not grid.same_crs(target):
        return False
    dx, dy = target.pixel_size
    left, _, _, top = target.extent
    xmin, ymin, xmax, ymax = grid.extent
    steps = ((xmin - left) / dx, (xmax - left) / dx, (top - ymin) / dy, (top - ymax) / dy)
    return all(abs(step - round(step)) <= _LATTICE for step in steps)


def _utm(grid: Grid) -> str:
    """Return the UTM zone of a grid in degrees."""
    xmin, ymin, xmax, ymax = grid.extent
    zone = min(60, max(1, math.floor(((xmin + xmax) / 2 + 180) / 6) + 1))
    return f"EPSG:{(32600 if ymin + ymax >= 0 else 32700) + zone}"
