import json
import math
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import QgsProcessingFeedback

from alise_plugin.mapping.embedding.embed import embed
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from
from tests.helpers.labelled_region import (
    CLASSES,
    CODES,
    COLORS,
    moved,
    point,
    region,
    square,
    write_layer,
)

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


def embedded(place):
    """The region with an embedding raster of six features beside it: quick to train on."""
    place.embedding = place.path.replace("series.vrt", "embedding.tif")
    embed(features_from(place.series, FakeEncoder()), place.embedding)
    return place


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place") / "data"
    return embedded(region(folder, rows=6, columns=6, dates=3))


@pytest.fixture
def parameters(place, tmp_path):
    return {
        "INPUT": [place.embedding],
        "LABELS": [place.labels],
        "FIELD": "code",
        "SAMPLES": 4,
        "HEAD": str(tmp_path / "head.onnx"),
        "REPORT": str(tmp_path / "report.html"),
    }


def head_of(results):
    from alise_plugin.model.heads.class_head import Head

    return Head(results["HEAD"])


def test_polygons_become_a_head_and_a_report(run, parameters):
    results = run("alise:trainclassifier", {**parameters, "NAME": "crop", "COLOR": "color"})
    head = head_of(results)
    assert [(c.code, c.name, c.color) for c in head.classes] == list(zip(CODES, CLASSES, COLORS))
    assert results["CLASSES"] == 3
    assert results["GROUPS"] == 36
    assert results["SAMPLES_USED"] == 4 * 36
    for name in ("OVERALL_ACCURACY", "KAPPA", "MACRO_F1", "MEAN_IOU"):
        assert results[name + "_LOW"] <= results[name] <= results[name + "_HIGH"]
    assert results["OVERALL_ACCURACY"] > 0.9
    figures = json.loads(results["CLASS_FIGURES"])
    assert [row["name"] for row in figures] == list(CLASSES)
    assert set(figures[0]) == {"code", "name", "precision", "recall", "F1", "IoU"}
    page = Path(results["REPORT"]).read_text(encoding="utf-8")
    assert "forêt &quot;noire&quot;" in page
    assert "<svg" in page
    assert "src=" not in page.replace('src="data:', "")
    assert head.description.encoder_sha256 in page
    assert "expected calibration error" in page
    temperature = head.description.provenance["temperature"]
    assert f"chosen on the polygons or blocks left out: {temperature:.2f}" in page


def test_an_image_series_is_encoded_on_the_way(run, parameters, place, tiny_package):
    results = run(
        "alise:trainclassifier",
        {**parameters, "INPUT": [place.path], "MODEL": tiny_package, "CLASSIFIER": "prototype"},
    )
    assert head_of(results).n_features == 640
    assert head_of(results).description.encoder.startswith("tiny 0.0.1")


def test_series_of_another_model_do_not_mix(run, refused, parameters, place, tiny_package):
    mixed = {**parameters, "INPUT": [place.path, place.embedding], "MODEL": tiny_package}
    refuse(run, refused, mixed, "embedding.tif", "fake 1.2", "tiny 0.0.1", "one model")


def test_text_classes_are_numbered_by_name(run, parameters):
    head = head_of(run("alise:trainclassifier", {**parameters, "FIELD": "crop"}))
    assert [(c.code, c.name) for c in head.classes] == list(enumerate(sorted(CLASSES), start=1))


def styled(place):
    from qgis.core import (
        QgsCategorizedSymbolRenderer,
        QgsFillSymbol,
        QgsRendererCategory,
        QgsVectorLayer,
    )

    layer = QgsVectorLayer(place.labels, "my fields")
    categories = [
        QgsRendererCategory(code, QgsFillSymbol.createSimple({"color": color}), f"class {code}")
        for code, color in zip(CODES, ("#102030", "#405060", "#708090"))
    ]
    layer.setRenderer(QgsCategorizedSymbolRenderer("code", categories))
    return layer


def test_a_categorised_style_says_it_all(run, parameters, place):
    results = run("alise:trainclassifier", {**parameters, "LABELS": [styled(place)], "FIELD": None})
    got = [(c.code, c.name, c.color) for c in head_of(results).classes]
    colors = ("#102030", "#405060", "#708090")
    assert got == [(code, f"class {code}", color) for code, color in zip(CODES, colors)]


def test_two_years_train_one_head(run, parameters, place, tmp_path):
    other = embedded(region(tmp_path / "other", seed=5, rows=4, columns=6, dates=3))
    results = run(
        "alise:trainclassifier",
        {
            **parameters,
            "INPUT": [place.embedding, other.embedding],
            "LABELS": [place.labels, other.labels],
        },
    )
    assert results["GROUPS"] == 36  # the same places in both: never one year to train, one to test
    assert results["SAMPLES_USED"] == 4 * 60
    one = run("alise:trainclassifier", {**parameters, "INPUT": [place.embedding] * 2})
    assert one["SAMPLES_USED"] == 2 * 4 * 36  # one layer of labels serves all inputs
    assert len(head_of(one).description.provenance["inputs"]) == 2


@pytest.mark.parametrize("classifier", ["prototype", "mlp"])
def test_other_classifiers(run, parameters, classifier):
    results = run("alise:trainclassifier", {**parameters, "CLASSIFIER": classifier})
    assert head_of(results).description.classifier == classifier
    assert results["OVERALL_ACCURACY"] > 0.8


def test_labels_in_any_crs_and_as_points_and_raster(run, parameters, place, tmp_path):
    exact = run("alise:trainclassifier", parameters)["OVERALL_ACCURACY"]
    pairs = [moved(polygon, 3035) for polygon in place.polygons]
    path = write_layer(
        tmp_path / "laea.gpkg",
        [polygon for polygon, _ in pairs],
        pairs[0][1],
        code=[CODES[kind] for kind in place.kinds],
    )
    warped = run("alise:trainclassifier", {**parameters, "LABELS": [path]})
    assert warped["OVERALL_ACCURACY"] == pytest.approx(exact, abs=0.08)
    assert warped["SAMPLES_USED"] == 4 * 36

    places = [point(col * 10 + 5, row * 10 + 5) for row, col in place.cells]
    path = write_layer(tmp_path / "points.gpkg", places, code=[CODES[kind] for kind in place.kinds])
    points = run("alise:trainclassifier", {**parameters, "LABELS": [path]})
    assert points["SAMPLES_USED"] == 36

    path = str(tmp_path / "classes.tif")
    source = gdal.Open(place.path)
    raster = gdal.GetDriverByName("GTiff").Create(path, 60, 60, 1, gdal.GDT_Byte)
    raster.SetProjection(source.GetProjection())
    raster.SetGeoTransform(source.GetGeoTransform())
    raster.WriteArray(np.array(CODES, np.uint8)[place.truth])
    raster = None
    grid = run(
        "alise:trainclassifier", {**parameters, "LABELS": [path], "FIELD": None, "BLOCK_SIZE": 100}
    )
    assert grid["GROUPS"] == 36
    # A raster has no polygons to leave out.
    assert head_of(grid).description.provenance["validation"] == "blocks of 100 m"
    assert [c.code for c in head_of(grid).classes] == list(CODES)


def test_blocks_are_left_out_whole(run, parameters):
    results = run(
        "alise:trainclassifier", {**parameters, "VALIDATION": "blocks", "BLOCK_SIZE": 200}
    )
    assert results["GROUPS"] == 9


class Log(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.errors, self.lines = [], []

    def reportError(self, error, fatalError=False):
        self.errors.append(error)

    def pushInfo(self, info):
        self.lines.append(info)

    def pushWarning(self, warning):
        self.pushInfo(warning)


def refuse(run, refused, parameters, *says, feedback=None):
    folder = Path(parameters["HEAD"]).parent
    before = sorted(folder.iterdir())
    with pytest.raises(refused) as caught:
        run("alise:trainclassifier", parameters, feedback=feedback)
    message = str(caught.value).strip()
    for text in says:
        assert text in message
    assert "\n" not in message
    assert message.endswith(".")
    assert "Traceback" not in message
    assert sorted(folder.iterdir()) == before


def labels(tmp_path, place, name="labels.gpkg", geometries=None, **columns):
    columns = columns or {"code": [CODES[kind] for kind in place.kinds]}
    path = tmp_path / "labels"
    path.mkdir(exist_ok=True)
    return write_layer(path / name, geometries or place.polygons, **columns)


def test_a_head_does_not_take_the_place_of_a_model(run, refused, parameters, place, tiny_package):
    graph = Path(tiny_package) / "decoder.onnx"
    before = graph.read_bytes()
    wrong = {**parameters, "INPUT": [place.path], "MODEL": tiny_package, "HEAD": str(graph)}
    refuse(run, refused, wrong, "decoder.onnx is also an input")
    assert graph.read_bytes() == before


def test_labels_elsewhere(run, refused, parameters, place, tmp_path):
    far = [square(10_000 + 10 * n, 0, 8, 8) for n in range(36)]
    path = labels(tmp_path, place, geometries=far)
    refuse(
        run, refused, {**parameters, "LABELS": [path]}, "labels", "do not overlap", "embedding.tif"
    )


def test_one_class_only(run, refused, parameters, place, tmp_path):
    path = labels(tmp_path, place, code=[4] * 36)
    refuse(run, refused, {**parameters, "LABELS": [path]}, "one class only", '"4"')


def test_null_labels(run, refused, parameters, place, tmp_path):
    path = labels(tmp_path, place, "null.gpkg", code=[None] * 36)
    refuse(run, refused, {**parameters, "LABELS": [path]}, 'only NULL in the field "code"')
    some = [None if n % 4 == 0 else CODES[kind] for n, kind in enumerate(place.kinds)]
    path = labels(tmp_path, place, "some.gpkg", code=some)
    log = Log()
    results = run("alise:trainclassifier", {**parameters, "LABELS": [path]}, feedback=log)
    assert results["GROUPS"] == 27
    assert any("9 features of" in line and "NULL" in line for line in log.lines)


def test_a_class_with_one_polygon_is_trained_and_named(run, parameters, place, tmp_path):
    codes = [77 if n == 0 else CODES[kind] for n, kind in enumerate(place.kinds)]
    path = labels(tmp_path, place, "one.gpkg", code=codes)
    log = Log()
    results = run("alise:trainclassifier", {**parameters, "LABELS": [path]}, feedback=log)
    assert 77 in [c.code for c in head_of(results).classes]
    assert any('not tested: "77"' in line for line in log.lines)
    assert "not tested" in Path(results["REPORT"]).read_text()
    figures = {row["code"]: row for row in json.loads(results["CLASS_FIGURES"])}
    assert figures[77]["recall"] is None
    assert figures[77]["F1"] is None


def test_one_polygon_of_every_class(run, parameters, place, tmp_path):
    first = [place.kinds.index(kind) for kind in range(3)]
    path = labels(
        tmp_path,
        place,
        "three.gpkg",
        geometries=[place.polygons[n] for n in first],
        code=list(CODES),
    )
    results = run(
        "alise:trainclassifier", {**parameters, "LABELS": [path], "CLASSIFIER": "prototype"}
    )
    assert math.isnan(results["OVERALL_ACCURACY"])
    assert "accuracy is not known" in Path(results["REPORT"]).read_text()


def test_a_wrong_field(run, refused, parameters, place, tmp_path):
    many = [square(n % 60, n // 60 % 60, 1, 1) for n in range(100_000)]
    path = labels(tmp_path, place, "many.gpkg", geometries=many, parcel=list(range(100_000)))
    wrong = {**parameters, "LABELS": [path], "FIELD": "parcel"}
    refuse(run, refused, wrong, '"parcel"', "100000 different values", "250")
    refuse(run, refused, {**parameters, "FIELD": "area"}, '"area"', "1.5", "whole numbers")
    refuse(run, refused, {**parameters, "FIELD": "kind"}, 'no field "kind"', "code")
    refuse(run, refused, {**parameters, "FIELD": "fid"}, '"fid"', "numbers its features")
    refuse(run, refused, {**parameters, "FIELD": None}, "FIELD", "categorised")
    refuse(run, refused, {**parameters, "COLOR": "crop"}, "is not a colour")


def test_lines_are_no_labels(run, refused, parameters, place, tmp_path):
    lines = [polygon.GetBoundary() for polygon in place.polygons]
    path = labels(tmp_path, place, geometries=lines)
    refuse(run, refused, {**parameters, "LABELS": [path]}, "linestring", "polygons or points")


def test_no_crs_and_no_file(run, refused, parameters, place, tmp_path):
    path = tmp_path / "labels" / "bare.shp"
    gdal.VectorTranslate(str(path), labels(tmp_path, place), format="ESRI Shapefile")
    path.with_suffix(".prj").unlink()
    refuse(run, refused, {**parameters, "LABELS": [str(path)]}, "bare has no CRS")
    refuse(run, refused, {**parameters, "LABELS": ["/nowhere/x.gpkg"]}, "/nowhere/x.gpkg")


def test_the_parcels_of_a_country_serve_a_small_series(run, parameters, place, tmp_path):
    far = [square(5_000 + 30 * n, 4_000, 20, 20) for n in range(300)]
    codes = [CODES[kind] for kind in place.kinds]
    country = labels(
        tmp_path,
        place,
        geometries=[*place.polygons, *far],
        code=codes + [1000 + n for n in range(300)],
    )
    of_country = run("alise:trainclassifier", {**parameters, "LABELS": [country]})
    of_place = run("alise:trainclassifier", parameters)
    assert of_country["CLASSES"] == 3
    for name in ("SAMPLES_USED", "GROUPS", "OVERALL_ACCURACY", "CLASS_FIGURES"):
        assert of_country[name] == of_place[name]


def test_polygons_and_points_of_one_file(run, parameters, place, tmp_path):
    shapes = [
        polygon.Centroid() if number % 2 else polygon
        for number, polygon in enumerate(place.polygons)
    ]
    mixed = labels(tmp_path, place, geometries=shapes)
    results = run("alise:trainclassifier", {**parameters, "LABELS": [mixed]})
    assert results["GROUPS"] == len(shapes)


def test_as_many_labels_as_inputs(run, refused, parameters, place):
    wrong = {**parameters, "INPUT": [place.embedding] * 3, "LABELS": [place.labels] * 2}
    refuse(run, refused, wrong, "3 layers in INPUT", "2 in LABELS")


def test_names_of_outputs(run, refused, parameters, tmp_path):
    refuse(run, refused, {**parameters, "HEAD": str(tmp_path / "h.pkl")}, "end in .onnx")
    refuse(run, refused, {**parameters, "REPORT": str(tmp_path / "r.txt")}, "end in .html")
    with pytest.raises(refused, match="not a folder"):
        run("alise:trainclassifier", {**parameters, "REPORT": str(tmp_path / "no" / "r.html")})


def test_without_scikit_learn_it_says_how_to_get_it(plugin, monkeypatch):
    from alise_plugin.runtime import location

    there = location.is_installed
    monkeypatch.setattr(location, "is_installed", lambda name: name != "sklearn" and there(name))
    algorithm = next(a for a in plugin.provider.algorithms() if a.name() == "trainclassifier")
    can, sentence = algorithm.canExecute()
    assert not can
    assert "scikit-learn" in sentence
    assert "alise:installruntime" in sentence


def test_cancel(run, refused, parameters, feedback_that_cancels):
    refuse(run, refused, parameters, "cancelled", feedback=feedback_that_cancels)
