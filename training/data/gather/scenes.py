"""Small image series in NetCDF, every acquisition with its Sen2Cor classes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
from osgeo import gdal

from alise_plugin.sentinel2 import BANDS

from .samples import GatheredSet, GatherError, bands_of, numbers
from .sources import Source

CLASSES = "SCL"
# All bands in one array of reflectance, where they are not arrays of DN by their names.
TOGETHER = "band_data"
_UNIT_SECONDS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "milliseconds": 0.001}


def scenes(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return a numbered set of each file.

    Raises:
        GatherError: a file cannot be read, or lacks what it should hold.
    """
    found = []
    for number, path in enumerate(files):
        dataset = gdal.OpenEx(str(path), gdal.OF_MULTIDIM_RASTER)
        if dataset is None:
            raise GatherError(
                f"{path.name} of {source.repository} cannot be read by GDAL's NetCDF."
            )
        root = dataset.GetRootGroup()
        names = root.GetMDArrayNames() or []
        missing = {"time", CLASSES} - set(names)
        if missing or not ({TOGETHER, *BANDS} & set(names)):
            raise GatherError(
                f"{path.name} of {source.repository} has no "
                f"{', '.join(sorted(missing)) or 'band'} any more."
            )
        classes = _values(root.OpenMDArray(CLASSES))
        dn = np.zeros((len(classes), len(BANDS), *classes.shape[1:]), np.uint16)
        if TOGETHER in names:
            values = _values(root.OpenMDArray(TOGETHER)) * 10000
            for place, band in enumerate(root.OpenMDArray("band").Read()):
                dn[:, BANDS.index(f"B{band[1:]:0>2}")] = numbers(values[:, place])
        else:
            for band in set(BANDS) & set(names):
                values = _values(root.OpenMDArray(band))
                dn[:, BANDS.index(band)] = numbers(values, source.offset_dn)
        arrays = {
            "reflectance": dn,
            "dates": np.array([day.isoformat() for day in _days(root.OpenMDArray("time"))]),
            "clear": (dn > 0).any(1),
            # A class below 0 is a place without any.
            "scl": classes.clip(0, 255).astype(np.uint8),
        }
        found.append(GatheredSet(f"{source.site}_{number}", arrays, bands_of(dn)))
    return found


def _values(array: gdal.MDArray) -> np.ndarray:
    """Return all values as float64, whatever they are stored as; NaN stays NaN."""
    shape = [dimension.GetSize() for dimension in array.GetDimensions()]
    double = gdal.ExtendedDataType.Create(gdal.GDT_Float64)
    return np.frombuffer(array.Read(buffer_datatype=double), np.float64).reshape(shape)


def _days(time: gdal.MDArray) -> list[date]:
    """Return the days of a coordinate such as "hours since 2019-02-05 10:02:19"."""
    unit, _, start = time.GetUnit().partition(" since ")
    first = date.fromisoformat(start[:10])
    clock = [int(part) for part in start[11:19].split(":")] if len(start) > 11 else [0, 0, 0]
    offset = 3600 * clock[0] + 60 * clock[1] + clock[2]
    seconds = _values(time) * _UNIT_SECONDS[unit] + offset
    return [first + timedelta(days=int(second // 86400)) for second in seconds]
