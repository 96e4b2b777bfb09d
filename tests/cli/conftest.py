import numpy as np
import pytest

from tests.helpers.rasters import dated_rasters


@pytest.fixture
def scenes(tmp_path):
    """Three dates of 40 x 36 pixels, dates in their names."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, _ = dated_rasters(folder, np.random.default_rng(0), 3, height=36, width=40)
    return paths
