import numpy as np
import pytest

from alise_plugin.sits.build import build_series
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.rasters import dated_rasters, write_raster


@pytest.fixture
def rng():
    return np.random.default_rng(20140303)


@pytest.fixture
def encoder():
    return FakeEncoder()


@pytest.fixture
def series(tmp_path, rng):
    """Four dates of 83 x 70 pixels with swath edges; the first ten columns have no date at all."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, values = dated_rasters(folder, rng, 4, height=70, width=83)
    values[:, :, :, :10] = 0
    values[0, :, 40:] = 0
    values[2, :, :, 55:] = 0
    for path, image in zip(paths, values):
        write_raster(path, image)
    return build_series(paths, folder / "series.vrt")
