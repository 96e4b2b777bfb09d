"""Finds what is in the files and folders that a user gives, and hands each to its reader."""

from __future__ import annotations

import os
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial

import numpy as np
from osgeo import gdal

from ...errors import SeriesError
from ..band_order import choose_order, known_orders, without_offset
from ..rasters import quiet_gdal, refuse_unspeakable
from ..series import RECONSTRUCTED
from .cube import is_cube, read_cube
from .product_files import read_json, refuse_l1c
from .raster import Declared, read_raster, spectra_of
from .record import NotAScene, SourceBand
from .safe import METADATA, METADATA_L1C, read_safe
from .stac import is_stac, read_stac
from .theia import METADATA_ENDING, read_theia
from .vrt_sources import refuse_lost_sources

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".nc", ".nc4")
PARTS_ENDING = "_parts"
"""Ending of the folder with the helper VRTs of a series, which is never searched."""
_BESIDE_ENVI = (".hdr", ".xml", ".enp", ".sta", ".ovr", ".txt")  # of one name with an image
_JSON_SUFFIXES = (".json", ".geojson")
_MAX_JSON = 200_000_000
_ORDER_RASTERS = 12  # whose spectra are looked at, spread over all
_NEGATIVE_SHARE = 0.05  # of the values of undescribed bands: more are features, or of a radar
_PART = re.compile(r"\w{2,}:")  # GPKG:, HDF5:, as GDAL names what lies in a file; C: is a drive


@dataclass(frozen=True)
class Found:
    """One thing to read.

    Attributes:
        kind: names its reader.
        path: the file or folder.
        searched: whether a search found it.
        reason: why a file cannot be read, where that was found already.
    """

    kind: str
    path: str
    searched: bool = False
    reason: str = ""


_Undescribed = tuple[Found, Declared, int]  # and the number of bands of a date


@dataclass
class Readings:
    """What the readers made of the inputs.

    Attributes:
        records: every band and mask.
        left_out: (name, reason) of what a search found and no reader took.
        broken: (name, reason) of those that may well hold Sentinel-2, but cannot be read.
    """

    records: list[SourceBand] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """Return one sentence about what cannot be read; none if all can."""
        if not self.broken:
            return []
        name, reason = self.broken[0]
        more = f" and {len(self.broken) - 1} more" if len(self.broken) > 1 else ""
        return [f"{name}{more} cannot be used and stays out of the series: {reason}"]


def find(
    paths: Sequence[str],
    avoid: frozenset[str] = frozenset(),
    check: Callable[[], None] = lambda: None,
) -> list[Found]:
    """Return products, cubes, STAC files and rasters in files and folders, in their order.

    Args:
        paths: files, folders (searched to the bottom) and product folders.
        avoid: real paths that a search passes by: the output.
        check: called often during a search; may raise to stop.

    Raises:
        SeriesError: a path is not there, or a file is of no known kind.
    """
    found: list[Found] = []
    for path in paths:
        if path.startswith("/vsi") or not os.path.isdir(path):
            found += _file(path, searched=False)
            continue
        inside = list(_search(path, avoid, check))
        if not inside:
            raise SeriesError(
                f"The folder {path} holds no raster and no Sentinel-2 product (SAFE, Theia, "
                f"{', '.join(RASTER_SUFFIXES)}, Zarr, STAC), so choose another folder."
            )
        found += inside
    return list(dict.fromkeys(found))


def _search(folder: str, avoid: frozenset[str], check: Callable[[], None]) -> Iterator[Found]:
    """Yield what a folder is, or else what is in it."""
    kind = _folder_kind(folder)
    if kind is not None:
        yield Found(kind, folder, searched=False)
        return
    searched = {os.path.realpath(folder)}  # a link may lead back to where the search came from
    closed: list[OSError] = []
    for current, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        check()
        folders.sort()
        for name in list(folders):
            path = os.path.join(current, name)
            kind, real = _folder_kind(path), os.path.realpath(path)
            if kind is not None:
                folders.remove(name)
                yield Found(kind, path, searched=True)
            elif name.startswith(".") or real in searched or _are_helpers(path):
                folders.remove(name)
            searched.add(real)
        # A catalogue is read from its top, which lies nearest to the folder that was given.
        order = {"catalog.json": 0, "collection.json": 1}
        for name in sorted(files, key=lambda item: (order.get(item.lower(), 2), item)):
            check()
            path = os.path.join(current, name)
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith(".") or os.path.realpath(path) in avoid:
                continue
            if suffix in RASTER_SUFFIXES:
                yield Found("cube" if is_cube(path) else "raster", path, searched=True)
            elif suffix == ".zip" or (suffix in _JSON_SUFFIXES and _is_stac_file(path)):
                try:
                    yield from _file(path, searched=True)
                except SeriesError as failure:
                    yield Found("broken", path, searched=True, reason=str(failure))
            elif suffix not in _BESIDE_ENVI and _has_envi_header(path):
                yield Found("raster", path, searched=True)
    for error in closed:
        yield Found("closed", str(error.filename), searched=True)


def _has_envi_header(path: str) -> bool:
    """Return whether a header of ENVI lies beside a file: x.hdr or x.bsq.hdr beside x.bsq."""
    for header in (f"{os.path.splitext(path)[0]}.hdr", f"{path}.hdr"):
        try:
            with open(header, "rb") as file:
                if file.read(4) == b"ENVI":
                    return True
        except OSError:
            continue
    return False


def _are_helpers(folder: str) -> bool:
    """Return whether a folder holds the helper VRTs of a series beside it."""
    stem = folder[: -len(PARTS_ENDING)]
    return folder.endswith(PARTS_ENDING) and os.path.exists(f"{stem}.vrt")


def _folder_kind(folder: str) -> str | None:
    """Return the reader of a folder that is one product or cube; None for an ordinary folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    if METADATA in names:
        return "safe"
    if METADATA_L1C in names:
        return "l1c"
    if any(name.endswith(METADATA_ENDING) for name in names):
        return "theia"
    if is_cube(folder):
        return "cube"
    # Unpacking "x.SAFE.zip" often makes a folder of that name around the product's own.
    around = any(name.upper().endswith(".SAFE") for name in names)
    if folder.rstrip("/\\").upper().endswith(".SAFE") and not around:
        return "l1c" if "MSIL1C" in os.path.basename(folder).upper() else "safe"
    return None


def _file(path: str, searched: bool) -> list[Found]:
    """Return what a file is, or the products that it holds."""
    if path.startswith("/vsi"):
        return [Found("raster", path, searched)]
    lower = path.lower()
    if lower.endswith((METADATA.lower(), METADATA_L1C.lower(), METADATA_ENDING.lower())):
        folder = os.path.dirname(os.path.abspath(path))
        return [Found(_folder_kind(folder) or "raster", folder, searched)]
    if not os.path.exists(path):
        if _PART.match(path):
            raise SeriesError(
                f"{path} names a part of a file; give the file, or export the part to a GeoTIFF."
            )
        raise SeriesError(f"{path} does not exist; check the path.")
    if lower.endswith(".zip"):
        return _zip(path, searched)
    if lower.endswith(_JSON_SUFFIXES):
        return [Found("stac", path, searched)]
    return [Found("cube" if is_cube(path) else "raster", path, searched)]


def _is_stac_file(path: str) -> bool:
    """Return whether a JSON file that a search met is STAC; others are nobody's business."""
    if os.path.getsize(path) > _MAX_JSON:
        return False
    try:
        return is_stac(read_json(path))
    except SeriesError:
        return False


def _zip(path: str, searched: bool) -> list[Found]:
    """Return the products in a zip, which are read where they lie and never unpacked.

    Raises:
        SeriesError: the file is no zip, names places outside itself, or holds no product.
    """
    name = os.path.basename(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SeriesError(
            f"{path} is not a zip, or only a part of one ({error}); download it again."
        ) from error
    for entry in entries:
        parts = entry.replace("\\", "/").split("/")
        if ".." in parts or entry.startswith(("/", "\\")) or ":" in parts[0]:
            raise SeriesError(
                f"{name} names {entry[:200]!r}, a place outside of itself, as no product does; "
                "do not trust it."
            )
    prefix = "/vsizip/" + os.path.abspath(path).replace("\\", "/")
    found = []
    for entry in entries:
        folder, _, last = entry.rpartition("/")
        target = posixpath.join(prefix, folder) if folder else prefix
        if last == METADATA:
            found.append(Found("safe", target, searched))
        elif last == METADATA_L1C:
            found.append(Found("l1c", target, searched))
        elif last.endswith(METADATA_ENDING):
            found.append(Found("theia", target, searched))
    if found:
        return found
    if searched:
        return [Found("other", path, searched)]
    raise SeriesError(
        f"{name} holds no Sentinel-2 product (neither {METADATA} nor *{METADATA_ENDING} is in "
        "it); unpack it and give its rasters."
    )


def read_all(
    found: Sequence[Found],
    *,
    dates: Sequence[date] | None = None,
    layer_days: Mapping[str, date] | None = None,
    band_order: Sequence[str] | None = None,
    band_major: bool = False,
    theia: str = "FRE",
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Readings:
    """Read what was found, each by the reader of its kind.

    Args:
        found: from `find`.
        dates: one per raster, or the dates of a single stack.
        layer_days: the day that a layer of the project states, per path.
        band_order: names of undescribed bands.
        band_major: how an undescribed stack is laid out.
        theia: "FRE" or "SRE".
        step: called before each reading with how many are done, of how many.

    Raises:
        SeriesError: what a reader says; or nothing of it is Sentinel-2 L2A.
    """
    rasters = [item for item in found if item.kind == "raster"]
    if dates:
        _refuse_dates(found, rasters, dates)
    readings = Readings()
    seen_json: set[str] = set()
    undescribed: list[_Undescribed] = []
    for number, item in enumerate(found):
        step(number, len(found))
        # Letters that are not UTF-8 could not be shown.
        name = (
            os.path.basename(item.path.rstrip("/\\")).encode("utf-8", "backslashreplace").decode()
        )
        declared = Declared(
            _dates_of(item, rasters, dates),
            band_order,
            band_major,
            (layer_days or {}).get(item.path),
        )
        try:
            refuse_unspeakable(item.path)
            if item.kind == "l1c":
                _level_1c(item, name, found, readings)
            elif item.kind == "safe":
                readings.records += read_safe(item.path)
            elif item.kind == "theia":
                readings.records += read_theia(item.path, theia)
            elif item.kind == "cube":
                readings.records += read_cube(item.path)
            elif item.kind == "stac":
                readings.records += read_stac(
                    item.path, partial(step, number, len(found)), seen_json, readings.left_out
                )
            elif item.kind == "raster":
                undescribed += _raster(item, name, declared, readings)
            else:
                _unreadable(item, name, readings)
        except NotAScene as error:
            if not item.searched:
                raise
            readings.left_out.append((name, str(error)))
        except SeriesError as error:
            if not item.searched:
                raise
            readings.left_out.append((name, str(error)))
            readings.broken.append((name, str(error)))
    _place_undescribed(undescribed, readings)
    readings.records = _once(readings.records)
    if not readings.records:
        if readings.broken:
            raise SeriesError(readings.broken[0][1])
        # Where a search found only what no reader takes, the first reason says best what to do.
        reason = f" ({readings.left_out[0][1].rstrip('.')})" if readings.left_out else ""
        raise SeriesError(f"No Sentinel-2 product is in what was given{reason}.")
    return readings


def _raster(
    item: Found, name: str, declared: Declared, readings: Readings
) -> Iterator[_Undescribed]:
    """Read a raster, and return it if nothing describes its bands."""
    if item.searched and (made := made_here(item.path)):
        readings.left_out.append((name, f"{made}; give it by itself to take it in"))
        return
    if item.searched:
        refuse_lost_sources(item.path)
    records = read_raster(item.path, declared)
    readings.records += records
    if records and records[0].product.undescribed:
        yield item, declared, records[0].product.undescribed


def _unreadable(item: Found, name: str, readings: Readings) -> None:
    """Name what a search met and no reader takes.

    Raises:
        SeriesError: it is damaged.
    """
    if item.kind == "broken":
        raise SeriesError(item.reason)
    closed = item.kind == "closed"
    reason = "a folder that cannot be read" if closed else "a zip without a Sentinel-2 product"
    readings.left_out.append((name, reason))


def _place_undescribed(rasters: Sequence[_Undescribed], readings: Readings) -> None:
    """Give the bands of rasters that describe none the order that their spectra show.

    Rasters with as many bands are taken to be written alike, so that a cloudy one has the order of
    the others.

    Raises:
        SeriesError: the spectra fit no known order, or several, or hardly a pixel shows land.
    """
    for count in sorted({count for _, _, count in rasters}):
        alike = [(item, declared) for item, declared, bands in rasters if bands == count]
        parts = [
            without_offset(one)
            for item, said in alike[:: -(-len(alike) // _ORDER_RASTERS)]
            for one in spectra_of(item.path, said, count)
        ]
        paths = {item.path for item, _ in alike}
        name = os.path.basename(alike[0][0].path)
        pixels = np.concatenate(parts, 1)
        # One negative value in all bands is a way to write "no value", which features do not have.
        odd = (pixels < 0) & (pixels != pixels[0]).any(0)
        if all(item.searched for item, _ in alike) and odd.mean() > _NEGATIVE_SHARE:
            reason = f"{name} has {count} bands without names, whose values are no reflectance."
            readings.broken.append((name, reason))
            readings.left_out += [(os.path.basename(path), reason) for path in sorted(paths)]
            readings.records = [one for one in readings.records if one.path not in paths]
            continue
        more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
        order = choose_order(name + more, pixels)
        if order == known_orders(count)[0]:
            continue
        readings.records = [one for one in readings.records if one.path not in paths]
        remark = f"{count} bands without names, taken in the order {order.words}, as spectra show"
        for item, declared in alike:
            again = read_raster(item.path, replace(declared, band_order=order.bands))
            readings.records += [
                replace(one, product=replace(one.product, remark=remark)) for one in again
            ]


def made_here(path: str) -> str:
    """Return what a raster is that this package made of others, empty for an image as it was taken.

    A series refers to what lies around it, and would come before the originals.
    """
    dataset = None
    with quiet_gdal():
        dataset = gdal.OpenEx(path, gdal.OF_RASTER)
    if dataset is None:  # whoever reads it says why
        return ""
    if dataset.GetMetadataItem(RECONSTRUCTED):
        return "images that a model made"
    vrt = dataset.GetDriver().ShortName == "VRT" and dataset.RasterCount
    return "an image series" if vrt and dataset.GetRasterBand(1).GetMetadataItem("BAND") else ""


def _refuse_dates(found: Sequence[Found], rasters: Sequence[Found], dates: Sequence[date]) -> None:
    for item in found:
        if item.kind in ("cube", "safe", "theia", "stac"):
            raise SeriesError(
                f"{os.path.basename(item.path)} has its own dates; leave DATES out, or give the "
                "rasters without dates alone."
            )
    if len(rasters) > 1 and len(dates) != len(rasters):
        raise SeriesError(
            f"{len(dates)} dates were given for {len(rasters)} rasters; give one date per raster, "
            "in the same order."
        )


def _dates_of(
    item: Found, rasters: Sequence[Found], dates: Sequence[date] | None
) -> Sequence[date] | None:
    if not dates or len(rasters) <= 1:
        return dates
    return [dates[rasters.index(item)]] if item in rasters else None


def _level_1c(item: Found, name: str, found: Sequence[Found], readings: Readings) -> None:
    """Refuse a Level-1C product that was asked for; leave out one that was found."""
    if not item.searched or all(other.kind in ("l1c", "other") for other in found):
        refuse_l1c(name)
    readings.left_out.append((name, "Level-1C (top of atmosphere), ALISE reads Level-2A"))


def _once(records: Sequence[SourceBand]) -> list[SourceBand]:
    """Return records without the second of two that are the same band of the same dataset.

    A folder may hold a STAC item and its assets, which a search finds both: what the item says of
    the values counts, so records that are certain come first.
    """
    chosen: dict[tuple[str, int], SourceBand] = {}
    for record in records:
        path = record.path if record.path.startswith("/vsi") else os.path.realpath(record.path)
        key = (record.dataset.format(path=path), record.index)
        if key not in chosen or (record.product.kind == "STAC" != chosen[key].product.kind):
            chosen[key] = record
    return list(chosen.values())
