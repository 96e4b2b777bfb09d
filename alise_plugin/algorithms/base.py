"""What all algorithms share: their look in the Toolbox, errors, and what they need to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
)
from qgis.PyQt.QtGui import QIcon

from ..errors import OUT_OF_MEMORY, AliseError
from ..operations.operation import Operation
from ..operations.parameters import Labels, Parameter
from ..runtime import location
from .given import GivenToQgis
from .qgis_parameters import SELECTED_LABELS, output_definition, parameter_definition, translated
from .series_layers import show_layer

ICON = Path(__file__).resolve().parents[1] / "resources" / "icon.svg"


def profile_folder() -> Path:
    """Return the folder of the QGIS user profile in use."""
    return Path(QgsApplication.qgisSettingsDirPath())


class QgisFeedback:
    """Passes progress, messages and the Cancel button between QGIS and the other rooms.

    Args:
        feedback: the feedback object that QGIS handed to the algorithm.
    """

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback

    def progress(self, fraction: float) -> None:
        """Report the fraction of this step that is done, in [0, 1]."""
        self._feedback.setProgress(100.0 * fraction)

    def cancelled(self) -> bool:
        """Return whether the user pressed Cancel."""
        return bool(self._feedback.isCanceled())

    def info(self, text: str) -> None:
        """Write one line to the log of the run."""
        self._feedback.pushInfo(text)

    def warning(self, text: str) -> None:
        """Write one line to the log of the run that QGIS marks as a warning."""
        self._feedback.pushWarning(text)


class OperationAlgorithm(QgsProcessingAlgorithm):
    """An operation as an algorithm of QGIS Processing.

    Args:
        operation: what it does, with its parameters, outputs and texts.
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation

    def name(self) -> str:
        return self.operation.name

    def displayName(self) -> str:
        return translated(self.operation.title)

    def group(self) -> str:
        return translated(self.operation.group[1])

    def groupId(self) -> str:
        return self.operation.group[0]

    def tags(self) -> list[str]:
        return [*self.operation.tags, "alise", "sentinel-2", "time series"]

    def shortDescription(self) -> str:
        return translated(self.operation.summary)

    def shortHelpString(self) -> str:
        """Return the help of the operation and of each parameter, under the label of its field."""
        entries = [
            f"<b>{translated(parameter.title)}</b>: {translated(parameter.help)}"
            for parameter in self._offered
        ]
        return "\n\n".join([translated(self.operation.help), *entries])

    def icon(self) -> QIcon:
        return QIcon(str(ICON))

    def svgIconPath(self) -> str:
        return str(ICON)

    def createInstance(self) -> OperationAlgorithm:
        return type(self)(self.operation)

    @property
    def _offered(self) -> list[Parameter]:
        offered: list[Parameter] = []
        for parameter in self.operation.parameters:
            if not parameter.command_line_only:
                offered.append(parameter)
            if isinstance(parameter, Labels):
                offered.append(SELECTED_LABELS)
        return offered

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        for parameter in self._offered:
            self.addParameter(parameter_definition(parameter))
        for output in self.operation.outputs:
            self.addOutput(output_definition(output))

    def canExecute(self) -> tuple[bool, str]:
        if self.operation.needs_runtime and not location.is_installed("onnxruntime"):
            return False, translated(location.missing_sentence(profile_folder()))
        if self.operation.needs_scikit_learn and not location.is_installed("sklearn"):
            return False, translated(location.missing_sentence(profile_folder(), "scikit-learn"))
        return True, ""

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        given = GivenToQgis(self, parameters, context)
        for parameter in self._offered:
            problem = given.problem(parameter)
            if problem:
                return False, problem
        names, sentence = self.operation.one_of
        if names and not any(parameters.get(name) for name in names):
            return False, sentence
        fine, sentence = super().checkParameterValues(parameters, context)
        return bool(fine), str(sentence)

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        # The dialog asks canExecute; qgis_process and processing.run do not in every release.
        can, sentence = self.canExecute()
        if not can:
            raise QgsProcessingException(sentence)
        reader = GivenToQgis(self, parameters, context)
        hidden = {one.name: "" for one in self.operation.parameters if one.command_line_only}
        try:
            given = {one.name: reader.value(one) for one in self._offered}
            results = self.operation({**given, **hidden}, QgisFeedback(feedback))
        except AliseError as error:
            raise QgsProcessingException(str(error)) from error
        except MemoryError as error:
            raise QgsProcessingException(OUT_OF_MEMORY) from error
        titles = {one.name: one.title for one in self.operation.parameters}
        for name, look in results.layers.items():
            usual = (name, titles[name], translated(titles[name]))
            show_layer(context, str(results.values[name]), look, usual)
        return results.values
