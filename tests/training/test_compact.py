"""The compact form: what it keeps, and that it belongs to the package."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from alise_plugin.errors import ModelPackageError
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from training.__main__ import main
from training.export.compact import principal_components, write_compact


@pytest.fixture
def package(tiny_package, tmp_path):
    return Path(shutil.copytree(tiny_package, tmp_path / "package"))


def sample(count=4000, inner=10, seed=0):
    """Features that lie near a plane of `inner` dimensions."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(1).normal(size=(inner, 640))
    noise = 0.01 * rng.normal(size=(count, 640))
    return (rng.normal(size=(count, inner)) @ plane + noise + 3).astype(np.float32)


def test_components_keep_the_variance_and_the_distances():
    projection = principal_components(sample(), features=12)
    assert projection.variance > 0.999
    other = sample(500, seed=2)
    compact = other @ projection.matrix
    before = np.linalg.norm(other[:250] - other[250:], axis=1)
    after = np.linalg.norm(compact[:250] - compact[250:], axis=1)
    np.testing.assert_allclose(after, before, rtol=0.01)
    cosines = [
        (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        for one, two in ((other[:250], other[250:]), (compact[:250], compact[250:]))
    ]
    np.testing.assert_allclose(cosines[1], cosines[0], atol=0.001)
    # one byte: half a step is at most 0.5 % of the spread, and nearly nothing is clipped
    raw = (compact - projection.offset) / projection.scale
    assert ((raw >= 1) & (raw <= 255)).mean() > 0.999
    spread = np.ptp(np.percentile(compact, (0.5, 99.5), axis=0), axis=0)[:10]
    assert (projection.scale[:10] / 2 <= 0.005 * spread).all()


def test_a_small_model_keeps_all_that_it_has():
    features = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
    projection = principal_components(features)
    assert projection.matrix.shape == (20, 20)
    assert projection.scale.shape == projection.offset.shape == (20,)
    assert projection.variance == pytest.approx(1)


def test_the_graph_projects_as_the_arrays_do(package):
    before = load_package(package)
    assert before.compact is None
    projection = principal_components(sample())
    write_compact(package, projection)
    loaded = load_package(package)
    assert loaded.sha256 == before.sha256  # heads trained on the model still know it
    np.testing.assert_allclose(loaded.compact.scale, projection.scale, rtol=1e-8)
    features = sample(77, seed=3).T.reshape(640, 7, 11)
    features[:, 2, 3] = np.nan
    found = Encoder(loaded, "cpu", threads=1).compact(features)
    expected = (features.reshape(640, -1).T @ projection.matrix).T
    np.testing.assert_allclose(found.reshape(64, -1), expected, atol=1e-3)
    assert np.isnan(found[:, 2, 3]).all()


@pytest.mark.skipif(
    importlib.util.find_spec("prosail") is None,
    reason="the leaf coefficients come with the package prosail",
)
def test_the_command_learns_it_on_simulations(package, capsys):
    assert main(["compact", "--model", str(package), "--landscapes", "3"]) == 0
    assert "64 compact features keep" in capsys.readouterr().out
    assert 0.5 < load_package(package).compact.variance <= 1


@pytest.mark.parametrize("damage", ["graph", "scale", "length"])
def test_a_broken_compact_form_is_refused(package, damage):
    import json

    write_compact(package, principal_components(sample()))
    if damage == "graph":
        with open(package / "compact.onnx", "ab") as file:
            file.write(b"x")
    else:
        content = json.loads((package / "model.json").read_text())
        if damage == "scale":
            content["compact"]["scale"][0] = 0
        else:
            content["compact"]["offset"].pop()
        (package / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelPackageError, match="compact") as error:
        load_package(package)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_package_is_said(tmp_path, capsys):
    assert main(["compact", "--model", str(tmp_path)]) == 2
    assert "no model package" in capsys.readouterr().err
