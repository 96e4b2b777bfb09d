"""Fields that QGIS shows in a dialog instead of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qgis.core import QgsProcessingContext
from qgis.gui import QgsAbstractProcessingParameterWidgetWrapper, QgsGui, QgsProcessingGui
from qgis.PyQt.QtWidgets import QComboBox, QHBoxLayout, QWidget

from .layer_chooser import LayerChooser


class ChoiceField(QgsAbstractProcessingParameterWidgetWrapper):
    """A combo box that says what each word of a choice does; its value is the word.

    Args:
        parameter: a choice.
        labels: what is shown for each word.
        where: the kind of dialog.
    """

    def __init__(self, parameter: Any, labels: Mapping[str, str], where: Any) -> None:
        super().__init__(parameter, where)
        self._labels = labels

    def createWidget(self) -> QWidget:
        """Return the combo box."""
        # In a widget around it: Python loses the widget itself once QGIS has it.
        widget = QWidget()
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo = QComboBox(widget)
        layout.addWidget(self._combo)
        for word in self.parameterDefinition().options():
            self._combo.addItem(self._labels.get(word, word), word)
        self._combo.currentIndexChanged.connect(lambda _: self.widgetValueHasChanged.emit(self))
        return widget

    def widgetValue(self) -> str:
        """Return the word."""
        return str(self._combo.currentData())

    def setWidgetValue(self, value: Any, context: QgsProcessingContext) -> None:
        """Show a word."""
        words = self.parameterDefinition().options()
        word = value if value in words else self.parameterDefinition().defaultValue()
        self._combo.setCurrentIndex(self._combo.findData(word))


def field_in_dialog(parameter: Any, dialog: Any, labels: Mapping[str, str] | None) -> Any:
    """Return the field of a parameter in a dialog of Processing.

    The modeler keeps QGIS's own fields, and batch mode its list of layers.

    Args:
        parameter: a list of layers, or a choice.
        dialog: in which the field stands.
        labels: of the words of a choice; None for a list of layers.
    """
    kind = type(dialog).__name__
    registry, types = QgsGui.processingGuiRegistry(), QgsProcessingGui.WidgetType
    where = types.Batch if kind == "BatchAlgorithmDialog" else types.Standard
    made: Any
    if kind == "ModelerParametersDialog":
        made = registry.createModelerParameterWidget(
            dialog.model, dialog.childId, parameter, dialog.context
        )
    elif labels is not None:
        made = ChoiceField(parameter, labels, where)
    elif where == types.Batch:
        made = registry.createParameterWidgetWrapper(parameter, where)
    else:
        made = LayerChooser(parameter)
    made.setDialog(dialog)
    return made
