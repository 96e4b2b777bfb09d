import importlib.util
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr

from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.labels.read import read_vector_labels
from alise_plugin.mapping.learning.train_classifier import train_classifier
from alise_plugin.mapping.samples.samples import LabelledSource
from alise_plugin.model.encoder import load_encoder
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from, labelled_with
from tests.helpers.labelled_region import (
    CLASSES,
    CODES,
    COLORS,
    features_of,
    map_codes,
    region,
    square,
    write_layer,
)

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A region with an embedding raster of six features and a head on them."""
    folder = tmp_path_factory.mktemp("mapped")
    found = region(folder / "data", rows=6, columns=6, dates=3)
    found.embedding = str(folder / "embedding.tif")
    encoder = FakeEncoder()
    embed(features_from(found.series, encoder), found.embedding)
    found.head = str(folder / "head.onnx")
    labels = read_vector_labels(found.labels, "code", "crop", "color")
    train_classifier(labelled_with(encoder, [LabelledSource(found.series, labels)]), found.head)
    return found


@pytest.fixture
def parameters(place, tmp_path):
    return {
        "INPUT": [place.embedding],
        "HEAD": place.head,
        "OUTPUT": str(tmp_path / "map.tif"),
    }


def test_a_map_with_everything(run, parameters, place, tmp_path):
    paths = {
        "CONFIDENCE": str(tmp_path / "confidence.tif"),
        "PROBABILITIES": str(tmp_path / "probabilities.tif"),
        "VECTOR": str(tmp_path / "map.gpkg"),
        "AREAS": str(tmp_path / "areas.gpkg"),
    }
    mask = write_layer(tmp_path / "mask.gpkg", [square(0, 0, 50, 50)])
    results = run(
        "alise:segment",
        {
            **parameters,
            **paths,
            "SMOOTHING": "bayes",
            "WINDOW": 5,
            "MINIMUM_AREA": 500,
            "UNKNOWN": 0.5,
            "MASK": mask,
            "TILE_SIZE": 16,
        },
    )
    codes = map_codes(results["OUTPUT"])
    inside = np.zeros(codes.shape, bool)
    inside[:50, :50] = True
    np.testing.assert_array_equal(codes > 0, inside)
    right = codes[inside] == np.array(CODES)[place.truth][inside]
    assert right.mean() > 0.85
    rows = features_of(results["AREAS"])
    assert [row["class"] for row in rows] == [*CLASSES, "unclassified"]
    assert sum(row["pixels"] for row in rows) == inside.sum()
    assert sum(row["area_m2"] for row in rows) == pytest.approx(results["AREA"])
    assert rows[0]["area_ha"] == pytest.approx(rows[0]["area_m2"] / 1e4)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    total = sum(feature["area_m2"] for feature in features_of(results["VECTOR"]))
    assert total == pytest.approx(results["AREA"])
    assert gdal.Open(results["PROBABILITIES"]).RasterCount == 3
    assert gdal.Open(results["CONFIDENCE"]).RasterCount == 2


def test_qgis_shows_it_with_its_legend(run, parameters, tmp_path):
    from qgis.core import QgsRasterLayer, QgsVectorLayer

    vector = str(tmp_path / "polygons.gpkg")
    run("alise:segment", {**parameters, "VECTOR": vector, "UNKNOWN": 0.4})
    raster = QgsRasterLayer(parameters["OUTPUT"], "map")
    assert raster.renderer().type() == "paletted"
    shown = [(int(c.value), c.label, c.color.name()) for c in raster.renderer().classes()]
    expected = list(zip(CODES, CLASSES, COLORS))
    assert shown == [*expected, (255, "unclassified", "#bdbdbd")]
    polygons = QgsVectorLayer(vector, "polygons")
    assert polygons.renderer().type() == "categorizedSymbol"
    shown = [
        (int(c.value()), c.label(), c.symbol().color().name())
        for c in polygons.renderer().categories()
    ]
    assert shown[:3] == expected


def test_the_toolbox_shows_them_with_their_styles(loaded, rendered, parameters, tmp_path):
    vector = str(tmp_path / "map.gpkg")  # its style has the name of the raster's
    more = {"CONFIDENCE": str(tmp_path / "c.tif"), "PROBABILITIES": str(tmp_path / "p.tif")}
    more["VECTOR"] = vector
    layers = loaded("alise:segment", {**parameters, **more}, "OUTPUT", *more)
    classes = layers["OUTPUT"].renderer().classes()
    assert [(int(c.value), c.label) for c in classes] == list(zip(CODES, CLASSES))
    categories = layers["VECTOR"].renderer().categories()
    assert [c.label() for c in categories] == list(CLASSES)
    picture = rendered(layers["OUTPUT"])
    for code, color in zip(CODES, COLORS):
        inside = picture[map_codes(parameters["OUTPUT"]) == code]
        assert (inside == list(bytes.fromhex(color[1:]))).all()
    for name in ("CONFIDENCE", "PROBABILITIES"):
        renderer = layers[name].renderer()
        assert (renderer.type(), renderer.usesBands()) == ("singlebandpseudocolor", [1])
        assert (renderer.classificationMin(), renderer.classificationMax()) == (0, 1)
    probability = gdal.Open(more["CONFIDENCE"]).ReadAsArray()[0]
    green = rendered(layers["CONFIDENCE"])[..., 1].astype(float)  # rises along the ramp
    sure, unsure = probability > 0.95, probability < 0.7
    assert green[sure].min() > 205
    assert green[unsure].max() < 195


def test_without_its_style_the_raster_still_has_names(run, parameters):
    from qgis.core import QgsRasterLayer

    run("alise:segment", parameters)
    Path(parameters["OUTPUT"]).with_suffix(".qml").unlink()
    raster = QgsRasterLayer(parameters["OUTPUT"], "map")
    assert raster.renderer().type() == "paletted"
    labels = {int(c.value): c.label for c in raster.renderer().classes()}
    assert labels[40] == CLASSES[2]


def test_optional_outputs_are_not_made(run, parameters, tmp_path):
    results = run("alise:segment", parameters)
    assert results["VECTOR"] == results["AREAS"] == results["CONFIDENCE"] == ""
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["map.qml", "map.tif", "map.tif.aux.xml"]


def test_inside_a_model_the_legend_comes_along(plugin, parameters, tmp_path):
    from qgis.core import (
        QgsProcessingContext,
        QgsProcessingFeedback,
        QgsProcessingModelAlgorithm,
        QgsProcessingModelChildAlgorithm,
        QgsProcessingModelChildParameterSource,
        QgsProcessingModelOutput,
        QgsRasterLayer,
    )

    static = QgsProcessingModelChildParameterSource.fromStaticValue
    model = QgsProcessingModelAlgorithm()
    child = QgsProcessingModelChildAlgorithm("alise:segment")
    child.setChildId("segment")
    child.addParameterSources("INPUT", [static(parameters["INPUT"])])
    child.addParameterSources("HEAD", [static(parameters["HEAD"])])
    output = QgsProcessingModelOutput("map")
    output.setChildOutputName("OUTPUT")
    output.setChildId("segment")
    child.setModelOutputs({"map": output})
    model.addChildAlgorithm(child)
    model.updateDestinationParameters()
    path = str(tmp_path / "from_model.tif")
    destination = model.destinationParameterDefinitions()[0].name()
    _, fine = model.run({destination: path}, QgsProcessingContext(), QgsProcessingFeedback())
    assert fine
    layer = QgsRasterLayer(path, "map")
    assert [c.label for c in layer.renderer().classes()] == list(CLASSES)


def refuse(run, refused, parameters, *says, feedback=None):
    folder = Path(parameters["OUTPUT"]).parent
    before = sorted(folder.iterdir())
    with pytest.raises(refused) as caught:
        run("alise:segment", parameters, feedback=feedback)
    message = str(caught.value).strip()
    for text in says:
        assert text in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert sorted(folder.iterdir()) == before


def test_heads_that_do_not_fit(run, refused, parameters, place, tiny_package, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("nothing")
    refuse(run, refused, {**parameters, "HEAD": str(text)}, "text.onnx", "not an ONNX file")
    refuse(run, refused, {**parameters, "HEAD": str(tmp_path / "no.onnx")}, "no.onnx")
    graph = str(Path(tiny_package) / "decoder.onnx")
    refuse(run, refused, {**parameters, "HEAD": graph}, "decoder.onnx", "no head of ALISE")
    other = {**parameters, "INPUT": [place.path], "MODEL": tiny_package}
    refuse(run, refused, other, "head.onnx", "fake 1.2", "tiny 0.0.1")


def test_masks_that_do_not_fit(run, refused, parameters, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    far = write_layer(folder / "far.gpkg", [square(9000, 0, 5, 5)])
    refuse(run, refused, {**parameters, "MASK": far}, "do not overlap")
    lines = write_layer(folder / "lines.gpkg", [ogr.CreateGeometryFromWkt("LINESTRING (0 0, 1 1)")])
    refuse(run, refused, {**parameters, "MASK": lines}, "polygon")


def test_outputs_that_cannot_be(run, refused, parameters, tmp_path):
    refuse(run, refused, {**parameters, "OUTPUT": str(tmp_path / "m.png")}, "end in .tif")
    refuse(run, refused, {**parameters, "VECTOR": str(tmp_path / "m.shp")}, "end in .gpkg")
    wrong = {**parameters, "SMOOTHING": "bayes", "WINDOW": 4}
    refuse(run, refused, wrong, "odd WINDOW")
    refuse(run, refused, {**parameters, "EXTENT": "0,100,0,100 [EPSG:32631]"}, "extent")


def test_outputs_that_would_overwrite_inputs(run, refused, parameters, place, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    mask = write_layer(folder / "m.gpkg", [square(0, 0, 50, 50)])
    labels = write_layer(folder / "l.gpkg", [square(0, 0, 50, 50)])
    refuse(run, refused, {**parameters, "MASK": mask, "VECTOR": mask}, "m.gpkg is also an input")
    refuse(run, refused, {**parameters, "MASK": mask, "AREAS": mask}, "m.gpkg is also an input")
    refuse(run, refused, {**parameters, "VECTOR": labels}, "l.gpkg holds other layers")
    refuse(run, refused, {**parameters, "OUTPUT": place.embedding}, "is also an input")
    refuse(run, refused, {**parameters, "CONFIDENCE": parameters["OUTPUT"]}, "as two outputs")
    assert len(features_of(mask)) == len(features_of(labels)) == 1


def test_cancel(run, refused, parameters, feedback_that_cancels):
    slow = {**parameters, "TILE_SIZE": 16, "SMOOTHING": "majority"}
    refuse(run, refused, slow, "cancelled", feedback=feedback_that_cancels)


@pytest.fixture(scope="session")
def twelve_classes(tmp_path_factory):
    """A simulated region of twelve classes with twenty training polygons each."""
    pytest.importorskip("torch")
    from scripts.simulated_region import make_region

    folder = tmp_path_factory.mktemp("region")
    make_region(folder, size=112, fields=480, seed=5, sparse=3)
    return folder


def with_scikit_learn(qgis_process):
    """Make scikit-learn importable for the other process, beside its onnxruntime."""
    for name in ("sklearn", "joblib", "threadpoolctl", "narwhals", "cloudpickle"):
        spec = importlib.util.find_spec(name)
        if spec is None:  # some releases of scikit-learn do not need it
            continue
        origin = Path(spec.origin)
        place = origin.parent if origin.name == "__init__.py" else origin
        link = qgis_process.runtime / place.name
        if not link.exists():
            link.symlink_to(place)


def outputs(result):
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line.split(":", 1) for line in result.stdout.splitlines() if ":" in line]
    return {name.strip(): value.strip() for name, value in lines}


def test_the_command_line_is_as_good_as_scikit_learn_in_memory(
    qgis_process, twelve_classes, tmp_path
):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from alise_plugin.mapping.labels.on_grid import AreaRasterizer, on_grid
    from alise_plugin.model.heads.class_head import Head
    from alise_plugin.sits.series import ImageSeries

    with_scikit_learn(qgis_process)
    series_path = twelve_classes / "series_2019.vrt"
    head, map_path = tmp_path / "head.onnx", tmp_path / "map.tif"
    trained = outputs(
        qgis_process(
            "run",
            "alise:trainclassifier",
            "--",
            f"INPUT={series_path}",
            f"LABELS={twelve_classes / 'train.gpkg'}",
            "FIELD=code_2019",
            "NAME=crop_2019",
            "SAMPLES=1000",
            f"HEAD={head}",
        )
    )
    assert trained["CLASSES"] == "12"
    assert int(trained["GROUPS"]) >= 12 * 16  # the smallest fields have no inside
    outputs(
        qgis_process(
            "run",
            "alise:segment",
            "--",
            f"INPUT={series_path}",
            f"HEAD={head}",
            f"OUTPUT={map_path}",
            "TILE_SIZE=64",
        )
    )
    series = ImageSeries.open(series_path)
    grid = series.grid
    bundled = Path(__file__).resolve().parents[2] / "models" / "alise-s2"
    features = load_encoder(bundled, "cpu").encode(series.read_all(grid.window), series.days)
    features = features.reshape(-1, grid.height, grid.width)

    def pixels(name):
        labels = read_vector_labels(str(twelve_classes / name), "code_2019")
        area, _ = AreaRasterizer(on_grid(labels, grid), grid).burn(grid.window)
        inside = (area >= 0) & np.isfinite(features[0])
        return inside, np.array(labels.values)[area[inside]]

    inside, codes = pixels("train.gpkg")
    strength = Head(head).description.provenance["strength"]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
    classifier.fit(features[:, inside].T, codes)
    tested, truth = pixels("test.gpkg")
    in_memory = f1_score(truth, classifier.predict(features[:, tested].T), average="macro")
    mapped = f1_score(truth, map_codes(map_path)[tested], average="macro")
    assert mapped == pytest.approx(in_memory, abs=0.005)
    assert mapped > 0.3  # chance is 0.08
