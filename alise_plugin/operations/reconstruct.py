"""The ground without clouds on any day."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.maps.reconstruct import EVERY, reconstruct
from .operation import MAP, Operation
from .parameters import Dates, Number, Output, RasterOutput, Rasters
from .shared import DEVICE_USED, ENGINE, EXTENT, MODEL, MODEL_ID, budget_of, opened
from .values import Given, LayerLook, Results, dates_as_text

PARAMETERS = (
    Rasters(
        "INPUT",
        "Image series, one raster per date, or embedding raster",
        "An image series, one raster per date, or an embedding raster in float32 or int8 that the "
        "model made.",
        required=True,
        mostly_one=True,
    ),
    Dates(
        "DATES",
        "Days to show (2019-05-14, 2019-08-01, ...; empty: one every EVERY days)",
        "Days to show, such as 2019-05-14. Without them there is one image at a regular interval, "
        "from the first to the last acquisition.",
    ),
    Number(
        "EVERY",
        "Days from one image to the next, where DATES is empty",
        "Days from one image to the next if no days are named.",
        default=EVERY,
        minimum=1,
        integer=True,
    ),
    MODEL,
    EXTENT,
    *ENGINE,
    RasterOutput(
        "OUTPUT",
        "Reconstructed images",
        "GeoTIFF that is an image series itself: ten bands a date, in whole numbers of 1/10000 "
        "with their scale. More than 400 days get no overviews.",
        required=True,
        contents="reconstructed images are a GeoTIFF",
    ),
)
OUTPUTS = (Output("DATES_USED", "Days shown", "text"), DEVICE_USED, MODEL_ID)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the images."""
    with opened(given["INPUT"], (), given, feedback) as features:
        result = reconstruct(
            features,
            given["OUTPUT"],
            dates=given["DATES"],
            every=given["EVERY"],
            extent=given["EXTENT"].on(features.grid),
            budget=budget_of(given),
            feedback=feedback,
        )
    values = {
        "OUTPUT": given["OUTPUT"],
        "DATES_USED": dates_as_text(result.dates),
        "DEVICE_USED": result.device,
        "MODEL_ID": result.model_id,
    }
    name = f"Reconstructed {result.dates[0]} to {result.dates[-1]}"
    return Results(values, {"OUTPUT": LayerLook(name, result.dates)})


OPERATION = Operation(
    name="reconstruct",
    title="Reconstruct images",
    group=MAP,
    tags=("cloud-free", "gap filling", "interpolation", "composite", "reflectance"),
    summary="Shows the ground without clouds on any day, as the model expects it.",
    help="Decodes what the vectors of Embed image series hold: the reflectance of the ten bands "
    "on any day, as if no cloud had been there. Use it to look at a place where no acquisition "
    "was clear, or as a regular series for other tools.\n\n"
    "Of an image series of more than a year, each day is decoded from the acquisitions of the "
    "year around it, or of two years where that has fewer than 24. An embedding raster of several "
    "years is quicker, but holds them all at once, and they become more alike.\n\n"
    "These are estimates and no observations: events between two clear dates (a mowing, a flood) "
    "are smoothed out, snow is not shown, thin haze and deep shadow may tint a pixel, and days "
    "outside the series and bands that it lacks are guesses. The card of the model tells how "
    "large the errors are.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
