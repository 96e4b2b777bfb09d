"""A labelled set of simulated farmlands, in five folds as PASTIS has."""

from __future__ import annotations

import numpy as np

from training.simulation.covers import NAMES

from .farmland import simulate_farmlands
from .series import LabelledDataError, LabelledSeries, Split, named_classes, rotating_folds

# Twelve classes; roads, hedges and what else lies between fields are background.
GROWN = (
    "winter wheat",
    "winter barley",
    "rapeseed",
    "spring cereal",
    "maize",
    "sunflower",
    "soybean",
    "sugar beet",
    "potato",
    "meadow",
    "orchard",
    "vineyard",
)


class SimulatedSegmentation:
    """Farmlands of one year, made when the set is opened.

    Args:
        series: how many; a fifth of them is a fold.
        size: H = W.
        most_dates: longer series are thinned evenly to this; None keeps them.
        seed: far from those that pre-training uses.

    Raises:
        LabelledDataError: the size is odd, or a number is not positive.
    """

    classes = named_classes(dict(enumerate(GROWN, start=1)))

    def __init__(
        self,
        series: int = 60,
        size: int = 32,
        most_dates: int | None = None,
        seed: int = 982_451_707,
    ) -> None:
        if size % 2 or min(series, size, 1 if most_dates is None else most_dates) < 1:
            raise LabelledDataError(
                f"{series} farmlands of {size} x {size} pixels, {most_dates} dates: write 1 or "
                "more of each, and an even size."
            )
        self.most_dates = most_dates
        self._farmlands = simulate_farmlands(series, 1, seed, GROWN, size=size)

    def __len__(self) -> int:
        return len(self._farmlands)

    def read(self, index: int) -> LabelledSeries:
        """Return one farmland; codes are places in GROWN, from 1 on, and 0 for background."""
        year = self._farmlands[index].years[0]
        count = len(year.days)
        kept = np.linspace(0, count - 1, min(count, self.most_dates or count)).round().astype(int)
        return LabelledSeries(
            f"farmland {index}", year.reflectance[kept], year.days[kept], self.labels(index)
        )

    def labels(self, index: int) -> np.ndarray:
        """Return `(H, W)` codes of one farmland."""
        cover = self._farmlands[index].years[0].cover
        labels = np.zeros(cover.shape, np.int64)
        for code, name in enumerate(GROWN, start=1):
            labels[cover == NAMES.index(name)] = code
        return labels

    def splits(self) -> list[Split]:
        """Return five experiments of three, one and one folds."""
        return rotating_folds(np.arange(len(self)) % 5 + 1)
