"""Acquisition dates: found in texts, counted in days."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

import numpy as np
from numpy.typing import NDArray

REFERENCE_DATE = date(2014, 3, 3)
"""Day 0 of the model's day encoding, as in the ALISE paper's published configuration."""

# 2019-05-14, 2019/05/14, 2019_05_14, 2019:05:14 (TIFF) and 20190514, with no digit touching.
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)(?P<sep>[-/_:.]?)(0[1-9]|1[0-2])(?P=sep)(0[1-9]|[12]\d|3[01])(?!\d)"
)
_PRODUCT = re.compile(r"(?<![A-Za-z0-9])(S2[A-D]_|SENTINEL2)", re.IGNORECASE)


def parse_date(text: str | None) -> date | None:
    """The one calendar date that a text holds.

    Args:
        text: an ISO date or time, a TIFF date-time, YYYYMMDD, a Sentinel-2 product name, or a
            file name with one of these inside.

    Returns:
        The date; None where there is none, or where there are several different ones and the
        text is not a Sentinel-2 product name (in which the first one is the acquisition and the
        later ones are the processing).
    """
    found = []
    for year, _, month, day in _DATE.findall(text or ""):
        try:
            found.append(date(int(year), int(month), int(day)))
        except ValueError:  # 30 February is a number, not a date
            continue
    if not found:
        return None
    if len(set(found)) > 1 and not _PRODUCT.search(text or ""):
        return None
    return found[0]


def days_since_reference(dates: Iterable[date]) -> NDArray[np.float32]:
    """Days from REFERENCE_DATE, `(T,)` float32, negative before it."""
    return np.array([(day - REFERENCE_DATE).days for day in dates], dtype=np.float32)
