"""The ten Sentinel-2 bands that the model reads, and how files spell them."""

from __future__ import annotations

import re

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

# A band number stands alone: "SENTINEL2B_2019" and "B021" name no band, "FRE_B2.tif" does.
_BAND = re.compile(r"(?<![A-Za-z0-9])B(8A|0?[1-9]|1[0-2])(?![A-Za-z0-9])", re.IGNORECASE)


def canonical_band(text: str | None) -> str | None:
    """The name in BANDS that a description, a variable or a file name holds.

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
