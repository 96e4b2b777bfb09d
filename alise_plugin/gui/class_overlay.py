"""The picture of live classes on the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsPointXY,
    QgsRectangle,
)
from qgis.gui import QgsMapCanvas, QgsMapCanvasItem
from qgis.PyQt.QtCore import QRectF
from qgis.PyQt.QtGui import QImage, QPainter
from qgis.PyQt.QtWidgets import QStyleOptionGraphicsItem, QWidget

from ..mapping.learning.live_classes import NO_CLASS

_FAINTEST, _OPAQUE = 60, 220  # of 255: of a pixel that is not sure at all, and of one that is
_KNOTS = 24  # points a side between which coordinates are interpolated


@dataclass(frozen=True)
class MapView:
    """What a map shows.

    Attributes:
        extent: in the CRS of the map.
        rows, columns: of the screen.
        to_layer: from the CRS of the map to that of the raster.
    """

    extent: QgsRectangle
    rows: int
    columns: int
    to_layer: QgsCoordinateTransform


def colored(
    classes: NDArray[np.uint8], sure: NDArray[np.float32], colors: Sequence[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """Return `(h, w, 4)` red, green, blue and opacity: the surer, the more opaque."""
    palette = np.zeros((256, 4), np.uint8)
    palette[: len(colors), :3] = colors
    picture = palette[classes]
    least = 1 / max(2, len(colors))
    share = np.clip((sure - least) / (1 - least), 0, 1)
    opacity = _FAINTEST + share * (_OPAQUE - _FAINTEST)
    picture[..., 3] = np.where(classes == NO_CLASS, 0, opacity)
    return picture


def on_the_map(
    picture: NDArray[np.uint8], extent: Sequence[float], view: MapView
) -> NDArray[np.uint8]:
    """Return a picture in the CRS and size of the map, nearest neighbour.

    Args:
        picture: `(h, w, 4)`.
        extent: (xmin, ymin, xmax, ymax) that it covers, in the CRS of the raster.
        view: the map.
    """
    xs, ys = _layer_coordinates(view)
    left, bottom, right, top = extent
    height, width = picture.shape[:2]
    with np.errstate(invalid="ignore"):
        cols, rows = (xs - left) / (right - left) * width, (top - ys) / (top - bottom) * height
        inside = (cols >= 0) & (cols < width) & (rows >= 0) & (rows < height)
    out = np.zeros((view.rows, view.columns, 4), np.uint8)
    out[inside] = picture[rows[inside].astype(int), cols[inside].astype(int)]
    return out


def _layer_coordinates(view: MapView) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `(rows, columns)` x and y of the middles of the screen's pixels in the raster's CRS.

    Exact at a few knots, between which they are interpolated.
    """
    across, down = np.linspace(0, 1, _KNOTS), np.linspace(0, 1, _KNOTS)
    extent = view.extent
    knots = np.full((2, _KNOTS, _KNOTS), np.nan)
    for row, part in enumerate(down):
        for col, share in enumerate(across):
            x = extent.xMinimum() + share * extent.width()
            y = extent.yMaximum() - part * extent.height()
            try:
                point = view.to_layer.transform(QgsPointXY(x, y))
            except QgsCsException:
                continue
            knots[:, row, col] = point.x(), point.y()
    rows = (np.arange(view.rows) + 0.5) / view.rows * (_KNOTS - 1)
    cols = (np.arange(view.columns) + 0.5) / view.columns * (_KNOTS - 1)
    above, before = rows.astype(int), cols.astype(int)
    dy, dx = (rows - above)[:, None], (cols - before)[None]
    out = []
    for values in knots:
        upper = values[above][:, before] * (1 - dx) + values[above][:, before + 1] * dx
        lower = values[above + 1][:, before] * (1 - dx) + values[above + 1][:, before + 1] * dx
        out.append(upper * (1 - dy) + lower * dy)
    return out[0], out[1]


class ClassOverlay(QgsMapCanvasItem):
    """A picture over the map, which moves with it.

    Args:
        canvas: the map.
    """

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._image: QImage | None = None
        self._extent = QgsRectangle()
        self.setZValue(50)

    @property
    def image(self) -> QImage | None:
        """Return the picture; None if there is none."""
        return self._image

    def show_picture(self, picture: NDArray[np.uint8] | None, extent: QgsRectangle) -> None:
        """Show a picture `(h, w, 4)` on an extent in the CRS of the map, or none."""
        self._image, self._extent = None, extent
        if picture is not None:
            height, width = picture.shape[:2]
            data = np.ascontiguousarray(picture).tobytes()
            form = QImage.Format.Format_RGBA8888
            self._image = QImage(data, width, height, 4 * width, form).copy()
        self.updatePosition()
        self.setVisible(self._image is not None)
        self.update()

    def updatePosition(self) -> None:
        if self._image is not None:
            self.setRect(self._extent)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem | None = None,
        widget: QWidget | None = None,
    ) -> None:
        if self._image is not None:
            whole = self.boundingRect()
            painter.drawImage(QRectF(0, 0, whole.width() - 2, whole.height() - 2), self._image)
