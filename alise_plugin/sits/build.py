"""Builds an image series, a VRT, from the rasters that a user has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ..errors import SeriesError
from .grid import Grid
from .rasters import is_integer, open_raster, read_bands
from .series import ImageSeries
from .sources.netcdf import is_netcdf, read_netcdf
from .sources.raster import read_raster
from .sources.record import SourceBand
from .vrt import Layer, layers_by_date, write_vrt

DN_SCALE = 1e-4
"""Reflectance per digital number, where integers are DN = reflectance x 10^4."""
_MAX_REFLECTANCE = 2.0  # bright cloud and glint pass 1.0; nothing natural passes this
_OFFSET_SINCE = date(2022, 1, 25)
"""First day of processing baseline 04.00, whose DN = 10000 x reflectance + 1000."""
_OFFSET_DN = 1000
_DARK_BANDS = ("B02", "B03", "B04")  # in which water, shadow or leaves are nearly black
_LATTICE = 0.05  # pixels: how far a layer may lie beside the lattice of the series
_SAMPLE = 64  # pixels: side of the windows that the scale is judged on
_SAMPLED_BANDS = 20  # bands of a file that the scale is judged on
_STRIP = 256  # rows compared at a time


def build_series(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    dates: Sequence[date] | None = None,
    start: date | None = None,
    end: date | None = None,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | None = None,
) -> ImageSeries:
    """Writes the VRT of an image series over the given rasters, without copying pixels.

    Inputs may be rasters of one date, stacks of T x 10 bands (described, or with `dates`), image
    series, and NetCDF cubes with one variable per band, in any mixture. Where two of them have a
    band of one date at different pixel sizes, the finer one is used; the series is on the finest
    grid, and coarser bands are resampled to it (bicubic).

    Args:
        inputs: files.
        output: the VRT to write.
        dates: acquisition dates, one per file, or one per acquisition of a single stack.
        start: first day to keep.
        end: last day to keep.
        scale: reflectance per unit of the files; None: what a file states, else 1e-4 for integer
            data that pass 2 and 1 for floating-point data that do not.
        offset: reflectance of the raw value 0; None: what a file states, else 0.
        nodata: raw value without meaning; None: what a file declares, else 0 for integer data.

    Returns:
        The series, opened.

    Raises:
        SeriesError: what was given does not make a series; says which file and why. Also where
            DN may hold the offset of processing baseline 04.00 and nothing states it.
        OutputError: the VRT cannot be written.
    """
    output = os.fspath(output)
    files = _distinct([os.fspath(path) for path in inputs])
    if not files:
        raise SeriesError("No raster was given; choose at least one.")
    if _identity(output) in {_identity(path) for path in files}:
        raise SeriesError(f"{output} is also an input; choose another name for the image series.")
    records = _read(files, dates)
    records = [
        record
        for record in records
        if (start is None or record.day >= start) and (end is None or record.day <= end)
    ]
    if not records:
        raise SeriesError(
            f"No acquisition lies between {start or 'the first'} and {end or 'the last'} day; "
            "widen the dates."
        )
    grid = _common_grid(records)
    records = _one_per_band(records)
    layers = _settle_values(records, scale, offset, nodata)
    write_vrt(output, grid, layers_by_date(layers))
    return ImageSeries.open(output)


def _identity(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _distinct(paths: Sequence[str]) -> list[str]:
    """Paths in order, a file that is given twice once."""
    return list({_identity(path): path for path in reversed(paths)}.values())[::-1]


def _read(files: Sequence[str], dates: Sequence[date] | None) -> list[SourceBand]:
    """Records of all files, each read by the reader of its kind."""
    if dates and len(files) > 1 and len(dates) != len(files):
        raise SeriesError(
            f"{len(dates)} dates were given for {len(files)} rasters; give one date per raster, "
            "in the same order."
        )
    records = []
    for position, path in enumerate(files):
        if os.path.isdir(path):
            raise SeriesError(f"{path} is a folder; give the rasters inside it.")
        if is_netcdf(path):
            if dates:
                raise SeriesError(
                    f"{os.path.basename(path)} is a NetCDF cube, which has its own dates; "
                    "leave the dates out."
                )
            records += read_netcdf(path)
        elif dates and len(files) > 1:
            records += read_raster(path, [dates[position]])
        else:
            records += read_raster(path, dates)
    return records


def _common_grid(records: Sequence[SourceBand]) -> Grid:
    """The finest grid, extended over all layers.

    Raises:
        SeriesError: a layer has another CRS, does not overlap, or lies between the pixels.
    """
    reference = min(records, key=lambda record: record.grid.pixel_size)
    dx, dy = reference.grid.pixel_size
    left, bottom, right, top = reference.grid.extent
    x0, y0 = left, top
    for grid, record in {record.grid: record for record in records}.items():
        if not grid.same_crs(reference.grid):
            raise SeriesError(
                f"{record.name} and {reference.name} have different CRS; warp one of them to the "
                "CRS of the other."
            )
        xmin, ymin, xmax, ymax = grid.extent
        if not _overlap(grid.extent, reference.grid.extent):
            raise SeriesError(
                f"{record.name} does not overlap {reference.name}; give rasters of one area."
            )
        steps = ((xmin - x0) / dx, (xmax - x0) / dx, (y0 - ymin) / dy, (y0 - ymax) / dy)
        if any(abs(step - round(step)) > _LATTICE for step in steps):
            raise SeriesError(
                f"The pixels of {record.name} do not lie on those of {reference.name}; warp one "
                "to the pixels of the other (gdalwarp -tap -tr)."
            )
        left, bottom = min(left, xmin), min(bottom, ymin)
        right, top = max(right, xmax), max(top, ymax)
    # Counted from the reference's corner, so that sums of rounded corners do not drift.
    col, row = round((left - x0) / dx), round((y0 - top) / dy)
    return Grid(
        reference.grid.crs_wkt,
        (x0 + col * dx, dx, 0.0, y0 - row * dy, 0.0, -dy),
        round((right - x0) / dx) - col,
        round((y0 - bottom) / dy) - row,
    )


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def _one_per_band(records: Sequence[SourceBand]) -> list[SourceBand]:
    """One record per date and band: the finer of two, or either of two equal ones.

    Raises:
        SeriesError: two files hold different pixels for the same date and band.
    """
    chosen: dict[tuple[date, str], SourceBand] = {}
    for record in records:
        key = (record.day, record.band)
        other = chosen.get(key)
        if other is None or record.grid.pixel_size < other.grid.pixel_size:
            chosen[key] = record
        elif record.grid.pixel_size == other.grid.pixel_size and not _same_pixels(record, other):
            raise SeriesError(
                f"{other.name} and {record.name} are both {record.band} of {record.day} and "
                "differ; give one of them, or their mosaic."
            )
    return list(chosen.values())


def _same_pixels(first: SourceBand, second: SourceBand) -> bool:
    if not first.grid.same_grid(second.grid):
        return False
    one, two = (open_raster(record.dataset_name, record.open_options) for record in (first, second))
    for row in range(0, first.grid.height, _STRIP):
        size = (0, row, first.grid.width, min(_STRIP, first.grid.height - row))
        a, b = read_bands(one, [first.index], *size), read_bands(two, [second.index], *size)
        if not np.array_equal(a, b, equal_nan=True):
            return False
    return True


def _settle_values(
    records: Sequence[SourceBand],
    scale: float | None,
    offset: float | None,
    nodata: float | None,
) -> list[Layer]:
    """Scale, offset and nodata of every record: the caller's, else the file's, else by rule."""
    unstated = [r for r in records if r.scale is None] if scale is None else []
    judged = _judge_scale(unstated)
    if offset is None and scale in (None, DN_SCALE):
        _refuse_hidden_offset([r for r in records if r.scale is None and is_integer(r.dtype)])
    layers = []
    for record in records:
        # Sentinel-2 products keep DN 0 for "no value" and rarely declare it.
        raw = record.nodata if nodata is None else nodata
        if raw is None:
            raw = 0.0 if is_integer(record.dtype) else np.nan
        layers.append(
            Layer(
                record,
                nodata=float(raw),
                scale=_first(scale, record.scale, judged.get(is_integer(record.dtype))),
                offset=_first(offset, record.offset, 0.0),
            )
        )
    return layers


def _first(*values: float | None) -> float:
    return next(float(value) for value in values if value is not None)


def _judge_scale(records: Sequence[SourceBand]) -> dict[bool, float]:
    """Scale of the integer records (key True) and of the floating-point ones (key False).

    Integers beyond 2 are DN; floating-point values up to 2 are reflectance. A dark or empty
    file says nothing alone, so each of the two kinds is judged as a whole.

    Raises:
        SeriesError: the values are neither.
    """
    judged = {}
    integers = [record for record in records if is_integer(record.dtype)]
    if integers:
        if not any(_highest(record) > _MAX_REFLECTANCE for record in integers):
            raise SeriesError(
                f"{integers[0].name} holds integers that do not pass 2 where they were looked at, "
                "so they may be anything; give the scale (0.0001 for DN = reflectance x 10000)."
            )
        judged[True] = DN_SCALE
    for record in _some_per_file([record for record in records if not is_integer(record.dtype)]):
        highest = _highest(record)
        if highest > _MAX_REFLECTANCE:
            raise SeriesError(
                f"{record.name} holds floating-point values up to {highest:.6g}, which are not "
                "reflectance (0 to 1); give the scale (0.0001 for DN = reflectance x 10000)."
            )
        judged[False] = 1.0
    return judged


def _refuse_hidden_offset(records: Sequence[SourceBand]) -> None:
    """Raises where DN from 2022-01-25 on look as if they held BOA_ADD_OFFSET, and none says so.

    One dark pixel proves that they do not: with the offset, black is DN 1000.
    """
    recent = [r for r in records if r.day >= _OFFSET_SINCE and r.band in _DARK_BANDS]
    lowest = np.inf
    for record in recent:
        values = _sampled_values(record)
        lowest = min(lowest, float(values[values != 0].min(initial=np.inf)))
        if lowest < _OFFSET_DN:
            return
    if np.isfinite(lowest):
        raise SeriesError(
            f"The DN of {recent[0].name} and of all that follow begin at {lowest:.0f}, as in "
            "products since 2022-01-25 that hold an offset of 1000; give the offset (-0.1 if they "
            "do, 0 if these images are only bright)."
        )


def _some_per_file(records: Sequence[SourceBand]) -> list[SourceBand]:
    """At most _SAMPLED_BANDS records of each file, spread over its bands."""
    by_file: dict[str, list[SourceBand]] = {}
    for record in records:
        by_file.setdefault(record.file, []).append(record)
    return [
        record
        for group in by_file.values()
        for record in group[:: max(1, len(group) // _SAMPLED_BANDS)]
    ]


def _highest(record: SourceBand) -> float:
    """The highest of the sampled values of a record; -inf where all are nodata."""
    return float(_sampled_values(record).max(initial=-np.inf))


def _sampled_values(record: SourceBand) -> NDArray[np.float32]:
    """The values, 1-D and without nodata, of a few windows spread over a record."""
    dataset = open_raster(record.dataset_name, record.open_options)
    width, height = min(record.grid.width, _SAMPLE), min(record.grid.height, _SAMPLE)
    found = []
    for part in (0.5, 0.25, 0.75, 0.0, 1.0):
        col = int((record.grid.width - width) * part)
        row = int((record.grid.height - height) * part)
        values = read_bands(dataset, [record.index], col, row, width, height)
        found.append(values[np.isfinite(values) & (values != record.nodata)])
    return np.concatenate(found)
