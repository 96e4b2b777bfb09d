"""`alise:reconstruct`: what the Toolbox, a chain and a mistake get."""

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.cli.main import DONE, main

pytest.importorskip("onnxruntime")


@pytest.fixture
def parameters(series, tiny_package, tmp_path):
    return {
        "INPUT": [series],
        "DATES": "2019-04-01, 2019-06-15",
        "MODEL": tiny_package,
        "OUTPUT": str(tmp_path / "images.tif"),
    }


def test_the_days_asked_for_are_shown(run, parameters):
    results = run("alise:reconstruct", parameters)
    assert results["OUTPUT"] == parameters["OUTPUT"]
    assert results["DATES_USED"] == "2019-04-01, 2019-06-15"
    assert results["DEVICE_USED"] == "cpu"
    assert results["MODEL_ID"].startswith("tiny 0.0.1 ")
    dataset = gdal.Open(results["OUTPUT"])
    assert dataset.RasterCount == 20
    assert dataset.GetRasterBand(11).GetDescription() == "2019-06-15 B02"
    assert dataset.GetRasterBand(1).GetScale() == pytest.approx(1e-4)
    assert (dataset.ReadAsArray() > -10_000).all()


def test_without_days_every_some(run, parameters):
    results = run("alise:reconstruct", {**parameters, "DATES": "", "EVERY": 50})
    assert results["DATES_USED"] == "2019-03-05, 2019-04-24, 2019-06-13, 2019-08-02"
    results = run("alise:reconstruct", {**parameters, "DATES": None})
    assert len(results["DATES_USED"].split(", ")) == 6  # every 30 days


def test_scenes_vectors_and_the_command_line_give_the_same(run, parameters, scenes, tmp_path):
    run("alise:reconstruct", parameters)
    loose = {**parameters, "INPUT": scenes, "OUTPUT": str(tmp_path / "loose.tif")}
    run("alise:reconstruct", loose)
    model = {"MODEL": parameters["MODEL"]}
    vectors = str(tmp_path / "vectors.tif")
    run("alise:embed", {"INPUT": parameters["INPUT"], **model, "OUTPUT": vectors})
    chained = {**parameters, "INPUT": [vectors], "OUTPUT": str(tmp_path / "chained.tif")}
    run("alise:reconstruct", chained)
    line = ["reconstruct", "--input", *parameters["INPUT"], "--model", parameters["MODEL"]]
    line += ["--dates", "2019-04-01", "2019-06-15", "--output", str(tmp_path / "line.tif")]
    assert main([*line, "--quiet"]) == DONE
    expected = gdal.Open(parameters["OUTPUT"]).ReadAsArray()
    for path in (loose["OUTPUT"], str(tmp_path / "line.tif")):
        np.testing.assert_array_equal(gdal.Open(path).ReadAsArray(), expected)
    # vectors are read in other tiles: the last digit may be rounded otherwise
    np.testing.assert_allclose(gdal.Open(chained["OUTPUT"]).ReadAsArray(), expected, atol=1)


def test_the_options_reach_the_work(run, parameters, tmp_path):
    run("alise:reconstruct", {**parameters, "OUTPUT": str(tmp_path / "long.tiff")})
    run("alise:reconstruct", parameters)
    part = {
        **parameters,
        "EXTENT": "600050,600150,4999900,4999960 [EPSG:32631]",
        "TILE_SIZE": 16,
        "MEMORY": 512,
        "THREADS": 1,
        "OUTPUT": str(tmp_path / "part.tif"),
    }
    run("alise:reconstruct", part)
    whole = gdal.Open(parameters["OUTPUT"]).ReadAsArray()
    found = gdal.Open(part["OUTPUT"]).ReadAsArray()
    np.testing.assert_allclose(found, whole[:, 4:10, 5:15], atol=1)


def test_the_toolbox_shows_them_in_natural_colour(loaded, parameters):
    layers = loaded("alise:reconstruct", parameters, "OUTPUT")
    layer = layers["OUTPUT"]
    renderer = layer.renderer()
    bands = [renderer.redBand(), renderer.greenBand(), renderer.blueBand()]
    assert [layer.bandName(band)[-14:] for band in bands] == [
        "2019-06-15 B04",
        "2019-06-15 B03",
        "2019-06-15 B02",
    ]


def test_mistakes_are_one_sentence(run, refused, parameters, scenes):
    for change, says in (
        ({"DATES": "next week"}, '"next" is not a date'),
        ({"OUTPUT": parameters["OUTPUT"][:-3] + "vrt"}, "are a GeoTIFF"),
        ({"OUTPUT": scenes[0]}, "is also an input"),
        ({"EVERY": 0, "DATES": ""}, "EVERY"),
    ):
        with pytest.raises(refused, match=says):
            run("alise:reconstruct", {**parameters, **change})
    assert not Path(parameters["OUTPUT"]).exists()
    assert gdal.Open(scenes[0]).RasterCount == 10


def test_cancel(run, refused, parameters, feedback_that_cancels, tmp_path):
    before = set(tmp_path.iterdir())
    with pytest.raises(refused, match="cancelled"):
        run("alise:reconstruct", {**parameters, "TILE_SIZE": 16}, feedback=feedback_that_cancels)
    assert set(tmp_path.iterdir()) == before
