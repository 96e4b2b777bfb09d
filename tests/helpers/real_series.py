"""The small real series of tests/data, see its README."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[1] / "data"
REAL_SERIES = ("belgian_fields", "bavarian_field")


@dataclass(frozen=True)
class RealSeries:
    """Acquisitions of one place.

    Attributes:
        dn: (T, 10, H, W) reflectance x 10,000; 0 for no value.
        days: T dates; the tiles of one day are several.
        clear: (T, H, W).
    """

    dn: NDArray[np.uint16]
    days: list[date]
    clear: NDArray[np.bool_]

    @property
    def reflectance(self) -> NDArray[np.float32]:
        """Return (T, 10, H, W) reflectance, NaN for no value."""
        return np.where(self.dn == 0, np.nan, self.dn * np.float32(1e-4)).astype(np.float32)


def real_series(name: str, step: int = 1) -> RealSeries:
    """Read every `step`-th acquisition of one of `REAL_SERIES`."""
    with np.load(DATA / f"{name}.npz") as file:
        days = [date.fromisoformat(str(day)[:10]) for day in file["dates"][::step]]
        return RealSeries(file["reflectance"][::step], days, file["clear"][::step])
