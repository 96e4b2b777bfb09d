"""Start, peak and end of seasons as a raster."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.curves.indices import INDICES, SpectralIndex
from ..mapping.curves.phenology import DAY_FORMS, PhenologyOptions, phenology
from .operation import MAP, Operation
from .parameters import Choice, Day, Number, Output, RasterOutput, Rasters, Text
from .shared import DEVICE_USED, ENGINE, EXTENT, MODEL, MODEL_ID, budget_of, opened
from .values import Given, LayerLook, Results

PARAMETERS = (
    Rasters(
        "INPUT",
        "Image series, one raster per date, or embedding raster",
        "An image series, one raster per date, or an embedding raster in float32 or int8 that the "
        "model made. An embedding raster leaves the quality empty.",
        required=True,
        mostly_one=True,
    ),
    Text(
        "INDEX",
        "Band, index or formula (empty: NDVI)",
        f"A band such as B08, an index ({', '.join(INDICES)}) or a formula such as "
        "(B08 - B04) / (B08 + B04). NDVI is taken if it is empty.",
    ),
    Day(
        "START",
        "Peaks from this day on (empty: the first acquisition)",
        "First day on which the peak of a season may lie, such as 2019-01-01. A series of more "
        "than 400 days needs it, together with END.",
    ),
    Day(
        "END",
        "Peaks up to this day (empty: the last acquisition)",
        "Last day on which the peak of a season may lie, at most 400 days after START.",
    ),
    Choice(
        "THRESHOLD",
        "Thresholds",
        "What the levels of start and end are: shares of the amplitude (relative), or values of "
        "the index (absolute).",
        options=("relative", "absolute"),
        labels={
            "relative": "Shares of the amplitude",
            "absolute": "Values of the index",
        },
    ),
    Number(
        "START_LEVEL",
        "Level of the start",
        "Share of the rise from the lowest value to the peak, or value of the index, at which a "
        "season starts. HR-VPP has a share of 0.25.",
        default=0.25,
        minimum=-1,
        maximum=10,
    ),
    Number(
        "END_LEVEL",
        "Level of the end",
        "Share of the rise from the lowest value after the peak, or value of the index, at which "
        "a season ends. HR-VPP has a share of 0.15.",
        default=0.15,
        minimum=-1,
        maximum=10,
    ),
    Number(
        "MINIMUM_AMPLITUDE",
        "Least amplitude of a season",
        "Least rise of the index over its base that counts as a season. Pixels without one have "
        "no value.",
        default=0.1,
        above=0,
        maximum=10,
    ),
    Choice(
        "DAYS",
        "Days are written as",
        "dayofyear counts from 1 January of the year of START, and may lie below 1 or above 366. "
        "yyddd holds the year too, as in HR-VPP: 19134 is 2019-05-14.",
        options=DAY_FORMS,
        labels={
            "dayofyear": "Days from 1 January of the year",
            "yyddd": "Year and day as yyddd (19134: 2019-05-14)",
        },
    ),
    MODEL,
    EXTENT,
    *ENGINE,
    RasterOutput(
        "OUTPUT",
        "Seasons",
        "GeoTIFF of eight bands for each of two seasons: start, peak, end, length, amplitude, "
        "base, integral and quality.",
        required=True,
    ),
)
OUTPUTS = (
    Output("WITH_SEASON", "Share of the pixels with a season, 0 to 1"),
    Output("WITH_TWO_SEASONS", "Share of the pixels with two seasons, 0 to 1"),
    Output("PEAKS_FROM", "First day of a peak", "text"),
    Output("PEAKS_TO", "Last day of a peak", "text"),
    DEVICE_USED,
    MODEL_ID,
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the seasons."""
    options = PhenologyOptions(
        SpectralIndex(given["INDEX"] or "NDVI"),
        given["START"],
        given["END"],
        given["START_LEVEL"],
        given["END_LEVEL"],
        given["THRESHOLD"] == "relative",
        given["MINIMUM_AMPLITUDE"],
        given["DAYS"],
    )
    with opened(given["INPUT"], (), given, feedback) as features:
        result = phenology(
            features,
            given["OUTPUT"],
            options,
            extent=given["EXTENT"].on(features.grid),
            budget=budget_of(given),
            feedback=feedback,
        )
        model_id = features.open_encoder().package.model_id
    values = {
        "OUTPUT": given["OUTPUT"],
        "WITH_SEASON": result.with_season,
        "WITH_TWO_SEASONS": result.with_two,
        "PEAKS_FROM": str(result.start),
        "PEAKS_TO": str(result.end),
        "DEVICE_USED": result.device,
        "MODEL_ID": model_id,
    }
    return Results(values, {"OUTPUT": LayerLook(f"Seasons {result.start} to {result.end}")})


OPERATION = Operation(
    name="phenology",
    title="Map seasons (phenology)",
    group=MAP,
    tags=("phenology", "start of season", "growing season", "TIMESAT", "HR-VPP", "green-up"),
    summary="Maps when up to two seasons start, peak and end, and how much grows in them.",
    help="Looks at the curve of an index that the model decodes every five days, without clouds, "
    "and tells up to two seasons whose peaks lie between two days. Thresholds are relative, as in "
    "TIMESAT (shares of the rise from the lowest value on each side to the peak), or absolute.\n\n"
    "Amplitude is the peak over the base, the mean of the lowest values before and after it. The "
    "integral is the area between curve and base from start to end, in index times days. Quality "
    "is 1 to 4: one more for each of start, peak and end with an observation like the curve "
    "within 15 days. A start or end that lies beyond the series has no value.\n\n"
    "Terms are those of TIMESAT (Jönsson and Eklundh 2004) and of the Copernicus product HR-VPP, "
    "which uses another index (PPI), so values differ from it.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
