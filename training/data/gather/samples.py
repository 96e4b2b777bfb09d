"""What every reader makes of its files: named arrays as `training.data.real` reads them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np

from alise_plugin.errors import AliseError
from alise_plugin.sentinel2 import BANDS

from .sources import Source

# Composites keep clouds that masks have missed: this blue is none of the ground's, but of snow's.
LARGEST_BLUE_DN = 1300
NO_VALUE = 65535
LEAST_DATES = 6
# A band that fewer of the values have is not in the set.
LEAST_SHARE = 0.05


class GatherError(AliseError):
    """What was to be gathered is not there, or is not what it should be."""


@dataclass(frozen=True)
class GatheredSet:
    """One set, as it is written.

    Attributes:
        site: its name.
        arrays: of the `.npz`.
        bands: that it has.
    """

    site: str
    arrays: dict[str, np.ndarray]
    bands: list[str]


@dataclass(frozen=True)
class Sample:
    """The series of one pixel or field.

    Attributes:
        dn: `(dates, 10)` uint16, 0 where there is no value.
        dates: of the rows.
        lonlat: degrees, NaN if nobody says.
        label: its class, where there are any.
    """

    dn: np.ndarray
    dates: list[date]
    lonlat: tuple[float, float] = (np.nan, np.nan)
    label: object = None


def set_of(source: Source, samples: Iterable[Sample]) -> GatheredSet:
    """Return the dates with a value of those samples that have enough of them.

    Raises:
        GatherError: there is no such sample.
    """
    found = []
    for sample in samples:
        held = np.flatnonzero((sample.dn > 0).any(1))
        if len(held) >= LEAST_DATES:
            found.append((sample, held))
    if not found:
        raise GatherError(f"{source.site}: no sample of {source.path} has {LEAST_DATES} dates.")
    parts = [sample.dn[held] for sample, held in found]
    dates = [[sample.dates[place].isoformat() for place in held] for sample, held in found]
    dn = np.concatenate(parts)
    arrays = {
        "reflectance": dn,
        "cloud": (dn[:, 0] > LARGEST_BLUE_DN).astype(np.float32),
        "dates": np.array(list(itertools.chain(*dates))),
        "offset": np.cumsum([0, *map(len, parts)]),
        "lonlat": np.array([sample.lonlat for sample, _ in found]),
    }
    if source.labels:
        arrays["labels"] = np.array([sample.label for sample, _ in found])
    return GatheredSet(source.site, arrays, bands_of(dn[..., None, None]))


def bands_of(dn: np.ndarray) -> list[str]:
    """Return the bands of `(T, 10, H, W)` that have values."""
    share = (dn > 0).mean((0, 2, 3))
    return [band for band, part in zip(BANDS, share, strict=True) if part > LEAST_SHARE]


def numbers(values: np.ndarray, offset_dn: int = 0) -> np.ndarray:
    """Return DN as they are stored: uint16, 0 where there is no value.

    Args:
        values: DN of any type and shape; what is not above 0 is no value.
        offset_dn: what was added to them. A value that is dark beyond it stays one.
    """
    dn = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    there = (dn > 0) & (dn < NO_VALUE)
    return np.where(there, np.maximum(np.round(dn) - offset_dn, 1), 0).astype(np.uint16)
