"""Theia / MUSCATE L2A products of Sentinel-2 (MAJA), as a folder or inside a zip.

One GeoTIFF per band: SRE is surface reflectance, FRE the same corrected for slopes. Quantification
and nodata come from *_MTD_ALL.xml. CLM and MG2 are bit masks (see `masks`). MAJA takes ESA's
offset of baseline 04.00 away before it corrects the atmosphere, so its products hold none.
"""

from __future__ import annotations

import posixpath

from ...errors import SeriesError
from ..acquisitions import parse_date
from ..bands import canonical_band, canonical_mask
from ..grid import Grid
from ..rasters import open_raster, refuse_truncated
from .product_files import (
    exists,
    first_text,
    fraction,
    list_folder,
    local_name,
    number_in,
    read_xml,
)
from .record import Product, SourceBand

METADATA_ENDING = "_MTD_ALL.xml"
REFLECTANCES = ("FRE", "SRE")


def read_theia(folder: str, reflectance: str = "FRE") -> list[SourceBand]:
    """Return the bands of a product and its masks (CLM, else MG2).

    Args:
        folder: the product's folder, or its name inside a zip (/vsizip/...).
        reflectance: "FRE" (corrected for slopes) or "SRE".

    Raises:
        SeriesError: the product is not one of Sentinel-2 at Level-2A, or a file is missing.
    """
    folder = folder.rstrip("/")
    name = posixpath.basename(folder.replace("\\", "/"))
    names = list_folder(folder)
    metadata = next((item for item in names if item.endswith(METADATA_ENDING)), None)
    if metadata is None:
        raise SeriesError(f"{name} has no *{METADATA_ENDING}; download the product again.")
    root = read_xml(f"{folder}/{metadata}", name)
    platform = first_text(root, "PLATFORM") or name
    if "SENTINEL2" not in platform.upper().replace("-", ""):
        raise SeriesError(f"{name} is of {platform}, and ALISE reads Sentinel-2; take it out.")
    level = first_text(root, "PRODUCT_LEVEL") or "L2A"
    if "2A" not in level.upper():
        raise SeriesError(
            f"{name} is a product of level {level}, and ALISE reads L2A; take it out."
        )
    day = parse_date(first_text(root, "ACQUISITION_DATE")) or parse_date(name)
    if day is None:
        raise SeriesError(f"{metadata} states no acquisition date; download the product again.")
    quantification = number_in(first_text(root, "REFLECTANCE_QUANTIFICATION_VALUE"))
    if not quantification:
        raise SeriesError(
            f"{metadata} states no REFLECTANCE_QUANTIFICATION_VALUE; download the product again."
        )
    nodata = -10000.0
    cloud = None
    for element in root.iter():
        kind = element.get("name", "").lower()
        if local_name(element) == "SPECIAL_VALUE" and kind == "nodata":
            nodata = number_in(element.text) or nodata
        if local_name(element) == "QUALITY_INDEX" and kind == "cloudpercent":
            cloud = fraction(element.text)
    tile = first_text(root, "GEOGRAPHICAL_ZONE") or ""
    product = Product(
        name=name,
        kind="Theia",
        date_from="product metadata",
        scene=f"{tile}_{first_text(root, 'ACQUISITION_DATE') or day}",
        processed=f"{first_text(root, 'PRODUCTION_DATE') or ''}_{name}",
        cloud=cloud,
        preview=next((f"{folder}/{n}" for n in names if n.endswith("_QKL_ALL.jpg")), None),
        remark=reflectance,
    )
    paths: dict[str, str] = {}
    for item in names:
        band = canonical_band(item)
        if band and f"_{reflectance}_" in item and item.lower().endswith(".tif"):
            paths[band] = f"{folder}/{item}"
    if not paths:
        other = " or ".join(kind for kind in REFLECTANCES if kind != reflectance)
        raise SeriesError(
            f"{name} has no image *_{reflectance}_B*.tif; download it again, or ask for {other}."
        )
    expected = {
        band
        for element in root.iter()
        if local_name(element) in ("IMAGE_FILE", "IMAGE") and element.text
        if f"_{reflectance}_" in element.text and (band := canonical_band(element.text))
    }
    missing = sorted(expected - set(paths))
    if missing:
        raise SeriesError(
            f"{name} lacks its {reflectance} image of {', '.join(missing)}; download the product "
            "again or take it out."
        )
    mask = _mask(folder)
    if mask is not None:
        paths[mask[0]] = mask[1]
    records = []
    for band, path in paths.items():
        refuse_truncated(path)
        dataset = open_raster(path)
        first = dataset.GetRasterBand(1)
        is_mask = mask is not None and band == mask[0]
        records.append(
            SourceBand(
                file=folder,
                path=path,
                index=1,
                day=day,
                band=band,
                grid=Grid.from_dataset(dataset, posixpath.basename(path)),
                nodata=None if is_mask else nodata,
                scale=None if is_mask else 1 / quantification,
                offset=None if is_mask else 0.0,
                dtype=first.DataType,
                block=tuple(first.GetBlockSize()),
                product=product,
                certain=True,
                declared=first.GetNoDataValue() == nodata,
            )
        )
    return records


def _mask(folder: str) -> tuple[str, str] | None:
    """Return name and path of the mask of 10 m (R1): clouds, else the geophysical mask."""
    masks = f"{folder}/MASKS"
    names = [item for item in list_folder(masks) if item.lower().endswith(".tif")]
    for wanted in ("CLM", "MG2"):
        for item in names:
            if canonical_mask(item) == wanted and exists(f"{masks}/{item}"):
                return wanted, f"{masks}/{item}"
    return None
