"""`alise:extractcurves`: the table of the Toolbox and of the command line."""

import csv

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsPointXY, QgsVectorLayer

from alise_plugin.cli.main import DONE, main
from tests.helpers.labelled_region import point, square, write_layer

pytest.importorskip("onnxruntime")


@pytest.fixture
def parameters(series, tiny_package, tmp_path):
    layer = write_layer(tmp_path / "places.gpkg", [square(5, 5, 2, 2), point(10, 8)])
    return {
        "INPUT": [series],
        "PLACES": layer,
        "INDEX": "NDVI, B08",
        "DATES": "2019-04-01",
        "MODEL": tiny_package,
        "OUTPUT": str(tmp_path / "curves.csv"),
    }


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_toolbox_and_the_command_line_write_the_same(run, parameters, tmp_path):
    results = run("alise:extractcurves", parameters)
    rows = table(results["OUTPUT"])
    assert results["PIXELS"] == 5
    assert results["ROWS"] == len(rows)
    assert results["MODEL_ID"].startswith("tiny 0.0.1 ")
    assert {row["name"] for row in rows} == {"NDVI", "B08"}
    assert {row["feature"] for row in rows} == {"1", "2"}
    added = [row for row in rows if row["date"] == "2019-04-01"]
    assert len(added) == 10
    assert all(not row["observed"] and not row["state"] and row["reconstructed"] for row in added)
    line = ["extractcurves", "--input", *parameters["INPUT"], "--model", parameters["MODEL"]]
    line += ["--places", parameters["PLACES"], "--index", "NDVI, B08", "--dates", "2019-04-01"]
    assert main([*line, "--output", str(tmp_path / "line.csv"), "--quiet"]) == DONE
    written = table(tmp_path / "line.csv")
    assert len(written) == len(rows)
    for one, other in zip(rows, written):
        for key, value in one.items():
            if key in ("x", "y", "observed", "reconstructed") and value:
                assert float(other[key]) == pytest.approx(float(value), abs=1e-6)
            else:
                assert other[key] == value


def test_a_memory_layer_into_a_memory_table(run, parameters):
    layer = QgsVectorLayer("Point?crs=EPSG:32631", "clicks", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(600100, 4999900)))
    layer.dataProvider().addFeature(feature)
    results = run(
        "alise:extractcurves",
        {**parameters, "PLACES": layer, "INDEX": "", "EVERY": 30, "OUTPUT": "memory:"},
    )
    assert results["PIXELS"] == 1
    assert results["ROWS"] > 6


def test_mistakes_are_one_sentence(run, refused, parameters):
    for change, says in (
        ({"INDEX": "NDXI"}, "neither a band, an index"),
        ({"DATES": "soon"}, '"soon" is not a date'),
        ({"EVERY": -1}, "EVERY"),
    ):
        with pytest.raises(refused, match=says):
            run("alise:extractcurves", {**parameters, **change})
