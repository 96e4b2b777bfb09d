"""Real series that no training sees, to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from alise_plugin.sits.acquisitions import days_since_reference
from training.data.real import LARGEST_CLOUD, DataMissingError
from training.data.screen import ground_in_sight

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
# Places elsewhere that no version up to 0.3.1 was trained on: parcels in Korea, a field in Henan,
# and forests in Germany, Lorraine and the Drome.
ELSEWHERE = (
    "field_series/korea_parcels.npz",
    "pixel_series/henan_crop_pixel.npz",
    "image_series/treesat_abies.npz",
    "image_series_few_bands/lorraine_forest.npz",
    "image_series_few_bands/nrt_drome_forest.npz",
)
# Every version was trained on these field means. Up to 0.3.0 four fifths of their February targets
# were snow: a model that invents snow does so there first.
SNOWY_WINTER = "field_series/fis_bavaria.npz"
# Of a file with many fields so many are taken, evenly spread over it.
MOST_FIELDS = 40


@dataclass(frozen=True)
class RealSeries:
    """One real site.

    Attributes:
        name: of the site.
        reflectance: `(T, 10, H, W)`, NaN where there is no value.
        clear: `(T, H, W)` bool, ground without clouds and snow.
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
    _require(path)
    with np.load(path) as file:
        digital, clear, dates = file["reflectance"], file["clear"], file["dates"]
        scl = file.get("scl")
    days = days_since_reference([date.fromisoformat(str(day)[:10]) for day in dates])
    order = np.argsort(days, kind="stable")
    keep = order[np.append(True, np.diff(days[order]) > 0)]
    height, width = digital.shape[2:]
    size = largest or max(height, width)
    top, left = max(0, (height - size) // 2), max(0, (width - size) // 2)
    place = (slice(top, top + size), slice(left, left + size))
    reflectance = _reflectance(digital[keep][(..., *place)])
    clear = ground_in_sight(
        reflectance, clear[keep][(..., *place)], None if scl is None else scl[keep][(..., *place)]
    )
    return RealSeries(path.stem, reflectance, clear, days[keep])


def read_fields(path: Path) -> list[RealSeries]:
    """Read some fields of a ragged `.npz` of the shared data, each as a site of one pixel.

    Args:
        path: the file; one without a `cloud` array had its cloudy dates emptied by its makers.

    Raises:
        DataMissingError: there is no such file.
    """
    _require(path)
    with np.load(path) as file:
        digital, dates, offset = file["reflectance"], file["dates"], file["offset"]
        clear = file["cloud"] <= LARGEST_CLOUD if "cloud" in file else np.ones(len(dates), bool)
    fields = np.linspace(0, len(offset) - 2, min(MOST_FIELDS, len(offset) - 1)).astype(int)
    found = []
    for start, stop in ((offset[field], offset[field + 1]) for field in fields):
        days = days_since_reference([date.fromisoformat(str(day)) for day in dates[start:stop]])
        first = np.unique(days, return_index=True)[1]
        rows = start + first[(digital[start:stop][first] > 0).any(1)]
        reflectance = _reflectance(digital[rows][:, :, None, None])
        ground = ground_in_sight(reflectance, clear[rows][:, None, None])
        found.append(RealSeries(path.stem, reflectance, ground, days[rows - start]))
    return found


def elsewhere_series(data: Path) -> list[RealSeries]:
    """Return the series of `ELSEWHERE`."""
    found = []
    for file in ELSEWHERE:
        if file.startswith("image_series"):
            found.append(read_site(data / file, LARGEST_SIZE))
        else:
            found += read_fields(data / file)
    return found


def _require(path: Path) -> None:
    if not path.exists():
        raise DataMissingError(f"There is no real site at {path}: give the folder of the data.")


def _reflectance(digital: np.ndarray) -> np.ndarray:
    """Return reflectance of DN, NaN where there is no value."""
    return np.where(digital > 0, digital / np.float32(10000.0), np.float32(np.nan))


def held_out_series(data: Path) -> list[RealSeries]:
    """Return the held-out sites of the shared data folder."""
    return [read_site(data / "image_series" / f"{site}.npz", LARGEST_SIZE) for site in SITES]
