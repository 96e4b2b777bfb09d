"""Zarr and NetCDF-4 cubes as xarray writes them for openEO, xcube and stackstac."""

import json

import numpy as np
from osgeo import gdal


def write_zarr(path, variables, coordinates, *, scalars=None, attributes=None):
    """Zarr 2 by hand, uncompressed.

    Args:
        path: folder to make.
        variables: name to (dimension names, array); chunks are single images.
        coordinates: name to (values, attributes); strings become `<U`, as xarray writes them.
        scalars: name to (value, attributes): `crs`, `epsg`, `spatial_ref`.
        attributes: of all variables.
    """
    path.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')

    def array(name, values, dimensions, attributes, chunks):
        folder = path / name
        folder.mkdir()
        fill = "NaN" if values.dtype.kind == "f" else None
        meta = {
            "chunks": list(chunks), "compressor": None, "dtype": values.dtype.str,
            "fill_value": fill, "filters": None, "order": "C", "shape": list(values.shape),
            "zarr_format": 2,
        }  # fmt: skip
        (folder / ".zarray").write_text(json.dumps(meta))
        (folder / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": dimensions, **attributes}))
        outer = values.shape[: max(values.ndim - 2, 0)] if chunks != values.shape else ()
        for place in np.ndindex(*outer):
            key = ".".join(map(str, [*place, *[0] * (values.ndim - len(outer))])) or "0"
            (folder / key).write_bytes(np.ascontiguousarray(values[place]).tobytes())

    for name, (values, more) in coordinates.items():
        values = np.asarray(values)
        array(name, values, [name], more, values.shape)
    for name, (value, more) in (scalars or {}).items():
        array(name, np.asarray(value), [], more, ())
    for name, (dimensions, values) in variables.items():
        chunks = (*[1] * (values.ndim - 2), *values.shape[-2:])
        array(name, values, list(dimensions), attributes or {}, chunks)
    return path


def write_netcdf4(path, variables, coordinates, *, scalars=None, attributes=None):
    """The same as NetCDF-4, through GDAL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(path))
    group = dataset.GetRootGroup()
    kinds = {
        "f4": gdal.GDT_Float32, "f8": gdal.GDT_Float64, "i2": gdal.GDT_Int16,
        "u2": gdal.GDT_UInt16, "i4": gdal.GDT_Int32, "i8": gdal.GDT_Int64, "u1": gdal.GDT_Byte,
    }  # fmt: skip
    dimensions = {}

    def write(name, values, dims, more):
        values = np.asarray(values)
        if values.dtype.kind == "U":
            array = group.CreateMDArray(name, dims, gdal.ExtendedDataType.CreateString())
            array.Write(values.tolist())
        else:
            kind = gdal.ExtendedDataType.Create(kinds[values.dtype.str[1:]])
            array = group.CreateMDArray(name, dims, kind)
            array.Write(np.ascontiguousarray(values).tobytes())
        for key, value in more.items():
            if isinstance(value, list):
                double = gdal.ExtendedDataType.Create(gdal.GDT_Float64)
                array.CreateAttribute(key, [len(value)], double).WriteDoubleArray(value)
                continue
            text = gdal.ExtendedDataType.CreateString()
            array.CreateAttribute(key, [], text).WriteString(str(value))

    for name, (values, more) in coordinates.items():
        dimensions[name] = group.CreateDimension(name, "", "", len(values))
        write(name, values, [dimensions[name]], more)
    for name, (value, more) in (scalars or {}).items():
        write(name, value, [], more)
    for name, (dims, values) in variables.items():
        write(name, values, [dimensions[dim] for dim in dims], attributes or {})
    return path
