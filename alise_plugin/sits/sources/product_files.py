"""Reading the small files of a product, in a folder or inside a zip alike."""

from __future__ import annotations

import json
import os
import posixpath
import xml.etree.ElementTree as ET  # nosec B405  # entities: see parse_xml
from typing import Any

from osgeo import gdal

from ...errors import SeriesError
from ...xml_elements import EntitiesError, parse_xml
from ..rasters import quiet_gdal

_MAX_BYTES = 200_000_000  # no metadata file is larger; a list of ten thousand STAC items is not


def refuse_l1c(name: str) -> None:
    """Raise SeriesError: a Level-1C product was given."""
    raise SeriesError(
        f"{name} is a Level-1C product (top of atmosphere), and ALISE reads Level-2A (surface "
        "reflectance); download the L2A product or run Sen2Cor."
    )


def read_bytes(path: str) -> bytes | None:
    """Return the content of a file, also behind GDAL's /vsi names; None where there is none."""
    with quiet_gdal():
        status = gdal.VSIStatL(path)
        if status is None or status.IsDirectory() or status.size > _MAX_BYTES:
            return None
        file = gdal.VSIFOpenL(path, "rb")
        if file is None:
            return None
        try:
            return bytes(gdal.VSIFReadL(1, status.size, file) or b"")
        finally:
            gdal.VSIFCloseL(file)
    return None


def read_xml(path: str, name: str) -> ET.Element:
    """Return the root of an XML file.

    Raises:
        SeriesError: it is missing, cut off, or declares entities, which no product does.
    """
    content = read_bytes(path)
    if content is None:
        raise SeriesError(
            f"{name} has no {posixpath.basename(path)}; download the product again or restore it."
        )
    try:
        return parse_xml(content)
    except EntitiesError as error:
        raise SeriesError(
            f"{path} declares XML entities, as no product does; do not trust it."
        ) from error
    except ET.ParseError as error:
        raise SeriesError(
            f"{posixpath.basename(path)} of {name} is damaged ({error}); download the product "
            "again."
        ) from error


def read_json(path: str) -> Any:
    """Return the content of a JSON file.

    Raises:
        SeriesError: it is missing or no JSON.
    """
    content = read_bytes(path)
    if content is None:
        raise SeriesError(f"{path} does not exist or cannot be read; check the path.")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SeriesError(f"{path} is not JSON ({error}); download or write it again.") from error


def local_name(element: ET.Element) -> str:
    """Return the tag without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def first_text(root: ET.Element, *names: str) -> str | None:
    """Return the text of the first element, in document order, that has one of the names."""
    for element in root.iter():
        if local_name(element) in names and element.text and element.text.strip():
            return element.text.strip()
    return None


def number_in(text: str | None) -> float | None:
    """Return a text as a number; None where it is none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def fraction(percent: object) -> float | None:
    """Return per cent, as a number or a text, as a fraction in [0, 1]; None where it is neither."""
    try:
        value = float(percent) / 100  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if 0 <= value <= 1 else None


def exists(path: str) -> bool:
    """Return whether a file or folder is there, also behind GDAL's /vsi names."""
    if not path.startswith("/vsi"):
        return os.path.exists(path)
    with quiet_gdal():
        return gdal.VSIStatL(path) is not None
    return False


def list_folder(path: str) -> list[str]:
    """Return names in a folder, sorted, also inside a zip; empty where there is none."""
    with quiet_gdal():
        return sorted(name for name in gdal.ReadDir(path) or [] if name not in (".", ".."))
    return []


def inside(folder: str, path: str) -> bool:
    """Return whether a path, links followed, lies in a folder."""
    if folder.startswith("/vsi"):
        return posixpath.normpath(path).startswith(posixpath.normpath(folder) + "/")
    root, real = os.path.realpath(folder), os.path.realpath(path)
    return real.startswith(os.path.join(root, ""))
