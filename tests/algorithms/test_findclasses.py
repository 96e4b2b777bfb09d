"""`alise:findclasses`: from a series to a map without labels."""

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.cli.main import DONE, main

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


@pytest.fixture
def parameters(series, tiny_package, tmp_path):
    return {
        "INPUT": [series],
        "CLASSES": 3,
        "MODEL": tiny_package,
        "HEAD": str(tmp_path / "head.onnx"),
    }


def test_a_series_is_mapped_without_labels(run, parameters, tmp_path):
    results = run("alise:findclasses", parameters)
    assert results["HEAD"] == parameters["HEAD"]
    assert results["SAMPLES_USED"] == 20 * 24
    assert results["DEVICE_USED"] == "cpu"
    path = str(tmp_path / "classes.tif")
    shared = {name: parameters[name] for name in ("INPUT", "MODEL", "HEAD")}
    areas = run("alise:segment", {**shared, "OUTPUT": path})
    codes = gdal.Open(path).ReadAsArray()
    assert set(np.unique(codes)) == {1, 2, 3}
    counts = np.bincount(codes.ravel())[1:]
    assert list(counts) == sorted(counts, reverse=True)
    assert areas["AREA"] == pytest.approx(20 * 24 * 100, rel=0.01)


def test_the_command_line_writes_the_same_file(run, parameters, tmp_path):
    run("alise:findclasses", {**parameters, "SEED": 5, "SAMPLES": 200})
    line = ["findclasses", "--input", *parameters["INPUT"], "--model", parameters["MODEL"]]
    line += ["--classes", "3", "--seed", "5", "--samples", "200"]
    assert main([*line, "--head", str(tmp_path / "line.onnx"), "--quiet"]) == DONE
    assert (tmp_path / "line.onnx").read_bytes() == Path(parameters["HEAD"]).read_bytes()


def test_mistakes_are_one_sentence(run, refused, parameters):
    for change, says in (
        ({"CLASSES": 1}, "CLASSES"),
        ({"CLASSES": 250, "EXTENT": "600000,600050,4999950,5000000 [EPSG:32631]"}, "25 pixels of"),
        ({"HEAD": parameters["HEAD"][:-4] + "txt"}, r"let its name end in \.onnx"),
    ):
        with pytest.raises(refused, match=says):
            run("alise:findclasses", {**parameters, **change})
    assert not Path(parameters["HEAD"]).exists()


def test_without_scikit_learn_it_says_how_to_get_it(plugin, monkeypatch):
    from alise_plugin.runtime import location

    monkeypatch.setattr(location, "is_installed", lambda name: name != "sklearn")
    (algorithm,) = (a for a in plugin.provider.algorithms() if a.name() == "findclasses")
    can, sentence = algorithm.canExecute()
    assert not can
    assert "scikit-learn" in sentence
    assert "alise:installruntime" in sentence
