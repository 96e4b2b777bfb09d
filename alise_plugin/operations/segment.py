"""An image series and a head become a class map."""

from __future__ import annotations

from ..feedback import Feedback
from ..mapping.maps.class_rasters import ClassArea
from ..mapping.maps.neighbourhood import MapOptions
from ..mapping.maps.segment import ClassMapOutputs, segment
from ..mapping.maps.smoothing import SMOOTHINGS
from ..model.heads.class_head import Head
from .operation import MAP, Operation
from .parameters import (
    Choice,
    FeatureOutput,
    Number,
    Output,
    RasterOutput,
    VectorOutput,
)
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
from .values import Column, Given, LayerLook, Results, Sink

_STANDARD = MapOptions()
PARAMETERS = (
    INPUT,
    HEAD,
    MODEL,
    Choice(
        "SMOOTHING",
        "Smoothing",
        "How the pixels around decide: bayes smooths the probabilities as in SITS, majority takes "
        "the most frequent class, none leaves each pixel alone.",
        options=SMOOTHINGS,
        labels={
            "none": "None: each pixel alone",
            "bayes": "Bayesian, of the probabilities",
            "majority": "Most frequent class around",
        },
    ),
    Number(
        "MINIMUM_AREA",
        "Smallest patch in m2",
        "Smaller patches are given to their largest neighbour. 0 keeps all of them.",
        minimum=0,
    ),
    Number(
        "UNKNOWN",
        "Leave unclassified below this probability",
        "Pixels whose class is less probable stay unclassified. 0 classifies all of them.",
        minimum=0,
        maximum=1,
    ),
    MASK,
    EXTENT,
    Number(
        "WINDOW",
        "Smoothing: side of the window",
        "Side of the neighbourhood that smoothing looks at, in pixels, an odd number.",
        advanced=True,
        default=_STANDARD.window,
        minimum=3,
        maximum=21,
        integer=True,
    ),
    Number(
        "FRACTION",
        "Bayes: share of the neighbours",
        "Share of the neighbours, the most likely ones, that Bayesian smoothing uses.",
        advanced=True,
        default=_STANDARD.fraction,
        minimum=0.1,
        maximum=1,
    ),
    Number(
        "SMOOTHNESS",
        "Bayes: variance of logits",
        "Variance that Bayesian smoothing expects of the logits of a class. Larger values smooth "
        "more.",
        advanced=True,
        default=_STANDARD.smoothness,
        minimum=0.1,
        maximum=200,
    ),
    *ENGINE,
    RasterOutput(
        "OUTPUT",
        "Class map",
        "GeoTIFF of class codes, which loads with its legend.",
        required=True,
    ),
    RasterOutput(
        "CONFIDENCE",
        "Confidence",
        "GeoTIFF with the probability of the class shown and the entropy of all classes (0: sure, "
        "1: no idea).",
    ),
    RasterOutput(
        "PROBABILITIES",
        "Probabilities of the classes",
        "GeoTIFF with one band a class.",
    ),
    VectorOutput(
        "VECTOR",
        "Class polygons",
        "GeoPackage of polygons with class, true area and mean confidence.",
        contents="class polygons are a GeoPackage",
    ),
    FeatureOutput(
        "AREAS",
        "Area of the classes",
        "Table of the true area of each class on the ellipsoid.",
        contents="the table of areas is a CSV",
    ),
)
OUTPUTS = (Output("AREA", "Area mapped in m2"), DEVICE_USED)
_AREA_COLUMNS = (
    Column("code", "integer"),
    Column("class", "text"),
    Column("color", "text"),
    Column("pixels", "integer"),
    Column("area_m2", "real"),
    Column("area_ha", "real"),
    Column("share", "real"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the map and what was asked for beside it."""
    head = Head(given["HEAD"])
    mask = given["MASK"]
    with opened(given["INPUT"], (), given, feedback) as features:
        result = segment(
            features,
            head,
            ClassMapOutputs(
                given["OUTPUT"],
                confidence=given["CONFIDENCE"] or None,
                probabilities=given["PROBABILITIES"] or None,
                vector=given["VECTOR"] or None,
            ),
            options=MapOptions(
                given["SMOOTHING"],
                given["WINDOW"],
                given["FRACTION"],
                given["SMOOTHNESS"],
                given["MINIMUM_AREA"],
                given["UNKNOWN"],
            ),
            mask=mask.mask() if mask else None,
            extent=given["EXTENT"].on(features.grid),
            budget=budget_of(given),
            feedback=feedback,
        )
    files = {name: given[name] for name in ("OUTPUT", "CONFIDENCE", "PROBABILITIES", "VECTOR")}
    values = {
        **files,
        "AREAS": _write_areas(given["AREAS"], result.areas),
        "AREA": sum(row.square_metres for row in result.areas),
        "DEVICE_USED": result.device,
    }
    looks = {name: LayerLook() for name, path in files.items() if path}
    return Results(values, {**looks, "OUTPUT": LayerLook("Classes")})


def _write_areas(sink: Sink | None, areas: list[ClassArea]) -> str:
    if sink is None:
        return ""
    total = sum(row.square_metres for row in areas) or 1.0
    rows = [
        (
            row.item.code,
            row.item.name,
            row.item.color,
            row.pixels,
            row.square_metres,
            row.square_metres / 1e4,
            row.square_metres / total,
        )
        for row in areas
    ]
    return sink.write(_AREA_COLUMNS, rows)


OPERATION = Operation(
    name="segment",
    title="Segment (class map)",
    group=MAP,
    tags=("classification", "crop map", "land cover", "smoothing", "sieve", "area"),
    summary="Maps the classes of a head, from the image series to the legend in one pass.",
    help="Maps the classes that Train classifier or Find classes has learned. The input is an "
    "image series, or an embedding raster that was made with the same model as the head.\n\n"
    "The map depends neither on tile size nor on memory.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
    needs_runtime=True,
)
