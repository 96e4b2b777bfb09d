"""Measurements in some places become a head of values and a report of its errors."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.labels.layers import Values
from ..mapping.learning.train_regression import train_regression
from ..mapping.samples.samples import LabelledSource
from ..sits.grid import Grid
from .figures import ERROR_FIGURES, figure_values
from .operation import LEARN, Operation
from .parameters import Field, Output, figure_outputs
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
        "Measurements: polygons, points or a raster",
        "Layers with what was measured, in any coordinate reference system: as many as inputs, in "
        "the same order, or one for all of them. A polygon's value holds for all of it; finer "
        "pixels of a raster are averaged.",
    ),
    Field(
        "FIELD",
        "Field of what was measured",
        "Field that holds the measured numbers. A raster needs none.",
        layer="LABELS",
    ),
    MODEL,
    *HOW_TO_TRAIN,
)
OUTPUTS = (
    *figure_outputs(ERROR_FIGURES),
    Output("LEAST", "Least value learned from"),
    Output("LARGEST", "Largest value learned from"),
    Output("SAMPLES_USED", "Number of samples"),
    Output("AREAS", "Number of areas"),
    Output("GROUPS", "Number of polygons or blocks"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Train the head and write its report."""

    def read(layer: Layer, around: list[Grid]) -> Values:
        return layer.measurements(given["FIELD"], around)

    with opened_with_labels(given, feedback, read) as (found, _):
        result = train_regression(
            [LabelledSource(features, measured) for features, measured in found],
            given["HEAD"],
            given["FIELD"] or found[0][1].name,
            report=given["REPORT"] or None,
            design=sample_design_of(given),
            budget=budget_of(given),
            feedback=feedback,
        )
    return Results(
        {
            "HEAD": given["HEAD"],
            "REPORT": given["REPORT"],
            **figure_values(ERROR_FIGURES, result.figures),
            "LEAST": result.low,
            "LARGEST": result.high,
            "SAMPLES_USED": result.samples,
            "AREAS": result.areas,
            "GROUPS": result.groups,
        }
    )


OPERATION = Operation(
    name="trainregression",
    title="Train regression",
    group=LEARN,
    tags=(
        "regression",
        "biomass",
        "yield",
        "leaf area",
        "canopy height",
        "fraction",
        "ridge",
        "accuracy",
    ),
    summary="Learns to estimate what was measured in some places, and reports how well.",
    help="Learns a value from measurements: biomass, yield, leaf area, canopy height, a fraction "
    "of cover. The result is a head, a small file that Estimate values maps. Each polygon counts "
    "once, however many of its pixels are taken.\n\n"
    "Several areas or years train one head together.\n\n"
    "It is ridge regression on standardised features, with regularisation chosen by "
    "cross-validation. The report tells how well polygons or blocks are estimated by a head that "
    "has not seen them, with confidence intervals and a learning curve. Bias is estimated less "
    "measured.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
    needs_scikit_learn=True,
)
