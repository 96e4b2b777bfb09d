import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.labelled_region import (
    CLASSES,
    CODES,
    features_of,
    point,
    region,
    square,
    write_class_raster,
    write_layer,
)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A map that calls every fifth pixel of the second class the first."""
    folder = tmp_path_factory.mktemp("judged")
    found = region(folder / "data", rows=6, columns=6, dates=1)
    codes = np.array(CODES)[found.truth]
    wrong = (codes == CODES[1]) & (np.arange(codes.size).reshape(codes.shape) % 5 == 0)
    codes[wrong] = CODES[0]
    found.codes = codes
    found.map_path = write_class_raster(folder / "map.tif", codes, found.path)
    return found


def interpreted(place, sample, path):
    """The drawn points with the truth filled in, as an interpreter would."""
    left, _, _, top, _, _ = place.series.grid.geotransform
    from osgeo import ogr

    source = ogr.Open(sample)
    geometries, strata, truth = [], [], []
    for feature in source.GetLayer(0):
        geometry = feature.GetGeometryRef()
        col, row = int((geometry.GetX() - left) // 10), int((top - geometry.GetY()) // 10)
        geometries.append(geometry.Clone())
        strata.append(feature.GetField("stratum"))
        truth.append(str(CODES[place.truth[row, col]]))
    return write_layer(path, geometries, stratum=strata, reference=truth)


def test_draw_interpret_assess(run, refused, place, tmp_path):
    sample = run(
        "alise:drawsample",
        {
            "INPUT": place.map_path,
            "SIZE": 240,
            "MINIMUM": 50,
            "OUTPUT": str(tmp_path / "sample.gpkg"),
        },
    )
    rows = features_of(sample["OUTPUT"])
    assert sample["COUNT"] == len(rows)
    assert {row["reference"] for row in rows} == {None}
    for code in CODES:
        mine = [row for row in rows if row["stratum"] == code]
        assert len(mine) == mine[0]["stratum_n"] >= 50
        assert mine[0]["stratum_m2"] == pytest.approx(100 * (place.codes == code).sum(), rel=2e-3)
    report = str(tmp_path / "report.html")
    results = run(
        "alise:assessaccuracy",
        {
            "INPUT": place.map_path,
            "REFERENCE": interpreted(place, sample["OUTPUT"], tmp_path / "filled.gpkg"),
            "FIELD": "reference",
            "REPORT": report,
            "AREAS": str(tmp_path / "areas.gpkg"),
        },
    )
    again = {"INPUT": place.map_path, "OUTPUT": sample["OUTPUT"]}
    assert run("alise:drawsample", again)["COUNT"] == 500  # nobody has filled this one in
    again["OUTPUT"] = str(tmp_path / "filled.gpkg")
    refuse(run, refused, "alise:drawsample", again, f"with {len(rows)} references filled in")
    exact = (place.codes == np.array(CODES)[place.truth]).mean()
    assert results["OVERALL_ACCURACY_LOW"] < exact < results["OVERALL_ACCURACY_HIGH"]
    assert results["LABELS_USED"] == len(rows)
    figures = {row["code"]: row for row in json.loads(results["CLASS_FIGURES"])}
    assert figures[CODES[0]]["mapped_m2"] > figures[CODES[0]]["adjusted_m2"]
    table = {row["code"]: row for row in features_of(results["AREAS"])}
    assert table[CODES[1]]["adjusted_m2"] == pytest.approx(figures[CODES[1]]["adjusted_m2"])
    page = Path(report).read_text(encoding="utf-8")
    assert "adjusted ha" in page
    assert "<svg" in page


def test_a_layer_that_qgis_has_styled_gives_the_names(run, place, tmp_path):
    from qgis.core import QgsPalettedRasterRenderer, QgsRasterLayer
    from qgis.PyQt.QtGui import QColor

    layer = QgsRasterLayer(place.map_path, "styled")
    classes = [
        QgsPalettedRasterRenderer.Class(code, QColor("#123456"), name)
        for code, name in zip(CODES, CLASSES)
    ]
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, classes))
    truth = [CLASSES[kind] for kind in place.kinds]
    path = write_layer(tmp_path / "polygons.gpkg", place.polygons, truth=truth)
    results = run("alise:assessaccuracy", {"INPUT": layer, "REFERENCE": path, "FIELD": "truth"})
    figures = json.loads(results["CLASS_FIGURES"])
    assert [row["name"] for row in figures] == list(CLASSES)
    # Of the eight columns inside a polygon, one is wrong.
    assert figures[1]["producers"] == pytest.approx(6 / 7, abs=0.03)


def test_as_many_points_as_the_error_asks_for(run, place, tmp_path):
    parameters = {"INPUT": place.map_path, "SIZE": 0, "EXPECTED": 0.9, "STANDARD_ERROR": 0.03}
    drawn = run("alise:drawsample", {**parameters, "OUTPUT": str(tmp_path / "sample.gpkg")})
    assert drawn["COUNT"] == pytest.approx(150, abs=2)  # three times the least of 50


def refuse(run, refused, algorithm, parameters, *says):
    with pytest.raises(refused) as caught:
        run(algorithm, parameters)
    message = str(caught.value).strip()
    for text in says:
        assert text in message
    assert "\n" not in message
    assert "Traceback" not in message


def test_mistakes_are_said(run, refused, place, tmp_path):
    truth = [CODES[kind] for kind in place.kinds]
    good = write_layer(tmp_path / "good.gpkg", place.polygons, truth=truth)
    base = {"INPUT": place.map_path, "REFERENCE": good, "FIELD": "truth"}
    name = "alise:assessaccuracy"
    far = write_layer(tmp_path / "far.gpkg", [square(9000, 0, 4, 4)], truth=[11])
    refuse(run, refused, name, {**base, "REFERENCE": far}, "far", "do not overlap")
    other = write_layer(tmp_path / "other.gpkg", [point(4, 4)], truth=["lake"])
    refuse(run, refused, name, {**base, "REFERENCE": other}, "no class in common", "lake")
    empty = write_layer(tmp_path / "empty.gpkg", [point(4, 4)], truth=[None])
    refuse(run, refused, name, {**base, "REFERENCE": empty}, "NULL")
    refuse(run, refused, name, {**base, "FIELD": "klass"}, "klass")
    series = {**base, "INPUT": place.path}
    refuse(run, refused, name, series, "no class map")
    refuse(run, refused, name, {**base, "REPORT": str(tmp_path / "r.pdf")}, "end in .html")
    sample = {"INPUT": place.path, "OUTPUT": str(tmp_path / "s.gpkg")}
    refuse(run, refused, "alise:drawsample", sample, "no class map")
