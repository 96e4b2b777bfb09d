"""`alise:assessaccuracy`: a class map against reference points or polygons."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorLayer,
    QgsRasterLayer,
)

from ..errors import LabelsError
from ..mapping.accuracy.assess import AccuracyResult, assess_accuracy, class_rows
from ..mapping.accuracy.class_map import ClassMap
from ..mapping.labels.layers import VectorLabels
from .base import AliseAlgorithm, QgisFeedback, layer_sources, require_ending
from .compat import FIELD_INTEGER, FIELD_REAL, FIELD_TEXT, INTEGER, TYPE_GEOMETRY, TYPE_TABLE
from .label_layers import labels_of, raster_legend
from .trainclassifier import FIGURES
from .training_inputs import field_of


class AssessAccuracy(AliseAlgorithm):
    """Declares the parameters of `mapping.accuracy.assess_accuracy`."""

    NAME = "assessaccuracy"
    TITLE = "Assess accuracy"
    GROUP = ("maps", "Maps")
    TAGS = ("confusion matrix", "area", "stratified", "olofsson", "validation", "kappa", "F1")
    SUMMARY = "Compares a class map with reference labels and estimates true areas."
    HELP = (
        "Compares a class map with reference points or polygons: confusion matrix, user's and "
        "producer's accuracy, F1, IoU, kappa, and the area of each class adjusted for the map's "
        "errors, all with 95 % intervals (Olofsson et al. 2014).\n\n"
        "FIELD of REFERENCE holds the true class: codes of the map, or names of its classes. "
        "Features where it is empty are left out.\n\n"
        "Areas and intervals are right when the reference is a stratified random sample of points "
        "with the map's classes as strata: Draw accuracy sample makes one. With polygons, "
        "intervals come from resampling the polygons."
    )

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Class map")))
        self.addParameter(
            QgsProcessingParameterVectorLayer(
                "REFERENCE", self.tr("Reference points or polygons"), [TYPE_GEOMETRY]
            )
        )
        self.addParameter(
            QgsProcessingParameterField(
                "FIELD", self.tr("Field of the true class"), parentLayerParameterName="REFERENCE"
            )
        )
        self.add_advanced(
            QgsProcessingParameterNumber("SEED", self.tr("Seed"), INTEGER, 0, minValue=0)
        )
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "REPORT", self.tr("Accuracy report"), "HTML (*.html)", optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterFeatureSink(
                "AREAS",
                self.tr("Areas and accuracy of the classes"),
                TYPE_TABLE,
                optional=True,
                createByDefault=False,
            )
        )
        for name, _, text in FIGURES:
            for ending, which in (("", ""), ("_LOW", ", lower end"), ("_HIGH", ", upper end")):
                self.addOutput(QgsProcessingOutputNumber(name + ending, self.tr(text + which)))
        self.addOutput(QgsProcessingOutputNumber("LABELS_USED", self.tr("Labels compared")))
        self.addOutput(
            QgsProcessingOutputString("CLASS_FIGURES", self.tr("Figures of the classes, JSON"))
        )

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        report = self.parameterAsFileOutput(parameters, "REPORT", context)
        if report:
            require_ending(report, "REPORT", (".html",), "a report is a web page")
        self.require_outputs(parameters, ("REPORT", "AREAS"), ("INPUT", "REFERENCE"), context)
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        field = field_of(self, parameters, "FIELD", context)
        if not field:
            raise LabelsError("FIELD is empty: choose the field that holds the true class.")
        points = self.parameterAsVectorLayer(parameters, "REFERENCE", context)
        reference, _ = labels_of(points, field, "", "", context)
        assert isinstance(reference, VectorLabels)
        class_map = open_map(layer, QgisFeedback(feedback, 0.0, 0.5))
        result = assess_accuracy(
            class_map,
            reference,
            report=report or None,
            seed=self.parameterAsInt(parameters, "SEED", context),
            feedback=QgisFeedback(feedback, 0.5, 1.0),
        )
        figures = {}
        for name, key, _ in FIGURES:
            figure = result.overall[key]
            figures.update(
                {name: figure.value, f"{name}_LOW": figure.low, f"{name}_HIGH": figure.high}
            )
        return {
            "REPORT": report,
            "AREAS": self._write_areas(result, parameters, context),
            **figures,
            "LABELS_USED": result.labels,
            "CLASS_FIGURES": json.dumps(class_rows(result), ensure_ascii=False),
        }

    def _write_areas(
        self,
        result: AccuracyResult,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
    ) -> str:
        if not parameters.get("AREAS"):
            return ""
        rows = class_rows(result)
        fields = QgsFields()
        for name, value in rows[0].items():
            kind = FIELD_TEXT if isinstance(value, str) else FIELD_REAL
            fields.append(QgsField(name, FIELD_INTEGER if name in ("code", "labels") else kind))
        sink, place = self.parameterAsSink(parameters, "AREAS", context, fields)
        for row in rows:
            feature = QgsFeature(fields)
            feature.setAttributes(list(row.values()))
            sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert)
        del sink
        return str(place)


def open_map(layer: QgsRasterLayer, feedback: QgisFeedback) -> ClassMap:
    """The class raster behind a layer, with the names of its style.

    Raises:
        SeriesError: it is no file, or no class raster.
    """
    return ClassMap(layer_sources([layer])[0], raster_legend(layer), feedback)
