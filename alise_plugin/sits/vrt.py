"""Writes the records of an image series as one VRT."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from osgeo import gdal

from ..errors import OutputError
from .bands import BANDS
from .grid import Grid
from .series import ABSENT
from .sources.record import SourceBand

_MAX_UPS = 2  # "../../data" is near; farther away, an absolute path says more


@dataclass(frozen=True)
class Layer:
    """A source band with everything about its values settled.

    Attributes:
        source: where it lies.
        nodata: raw value that means "no value"; NaN where only NaN does.
        scale: reflectance = raw x scale + offset.
        offset: see scale.
    """

    source: SourceBand
    nodata: float
    scale: float
    offset: float


def write_vrt(path: str, grid: Grid, layers: Mapping[date, Mapping[str, Layer]]) -> None:
    """Writes T x 10 bands, date-major, under a temporary name first.

    Args:
        path: the VRT.
        grid: of the series. A layer on a coarser grid is resampled to it (bicubic).
        layers: band name to layer, per date; a band that is not there becomes a band that holds
            only "no value".

    Raises:
        OutputError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    root = ET.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    ET.SubElement(root, "SRS").text = grid.crs_wkt
    ET.SubElement(root, "GeoTransform").text = ", ".join(repr(v) for v in grid.geotransform)
    number = 0
    for day in sorted(layers):
        for band_name in BANDS:
            number += 1
            layer = layers[day].get(band_name)
            _band(root, number, day, band_name, layer, grid, folder)
    ET.indent(root, " ")
    temporary = f"{path}.{os.getpid()}.partial"
    try:
        with open(temporary, "wb") as file:
            ET.ElementTree(root).write(file, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another folder or make room."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def _band(
    root: ET.Element,
    number: int,
    day: date,
    band_name: str,
    layer: Layer | None,
    grid: Grid,
    folder: str,
) -> None:
    dtype = layer.source.dtype if layer else gdal.GDT_UInt16
    band = ET.SubElement(
        root, "VRTRasterBand", dataType=gdal.GetDataTypeName(dtype), band=str(number)
    )
    items = ET.SubElement(band, "Metadata")
    ET.SubElement(items, "MDI", key="ACQUISITION_DATE").text = day.isoformat()
    ET.SubElement(items, "MDI", key="BAND").text = band_name
    if layer is None:
        ET.SubElement(items, "MDI", key=ABSENT).text = "YES"
    ET.SubElement(band, "Description").text = f"{day.isoformat()} {band_name}"
    ET.SubElement(band, "NoDataValue").text = repr(layer.nodata if layer else 0)
    if layer is None:
        return
    if (layer.scale, layer.offset) != (1.0, 0.0):
        ET.SubElement(band, "Offset").text = repr(layer.offset)
        ET.SubElement(band, "Scale").text = repr(layer.scale)
    _source(band, layer, grid, folder)


def _source(band: ET.Element, layer: Layer, grid: Grid, folder: str) -> None:
    record = layer.source
    dx, dy = grid.pixel_size
    source_dx, source_dy = record.grid.pixel_size
    coarser = source_dx > dx * 1.001 or source_dy > dy * 1.001
    # GDAL keeps "no value" out of the cubic kernel only where the source itself declares it;
    # elsewhere the nearest pixel is taken, because an edge must not bleed.
    cubic = coarser and record.nodata is not None and record.nodata == layer.nodata
    source = (
        ET.SubElement(band, "ComplexSource", resampling="cubic")
        if cubic
        else ET.SubElement(band, "SimpleSource")
    )
    path, relative = _path_from(folder, record.path)
    ET.SubElement(
        source, "SourceFilename", relativeToVRT="1" if relative else "0", shared="1"
    ).text = record.dataset.format(path=path)
    if record.open_options:
        options = ET.SubElement(source, "OpenOptions")
        for option in record.open_options:
            key, _, value = option.partition("=")
            ET.SubElement(options, "OOI", key=key).text = value
    ET.SubElement(source, "SourceBand").text = str(record.index)
    ET.SubElement(
        source,
        "SourceProperties",
        RasterXSize=str(record.grid.width),
        RasterYSize=str(record.grid.height),
        DataType=gdal.GetDataTypeName(record.dtype),
        BlockXSize=str(record.block[0]),
        BlockYSize=str(record.block[1]),
    )
    left, _, _, top = record.grid.extent
    _rectangle(source, "SrcRect", 0, 0, record.grid.width, record.grid.height)
    _rectangle(
        source,
        "DstRect",
        round((left - grid.extent[0]) / dx),
        round((grid.extent[3] - top) / dy),
        round(record.grid.width * source_dx / dx),
        round(record.grid.height * source_dy / dy),
    )
    if cubic:
        ET.SubElement(source, "NODATA").text = repr(layer.nodata)


def _rectangle(parent: ET.Element, tag: str, x: int, y: int, width: int, height: int) -> None:
    ET.SubElement(parent, tag, xOff=str(x), yOff=str(y), xSize=str(width), ySize=str(height))


def _path_from(folder: str, path: str) -> tuple[str, bool]:
    """The path as the VRT says it, and whether it is relative to the VRT's folder."""
    if path.startswith("/vsi") or "://" in path:
        return path, False
    path = os.path.abspath(path)
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path, False
    ups = relative.split(os.sep).count("..")
    near = ups == 0 or (ups <= _MAX_UPS and ups < folder.rstrip(os.sep).count(os.sep))
    return (relative, True) if near else (path, False)


def layers_by_date(layers: Sequence[Layer]) -> dict[date, dict[str, Layer]]:
    """Layers in the shape that `write_vrt` takes."""
    by_date: dict[date, dict[str, Layer]] = {}
    for layer in layers:
        by_date.setdefault(layer.source.day, {})[layer.source.band] = layer
    return by_date
