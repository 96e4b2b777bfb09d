"""The curve of a pixel, read and decoded in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from qgis.core import QgsTask
from qgis.PyQt.QtCore import pyqtSignal

from ..errors import OUT_OF_MEMORY, AliseError, Cancelled, SeriesError
from ..mapping.curves.phenology import dates_of_curve
from ..mapping.curves.pixel_curves import PixelCurves, curves_of_pixels
from ..mapping.features.features import Features
from ..mapping.features.source import open_features
from ..mapping.features.tiling import TileBudget
from ..mapping.samples.samples import ChosenPixels
from ..model.encoder import Encoder

# Pixels around the clicked one that a first look reads: a thirtieth of what an exact curve does.
FIRST_LOOK = 8
_BUDGET = TileBudget(memory_mb=1024)


@dataclass(frozen=True)
class PixelCurve:
    """The curve of one pixel.

    Attributes:
        curves: of this pixel alone.
        row, col: of the pixel.
        x, y: its centre, in the CRS of the layer.
        exact: whether all was read that the curve depends on.
    """

    curves: PixelCurves
    row: int
    col: int
    x: float
    y: float
    exact: bool


class _TaskFeedback:
    """Passes progress and cancelling between a task and the other rooms."""

    def __init__(self, task: QgsTask) -> None:
        self._task = task

    def progress(self, fraction: float) -> None:
        """Report the fraction that is done, in [0, 1]."""
        self._task.setProgress(100.0 * fraction)

    def cancelled(self) -> bool:
        """Return whether the task was cancelled."""
        return bool(self._task.isCanceled())

    def info(self, text: str) -> None:
        """Take no notice: a dock has no log."""

    def warning(self, text: str) -> None:
        """Take no notice."""


class CurveTask(QgsTask):
    """Reads the curve of the pixel at a place: first roughly, then exactly.

    Signals:
        curve_found: a `PixelCurve`, once or twice.
        ended: the sentence that says why there is none; empty if there is, or after a cancel.

    Args:
        title: for the list of tasks.
        path: of an image series or embedding raster.
        place: x and y in the CRS of that raster.
        load: opens the model.
    """

    curve_found = pyqtSignal(object)
    ended = pyqtSignal(str)

    def __init__(
        self, title: str, path: str, place: tuple[float, float], load: Callable[[], Encoder]
    ) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._path, self._place, self._load = path, place, load
        self._problem = ""

    def run(self) -> bool:
        """Find the curve, in a thread."""
        try:
            source = open_features(self._path, self._load)
            for halo in (FIRST_LOOK, None) if source.is_series else (None,):
                self.curve_found.emit(self._curve(source, halo))
        except Cancelled:
            return False
        except AliseError as error:
            self._problem = str(error)
            return False
        except MemoryError:
            self._problem = OUT_OF_MEMORY
            return False
        return True

    def finished(self, result: bool) -> None:
        """Say that all is over, in the thread of the window."""
        self.ended.emit("" if result or self.isCanceled() else self._problem)

    def _curve(self, source: Features, halo: int | None) -> PixelCurve:
        left, dx, _, top, _, dy = source.grid.geotransform
        x, y = self._place
        col, row = int(np.floor((x - left) / dx)), int(np.floor((y - top) / dy))
        if not (0 <= row < source.grid.height and 0 <= col < source.grid.width):
            raise SeriesError(f"This place lies outside {source.name}: click inside it.")
        one = np.zeros(1, np.int64)
        chosen = ChosenPixels(one + row, one + col, one, one, one, one.astype(np.uint64))
        curves = curves_of_pixels(
            source,
            chosen,
            dates_of_curve(source),
            budget=_BUDGET,
            feedback=_TaskFeedback(self),
            halo=halo,
        )
        if not np.isfinite(curves.reconstructed).any():
            raise SeriesError(f"This pixel has no value in any date of {source.name}.")
        centre = left + (col + 0.5) * dx, top + (row + 0.5) * dy
        return PixelCurve(curves, row, col, *centre, exact=halo is None)
