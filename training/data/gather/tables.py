"""Series in text tables."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from alise_plugin.sentinel2 import BANDS

from .samples import GatheredSet, GatherError, Sample, numbers, set_of
from .sources import Source

# FORCE's names of the ten bands; its NIR is the narrow one, B8A.
FORCE_NAMES = ("BLU", "GRN", "RED", "RE1", "RE2", "RE3", "BNR", "NIR", "SW1", "SW2")


def force(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return a file for each pixel and year, a row for each date, DN under FORCE's names."""

    def sample(path: Path) -> Sample:
        table = _table(path, ("year", *FORCE_NAMES), source)
        dn = _values(table, FORCE_NAMES)
        days = [f"{int(float(row['year']))}" for row in table]
        when = [date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in days]
        return Sample(numbers(dn), when)

    return [set_of(source, map(sample, files))]


def plots(source: Source, files: list[Path]) -> list[GatheredSet]:
    """Return one file with a row for each plot and date, reflectance of 1.0 = 100 %."""
    names = [f"B{band[1:].lstrip('0')}" for band in BANDS]
    table = _table(files[0], ("plot_names", "dat", *names), source)
    table.sort(key=lambda row: (row["plot_names"], row["dat"]))

    def sample(rows: list[dict[str, str]]) -> Sample:
        dates = [date.fromisoformat(row["dat"]) for row in rows]
        return Sample(numbers(_values(rows, names) * 10000), dates)

    grouped = itertools.groupby(table, key=lambda row: row["plot_names"])
    return [set_of(source, (sample(list(rows)) for _, rows in grouped))]


def _values(table: list[dict[str, str]], names: Sequence[str]) -> np.ndarray:
    """Return `(rows, columns)` float64; NaN where a field is empty or NA."""
    fields = [[row[name] for name in names] for row in table]
    return np.array([[np.nan if f in ("", "NA") else float(f) for f in row] for row in fields])


def _table(path: Path, columns: tuple[str, ...], source: Source) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise GatherError(
                f"{path.name} of {source.repository} has no column {', '.join(missing)} any more."
            )
        return list(reader)
