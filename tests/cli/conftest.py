import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "sits")]

from rasters_for_tests import dated_rasters  # noqa: E402


@pytest.fixture
def scenes(tmp_path):
    """Three dates of 40 x 36 pixels, dates in their names."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, _ = dated_rasters(folder, np.random.default_rng(0), 3, height=36, width=40)
    return paths
