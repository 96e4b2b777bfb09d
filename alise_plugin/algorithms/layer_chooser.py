"""The field of a list of layers that mostly holds one: a combo box, as for a single layer.

QGIS shows a list of layers as "0 inputs selected". Here a layer is chosen from a combo box that
offers the active layer; a button beside it opens a file, or QGIS's own list for several. The value
stays a list, so scripts and models are not concerned; the modeler and batch mode keep QGIS's own
fields.
"""

from __future__ import annotations

from typing import Any

from qgis.core import QgsMapLayer, QgsProcessingContext, QgsProject, QgsVectorLayer
from qgis.gui import (
    QgsAbstractProcessingParameterWidgetWrapper,
    QgsGui,
    QgsMapLayerComboBox,
    QgsProcessingGui,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QAction, QFileDialog, QHBoxLayout, QToolButton, QWidget

from .compat import FLAG_OPTIONAL, LABEL_LAYERS, RASTER_LAYERS, TYPE_RASTER


class LayerChooser(QgsAbstractProcessingParameterWidgetWrapper):
    """A combo box of layers, with buttons for a file and for several layers.

    Args:
        parameter: a list of layers.
    """

    def __init__(self, parameter: Any) -> None:
        super().__init__(parameter, QgsProcessingGui.WidgetType.Standard)
        # Python's reference: QGIS keeps none to the wrapper of the list inside.
        self._several = QgsGui.processingGuiRegistry().createParameterWidgetWrapper(
            parameter, QgsProcessingGui.WidgetType.Standard
        )

    def createWidget(self) -> QWidget:
        """Return the combo box with its buttons."""
        definition = self.parameterDefinition()
        self._rasters = definition.layerType() == TYPE_RASTER
        widget = QWidget()
        self._combo = QgsMapLayerComboBox(widget)
        self._combo.setFilters(RASTER_LAYERS if self._rasters else LABEL_LAYERS)
        self._combo.setAllowEmptyLayer(bool(definition.flags() & FLAG_OPTIONAL))
        self._combo.setMinimumContentsLength(20)
        self._list = self._several.createWrappedWidget(QgsProcessingContext())
        self._open = QToolButton(widget)
        self._open.setText("…")
        self._open.setToolTip(_translated("Choose a file"))
        self._open.clicked.connect(self._choose_file)
        self._more = QAction(_translated("Several"), widget)
        self._more.setToolTip(_translated("Choose several layers or files"))
        self._more.setCheckable(True)
        button = QToolButton(widget)
        button.setDefaultAction(self._more)
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._list, 1)
        layout.addWidget(self._open)
        layout.addWidget(button)
        self._list.hide()
        self._more.toggled.connect(self._show_list)
        self._combo.currentIndexChanged.connect(self._changed)
        self._several.widgetValueHasChanged.connect(self._changed)
        return widget

    def widgetValue(self) -> list[str]:
        """Return the layers, by their ids, and the files."""
        if self._more.isChecked():
            return list(self._several.parameterValue() or [])
        layer = self._combo.currentLayer()
        if layer is not None:
            return [layer.id()]
        return [self._combo.currentText()] if self._combo.currentText() else []

    def setWidgetValue(self, value: Any, context: QgsProcessingContext) -> None:
        """Show layers or files: one in the combo box, several in the list."""
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        values = [one for one in values if one]
        several = len(values) > 1
        if several:
            self._several.setParameterValue(values, context)
        self._more.setChecked(several)
        if len(values) == 1:
            self._show_one(values[0])
        elif not several:  # also when the dialog opens
            self._offer_layer()

    def _show_one(self, value: Any) -> None:
        layer = value if isinstance(value, QgsMapLayer) else None
        if layer is None:
            project = QgsProject.instance()
            named = project.mapLayersByName(str(value))
            layer = project.mapLayer(str(value)) or (named[0] if named else None)
        if layer is not None:
            self._combo.setLayer(layer)
        else:
            self._combo.setAdditionalItems([str(value)])
            self._combo.setCurrentText(str(value))

    def _offer_layer(self) -> None:
        """Choose the active layer if it fits; labels are sooner vectors than rasters."""
        if self._combo.allowEmptyLayer():
            self._combo.setLayer(None)
            return
        active = self.widgetContext().activeLayer()
        fitting = [self._combo.layer(index) for index in range(self._combo.count())]
        if not self._rasters:
            fitting = [one for one in fitting if isinstance(one, QgsVectorLayer)] or fitting
        if fitting:
            self._combo.setLayer(active if active in fitting else fitting[0])

    def _choose_file(self) -> None:
        title = self.parameterDefinition().description()
        path, _ = QFileDialog.getOpenFileName(self._combo, title)
        if path:
            self._more.setChecked(False)
            self._show_one(path)

    def _show_list(self, several: bool) -> None:
        layer = self._combo.currentLayer()
        if several and layer is not None and not self._several.parameterValue():
            self._several.setParameterValue([layer.id()], QgsProcessingContext())
        self._list.setVisible(several)
        self._combo.setVisible(not several)
        self._open.setVisible(not several)
        self._changed()

    def _changed(self, *_: object) -> None:
        self.widgetValueHasChanged.emit(self)


def _translated(text: str) -> str:
    return str(QCoreApplication.translate("Alise", text))
