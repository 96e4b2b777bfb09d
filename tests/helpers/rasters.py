"""Small rasters with known pixels, as users have them."""

from datetime import date, timedelta

import numpy as np
from osgeo import gdal, osr

from alise_plugin.sentinel2 import BANDS

ALL_BANDS = ("B01", *BANDS[:8], "B09", "B10", *BANDS[8:])
TRANSFORM = (600000.0, 10.0, 0.0, 5000000.0, 0.0, -10.0)


def utm(zone=31):
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32600 + zone)
    return reference


def write_raster(
    path,
    values,
    *,
    transform=TRANSFORM,
    crs=None,
    descriptions=None,
    nodata=None,
    metadata=None,
    scale=None,
    offset=None,
):
    """GeoTIFF of `values` (bands, H, W); crs "none" leaves it out.

    Ten bands are called B02 to B12 unless `descriptions` say otherwise; () leaves them unnamed.
    """
    bands, height, width = values.shape
    if descriptions is None:
        descriptions = BANDS if bands == len(BANDS) else ()
    kinds = {"u": gdal.GDT_UInt16, "i": gdal.GDT_Int16, "f": gdal.GDT_Float32}
    kind = gdal.GDT_Byte if values.dtype == np.uint8 else kinds[values.dtype.kind]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), width, height, bands, kind)
    if crs != "none":
        dataset.SetProjection((crs or utm()).ExportToWkt())
    if transform is not None:
        dataset.SetGeoTransform(transform)
    dataset.SetMetadata(metadata or {})
    for index in range(bands):
        band = dataset.GetRasterBand(index + 1)
        if index < len(descriptions):
            band.SetDescription(descriptions[index])
        if nodata is not None:
            band.SetNoDataValue(nodata)
        if scale is not None:
            band.SetScale(scale)
        if offset is not None:
            band.SetOffset(offset)
        band.WriteArray(values[index])
    dataset.FlushCache()
    return str(path)


def digital_numbers(rng, bands=10, height=12, width=15):
    """DN from 1 to 9999."""
    return rng.integers(1, 10000, (bands, height, width)).astype(np.uint16)


# Reflectance x 10^4 of bare soil and of a dense crop, B01 to B12 with B09 and B10 (made up after
# spectral libraries: soil rises slowly, a crop has its red edge between B05 and B07).
SOIL = dict(
    zip(ALL_BANDS, (700, 800, 1000, 1300, 1500, 1650, 1750, 1850, 1950, 2000, 10, 2600, 2200))
)
CROP = dict(zip(ALL_BANDS, (300, 300, 600, 350, 900, 2600, 3400, 3600, 3800, 3900, 10, 1900, 900)))


def land(rng, bands=BANDS, height=12, width=15):
    """DN (bands, height, width) of fields, some bare and some green, a little noisy."""
    green = rng.random((height, width))
    pixels = [SOIL[band] + (CROP[band] - SOIL[band]) * green for band in bands]
    noisy = np.stack(pixels) * rng.normal(1, 0.03, (len(bands), height, width))
    return np.rint(noisy).clip(1, 9999).astype(np.uint16)


def days(count, first=date(2019, 1, 5), step=11):
    return [first + timedelta(days=step * index) for index in range(count)]


def dated_rasters(folder, rng, count=3, height=12, width=15, **options):
    """One raster per date with the date in its name; returns (paths, dates, DN (T, 10, H, W))."""
    dates = days(count)
    values = np.stack([digital_numbers(rng, 10, height, width) for _ in dates])
    paths = [
        write_raster(folder / f"S2_{day:%Y%m%d}.tif", image, **options)
        for day, image in zip(dates, values)
    ]
    return paths, dates, values


def write_cube(
    path, variables, *, left, top, size, days_since, origin="2015-08-01", flip=False, **attributes
):
    """NetCDF-3 cube (time, y, x) as xarray writes it: x and y without CF attributes."""
    from scipy.io import netcdf_file

    first = next(iter(variables.values()))
    _, height, width = first.shape
    with netcdf_file(str(path), "w") as cube:
        for name, length in (("time", len(days_since)), ("y", height), ("x", width)):
            cube.createDimension(name, length)
        time = cube.createVariable("time", "i4", ("time",))
        time[:] = days_since
        time.units = f"days since {origin} 00:00:00"
        time.calendar = "proleptic_gregorian"
        x = cube.createVariable("x", "f8", ("x",))
        x[:] = left + size * (np.arange(width) + 0.5)
        y = cube.createVariable("y", "f8", ("y",))
        rows = top - size * (np.arange(height) + 0.5)
        y[:] = rows[::-1] if flip else rows
        reference = cube.createVariable("spatial_ref", "i4", ())
        reference.spatial_ref = utm().ExportToWkt()
        for name, values in variables.items():
            variable = cube.createVariable(name, "i2", ("time", "y", "x"))
            variable[:] = values[:, ::-1] if flip else values
            variable.grid_mapping = "spatial_ref"
            variable._FillValue = np.int16(0)
            for key, value in attributes.items():
                setattr(variable, key, value)
    return str(path)
