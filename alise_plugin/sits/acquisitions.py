"""Acquisition dates: found in texts, counted in days."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ..errors import SeriesError
from ..sentinel2 import REFERENCE_DATE

# 2019-05-14, 2019/05/14, 2019_05_14, 2019:05:14 (TIFF) and 20190514, with no digit touching.
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)(?P<sep>[-/_:.]?)(0[1-9]|1[0-2])(?P=sep)(0[1-9]|[12]\d|3[01])(?!\d)"
)
# 20190514T105031_20190514T105555_T31TCJ: acquisition, processing, tile, as Earth Engine indexes.
_INDEX = re.compile(
    r"(?<!\d)(?P<sensed>20\d{6}T\d{6})_(?P<processed>20\d{6}T\d{6})_(?P<tile>T\d{2}[A-Z]{3})"
    r"(?![A-Za-z0-9])"
)
# S2A_MSIL2A_20190514T105031_N0212_R051_T31TCJ_20190516T135205
_NAME = re.compile(
    r"S2[A-D]_MSI(?P<level>L1C|L2A)_(?P<sensed>\d{8}T\d{6})_N(?P<baseline>\d{4})_R\d{3}_"
    r"(?P<tile>T\d{2}[A-Z]{3})_(?P<processed>\d{8}T\d{6})",
    re.IGNORECASE,
)
# T31TCJ_20190514T105031, how the images inside a product begin; the processing follows the tile in
# the name of a product, where the orbit stands before it.
_IMAGE = re.compile(
    r"(?<![A-Za-z0-9])(?<!_R\d{3}_)(?P<tile>T\d{2}[A-Z]{3})_(?P<sensed>20\d{6}T\d{6})(?!\d)"
)
# SENTINEL2A_20190514-105855-394, how the names of Theia's products begin.
_THEIA = re.compile(r"(?<![A-Za-z0-9])SENTINEL2[A-D]_(?P<sensed>\d{8})-\d{6}-\d{3}", re.IGNORECASE)
_START = re.compile(r"(?<![A-Za-z0-9])S2[A-D]_MSIL(1C|2A)_(?P<sensed>\d{8}T\d{6})", re.IGNORECASE)
_SENSED = (_START, _INDEX, _THEIA, _IMAGE)  # where a name states the time of sensing, best first
FIRST_YEAR = 2015
"""Sentinel-2A was launched on 2015-06-23; no image of a series is older than its year."""


def parse_date(text: str | None) -> date | None:
    """Return the one calendar date that a text holds.

    Args:
        text: an ISO date or time, a TIFF date-time, YYYYMMDD, a Sentinel-2 product name, or a
            file name with one of these inside.

    Returns:
        The date: that of sensing, where a Sentinel-2 product, image or Earth Engine index is named,
        whatever else the text holds; None where there is none, or several different ones.
    """
    found = dates_in(text or "")
    return found.pop() if len(found) == 1 else None


def dates_in(text: str) -> set[date]:
    """Return the calendar dates that a text holds: those of sensing alone, where it names such."""
    for pattern in _SENSED:
        sensed = {match["sensed"][:8] for match in pattern.finditer(text)}
        if sensed:
            text = " ".join(sensed)
            break
    found = set()
    for year, _, month, day in _DATE.findall(text):
        try:
            found.add(date(int(year), int(month), int(day)))
        except ValueError:  # 30 February is a number, not a date
            continue
    return found


def without_date(text: str) -> str:
    """Return a text without the dates that it holds."""
    return _DATE.sub("", text)


def days_since_reference(dates: Iterable[date]) -> NDArray[np.float32]:
    """Return days from REFERENCE_DATE, `(T,)` float32, negative before it."""
    return np.array([(day - REFERENCE_DATE).days for day in dates], dtype=np.float32)


@dataclass(frozen=True)
class Scene:
    """What a Sentinel-2 name says of the scene that it belongs to.

    Attributes:
        key: tile and sensing time; two products with one key are two processings of one scene.
        processed: sorts the processings of a scene by age; empty where the name does not say.
        baseline: processing baseline as "04.00"; empty where the name does not say.
        level: "L1C", "L2A", or empty.
    """

    key: str = ""
    processed: str = ""
    baseline: str = ""
    level: str = ""


def scene_of(text: str) -> Scene:
    """Return the scene that a product's name, an image's name or an Earth Engine index states."""
    name = _NAME.search(text)
    if name:
        baseline = f"{name['baseline'][:2]}.{name['baseline'][2:]}"
        return Scene(
            f"{name['tile']}_{name['sensed']}".upper(),
            f"{baseline}_{name['processed']}".upper(),
            baseline,
            name["level"].upper(),
        )
    index = _INDEX.search(text)
    if index:
        return Scene(f"{index['tile']}_{index['sensed']}", index["processed"])
    image = _IMAGE.search(text)
    return Scene(f"{image['tile']}_{image['sensed']}") if image else Scene()


def refuse_impossible_day(day: date, name: str) -> None:
    """Raise SeriesError where no Sentinel-2 can have taken an image on that day."""
    # A day of grace: it is already tomorrow elsewhere.
    if day > date.today() + timedelta(days=1):
        raise SeriesError(
            f"{name} is dated {day}, which is in the future; correct the date in its metadata or "
            "name, or give the dates."
        )
    if day.year < FIRST_YEAR:
        raise SeriesError(
            f"{name} is dated {day}, before the first Sentinel-2 was launched in June 2015; "
            "correct the date, or take the file out."
        )
