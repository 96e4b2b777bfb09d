"""A class map is compared with reference points or polygons."""

from __future__ import annotations

import json

import numpy as np

from ..errors import AliseError, LabelsError
from ..feedback import Feedback, Part
from ..mapping.accuracy.assess import (
    AccuracyResult,
    SampleStrata,
    assess_accuracy,
    class_rows,
)
from ..mapping.accuracy.class_map import ClassMap
from ..mapping.accuracy.sample_design import STRATUM_FIELDS
from ..mapping.labels.layers import VectorLabels, VectorValues
from .draw_sample import CLASS_MAP
from .figures import ACCURACY_FIGURES, figure_values
from .operation import ACCURACY, Operation
from .parameters import FeatureOutput, Field, Output, Vector, figure_outputs
from .shared import REPORT, SEED
from .values import Column, Given, Layer, Results, Sink

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
    assert isinstance(reference, VectorLabels)  # nosec B101  # narrows a type
    raster = given["INPUT"]
    result = assess_accuracy(
        ClassMap(raster.path, raster.legend, Part(feedback, 0.0, 0.5)),
        reference,
        strata=_strata(given["REFERENCE"], reference, feedback),
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


def _strata(layer: Layer, reference: VectorLabels, feedback: Feedback) -> SampleStrata | None:
    """Return the strata that points bring, as Draw accuracy sample writes them; None if none."""
    found: list[dict[bytes, float]] = []
    for name in STRATUM_FIELDS:
        try:
            values = layer.measurements(name, ())
        except AliseError:
            return None
        assert isinstance(values, VectorValues)  # nosec B101  # narrows a type
        shapes = (bytes(geometry.ExportToWkb()) for geometry in values.geometries)
        found.append(dict(zip(shapes, values.values)))
    keys = [bytes(geometry.ExportToWkb()) for geometry in reference.geometries]
    missing = sum(not all(key in one for one in found) for key in keys)
    if missing:
        feedback.warning(
            f"{missing} labels of {reference.name} have no {' or '.join(STRATUM_FIELDS)}: the "
            "sample is taken as drawn from the classes of this map."
        )
        return None
    codes, areas = ([one[key] for key in keys] for one in found)
    return SampleStrata(np.array(codes, np.int64), np.array(areas, np.float64))


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
    "Areas and intervals are right if the reference is a stratified random sample of points, as "
    "Draw accuracy sample makes one. Its fields stratum and stratum_m2 say what it was drawn from, "
    "so a sample that was drawn from one map judges any other map of the place too (Stehman 2014). "
    "Points without these fields are taken as drawn from the classes of this map. With polygons, "
    "intervals come from resampling the polygons.",
    parameters=PARAMETERS,
    outputs=OUTPUTS,
    run=run,
)
