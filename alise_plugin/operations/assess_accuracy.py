"""A class map is compared with reference points or polygons."""

from __future__ import annotations

import json

from ..errors import LabelsError
from ..feedback import Feedback, Part
from ..mapping.accuracy.assess import AccuracyResult, assess_accuracy, class_rows
from ..mapping.accuracy.class_map import ClassMap
from ..mapping.labels.layers import VectorLabels
from .draw_sample import CLASS_MAP
from .figures import ACCURACY_FIGURES, figure_values
from .operation import ACCURACY, Operation
from .parameters import FeatureOutput, Field, Output, Vector, figure_outputs
from .shared import REPORT, SEED
from .values import Column, Given, Results, Sink

PARAMETERS = (
    CLASS_MAP,
    Vector(
        "REFERENCE",
        "Reference points or polygons",
        "Points or polygons whose true class is known, in any coordinate reference system. A "
        "stratified random sample of points gives true areas (see Draw accuracy sample).",
        required=True,
        geometries=("polygon", "point"),
    ),
    Field(
        "FIELD",
        "Field of the true class",
        "Field that holds the true class: codes of the map, or names of its classes. Features "
        "where it is empty are left out.",
        required=True,
        layer="REFERENCE",
    ),
    SEED,
    REPORT,
    FeatureOutput(
        "AREAS",
        "Areas and accuracy of the classes",
        "Table with the accuracy and the estimated true area of each class.",
        contents="the table of areas is a CSV",
    ),
)
OUTPUTS = (
    *figure_outputs(ACCURACY_FIGURES),
    Output("LABELS_USED", "Labels compared"),
    Output("CLASS_FIGURES", "Figures of the classes, JSON", "text"),
)


def run(given: Given, feedback: Feedback) -> Results:
    """Compare, and write what was asked for."""
    if not given["FIELD"]:
        raise LabelsError("FIELD is empty: choose the field that holds the true class.")
    reference, _ = given["REFERENCE"].labels(given["FIELD"], "", "", ())
    assert isinstance(reference, VectorLabels)
    raster = given["INPUT"]
    result = assess_accuracy(
        ClassMap(raster.path, raster.legend, Part(feedback, 0.0, 0.5)),
        reference,
        report=given["REPORT"] or None,
        seed=given["SEED"],
        feedback=Part(feedback, 0.5, 1.0),
    )
    return Results(
        {
            "REPORT": given["REPORT"],
            "AREAS": _write_areas(given["AREAS"], result),
            **figure_values(ACCURACY_FIGURES, result.overall),
            "LABELS_USED": result.labels,
            "CLASS_FIGURES": json.dumps(class_rows(result), ensure_ascii=False),
        }
    )


def _write_areas(sink: Sink | None, result: AccuracyResult) -> str:
    if sink is None:
        return ""
    rows = class_rows(result)
    kinds = {"code": "integer", "labels": "integer"}
    columns = [
        Column(name, kinds.get(name, "text" if isinstance(value, str) else "real"))
        for name, value in rows[0].items()
    ]
    return sink.write(columns, [tuple(row.values()) for row in rows])


OPERATION = Operation(
    name="assessaccuracy",
    title="Assess accuracy",
    group=ACCURACY,
    tags=("confusion matrix", "area", "stratified", "olofsson", "validation", "kappa", "F1"),
    summary="Compares a class map with reference labels and estimates true areas.",
    help="Compares a class map with reference points or polygons: confusion matrix, user's and "
    "producer's accuracy, F1, IoU, kappa, and the area of each class adjusted for the map's "
    "errors, all with 95 % intervals (Olofsson et al. 2014).\n\n"
    "Areas and intervals are right if the reference is a stratified random sample of points with "
    "the map's classes as strata: Draw accuracy sample makes one. With polygons, intervals come "
    "from resampling the polygons.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
)
