"""One map, one precision: in a run that goes on, and on every worker of a cluster."""

from pathlib import Path

import pytest

from alise_plugin.errors import Cancelled, OutputError
from alise_plugin.mapping.embedding import embed_on_dask as cluster
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.tiling import TileBudget
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "alise-s2"


class Stopped(FakeEncoder):
    """Stops the run at its first tile."""

    def encode_strips(self, *args, **options):
        raise Cancelled("The run was cancelled.")


def test_a_run_does_not_go_on_in_another_precision(series, tmp_path):
    path = tmp_path / "map.tif"
    with pytest.raises(Cancelled):
        embed(features_from(series, Stopped()), path, budget=TileBudget(tile_size=32), resume=True)
    other = FakeEncoder()
    other.precision = "float16"
    with pytest.raises(OutputError, match="blocks of another run"):
        embed(features_from(series, other), path, budget=TileBudget(tile_size=32), resume=True)
    embed(features_from(series, FakeEncoder()), path, budget=TileBudget(tile_size=32), resume=True)
    assert path.exists()


@pytest.fixture
def nothing_left_open():
    """A worker keeps series and models open: no other test shall find them."""
    yield
    cluster._opened.cache_clear()


def test_a_worker_encodes_in_the_precision_of_the_job(series, nothing_left_open):
    pytest.importorskip("onnxruntime")
    for precision in ("float16", "float32"):
        engine = "cpu", 1, precision
        _, encoder = cluster._opened(precision, series.path, str(BUNDLED), *engine)
        assert encoder.precision == precision
