"""Elements of the XML of a VRT."""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ET  # nosec B405  # types and writing only
from dataclasses import dataclass, field

from osgeo import gdal

from ..grid import Grid
from ..no_value import FULL, no_value_table
from ..sources.record import SourceBand
from .layers import Layer

HELPER_BLOCK = 512  # pixels: side of the blocks that helpers are read in
OPAQUE = 255  # of a helper's alpha band: the pixel has a value

_WARP_ALGORITHMS = {"cubic": "Cubic", "average": "Average", "nearest": "NearestNeighbour"}


def xml_text(root: ET.Element) -> bytes:
    """Return an element as indented text."""
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8"))


@dataclass
class Helper:
    """A helper VRT under way: its bands are added one by one."""

    name: str
    grid: Grid
    root: ET.Element
    bands: int = 0
    mappings: list[tuple[int, int, float]] = field(default_factory=list)  # warped: src, dst, nodata


def helper_nodata(layer: Layer) -> float:
    """Return the nodata value that a helper of a layer declares.

    It is another one than the file declares where the helper adds pixels to those without a value.
    GDAL resamples the file itself, before the helper's table, where both declare the same
    (VRTSourcedRasterBand::CanIRasterIOBeForwardedToEachSource).
    """
    record, nodata = layer.source, layer.nodata
    adds = hides_pixels(record) or no_value_lut(layer)
    if not adds or not record.declared or record.nodata != nodata or math.isnan(nodata):
        return nodata
    others = (FULL, 0.0) if record.dtype == gdal.GDT_UInt16 else (-32768.0, -32767.0)
    return others[0] if nodata != others[0] else others[1]


def dataset_element(grid: Grid, flipped: bool = False) -> ET.Element:
    """Return the element of a VRT with its CRS and place."""
    root = ET.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    ET.SubElement(root, "SRS").text = grid.crs_wkt
    ET.SubElement(root, "GeoTransform").text = ", ".join(
        repr(value) for value in _transform(grid, flipped)
    )
    return root


def _transform(grid: Grid, flipped: bool) -> tuple[float, ...]:
    """Return the geotransform; with rows from south to north if they are flipped."""
    if not flipped:
        return grid.geotransform
    left, dx, _, _, _, dy = grid.geotransform
    return left, dx, 0.0, grid.extent[1], 0.0, -dy


def helper_band(helper: Helper, dtype: int) -> ET.Element:
    """Add a band to a helper."""
    return ET.SubElement(
        helper.root,
        "VRTRasterBand",
        dataType=gdal.GetDataTypeName(dtype),
        band=str(helper.bands),
        blockXSize=str(min(HELPER_BLOCK, helper.grid.width)),
        blockYSize=str(min(HELPER_BLOCK, helper.grid.height)),
    )


def warp_options(
    helper: Helper, native: SourceBand, target: Grid, algorithm: str, flipped: bool
) -> None:
    """Return what GDAL needs to warp a native helper to the grid of a warped one exactly."""
    ET.SubElement(helper.root, "BlockXSize").text = str(min(HELPER_BLOCK, helper.grid.width))
    ET.SubElement(helper.root, "BlockYSize").text = str(min(HELPER_BLOCK, helper.grid.height))
    options = ET.SubElement(helper.root, "GDALWarpOptions")
    ET.SubElement(options, "WarpMemoryLimit").text = "67108864"
    ET.SubElement(options, "ResampleAlg").text = _WARP_ALGORITHMS[algorithm]
    ET.SubElement(options, "WorkingDataType").text = gdal.GetDataTypeName(native.dtype)
    for name, value in (
        ("UNIFIED_SRC_NODATA", "NO"),
        ("INIT_DEST", "NO_DATA"),
        ("ERROR_OUT_IF_EMPTY_SOURCE_WINDOW", "FALSE"),
        # Else GDAL measures the ratio of pixel sizes anew for each chunk and widens its kernel by
        # it, so that values depend on the extent. Finer sources are averaged, so none is below 1.
        ("XSCALE", "1"),
        ("YSCALE", "1"),
    ):
        ET.SubElement(options, "Option", name=name).text = value
    ET.SubElement(options, "SourceDataset", relativeToVRT="1").text = os.path.basename(native.path)
    transformer = ET.SubElement(ET.SubElement(options, "Transformer"), "GenImgProjTransformer")
    source = _transform(native.grid, flipped)
    for kind, transform in (("Src", source), ("Dst", helper.grid.geotransform)):
        inverse = gdal.InvGeoTransform(transform)
        for name, values in (("GeoTransform", transform), ("InvGeoTransform", inverse)):
            ET.SubElement(transformer, kind + name).text = ",".join(
                f"{value:.18g}" for value in values
            )
    if not native.grid.same_crs(target):
        reproject = ET.SubElement(
            ET.SubElement(transformer, "ReprojectTransformer"), "ReprojectionTransformer"
        )
        ET.SubElement(reproject, "SourceSRS").text = native.grid.crs_wkt
        ET.SubElement(reproject, "TargetSRS").text = target.crs_wkt


def finish_warped(helper: Helper) -> None:
    """Complete the options of a warped helper once all its bands are there."""
    options = helper.root.find("GDALWarpOptions")
    if options is None or options.find("BandList") is not None:
        return
    listed = ET.SubElement(options, "BandList")
    for source, destination, nodata in helper.mappings:
        mapping = ET.SubElement(listed, "BandMapping", src=str(source), dst=str(destination))
        for side in ("Src", "Dst"):
            ET.SubElement(mapping, f"{side}NoDataReal").text = repr(nodata)
            ET.SubElement(mapping, f"{side}NoDataImag").text = "0"


def add_rectangle(parent: ET.Element, tag: str, x: int, y: int, width: int, height: int) -> None:
    """Add the element of a window."""
    ET.SubElement(parent, tag, xOff=str(x), yOff=str(y), xSize=str(width), ySize=str(height))


def hides_pixels(record: SourceBand) -> bool:
    """Return whether a mask or an alpha band hides pixels of a record."""
    return record.masked or record.alpha > 0


def no_value_lut(layer: Layer) -> str:
    """Build the GDAL LUT of a layer, see `no_value_table`."""
    return no_value_table(
        layer.source, layer.nodata, layer.scale, layer.offset, layer.zero_is_missing
    )
