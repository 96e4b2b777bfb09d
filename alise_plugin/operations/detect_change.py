"""Two years of one place become a map of what changed."""

from __future__ import annotations

from contextlib import ExitStack

from ..errors import AliseError, SeriesError
from ..feedback import Feedback
from ..mapping.change.detect import ChangeResult, detect_change
from ..mapping.change.periods import within
from ..mapping.change.prepare import ALIGNMENTS, METHODS, ChangeOptions, ChangeOutputs
from ..mapping.change.threshold import RULES, ThresholdRule
from ..mapping.change.zones import ZoneChange
from ..mapping.features.features import Features
from .operation import CHANGE, Operation
from .parameters import (
    Choice,
    Dates,
    Day,
    FeatureOutput,
    Number,
    Output,
    RasterOutput,
    Rasters,
    Vector,
)
from .shared import DEVICE_USED, ENGINE, EXTENT, MODEL, MODEL_ID, budget_of, opened
from .values import Column, Given, LayerLook, Results, dates_as_text

PARAMETERS = (
    Rasters(
        "BEFORE",
        "First year: image series, embedding raster, or one raster per date",
        "First year: an image series, an embedding raster, or one raster per date.",
        required=True,
        mostly_one=True,
    ),
    Rasters(
        "AFTER",
        "Second year (empty: another period of the first)",
        "Second year. It may have other dates, another grid and another coordinate reference "
        "system: it is read on the grid of the first. Leave it empty to compare two periods of "
        "the first.",
        mostly_one=True,
    ),
    Day(
        "BEFORE_START",
        "First day of the first period",
        "First day of the first year. Earlier acquisitions are left out.",
    ),
    Day(
        "BEFORE_END",
        "Last day of the first period",
        "Last day of the first year. Later acquisitions are left out.",
    ),
    Day(
        "AFTER_START",
        "First day of the second period",
        "First day of the second year. Earlier acquisitions are left out.",
    ),
    Day(
        "AFTER_END",
        "Last day of the second period",
        "Last day of the second year. Later acquisitions are left out.",
    ),
    Dates(
        "BEFORE_DATES",
        "Dates of BEFORE, when its rasters do not say (2019-05-14, ...)",
        "Dates of the first year's rasters in their order. Needed only if the rasters do not say "
        "them.",
        advanced=True,
    ),
    Dates(
        "AFTER_DATES",
        "Dates of AFTER, when its rasters do not say (2019-05-14, ...)",
        "Dates of the second year's rasters in their order. Needed only if the rasters do not say "
        "them.",
        advanced=True,
    ),
    Choice(
        "METHOD",
        "Method",
        "cosine (recommended) is 1 - cosine of the angle between the compact forms of both "
        "embeddings; embedding rasters are compared as they are. alise is the mean squared "
        "difference of all features, the paper's own. gapfilled is that of gap-filled "
        "reflectance, the usual baseline, for which Build image series has to mask the clouds.",
        options=METHODS,
        labels={
            "cosine": "Angle between vectors (recommended)",
            "alise": "Squared difference of all features (the paper's)",
            "gapfilled": "Gap-filled reflectance (the usual baseline)",
        },
    ),
    Choice(
        "ALIGN",
        "Alignment of the two years",
        "years shifts the second year by whole years to the days of the first before it is "
        "encoded (embedding rasters keep the days that they were made with). shift takes the "
        "scene's median difference off. both does both, and none is the paper's own.",
        options=ALIGNMENTS,
        labels={
            "none": "None (the paper's)",
            "years": "Shift the second year onto the days of the first (recommended)",
            "shift": "Take off the median difference of the scene",
            "both": "Both",
        },
        preferred="years",
    ),
    Choice(
        "THRESHOLD",
        "Threshold",
        "How the threshold between changed and unchanged is found. mixture parts the distances of "
        "the map into an unchanged and a changed group; otsu parts its histogram; unchanged takes "
        "areas that are known to be stable; value takes a distance and quantile a share of the "
        "pixels. noise is the acquisition noise, between even and odd dates of one year: a lower "
        "bound that most unchanged fields exceed, for no weather of another year is in it.",
        options=RULES,
        labels={
            "none": "No threshold: distances only",
            "value": "A distance",
            "quantile": "A share of the pixels",
            "otsu": "By the histogram (Otsu)",
            "unchanged": "By areas known to be unchanged",
            "noise": "By the noise between dates of one year (a lower bound)",
            "mixture": "An unchanged and a changed group (mixture)",
        },
    ),
    Number(
        "THRESHOLD_VALUE",
        "Distance (value) or share of the pixels (quantile)",
        "Distance above which a pixel has changed, for the threshold value, or share of the "
        "pixels that lie below the threshold, for quantile.",
        default=None,
    ),
    Number(
        "FALSE_ALARM",
        "False-alarm rate (unchanged, mixture)",
        "Share of the unchanged areas, or of the unchanged group of the map, that may pass the "
        "thresholds unchanged and mixture.",
        optional=True,
        default=0.05,
    ),
    Vector(
        "UNCHANGED",
        "Areas known to be unchanged (polygons)",
        "Polygons that are known to be stable, for the threshold unchanged.",
    ),
    Vector(
        "ZONES",
        "Zones to sum up (polygons)",
        "Polygons such as parcels whose distances are summed up in the output of the zones.",
    ),
    Number(
        "ZONE_SHARE",
        "Share of changed pixels that makes a zone changed",
        "Share of its pixels that have to change before a zone counts as changed.",
        optional=True,
        default=0.5,
        above=0,
        maximum=1,
    ),
    MODEL,
    EXTENT,
    *ENGINE,
    RasterOutput(
        "DISTANCE",
        "Distance",
        "GeoTIFF with the distance of each pixel between the two years.",
        required=True,
        contents="the output is a GeoTIFF",
    ),
    RasterOutput(
        "CHANGE",
        "Changed pixels",
        "GeoTIFF that is 1 above the threshold and 0 below it.",
        contents="the output is a GeoTIFF",
    ),
    RasterOutput(
        "EXPLANATION",
        "Explanation",
        "GeoTIFF that says why: the share of each learned date in the distance, the feature that "
        "carries most of it, and the NDVI of both years on the day when they differ most.",
        contents="the output is a GeoTIFF",
    ),
    FeatureOutput(
        "ZONES_OUTPUT",
        "Zones with their change",
        "The zones with pixels, mean and median distance, share of changed pixels, rank, and "
        "whether they changed.",
        contents="zones are a GeoPackage",
        geometry="polygon",
    ),
)
OUTPUTS = (
    Output("THRESHOLD_USED", "Threshold used"),
    Output("CHANGED_SHARE", "Share of changed pixels"),
    Output("CHANGED_AREA", "Changed area in square metres"),
    Output("MEDIAN_DISTANCE", "Median distance"),
    Output("NOISE_FLOOR", "Noise floor"),
    Output("NOISE_RATIO", "Noise floor beside large distances"),
    Output("DAYS_SHIFTED", "Days that AFTER was shifted by"),
    Output("DATES_ENCODED", "Acquisitions encoded"),
    Output("DATES_BEFORE", "Dates of the first year", "text"),
    Output("DATES_AFTER", "Dates of the second year", "text"),
    DEVICE_USED,
    MODEL_ID,
)
ZONE_COLUMNS = (
    Column("pixels", "integer"),
    Column("dist_mean", "real"),
    Column("dist_med", "real"),
    Column("share_chg", "real"),
    Column("rank", "integer"),
    Column("changed", "integer"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the maps and the zones."""
    zones, unchanged, sink = given["ZONES"], given["UNCHANGED"], given["ZONES_OUTPUT"]
    if sink is not None and zones is None:
        raise AliseError("ZONES_OUTPUT needs polygons in ZONES: choose a layer of zones.")
    if zones is not None and sink is None:
        feedback.warning("ZONES are not summed up, because ZONES_OUTPUT is empty.")
        zones = None
    rule = ThresholdRule(given["THRESHOLD"], given["THRESHOLD_VALUE"], given["FALSE_ALARM"])
    with ExitStack() as stack:
        before, after = _years(given, stack, feedback)
        crs = before.grid.crs_wkt
        result = detect_change(
            before,
            after,
            ChangeOutputs(
                given["DISTANCE"],
                change=given["CHANGE"] or None,
                explanation=given["EXPLANATION"] or None,
            ),
            options=ChangeOptions(
                method=given["METHOD"],
                align=given["ALIGN"],
                rule=rule,
                changed_from=given["ZONE_SHARE"],
            ),
            zones=zones.shapes(crs) if zones else (),
            unchanged=unchanged.shapes(crs) if unchanged else (),
            extent=given["EXTENT"].on(before.grid),
            budget=budget_of(given),
            feedback=feedback,
        )
    written = None
    if sink is not None and zones is not None:
        written = sink.write_beside(zones, ZONE_COLUMNS, [_zone_row(z) for z in result.zones])
    span = _span(result)
    names = {
        "DISTANCE": "Distance",
        "CHANGE": "Change",
        "EXPLANATION": "Explanation of the distance",
    }
    looks = {
        name: LayerLook(f"{text} {span}".strip()) for name, text in names.items() if given[name]
    }
    values = {
        **{name: given[name] or None for name in names},
        "ZONES_OUTPUT": written,
        "THRESHOLD_USED": result.threshold,
        "CHANGED_SHARE": result.changed_share,
        "CHANGED_AREA": result.changed_area,
        "MEDIAN_DISTANCE": result.median_distance,
        "NOISE_FLOOR": result.noise_floor,
        "NOISE_RATIO": result.noise_ratio,
        "DAYS_SHIFTED": -result.year_shift,
        "DATES_ENCODED": result.encoded,
        "DATES_BEFORE": dates_as_text(result.dates[0]),
        "DATES_AFTER": dates_as_text(result.dates[1]),
        "DEVICE_USED": result.device,
        "MODEL_ID": result.model_id,
    }
    return Results(values, looks)


def _years(given: Given, stack: ExitStack, feedback: Feedback) -> tuple[Features, Features]:
    """Return both years, from two rasters or two periods of one.

    Raises:
        SeriesError: there is one raster and no second period, or a period is none.
    """
    names = ("BEFORE", "AFTER")
    sources = [
        stack.enter_context(opened(given[name], given[f"{name}_DATES"], given, feedback))
        for name in names
        if given[name] or name == "BEFORE"
    ]
    periods = [(given[f"{name}_START"], given[f"{name}_END"]) for name in names]
    if len(sources) == 1:
        sources *= 2
        for name, period in zip(names, periods):
            if not any(period):
                raise SeriesError(
                    f"AFTER is empty and {name}_START and {name}_END are too: give a second "
                    "series, or the days of both periods of the first."
                )
    years: list[Features] = []
    for name, source, (start, end) in zip(names, sources, periods):
        if start and end and start > end:
            raise SeriesError(f"{name}_START ({start}) is after {name}_END ({end}): exchange them.")
        if source.is_series:
            features = source.require_series("choose an image series")
            years.append(features.with_series(within(features.series, start, end, name)))
        elif start or end:
            raise SeriesError(
                f"{source.name} is an embedding raster, of which no days can be chosen: leave "
                f"{name}_START and {name}_END empty."
            )
        else:
            years.append(source)
    return years[0], years[1]


def _zone_row(zone: ZoneChange) -> tuple[object, ...]:
    decision = None if zone.changed is None else int(zone.changed)
    return zone.pixels, zone.mean, zone.median, zone.changed_share, zone.rank, decision


def _span(result: ChangeResult) -> str:
    """Return what a layer's name says of time: both years, or the days of one year."""
    before, after = result.dates
    if not before or not after:
        return ""
    if before[0].year != after[0].year:
        return f"{before[0].year} to {after[0].year}"
    return f"{before[0]} to {after[-1]}"


OPERATION = Operation(
    name="detectchange",
    title="Detect change",
    group=CHANGE,
    tags=("change detection", "difference", "distance", "threshold", "loss", "rotation"),
    summary="Maps what changed between two years, without training and without cloud masks.",
    help="Compares two years of one place: the angle between their two aligned embeddings, pixel "
    "by pixel. No labels and no cloud masks are needed, and the two years may have other dates, "
    "another number of dates and other gaps. An acquisition that is in both periods of one series "
    "is encoded once.\n\n"
    "The noise floor that is returned is the median distance between even and odd acquisitions "
    "of one year; beside it stands its ratio to the distance that one pixel in a hundred passes: "
    "near 1, nothing stands out. It is acquisition noise only, and no false-alarm rate follows "
    "from it.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
