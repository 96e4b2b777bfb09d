"""A few examples show where else it looks like there."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.maps.find_similar import PER_AREA, find_similar
from .operation import MAP, Operation
from .parameters import Number, Output, RasterOutput, Vector
from .shared import DEVICE_USED, ENGINE, EXTENT, INPUT, MODEL, SEED, budget_of, opened
from .values import Given, LayerLook, Results

PARAMETERS = (
    INPUT,
    Vector(
        "EXAMPLES",
        "Examples: polygons or points",
        "A few polygons or points of one kind of place, such as fields of one crop. They need no "
        "field and no counterexamples, and may lie outside the extent.",
        required=True,
        geometries=("polygon", "point"),
    ),
    MODEL,
    EXTENT,
    Number(
        "SAMPLES",
        "Pixels of one polygon at most",
        "Largest number of pixels that one polygon gives.",
        advanced=True,
        default=PER_AREA,
        minimum=1,
        integer=True,
    ),
    SEED,
    *ENGINE,
    RasterOutput(
        "OUTPUT",
        "Similarity",
        "GeoTIFF with the similarity of each pixel, -1 to 1.",
        required=True,
    ),
)
OUTPUTS = (
    Output("LEVEL", "Similarity that nine of ten pixels of the examples reach"),
    Output("EXAMPLES_USED", "Examples with pixels"),
    Output("SAMPLES_USED", "Pixels of the examples"),
    DEVICE_USED,
)


def run(given: Given, feedback: Feedback) -> Results:
    """Return map the similarity."""
    examples = given["EXAMPLES"].examples()
    with opened(given["INPUT"], (), given, feedback) as features:
        result = find_similar(
            features,
            examples,
            given["OUTPUT"],
            per_area=given["SAMPLES"],
            extent=given["EXTENT"].on(features.grid),
            budget=budget_of(given),
            seed=given["SEED"],
            feedback=feedback,
        )
    values = {
        "OUTPUT": given["OUTPUT"],
        "LEVEL": result.level,
        "EXAMPLES_USED": result.examples,
        "SAMPLES_USED": result.samples,
        "DEVICE_USED": result.device,
    }
    return Results(values, {"OUTPUT": LayerLook("Similarity")})


OPERATION = Operation(
    name="findsimilar",
    title="Find similar places",
    group=MAP,
    tags=("similarity search", "examples", "one class", "cosine", "query by example"),
    summary="Maps how much every pixel resembles a few examples.",
    help="Where else does it look like here? Give a few polygons or points of one kind of place: "
    "fields of one crop, a mine, a stand of one tree. Tick 'Selected features only' to search for "
    "what is selected.\n\n"
    "Every pixel gets a similarity over the whole series: 1 is the middle of the examples, 0 what "
    "is as usual as anything else on the input, -1 its opposite (cosine of vectors that are "
    "standardised over the input). The level that is returned is what nine of ten pixels of the "
    "examples reach, each compared with the other examples (a single one with itself): a first "
    "threshold, for the raster calculator. More examples make it surer.\n\n"
    "For a map of several classes use Train classifier and Segment.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
