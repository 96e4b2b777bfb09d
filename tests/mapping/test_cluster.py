"""Tiles shared out to Dask workers give the raster of one machine, also when a worker is lost."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import AliseError, OutputError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.embedding.embed_on_dask import embed_on_cluster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Window
from tests.helpers.features import features_from, packed

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


class KillsAWorker(SilentFeedback):
    """Kills one of the workers, as a machine that goes down, once a first tile is done."""

    def __init__(self, cluster):
        self.cluster, self.killed = cluster, None

    def progress(self, fraction):
        if self.killed is None and 0 < fraction < 0.9:
            worker = next(iter(self.cluster.workers.values()))
            self.killed = worker.pid
            os.kill(worker.pid, 9)


def test_a_lost_worker_changes_nothing(series, tiny_package, cluster, tmp_path):
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    local, shared = tmp_path / "local.tif", tmp_path / "shared.tif"
    extent = series.grid.subgrid(Window(5, 3, 48, 45)).extent
    embed(features_from(series, encoder), local, budget=TileBudget(tile_size=16), extent=extent)
    killer = KillsAWorker(cluster)
    embed_on_cluster(
        features_from(series, encoder),
        shared,
        cluster.scheduler_address,
        budget=TileBudget(tile_size=16),
        extent=extent,
        feedback=killer,
        threads=1,
    )
    assert killer.killed is not None
    first, second = gdal.Open(str(local)), gdal.Open(str(shared))
    np.testing.assert_array_equal(first.ReadAsArray(), second.ReadAsArray())
    assert first.GetMetadata() == second.GetMetadata()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local.tif", "scenes", "shared.tif"]


def test_a_vrt_over_the_tiles_holds_the_same(series, tiny_package, cluster, tmp_path):
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    local, shared = tmp_path / "local.tif", tmp_path / "shared.vrt"
    embed(features_from(series, encoder), local, budget=TileBudget(tile_size=48))
    embed_on_cluster(
        features_from(series, encoder),
        shared,
        cluster.scheduler_address,
        budget=TileBudget(tile_size=48),
        threads=1,
    )
    first, second = gdal.Open(str(local)), gdal.Open(str(shared))
    np.testing.assert_array_equal(first.ReadAsArray(), second.ReadAsArray())
    assert second.GetRasterBand(640).GetDescription() == "q09_d63"
    assert second.GetMetadataItem("ALISE_MODEL") == "tiny"
    with pytest.raises(OutputError, match="from an earlier run"):
        embed_on_cluster(features_from(series, encoder), shared, cluster.scheduler_address)


class Listener(SilentFeedback):
    def __init__(self):
        self.texts = []

    def info(self, text):
        self.texts.append(text)

    def warning(self, text):
        self.info(text)


def test_what_was_clipped_is_said(series, tiny_package, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("alise_plugin.model.quantise._MARGIN", -0.2)
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    options = {"extent": series.grid.subgrid(Window(0, 0, 32, 32)).extent, "format": "int8"}
    here, there = Listener(), Listener()
    local = embed(
        features_from(series, encoder), tmp_path / "local.tif", feedback=here, **packed(options)
    )
    path, address = tmp_path / "shared.tif", cluster.scheduler_address
    shared = embed_on_cluster(
        features_from(series, encoder), path, address, feedback=there, threads=1, **packed(options)
    )
    assert shared.clipped == local.clipped > 0.01
    assert there.texts == here.texts
    assert there.texts[-1].endswith("outside the range of int8 and were clipped.")


def test_workers_see_a_series_that_was_built_again(series, tiny_package, cluster, tmp_path):
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    scenes = sorted(map(str, (tmp_path / "scenes").glob("S2*.tif")))
    local, shared = tmp_path / "local.tif", tmp_path / "shared.tif"
    options = {"tile_size": 48, "extent": series.grid.subgrid(Window(0, 0, 48, 48)).extent}
    for scale in (0.0001, 0.00005):
        again = build_series(scenes, tmp_path / "scenes" / "series.vrt", scale=scale)
        embed_on_cluster(
            features_from(again, encoder),
            shared,
            cluster.scheduler_address,
            threads=1,
            **packed(options),
        )
    embed(features_from(again, encoder), local, **packed(options))
    first, second = gdal.Open(str(local)), gdal.Open(str(shared))
    np.testing.assert_array_equal(first.ReadAsArray(), second.ReadAsArray())


def test_workers_take_the_device_that_was_asked_for(series, tiny_package, cluster, tmp_path):
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    if "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    path, address = tmp_path / "map.tif", cluster.scheduler_address
    with pytest.raises(AliseError, match=r"cluster: .* has no cuda"):
        embed_on_cluster(features_from(series, encoder), path, address, device="cuda", threads=1)
    assert os.listdir(tmp_path) == ["scenes"]


def test_a_scheduler_that_does_not_answer_is_said(series, tiny_package, tmp_path, monkeypatch):
    monkeypatch.setattr("alise_plugin.mapping.embedding.embed_on_dask._ANSWER", 1)
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    start = time.monotonic()
    with pytest.raises(AliseError, match="No Dask scheduler answers") as error:
        embed_on_cluster(features_from(series, encoder), tmp_path / "map.tif", "tcp://127.0.0.1:9")
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 30
    assert os.listdir(tmp_path) == ["scenes"]


def test_workers_without_this_package_are_said(series, tiny_package, tmp_path):
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard"]
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        address = empty.scheduler_address
        worker = subprocess.Popen(
            [*command, address], cwd=elsewhere, env=environment, stderr=subprocess.DEVNULL
        )
        try:
            with pytest.raises(AliseError, match="No module named 'alise_plugin'") as error:
                embed_on_cluster(features_from(series, encoder), tmp_path / "map.tif", address)
        finally:
            worker.terminate()
            worker.wait()
    assert "PYTHONPATH" in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "scenes"]


def test_a_scheduler_without_workers_is_said(series, tiny_package, tmp_path, monkeypatch):
    monkeypatch.setattr("alise_plugin.mapping.embedding.embed_on_dask._ANSWER", 1)
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(AliseError, match="has no worker; start some") as error,
    ):
        embed_on_cluster(
            features_from(series, encoder), tmp_path / "map.tif", empty.scheduler_address
        )
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["scenes"]
