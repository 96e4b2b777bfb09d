"""The curves of points and polygons as a table."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.curves.extract import COLUMNS, PER_AREA, CurveOptions, extract_curves
from ..mapping.curves.indices import INDICES, indices_of
from .operation import MAP, Operation
from .parameters import Dates, FeatureOutput, Number, Output, Rasters, Text, Vector
from .shared import DEVICE_USED, ENGINE, MODEL, MODEL_ID, SEED, budget_of, opened
from .values import Column, Given, Results

PARAMETERS = (
    Rasters(
        "INPUT",
        "Image series, one raster per date, or embedding raster",
        "An image series, one raster per date, or an embedding raster in float32 or int8 that the "
        "model made. An embedding raster has curves but no observations.",
        required=True,
        mostly_one=True,
    ),
    Vector(
        "PLACES",
        "Points or polygons",
        "Places whose curves are wanted, in any coordinate reference system. Each pixel has a "
        "curve of its own.",
        required=True,
        geometries=("polygon", "point"),
    ),
    Text(
        "INDEX",
        "Bands, indices or formulas (empty: NDVI)",
        f"Bands such as B08, indices ({', '.join(INDICES)}) or formulas such as "
        "(B08 - B04) / (B08 + B04), separated by commas. NDVI is taken if it is empty.",
    ),
    Dates(
        "DATES",
        "Further days (2019-05-14, 2019-08-01, ...)",
        "Days to reconstruct beside the acquisitions, such as 2019-05-14.",
    ),
    Number(
        "EVERY",
        "Days from one further day to the next (0: none)",
        "Days from one reconstructed day to the next, from the first to the last acquisition. 0 "
        "leaves the acquisitions and the days that were named.",
        default=0,
        minimum=0,
        maximum=366,
        integer=True,
    ),
    MODEL,
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
    FeatureOutput(
        "OUTPUT",
        "Curves",
        "Table with a row for each pixel, index and day: feature and pixel (counted from 1), x and "
        "y of the pixel's centre, date, name, observed, reconstructed, and state (clear, unlike "
        "the curve, or empty without an observation).",
        required=True,
        contents="curves are a CSV table",
        geometry="table",
    ),
)
OUTPUTS = (
    Output("PIXELS", "Number of pixels"),
    Output("ROWS", "Number of rows"),
    DEVICE_USED,
    MODEL_ID,
)
_KINDS = dict.fromkeys(("feature", "pixel"), "integer") | dict.fromkeys(
    ("x", "y", "observed", "reconstructed"), "real"
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the table."""
    indices = indices_of(given["INDEX"] or "NDVI")
    places = given["PLACES"].examples()
    options = CurveOptions(indices, given["DATES"], given["EVERY"], given["SAMPLES"], given["SEED"])
    with opened(given["INPUT"], (), given, feedback) as features:
        extracted = extract_curves(
            features, places, options, budget=budget_of(given), feedback=feedback
        )
        model_id = features.open_encoder().package.model_id
    for sentence in extracted.warnings:
        feedback.warning(sentence)
    rows = list(extracted.rows())
    columns = [Column(name, _KINDS.get(name, "text")) for name in COLUMNS]
    written = given["OUTPUT"].write(columns, rows)
    feedback.progress(1.0)
    values = {
        "OUTPUT": written,
        "PIXELS": len(extracted.chosen.row),
        "ROWS": len(rows),
        "DEVICE_USED": extracted.device,
        "MODEL_ID": model_id,
    }
    return Results(values)


OPERATION = Operation(
    name="extractcurves",
    title="Extract curves",
    group=MAP,
    tags=("time series", "profile", "NDVI", "EVI", "table", "pixel", "temporal profile"),
    summary="Writes what was observed and what the model expects at points or in polygons.",
    help="Gives the years of a few places as a table: on each acquisition the observed value of "
    "bands and indices, and the value that the model expects, as if no cloud had been there. "
    "Further days have the expected value alone.\n\n"
    "The state says whether an observation is like the curve: unlike are those that lie far from "
    "it in most bands, mostly clouds, shadows and snow, but also events that the curve smooths "
    "out, such as a mowing or a flood. There is no band of uncertainty: the bundled model does "
    "not tell how sure it is.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
