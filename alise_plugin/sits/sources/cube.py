"""Data cubes, NetCDF or Zarr, as openEO, xcube, stackstac and xarray write them.

Either one variable per band with the dimensions (time, y, x), or one variable for all bands with
(time, band, y, x). What the cube says of itself is read through GDAL's multidimensional interface,
which NetCDF and Zarr share; its pixels are then addressed as ordinary rasters.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr

from ...errors import SeriesError
from ..acquisitions import parse_date
from ..bands import asset_band
from ..grid import Grid
from ..rasters import is_integer, open_raster, quiet_gdal, read_bands
from .record import NotAScene, Product, SourceBand

# Cubes written by xarray often lack the CF attributes of x and y. Without this option the driver
# then takes rows for bottom-up and finds no georeferencing.
_NETCDF_OPTIONS = ("IGNORE_XY_AXIS_NAME_CHECKS=YES",)
_DAYS_PER_UNIT = {
    "day": 1.0,
    "hour": 1 / 24,
    "minute": 1 / 1440,
    "second": 1 / 86400,
    "millisecond": 1 / 86400e3,
    "microsecond": 1 / 86400e6,
    "nanosecond": 1 / 86400e9,
}
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_TIME = re.compile(r"t|time|date|dates|day", re.IGNORECASE)
_ACROSS = ("x", "lon", "longitude", "easting")
_ALONG = ("y", "lat", "latitude", "northing")
_MAX_DEPTH = 6  # of groups in groups
_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
_SAME_PLACE = 0.1  # pixels: how near a coordinate lies to a corner
_UNEVEN = 0.01  # pixels: how far coordinates may lie beside even steps
_ZARR_MARKS = (".zgroup", ".zarray", ".zmetadata", "zarr.json")


def is_cube(path: str) -> bool:
    """Return whether a path is a NetCDF file or a Zarr folder."""
    if os.path.isdir(path):
        return any(os.path.exists(os.path.join(path, mark)) for mark in _ZARR_MARKS)
    with quiet_gdal():
        driver = gdal.IdentifyDriver(path)
        return driver is not None and driver.ShortName == "netCDF"
    return False


def read_cube(path: str) -> list[SourceBand]:
    """Return the bands, and scene classes (SCL), of a cube.

    Variables, or the entries of a band dimension, are recognised by name (B2, B02, red, SCL); the
    others are left out.

    Raises:
        SeriesError: nothing in it is a band, or it has no dates, no CRS or other dimensions.
    """
    path = path.rstrip("/\\")
    name = os.path.basename(path)
    dataset = None
    with quiet_gdal() as failures:
        dataset = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER)
    if dataset is None:
        reason = f" ({failures[0]})" if failures else ""
        raise SeriesError(f"{path} cannot be opened as a cube{reason}; check that it is complete.")
    records: list[SourceBand] = []
    problems: list[SeriesError] = []
    arrays = 0
    for group in _groups(dataset.GetRootGroup()):
        for variable in group.GetMDArrayNames() or []:
            array = _array(group, variable)
            arrays += array is not None
            if array is None or not _is_wanted(array):
                continue
            try:
                records += _Variable(path, group, array).records()
            except SeriesError as error:
                problems.append(error)
    # What is no band may be anything, as long as there are bands beside it.
    if not records and problems:
        raise problems[0]
    if not records:
        what = "variable named as a Sentinel-2 band (B2, B03, B8A, ...); rename its variables"
        if not arrays:
            what = "array that GDAL can read; choose a cube with bands"
        raise NotAScene(f"{name} has no {what}.")
    return _finest(records)


def _groups(group: gdal.Group, depth: int = 0) -> Iterator[gdal.Group]:
    """Yield a group and all groups in it."""
    yield group
    for name in (group.GetGroupNames() or []) if depth < _MAX_DEPTH else []:
        inner = None
        with quiet_gdal():
            inner = group.OpenGroup(name)
        if inner is not None:
            yield from _groups(inner, depth + 1)


def _is_wanted(array: gdal.MDArray) -> bool:
    """Return whether an array is named as a band, or may hold several."""
    if array.GetDataType().GetClass() != gdal.GEDTC_NUMERIC:
        return False
    return asset_band(array.GetName()) is not None or len(array.GetDimensions()) == 4


def _finest(records: Sequence[SourceBand]) -> list[SourceBand]:
    """Return records without those that another group of the cube holds with smaller pixels."""
    sizes: dict[tuple[date, str], float] = {}
    for record in records:
        key, size = (record.day, record.band), record.grid.pixel_size[0]
        sizes[key] = min(size, sizes.get(key, size))
    return [one for one in records if one.grid.pixel_size[0] == sizes[one.day, one.band]]


@dataclass(frozen=True)
class _Variable:
    """One array of a cube."""

    path: str
    group: gdal.Group
    array: gdal.MDArray

    @property
    def variable(self) -> str:
        """Return its path in the cube, without the slash that begins it."""
        return str(self.array.GetFullName()).lstrip("/")

    @property
    def where(self) -> str:
        return f"{os.path.basename(self.path)} ({self.variable})"

    @property
    def _netcdf_name(self) -> str:
        """Its name as GDAL's dataset names have it: with a slash before it only in a group."""
        return f"/{self.variable}" if "/" in self.variable else self.variable

    def records(self) -> list[SourceBand]:
        own = asset_band(self.array.GetName())
        extra = self.array.GetDimensions()[:-2]
        labels = [self._labels(dimension) for dimension in extra]
        times = [axis for axis, dimension in enumerate(extra) if self._is_time(dimension)]
        named = [label for row in labels for label in row if asset_band(str(label))]
        if own is None and not named:
            return []
        if len(extra) not in (1, 2) or len(times) != 1:
            raise SeriesError(
                f"{self.where} does not have the dimensions (time, y, x), or (time, band, y, x); "
                "reshape it."
            )
        days = self._days(extra[times[0]])
        often = Counter(days)
        others = [axis for axis in range(len(extra)) if axis != times[0]]
        bands: Sequence[str | None] = [own]
        if others:
            bands = [asset_band(str(label)) for label in labels[others[0]]]
            if not any(bands):
                return []
        grid, ascending, remark = self._grid()
        zarr = os.path.isdir(self.path)
        scale, offset = self.array.GetScale(), self.array.GetOffset()
        if scale in (None, 1.0) and offset in (None, 0.0):
            scale = offset = None
        records = []
        opened: gdal.Dataset | None = None
        nodata: float | None = None
        south_first = ascending if zarr else None
        for number, place in enumerate(
            itertools.product(*(range(dimension.GetSize()) for dimension in extra))
        ):
            band = bands[place[others[0]]] if others else own
            if band is None:
                continue
            indices = ":".join(map(str, place))
            moment = place[times[0]]
            # Two images of a day, as two tiles that a swath crosses, are parts of a mosaic.
            scene = f"{self.path} {moment}" if often[days[moment]] > 1 else ""
            record = SourceBand(
                file=self.path,
                path=self.path,
                dataset=(
                    f'ZARR:"{{path}}":/{self.variable}:{indices}'
                    if zarr
                    else f'NETCDF:"{{path}}":{self._netcdf_name}'
                ),
                open_options=() if zarr else _NETCDF_OPTIONS,
                index=1 if zarr else number + 1,
                day=days[moment],
                band=band,
                grid=grid,
                nodata=None,
                scale=None if scale is None and offset is None else (scale or 1.0),
                offset=None if scale is None and offset is None else (offset or 0.0),
                dtype=self.array.GetDataType().GetNumericDataType(),
                block=self._block(grid),
                product=Product(
                    name=os.path.basename(self.path),
                    kind="Zarr" if zarr else "NetCDF",
                    date_from="the cube's time",
                    scene=scene,
                    remark=remark,
                ),
            )
            if opened is None:
                # The driver has a nodata of its own where the file declares none.
                opened = open_raster(record.dataset_name, record.open_options)
                nodata = opened.GetRasterBand(record.index).GetNoDataValue()
            if south_first is None:
                south_first = self._shows_south_first(opened, record, place, ascending)
            records.append(record)
        kind = self.array.GetDataType().GetNumericDataType()
        if self.array.GetNoDataValueAsDouble() is None and is_integer(kind):
            nodata = None  # as of other files: what the driver has is no value in any of them
        if nodata is not None and math.isnan(nodata):
            nodata = None
        return [replace(item, flipped=bool(south_first), nodata=nodata) for item in records]

    def _labels(self, dimension: gdal.Dimension) -> list[object]:
        coordinate = _coordinate(self.group, dimension)
        if coordinate is None:
            return list(range(dimension.GetSize()))
        if coordinate.GetDataType().GetClass() == gdal.GEDTC_STRING:
            return list(coordinate.Read())
        return list(_numbers(coordinate))

    def _is_time(self, dimension: gdal.Dimension) -> bool:
        coordinate = _coordinate(self.group, dimension)
        units = "" if coordinate is None else _units(coordinate)
        return " since " in units or bool(_TIME.fullmatch(dimension.GetName()))

    def _days(self, dimension: gdal.Dimension) -> list[date]:
        coordinate = _coordinate(self.group, dimension)
        if coordinate is None:
            raise SeriesError(
                f"The time of {self.where} has no coordinate; write the cube with its dates."
            )
        if coordinate.GetDataType().GetClass() == gdal.GEDTC_STRING:
            days = [parse_date(text) for text in coordinate.Read()]
            if any(day is None for day in days):
                raise SeriesError(f"The time of {self.where} holds texts that are not dates.")
            return [day for day in days if day is not None]
        units, calendar = _units(coordinate), _text(coordinate, "calendar") or "standard"
        return [_day(self.where, value, units, calendar) for value in _numbers(coordinate)]

    def _grid(self) -> tuple[Grid, bool, str]:
        """Return the grid, whether rows run from south to north, and what is doubtful in it."""
        *_, vertical, horizontal = self.array.GetDimensions()
        if vertical.GetName().lower() in _ACROSS or horizontal.GetName().lower() in _ALONG:
            raise SeriesError(
                f"{self.where} has its rows along {vertical.GetName()}; reshape it to (time, y, x) "
                "or (time, band, y, x)."
            )
        xs, dx = self._steps(horizontal)
        ys, dy = self._steps(vertical)
        if dx <= 0:
            raise SeriesError(f"The columns of {self.where} run from east to west; sort them.")
        ascending = dy > 0
        dy = abs(dy)
        left, top = xs[0] - dx / 2, max(ys[0], ys[-1]) + dy / 2
        corners, remark = self._counts_corners(xs[0], dx)
        if corners:
            # stackstac labels a pixel by its upper left corner unless it is told otherwise.
            left, top = left + dx / 2, top - dy / 2
        edges = self._edges(horizontal), self._edges(vertical)
        if edges[0] is not None and edges[1] is not None:
            left, top, remark = edges[0].min(), edges[1].max(), ""
        transform = (float(left), dx, 0.0, float(top), 0.0, -dy)
        return Grid(self._crs(), transform, len(xs), len(ys)), ascending, remark

    def _edges(self, dimension: gdal.Dimension) -> NDArray[np.float64] | None:
        """Return the edges of the pixels along a dimension; None where CF does not state them."""
        coordinate = _coordinate(self.group, dimension)
        name = _text(coordinate, "bounds") if coordinate is not None else None
        bounds = _array(self.group, name) if name else None
        if bounds is None or [one.GetSize() for one in bounds.GetDimensions()] != [
            dimension.GetSize(),
            2,
        ]:
            return None
        return _numbers(bounds)

    def _steps(self, dimension: gdal.Dimension) -> tuple[NDArray[np.float64], float]:
        coordinate = _coordinate(self.group, dimension)
        if coordinate is None:
            raise SeriesError(
                f"{self.where} has no coordinates of {dimension.GetName()}, so nothing says where "
                "it lies; write the cube with them."
            )
        values = _numbers(coordinate)
        if len(values) < 2:
            raise SeriesError(f"{self.where} is one pixel wide; give a larger cube.")
        step = (values[-1] - values[0]) / (len(values) - 1)
        even = values[0] + step * np.arange(len(values))
        if step == 0 or np.abs(values - even).max() > _UNEVEN * abs(step):
            raise SeriesError(
                f"The coordinates {dimension.GetName()} of {self.where} are not evenly spaced; "
                "resample the cube to a regular grid."
            )
        return values, float(step)

    def _counts_corners(self, x0: float, dx: float) -> tuple[bool, str]:
        """Whether the coordinates are those of corners, not of centres, and a remark in doubt."""
        alone = _scalar(self.group, "epsg") is not None  # the CRS as stackstac writes it
        own, others = self._stated_origins()
        # What stackstac states comes first, then Sentinel-2's own grid, whose corners are multiples
        # of the pixel size, and last what rioxarray may have worked out from the coordinates.
        origins = [*own, *([(0.0, dx)] if alone and _is_whole(x0 / dx) else []), *others]
        for origin, size in origins:
            # A cube that was cut out keeps the transform of the whole, one that was made coarser
            # that of the fine one: only the place within a pixel of this size counts.
            if abs(size - dx) < _UNEVEN * dx:
                return _is_whole((x0 - origin) / dx), ""
        if not alone or _is_whole(x0 / dx - 0.5):
            return False, ""
        remark = (
            "nothing states whether x and y are corners or centres of pixels, so they are taken as "
            "corners, which is what stackstac writes; keep the attribute transform when writing "
            "the cube to state it"
        )
        return True, remark

    def _stated_origins(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return left edge and pixel size as the array states them, and as its CRS does."""
        affine = _floats(self.array, "transform")
        own = [(affine[2], affine[0])] if len(affine) >= 6 else []
        others = []
        for name in (_text(self.array, "grid_mapping"), "spatial_ref", "crs"):
            holder = _array(self.group, name) if name else None
            stated = _floats(holder, "GeoTransform") if holder is not None else []
            if len(stated) >= 6:
                others.append((stated[0], stated[1]))
        return own, others

    def _crs(self) -> str:
        reference = self.array.GetSpatialRef()
        if reference is None:
            reference = osr.SpatialReference()
            mapping = _text(self.array, "grid_mapping")
            holders = [_array(self.group, mapping)] if mapping else []
            holders += [_array(self.group, name) for name in ("spatial_ref", "crs")]
            found = None
            for holder in holders:
                for key in ("crs_wkt", "spatial_ref"):
                    found = found or (holder and _text(holder, key))
            epsg = _scalar(self.group, "epsg")
            found = found or _text(self.array, "crs") or (f"EPSG:{epsg:.0f}" if epsg else None)
            names = [d.GetName().lower() for d in self.array.GetDimensions()[-2:]]
            if found is None and names in (["lat", "lon"], ["latitude", "longitude"]):
                found = "EPSG:4326"  # what CF means by latitude and longitude
            known = False
            if found:
                with quiet_gdal():
                    known = reference.SetFromUserInput(found) == 0
            if not known:
                raise SeriesError(
                    f"{self.where} has no CRS; write the cube with its CRS (spatial_ref, or epsg)."
                )
        return Grid.registered_wkt(reference)

    def _block(self, grid: Grid) -> tuple[int, int]:
        blocks = list(self.array.GetBlockSize() or [0, 0])
        return int(blocks[-1] or grid.width), int(blocks[-2] or 1)

    def _shows_south_first(
        self, dataset: gdal.Dataset, record: SourceBand, place: tuple[int, ...], ascending: bool
    ) -> bool | None:
        """Return whether GDAL's classic view of an image begins in the south, if it can be told.

        The NetCDF driver decides by the attributes of y, which differ from writer to writer; so
        the image's middle column is compared with that of the array itself.
        """
        height, column = record.grid.height, record.grid.width // 2
        shown = read_bands(dataset, [record.index], column, 0, 1, height).ravel()
        raw = self.array.Read(
            array_start_idx=[*place, 0, column],
            count=[*[1] * len(place), height, 1],
            buffer_datatype=gdal.ExtendedDataType.Create(gdal.GDT_Float32),
        )
        values = np.frombuffer(raw, dtype=np.float32)
        both = np.isfinite(values)  # the driver puts its own nodata in the place of NaN
        both &= both[::-1]
        north_first = (values[::-1] if ascending else values)[both]
        shown = shown[both]
        if np.array_equal(north_first, north_first[::-1]):
            return None
        return not np.array_equal(shown, north_first)


def _array(group: gdal.Group, name: str) -> gdal.MDArray | None:
    with quiet_gdal():
        return group.OpenMDArray(name)
    return None


def _coordinate(group: gdal.Group, dimension: gdal.Dimension) -> gdal.MDArray | None:
    return dimension.GetIndexingVariable() or _array(group, dimension.GetName())


def _numbers(array: gdal.MDArray) -> NDArray[np.float64]:
    kind = gdal.ExtendedDataType.Create(gdal.GDT_Float64)
    return np.frombuffer(array.Read(buffer_datatype=kind), dtype=np.float64)


def _scalar(group: gdal.Group, name: str) -> float | None:
    array = _array(group, name)
    if array is None or array.GetDimensions() or array.GetDataType().GetClass() != 0:
        return None
    return float(_numbers(array)[0])


def _text(holder: gdal.MDArray, name: str) -> str | None:
    for attribute in holder.GetAttributes():
        if attribute.GetName() == name:
            return str(attribute.ReadAsString())
    return None


def _is_whole(pixels: float) -> bool:
    """Return whether a distance is one of whole pixels."""
    return abs(pixels - round(pixels)) < _SAME_PLACE


def _floats(holder: gdal.MDArray, name: str) -> list[float]:
    """Return the numbers of an attribute, which some write as a list and some as a text."""
    for attribute in holder.GetAttributes():
        if attribute.GetName() != name:
            continue
        if attribute.GetDataType().GetClass() == gdal.GEDTC_NUMERIC:
            return [float(number) for number in attribute.ReadAsDoubleArray() or []]
        return [float(number) for number in _NUMBER.findall(attribute.ReadAsString() or "")]
    return []


def _units(coordinate: gdal.MDArray) -> str:
    return coordinate.GetUnit() or _text(coordinate, "units") or ""


def _day(where: str, moment: float, units: str, calendar: str) -> date:
    """Return the calendar day of a CF time coordinate ("days since 2015-08-01 00:00:00")."""
    # "1970-1-1", as terra writes it, is 1970-01-01.
    padded = re.sub(r"-(\d)(?!\d)", r"-0\1", units.strip())
    match = re.fullmatch(r"(\w+?)s? since (.+)", padded)
    origin = parse_date(match[2]) if match else None
    unit = _DAYS_PER_UNIT.get(match[1].lower()) if match else None
    if match is None or origin is None or unit is None or calendar not in _CALENDARS:
        raise SeriesError(
            f"The time of {where} is '{units}' in the {calendar} calendar, which is not a count "
            "of days, hours, minutes or seconds since a date; convert it."
        )
    hour = re.search(r"[ T](\d{1,2}):(\d{2})", match[2])
    start = (int(hour[1]) + int(hour[2]) / 60) / 24 if hour else 0.0
    try:
        return origin + timedelta(days=math.floor(moment * unit + start + 1e-9))
    except (OverflowError, ValueError) as error:
        raise SeriesError(
            f"The time of {where} holds {moment:g} {units}, which is no date; correct it."
        ) from error
