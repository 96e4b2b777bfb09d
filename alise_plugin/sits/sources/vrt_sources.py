"""Names and dates of the bands of a VRT, as the files say that it takes them from."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree  # nosec B405  # entities: see parse_xml
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from osgeo import gdal

from ...errors import SeriesError
from ...xml_elements import parse_xml
from ..acquisitions import dates_in
from ..bands import canonical_band, canonical_mask
from ..rasters import quiet_gdal
from ..series import band_identity

_DEEPEST = 4  # VRTs of VRTs
_Identity = tuple[int, "date | None", "str | None"]


def named_by_sources(dataset: gdal.Dataset, identities: Sequence[_Identity]) -> list[_Identity]:
    """Return GDAL band number, date and band name, with what the files of a VRT say of them.

    `gdalbuildvrt -separate` writes no descriptions; but the names of its files tell their bands.

    Args:
        dataset: the raster.
        identities: of its bands, whose names are not known.

    Returns:
        The same if it is no VRT, or if a band has no name there, or two have one name and date.
    """
    if dataset.GetDriver().ShortName != "VRT":
        return list(identities)
    found = [(index, *_source_of(dataset, index, _DEEPEST)) for index, _, _ in identities]
    if any(band is None for _, _, band in found):
        return list(identities)
    if len({(day, band) for _, day, band in found}) < len(found):
        return list(identities)
    if any(day is None for _, day, _ in found) or len({day for _, day, _ in found}) == 1:
        # One date: the raster itself says it, or its name.
        return [(index, old, band) for (index, _, band), (_, old, _) in zip(found, identities)]
    return found


def refuse_lost_sources(path: str) -> None:
    """Refuse a VRT on this machine one of whose files is gone, which GDAL opens without a word.

    Raises:
        SeriesError: a file is gone.
    """
    if not path.lower().endswith(".vrt"):
        return
    try:
        root = parse_xml(Path(path).read_bytes())
    except (ElementTree.ParseError, OSError):  # who reads it says why
        return
    for name in root.iter("SourceFilename"):
        source = name.text or ""
        if name.get("relativeToVRT") == "1":
            source = os.path.join(os.path.dirname(path), source)
        plain = not source.startswith(("/vsi", "http")) and not re.match(r"\w{2,}:|<", source)
        if plain and not os.path.exists(source):
            raise SeriesError(
                f"{os.path.basename(path)} refers to {name.text}, which is gone; put it back."
            )


def _source_of(dataset: gdal.Dataset, index: int, depth: int) -> tuple[date | None, str | None]:
    """Return date and band name that all files behind one band of a VRT agree on."""
    text = (dataset.GetMetadata("xml:VRT") or [""])[0]
    try:
        root = parse_xml(text)
    except ElementTree.ParseError:
        return None, None
    folder = os.path.dirname(dataset.GetDescription())
    said = set()
    for band in root.iter("VRTRasterBand"):
        if band.get("band") != str(index):
            continue
        for source in band.iter():
            name = source.find("SourceFilename")
            if name is None or not name.text:
                continue
            path = name.text
            if name.get("relativeToVRT") == "1":
                path = os.path.join(folder, path)
            number = re.match(r"\d+", source.findtext("SourceBand") or "1")
            said.add(_named(path, int(number[0]) if number else 1, depth))
    return said.pop() if len(said) == 1 else (None, None)


def _named(path: str, index: int, depth: int) -> tuple[date | None, str | None]:
    """Return date and band name of one band of a file, by its name or its description."""
    stem = os.path.basename(path)
    days = dates_in(stem)
    day = days.pop() if len(days) == 1 else None
    band = canonical_band(stem) or canonical_mask(stem)
    if band is not None:
        return day, band
    opened = None
    with quiet_gdal():
        opened = gdal.Open(path)
    if opened is None or index > opened.RasterCount:
        return day, None
    own_day, own = band_identity(opened.GetRasterBand(index))
    if own is None and depth > 1 and opened.GetDriver().ShortName == "VRT":
        own_day, own = _source_of(opened, index, depth - 1)
    return own_day or day, own
