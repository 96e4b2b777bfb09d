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
    QgsProcessingParameterField,
)

from ..mapping.labels.layers import Labels, Legend
from ..mapping.learning.classifier import CLASSIFIERS
from ..mapping.learning.train_classifier import train_classifier
from ..mapping.samples.samples import LabelledSource
from ..mapping.scores.metrics import Interval, rounded
from ..sits.grid import Grid
from ..sits.series import ImageSeries
from .base import AliseAlgorithm, QgisFeedback
from .inputs import declare_engine, declare_model, declare_rasters, encoder_of
from .label_layers import labels_of
from .training_inputs import (
    choice,
    declare_head,
    declare_labels,
    declare_validation,
    field_of,
    head_and_report,
    labels_on,
    sources_of,
    unopened_labels,
)

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
        declare_labels(self, "Labels: polygons, points or a class raster")
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
        self.addParameter(choice("CLASSIFIER", self.tr("Classifier"), CLASSIFIERS))
        declare_validation(self)
        declare_engine(self)
        declare_head(self)
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
        head, report = head_and_report(self, parameters, context)
        sources = sources_of(self, parameters, context, feedback)
        field, name, color = (
            field_of(self, parameters, parameter, context)
            for parameter in ("FIELD", "NAME", "COLOR")
        )

        def read(layer: QgsMapLayer, around: list[Grid]) -> tuple[Labels, Legend]:
            return labels_of(layer, field, name, color, context, around)

        grids = [source.grid for source in sources]
        found, layers = labels_on(self, parameters, context, grids, read)
        needs_encoder = any(isinstance(source, ImageSeries) for source in sources)
        result = train_classifier(
            [LabelledSource(source, labels) for source, (labels, _) in zip(sources, found)],
            encoder_of(self, parameters, context) if needs_encoder else None,
            head,
            report=report or None,
            legends=[legend for _, legend in found[:layers]],
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

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        fine, message = super().checkParameterValues(parameters, context)
        return (fine, message) if fine else unopened_labels(self, parameters, context, message)
