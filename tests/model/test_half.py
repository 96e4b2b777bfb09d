"""Graphs in half precision: near those in single, whatever the series looks like.

A CPU runs such a graph with float32 kernels between casts, and may leave casts out. So the graphs
also run here node by node, each node's result rounded to float16, as a GPU's kernels leave it.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

import onnxruntime

from alise_plugin.errors import ModelPackageError
from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.package import load_package
from tests.helpers.real_series import real_series
from training.__main__ import main
from training.export.command import untrained
from training.export.half import half_graph
from training.export.spatial import spatial_graph
from training.models.alise import Alise, AliseConfig

ROOT = Path(__file__).resolve().parents[2]
NEAR = 1e-2


@pytest.fixture(scope="module")
def folder(tiny_package, tmp_path_factory):
    copy = shutil.copytree(tiny_package, tmp_path_factory.mktemp("half") / "tiny")
    assert main(["half", "--model", str(copy)]) == 0
    return copy


@pytest.fixture
def package(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "package")


def series(dates=9, height=19, width=22, last_day=3200):
    rng = np.random.default_rng(0)
    reflectance = rng.uniform(0, 0.6, (dates, 10, height, width)).astype(np.float32)
    clouds = rng.random((dates, 1, height, width)) < 0.3
    reflectance[np.broadcast_to(clouds, reflectance.shape)] = np.nan
    reflectance[2] = np.nan
    reflectance[:, :, 5:8, 2:6] = np.nan
    return reflectance, np.sort(rng.uniform(last_day - 900, last_day, dates)).round()


def distance(found, expected):
    """Largest distance of a pixel's vector, relative to its length; `(n_queries, d, ...)`."""
    away = np.linalg.norm((found - expected).reshape(640, -1), axis=0)
    return np.nanmax(away / np.linalg.norm(expected.reshape(640, -1), axis=0))


@pytest.mark.parametrize("last_day", [900, 3200, 10_000])
def test_half_precision_is_near_single(folder, last_day):
    reflectance, days = series(last_day=last_day)
    loaded = load_package(folder)
    single = Encoder(loaded, "cpu", 1).encode(reflectance, days)
    encoder = Encoder(loaded, "cpu", 1, "float16")
    assert encoder.precision == "float16"
    half = encoder.encode(reflectance, days)
    assert half.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(half), np.isnan(single))
    assert 0 < distance(half, single) < NEAR
    assert np.nanmax(np.abs(half - single)) < NEAR * np.nanmax(np.abs(single))


def test_half_precision_is_near_pytorch(folder):
    model = untrained("bundled")
    loaded = load_package(folder)
    rng = np.random.default_rng(1)
    reflectance = rng.uniform(0.01, 0.5, (6, 10, 16, 24)).astype(np.float32)
    days = np.arange(6) * 61 + 2900.0
    low, high = loaded.q05[:, None, None], loaded.q95[:, None, None]
    image = (reflectance - loaded.median[:, None, None]) / (high - low)
    with torch.no_grad():
        seen = torch.ones(1, 6, 16, 24, dtype=torch.bool)
        days_in = torch.tensor(days, dtype=torch.float32)[None]
        expected = model(torch.tensor(image)[None], days_in, seen)[0].numpy()
    found = Encoder(loaded, "cpu", 1, "float16").encode(reflectance, days)
    assert distance(found, expected) < NEAR


def test_half_precision_on_the_device_is_that_on_the_host(folder):
    reflectance, days = series()
    loaded = load_package(folder)
    here = Encoder(loaded, "cpu", 1, "float16").encode(reflectance, days)
    there = Encoder(loaded, "cpu", 1, "float16", bound=True).encode(reflectance, days)
    np.testing.assert_array_equal(there, here)


def node_by_node(model, feeds):
    """Every value of a graph, each node in a session of its own: nothing is left out between."""
    values = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    values.update(feeds)
    for node in model.graph.node:
        kinds = {name: values[name].dtype for name in node.input}
        graph = onnx.helper.make_graph(
            [node],
            "one",
            [
                onnx.helper.make_tensor_value_info(
                    name, onnx.helper.np_dtype_to_tensor_dtype(kind), None
                )
                for name, kind in kinds.items()
            ],
            [onnx.ValueInfoProto(name=node.output[0])],
        )
        one = onnx.helper.make_model(graph, ir_version=9, opset_imports=model.opset_import)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            one.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        values[node.output[0]] = session.run(None, {name: values[name] for name in kinds})[0]
    return values


def rounded(folder, image, days, valid):
    """The embedding `(P, n_queries, d)` of half graphs with every result rounded, and all values.

    Args:
        image: `(T, 10, H, W)` normalised.
        days: `(T,)` float32.
        valid: `(P, T)`.
    """
    graphs = [onnx.load(Path(folder) / f"{name}.onnx") for name in ("spatial", "temporal")]
    spatial = node_by_node(half_graph(graphs[0]), {"image": image})
    features = spatial["features"]
    assert features.dtype == np.float16
    by_pixel = features.reshape(len(days), -1, features.shape[-1]).transpose(1, 0, 2)
    some = np.flatnonzero(valid.any(1))[:150]
    temporal = node_by_node(
        half_graph(graphs[1]),
        {"features": by_pixel[some].copy(), "days": days, "valid": valid[some]},
    )
    return temporal["embedding"], some, [*spatial.values(), *temporal.values()]


def compare_rounded(folder, reflectance, days):
    """How far the rounded graphs are from the single ones; nothing may overflow on the way."""
    encoder = load_encoder(folder, "cpu", 1)
    size = [length // 8 * 8 for length in reflectance.shape[2:]]
    reflectance = reflectance[:, :, : size[0], : size[1]]
    images, seen = zip(*(encoder._normalise(image) for image in reflectance))
    valid = np.stack(seen).reshape(len(days), -1).T
    found, some, values = rounded(folder, np.stack(images), np.float32(days), valid)
    assert all(np.isfinite(value).all() for value in values)
    expected = encoder.encode(reflectance, days).reshape(640, -1)[:, some]
    return distance(found.reshape(len(some), -1).T, expected)


def test_rounding_after_every_node_stays_near(folder):
    assert compare_rounded(folder, *series()) < NEAR


@pytest.mark.parametrize(("site", "step"), [("belgian_fields", 6), ("bavarian_field", 1)])
def test_the_bundled_model_stays_near_on_real_series(site, step):
    bundled = ROOT / "models" / "alise-s2"
    real = real_series(site, step)
    start = load_package(bundled).reference_date
    days = [(day - start).days for day in real.days]
    height, width = real.reflectance.shape[2:]
    square = ((0, 0), (0, 0), (0, 32 - height), (0, 32 - width))
    reflectance = np.pad(real.reflectance, square, mode="symmetric")
    assert compare_rounded(bundled, reflectance, days) < NEAR


def test_days_stay_in_single_precision(folder):
    """Float16 has no day 4001."""
    assert np.float16(4001) == 4000
    graph = half_graph(onnx.load(Path(folder) / "temporal.onnx"))
    days = np.array([4001, 9999], np.float32)
    feeds = {
        "features": np.zeros((1, 2, 64), np.float16),
        "days": days,
        "valid": np.ones((1, 2), bool),
    }
    values = node_by_node(graph, feeds)
    (sines,) = (values[node.output[0]] for node in graph.graph.node if node.op_type == "Sin")
    frequencies = untrained("bundled").temporal.day_encoding.frequencies.numpy()
    assert sines.dtype == np.float32
    np.testing.assert_allclose(sines, np.sin(days[:, None] * frequencies), atol=1e-3)


def test_what_masks_attention_fits(folder):
    """Minus a thousand million would be minus infinity, and a pixel without dates not a number."""
    for name in ("spatial", "temporal"):
        graph = half_graph(onnx.load(Path(folder) / f"{name}.onnx"))
        for weight in graph.graph.initializer:
            assert np.isfinite(onnx.numpy_helper.to_array(weight)).all()
    feeds = {
        "features": np.ones((2, 3, 64), np.float16),
        "days": np.float32([1, 2, 3]),
        "valid": np.array([[False] * 3, [True, False, False]]),
    }
    values = node_by_node(half_graph(onnx.load(Path(folder) / "temporal.onnx")), feeds)
    assert np.isfinite(values["embedding"]).all()


def test_a_graph_with_group_normalisation_can_be_halved():
    """Its sums go over a whole image, so they stay in single precision."""
    torch.manual_seed(0)
    config = {"encoder_norm": "group", "decoder_norm": "group", "skip_norm": "group"}
    model = Alise(AliseConfig.from_dict({"preset": "bundled", **config})).eval()
    single = spatial_graph(model.spatial)
    half = half_graph(single)
    image = np.random.default_rng(0).normal(size=(1, 10, 64, 64)).astype(np.float32)
    expected, found = (node_by_node(graph, {"image": image}) for graph in (single, half))
    kinds = {
        found[node.output[0]].dtype
        for node in half.graph.node
        if node.op_type == "InstanceNormalization"
    }
    assert kinds == {np.dtype(np.float32)}
    away = np.abs(found["features"] - expected["features"]).max()
    assert away < NEAR * np.abs(expected["features"]).max()


def test_the_package_stays_the_same_model(folder, tiny_package):
    before, after = load_package(tiny_package), load_package(folder)
    assert (before.half, after.half) == (False, True)
    assert after.model_id == before.model_id
    files = json.loads((folder / "model.json").read_text())["files"]
    half = sum(entry["bytes"] for name, entry in files.items() if "float16" in name)
    assert half < 2e6


def test_a_package_without_half_precision_says_so(tiny_package):
    with pytest.raises(ModelPackageError, match="choose the precision float32") as error:
        load_encoder(tiny_package, "cpu", precision="float16")
    assert "\n" not in str(error.value)


def test_half_precision_of_other_weights_does_not_count(package):
    manifest = json.loads((package / "model.json").read_text())
    manifest["files"]["temporal_float16.onnx"]["of"] = "0" * 64
    (package / "model.json").write_text(json.dumps(manifest))
    assert not load_package(package).half
    assert main(["half", "--model", str(package)]) == 0  # and can be made anew
    assert load_package(package).half


def test_an_altered_half_graph_is_refused(package):
    (package / "temporal_float16.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelPackageError, match=r"temporal_float16\.onnx is not the file"):
        load_package(package)


def test_an_unknown_precision_is_refused(folder):
    with pytest.raises(ValueError, match="float16"):
        load_encoder(folder, "cpu", precision="bfloat16")
