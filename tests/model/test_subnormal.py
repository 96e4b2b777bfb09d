"""Worker threads take subnormal numbers for zero; the thread of the caller does not."""

import platform
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.flush_subnormals import flush_subnormals

pytestmark = pytest.mark.skipif(
    sys.platform not in ("linux", "win32") or platform.machine().lower() not in ("x86_64", "amd64"),
    reason="only x86 processors are slow with subnormal numbers",
)

# Looked up here: NumPy warns where it does so in a thread that flushes.
SMALLEST = np.finfo(np.float32).tiny


def halved_smallest():
    """Half of the smallest normal number, made at run time."""
    return float((np.full(64, SMALLEST) * np.float32(0.5)).max())


def test_only_the_thread_that_asks_flushes():
    with ThreadPoolExecutor(1, initializer=flush_subnormals) as pool:
        assert pool.submit(halved_smallest).result() == 0
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(halved_smallest).result() > 0
    assert halved_smallest() > 0


def test_other_numbers_are_computed_as_before():
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000).astype(np.float32) * np.float32(10) ** rng.integers(-30, 30)
    with ThreadPoolExecutor(1, initializer=flush_subnormals) as pool:
        found = pool.submit(lambda: values * np.float32(1.1) + np.float32(0.3)).result()
    np.testing.assert_array_equal(found, values * np.float32(1.1) + np.float32(0.3))


def test_blocks_of_pixels_are_computed_in_such_threads():
    found = []
    encoder = Encoder.__new__(Encoder)
    encoder._workers = 2
    encoder._each_block(lambda block: found.append(halved_smallest()), 4, 1)
    assert found == [0, 0, 0, 0]
    assert halved_smallest() > 0
