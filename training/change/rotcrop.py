"""RotCrop: two annual series and a three-channel label tensor for each place.

A place is one `.npz` file: `labels` `(3, H, W)` integers (crop 2019, crop 2020, change) and, for
each of the two years, `reflectance_<year>` `(T, 10, H, W)` uint16 (DN = reflectance x 10^4, 0 = no
value), `dates_<year>` `(T,)` ISO texts and `clear_<year>` `(T, H, W)` bool, which only the
gap-filled baseline asks for. The paper describes the tensors, not how its files are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.acquisitions import days_since_reference, parse_date
from training.segmentation.series import LabelledDataError

from .pairs import AnnualSeries, Rotation

YEARS = (2019, 2020)


def read_rotations(folder: Path) -> Iterator[Rotation]:
    """Yield the places of a folder, one after the other.

    Raises:
        LabelledDataError: there is none, or a file is not laid out as above.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise LabelledDataError(
            f"{folder} holds no .npz file of RotCrop; give the folder of the places."
        )
    for path in paths:
        yield read_rotation(path)


def read_rotation(path: Path) -> Rotation:
    """Return one place.

    Raises:
        LabelledDataError: the file is not laid out as above.
    """
    try:
        with np.load(path) as file:
            labels = file["labels"].astype(np.int64)
            before, after = (_annual(file, year) for year in YEARS)
    except (OSError, KeyError, ValueError) as error:
        raise LabelledDataError(
            f"{path} is not laid out as a place of RotCrop ({error}); see training/change/"
            "rotcrop.py."
        ) from error
    shapes = {labels.shape[1:], before.reflectance.shape[2:], after.reflectance.shape[2:]}
    if labels.ndim != 3 or len(labels) != 3 or len(shapes) > 1:
        raise LabelledDataError(
            f"{path} has labels of shape {labels.shape} for series of "
            f"{before.reflectance.shape[2:]} and {after.reflectance.shape[2:]} pixels; they need "
            "three channels on the same pixels."
        )
    return Rotation(path.stem, before, after, labels[0], labels[1], labels[2] > 0)


def _annual(file: np.lib.npyio.NpzFile, year: int) -> AnnualSeries:
    digital, clear = file[f"reflectance_{year}"], file[f"clear_{year}"]
    found = [parse_date(str(text)) for text in file[f"dates_{year}"]]
    days = days_since_reference([day for day in found if day])
    if digital.ndim != 4 or digital.shape[:2] != (len(days), len(BANDS)) or None in found:
        raise ValueError(f"reflectance_{year} has shape {digital.shape} for {len(days)} dates")
    if clear.shape != (len(days), *digital.shape[2:]):
        raise ValueError(f"clear_{year} has shape {clear.shape}")
    reflectance = digital.astype(np.float32) / 10000.0
    reflectance[digital == 0] = np.nan
    order = np.argsort(days, kind="stable")
    return AnnualSeries(reflectance[order], days[order], clear[order].astype(bool))
