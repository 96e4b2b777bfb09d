"""Bands of a series, composed of the files that they come from."""

from __future__ import annotations

import math
import os
import uuid
import xml.etree.ElementTree as ET  # nosec B405  # types and writing only
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from osgeo import gdal

from ...sentinel2 import BANDS
from ..grid import Grid, Window
from ..series import ABSENT
from ..sources.find import PARTS_ENDING
from ..sources.record import SourceBand
from ..target import extent_in, on_lattice, overlap
from .elements import (
    HELPER_BLOCK,
    OPAQUE,
    Helper,
    add_rectangle,
    dataset_element,
    finish_warped,
    helper_band,
    helper_nodata,
    hides_pixels,
    no_value_lut,
    warp_options,
)
from .layers import CLOUD, UNUSABLE, USABLE, Acquisition, Layer

_MAX_UPS = 2  # "../../data" is near; farther away, an absolute path says more
_NO_VALUE = -9999.0  # nodata of a band that is kept as reflectance


class Composer:
    """Builds the XML of a series and of the helpers that it turns out to need."""

    def __init__(self, grid: Grid, folder: str, parts: str) -> None:
        self._grid = grid
        self._folder = folder
        self._parts = parts
        self.token = uuid.uuid4().hex[:8]
        self._natives: dict[tuple[Grid, date | None, bool], Helper] = {}
        self._warped: dict[tuple[str, str], Helper] = {}
        self._alphas: dict[Grid, Helper] = {}
        self._alpha_bands: dict[str, SourceBand] = {}
        self._masks: Helper | None = None
        self._aligned: dict[Grid, bool] = {}
        self._boxes: dict[Grid, tuple[float, float, float, float]] = {}

    def series(self, acquisitions: Iterable[Acquisition], masked: bool) -> ET.Element:
        """Return the VRT of a series, with masked clouds or without."""
        root = dataset_element(self._grid)
        number = 0
        for acquisition in acquisitions:
            mask = self._mask(acquisition) if masked and acquisition.masks else None
            for band_name in BANDS:
                number += 1
                layers = acquisition.layers.get(band_name, ())
                self._band(root, number, acquisition.day, band_name, layers, mask)
        return root

    def masks(self, acquisitions: Iterable[Acquisition]) -> str:
        """Add a mask band for every acquisition, in their order and return the helper's name."""
        for acquisition in acquisitions:
            self._mask(acquisition)
        return self._mask_helper().name

    def helpers(self) -> dict[str, ET.Element]:
        """Return name to XML of every helper."""
        for helper in self._warped.values():
            finish_warped(helper)
        helpers = [*self._natives.values(), *self._alphas.values(), *self._warped.values()]
        helpers += [self._masks] if self._masks else []
        return {helper.name: helper.root for helper in helpers}

    def _name(self, kind: str, number: int) -> str:
        return f"{self._parts}/{self.token}_{kind}_{number}.vrt"

    # ---- bands of the series ----

    def _band(
        self,
        root: ET.Element,
        number: int,
        day: date,
        band_name: str,
        layers: Sequence[Layer],
        mask: SourceBand | None,
    ) -> None:
        placed = []
        for layer in layers:
            helped = replace(layer, nodata=helper_nodata(layer))
            table = no_value_lut(helped)
            source, algorithm = self._place(layer.source, helped.nodata, "cubic", table)
            # What no file declares would hide the layers below.
            hides = len(layers) > 1 and layer.source.nodata is None
            if source is layer.source and (hides or hides_pixels(source) or layer.zero_is_missing):
                source = self._native(source, helped.nodata, None, table)
            if source is layer.source:
                placed.append((layer, algorithm))
            elif source is not None:
                placed.append((replace(helped, source=source), algorithm))
        # Layers that mean the same by the same raw value stay raw; others become reflectance.
        meanings = {
            (layer.source.dtype, repr(layer.nodata), layer.scale, layer.offset)
            for layer, _ in placed
        }
        first = placed[0][0] if placed else None
        raw = len(meanings) <= 1 and not (mask and first and math.isnan(first.nodata))
        dtype = gdal.GDT_Float32 if not raw else first.source.dtype if first else gdal.GDT_UInt16
        nodata = _NO_VALUE if not raw else first.nodata if first else 0.0
        band = ET.SubElement(
            root, "VRTRasterBand", dataType=gdal.GetDataTypeName(dtype), band=str(number)
        )
        items = ET.SubElement(band, "Metadata")
        ET.SubElement(items, "MDI", key="ACQUISITION_DATE").text = day.isoformat()
        ET.SubElement(items, "MDI", key="BAND").text = band_name
        if first is None:
            ET.SubElement(items, "MDI", key=ABSENT).text = "YES"
        ET.SubElement(band, "Description").text = f"{day.isoformat()} {band_name}"
        ET.SubElement(band, "NoDataValue").text = repr(nodata)
        if first is None:
            return
        if raw and (first.scale, first.offset) != (1.0, 0.0):
            ET.SubElement(band, "Offset").text = repr(first.offset)
            ET.SubElement(band, "Scale").text = repr(first.scale)
        for layer, algorithm in placed:
            # A ComplexSource looks at every pixel again, which doubles the time of a reading.
            plain = raw and len(placed) == 1
            element = self._source(band, layer.source, plain, algorithm, self._folder, self._grid)
            if not plain:
                ET.SubElement(element, "NODATA").text = repr(layer.nodata)
            if not raw:
                ET.SubElement(element, "ScaleOffset").text = repr(layer.offset)
                ET.SubElement(element, "ScaleRatio").text = repr(layer.scale)
        if mask is not None:
            element = self._source(band, mask, False, "nearest", self._folder, self._grid)
            ET.SubElement(element, "NODATA").text = repr(USABLE)
            painted = f"{UNUSABLE}:{nodata!r},{CLOUD}:{nodata!r}"
            ET.SubElement(element, "LUT").text = painted

    def _source(
        self,
        band: ET.Element,
        record: SourceBand,
        plain: bool,
        algorithm: str,
        folder: str,
        grid: Grid,
    ) -> ET.Element:
        """Add a source that lays a record over a band of a VRT on `grid`, in `folder`."""
        source = ET.SubElement(band, "SimpleSource" if plain else "ComplexSource")
        if algorithm != "nearest":
            source.set("resampling", algorithm)
        path, relative = _path_from(folder, record)
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
        dx, dy = grid.pixel_size
        source_dx, source_dy = record.grid.pixel_size
        left, _, _, top = record.grid.extent
        add_rectangle(source, "SrcRect", 0, 0, record.grid.width, record.grid.height)
        add_rectangle(
            source,
            "DstRect",
            round((left - grid.extent[0]) / dx),
            round((grid.extent[3] - top) / dy),
            round(record.grid.width * source_dx / dx),
            round(record.grid.height * source_dy / dy),
        )
        return source

    # ---- placing a record on the grid of the series ----

    def _place(
        self, record: SourceBand, nodata: float, finest: str, table: str = ""
    ) -> tuple[SourceBand | None, str]:
        """Return what to lay over the series for a record, and how a VRT resamples it.

        Args:
            record: band or mask.
            nodata: its raw value without meaning.
            finest: "cubic" for reflectance, "nearest" for classes.
            table: GDAL's, from raw values to raw values, for a record that is resampled.

        Returns:
            The record itself or one of a helper; None where it lies outside the grid.
        """
        if not overlap(self._box(record.grid), self._grid.extent):
            return None, "nearest"
        algorithm = finest
        pixel = self._grid.pixel_size[0]
        aligned = self._is_aligned(record)
        ratio = record.grid.pixel_size[0] / pixel
        if aligned and abs(ratio - 1) < 1e-3:
            algorithm = "nearest"
        elif finest == "cubic" and self._finer(record):
            algorithm = "average"
        if not aligned:
            return self._warp(record, nodata, algorithm, table), "nearest"
        if algorithm == "nearest":
            return record, algorithm
        # GDAL keeps "no value" out of the kernel only where the source itself declares it.
        declared = record.declared and record.nodata is not None and record.nodata == nodata
        if table or hides_pixels(record) or not declared:
            record = self._native(record, nodata, None, table)
        return record, algorithm

    def _finer(self, record: SourceBand) -> bool:
        """Return whether a record has clearly more pixels than the series in the same place."""
        box = self._box(record.grid)
        dx = (box[2] - box[0]) / record.grid.width
        return dx < 0.999 * self._grid.pixel_size[0] and (
            self._is_aligned(record) or dx < 0.75 * self._grid.pixel_size[0]
        )

    def _is_aligned(self, record: SourceBand) -> bool:
        if record.grid not in self._aligned:
            self._aligned[record.grid] = on_lattice(record.grid, self._grid)
        return self._aligned[record.grid] and not record.flipped

    def _box(self, grid: Grid) -> tuple[float, float, float, float]:
        if grid not in self._boxes:
            self._boxes[grid] = extent_in(grid, self._grid.crs_wkt)
        return self._boxes[grid]

    def _native(
        self, record: SourceBand, nodata: float, day: date | None, table: str
    ) -> SourceBand:
        """Return the record as a band of a helper on its own grid, which declares its nodata.

        One helper holds all dates, except for warping, where a helper is read as a whole.
        """
        key = (record.grid, day, record.flipped)
        helper = self._natives.get(key)
        if helper is None:
            name = self._name("native", len(self._natives) + 1)
            helper = Helper(name, record.grid, dataset_element(record.grid, record.flipped))
            self._natives[key] = helper
        helper.bands += 1
        band = helper_band(helper, record.dtype)
        ET.SubElement(band, "NoDataValue").text = repr(nodata)
        north_up = replace(record, flipped=False)
        plain = not table and not record.masked
        source = self._source(band, north_up, plain, "nearest", self._parts, record.grid)
        if record.masked:
            ET.SubElement(source, "UseMaskBand").text = "true"
        if table:
            ET.SubElement(source, "LUT").text = table
        if record.alpha:
            alpha = self._alpha(north_up)
            source = self._source(band, alpha, False, "nearest", self._parts, record.grid)
            ET.SubElement(source, "NODATA").text = repr(OPAQUE)
            ET.SubElement(source, "LUT").text = f"0:{nodata!r},{OPAQUE}:{nodata!r}"
        return _of_helper(record, helper, nodata, (HELPER_BLOCK, HELPER_BLOCK))

    def _alpha(self, record: SourceBand) -> SourceBand:
        """Return the alpha band of a record's file as a band of a helper: 0, or OPAQUE."""
        found = self._alpha_bands.get(record.dataset_name)
        if found is None:
            helper = self._alphas.get(record.grid)
            if helper is None:
                name = self._name("alpha", len(self._alphas) + 1)
                helper = self._alphas[record.grid] = Helper(
                    name, record.grid, dataset_element(record.grid)
                )
            helper.bands += 1
            band = helper_band(helper, gdal.GDT_Byte)
            own = replace(record, index=record.alpha)
            source = self._source(band, own, False, "nearest", self._parts, record.grid)
            ET.SubElement(source, "LUT").text = f"0:0,1:{OPAQUE},65535:{OPAQUE}"
            own = replace(own, dtype=gdal.GDT_Byte)
            found = _of_helper(own, helper, None, (HELPER_BLOCK, HELPER_BLOCK))
            self._alpha_bands[record.dataset_name] = found
        return found

    def _warp(self, record: SourceBand, nodata: float, algorithm: str, table: str) -> SourceBand:
        """Return the record as a band of a helper on the grid of the series."""
        flipped = record.flipped
        native = self._native(record, nodata, record.day, table)
        key = (native.path, algorithm)
        helper = self._warped.get(key)
        if helper is None:
            dx, dy = self._grid.pixel_size
            left, bottom, right, top = self._box(record.grid)
            margin = (left - dx, bottom - dy, right + dx, top + dy)
            window: Window = self._grid.window_of(margin)
            grid = self._grid.subgrid(window)
            root = dataset_element(grid)
            root.set("subClass", "VRTWarpedDataset")
            helper = Helper(self._name("warped", len(self._warped) + 1), grid, root)
            warp_options(helper, native, self._grid, algorithm, flipped)
            self._warped[key] = helper
        helper.bands += 1
        band = helper_band(helper, record.dtype)
        band.set("subClass", "VRTWarpedRasterBand")
        ET.SubElement(band, "NoDataValue").text = repr(nodata)
        helper.mappings.append((native.index, helper.bands, nodata))
        return _of_helper(native, helper, nodata, (HELPER_BLOCK, HELPER_BLOCK))

    # ---- masks ----

    def _mask_helper(self) -> Helper:
        if self._masks is None:
            self._masks = Helper(self._name("masks", 1), self._grid, dataset_element(self._grid))
        return self._masks

    def _mask(self, acquisition: Acquisition) -> SourceBand | None:
        """Return the mask band of an acquisition, which holds USABLE, UNUSABLE and CLOUD."""
        helper = self._mask_helper()
        helper.bands += 1
        band = helper_band(helper, gdal.GDT_Byte)
        template = None
        for mask in acquisition.masks:
            template = mask
            placed, _ = self._place(mask, 0.0, "nearest")
            if placed is None:
                continue
            source = self._source(band, placed, False, "nearest", self._parts, self._grid)
            if mask.band == "SCL":  # class 0 is "no data": it must not hide another scene's clouds
                ET.SubElement(source, "NODATA").text = "0"
            ET.SubElement(source, "LUT").text = mask_lut(mask.band)
        if template is None:
            return None
        record = replace(template, dtype=gdal.GDT_Byte, grid=self._grid)
        return _of_helper(record, helper, None, (HELPER_BLOCK, HELPER_BLOCK))


def mask_lut(mask: str) -> str:
    """Return GDAL's table from the codes of a mask to USABLE, UNUSABLE and CLOUD.

    SCL (Sen2Cor): 8 to 10 are clouds; 0, 1, 3 and 7 (no data, saturated, shadow, unclassified) are
    unusable too, as in the ALISE paper's pre-training. CLM (MAJA): bit 1 is any cloud, bit 0 any
    cloud or shadow. MG2 (MAJA): bit 1 is any cloud, bit 3 a cloud's shadow.
    """
    codes = []
    for code in range(256):
        if mask == "SCL":
            state = CLOUD if code in (8, 9, 10) else UNUSABLE if code in (0, 1, 3, 7) else USABLE
        elif mask == "CLM":
            state = CLOUD if code & 2 else UNUSABLE if code & 1 else USABLE
        else:
            state = CLOUD if code & 2 else UNUSABLE if code & 8 else USABLE
        codes.append(state)
    # GDAL interpolates between entries, so both ends of a run of equal states are listed.
    kept = [
        code
        for code in range(256)
        if code in (0, 255) or codes[code] != codes[code - 1] or codes[code] != codes[code + 1]
    ]
    return ",".join(f"{code}:{codes[code]}" for code in kept)


def _of_helper(
    record: SourceBand, helper: Helper, nodata: float | None, block: tuple[int, int]
) -> SourceBand:
    return replace(
        record,
        path=helper.name,
        dataset="{path}",
        open_options=(),
        index=helper.bands,
        grid=helper.grid,
        nodata=nodata,
        block=block,
        declared=True,
        flipped=False,
        masked=False,
        alpha=0,
    )


def names_fixed_place(record: SourceBand) -> bool:
    """Return whether a VRT can name a source by its full path only."""
    return (
        record.path.startswith("/vsi") or "://" in record.path or record.dataset.startswith("ZARR:")
    )


def _path_from(folder: str, record: SourceBand) -> tuple[str, bool]:
    """Return the path as a VRT in `folder` says it, and whether it is relative to that folder.

    GDAL resolves relative paths inside the dataset names of its older drivers only.
    """
    if record.path.startswith("/vsi") or "://" in record.path:
        return record.path, False
    path = os.path.abspath(record.path)
    if not folder or folder.startswith("/vsi") or names_fixed_place(record):
        return path, False
    try:
        relative = os.path.relpath(path, folder)
        if relative.startswith(os.pardir):  # from a link, the system goes up where the link leads
            folder = os.path.realpath(folder)
            relative = os.path.relpath(os.path.realpath(path), folder)
    except ValueError:  # another drive
        return path, False
    ups = relative.split(os.sep).count("..")
    limit = _MAX_UPS + folder.endswith(PARTS_ENDING)  # counted from the folder of the series
    near = ups == 0 or (ups <= limit and ups < folder.rstrip(os.sep).count(os.sep))
    return (relative, True) if near else (path, False)
