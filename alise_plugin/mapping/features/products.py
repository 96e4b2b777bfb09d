"""Embedding products: whose vectors a raster holds, and how its numbers become vectors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from osgeo import gdal

from ...arrays import Float
from ...model.identity import FeatureIdentity

# Metadata items by which a raster says that it is a product; `mapping.embedding.declare` writes
# them.
KIND_ITEM, NAME_ITEM = "ALISE_PRODUCT", "ALISE_PRODUCT_NAME"
VERSION_ITEM, YEAR_ITEM = "ALISE_PRODUCT_VERSION", "ALISE_PRODUCT_YEAR"
SIGNED_ITEM = "ALISE_SIGNED_BYTES"

ALPHAEARTH, TESSERA, OTHER = "alphaearth", "tessera", "other"
LEAST_BANDS, MOST_BANDS = 8, 2000

_NAMES = {ALPHAEARTH: "AlphaEarth", TESSERA: "TESSERA"}
_ALPHAEARTH_BANDS = tuple(f"A{number:02d}" for number in range(64))
# AlphaEarth's bytes: value = sign(x) * (x / 127.5)^2, -128 where there is none.
# https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_SATELLITE_EMBEDDING_V1_ANNUAL
_ALPHAEARTH_STEP, _ALPHAEARTH_NODATA = 127.5, -128.0
_TESSERA_BANDS = 128


@dataclass(frozen=True)
class Product:
    """Whose vectors a raster holds.

    Attributes:
        kind: ALPHAEARTH, TESSERA or OTHER.
        name: for people, and to tell one product from another.
        version: of the product; an empty text if it is not known.
        year: that the vectors are of; an empty text if it is not known.
        dimensions: features of a pixel.
        squared: whether the numbers are AlphaEarth's bytes.
        signed: whether GDAL reads signed bytes as unsigned ones (before GDAL 3.7).
    """

    kind: str
    name: str
    version: str
    year: str
    dimensions: int
    squared: bool = False
    signed: bool = False

    @property
    def identity(self) -> FeatureIdentity:
        """Return what a head remembers: product, version and dimensions, but not the year."""
        text = f"{self.name} {self.version}".strip()
        key = f"{self.kind}|{self.name}|{self.version}|{self.dimensions}"
        return FeatureIdentity(hashlib.sha256(key.encode()).hexdigest(), text, self.dimensions)

    def vectors(self, raw: Float) -> Float:
        """Return the vectors of the numbers of a raster, which are changed in place."""
        if self.signed:
            raw[raw > 127] -= 256
        if not self.squared:
            return raw
        missing = raw == _ALPHAEARTH_NODATA
        raw /= _ALPHAEARTH_STEP
        np.multiply(raw, np.abs(raw), out=raw)
        raw[missing] = np.nan
        return raw


def product_of(dataset: gdal.Dataset) -> Product | None:
    """Return the product that a raster is by what it says or by its bands; None if it is none."""
    metadata: Mapping[str, str] = dataset.GetMetadata() or {}
    count = dataset.RasterCount
    bands = [dataset.GetRasterBand(index + 1) for index in range(count)]
    names = tuple(band.GetDescription() for band in bands)
    kind = metadata.get(KIND_ITEM, "")
    if not kind and names == _ALPHAEARTH_BANDS:
        kind = ALPHAEARTH
    elif not kind and count == _TESSERA_BANDS and _says_tessera(metadata, names):
        kind = TESSERA
    if kind not in (*_NAMES, OTHER):
        return None
    first = bands[0]
    signed = metadata.get(SIGNED_ITEM) == "YES" or (
        first.DataType == gdal.GDT_Byte
        and first.GetMetadataItem("PIXELTYPE", "IMAGE_STRUCTURE") == "SIGNEDBYTE"
    )
    bytes_only = gdal.GetDataTypeSize(first.DataType) == 8
    version = metadata.get(VERSION_ITEM) or metadata.get("MODEL_VERSION", "")
    if kind == TESSERA:
        version = version or metadata.get("TESSERA_DATASET_VERSION", "")
    return Product(
        kind,
        metadata.get(NAME_ITEM) or _NAMES.get(kind, "other"),
        version,
        metadata.get(YEAR_ITEM) or metadata.get("TESSERA_YEAR", "") or _year_in(metadata),
        count,
        squared=kind == ALPHAEARTH and bytes_only,
        signed=signed,
    )


def _says_tessera(metadata: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(key.upper().startswith("TESSERA_") for key in metadata) or all(
        name.lower().startswith("tessera") for name in names
    )


def _year_in(metadata: Mapping[str, str]) -> str:
    """Return the year that a product of Earth Engine or STAC states."""
    # GDAL takes the first colon of "system:time_start" for the end of the key.
    for key in ("system", "datetime", "start_datetime", "YEAR", "year"):
        found = re.match(r"(19|20)\d\d(?!\d)", metadata.get(key, "").replace("time_start=", ""))
        if found:
            return found[0]
    return ""
