"""Pixels that are alike become classes, without labels."""

from __future__ import annotations

from dataclasses import replace

from ..feedback import Feedback
from ..mapping.labels.legend import MAX_CLASSES
from ..mapping.learning.find_classes import CLASSES, PIXELS, find_classes
from .operation import LEARN, Operation
from .parameters import Number, Output
from .shared import (
    DEVICE_USED,
    EXTENT,
    HEAD_OUTPUT,
    INPUT,
    MODEL,
    RUNTIME,
    SEED,
    opened,
)
from .values import Given, Results

PARAMETERS = (
    INPUT,
    Number(
        "CLASSES",
        "Number of classes",
        "Ask for more classes than there are land covers, then give those that are the same cover "
        "one name.",
        default=CLASSES,
        minimum=2,
        maximum=MAX_CLASSES,
        integer=True,
    ),
    MODEL,
    replace(EXTENT, title="Extent to look at (empty: all)"),
    Number(
        "SAMPLES",
        "Pixels to look at",
        "Number of pixels, spread over the extent, that the classes are found in.",
        advanced=True,
        default=PIXELS,
        minimum=100,
        integer=True,
    ),
    SEED,
    *RUNTIME,
    HEAD_OUTPUT,
)
OUTPUTS = (Output("SAMPLES_USED", "Pixels looked at"), DEVICE_USED)


def run(given: Given, feedback: Feedback) -> Results:
    """Write a head of classes."""
    with opened(given["INPUT"], (), given, feedback) as features:
        result = find_classes(
            features,
            given["HEAD"],
            classes=given["CLASSES"],
            pixels=given["SAMPLES"],
            extent=given["EXTENT"].on(features.grid),
            seed=given["SEED"],
            feedback=feedback,
        )
    return Results(
        {"HEAD": given["HEAD"], "SAMPLES_USED": result.samples, "DEVICE_USED": result.device}
    )


OPERATION = Operation(
    name="findclasses",
    title="Find classes (no labels)",
    group=LEARN,
    tags=("unsupervised classification", "clustering", "k-means", "land cover"),
    summary="Groups pixels that are alike into classes, without any label.",
    help="A first look at a place that nobody has labelled: pixels whose vectors are alike, over "
    "the whole series, become one class (k-means on standardised features). The head is a file "
    "that Segment maps, with legend, confidence, polygons and areas; of other years too, where "
    "other weather may move pixels from one class to another that is much like it.\n\n"
    "Classes are numbered, the most frequent first. What each of them is you tell by looking. "
    "What compact vectors have taught maps compact vectors only.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
    needs_scikit_learn=True,
)
