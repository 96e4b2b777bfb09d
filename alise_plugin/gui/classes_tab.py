"""The tab of the dock in which classes are made by clicks and seen at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsPointXY,
    QgsProcessing,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
)
from qgis.gui import QgisInterface, QgsMapMouseEvent, QgsMapToolEmitPoint, QgsVertexMarker
from qgis.PyQt.QtCore import QCoreApplication, Qt, QTimer
from qgis.PyQt.QtGui import QColor, QIcon, QPixmap
from qgis.PyQt.QtWidgets import (
    QColorDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..algorithms.given import raster_file
from ..errors import AliseError
from ..mapping.labels.legend import default_color
from ..mapping.learning.live_classes import KIND, LIVE_CLASSES
from ..model.heads.class_head import MapClass
from .class_examples import FIELDS, ClassExamples, Example
from .class_overlay import ClassOverlay, MapView
from .classes_task import ClassesTask, Picture, ReadAlready
from .task_feedback import KeptFeedback

_WAIT = 250  # ms after the map has moved until its new part is classified
_CODE = Qt.ItemDataRole.UserRole


class ExampleTool(QgsMapToolEmitPoint):
    """Hands each click on the map to the tab as an example of the chosen class.

    Args:
        tab: that has the classes.
    """

    def __init__(self, tab: ClassesTab) -> None:
        super().__init__(tab.canvas)
        self._tab = tab

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        self._tab.add_example(self.toMapCoordinates(event.pos()))


class ClassesTab(QWidget):
    """Classes of the active embedding raster: click examples, and see the map change.

    Args:
        iface: of QGIS desktop.
    """

    def __init__(self, iface: QgisInterface) -> None:
        super().__init__()
        self._iface = iface
        self.canvas = iface.mapCanvas()
        self.made = ClassExamples()
        self._layer_id = ""
        self._already = ReadAlready()
        self._task: ClassesTask | None = None
        self._again = False  # something changed while a picture is being made
        self._runs: dict[int, tuple[Any, ...]] = {}  # algorithms, and all that they need
        self._markers: list[QgsVertexMarker] = []
        self._overlay = ClassOverlay(self.canvas)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT)
        self._timer.timeout.connect(self._classify)
        self._build()
        self.tool = ExampleTool(self)
        self.tool.activated.connect(lambda: self.click.setChecked(True))
        self.tool.deactivated.connect(lambda: self.click.setChecked(False))
        self.canvas.extentsChanged.connect(self._timer.start)
        self.canvas.destinationCrsChanged.connect(self._changed)
        QgsProject.instance().layersWillBeRemoved.connect(self._forget_layers)
        self._changed()

    def _build(self) -> None:
        self.click = self._button("Click examples", self._choose_tool)
        self.click.setCheckable(True)
        self.add = self._button("Add class", self._add_class)
        self.color = self._button("Colour...", self._ask_for_color)
        self.merge = self._button("Merge", self._merge)
        self.remove = self._button("Remove", self._remove)
        self.undo = self._button("Undo", self._undo)
        self.load = self._button("Load examples...", self._ask_for_file)
        self.save = self._button("Save examples...", self._ask_where)
        self.make = self._button("Make the map", self.make_map)
        self.make.setToolTip(self.tr("Runs Train classifier and Segment with these examples."))
        self.list = QTreeWidget()
        self.list.setHeaderLabels([self.tr("Class"), self.tr("Examples")])
        self.list.setRootIsDecorated(False)
        self.list.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.list.itemChanged.connect(self._rename)
        self.status = QLabel()
        self.status.setWordWrap(True)
        grid = QGridLayout()
        buttons = (self.click, self.add, self.color, self.merge, self.remove, self.undo)
        for number, button in enumerate((*buttons, self.load, self.save, self.make)):
            grid.addWidget(button, number // 3, number % 3)
        side = QVBoxLayout()
        side.addLayout(grid)
        side.addWidget(self.status)
        side.addStretch(1)
        layout = QHBoxLayout(self)
        layout.addWidget(self.list, 1)
        layout.addLayout(side)

    def _button(self, text: str, slot: Callable[..., None]) -> QPushButton:
        button = QPushButton(self.tr(text))
        button.clicked.connect(slot)
        return button

    def add_example(self, point: QgsPointXY) -> None:
        """Make a place an example of the chosen class.

        Args:
            point: in the CRS of the map.
        """
        layer = self._iface.activeLayer()
        if not isinstance(layer, QgsRasterLayer):
            self._say(self.tr("Choose an embedding raster in the layer panel first."))
            return
        if self._layer_id and layer.id() != self._layer_id and self.made.examples:
            self._say(
                self.tr("The examples lie on another layer: choose that one, or remove them first.")
            )
            return
        code = self._chosen_class()
        if code is None:
            self._say(self.tr("Add a class first, and choose it in the list."))
            return
        try:
            there = self._way(layer.crs(), back=True).transform(point)
        except QgsCsException:
            self._say(self.tr("This place cannot be brought into the CRS of the layer."))
            return
        self._layer_id = layer.id()
        self.made.add(Example(code, there.x(), there.y()))
        self._say("")
        self._changed()

    def make_map(self, *_: object) -> None:
        """Run Train classifier and Segment with the examples, and load the map."""
        layer = self._layer()
        if layer is None or not self.made.examples:
            self._say(self.tr("Click examples of two classes at least first."))
            return
        folder = tempfile.mkdtemp(prefix="alise-")
        head = os.path.join(folder, "classes.onnx")
        field_names = dict(zip(("FIELD", "NAME", "COLOR"), FIELDS))
        examples = self.made.layer(layer.crs())
        train = {"INPUT": [layer], "LABELS": [examples], **field_names}
        train |= {"CLASSIFIER": KIND, "HEAD": head}
        segment = {"INPUT": [layer], "HEAD": head, "OUTPUT": QgsProcessing.TEMPORARY_OUTPUT}

        def show(results: dict[str, Any]) -> None:
            title = self.tr("Classes of {}").format(layer.name())
            QgsProject.instance().addMapLayer(QgsRasterLayer(results["OUTPUT"], title))
            self._say(self.tr("The map is made; its head is {}.").format(head))

        self._say(self.tr("Making the map..."))
        self._run(
            "alise:trainclassifier", train, lambda _: self._run("alise:segment", segment, show)
        )

    def _run(
        self, algorithm_id: str, parameters: dict[str, Any], after: Callable[[Any], None]
    ) -> None:
        algorithm = QgsApplication.processingRegistry().createAlgorithmById(algorithm_id)
        context, feedback = QgsProcessingContext(), KeptFeedback()
        context.setProject(QgsProject.instance())
        fine, message = algorithm.canExecute()
        if fine:
            fine, message = algorithm.checkParameterValues(parameters, context)
        if not fine:
            self._say(message)
            return
        task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
        number = id(task)

        def end(fine: bool, results: dict[str, Any]) -> None:
            self._runs.pop(number, None)
            if fine:
                after(results)
            elif not feedback.isCanceled():
                self._say(feedback.error or self.tr("This failed; see the log."))

        self._runs[number] = task, algorithm, parameters, context, feedback
        task.executed.connect(end)
        QgsApplication.taskManager().addTask(task)

    def _classify(self) -> None:
        """Make the picture of what the map shows, once the one in work is ready."""
        if self._task is not None:
            self._again = True
            return
        layer = self._layer()
        with_examples = {example.code for example in self.made.examples}
        if layer is None or len(with_examples) < 2 or not self.isVisible():
            self._overlay.show_picture(None, self.canvas.extent())
            return
        try:
            path = raster_file(layer)
        except AliseError as error:
            self._say(str(error))
            return
        settings = self.canvas.mapSettings()
        size = settings.outputSize()
        way = self._way(layer.crs(), back=True)
        view = MapView(settings.visibleExtent(), size.height(), size.width(), way)
        classes = [MapClass(one.code, one.name, one.color) for one in self.made.classes]
        title = self.tr("Classes of {}").format(layer.name())
        task = ClassesTask(title, path, view, self.made.examples, classes, self._already)
        task.ended.connect(self._end)
        self._task, self._again = task, False
        QgsApplication.taskManager().addTask(task)

    def _end(self, picture: Picture | None, problem: str) -> None:
        self._task = None
        if self._again:
            self._again = False
            self._classify()
        elif picture is not None:
            self._overlay.show_picture(picture.colors, picture.extent)
            self._say("")
        if problem:
            self._overlay.show_picture(None, self.canvas.extent())
            self._say(problem)

    def _changed(self, *_: object) -> None:
        """Show the classes and examples as they are now."""
        chosen = self._chosen_codes()
        self.list.blockSignals(True)
        self.list.clear()
        for one in self.made.classes:
            item = QTreeWidgetItem([one.name, str(self.made.count(one.code))])
            item.setData(0, _CODE, one.code)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            swatch = QPixmap(14, 14)
            swatch.fill(QColor(one.color))
            item.setIcon(0, QIcon(swatch))
            self.list.addTopLevelItem(item)
            item.setSelected(one.code in chosen)
        self.list.blockSignals(False)
        self.undo.setEnabled(self.made.can_undo)
        for button in (self.save, self.make):
            button.setEnabled(bool(self.made.examples))
        self._mark()
        self._classify()

    def _mark(self) -> None:
        for marker in self._markers:
            self.canvas.scene().removeItem(marker)
        self._markers = []
        layer = self._layer()
        if layer is None:
            return
        way, colors = self._way(layer.crs()), {one.code: one.color for one in self.made.classes}
        for example in self.made.examples:
            try:
                place = way.transform(QgsPointXY(example.x, example.y))
            except QgsCsException:
                continue
            marker = QgsVertexMarker(self.canvas)
            marker.setIconType(QgsVertexMarker.IconType.ICON_CIRCLE)
            marker.setCenter(place)
            marker.setColor(QColor("#202020"))
            marker.setFillColor(QColor(colors[example.code]))
            marker.setZValue(60)  # above the picture
            self._markers.append(marker)

    def _add_class(self, *_: object) -> None:
        count = len(self.made.classes)
        if count == LIVE_CLASSES:
            self._say(self.tr("There are {} classes, which is all that fit.").format(count))
            return
        name = self.tr("class {}").format(count + 1)
        code = self.made.add_class(name, default_color(count))
        self._changed()
        self.list.clearSelection()
        for number in range(self.list.topLevelItemCount()):
            item = self.list.topLevelItem(number)
            item.setSelected(item.data(0, _CODE) == code)

    def _rename(self, item: QTreeWidgetItem, column: int) -> None:
        code, name = item.data(0, _CODE), item.text(0).strip()
        (one,) = (each for each in self.made.classes if each.code == code)
        if column == 0 and name and name != one.name:
            self.made.change_class(replace(one, name=name))
        QTimer.singleShot(0, self._changed)  # not while the list is at this item

    def _ask_for_color(self, *_: object) -> None:
        for one in [each for each in self.made.classes if each.code in self._chosen_codes()]:
            color = QColorDialog.getColor(QColor(one.color), self, one.name)
            if color.isValid():
                self.made.change_class(replace(one, color=color.name()))
        self._changed()

    def _merge(self, *_: object) -> None:
        codes = self._chosen_codes()
        if len(codes) < 2:
            self._say(self.tr("Choose two classes or more in the list, with Ctrl."))
            return
        self.made.merge(codes)
        self._changed()

    def _remove(self, *_: object) -> None:
        self.made.remove(self._chosen_codes())
        self._changed()

    def _undo(self, *_: object) -> None:
        self.made.undo()
        self._changed()

    def _ask_for_file(self, *_: object) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Load examples"), "", "GeoPackage (*.gpkg)"
        )
        if path:
            self.load_examples(path)

    def load_examples(self, path: str) -> None:
        """Take the examples of a file for the active layer."""
        layer = self._layer() or self._iface.activeLayer()
        if not isinstance(layer, QgsRasterLayer):
            self._say(self.tr("Choose an embedding raster in the layer panel first."))
            return
        try:
            self.made.load(path, layer.crs())
        except AliseError as error:
            self._say(str(error))
            return
        self._layer_id = layer.id()
        self._changed()

    def _ask_where(self, *_: object) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save examples"), "examples.gpkg", "GeoPackage (*.gpkg)"
        )
        if path:
            self.save_examples(path)

    def save_examples(self, path: str) -> None:
        """Write the examples as a GeoPackage."""
        layer = self._layer()
        if layer is None:
            return
        try:
            self.made.save(path, layer.crs())
        except AliseError as error:
            self._say(str(error))
            return
        self._say(self.tr("Saved as {}.").format(path))

    def rest(self) -> None:
        """Show no picture: the tab is hidden."""
        if self._task is not None:
            self._task.cancel()
        self._overlay.show_picture(None, self.canvas.extent())

    def close_down(self) -> None:
        """Let go of the map and of what runs: the dock is taken away."""
        self._again = False
        self.rest()
        for task, *_ in list(self._runs.values()):
            task.cancel()
        self.canvas.unsetMapTool(self.tool)
        for item in (*self._markers, self._overlay):
            self.canvas.scene().removeItem(item)
        self._markers = []
        self.canvas.extentsChanged.disconnect(self._timer.start)
        self.canvas.destinationCrsChanged.disconnect(self._changed)
        QgsProject.instance().layersWillBeRemoved.disconnect(self._forget_layers)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._timer.start()

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self.rest()
        self._already = ReadAlready()  # up to 256 MB, which nobody looks at

    def _chosen_codes(self) -> list[int]:
        items = [self.list.topLevelItem(n) for n in range(self.list.topLevelItemCount())]
        return [int(item.data(0, _CODE)) for item in items if item.isSelected()]

    def _chosen_class(self) -> int | None:
        codes = self._chosen_codes()
        return codes[0] if len(codes) == 1 else None

    def _layer(self) -> QgsRasterLayer | None:
        layer = QgsProject.instance().mapLayer(self._layer_id)
        return layer if isinstance(layer, QgsRasterLayer) else None

    def _forget_layers(self, ids: list[str]) -> None:
        if self._layer_id in ids:
            self._layer_id, self._already = "", ReadAlready()
            self.made = ClassExamples()
            self.rest()
            self._changed()

    def _way(self, crs: QgsCoordinateReferenceSystem, back: bool = False) -> QgsCoordinateTransform:
        """Return the way from the CRS of a layer to that of the map, or back."""
        ends = (crs, self.canvas.mapSettings().destinationCrs())
        source, target = ends[::-1] if back else ends
        return QgsCoordinateTransform(source, target, QgsProject.instance())

    def _choose_tool(self, on: bool) -> None:
        if on:
            self.canvas.setMapTool(self.tool)
        else:
            self.canvas.unsetMapTool(self.tool)

    def _say(self, text: str) -> None:
        self.status.setText(text)

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return str(QCoreApplication.translate("Alise", text))
