"""The ten Sentinel-2 bands that the model reads, and how files spell them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..sentinel2 import BANDS

MASKS = ("SCL", "CLM", "MG2")
"""Masks that products bring: Sen2Cor's scene classes, MAJA's clouds, MAJA's geophysical mask."""

_MASK = re.compile(r"(?<![A-Za-z0-9])(SCL|CLM|MG2)(?![A-Za-z0-9])", re.IGNORECASE)

# What STAC catalogues, cubes and stacks call the bands of Sentinel-2, without blanks and marks.
_BROAD = "broadnir"
_COLOURS = {
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "re1": "B05",
    "rededge071": "B05",
    "rededge2": "B06",
    "re2": "B06",
    "rededge075": "B06",
    "rededge3": "B07",
    "re3": "B07",
    "rededge078": "B07",
    "nir": "B08",
    "nir1": "B08",
    _BROAD: "B08",
    "nir08": "B8A",
    "nir2": "B8A",
    "narrownir": "B8A",
    "nirnarrow": "B8A",
    "rededge4": "B8A",
    "re4": "B8A",
    "swir1": "B11",
    "swir16": "B11",
    "swir2": "B12",
    "swir22": "B12",
}
_MARKS = re.compile(r"[\s_.-]+")

PRODUCT_ORDERS = {
    10: BANDS,
    12: ("B01", *BANDS[:8], "B09", *BANDS[8:]),
    13: ("B01", *BANDS[:8], "B09", "B10", *BANDS[8:]),
}
"""The order of undescribed bands, by their number: the model's, that of L2A, that of L1C."""

# A band number stands alone: "SENTINEL2B_2019" and "B021" name no band, "FRE_B2.tif" does.
_BAND = re.compile(r"(?<![A-Za-z0-9])B(8A|0?[1-9]|1[0-2])(?![A-Za-z0-9])", re.IGNORECASE)


def canonical_band(text: str | None) -> str | None:
    """Return the name in BANDS that a description, a variable or a file name holds.

    Args:
        text: for example "B2", "b02", "B8a", "B08_10m" or "2019-05-14 B02".

    Returns:
        A name of BANDS; None where the text names no band, a band that the model does not read
        (B01, B09, B10), or several.
    """
    names = set()
    for number in _BAND.findall(text or ""):
        names.add("B8A" if number.upper() == "8A" else f"B{int(number):02d}")
    if len(names) != 1:
        return None
    name = names.pop()
    return name if name in BANDS else None


def canonical_mask(text: str | None) -> str | None:
    """Return the one name in MASKS that a text holds, else None."""
    names = {name.upper() for name in _MASK.findall(text or "")}
    return names.pop() if len(names) == 1 else None


def asset_band(text: str | None) -> str | None:
    """Return the band or mask that an asset is called after: "B04", "red", "scl"."""
    return canonical_band(text) or canonical_mask(text) or _COLOURS.get(_bare(text or ""))


def colour_bands(texts: Sequence[str]) -> list[str | None]:
    """Return the bands that descriptions mean by colours; None if one means none."""
    names = [_bare(text) for text in texts]
    known = dict(_COLOURS)
    if _BROAD in names:  # so FORCE calls B08, and B8A plainly NIR
        known["nir"] = "B8A"
    return [known.get(name) for name in names]


def band_numbers(texts: Sequence[str]) -> list[tuple[int, str]]:
    """Return the place of each text that names one band, with the band's number ("8A", "10")."""
    found = [(place, _BAND.findall(text)) for place, text in enumerate(texts)]
    return [(place, numbers[0]) for place, numbers in found if len(numbers) == 1]


def _bare(text: str) -> str:
    return _MARKS.sub("", text).lower()


def are_positions(texts: Sequence[str]) -> bool:
    """Return whether "B1" to "B10", or to a higher number, without B8A, count bands and name none.

    No image of Sentinel-2 has B10 and lacks B11, B12 or B8A.
    """
    numbers = {number.upper().lstrip("0") for text in texts for number in _BAND.findall(text)}
    return len(numbers) >= len(BANDS) and numbers == {str(n + 1) for n in range(len(numbers))}
