"""`alise:phenology`: what the Toolbox and the command line get."""

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
        "INDEX": "B08",
        "MINIMUM_AMPLITUDE": 1e-4,  # random weights bend little
        "MODEL": tiny_package,
        "OUTPUT": str(tmp_path / "seasons.tif"),
    }


def test_the_toolbox_and_the_command_line_write_the_same(run, parameters, tmp_path):
    results = run("alise:phenology", parameters)
    assert (results["PEAKS_FROM"], results["PEAKS_TO"]) == ("2019-03-05", "2019-08-02")
    assert 0 <= results["WITH_TWO_SEASONS"] <= results["WITH_SEASON"] <= 1
    dataset = gdal.Open(results["OUTPUT"])
    assert dataset.RasterCount == 16
    assert dataset.GetMetadataItem("ALISE_INDEX") == "B08"
    line = ["phenology", "--input", *parameters["INPUT"], "--model", parameters["MODEL"]]
    line += ["--index", "B08", "--minimum-amplitude", "1e-4"]
    assert main([*line, "--output", str(tmp_path / "line.tif"), "--quiet"]) == DONE
    written = gdal.Open(str(tmp_path / "line.tif")).ReadAsArray()
    np.testing.assert_array_equal(dataset.ReadAsArray(), written)


def test_the_toolbox_shows_the_first_start(loaded, parameters):
    layers = loaded("alise:phenology", parameters, "OUTPUT")
    layer = layers["OUTPUT"]
    assert layer.renderer().type() == "singlebandpseudocolor"
    assert layer.bandName(layer.renderer().band()).endswith("start_1")


def test_mistakes_are_one_sentence(run, refused, parameters):
    for change, says in (
        ({"INDEX": "NDVI, NBR"}, "neither a band, an index"),
        ({"START": "2019-04-01"}, "Only one of START and END"),
        ({"MINIMUM_AMPLITUDE": 0}, "MINIMUM_AMPLITUDE is 0"),
        ({"OUTPUT": parameters["OUTPUT"][:-3] + "vrt"}, "a map is a GeoTIFF"),
    ):
        with pytest.raises(refused, match=says):
            run("alise:phenology", {**parameters, **change})
    assert not Path(parameters["OUTPUT"]).exists()
