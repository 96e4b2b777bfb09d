"""NetCDF cubes: one variable per band, with time, y and x."""

from __future__ import annotations

import math
import os
import re
from datetime import date, timedelta

from osgeo import gdal

from ...errors import SeriesError
from ..acquisitions import parse_date
from ..bands import canonical_band
from ..grid import Grid
from ..rasters import open_raster, stated_scale
from .record import SourceBand

# Cubes written by xarray often lack the CF attributes of x and y. Without this option the driver
# then takes rows for bottom-up and finds no georeferencing.
_OPEN_OPTIONS = ("IGNORE_XY_AXIS_NAME_CHECKS=YES",)
_DAYS_PER_UNIT = {"day": 1.0, "hour": 1 / 24, "minute": 1 / 1440, "second": 1 / 86400}


def is_netcdf(path: str) -> bool:
    """Whether GDAL takes the file for a NetCDF."""
    driver = gdal.IdentifyDriver(path)
    return driver is not None and driver.ShortName == "netCDF"


def read_netcdf(path: str) -> list[SourceBand]:
    """The bands of a NetCDF cube whose variables are named as bands are (B2, B02, B8A ...).

    Other variables (SCL, masks) are left out.

    Raises:
        SeriesError: no variable is a band, or one has no dates, no CRS or another dimension.
    """
    name = os.path.basename(path)
    whole = open_raster(path, _OPEN_OPTIONS)
    # A file with one variable has no list of subdatasets: it is that variable.
    names = [item[0] for item in whole.GetSubDatasets()] or [whole.GetDescription()]
    records = []
    for dataset_name in names:
        dataset = open_raster(dataset_name, _OPEN_OPTIONS)
        variable = dataset.GetRasterBand(1).GetMetadataItem("NETCDF_VARNAME") or ""
        band_name = canonical_band(variable)
        if band_name is not None:
            records += _variable(path, name, dataset, variable, band_name)
    if not records:
        raise SeriesError(
            f"{name} has no variable named as a Sentinel-2 band (B2, B03, B8A, ...); rename its "
            "variables."
        )
    return records


def _variable(
    path: str, name: str, dataset: gdal.Dataset, variable: str, band_name: str
) -> list[SourceBand]:
    where = f"{name} ({variable})"
    grid = Grid.from_dataset(dataset, where)
    items = dataset.GetMetadata()
    axis = re.fullmatch(r"\{(\w+)\}", items.get("NETCDF_DIM_EXTRA", ""))
    if axis is None:
        raise SeriesError(f"{where} does not have the dimensions (time, y, x); reshape it.")
    units = items.get(f"{axis[1]}#units", "")
    calendar = items.get(f"{axis[1]}#calendar", "standard")
    records = []
    for index in range(1, dataset.RasterCount + 1):
        band = dataset.GetRasterBand(index)
        moment = band.GetMetadataItem(f"NETCDF_DIM_{axis[1]}")
        scale, offset = stated_scale(band)
        records.append(
            SourceBand(
                file=path,
                path=path,
                dataset=f'NETCDF:"{{path}}":{variable}',
                open_options=_OPEN_OPTIONS,
                index=index,
                day=_day(where, float(moment), units, calendar),
                band=band_name,
                grid=grid,
                nodata=band.GetNoDataValue(),
                scale=scale,
                offset=offset,
                dtype=band.DataType,
                block=tuple(band.GetBlockSize()),
            )
        )
    return records


def _day(where: str, moment: float, units: str, calendar: str) -> date:
    """The calendar day of a CF time coordinate ("days since 2015-08-01 00:00:00")."""
    match = re.fullmatch(r"(day|hour|minute|second)s? since (.+)", units.strip())
    origin = parse_date(match[2]) if match else None
    if match is None or origin is None or calendar not in _CALENDARS:
        raise SeriesError(
            f"The time of {where} is '{units}' in the {calendar} calendar, which is not a count "
            "of days, hours, minutes or seconds since a date; convert it."
        )
    hour = re.search(r"[ T](\d{1,2}):(\d{2})", match[2])
    start = (int(hour[1]) + int(hour[2]) / 60) / 24 if hour else 0.0
    return origin + timedelta(days=math.floor(moment * _DAYS_PER_UNIT[match[1]] + start + 1e-9))


_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
