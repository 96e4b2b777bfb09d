"""A map tool: click on a place, and Find similar places looks for the like in the active layer."""

from __future__ import annotations

from functools import partial
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsGeometry,
    QgsMapLayer,
    QgsPointXY,
    QgsProcessing,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
    QgsReferencedRectangle,
    QgsVectorLayer,
)
from qgis.gui import (
    QgisInterface,
    QgsMapMouseEvent,
    QgsMapTool,
    QgsMapToolEmitPoint,
    QgsVertexMarker,
)
from qgis.PyQt.QtCore import QCoreApplication, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

from .task_feedback import KeptFeedback

ALGORITHM = "alise:findsimilar"
# Qt 5 has a type of its own for several flags, Qt 6 has not.
NO_FLAGS = QgsMapTool.Flags() if hasattr(QgsMapTool, "Flags") else QgsMapTool.Flag(0)
_TITLE = "ALISE"
_SECONDS = 8  # that a message stays
# What a result says of itself: the layer that was searched. QGIS makes a new layer the active one,
# and the next click is meant for the same.
_SEARCHED = "alise/searched"


class ClickTool(QgsMapToolEmitPoint):
    """Makes of each click an example; with Shift one more, else the only one.

    The search runs in the background, as a task that QGIS shows and can cancel. It looks at what
    the map shows; `search_all` looks at the whole layer.

    Signals:
        changed: the examples or what was found for them are others now.

    Args:
        iface: of QGIS desktop.
    """

    changed = pyqtSignal()

    def __init__(self, iface: QgisInterface) -> None:
        super().__init__(iface.mapCanvas())
        self._iface = iface
        self._layer_id = ""  # of the layer that the examples were clicked for
        self._partly = False  # whether the newest search looks at a part of it
        self._markers: list[QgsVertexMarker] = []
        self._result = ""  # layer of the newest search
        self._newest = 0  # its number among the tasks
        # What runs, and all that it needs until it has run.
        self._tasks: dict[int, tuple[QgsProcessingAlgRunnerTask, Any]] = {}

    def flags(self) -> Any:
        """Return no flags: the canvas would take Shift for its zoom rectangle."""
        return NO_FLAGS

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        more = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.search(self.toMapCoordinates(event.pos()), more)

    def deactivate(self) -> None:
        self.clear()
        super().deactivate()

    def clear(self) -> None:
        """Take the marks of the examples off the map."""
        for marker in self._markers:
            self.canvas().scene().removeItem(marker)
        self._markers.clear()
        self.changed.emit()

    def search(self, point: QgsPointXY, more: bool = False) -> None:
        """Look for places like a point in what the map shows of the active layer.

        Args:
            point: in the CRS of the map.
            more: beside the examples that are there, instead of them.
        """
        layer = self._searched(self._iface.activeLayer())
        if layer is None:
            self._say(
                self.tr("Choose an image series or an embedding raster in the layer panel first.")
            )
            return
        if more:
            self._cancel_newest()
        else:
            self.clear()
            self._result = ""
        self._mark(point)
        self._layer_id = layer.id()
        self._run(layer, self._visible_part(layer))

    @property
    def can_search_all(self) -> bool:
        """Return whether there is a part of the layer in which was not looked yet."""
        return bool(self._markers) and self._partly

    def search_all(self) -> None:
        """Look for places like the examples in the whole layer."""
        layer = QgsProject.instance().mapLayer(self._layer_id)
        if layer is not None and self.can_search_all:
            self._cancel_newest()
            self._run(layer, None)

    def _visible_part(self, layer: QgsRasterLayer) -> QgsReferencedRectangle | None:
        """Return what the map shows of a layer, in its CRS; None if that is all or nothing."""
        way = QgsCoordinateTransform(self._crs(), layer.crs(), QgsProject.instance())
        try:
            shown = way.transformBoundingBox(self.canvas().mapSettings().visibleExtent())
        except QgsCsException:
            return None
        if shown.contains(layer.extent()) or not shown.intersects(layer.extent()):
            return None
        return QgsReferencedRectangle(shown.intersect(layer.extent()), layer.crs())

    def _cancel_newest(self) -> None:
        """End the search whose examples the next one has too, if it still runs."""
        if self._newest in self._tasks:
            task, (_, _, feedback, _) = self._tasks[self._newest]
            feedback.cancel()  # also where its result is only waiting to be shown
            task.cancel()

    def _searched(self, layer: QgsMapLayer | None) -> QgsRasterLayer | None:
        """Return the layer to look in: a raster, or the one that a result is of."""
        if layer is not None and layer.customProperty(_SEARCHED):
            layer = QgsProject.instance().mapLayer(layer.customProperty(_SEARCHED))
        return layer if isinstance(layer, QgsRasterLayer) else None

    def _mark(self, point: QgsPointXY) -> None:
        marker = QgsVertexMarker(self.canvas())
        marker.setCenter(point)
        marker.setColor(QColor("#d22d2d"))
        marker.setPenWidth(2)
        self._markers.append(marker)

    def _examples(self) -> QgsVectorLayer:
        """Return the marks as a layer of points."""
        layer = QgsVectorLayer("Point", self.tr("clicks"), "memory")
        layer.setCrs(self._crs())
        for marker in self._markers:
            feature = QgsFeature()
            feature.setGeometry(QgsGeometry.fromPointXY(marker.center()))
            layer.dataProvider().addFeature(feature)
        return layer

    def _crs(self) -> QgsCoordinateReferenceSystem:
        return self.canvas().mapSettings().destinationCrs()

    def _run(self, layer: QgsMapLayer, part: QgsReferencedRectangle | None) -> None:
        """Start a search in a part of a layer, or in all of it."""
        algorithm = QgsApplication.processingRegistry().createAlgorithmById(ALGORITHM)
        context, feedback, examples = QgsProcessingContext(), KeptFeedback(), self._examples()
        context.setProject(QgsProject.instance())
        parameters = {
            "INPUT": [layer],
            "EXAMPLES": examples,
            "OUTPUT": QgsProcessing.TEMPORARY_OUTPUT,
        }
        if part is not None:
            parameters["EXTENT"] = part
        fine, message = algorithm.canExecute()
        if fine:
            fine, message = algorithm.checkParameterValues(parameters, context)
        if not fine:
            self._say(message)
            return
        task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
        number = self._newest = id(task)
        self._partly = part is not None
        self.changed.emit()
        self._tasks[number] = task, (algorithm, context, feedback, examples)
        count = len(self._markers)
        task.executed.connect(
            partial(self._show, number, layer.id(), layer.name(), count, feedback)
        )
        QgsApplication.taskManager().addTask(task)

    def _show(
        self,
        number: int,
        searched: str,
        name: str,
        count: int,
        feedback: KeptFeedback,
        fine: bool,
        results: dict[str, Any],
    ) -> None:
        """Load what a search of `count` examples has found, or say why it found nothing."""
        self._tasks.pop(number, None)
        if feedback.isCanceled():
            return
        if not fine:
            self._say(feedback.error or self.tr("The search failed; see the log."))
            return
        layer = QgsRasterLayer(results["OUTPUT"], self.tr("Similar places in {}").format(name))
        layer.setCustomProperty(_SEARCHED, searched)
        project = QgsProject.instance()
        if number == self._newest and project.mapLayer(self._result) is not None:
            project.removeMapLayer(self._result)  # the same search with fewer examples
        added = _add_above(project, layer, searched)
        if number == self._newest:
            self._result = added
        self._say(
            self.tr("1 is like the examples ({}), 0 as usual as anything else there.").format(
                count
            ),
            Qgis.MessageLevel.Success,
        )

    def _say(self, text: str, level: Qgis.MessageLevel = Qgis.MessageLevel.Warning) -> None:
        self._iface.messageBar().pushMessage(_TITLE, text, level, _SECONDS)

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return str(QCoreApplication.translate("Alise", text))


def _add_above(project: QgsProject, layer: QgsRasterLayer, searched: str) -> str:
    """Add a layer just above the one that was searched; return its id."""
    tree = project.layerTreeRoot().findLayer(searched)
    added = project.addMapLayer(layer, tree is None)
    if tree is not None:
        group = tree.parent()
        group.insertLayer(group.children().index(tree), added)
    return str(added.id())
