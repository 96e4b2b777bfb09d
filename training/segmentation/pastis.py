"""PASTIS as published: crops of France, 2,433 series of 128 x 128 pixels in five folds.

Layout (Garnot and Landrieu, ICCV 2021): `metadata.geojson` with one feature a patch, its
`ID_PATCH`, its `Fold` and its `dates-S2`; `DATA_S2/S2_<ID>.npy`, `(T, 10, 128, 128)` integers, DN =
reflectance x 10^4, bands B02 B03 B04 B05 B06 B07 B08 B8A B11 B12; `ANNOTATIONS/TARGET_<ID>.npy`, of
which the first plane holds the crop. Background (0) and void (19) are not learned (ALISE, section
IV-A2).
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.acquisitions import days_since_reference, parse_date

from .series import (
    LabelledDataError,
    LabelledSeries,
    Split,
    named_classes,
    rotating_folds,
)

CLASSES = named_classes(
    {
        1: "Meadow",
        2: "Soft winter wheat",
        3: "Corn",
        4: "Winter barley",
        5: "Winter rapeseed",
        6: "Spring barley",
        7: "Sunflower",
        8: "Grapevine",
        9: "Beet",
        10: "Winter triticale",
        11: "Winter durum wheat",
        12: "Fruits, vegetables, flowers",
        13: "Potatoes",
        14: "Leguminous fodder",
        15: "Soybeans",
        16: "Orchard",
        17: "Mixed cereal",
        18: "Sorghum",
    }
)
# A pixel that holds one of these in every band was not seen.
NO_VALUE = (0, -10000)


class Pastis:
    """Reader of the published folder.

    Args:
        folder: with `metadata.geojson`.
        year: keep the acquisitions of this calendar year alone; the published series run from
            autumn 2018 to autumn 2019, those of the ALISE paper from January to December 2019.

    Raises:
        LabelledDataError: the folder is not laid out as published.
    """

    classes = CLASSES

    def __init__(self, folder: Path, year: int | None = None) -> None:
        self.folder = folder
        self._bounds = (-np.inf, np.inf)
        if year is not None:
            first, last = days_since_reference([date(year, 1, 1), date(year + 1, 1, 1)])
            self._bounds = (float(first), float(last))
        path = folder / "metadata.geojson"
        try:
            features = json.loads(path.read_text(encoding="utf-8"))["features"]
            patches = [feature["properties"] for feature in features]
            patches.sort(key=lambda patch: int(patch["ID_PATCH"]))
            self._ids = [int(patch["ID_PATCH"]) for patch in patches]
            self._folds = np.array([int(patch["Fold"]) for patch in patches])
            self._days = [_days(patch["dates-S2"]) for patch in patches]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabelledDataError(
                f"{path} is not the metadata of PASTIS ({type(error).__name__}: {error}); give the "
                "folder that was unpacked."
            ) from error

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, index: int) -> LabelledSeries:
        """Return one patch: see the module for its layout."""
        name = str(self._ids[index])
        series = self._array(f"DATA_S2/S2_{name}.npy", 4)
        labels = self.labels(index)
        days = self._days[index]
        if series.shape[:2] != (len(days), len(BANDS)) or series.shape[2:] != labels.shape:
            raise LabelledDataError(
                f"Patch {name} of {self.folder} has shape {series.shape}, {len(days)} dates and "
                f"labels of shape {labels.shape}, which do not fit; get the patch again."
            )
        reflectance = series.astype(np.float32) / 10000.0
        for value in NO_VALUE:
            unseen = (series == value).all(1)
            reflectance[np.broadcast_to(unseen[:, None], series.shape)] = np.nan
        order = np.argsort(days, kind="stable")
        order = order[(days[order] >= self._bounds[0]) & (days[order] < self._bounds[1])]
        if not len(order):
            raise LabelledDataError(
                f"Patch {name} of {self.folder} has no acquisition in the year asked for; ask for "
                "2018 or 2019, or for no year."
            )
        return LabelledSeries(name, reflectance[order], days[order], labels)

    def labels(self, index: int) -> np.ndarray:
        """Return `(H, W)` codes of one patch."""
        name = f"ANNOTATIONS/TARGET_{self._ids[index]}.npy"
        return np.asarray(self._array(name, 3)[0].astype(np.int64))

    def splits(self) -> list[Split]:
        """Return the five official experiments."""
        return rotating_folds(self._folds)

    def _array(self, name: str, axes: int) -> np.ndarray:
        path = self.folder / name
        try:
            array = np.load(path)
        except (OSError, ValueError) as error:
            raise LabelledDataError(
                f"{path} cannot be read ({error}); unpack PASTIS again."
            ) from error
        if array.ndim != axes:
            raise LabelledDataError(
                f"{path} has {array.ndim} axes where PASTIS has {axes}; unpack PASTIS again."
            )
        return np.asarray(array)


def _days(dates: dict[str, Any] | str) -> np.ndarray:
    """Return `dates-S2`, `{"0": 20180924, ...}` or the same as text, as `(T,)` days."""
    table = json.loads(dates) if isinstance(dates, str) else dates
    found = [parse_date(str(table[key])) for key in sorted(table, key=int)]
    if None in found or not found:
        raise ValueError(f"no dates in {dates!r}")
    return days_since_reference([day for day in found if day])
