"""Live classes of the visible map, computed in a thread of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qgis.core import QgsRectangle, QgsTask
from qgis.PyQt.QtCore import pyqtSignal

from ..errors import OUT_OF_MEMORY, AliseError
from ..mapping.features.embedding_raster import EmbeddingRaster
from ..mapping.learning.live_classes import Screen, classify, fit_live, read_pixel, read_screen
from ..model.heads.class_head import MapClass
from .class_examples import Example
from .class_overlay import MapView, colored, on_the_map


@dataclass
class ReadAlready:
    """What was read of a raster, which the next example needs again.

    Attributes:
        path: of the raster.
        key: extent and size of the screen.
        screen: its vectors.
        pixels: vectors of examples, by row and column.
    """

    path: str = ""
    key: tuple[float, ...] = ()
    screen: Screen | None = None
    pixels: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """Classes of what the map shows.

    Attributes:
        colors: `(rows, columns, 4)` red, green, blue and opacity.
        extent: of the map, in its CRS.
    """

    colors: NDArray[np.uint8]
    extent: QgsRectangle


class ClassesTask(QgsTask):
    """Classifies what the map shows by the examples there are.

    Signals:
        ended: the `Picture`, or None and the sentence that says why there is none (empty after a
            cancel).

    Args:
        title: for the list of tasks.
        path: of an embedding raster.
        view: the map.
        examples: at least one; each lies in the raster.
        classes: in the order of the picture's colours.
        already: what was read before; one task at a time may have it.
    """

    ended = pyqtSignal(object, str)

    def __init__(
        self,
        title: str,
        path: str,
        view: MapView,
        examples: Sequence[Example],
        classes: Sequence[MapClass],
        already: ReadAlready,
    ) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._path, self._view, self._already = path, view, already
        self._examples, self._classes = list(examples), list(classes)
        self._picture: Picture | None = None
        self._problem = ""

    def run(self) -> bool:
        """Make the picture, in a thread."""
        try:
            self._picture = self._make()
        except AliseError as error:
            self._problem = str(error)
        except MemoryError:
            self._problem = OUT_OF_MEMORY
        return self._picture is not None

    def finished(self, result: bool) -> None:
        """Hand the picture over, in the thread of the window."""
        cancelled = self.isCanceled()
        self.ended.emit(
            None if cancelled else self._picture, "" if cancelled or result else self._problem
        )

    def _make(self) -> Picture | None:
        raster = EmbeddingRaster(self._path)
        already = self._already
        if already.path != self._path:
            already.path, already.key, already.pixels = self._path, (), {}
        features = np.stack([self._vector(raster, example) for example in self._examples])
        codes = [item.code for item in self._classes]
        target = np.array([codes.index(example.code) for example in self._examples])
        network = fit_live(features, target, len(codes))
        if self.isCanceled():
            return None
        screen, extent = self._screen(raster)
        if self.isCanceled():
            return None
        best, sure = classify(screen, network)
        colors = colored(best, sure, [item.rgb for item in self._classes])
        return Picture(on_the_map(colors, extent, self._view), self._view.extent)

    def _vector(self, raster: EmbeddingRaster, example: Example) -> NDArray[np.float32]:
        left, dx, _, top, _, dy = raster.grid.geotransform
        place = int((example.y - top) // dy), int((example.x - left) // dx)
        if place not in self._already.pixels:
            self._already.pixels[place] = read_pixel(raster, *place)
        return self._already.pixels[place]

    def _screen(self, raster: EmbeddingRaster) -> tuple[Screen, tuple[float, ...]]:
        view, already = self._view, self._already
        box = view.to_layer.transformBoundingBox(view.extent)
        extent = box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
        key = (*extent, view.rows, view.columns)
        if already.screen is None or already.key != key:
            already.screen = None  # two of them may be more than the memory holds
            already.screen = read_screen(raster, extent, (view.rows, view.columns))
            already.key = key
        return already.screen, raster.grid.subgrid(already.screen.window).extent
