"""A few labels become a head of classes and a report of its accuracy."""

from __future__ import annotations

import json

from ..feedback import Feedback
from ..mapping.labels.layers import Labels, Legend
from ..mapping.learning.classifier import CLASSIFIERS
from ..mapping.learning.train_classifier import train_classifier
from ..mapping.samples.samples import LabelledSource
from ..mapping.scores.metrics import rounded
from ..sits.grid import Grid
from .figures import ACCURACY_FIGURES, figure_values
from .operation import LEARN, Operation
from .parameters import Choice, Field, Output, figure_outputs
from .shared import (
    HOW_TO_TRAIN,
    MODEL,
    TRAINING_INPUT,
    budget_of,
    labels_parameter,
    opened_with_labels,
    sample_design_of,
)
from .values import Given, Layer, Results

PARAMETERS = (
    TRAINING_INPUT,
    labels_parameter(
        "Labels: polygons, points or a class raster",
        "Layers with the classes, in any coordinate reference system: as many as inputs, in the "
        "same order, or one for all of them.",
    ),
    Field(
        "FIELD",
        "Field of the class (empty: that of the layer's style)",
        "Field that holds the number or name of the class. A layer with a categorised style needs "
        "none, nor does a raster.",
        layer="LABELS",
    ),
    Field(
        "NAME",
        "Field of the names of the classes",
        "Field that holds the name of the class, if another holds its number.",
        layer="LABELS",
    ),
    Field(
        "COLOR",
        "Field of the colours of the classes",
        "Field that holds the colour of the class, such as #a0c83c or 160,200,60.",
        layer="LABELS",
    ),
    MODEL,
    Choice(
        "CLASSIFIER",
        "Classifier",
        "linear is logistic regression, with regularisation chosen by cross-validation. prototype "
        "is the nearest class mean, for one to five polygons a class. mlp is a small network.",
        options=CLASSIFIERS,
        labels={
            "linear": "Logistic regression (recommended)",
            "prototype": "Nearest class mean, for a few polygons",
            "mlp": "Small neural network",
        },
    ),
    *HOW_TO_TRAIN,
)
OUTPUTS = (
    *figure_outputs(ACCURACY_FIGURES),
    Output("CLASSES", "Number of classes"),
    Output("SAMPLES_USED", "Number of samples"),
    Output("GROUPS", "Number of polygons or blocks"),
    Output("CLASS_FIGURES", "Figures of the classes, JSON", "text"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Train the head and write its report."""

    def read(layer: Layer, around: list[Grid]) -> tuple[Labels, Legend]:
        return layer.labels(given["FIELD"], given["NAME"], given["COLOR"], around)

    with opened_with_labels(given, feedback, read) as (found, layers):
        result = train_classifier(
            [LabelledSource(features, labels) for features, (labels, _) in found],
            given["HEAD"],
            report=given["REPORT"] or None,
            legends=[legend for _, (_, legend) in found[:layers]],
            classifier=given["CLASSIFIER"],
            design=sample_design_of(given),
            budget=budget_of(given),
            feedback=feedback,
        )
    classes = [
        {"code": item.code, "name": item.name, **rounded(by_name)}
        for item, by_name in zip(result.classes, result.by_class or [{}] * len(result.classes))
    ]
    return Results(
        {
            "HEAD": given["HEAD"],
            "REPORT": given["REPORT"],
            **figure_values(ACCURACY_FIGURES, result.overall),
            "CLASSES": len(result.classes),
            "SAMPLES_USED": result.samples,
            "GROUPS": result.groups,
            "CLASS_FIGURES": json.dumps(classes, ensure_ascii=False),
        }
    )


OPERATION = Operation(
    name="trainclassifier",
    title="Train classifier",
    group=LEARN,
    tags=(
        "samples",
        "classification",
        "crop map",
        "land cover",
        "logistic regression",
        "accuracy",
    ),
    summary="Learns classes from a few polygons and reports how well it knows them.",
    help="Learns the classes of a map from labels: polygons, points or a class raster, in any "
    "coordinate reference system. The result is a head, a small file that Segment uses.\n\n"
    "Several areas or years train one head together.\n\n"
    "The report tells how well polygons or blocks are classified by a head that has not seen "
    "them, with confidence intervals and a learning curve.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
    needs_scikit_learn=True,
)
