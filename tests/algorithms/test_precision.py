"""PRECISION: what it changes in a map, and where the map says so."""

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("onnxruntime")

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "alise-s2"


@pytest.fixture
def parameters(series, tmp_path):
    return {"INPUT": [series], "MODEL": str(BUNDLED), "OUTPUT": str(tmp_path / "embedding.tif")}


def test_half_precision_is_near_single_and_said(run, parameters, tmp_path):
    run("alise:embed", parameters)
    half = {**parameters, "PRECISION": "float16", "OUTPUT": str(tmp_path / "half.tif")}
    run("alise:embed", half)
    maps = [gdal.Open(each["OUTPUT"]) for each in (parameters, half)]
    stated = [each.GetMetadataItem("ALISE_PRECISION") for each in maps]
    assert stated == ["float32", "float16"]
    single, rounded = (each.ReadAsArray().reshape(640, -1) for each in maps)
    away = np.linalg.norm(rounded - single, axis=0) / np.linalg.norm(single, axis=0)
    assert 0 < away.max() < 1e-2


def test_a_model_without_half_precision_is_refused(run, refused, parameters, tiny_package):
    wanted = {**parameters, "MODEL": tiny_package, "PRECISION": "float16"}
    with pytest.raises(refused, match="choose the precision float32"):
        run("alise:embed", wanted)
    assert not Path(parameters["OUTPUT"]).exists()
