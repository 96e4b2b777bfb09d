"""An image series and a head become a map of estimated values."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.maps.estimate import estimate
from ..model.heads.value_head import ValueHead
from .operation import MAP, Operation
from .parameters import Output, RasterOutput, Switch
from .shared import (
    DEVICE_USED,
    ENGINE,
    EXTENT,
    HEAD,
    INPUT,
    MASK,
    MODEL,
    budget_of,
    opened,
)
from .values import Given, LayerLook, Results

PARAMETERS = (
    INPUT,
    HEAD,
    MODEL,
    Switch(
        "EXTRAPOLATE",
        "Keep estimates beyond what the head has learned from",
        "Estimates beyond the least and the largest value that the head has learned from are "
        "guesses, such as a biomass below 0. They are set to the nearer end unless you keep them.",
    ),
    MASK,
    EXTENT,
    *ENGINE,
    RasterOutput(
        "OUTPUT",
        "Estimates",
        "GeoTIFF of one band in the unit of the measurements.",
        required=True,
    ),
)
OUTPUTS = (
    Output("MEAN", "Mean of the estimates"),
    Output("BEYOND", "Share of estimates beyond what the head has learned from"),
    DEVICE_USED,
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the map."""
    head = ValueHead(given["HEAD"])
    mask = given["MASK"]
    with opened(given["INPUT"], (), given, feedback) as features:
        result = estimate(
            features,
            head,
            given["OUTPUT"],
            extrapolate=given["EXTRAPOLATE"],
            mask=mask.mask() if mask else None,
            extent=given["EXTENT"].on(features.grid),
            budget=budget_of(given),
            feedback=feedback,
        )
    values = {
        "OUTPUT": given["OUTPUT"],
        "MEAN": result.mean,
        "BEYOND": result.beyond,
        "DEVICE_USED": result.device,
    }
    return Results(values, {"OUTPUT": LayerLook(head.description.name)})


OPERATION = Operation(
    name="estimatevalues",
    title="Estimate values",
    group=MAP,
    tags=("regression", "biomass", "yield", "leaf area", "canopy height", "fraction"),
    summary="Maps the value of a head, from the image series in one pass.",
    help="Maps the value that Train regression has learned to estimate. The input is an image "
    "series, or an embedding raster that was made with the same model as the head.\n\n"
    "The log says how many estimates lie beyond what the head has learned from. Map only places "
    "of the kind that was measured: give their polygons as a mask.\n\n"
    "The map depends neither on tile size nor on memory.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
