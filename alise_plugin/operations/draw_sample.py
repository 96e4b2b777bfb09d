"""Stratified random points by which a class map is judged."""

from __future__ import annotations

from ..feedback import Feedback, Part
from ..mapping.accuracy.class_map import ClassMap
from ..mapping.accuracy.sample_design import REFERENCE, draw_sample, require_no_references
from .operation import ACCURACY, Operation
from .parameters import ClassRaster, FeatureOutput, Number, Output
from .shared import SEED
from .values import Column, Given, Results

CLASS_MAP = ClassRaster(
    "INPUT",
    "Class map",
    "Raster of class codes, such as Segment writes it, or any other.",
    required=True,
)
PARAMETERS = (
    CLASS_MAP,
    Number(
        "SIZE",
        "Points (0: as the standard error asks)",
        "Number of points of the sample. 0 takes as many as the standard error asks for.",
        default=500,
        minimum=0,
        maximum=1_000_000,
        integer=True,
    ),
    Number(
        "MINIMUM",
        "Points of each class at least",
        "Least number of points of each class, also of rare ones.",
        default=50,
        minimum=0,
        maximum=100_000,
        integer=True,
    ),
    Number(
        "EXPECTED",
        "Expected user's accuracy",
        "User's accuracy that every class is expected to have, for a sample whose size the "
        "standard error decides.",
        default=0.85,
        minimum=0.01,
        maximum=0.99,
    ),
    Number(
        "STANDARD_ERROR",
        "Standard error of overall accuracy",
        "Standard error of the overall accuracy that the sample shall reach, if the number of "
        "points is 0.",
        default=0.01,
        minimum=0.001,
        maximum=0.2,
    ),
    SEED,
    FeatureOutput(
        "OUTPUT",
        "Sample points",
        "Points with the fields id, stratum (code on the map), stratum_name, stratum_m2 and "
        "stratum_n (area and points of the stratum) and reference, which you fill in.",
        required=True,
        contents="sample points are a GeoPackage",
        geometry="point",
    ),
)
OUTPUTS = (Output("COUNT", "Number of points"),)
_COLUMNS = (
    Column("id", "integer"),
    Column("stratum", "integer"),
    Column("stratum_name", "text"),
    Column("stratum_m2", "real"),
    Column("stratum_n", "integer"),
    Column(REFERENCE, "text"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Write the sample."""
    sink = given["OUTPUT"]
    require_no_references(sink.path)
    raster = given["INPUT"]
    class_map = ClassMap(raster.path, raster.legend, Part(feedback, 0.0, 0.5))
    points = draw_sample(
        class_map,
        size=given["SIZE"],
        minimum=given["MINIMUM"],
        expected=given["EXPECTED"],
        standard_error=given["STANDARD_ERROR"],
        seed=given["SEED"],
        feedback=Part(feedback, 0.5, 1.0),
    )
    rows = [
        (
            number,
            point.item.code,
            point.item.name,
            point.stratum_square_metres,
            point.stratum_points,
            None,
        )
        for number, point in enumerate(points, start=1)
    ]
    points_xy = [(point.x, point.y) for point in points]
    written = sink.write(_COLUMNS, rows, points_xy, class_map.grid.crs_wkt)
    return Results({"OUTPUT": written, "COUNT": len(points)})


OPERATION = Operation(
    name="drawsample",
    title="Draw accuracy sample",
    group=ACCURACY,
    tags=("stratified", "random points", "validation", "olofsson", "sample design"),
    summary="Draws the stratified random points that a class map is judged by.",
    help="Draws random pixels of a class map, its classes being the strata: in proportion to "
    "their area, but with a least number of each (Olofsson et al. 2014). Fill in the field "
    "reference with the true class, a code or a name, then run Assess accuracy.\n\n"
    "The points come in random order: whoever stops early has a smaller sample.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
)
