"""The tab of the dock that shows the years of clicked pixels."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsMapLayer,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
)
from qgis.gui import (
    QgisInterface,
    QgsFileWidget,
    QgsMapMouseEvent,
    QgsMapTool,
    QgsMapToolEmitPoint,
    QgsVertexMarker,
)
from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..algorithms.given import raster_file
from ..errors import AliseError
from ..mapping.curves.extract import CLEAR, UNLIKE
from ..mapping.curves.indices import INDICES, SpectralIndex
from ..model.encoder import Encoder, load_encoder
from ..model.package import BUNDLED_MODEL
from ..sentinel2 import BANDS
from .chart_parts import chart_curve
from .click_tool import NO_FLAGS
from .curve_chart import CurveChart
from .curve_task import CurveTask, PixelCurve
from .temporal_series import bands_by_date, last_day_of, show_date

# Colour-blind safe (Okabe and Ito), those that stand out on light and on dark.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_COLUMNS = ("pixel", "x", "y", "date", "name", "observed", "reconstructed", "state")


@dataclass
class _Shown:
    """A pixel that was clicked.

    Attributes:
        layer: id of its layer.
        marker: on the map.
        found: its curve; None as long as it is read.
    """

    layer: str
    marker: QgsVertexMarker
    found: PixelCurve | None = None


class CurveTool(QgsMapToolEmitPoint):
    """Hands each click on the map to the tab.

    Args:
        tab: that shows the curves.
    """

    def __init__(self, tab: CurveTab) -> None:
        super().__init__(tab.canvas)
        self._tab = tab

    def flags(self) -> QgsMapTool.Flags:
        """Return no flags: the canvas would take Shift for its zoom rectangle."""
        return NO_FLAGS

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        more = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._tab.look_at(self.toMapCoordinates(event.pos()), more)


@dataclass
class _Model:
    """The model that was opened last, which the next click needs again."""

    folder: str = ""
    encoder: Encoder | None = field(default=None)

    def load(self, folder: str) -> Encoder:
        """Return the encoder of a folder; of the bundled model if it is empty."""
        if self.encoder is None or self.folder != folder:
            self.encoder, self.folder = load_encoder(folder or BUNDLED_MODEL), folder
        return self.encoder


class CurveTab(QWidget):
    """Click on a pixel of the active layer: its observations, and the curve that is decoded.

    Args:
        iface: of QGIS desktop.
    """

    def __init__(self, iface: QgisInterface) -> None:
        super().__init__()
        self._iface = iface
        self.canvas = iface.mapCanvas()
        self._model = _Model()
        self._shown: list[_Shown] = []
        self._task: CurveTask | None = None
        self._running: dict[int, CurveTask] = {}  # also those that were cancelled and still end
        self._build()
        self.tool = CurveTool(self)
        self.tool.activated.connect(lambda: self.click.setChecked(True))
        self.tool.deactivated.connect(lambda: self.click.setChecked(False))
        self.canvas.temporalRangeChanged.connect(self._follow_time)
        self.canvas.destinationCrsChanged.connect(self._place_markers)
        QgsProject.instance().layersWillBeRemoved.connect(self._forget_layers)
        self._follow_time()
        self._draw()

    def _build(self) -> None:
        self.click = QPushButton(self.tr("Click a pixel"))
        self.click.setCheckable(True)
        self.click.setToolTip(
            self.tr("Shows the curve of a pixel of the active layer. Shift adds another pixel.")
        )
        self.click.clicked.connect(self._choose_tool)
        self.index = QComboBox()
        self.index.setEditable(True)
        self.index.addItems([*INDICES, *BANDS])
        self.index.setToolTip(self.tr("An index, a band, or a formula: (B08 - B04) / B05"))
        self.index.activated.connect(self._draw)
        self.index.lineEdit().editingFinished.connect(self._draw)
        self.folded = QCheckBox(self.tr("Years on one another"))
        self.folded.toggled.connect(self._draw)
        self.model = QgsFileWidget()
        self.model.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.model.lineEdit().setPlaceholderText(self.tr("Model: the bundled one"))
        self.chart = CurveChart()
        self.chart.day_clicked.connect(self._show_day)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.progress = QProgressBar()
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.clicked.connect(self.stop_reading)
        self.copy = QPushButton(self.tr("Copy CSV"))
        self.copy.clicked.connect(lambda: QgsApplication.clipboard().setText(self.table()))
        self.picture = QPushButton(self.tr("Save picture..."))
        self.picture.clicked.connect(self._ask_for_picture)
        self.clear = QPushButton(self.tr("Clear"))
        self.clear.clicked.connect(self.forget)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        for widget in (self.click, self.index, self.folded, self.model):
            top.addWidget(widget)
        for widget in (self.progress, self.cancel, self.copy, self.picture, self.clear):
            bottom.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.chart, 1)
        layout.addWidget(self.status)
        layout.addLayout(bottom)

    def look_at(self, point: QgsPointXY, more: bool = False) -> None:
        """Show the pixel of the active layer at a point.

        Args:
            point: in the CRS of the map.
            more: beside the pixels that are shown, instead of them.
        """
        layer = self._iface.activeLayer()
        if not isinstance(layer, QgsRasterLayer):
            self._say(self.tr("Choose an image series or an embedding raster in the layer panel."))
            return
        try:
            path = raster_file(layer)
            there = self._between(self._map_crs(), layer.crs()).transform(point)
        except AliseError as error:
            self._say(str(error))
            return
        except QgsCsException:
            self._say(self.tr("This place cannot be brought into the CRS of the layer."))
            return
        if more and len(self._shown) == len(COLORS):
            self._say(self.tr("{} pixels are shown, which is all there is room for.").format(6))
            return
        self.stop_reading()
        if not more:
            self.forget()
        self._mark(point, layer)
        self._read(layer, path, (there.x(), there.y()))

    def _mark(self, point: QgsPointXY, layer: QgsMapLayer) -> None:
        marker = QgsVertexMarker(self.canvas)
        marker.setCenter(point)
        used = {shown.marker.color().name() for shown in self._shown}
        marker.setColor(QColor(next(color for color in COLORS if color not in used)))
        marker.setPenWidth(3)
        self._shown.append(_Shown(layer.id(), marker))

    def _read(self, layer: QgsMapLayer, path: str, place: tuple[float, float]) -> None:
        folder = self.model.filePath()
        title = self.tr("Curve of a pixel of {}").format(layer.name())
        task = CurveTask(title, path, place, lambda: self._model.load(folder))
        shown = self._shown[-1]
        task.curve_found.connect(lambda curve: self._take(task, shown, curve))
        task.ended.connect(lambda problem: self._end(task, shown, problem))
        task.progressChanged.connect(lambda percent: self._tell(task, percent))
        self._task = self._running[id(task)] = task
        self._say(self.tr("Reading..."))
        self._show_running()
        QgsApplication.taskManager().addTask(task)

    def _take(self, task: CurveTask, shown: _Shown, curve: PixelCurve) -> None:
        if task is not self._task or shown not in self._shown:
            return  # it was cancelled meanwhile
        shown.found = curve
        self._say("" if curve.exact else self.tr("A first look; the exact curve follows."))
        self._place_markers()
        self._draw()

    def _end(self, task: CurveTask, shown: _Shown, problem: str) -> None:
        self._running.pop(id(task), None)
        if task is not self._task:
            return
        self._task = None
        self._show_running()
        if problem:
            self._say(problem)
        if shown.found is None and shown in self._shown:
            self._drop(shown)

    def _tell(self, task: CurveTask, percent: float) -> None:
        if task is self._task:
            self.progress.setValue(round(percent))

    def stop_reading(self) -> None:
        """Cancel the curve that is being read; what was shown of it at first stays."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        for shown in [one for one in self._shown if one.found is None]:
            self._drop(shown)
        self._say(self.tr("Cancelled."))
        self._show_running()

    def forget(self) -> None:
        """Take all pixels out of the chart and off the map."""
        self.stop_reading()
        for shown in list(self._shown):
            self._drop(shown)
        self._say("")
        self._draw()

    def close_down(self) -> None:
        """Let go of the map and of what runs: the dock is taken away."""
        self.forget()
        self.canvas.unsetMapTool(self.tool)
        self.canvas.temporalRangeChanged.disconnect(self._follow_time)
        self.canvas.destinationCrsChanged.disconnect(self._place_markers)
        QgsProject.instance().layersWillBeRemoved.disconnect(self._forget_layers)

    def table(self) -> str:
        """Return the values of the chart as CSV, with the columns of Extract curves."""
        index = self._index()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for number, shown in enumerate(self._shown, start=1):
            if index is None or shown.found is None:
                continue
            found, curves = shown.found, shown.found.curves
            observed, expected = index(curves.observed[0]), index(curves.reconstructed[0])
            for n, day in enumerate(curves.dates):
                state = (UNLIKE if curves.unlike[0, n] else CLEAR) if curves.seen[0, n] else ""
                values = (
                    f"{value:.6g}" if np.isfinite(value) else ""
                    for value in (observed[n], expected[n])
                )
                writer.writerow([number, found.x, found.y, day, index.name, *values, state])
        return text.getvalue()

    def save_picture(self, path: str) -> None:
        """Write the chart as PNG or SVG."""
        if self.chart.save(path):
            self._say(self.tr("Saved as {}.").format(path))
        else:
            self._say(self.tr("{} cannot be written: choose another folder or name.").format(path))

    def _ask_for_picture(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save picture"), "curve.png", "PNG (*.png);;SVG (*.svg)"
        )
        if path:
            self.save_picture(path)

    def _draw(self, *_: object) -> None:
        index = self._index()
        curves = []
        if index is not None:
            for shown in self._shown:
                if shown.found is not None:
                    pixel = shown.found
                    name = self.tr("row {}, column {}").format(pixel.row, pixel.col)
                    color = shown.marker.color().name()
                    curves.append(chart_curve(pixel.curves, index, name, color))
        title = index.name if index is not None and curves else self.tr("Click a pixel on the map")
        self.chart.show_curves(curves, title, self.folded.isChecked())
        for button in (self.copy, self.picture):
            button.setEnabled(bool(curves))
        self.clear.setEnabled(bool(self._shown))

    def _index(self) -> SpectralIndex | None:
        try:
            return SpectralIndex(self.index.currentText() or "NDVI")
        except AliseError as error:
            self._say(str(error))
            return None

    def _choose_tool(self, on: bool) -> None:
        if on:
            self.canvas.setMapTool(self.tool)
        else:
            self.canvas.unsetMapTool(self.tool)

    def _follow_time(self, *_: object) -> None:
        self.chart.show_day(last_day_of(self.canvas.temporalRange()))

    def _show_day(self, day: date) -> None:
        """Show the acquisition nearest to a day in each series whose pixels are shown."""
        for layer_id in {shown.layer for shown in self._shown}:
            layer = QgsProject.instance().mapLayer(layer_id)
            acquired = list(bands_by_date(layer)) if isinstance(layer, QgsRasterLayer) else []
            if acquired:
                nearest = min(acquired, key=lambda one: abs((one - day).days))
                show_date(layer, nearest)
                self.chart.show_day(nearest)
                self._say(self.tr("The map shows {}.").format(nearest))

    def _forget_layers(self, ids: list[str]) -> None:
        gone = [shown for shown in self._shown if shown.layer in ids]
        if any(shown.found is None for shown in gone) or (gone and self._task is not None):
            self.stop_reading()
        for shown in gone:
            if shown in self._shown:
                self._drop(shown)
        if gone:
            self._draw()

    def _drop(self, shown: _Shown) -> None:
        self.canvas.scene().removeItem(shown.marker)
        self._shown.remove(shown)
        self.clear.setEnabled(bool(self._shown))

    def _place_markers(self) -> None:
        """Put each marker on the middle of its pixel, in the CRS of the map."""
        for shown in self._shown:
            layer = QgsProject.instance().mapLayer(shown.layer)
            if shown.found is None or layer is None:
                continue
            centre = QgsPointXY(shown.found.x, shown.found.y)
            try:
                shown.marker.setCenter(
                    self._between(layer.crs(), self._map_crs()).transform(centre)
                )
            except QgsCsException:
                continue  # the map's CRS does not reach there

    def _map_crs(self) -> QgsCoordinateReferenceSystem:
        return self.canvas.mapSettings().destinationCrs()

    def _between(
        self, source: QgsCoordinateReferenceSystem, target: QgsCoordinateReferenceSystem
    ) -> QgsCoordinateTransform:
        return QgsCoordinateTransform(source, target, QgsProject.instance())

    def _show_running(self) -> None:
        self.progress.setValue(0)
        for widget in (self.progress, self.cancel):
            widget.setVisible(self._task is not None)

    def _say(self, text: str) -> None:
        self.status.setText(text)

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return str(QCoreApplication.translate("Alise", text))
