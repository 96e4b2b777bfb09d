"""STAC: items, ItemCollections and static catalogues in JSON, with local or remote assets.

A JSON file from the network may name any path. So a local asset must lie in the folder of the file
that the user chose, a remote one must be on a web server or in a bucket, and what it holds must be
a GeoTIFF or a JPEG 2000, which cannot point to other files.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from osgeo import gdal, osr

from ...errors import SeriesError
from ...sentinel2 import BANDS
from ..acquisitions import parse_date, scene_of
from ..bands import asset_band
from ..grid import Grid
from ..network import reading, without_secrets
from ..no_value import alpha_band, has_mask
from ..other_sensors import is_sentinel_2
from ..rasters import open_raster, quiet_gdal, refuse_truncated, stated_scale
from .known_catalogues import known_values
from .product_files import fraction, inside, read_json, refuse_l1c
from .record import NotAScene, Product, SourceBand
from .safe import OFFSET_BASELINE

_Json = dict[str, Any]
_REMOTE = {"http": "/vsicurl/", "https": "/vsicurl/", "s3": "/vsis3/", "gs": "/vsigs/"}
_GDAL_REMOTE = ("/vsicurl/http://", "/vsicurl/https://", "/vsis3/", "/vsigs/", "/vsiaz/")
DRIVERS = ("GTiff", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID")
_PICTURES = ("visual", "tci", "overview", "thumbnail", "preview", "rendered_preview")
_TYPES = {
    "uint8": gdal.GDT_Byte,
    "uint16": gdal.GDT_UInt16,
    "int16": gdal.GDT_Int16,
    "uint32": gdal.GDT_UInt32,
    "int32": gdal.GDT_Int32,
    "float32": gdal.GDT_Float32,
    "float64": gdal.GDT_Float64,
}
_MAX_DEPTH = 12  # of links from catalogue to catalogue
_BLOCK = (512, 512)  # of an asset that is not opened; a hint for readers, not a promise
_OFFSET_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")


def is_stac(content: Any) -> bool:
    """Return whether parsed JSON is an item, an ItemCollection, a collection or a catalogue."""
    if not isinstance(content, dict):
        return False
    kind = content.get("type")
    if kind == "FeatureCollection":
        features = content.get("features")
        return isinstance(features, list) and any(
            isinstance(item, dict) and "assets" in item for item in features
        )
    if kind == "Feature":
        return "assets" in content
    return "stac_version" in content and "links" in content


def read_stac(
    path: str,
    on_item: Callable[[], None] | None = None,
    seen: set[str] | None = None,
    left_out: list[tuple[str, str]] | None = None,
) -> list[SourceBand]:
    """Return the bands, and scene classes (SCL), of every Sentinel-2 L2A item that a file leads to.

    Args:
        path: a JSON file.
        on_item: called before each item; may raise to stop.
        seen: JSON files that were read already; grows.
        left_out: (name, reason) of the items of other satellites; grows.

    Raises:
        SeriesError: it is no STAC, an item is L1C or has no band, date or CRS, or an asset lies
            where no asset may.
    """
    root = os.path.dirname(os.path.abspath(path))
    records: list[SourceBand] = []
    items = 0
    for item, base in _items(path, root, set() if seen is None else seen, 0):
        if on_item is not None:
            on_item()
        items += 1
        found = _item(item, base, root, path)
        if not found and left_out is not None:
            left_out.append((str(item.get("id")), "a STAC item without bands of Sentinel-2 L2A"))
        records += found
    if items and not records:
        raise NotAScene(
            f"{os.path.basename(path)} leads to no Sentinel-2 L2A item with bands; search for "
            "collection sentinel-2-l2a."
        )
    return records


def _items(path: str, root: str, seen: set[str], depth: int) -> Iterator[tuple[_Json, str]]:
    """Yield each item with the folder, or address, that its hrefs start from."""
    key = path if path.startswith("/vsi") else os.path.realpath(path)
    if key in seen:
        return
    seen.add(key)
    content = read_json(path)
    if not is_stac(content):
        raise SeriesError(
            f"{path} is no STAC item, ItemCollection or catalogue; choose the JSON file that a "
            "STAC search or catalogue wrote."
        )
    base = posixpath.dirname(path.replace("\\", "/"))
    kind = content.get("type")  # which catalogues had none of before STAC 1.0
    if kind == "Feature":
        yield content, base
    elif kind == "FeatureCollection":
        for item in content["features"]:
            if isinstance(item, dict):
                yield item, base
    else:
        if depth >= _MAX_DEPTH:
            raise SeriesError(f"The catalogue of {path} is nested too deep; give a part of it.")
        for link in _list(content.get("links")):
            if isinstance(link, dict) and link.get("rel") in ("item", "child", "items"):
                target = _resolve(str(link.get("href", "")), base, root, os.path.basename(path))
                yield from _items(target, root, seen, depth + 1)


def remote_name(href: str) -> str:
    """Return what GDAL opens for an address on a web server or in a bucket; empty for others."""
    scheme = urlsplit(href).scheme.lower()
    if scheme in _REMOTE:
        rest = href if scheme.startswith("http") else href.split("://", 1)[1]
        return _REMOTE[scheme] + rest
    return href if href.startswith(_GDAL_REMOTE) else ""


def _resolve(href: str, base: str, root: str, owner: str) -> str:
    """Return what GDAL opens for an href.

    Raises:
        SeriesError: it leads out of the folder of the catalogue, or to nowhere that assets are.
    """
    scheme = urlsplit(href).scheme.lower()
    if remote_name(href):
        return remote_name(href)
    if base.startswith("/vsi") and not scheme and not href.startswith(("/", "\\")):
        head, address = re.match(r"(/vsi\w+/(?:https?://)?[^/]+/)(.*)", base + "/").groups()  # type: ignore[union-attr]
        joined = posixpath.normpath(address + href)
        if not joined.startswith(".."):
            return head + joined
    elif not href.startswith(("/vsi", "<")) and (scheme in ("", "file") or len(scheme) == 1):
        local = unquote(urlsplit(href).path) if scheme == "file" else href
        joined = os.path.normpath(os.path.join(base, local))
        if inside(root, joined):
            return joined
    raise SeriesError(
        f"{owner} names {href[:200]!r}, which is not inside its own folder nor on a web server; "
        "do not trust it, or put the JSON file at the top of the folder of its assets."
    )


def _item(item: _Json, base: str, root: str, path: str) -> list[SourceBand]:
    name = str(item.get("id") or os.path.basename(path))
    if not is_l2a({**item, "id": name}):
        return []
    properties = _dict(item.get("properties"))
    day = day_of(item)
    if day is None:
        raise SeriesError(f"The item {name} of {path} has no datetime; correct its metadata.")
    product = replace(product_of(item), name=name)
    assets = assets_of(item)
    records = []
    for band, (index, asset, description) in assets.items():
        href = str(asset.get("href", ""))
        target = _resolve(href, base, root, f"The item {name}")
        records.append(
            _record(path, target, index, day, band, asset, description, properties, product)
        )
    for asset in _dict(item.get("assets")).values():
        if isinstance(asset, dict) and "thumbnail" in _list(asset.get("roles")):
            href = str(asset.get("href", ""))
            if not urlsplit(href).scheme and not href.startswith("/"):
                preview = _resolve(href, base, root, f"The item {name}")
                product = replace(product, preview=preview)
    return [replace(record, product=product) for record in records]


def is_l2a(item: _Json) -> bool:
    """Return whether an item is of Sentinel-2.

    Raises:
        SeriesError: it is of Sentinel-2 L1C.
    """
    name = str(item.get("id"))
    properties = _dict(item.get("properties"))
    collection = str(item.get("collection") or "")
    stated = str(properties.get("s2:product_uri") or name)
    if "l1c" in collection.lower() or scene_of(stated).level == "L1C":
        refuse_l1c(name)
    platform = properties.get("constellation") or properties.get("platform")
    # Without a platform, the collection, the name or the fields of the item have to say it.
    return is_sentinel_2([platform] if platform else [collection, name, stated, *properties])


def day_of(item: _Json) -> date | None:
    """Return the day of an item; None if it states none."""
    properties = _dict(item.get("properties"))
    return parse_date(
        str(properties.get("datetime") or properties.get("start_datetime") or "")[:10]
    )


def baseline_of(item: _Json) -> str:
    """Return the processing baseline that an item states, such as "05.09"; empty for none."""
    properties = _dict(item.get("properties"))
    return str(
        properties.get("s2:processing_baseline") or properties.get("processing:version") or ""
    )


def stated_value(asset: _Json, description: _Json, key: str) -> Any:
    """Return scale, offset, nodata or data_type of a band, wherever an item states it."""
    for holder in (description, asset):
        for spelling in (key, f"raster:{key}"):
            if spelling in holder:
                return holder[spelling]
    return None


def _dict(value: Any) -> _Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def product_of(item: _Json) -> Product:
    """Return scene, processing, cloud and validity that an item states."""
    name = str(item.get("id"))
    properties = _dict(item.get("properties"))
    scene = scene_of(str(properties.get("s2:product_uri") or name))
    key, processed = scene.key, scene.processed
    # Earth Search: S2A_31TCJ_20190514_0_L2A, where 0 counts the processings.
    short = re.search(r"S2[A-D]_(\d{1,2}[A-Z]{3})_(\d{8})_(\d+)_L2A", name)
    if not key and short:
        key, processed = f"T{short[1]}_{short[2]}", short[3].zfill(4)
    cloud = fraction(properties.get("eo:cloud_cover"))
    missing = fraction(properties.get("s2:nodata_pixel_percentage"))
    return Product(
        name=name,
        kind="STAC",
        date_from="datetime of the item",
        scene=key,
        processed=processed or str(properties.get("created") or ""),
        cloud=cloud,
        valid=None if missing is None else 1 - missing,
    )


def assets_of(item: _Json) -> dict[str, tuple[int, _Json, _Json]]:
    """Return GDAL band number, asset, and the description of the band, of each band and mask."""
    found: dict[str, tuple[int, _Json, _Json]] = {}
    for key, asset in _dict(item.get("assets")).items():
        asset = _dict(asset)
        roles = _list(asset.get("roles"))
        if key.lower() in _PICTURES or any(r in roles for r in ("visual", "overview", "thumbnail")):
            continue
        media = str(asset.get("type", "")).lower()
        if media and "tiff" not in media and "jp2" not in media:
            continue
        described = [_dict(b) for b in _list(asset.get("bands") or asset.get("eo:bands"))]
        raster = [_dict(b) for b in _list(asset.get("raster:bands"))]
        for position in range(max(1, len(described))):
            band = described[position] if position < len(described) else {}
            names = [band.get("name"), band.get("eo:common_name"), band.get("common_name")]
            if len(described) <= 1:
                # "rededge" is the common name of three bands: there, only the key tells.
                names = [names[0], re.sub(r"[-_](jp2|\d+m)$", "", key, flags=re.I), *names[1:]]
            known = next((n for n in map(asset_band, map(str, filter(None, names))) if n), None)
            values = {"gsd": asset.get("gsd"), **band}
            values.update(raster[position] if position < len(raster) else {})
            # Earth Search lists each band twice, as COG and as JP2: the COG reads faster.
            better = (
                known in found
                and "tiff" in media
                and "tiff" not in str(found[known][1].get("type", "")).lower()
            )
            if known and (known not in found or better or _finer(values, found[known][2])):
                found[known] = (position + 1, asset, values)
    return found


def _finer(values: _Json, other: _Json) -> bool:
    sizes = [_size(item) for item in (values, other)]
    return None not in sizes and sizes[0] < sizes[1]  # type: ignore[operator]


def _size(values: _Json) -> float | None:
    names = ("spatial_resolution", "raster:spatial_resolution", "gsd")
    size = next((values[name] for name in names if values.get(name) is not None), None)
    return float(size) if isinstance(size, (int, float)) else None


def _record(
    path: str,
    target: str,
    index: int,
    day: date,
    band: str,
    asset: _Json,
    description: _Json,
    properties: _Json,
    product: Product,
) -> SourceBand:
    value = partial(stated_value, asset, description)
    grid = projected_grid(asset, properties)
    dtype = _TYPES.get(str(value("data_type")).lower())
    block, nodata, declared = _BLOCK, _number(value("nodata")), False
    scale, offset = _number(value("scale")), _number(value("offset"))
    baseline = str(
        properties.get("s2:processing_baseline") or properties.get("processing:version") or ""
    )
    known = known_values(target, band, baseline, scale, offset)
    if known is not None:
        scale, offset = known.scale, known.offset
        nodata = known.nodata if nodata is None else nodata
        dtype = known.dtype if dtype is None else dtype
    local, masked, alpha = not target.startswith("/vsi"), False, 0
    if local or grid is None or dtype is None:
        dataset = _open(target, product.name)
        opened = dataset.GetRasterBand(index) if index <= dataset.RasterCount else None
        if opened is None:
            raise SeriesError(f"{target} has no band {index}, as its item says; correct the item.")
        grid = Grid.from_dataset(dataset, posixpath.basename(target))
        dtype, block = opened.DataType, tuple(opened.GetBlockSize())
        if band in BANDS:
            masked, alpha = has_mask(opened), alpha_band(dataset)
        nodata = opened.GetNoDataValue() if nodata is None else nodata
        declared = opened.GetNoDataValue() == nodata
        if scale is None and offset is None:
            scale, offset = stated_scale(opened)
    if any(properties.get(key) is True for key in _OFFSET_APPLIED) and offset:
        offset = 0.0  # Earth Search has subtracted it, and still lists it
    if scale is not None or offset is not None:
        scale, offset = 1.0 if scale is None else scale, 0.0 if offset is None else offset
    baseline = baseline_of({"properties": properties})
    mask = band not in BANDS
    return SourceBand(
        file=path,
        path=target,
        index=index,
        day=day,
        band=band,
        grid=grid,
        nodata=None if mask else nodata,
        scale=None if mask else scale,
        offset=None if mask else offset,
        dtype=dtype,
        block=block,
        product=product,
        certain=scale is not None,
        may_hold_offset=baseline >= OFFSET_BASELINE,
        settled=known is not None,
        declared=declared,
        masked=masked,
        alpha=alpha,
    )


def _open(target: str, name: str) -> gdal.Dataset:
    if not target.startswith("/vsi"):
        if not os.path.exists(target):
            raise SeriesError(f"The item {name} names {target}, which is not there; download it.")
        refuse_truncated(target)
    dataset = None
    with quiet_gdal(), reading(target):
        dataset = gdal.OpenEx(target, gdal.OF_RASTER, allowed_drivers=list(DRIVERS))
    if dataset is None:
        if target.startswith("/vsi"):
            raise SeriesError(
                f"The item {name} names {without_secrets(target)}, which does not answer as a "
                "GeoTIFF or JPEG 2000; check the network and the rights, or download it."
            )
        open_raster(target)  # says it best where it is damaged
        raise SeriesError(
            f"The item {name} names {target}, which is neither GeoTIFF nor JPEG 2000; correct it."
        )
    return dataset


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    return float("nan") if isinstance(value, str) and value.lower() == "nan" else None


def projected_grid(asset: _Json, properties: _Json) -> Grid | None:
    """Return the grid that the proj: fields state; None where they do not state all of it."""

    def field(key: str) -> Any:
        return asset.get(key, properties.get(key))

    shape, transform = field("proj:shape"), field("proj:transform")
    code = field("proj:code") or field("proj:epsg")
    if not (
        isinstance(shape, list)
        and len(shape) == 2
        and isinstance(transform, list)
        and len(transform) >= 6
        and code
    ):
        return None
    reference = osr.SpatialReference()
    known = False
    with quiet_gdal():
        text = str(code)
        known = reference.SetFromUserInput(text if ":" in text else f"EPSG:{text}") == 0
    try:
        height, width = (int(number) for number in shape)
        dx, skew, left, tilt, dy, top = (float(number) for number in transform[:6])
    except (TypeError, ValueError):  # null, as some write what they do not know
        return None
    if not known or skew or tilt or dx <= 0 or dy >= 0:
        return None
    return Grid(Grid.registered_wkt(reference), (left, dx, 0.0, top, 0.0, dy), width, height)
