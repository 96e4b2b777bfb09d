"""Writes an image series: one VRT, and where it must be, helper VRTs in a folder beside it.

Most sources are referred to directly. Two kinds need a helper, because a VRT source can neither
declare nodata for another file nor change its CRS:

- "native": on the source's own grid, declaring the nodata that the source does not declare, and
  putting it in the place of what else means "no value", so that bicubic resampling keeps all of
  that out of its kernel;
- "warped": on the grid of the series, from a source in another CRS, beside the lattice of the
  series, or upside down. It resamples from the source's own pixels, so nothing is resampled twice.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from osgeo import gdal

from ..errors import OutputError
from .bands import BANDS
from .grid import Grid, Window
from .no_value import FULL, no_value_table
from .series import ABSENT
from .sources.find import PARTS_ENDING
from .sources.record import SourceBand
from .target import extent_in, on_lattice, overlap

_MAX_UPS = 2  # "../../data" is near; farther away, an absolute path says more
_NO_VALUE = -9999.0  # nodata of a band that is kept as reflectance
_HELPER_NAME = re.compile(r"[0-9a-f]{8}_(native|warped|masks|alpha)_\d+\.vrt")
_HELPER_BLOCK = 512  # pixels: side of the blocks that helpers are read in
_WARP_ALGORITHMS = {"cubic": "Cubic", "average": "Average", "nearest": "NearestNeighbour"}
_OPAQUE = 255  # of a helper's alpha band: the pixel has a value
USABLE, UNUSABLE, CLOUD = 0, 1, 2
"""What a mask band says of a pixel; where there is no mask, it is usable."""


@dataclass(frozen=True)
class Layer:
    """A source band with everything about its values settled.

    Attributes:
        source: where it lies.
        nodata: raw value that means "no value"; NaN where only NaN does.
        scale: reflectance = raw x scale + offset.
        offset: see scale.
        zero_is_missing: raw 0 means "no value" too, as the image plainly shows.
    """

    source: SourceBand
    nodata: float
    scale: float
    offset: float
    zero_is_missing: bool = False


@dataclass(frozen=True)
class Acquisition:
    """One date of a series.

    Attributes:
        day: acquisition date.
        layers: band name to the layers that make the band, the last on top; a band that is not
            there becomes a band that holds only "no value".
        masks: the products' masks, the last on top.
    """

    day: date
    layers: Mapping[str, Sequence[Layer]]
    masks: Sequence[SourceBand] = ()


def write_vrt(
    path: str, grid: Grid, acquisitions: Sequence[Acquisition], *, masked: bool = False
) -> None:
    """Writes T x 10 bands, date-major; everything appears, or nothing.

    Args:
        path: the VRT.
        grid: of the series. Layers on other grids are resampled to it once, bicubic (averaged
            where they are finer than it), masks by nearest neighbour.
        acquisitions: ascending in date.
        masked: whether "no value" is laid over what the masks call unusable.

    Raises:
        OutputError: the files cannot be written.
    """
    composer = _Composer(grid, os.path.dirname(os.path.abspath(path)), _parts_folder(path))
    series = composer.series(acquisitions, masked)
    helpers = composer.helpers()
    temporary = f"{path}.{os.getpid()}.partial"
    written: list[str] = []
    try:
        if helpers:
            os.makedirs(_parts_folder(path), exist_ok=True)
        for name, helper in helpers.items():
            written.append(name)
            _save(name, helper)
        _save(temporary, series)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            for name in written:
                os.remove(name)
        with contextlib.suppress(OSError):
            os.rmdir(_parts_folder(path))
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another folder or make room."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)
    _remove_helpers(_parts_folder(path), except_of=composer.token)


@contextlib.contextmanager
def series_in_memory(grid: Grid, acquisitions: Sequence[Acquisition]) -> Iterator[tuple[str, str]]:
    """GDAL names of a series, and of its mask bands (one per date), that no disk sees.

    The mask bands hold USABLE, UNUSABLE and CLOUD.
    """
    folder = f"/vsimem/{uuid.uuid4().hex}"
    composer = _Composer(grid, "", folder)
    names = {f"{folder}/series.vrt": composer.series(acquisitions, False)}
    masks = composer.masks(acquisitions)
    names.update(composer.helpers())
    for name, root in names.items():
        gdal.FileFromMemBuffer(name, _text(root))
    try:
        yield f"{folder}/series.vrt", masks
    finally:
        for name in names:
            gdal.Unlink(name)


def _parts_folder(path: str) -> str:
    return os.path.splitext(os.path.abspath(path))[0] + PARTS_ENDING


def _remove_helpers(folder: str, except_of: str) -> None:
    """Removes the helpers of an earlier series of the same name, and nothing else."""
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        if _HELPER_NAME.fullmatch(name) and not name.startswith(except_of):
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, name))
    with contextlib.suppress(OSError):  # not empty: in use
        os.rmdir(folder)


def _text(root: ET.Element) -> bytes:
    ET.indent(root, " ")
    return ET.tostring(root, encoding="utf-8")


def _save(path: str, root: ET.Element) -> None:
    with open(path, "wb") as file:
        file.write(_text(root))


@dataclass
class _Helper:
    """A helper VRT under way: its bands are added one by one."""

    name: str
    grid: Grid
    root: ET.Element
    bands: int = 0
    mappings: list[tuple[int, int, float]] = field(default_factory=list)  # warped: src, dst, nodata


class _Composer:
    """Builds the XML of a series and of the helpers that it turns out to need."""

    def __init__(self, grid: Grid, folder: str, parts: str) -> None:
        self._grid = grid
        self._folder = folder
        self._parts = parts
        self.token = uuid.uuid4().hex[:8]
        self._natives: dict[tuple[Grid, date | None, bool], _Helper] = {}
        self._warped: dict[tuple[str, str], _Helper] = {}
        self._alphas: dict[Grid, _Helper] = {}
        self._alpha_bands: dict[str, SourceBand] = {}
        self._masks: _Helper | None = None
        self._aligned: dict[Grid, bool] = {}
        self._boxes: dict[Grid, tuple[float, float, float, float]] = {}

    def series(self, acquisitions: Iterable[Acquisition], masked: bool) -> ET.Element:
        root = _dataset(self._grid)
        number = 0
        for acquisition in acquisitions:
            mask = self._mask(acquisition) if masked and acquisition.masks else None
            for band_name in BANDS:
                number += 1
                layers = acquisition.layers.get(band_name, ())
                self._band(root, number, acquisition.day, band_name, layers, mask)
        return root

    def masks(self, acquisitions: Iterable[Acquisition]) -> str:
        """Adds a mask band for every acquisition, in their order; returns the helper's name."""
        for acquisition in acquisitions:
            self._mask(acquisition)
        return self._mask_helper().name

    def helpers(self) -> dict[str, ET.Element]:
        """Name to XML of every helper."""
        for helper in self._warped.values():
            _finish_warped(helper)
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
            helped = replace(layer, nodata=_helper_nodata(layer))
            table = _no_values(helped)
            source, algorithm = self._place(layer.source, helped.nodata, "cubic", table)
            # What no file declares would hide the layers below.
            hides = len(layers) > 1 and layer.source.nodata is None
            if source is layer.source and (hides or _is_hidden(source) or layer.zero_is_missing):
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
        """Adds a source that lays a record over a band of a VRT on `grid`, in `folder`."""
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
        _rectangle(source, "SrcRect", 0, 0, record.grid.width, record.grid.height)
        _rectangle(
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
        """What to lay over the series for a record, and how a VRT resamples it.

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
        if table or _is_hidden(record) or not declared:
            record = self._native(record, nodata, None, table)
        return record, algorithm

    def _finer(self, record: SourceBand) -> bool:
        """Whether a record has clearly more pixels than the series in the same place."""
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
        """The record as a band of a helper on its own grid, which declares its nodata.

        One helper holds all dates, except for warping, where a helper is read as a whole.
        """
        key = (record.grid, day, record.flipped)
        helper = self._natives.get(key)
        if helper is None:
            name = self._name("native", len(self._natives) + 1)
            helper = _Helper(name, record.grid, _dataset(record.grid, record.flipped))
            self._natives[key] = helper
        helper.bands += 1
        band = _helper_band(helper, record.dtype)
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
            ET.SubElement(source, "NODATA").text = repr(_OPAQUE)
            ET.SubElement(source, "LUT").text = f"0:{nodata!r},{_OPAQUE}:{nodata!r}"
        return _of_helper(record, helper, nodata, (_HELPER_BLOCK, _HELPER_BLOCK))

    def _alpha(self, record: SourceBand) -> SourceBand:
        """The alpha band of a record's file as a band of a helper: 0, or _OPAQUE for all else."""
        found = self._alpha_bands.get(record.dataset_name)
        if found is None:
            helper = self._alphas.get(record.grid)
            if helper is None:
                name = self._name("alpha", len(self._alphas) + 1)
                helper = self._alphas[record.grid] = _Helper(
                    name, record.grid, _dataset(record.grid)
                )
            helper.bands += 1
            band = _helper_band(helper, gdal.GDT_Byte)
            own = replace(record, index=record.alpha)
            source = self._source(band, own, False, "nearest", self._parts, record.grid)
            ET.SubElement(source, "LUT").text = f"0:0,1:{_OPAQUE},65535:{_OPAQUE}"
            own = replace(own, dtype=gdal.GDT_Byte)
            found = _of_helper(own, helper, None, (_HELPER_BLOCK, _HELPER_BLOCK))
            self._alpha_bands[record.dataset_name] = found
        return found

    def _warp(self, record: SourceBand, nodata: float, algorithm: str, table: str) -> SourceBand:
        """The record as a band of a helper on the grid of the series."""
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
            root = _dataset(grid)
            root.set("subClass", "VRTWarpedDataset")
            helper = _Helper(self._name("warped", len(self._warped) + 1), grid, root)
            _warp_options(helper, native, self._grid, algorithm, flipped)
            self._warped[key] = helper
        helper.bands += 1
        band = _helper_band(helper, record.dtype)
        band.set("subClass", "VRTWarpedRasterBand")
        ET.SubElement(band, "NoDataValue").text = repr(nodata)
        helper.mappings.append((native.index, helper.bands, nodata))
        return _of_helper(native, helper, nodata, (_HELPER_BLOCK, _HELPER_BLOCK))

    # ---- masks ----

    def _mask_helper(self) -> _Helper:
        if self._masks is None:
            self._masks = _Helper(self._name("masks", 1), self._grid, _dataset(self._grid))
        return self._masks

    def _mask(self, acquisition: Acquisition) -> SourceBand | None:
        """The mask band of an acquisition, which holds USABLE, UNUSABLE and CLOUD."""
        helper = self._mask_helper()
        helper.bands += 1
        band = _helper_band(helper, gdal.GDT_Byte)
        template = None
        for mask in acquisition.masks:
            template = mask
            placed, _ = self._place(mask, 0.0, "nearest")
            if placed is None:
                continue
            source = self._source(band, placed, False, "nearest", self._parts, self._grid)
            if mask.band == "SCL":  # class 0 is "no data": it must not hide another scene's clouds
                ET.SubElement(source, "NODATA").text = "0"
            ET.SubElement(source, "LUT").text = _look_up(mask.band)
        if template is None:
            return None
        record = replace(template, dtype=gdal.GDT_Byte, grid=self._grid)
        return _of_helper(record, helper, None, (_HELPER_BLOCK, _HELPER_BLOCK))


def _is_hidden(record: SourceBand) -> bool:
    """Whether a mask or an alpha band hides pixels of a record."""
    return record.masked or record.alpha > 0


def _helper_nodata(layer: Layer) -> float:
    """Return the nodata value that a helper of a layer declares.

    It is another one than the file declares where the helper adds pixels to those without a value.
    GDAL resamples the file itself, before the helper's table, where both declare the same
    (VRTSourcedRasterBand::CanIRasterIOBeForwardedToEachSource).
    """
    record, nodata = layer.source, layer.nodata
    adds = _is_hidden(record) or _no_values(layer)
    if not adds or not record.declared or record.nodata != nodata or math.isnan(nodata):
        return nodata
    others = (FULL, 0.0) if record.dtype == gdal.GDT_UInt16 else (-32768.0, -32767.0)
    return others[0] if nodata != others[0] else others[1]


def _no_values(layer: Layer) -> str:
    """Build the GDAL LUT of a layer, see `no_value_table`."""
    return no_value_table(
        layer.source, layer.nodata, layer.scale, layer.offset, layer.zero_is_missing
    )


def _look_up(mask: str) -> str:
    """GDAL's table from the codes of a mask to USABLE, UNUSABLE and CLOUD.

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
    record: SourceBand, helper: _Helper, nodata: float | None, block: tuple[int, int]
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


def _dataset(grid: Grid, flipped: bool = False) -> ET.Element:
    root = ET.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    ET.SubElement(root, "SRS").text = grid.crs_wkt
    ET.SubElement(root, "GeoTransform").text = ", ".join(
        repr(value) for value in _transform(grid, flipped)
    )
    return root


def _transform(grid: Grid, flipped: bool) -> tuple[float, ...]:
    """The geotransform; with rows from south to north if they are flipped."""
    if not flipped:
        return grid.geotransform
    left, dx, _, _, _, dy = grid.geotransform
    return left, dx, 0.0, grid.extent[1], 0.0, -dy


def _helper_band(helper: _Helper, dtype: int) -> ET.Element:
    return ET.SubElement(
        helper.root,
        "VRTRasterBand",
        dataType=gdal.GetDataTypeName(dtype),
        band=str(helper.bands),
        blockXSize=str(min(_HELPER_BLOCK, helper.grid.width)),
        blockYSize=str(min(_HELPER_BLOCK, helper.grid.height)),
    )


def _warp_options(
    helper: _Helper, native: SourceBand, target: Grid, algorithm: str, flipped: bool
) -> None:
    """What GDAL needs to warp a native helper to the grid of a warped one, no approximation."""
    ET.SubElement(helper.root, "BlockXSize").text = str(min(_HELPER_BLOCK, helper.grid.width))
    ET.SubElement(helper.root, "BlockYSize").text = str(min(_HELPER_BLOCK, helper.grid.height))
    options = ET.SubElement(helper.root, "GDALWarpOptions")
    ET.SubElement(options, "WarpMemoryLimit").text = "67108864"
    ET.SubElement(options, "ResampleAlg").text = _WARP_ALGORITHMS[algorithm]
    ET.SubElement(options, "WorkingDataType").text = gdal.GetDataTypeName(native.dtype)
    for name, value in (
        ("UNIFIED_SRC_NODATA", "NO"),
        ("INIT_DEST", "NO_DATA"),
        ("ERROR_OUT_IF_EMPTY_SOURCE_WINDOW", "FALSE"),
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


def _finish_warped(helper: _Helper) -> None:
    options = helper.root.find("GDALWarpOptions")
    if options is None or options.find("BandList") is not None:
        return
    listed = ET.SubElement(options, "BandList")
    for source, destination, nodata in helper.mappings:
        mapping = ET.SubElement(listed, "BandMapping", src=str(source), dst=str(destination))
        for side in ("Src", "Dst"):
            ET.SubElement(mapping, f"{side}NoDataReal").text = repr(nodata)
            ET.SubElement(mapping, f"{side}NoDataImag").text = "0"


def _rectangle(parent: ET.Element, tag: str, x: int, y: int, width: int, height: int) -> None:
    ET.SubElement(parent, tag, xOff=str(x), yOff=str(y), xSize=str(width), ySize=str(height))


def names_fixed_place(record: SourceBand) -> bool:
    """Whether a VRT can name a source by its full path only."""
    return (
        record.path.startswith("/vsi") or "://" in record.path or record.dataset.startswith("ZARR:")
    )


def _path_from(folder: str, record: SourceBand) -> tuple[str, bool]:
    """The path as a VRT in `folder` says it, and whether it is relative to that folder.

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
