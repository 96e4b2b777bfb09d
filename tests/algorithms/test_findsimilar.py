"""`alise:findsimilar`: from a few drawn or selected examples to a map."""

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

from alise_plugin.cli.main import DONE, MISTAKE, main

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")
pytest.importorskip("onnxruntime")

# Polygons and a point on the scenes, which are 20 rows and 24 columns of 10 m.
FIRST = "POLYGON((600010 4999990, 600060 4999990, 600060 4999950, 600010 4999950, 600010 4999990))"
SECOND = "POLYGON((600150 4999900, 600200 4999900, 600200 4999850, 600150 4999850, 600150 4999900))"
FAR = "POLYGON((700000 4999900, 700100 4999900, 700100 4999800, 700000 4999900))"


def layer_of(*shapes, kind="Polygon"):
    layer = qgis_core.QgsVectorLayer(f"{kind}?crs=EPSG:32631", "examples", "memory")
    for shape in shapes:
        feature = qgis_core.QgsFeature()
        feature.setGeometry(qgis_core.QgsGeometry.fromWkt(shape))
        layer.dataProvider().addFeature(feature)
    return layer


@pytest.fixture
def parameters(series, tiny_package, tmp_path):
    return {
        "INPUT": [series],
        "EXAMPLES": layer_of(FIRST, SECOND),
        "MODEL": tiny_package,
        "OUTPUT": str(tmp_path / "similar.tif"),
    }


def values_of(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_every_pixel_gets_a_similarity(run, parameters):
    results = run("alise:findsimilar", parameters)
    assert results["OUTPUT"] == parameters["OUTPUT"]
    assert (results["EXAMPLES_USED"], results["SAMPLES_USED"]) == (2, 20 + 20)
    assert results["DEVICE_USED"] == "cpu"
    assert -1 <= results["LEVEL"] <= 1
    values = values_of(parameters["OUTPUT"])
    assert values.shape == (20, 24)
    assert (np.abs(values) <= 10_000).all()
    inside = np.concatenate([values[1:5, 1:6].ravel(), values[10:15, 15:20].ravel()])
    assert np.median(inside) > np.median(values)


def test_points_do_as_well_and_only_what_is_selected_is_looked_at(run, parameters, tmp_path):
    points = layer_of("POINT(600035 4999965)", "POINT(600175 4999875)", kind="Point")
    assert run("alise:findsimilar", {**parameters, "EXAMPLES": points})["SAMPLES_USED"] == 2
    project = qgis_core.QgsProject()
    both = project.addMapLayer(layer_of(FIRST, SECOND))
    both.selectByIds([next(both.getFeatures()).id()])
    context = qgis_core.QgsProcessingContext()
    context.setProject(project)
    only = qgis_core.QgsProcessingFeatureSourceDefinition(both.id(), True)
    selected = {**parameters, "EXAMPLES": only, "OUTPUT": str(tmp_path / "selected.tif")}
    results = run("alise:findsimilar", selected, context=context)
    assert results["EXAMPLES_USED"] == 1
    run("alise:findsimilar", {**parameters, "EXAMPLES": layer_of(FIRST)})
    np.testing.assert_array_equal(values_of(selected["OUTPUT"]), values_of(parameters["OUTPUT"]))


@pytest.mark.parametrize("check", ["GeometryAbortOnInvalid", "GeometrySkipInvalid"])
def test_an_outline_that_crosses_itself_is_an_example(run, parameters, check):
    """Whatever the user's setting says, as a label is one."""
    bow = (
        "POLYGON((600010 4999990, 600060 4999940, 600060 4999990, 600010 4999940, 600010 4999990))"
    )
    context = qgis_core.QgsProcessingContext()
    checks = qgis_core.QgsFeatureRequest.InvalidGeometryCheck
    context.setInvalidGeometryCheck(getattr(checks, check))
    given = {**parameters, "EXAMPLES": layer_of(bow, SECOND)}
    assert run("alise:findsimilar", given, context=context)["EXAMPLES_USED"] == 2


def test_a_file_may_hold_polygons_and_points(run, parameters, tmp_path):
    path = tmp_path / "examples.geojson"
    shapes = [ogr.CreateGeometryFromWkt(text) for text in (FIRST, "POINT(600175 4999875)")]
    target = ogr.GetDriverByName("GeoJSON").CreateDataSource(str(path))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    layer = target.CreateLayer("examples", reference, ogr.wkbUnknown)
    for shape in shapes:
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(shape)
        layer.CreateFeature(feature)
    del feature, layer, target
    results = run("alise:findsimilar", {**parameters, "EXAMPLES": str(path)})
    assert (results["EXAMPLES_USED"], results["SAMPLES_USED"]) == (2, 21)


def test_the_options_reach_the_work(run, parameters, tmp_path):
    whole = run("alise:findsimilar", parameters)
    part = {
        **parameters,
        "EXTENT": "600050,600150,4999900,4999960 [EPSG:32631]",
        "TILE_SIZE": 16,
        "THREADS": 1,
        "OUTPUT": str(tmp_path / "part.tif"),
    }
    assert run("alise:findsimilar", part)["LEVEL"] == pytest.approx(whole["LEVEL"], abs=1e-4)
    expected = values_of(parameters["OUTPUT"])[4:10, 5:15]
    np.testing.assert_allclose(values_of(part["OUTPUT"]), expected, atol=1)
    few = run("alise:findsimilar", {**parameters, "SAMPLES": 3, "SEED": 1})
    assert few["SAMPLES_USED"] == 6


def test_the_toolbox_shows_it_with_its_style(loaded, rendered, parameters):
    layers = loaded("alise:findsimilar", parameters, "OUTPUT")
    layer = layers["OUTPUT"]
    assert layer.renderer().type() == "singlebandpseudocolor"
    assert layers["context"].layersToLoadOnCompletion()[parameters["OUTPUT"]].name == "Similarity"
    picture = rendered(layer).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) > 20
    brightest = picture[values_of(parameters["OUTPUT"]).argmax()]
    assert brightest.tolist() == [0xFD, 0xE7, 0x25]


def test_the_command_line_writes_the_same(run, parameters, tmp_path, capsys):
    examples = str(tmp_path / "examples.gpkg")
    options = qgis_core.QgsVectorFileWriter.SaveVectorOptions()
    transform = qgis_core.QgsCoordinateTransformContext()
    qgis_core.QgsVectorFileWriter.writeAsVectorFormatV3(
        parameters["EXAMPLES"], examples, transform, options
    )
    results = run("alise:findsimilar", {**parameters, "SAMPLES": 5, "SEED": 7})
    line = ["findsimilar", "--input", *parameters["INPUT"], "--model", parameters["MODEL"]]
    line += ["--examples", examples, "--samples", "5", "--seed", "7", "--quiet"]
    assert main([*line, "--output", str(tmp_path / "line.tif")]) == DONE
    assert f"LEVEL: {results['LEVEL']:.4g}"[:11] in capsys.readouterr().out
    np.testing.assert_array_equal(values_of(tmp_path / "line.tif"), values_of(parameters["OUTPUT"]))
    assert main([*line, "--output", examples]) == MISTAKE
    assert "a map is a GeoTIFF" in capsys.readouterr().err


def test_mistakes_are_one_sentence(run, refused, parameters, tmp_path):
    before = set(tmp_path.iterdir())
    bare = layer_of(FIRST)
    bare.setCrs(qgis_core.QgsCoordinateReferenceSystem())
    for change, says in (
        ({"EXAMPLES": bare}, "examples has no CRS; assign the one that it was drawn in"),
        ({"EXAMPLES": layer_of()}, "examples holds no example; draw or select"),
        ({"EXAMPLES": layer_of(FAR)}, "examples and series.vrt do not overlap"),
        ({"OUTPUT": parameters["OUTPUT"][:-4] + ".png"}, r"let its name end in \.tif"),
        ({"OUTPUT": parameters["INPUT"][0][:-4] + ".vrt"}, r"let its name end in \.tif"),
    ):
        with pytest.raises(refused, match=says):
            run("alise:findsimilar", {**parameters, **change})
    assert set(tmp_path.iterdir()) == before


def test_cancel(run, refused, parameters, feedback_that_cancels):
    with pytest.raises(refused, match="cancelled"):
        run("alise:findsimilar", parameters, feedback=feedback_that_cancels)
    assert not Path(parameters["OUTPUT"]).exists()
