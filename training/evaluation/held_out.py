"""Real series that no training sees, to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from alise_plugin.sits.acquisitions import days_since_reference
from training.data.real import INVALID_SCL, SNOW_SCL, DataMissingError

# Whole sites: a year and a half in Belgium with every cloud, and fields of Bavaria.
SITES = (
    "wc_0000280849BAC91C",
    "bavaria_Baumacker",
    "bavaria_D3",
    "bavaria_Heng",
    "bavaria_Itzling4",
    "bavaria_Viehhausen3",
)
# The centre of a site is enough, and bounds the time.
LARGEST_SIZE = 24


@dataclass(frozen=True)
class RealSeries:
    """One real site.

    Attributes:
        name: of the site.
        reflectance: `(T, 10, H, W)`, NaN where there is no value.
        clear: `(T, H, W)` bool.
        days: `(T,)` ascending, since 2014-03-03.
    """

    name: str
    reflectance: np.ndarray
    clear: np.ndarray
    days: np.ndarray


def read_site(path: Path, largest: int | None = None) -> RealSeries:
    """Read one `.npz` of the shared data, dates in ascending order, cut to its centre.

    Args:
        path: the file.
        largest: greatest height and width; None for all.

    Raises:
        DataMissingError: there is no such file.
    """
    if not path.exists():
        raise DataMissingError(f"There is no real site at {path}: give the folder of the data.")
    with np.load(path) as file:
        digital, clear, dates = file["reflectance"], file["clear"], file["dates"]
        if "scl" in file:
            clear = clear & ~np.isin(file["scl"], (*INVALID_SCL, SNOW_SCL))
    days = days_since_reference([date.fromisoformat(str(day)[:10]) for day in dates])
    order = np.argsort(days, kind="stable")
    keep = order[np.append(True, np.diff(days[order]) > 0)]
    height, width = digital.shape[2:]
    size = largest or max(height, width)
    top, left = max(0, (height - size) // 2), max(0, (width - size) // 2)
    place = (slice(top, top + size), slice(left, left + size))
    reflectance = digital[keep][(..., *place)].astype(np.float32) / 10000.0
    reflectance[reflectance == 0] = np.nan
    return RealSeries(path.stem, reflectance, clear[keep][(..., *place)], days[keep])


def held_out_series(data: Path) -> list[RealSeries]:
    """The held-out sites of the shared data folder."""
    return [read_site(data / "image_series" / f"{site}.npz", LARGEST_SIZE) for site in SITES]
