"""Sentinel-2 L2A products in ESA's SAFE layout, as a folder or inside a zip.

Everything about the values comes from MTD_MSIL2A.xml (quantification, BOA_ADD_OFFSET, special
values), everything about the place from the granule's MTD_TL.xml, as ESA's Product Specification
Document of Sentinel-2 defines them. No image is opened: 200 products are described in seconds.
"""

from __future__ import annotations

import os
import posixpath
import re
import xml.etree.ElementTree as ET  # nosec B405  # types and writing only
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from osgeo import gdal, osr

from ...errors import SeriesError
from ...sentinel2 import BANDS
from ..acquisitions import Scene, parse_date, scene_of
from ..bands import canonical_band, canonical_mask
from ..grid import Grid
from ..rasters import open_raster, refuse_truncated
from .product_files import (
    exists,
    first_text,
    fraction,
    inside,
    list_folder,
    local_name,
    number_in,
    read_xml,
    refuse_l1c,
)
from .record import Product, SourceBand

METADATA = "MTD_MSIL2A.xml"
METADATA_L1C = "MTD_MSIL1C.xml"
OFFSET_BASELINE = "04.00"
"""The first processing baseline whose DN hold BOA_ADD_OFFSET."""
# ESA's band numbers, as `band_id` counts them.
_BAND_IDS = dict(enumerate(("B01", *BANDS[:8], "B09", "B10", "B11", "B12")))
_RESOLUTION = re.compile(r"_(10|20|60)m$")
_BLOCK = (1024, 1024)  # tiles of ESA's JP2 files; a hint for readers, not a promise
_SUFFIXES = (".jp2", ".tif")
_INSIDE = re.compile(r"(?P<product>.+)/GRANULE/[^/]+/IMG_DATA/(R\d+m/)?[^/]+_\d+m\.(jp2|tif)")


@dataclass(frozen=True)
class Stated:
    """What MTD_MSIL2A.xml states of the values of its images.

    Attributes:
        scale: reflectance per DN.
        offsets: BOA_ADD_OFFSET, in DN, of every band.
        nodata: the DN of no data.
        processed: sorts the processings of a scene by age.
        remark: for the report.
    """

    scale: float
    offsets: dict[str, float]
    nodata: float
    processed: str
    remark: str


def stated_of_image(path: str) -> Stated | None:
    """Return what its product states of an image that is given by itself; None where it is in none.

    Raises:
        SeriesError: the product is Level-1C, or its metadata are damaged.
    """
    place = path if path.startswith("/vsi") else os.path.abspath(path)
    found = _INSIDE.fullmatch(place.replace("\\", "/"))
    if found is None:
        return None
    folder, name = found["product"], posixpath.basename(found["product"])
    if not exists(f"{folder}/{METADATA}"):
        if exists(f"{folder}/{METADATA_L1C}"):
            refuse_l1c(name)
        return None
    return _stated(read_xml(f"{folder}/{METADATA}", name), name, scene_of(name))


def read_safe(folder: str) -> list[SourceBand]:
    """Return a product's bands, each at its finest resolution, and its scene classes (SCL).

    Args:
        folder: the .SAFE folder, or its name inside a zip (/vsizip/...).

    Raises:
        SeriesError: metadata or an image that it lists are missing, cut off, or contradict
            themselves.
    """
    folder = folder.rstrip("/")
    name = posixpath.basename(folder.replace("\\", "/"))
    metadata = f"{folder}/{METADATA}"
    if not exists(metadata) and exists(f"{folder}/{METADATA_L1C}"):
        refuse_l1c(name)
    root = read_xml(metadata, name)
    # A folder that was renamed still states its name inside.
    stated_name = first_text(root, "PRODUCT_URI", "PRODUCT_URI_2A") or name
    scene = scene_of(stated_name)
    if scene.level == "L1C":
        refuse_l1c(stated_name)
    day = _day(root, name)
    stated = _stated(root, name, scene)
    nodata_share = fraction(first_text(root, "NODATA_PIXEL_PERCENTAGE"))
    records: list[SourceBand] = []
    for granule, images in _granules(root, folder, name).items():
        tile = re.search(r"(?<![A-Za-z0-9])T\d{2}[A-Z]{3}(?![A-Za-z0-9])", granule)
        product = Product(
            name=name,
            kind="SAFE",
            date_from="product metadata",
            scene=scene.key or f"{tile[0] if tile else granule}_{day}",
            processed=stated.processed,
            cloud=fraction(
                first_text(root, "Cloud_Coverage_Assessment", "CLOUD_COVERAGE_ASSESSMENT")
            ),
            valid=None if nodata_share is None else 1 - nodata_share,
            preview=_preview(folder, granule),
            remark=stated.remark,
        )
        grids = _grids(folder, granule)
        for band, path, resolution in images:
            grid = grids.get(resolution) or Grid.from_dataset(open_raster(path), name)
            mask = band not in BANDS
            records.append(
                SourceBand(
                    file=folder,
                    path=path,
                    index=1,
                    day=day,
                    band=band,
                    grid=grid,
                    nodata=None if mask else stated.nodata,
                    scale=None if mask else stated.scale,
                    offset=None if mask else stated.offsets[band] * stated.scale,
                    dtype=gdal.GDT_Byte if mask else gdal.GDT_UInt16,
                    block=_BLOCK,
                    product=product,
                    certain=True,
                    declared=False,
                )
            )
    return records


def _day(root: ET.Element, name: str) -> date:
    for text in (
        first_text(root, "DATATAKE_SENSING_START"),
        first_text(root, "PRODUCT_START_TIME"),
        name,
    ):
        day = parse_date(text)
        if day is not None:
            return day
    raise SeriesError(f"{METADATA} of {name} states no sensing time; download the product again.")


def _stated(root: ET.Element, name: str, scene: Scene) -> Stated:
    """Return what the metadata of a product say of its values; `scene` is what its name says."""
    baseline = first_text(root, "PROCESSING_BASELINE") or scene.baseline
    quantification = number_in(
        first_text(root, "BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE")
    )
    if not quantification:
        raise SeriesError(
            f"{METADATA} of {name} states no BOA_QUANTIFICATION_VALUE; download the product again."
        )
    stated = {
        _BAND_IDS.get(int(element.get("band_id", "-1"))): number_in(element.text)
        for element in root.iter()
        if local_name(element) == "BOA_ADD_OFFSET" and element.get("band_id", "").isdigit()
    }
    missing = [band for band in BANDS if stated.get(band) is None]
    if missing and (stated or baseline >= OFFSET_BASELINE):
        raise SeriesError(
            f"{METADATA} of {name} (baseline {baseline}) states no BOA_ADD_OFFSET of "
            f"{', '.join(missing)}; download the product again."
        )
    offsets = {band: float(stated.get(band) or 0.0) for band in BANDS}
    nodata = 0.0
    for element in root.iter():
        special = local_name(element) == "Special_Values"
        if special and first_text(element, "SPECIAL_VALUE_TEXT") == "NODATA":
            nodata = number_in(first_text(element, "SPECIAL_VALUE_INDEX")) or 0.0
    processed = f"{baseline}_{first_text(root, 'GENERATION_TIME') or scene.processed}"
    return Stated(1 / quantification, offsets, nodata, processed, _remark(baseline, offsets))


def _remark(baseline: str, offsets: dict[str, float]) -> str:
    values = sorted(set(offsets.values()))
    text = " to ".join(f"{value:g}" for value in dict.fromkeys((values[0], values[-1])))
    return f"baseline {baseline}, BOA_ADD_OFFSET {text}"


def _granules(root: ET.Element, folder: str, name: str) -> dict[str, list[tuple[str, str, int]]]:
    """Return (band, path, resolution) of the finest image of every band, per granule folder.

    Raises:
        SeriesError: the metadata list an image that is missing, cut off, or outside the product.
    """
    listed: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for element in root.iter():
        if local_name(element) not in ("IMAGE_FILE", "IMAGE_FILE_2A") or not element.text:
            continue
        stem = element.text.strip()
        image = posixpath.basename(stem)
        resolution = _RESOLUTION.search(image)
        band = canonical_band(image) or canonical_mask(image)
        if resolution is None or band is None:
            continue
        if not inside(folder, posixpath.join(folder, stem)):
            raise SeriesError(
                f"{METADATA} of {name} lists {stem}, which is outside the product; do not trust it."
            )
        granule = posixpath.dirname(stem.split("/IMG_DATA")[0] + "/")
        listed.setdefault((granule, band), []).append((int(resolution[1]), stem))
    found: dict[str, list[tuple[str, str, int]]] = {}
    for (granule, band), stems in listed.items():
        finest = _finest(folder, sorted(stems))
        if finest is not None:
            found.setdefault(granule, []).append((band, *finest))
        elif band in BANDS:  # without its mask a product is read, as long as nobody asks for it
            raise SeriesError(
                f"{name} lacks its image of {band} ({min(stems)[1]}.jp2); download the product "
                "again or take it out."
            )
    for granule, images in found.items():
        missing = [band for band in BANDS if band not in {image[0] for image in images}]
        if missing:
            raise SeriesError(
                f"{METADATA} of {name} lists no image of {', '.join(missing)} in {granule}; "
                "download the product again."
            )
    if not found:
        raise SeriesError(f"{METADATA} of {name} lists no image; download the product again.")
    return found


def _finest(folder: str, stems: Sequence[tuple[int, str]]) -> tuple[str, int] | None:
    """Return path and resolution of the finest of the images that is there."""
    for resolution, stem in stems:
        for suffix in _SUFFIXES:
            path = f"{folder}/{stem}{suffix}"
            if exists(path):
                refuse_truncated(path)
                return path, resolution
    return None


def _grids(folder: str, granule: str) -> dict[int, Grid]:
    """Return the grid of each resolution that the granule's metadata state."""
    path = f"{folder}/{granule}/MTD_TL.xml"
    if not exists(path):
        return {}
    root = read_xml(path, granule)
    code = first_text(root, "HORIZONTAL_CS_CODE") or ""
    reference = osr.SpatialReference()
    epsg = code.rpartition(":")[2]
    try:
        if not epsg.isdigit() or reference.ImportFromEPSG(int(epsg)):
            return {}
    except RuntimeError:
        return {}
    wkt = reference.ExportToWkt()
    grids = {}
    for position in (e for e in root.iter() if local_name(e) == "Geoposition"):
        size = next(
            (
                e
                for e in root.iter()
                if local_name(e) == "Size" and e.get("resolution") == position.get("resolution")
            ),
            None,
        )
        if size is None:
            continue
        numbers = [
            number_in(first_text(element, tag))
            for element, tag in (
                (position, "ULX"),
                (position, "XDIM"),
                (position, "ULY"),
                (position, "YDIM"),
                (size, "NCOLS"),
                (size, "NROWS"),
            )
        ]
        if any(number is None for number in numbers):
            continue
        left, dx, top, dy, columns, rows = (float(number or 0) for number in numbers)
        if dx > 0 > dy:
            resolution = int(position.get("resolution", "0"))
            grids[resolution] = Grid(wkt, (left, dx, 0.0, top, 0.0, dy), int(columns), int(rows))
    return grids


def _preview(folder: str, granule: str) -> str | None:
    """Return ESA's preview image of a granule: 343 x 343 pixels in true colour."""
    data = f"{folder}/{granule}/QI_DATA"
    for name in list_folder(data):
        if "PVI" in name.upper() and name.lower().endswith(_SUFFIXES):
            return f"{data}/{name}"
    return None
