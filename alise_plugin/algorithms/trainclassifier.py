"""`alise:trainclassifier`: a few labels become a head and a report of its accuracy."""

from __future__ import annotations

import json
import math
from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
)

from ..errors import LabelsError
from ..mapping.classifier import CLASSIFIERS
from ..mapping.feature_tiles import FeatureSource
from ..mapping.labels import Labels, Legend
from ..mapping.measures import Interval, rounded
from ..mapping.samples import VALIDATIONS, LabelledSource
from ..mapping.train import train_classifier
from ..sits.grid import Grid
from ..sits.series import ImageSeries
from .base import AliseAlgorithm, QgisFeedback, require_ending
from .compat import INTEGER, REAL, TYPE_MAP_LAYER
from .inputs import declare_engine, declare_model, declare_rasters, encoder_of, open_rasters
from .label_layers import labels_of

FIGURES = (
    ("OVERALL_ACCURACY", "overall accuracy", "Overall accuracy"),
    ("KAPPA", "kappa", "Kappa"),
    ("MACRO_F1", "macro-F1", "Macro-F1"),
    ("MEAN_IOU", "mean IoU", "Mean IoU"),
)


class TrainClassifier(AliseAlgorithm):
    """Declares the parameters of `mapping.train.train_classifier`."""

    NAME = "trainclassifier"
    TITLE = "Train classifier"
    GROUP = ("maps", "Maps")
    TAGS = (
        "samples",
        "classification",
        "crop map",
        "land cover",
        "logistic regression",
        "accuracy",
    )
    SUMMARY = "Learns classes from a few polygons and reports how well it knows them."
    HELP = (
        "Learns the classes of a map from labels: polygons, points or a class raster, in any CRS. "
        "The result is a head, a small file that Segment uses.\n\n"
        "INPUT is an image series or an embedding raster. LABELS is the layer with the classes, "
        "FIELD their numbers or names; NAME and COLOR may hold names and colours (#a0c83c). A "
        "layer with a categorised style needs no FIELD and gives its names and colours.\n\n"
        "Several areas or years train one head together: choose as many LABELS as INPUT layers, "
        "in the same order, or one LABELS for all of them.\n\n"
        "linear is logistic regression, with regularisation chosen by cross-validation; prototype "
        "is the nearest class mean, for one to five polygons a class; mlp is a small network. The "
        "report tells how well polygons (or blocks of BLOCK_SIZE metres) are classified by a head "
        "that has not seen them, with confidence intervals and a learning curve."
    )
    NEEDS_RUNTIME = True
    NEEDS_SCIKIT_LEARN = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self, "Image series or embedding rasters")
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                "LABELS", self.tr("Labels: polygons, points or a class raster"), TYPE_MAP_LAYER
            )
        )
        for name, text in (
            ("FIELD", "Field of the class (empty: that of the layer's style)"),
            ("NAME", "Field of the names of the classes"),
            ("COLOR", "Field of the colours of the classes"),
        ):
            self.addParameter(
                QgsProcessingParameterField(
                    name, self.tr(text), parentLayerParameterName="LABELS", optional=True
                )
            )
        declare_model(self)
        self.addParameter(_choice("CLASSIFIER", self.tr("Classifier"), CLASSIFIERS))
        self.addParameter(_choice("VALIDATION", self.tr("Leave out for validation"), VALIDATIONS))
        self.add_advanced(
            QgsProcessingParameterNumber(
                "BLOCK_SIZE", self.tr("Side of the blocks in m"), REAL, 1000, minValue=1
            )
        )
        self.add_advanced(
            QgsProcessingParameterNumber(
                "SAMPLES", self.tr("Pixels of one polygon at most"), INTEGER, 20, minValue=1
            )
        )
        self.add_advanced(
            QgsProcessingParameterNumber("SEED", self.tr("Seed"), INTEGER, 0, minValue=0)
        )
        declare_engine(self)
        self.addParameter(
            QgsProcessingParameterFileDestination("HEAD", self.tr("Head"), "ONNX (*.onnx)")
        )
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "REPORT", self.tr("Accuracy report"), "HTML (*.html)", optional=True
            )
        )
        for name, _, text in FIGURES:
            for ending, which in (("", ""), ("_LOW", ", lower end"), ("_HIGH", ", upper end")):
                self.addOutput(QgsProcessingOutputNumber(name + ending, self.tr(text + which)))
        for name, text in (
            ("CLASSES", "Number of classes"),
            ("SAMPLES_USED", "Number of samples"),
            ("GROUPS", "Number of polygons or blocks"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, self.tr(text)))
        self.addOutput(
            QgsProcessingOutputString("CLASS_FIGURES", self.tr("Figures of the classes, JSON"))
        )

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        head = self.parameterAsFileOutput(parameters, "HEAD", context)
        report = self.parameterAsFileOutput(parameters, "REPORT", context)
        require_ending(head, "HEAD", (".onnx",), "a head is an ONNX file")
        if report:
            require_ending(report, "REPORT", (".html",), "a report is a web page")
        self.require_outputs(parameters, ("HEAD", "REPORT"), ("INPUT", "LABELS"), context)
        sources = self._sources(parameters, context, feedback)
        labels, legends = self._labels(parameters, context, [source.grid for source in sources])
        needs_encoder = any(isinstance(source, ImageSeries) for source in sources)
        result = train_classifier(
            [LabelledSource(*pair) for pair in zip(sources, labels)],
            encoder_of(self, parameters, context) if needs_encoder else None,
            head,
            report=report or None,
            legends=legends,
            classifier=self.parameterAsEnumString(parameters, "CLASSIFIER", context),
            per_area=self.parameterAsInt(parameters, "SAMPLES", context),
            validation=self.parameterAsEnumString(parameters, "VALIDATION", context),
            block_size=self.parameterAsDouble(parameters, "BLOCK_SIZE", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            seed=self.parameterAsInt(parameters, "SEED", context),
            feedback=QgisFeedback(feedback),
        )
        figures = {}
        for name, key, _ in FIGURES:
            figure = result.overall.get(key, Interval(math.nan, math.nan, math.nan))
            figures.update(
                {name: figure.value, f"{name}_LOW": figure.low, f"{name}_HIGH": figure.high}
            )
        classes = [
            {"code": item.code, "name": item.name, **rounded(by_name)}
            for item, by_name in zip(result.classes, result.by_class or [{}] * len(result.classes))
        ]
        return {
            "HEAD": head,
            "REPORT": report,
            **figures,
            "CLASSES": len(result.classes),
            "SAMPLES_USED": result.samples,
            "GROUPS": result.groups,
            "CLASS_FIGURES": json.dumps(classes, ensure_ascii=False),
        }

    def _labels(
        self, parameters: dict[str, Any], context: QgsProcessingContext, grids: list[Grid]
    ) -> tuple[list[Labels], list[Legend]]:
        """The labels on each grid, and the legends of their layers."""
        layers = self.parameterAsLayerList(parameters, "LABELS", context)
        if len(layers) not in (1, len(grids)):
            raise LabelsError(
                f"There are {len(grids)} layers in INPUT and {len(layers)} in LABELS; choose as "
                "many labels as inputs, in the same order, or one for all."
            )
        field, name, color = (
            field_of(self, parameters, parameter, context)
            for parameter in ("FIELD", "NAME", "COLOR")
        )
        near = [grids] if len(layers) == 1 else [[grid] for grid in grids]
        pairs = [
            labels_of(layer, field, name, color, context, around)
            for layer, around in zip(layers, near)
        ]
        labels = [labels for labels, _ in pairs]
        return labels * (len(grids) // len(labels)), [legend for _, legend in pairs]

    def _sources(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> list[FeatureSource]:
        layers: list[QgsMapLayer] = self.parameterAsLayerList(parameters, "INPUT", context)
        return [open_rasters([layer], "", feedback) for layer in layers]

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        fine, message = super().checkParameterValues(parameters, context)
        return (fine, message) if fine else unopened_labels(self, parameters, context, message)


def _choice(name: str, text: str, options: tuple[str, ...]) -> QgsProcessingParameterEnum:
    return QgsProcessingParameterEnum(
        name, text, list(options), defaultValue=options[0], usesStaticStrings=True
    )


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
