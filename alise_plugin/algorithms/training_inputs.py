"""Parameters that the algorithms which learn share, and what their values become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qgis.core import (
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
)

from ..errors import LabelsError
from ..mapping.features.source import FeatureSource
from ..mapping.samples.groups import VALIDATIONS
from ..sits.grid import Grid
from .base import AliseAlgorithm, require_ending
from .compat import INTEGER, REAL, TYPE_MAP_LAYER
from .inputs import open_rasters

Read = TypeVar("Read")


def declare_labels(algorithm: AliseAlgorithm, text: str) -> None:
    """LABELS, one layer or several."""
    algorithm.addParameter(
        QgsProcessingParameterMultipleLayers("LABELS", algorithm.tr(text), TYPE_MAP_LAYER)
    )


def declare_validation(algorithm: AliseAlgorithm) -> None:
    """VALIDATION, BLOCK_SIZE, SAMPLES and SEED."""
    algorithm.addParameter(
        choice("VALIDATION", algorithm.tr("Leave out for validation"), VALIDATIONS)
    )
    for name, text, kind, default, least in (
        ("BLOCK_SIZE", "Side of the blocks in m", REAL, 1000, 1),
        ("SAMPLES", "Pixels of one polygon at most", INTEGER, 20, 1),
        ("SEED", "Seed", INTEGER, 0, 0),
    ):
        algorithm.add_advanced(
            QgsProcessingParameterNumber(name, algorithm.tr(text), kind, default, minValue=least)
        )


def declare_head(algorithm: AliseAlgorithm) -> None:
    """HEAD and REPORT, which are written."""
    algorithm.addParameter(
        QgsProcessingParameterFileDestination("HEAD", algorithm.tr("Head"), "ONNX (*.onnx)")
    )
    algorithm.addParameter(
        QgsProcessingParameterFileDestination(
            "REPORT", algorithm.tr("Accuracy report"), "HTML (*.html)", optional=True
        )
    )


def choice(name: str, text: str, options: tuple[str, ...]) -> QgsProcessingParameterEnum:
    """One of a few words, the first by default."""
    return QgsProcessingParameterEnum(
        name, text, list(options), defaultValue=options[0], usesStaticStrings=True
    )


def head_and_report(
    algorithm: AliseAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> tuple[str, str]:
    """Where HEAD and REPORT are to be written; an empty text for no report.

    Raises:
        OutputError: they would overwrite an input or each other, or have another ending.
    """
    head = algorithm.parameterAsFileOutput(parameters, "HEAD", context)
    report = algorithm.parameterAsFileOutput(parameters, "REPORT", context)
    require_ending(head, "HEAD", (".onnx",), "a head is an ONNX file")
    if report:
        require_ending(report, "REPORT", (".html",), "a report is a web page")
    algorithm.require_outputs(parameters, ("HEAD", "REPORT"), ("INPUT", "LABELS"), context)
    return head, report


def sources_of(
    algorithm: AliseAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> list[FeatureSource]:
    """The series or embedding raster of each layer of INPUT."""
    layers = algorithm.parameterAsLayerList(parameters, "INPUT", context)
    return [open_rasters([layer], "", feedback) for layer in layers]


def labels_on(
    algorithm: AliseAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    grids: list[Grid],
    read: Callable[[QgsMapLayer, list[Grid]], Read],
) -> tuple[list[Read], int]:
    """What is read from LABELS for each grid, and how many layers that are.

    Args:
        algorithm, parameters, context: of the run.
        grids: of the layers in INPUT.
        read: takes a layer, and the grids that it is for.

    Raises:
        LabelsError: there are neither as many layers as grids nor one for all.
    """
    layers = algorithm.parameterAsLayerList(parameters, "LABELS", context)
    if len(layers) not in (1, len(grids)):
        raise LabelsError(
            f"There are {len(grids)} layers in INPUT and {len(layers)} in LABELS; choose as "
            "many labels as inputs, in the same order, or one for all."
        )
    near = [grids] if len(layers) == 1 else [[grid] for grid in grids]
    found = [read(layer, around) for layer, around in zip(layers, near)]
    return found * (len(grids) // len(found)), len(found)


def field_of(
    algorithm: AliseAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext
) -> str:
    """The name of a field; QGIS gives a list, empty where the parameter is."""
    return next(iter(algorithm.parameterAsFields(parameters, name, context)), "")


def unopened_labels(
    algorithm: AliseAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    message: str,
) -> tuple[bool, str]:
    """What to say where QGIS refuses parameters: which of the label files cannot be opened."""
    given = parameters.get("LABELS")
    for value in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(value, str) and not algorithm.parameterAsLayerList(
            {"LABELS": [value]}, "LABELS", context
        ):
            return False, (
                f"{value} cannot be opened as a layer of labels: check that the file exists and "
                "that QGIS can show it."
            )
    return False, message
