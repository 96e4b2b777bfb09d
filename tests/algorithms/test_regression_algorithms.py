"""`alise:trainregression` and `alise:estimatevalues`: from measurements to a map, in QGIS."""

import math
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.cli.main import DONE, MISTAKE, main
from alise_plugin.mapping.embedding.embed import embed
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from
from tests.helpers.labelled_region import point, square, write_layer
from tests.helpers.measured_region import HEIGHT, WIDTH, measured_region

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")
FIGURES = ("RMSE", "MEAN_ABSOLUTE_ERROR", "BIAS", "R2")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    found = measured_region(folder / "data")
    found.embedding = str(folder / "embedding.tif")
    embed(features_from(found.series, FakeEncoder()), found.embedding)
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(0, HEIGHT, 60), rng.integers(0, WIDTH, 60)
    found.places = sorted(set(zip(rows.tolist(), cols.tolist())))
    found.points = write_layer(
        folder / "points.gpkg",
        [point(col, row) for row, col in found.places],
        biomass=[float(found.truth[place]) for place in found.places],
        kind=["forest" for _ in found.places],
    )
    return found


@pytest.fixture
def training(place, tmp_path):
    return {
        "INPUT": [place.embedding],
        "LABELS": [place.points],
        "FIELD": "biomass",
        "HEAD": str(tmp_path / "biomass.onnx"),
        "REPORT": str(tmp_path / "biomass.html"),
    }


@pytest.fixture
def mapping(place, tmp_path):
    return {
        "INPUT": [place.embedding],
        "HEAD": str(tmp_path / "biomass.onnx"),
        "OUTPUT": str(tmp_path / "biomass.tif"),
    }


def values_of(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_from_points_to_a_map(run, place, training, mapping):
    results = run("alise:trainregression", training)
    assert results["SAMPLES_USED"] == results["AREAS"] == results["GROUPS"] == len(place.places)
    for name in FIGURES:
        assert results[f"{name}_LOW"] <= results[name] <= results[f"{name}_HIGH"]
    assert results["R2"] > 0.98
    assert results["LEAST"] == pytest.approx(min(place.truth[p] for p in place.places))
    assert "biomass, measured" in Path(training["REPORT"]).read_text(encoding="utf-8")
    found = run("alise:estimatevalues", mapping)
    values = values_of(mapping["OUTPUT"])
    assert np.corrcoef(values.ravel(), place.truth.ravel())[0, 1] > 0.99
    assert found["MEAN"] == pytest.approx(values.mean(dtype=np.float64), rel=1e-5)
    assert values.min() >= np.float32(results["LEAST"])
    assert values.max() <= np.float32(results["LARGEST"])
    assert 0 < found["BEYOND"] < 0.2
    free = {**mapping, "EXTRAPOLATE": True, "OUTPUT": mapping["OUTPUT"].replace(".tif", "_x.tif")}
    run("alise:estimatevalues", free)
    assert values_of(free["OUTPUT"]).max() > results["LARGEST"]


def test_the_map_has_a_name_and_colours(run, loaded, rendered, training, mapping):
    run("alise:trainregression", training)
    layers = loaded("alise:estimatevalues", mapping, "OUTPUT")
    layer = layers["OUTPUT"]
    assert layer.name() == "biomass"
    assert layer.bandName(1).endswith("biomass")
    picture = rendered(layer)
    values = values_of(mapping["OUTPUT"])
    low, high = (picture[values == end][0].astype(int) for end in (values.min(), values.max()))
    assert np.abs(low - (0x44, 0x01, 0x54)).max() <= 3
    assert np.abs(high - (0xFD, 0xE7, 0x25)).max() <= 3


def test_only_what_a_layer_shows_is_learned_from(run, place, training):
    layer = qgis_core.QgsVectorLayer(place.points, "plots", "ogr")
    layer.setSubsetString("biomass > 10")
    results = run("alise:trainregression", {**training, "LABELS": [layer]})
    some = [place.truth[p] for p in place.places if place.truth[p] > 10]
    assert results["AREAS"] == len(some)
    assert results["LEAST"] == pytest.approx(min(some))


@pytest.mark.parametrize("name", ["fid", "geom", "yield (t/ha)"])
def test_a_field_may_have_any_name(run, place, training, name):
    layer = qgis_core.QgsVectorLayer(f"Point?crs=EPSG:32631&field={name}:double", "p", "memory")
    features = []
    for row, col in place.places:
        feature = qgis_core.QgsFeature(layer.fields())
        feature.setGeometry(qgis_core.QgsGeometry.fromWkt(point(col, row).ExportToWkt()))
        feature.setAttributes([float(place.truth[row, col])])
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    results = run("alise:trainregression", {**training, "LABELS": [layer], "FIELD": name})
    assert results["AREAS"] == len(place.places)
    assert results["R2"] > 0.98


def test_a_raster_of_values_needs_no_field(run, place, training, tmp_path):
    from tests.helpers.rasters import write_raster

    path = write_raster(tmp_path / "heights.tif", place.truth[None].astype(np.float32))
    given = {**training, "LABELS": [path], "FIELD": "", "BLOCK_SIZE": 100, "SAMPLES": 3}
    results = run("alise:trainregression", given)
    assert results["AREAS"] == 3 * results["GROUPS"]
    assert results["R2"] > 0.98


def test_a_mask_and_an_extent(run, place, training, mapping, tmp_path):
    run("alise:trainregression", training)
    run("alise:estimatevalues", mapping)
    whole = values_of(mapping["OUTPUT"])
    mask = write_layer(tmp_path / "mask.gpkg", [square(10, 20, 30, 15)])
    masked = {**mapping, "MASK": mask, "OUTPUT": str(tmp_path / "masked.tif")}
    run("alise:estimatevalues", masked)
    values = values_of(masked["OUTPUT"])
    np.testing.assert_array_equal(values[20:35, 10:40], whole[20:35, 10:40])
    assert np.count_nonzero(np.isfinite(values)) == 30 * 15
    extent = "600200,600500,4999700,4999900 [EPSG:32631]"
    part = {**mapping, "EXTENT": extent, "OUTPUT": str(tmp_path / "part.tif")}
    run("alise:estimatevalues", part)
    np.testing.assert_array_equal(values_of(part["OUTPUT"]), whole[10:30, 20:50])


def test_the_command_line_does_the_same(run, place, training, mapping, tmp_path, capsys):
    results = run("alise:trainregression", training)
    run("alise:estimatevalues", mapping)
    head, output = tmp_path / "cli.onnx", tmp_path / "cli.tif"
    train = f"trainregression --quiet --input {place.embedding} --labels {place.points}".split()
    assert main([*train, "--field", "biomass", "--head", str(head)]) == DONE
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    for name in (*FIGURES, "LEAST", "LARGEST"):
        assert float(said[name]) == pytest.approx(results[name])
    command = f"estimatevalues --quiet --input {place.embedding} --head {head} --output {output}"
    assert main(command.split()) == DONE
    np.testing.assert_allclose(values_of(output), values_of(mapping["OUTPUT"]), rtol=1e-5)
    assert main([*train, "--head", str(tmp_path / "no.onnx")]) == MISTAKE
    assert "name in --field the field" in capsys.readouterr().err


def test_the_command_line_extrapolates_and_masks_as_well(run, training, mapping, tmp_path):
    run("alise:trainregression", training)
    mask = write_layer(tmp_path / "mask.gpkg", [square(0, 0, WIDTH, 50)])
    run("alise:estimatevalues", {**mapping, "MASK": mask, "EXTRAPOLATE": True})
    (embedding,), output = mapping["INPUT"], tmp_path / "cli.tif"
    command = f"estimatevalues --quiet --input {embedding} --head {mapping['HEAD']}".split()
    assert main([*command, "--output", str(output), "--mask", mask, "--extrapolate"]) == DONE
    values = values_of(output)
    np.testing.assert_array_equal(values, values_of(mapping["OUTPUT"]))
    assert np.count_nonzero(np.isfinite(values)) == 50 * WIDTH
    assert main([*command, "--output", str(output)]) == DONE
    limited = values_of(output)
    assert np.isfinite(limited).all()
    assert not np.array_equal(limited[:50], values[:50])


def test_heads_of_classes_and_of_values_are_told_apart(run, refused, training, mapping, place):
    run("alise:trainregression", training)
    segment = {key: mapping[key] for key in ("INPUT", "HEAD", "OUTPUT")}
    with pytest.raises(refused, match="give it to Estimate values"):
        run("alise:segment", segment)
    classes = {**training, "FIELD": "kind"}
    with pytest.raises(refused, match=r'The field "kind" of points holds "forest"'):
        run("alise:trainregression", classes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"FIELD": ""}, "choose in FIELD the field that holds what was measured"),
        ({"FIELD": "nothing"}, 'has no field "nothing"'),
        ({"HEAD": "head.txt"}, "a head is an ONNX file"),
    ],
)
def test_mistakes_are_one_sentence(run, refused, training, change, says, tmp_path):
    if "HEAD" in change:
        change = {"HEAD": str(tmp_path / change["HEAD"])}
    with pytest.raises(refused, match=says) as caught:
        run("alise:trainregression", {**training, **change})
    assert "Traceback" not in str(caught.value)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_map_is_a_geotiff_and_takes_no_input_s_place(run, refused, place, training, mapping):
    run("alise:trainregression", training)
    for output, says in (
        (mapping["OUTPUT"].replace(".tif", ".png"), "a map is a GeoTIFF"),
        (place.embedding, "is also an input"),
    ):
        with pytest.raises(refused, match=says):
            run("alise:estimatevalues", {**mapping, "OUTPUT": output})


def test_one_polygon_has_no_figures(run, place, training, tmp_path):
    shapes = [point(3, 3), point(20, 20)]
    path = write_layer(tmp_path / "two.gpkg", shapes, v=[1.0, 2.0])
    given = {**training, "LABELS": [path], "FIELD": "v", "VALIDATION": "blocks"}
    results = run("alise:trainregression", {**given, "BLOCK_SIZE": 1e6})
    assert results["GROUPS"] == 1
    assert math.isnan(results["R2"])
    assert "nothing could be left out" in Path(training["REPORT"]).read_text(encoding="utf-8")


def test_a_model_chains_the_head(plugin, place, mapping):
    source = qgis_core.QgsProcessingModelChildParameterSource
    model = qgis_core.QgsProcessingModelAlgorithm("from points to a map", "test")
    steps = {
        "alise:trainregression": {
            "INPUT": source.fromStaticValue(place.embedding),
            "LABELS": source.fromStaticValue(place.points),
            "FIELD": source.fromStaticValue("biomass"),
        },
        "alise:estimatevalues": {
            "INPUT": source.fromStaticValue(place.embedding),
            "HEAD": source.fromChildOutput("alise:trainregression", "HEAD"),
        },
    }
    for name, parameters in steps.items():
        step = qgis_core.QgsProcessingModelChildAlgorithm(name)
        step.setChildId(name)
        for parameter, value in parameters.items():
            step.addParameterSources(parameter, [value])
        if name == "alise:estimatevalues":
            result = qgis_core.QgsProcessingModelOutput("map")
            result.setChildId(name)
            result.setChildOutputName("OUTPUT")
            step.setModelOutputs({"map": result})
        model.addChildAlgorithm(step)
    feedback = qgis_core.QgsProcessingFeedback(False)
    context = qgis_core.QgsProcessingContext()
    _, fine = model.run({"alise:estimatevalues:map": mapping["OUTPUT"]}, context, feedback)
    assert fine, feedback.textLog()
    values = values_of(mapping["OUTPUT"])
    assert np.corrcoef(values.ravel(), place.truth.ravel())[0, 1] > 0.99
