"""MultiSenGE as published: land cover of eastern France in 2020, patches of 256 x 256 pixels.

Layout (Wenger et al., ISPRS Annals 2022): `labels/<tile>_<x>_<y>.json` with `corresponding_s2`,
the names of the Sentinel-2 files between semicolons; `s2/<tile>_<YYYYMMDD>_S2_<x>_<y>.tif`, ten
bands of DN = reflectance x 10^4 (Theia, -10000 where there is no value); and
`ground_reference/<tile>_GR_<x>_<y>.tif`, one band with codes 1 to 14, 0 where there is no label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.acquisitions import days_since_reference, parse_date
from alise_plugin.sits.bands import canonical_band
from alise_plugin.sits.rasters import open_raster, read_bands

from .series import LabelledDataError, LabelledSeries, Split, named_classes

CLASSES = named_classes(
    {
        1: "Dense built-up",
        2: "Sparse built-up",
        3: "Specialized built-up areas",
        4: "Specialized but vegetative areas",
        5: "Large scale networks",
        6: "Arable lands",
        7: "Vineyards",
        8: "Orchards",
        9: "Grasslands",
        10: "Groves and hedges",
        11: "Forests",
        12: "Open spaces, mineral",
        13: "Wetlands",
        14: "Water surfaces",
    }
)
# The files name no bands: the 10 m bands come first, then the 20 m ones.
FILE_BANDS = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
NO_VALUE = -10000
# Shares of the random split of the paper (section IV-A3), and its two trainings (Table II).
TRAIN, VALIDATION = 0.60, 0.16
SEEDS = (0, 1)

_PATCH = re.compile(r"(?P<tile>[^_]+)_(?P<x>\d+)_(?P<y>\d+)")


class MultiSenGE:
    """Reader of the published folder.

    The paper keeps 4,145 of the 8,157 patches without saying which; here they are those with at
    least `least_dates` acquisitions, or a random `patches` of them.

    Args:
        folder: with `labels`, `s2` and `ground_reference`.
        file_bands: order of the bands in files that do not name them.
        least_dates: patches with fewer acquisitions on disk are left out.
        patches: how many to keep, drawn at random; None keeps all.

    Raises:
        LabelledDataError: the folder is not laid out as published.
        SeriesError: of `read`, a raster cannot be read.
    """

    classes = CLASSES

    def __init__(
        self,
        folder: Path,
        file_bands: Sequence[str] = FILE_BANDS,
        least_dates: int = 3,
        patches: int | None = None,
    ) -> None:
        if sorted(file_bands) != sorted(BANDS):
            raise LabelledDataError(
                f"The order of bands {' '.join(file_bands)} does not hold each of "
                f"{' '.join(BANDS)} once; correct it."
            )
        self.folder = folder
        self.file_bands = tuple(file_bands)
        self._patches: list[tuple[str, list[Path]]] = []
        for path in sorted((folder / "labels").glob("*.json")):
            images = self._images(path)
            if len(images) >= least_dates:
                self._patches.append((path.stem, images))
        if not self._patches:
            raise LabelledDataError(
                f"{folder} holds no patch of MultiSenGE with {least_dates} images or more (labels/"
                "*.json, s2/*.tif); give the folder that was unpacked."
            )
        if patches is not None and patches < len(self._patches):
            kept = np.random.default_rng(0).permutation(len(self._patches))[:patches]
            self._patches = [self._patches[place] for place in sorted(kept)]

    def __len__(self) -> int:
        return len(self._patches)

    def read(self, index: int) -> LabelledSeries:
        """Return one patch: see the module for its layout."""
        name, images = self._patches[index]
        labels = self.labels(index)
        days, series = [], []
        for path in images:
            values, day = self._read(path), parse_date(path.name.split("_")[1])
            if day is None or values.shape != (len(BANDS), *labels.shape):
                raise LabelledDataError(
                    f"{path} has no date in its name, or its shape {values.shape} does not fit the "
                    f"labels of {name} {labels.shape}; unpack MultiSenGE again."
                )
            days.append(day)
            series.append(np.where(values == NO_VALUE, np.nan, values / 10000.0))
        since = days_since_reference(days)
        order = np.argsort(since, kind="stable")
        reflectance = np.stack(series)[order].astype(np.float32)
        return LabelledSeries(name, reflectance, since[order], labels)

    def labels(self, index: int) -> np.ndarray:
        """Return `(H, W)` codes of one patch."""
        match = _PATCH.fullmatch(self._patches[index][0])
        assert match is not None  # _images has looked
        reference = "{tile}_GR_{x}_{y}.tif".format(**match.groupdict())
        found = self._read(self.folder / "ground_reference" / reference)[0]
        return np.asarray(found.astype(np.int64))

    def splits(self) -> list[Split]:
        """Return two random splits of 60, 16 and 24 % (one for each training of Table II)."""
        found = []
        for seed in SEEDS:
            order = np.random.default_rng(seed).permutation(len(self)).tolist()
            first, second = (round(part * len(self)) for part in (TRAIN, TRAIN + VALIDATION))
            found.append(
                Split(tuple(order[:first]), tuple(order[first:second]), tuple(order[second:]))
            )
        return found

    def _images(self, path: Path) -> list[Path]:
        """Return the Sentinel-2 files of a patch that are on disk."""
        try:
            names = json.loads(path.read_text(encoding="utf-8"))["corresponding_s2"].split(";")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise LabelledDataError(
                f"{path} does not list its Sentinel-2 files (corresponding_s2); unpack MultiSenGE "
                "again."
            ) from error
        if not _PATCH.fullmatch(path.stem):
            raise LabelledDataError(
                f"{path} is not named as MultiSenGE names a patch (tile_x_y.json); unpack it again."
            )
        images = (self.folder / "s2" / name.strip() for name in names if name.strip())
        return [image for image in images if image.is_file()]

    def _read(self, path: Path) -> np.ndarray:
        """Return all bands of a GeoTIFF; ten of them come in the order of BANDS."""
        dataset = open_raster(str(path))
        count = dataset.RasterCount
        numbers = list(range(1, count + 1))
        if count == len(BANDS):
            named = [canonical_band(dataset.GetRasterBand(n).GetDescription()) for n in numbers]
            order = named if set(named) == set(BANDS) else list(self.file_bands)
            numbers = [order.index(band) + 1 for band in BANDS]
        return read_bands(dataset, numbers, 0, 0, dataset.RasterXSize, dataset.RasterYSize)
