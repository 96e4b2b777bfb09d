"""Overviews are handed on block by block, whatever windows a map is written in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alise_plugin.mapping.rasters.overviews import OverviewBlocks
from alise_plugin.sits.grid import Window

SIDE = 8


class Written:
    def __init__(self, size, dtype):
        self.values = np.zeros((2, *size), dtype)
        self.times = np.zeros(size, int)
        self.windows = []

    def __call__(self, level, window, values):
        rows, columns = slice(window.row, window.row_end), slice(window.col, window.col_end)
        self.values[:, rows, columns] = values
        self.times[rows, columns] += 1
        self.windows.append(window)


def windows_of(height, width, rows, columns, strip):
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            bottom = min(top + rows, height)
            for row in range(top, bottom, strip):
                yield Window(left, row, min(columns, width - left), min(strip, bottom - row))


sizes = st.integers(1, 50)
BANDS = 2


def blocks_of(height, width, written, most, folder):
    return OverviewBlocks([(height, width)], BANDS, np.float32, SIDE, written, most, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("overviews")


@given(sizes, sizes, sizes, sizes, sizes, st.sampled_from([0, 500, 1e9]))
def test_every_block_is_written_once_and_whole(folder, height, width, rows, columns, strip, most):
    truth = np.random.default_rng(0).normal(size=(BANDS, height, width)).astype(np.float32)
    written = Written((height, width), np.float32)
    blocks = blocks_of(height, width, written, most, folder)
    for window in windows_of(height, width, rows, columns, strip):
        place = slice(window.row, window.row_end), slice(window.col, window.col_end)
        blocks.add(0, window, truth[(slice(None), *place)])
    blocks.finish()
    np.testing.assert_array_equal(written.values, truth)
    assert (written.times == 1).all()
    assert len(written.windows) == -(-height // SIDE) * -(-width // SIDE)


@given(st.sets(st.integers(0, 24)), st.sampled_from([0, 500, 1e9]), st.randoms())
def test_of_a_map_with_gaps_what_is_there_is_written(folder, missing, most, order):
    truth = np.random.default_rng(0).normal(size=(BANDS, 25, 25)).astype(np.float32)
    windows = [window for i, window in enumerate(windows_of(25, 25, 5, 5, 5)) if i not in missing]
    order.shuffle(windows)
    written = Written((25, 25), np.float32)
    blocks = blocks_of(25, 25, written, most, folder)
    expected = np.zeros_like(truth)
    for window in windows:
        place = (slice(None), slice(window.row, window.row_end), slice(window.col, window.col_end))
        expected[place] = truth[place]
        blocks.add(0, window, truth[place])
    blocks.finish()
    np.testing.assert_array_equal(written.values, expected)
    assert written.times.sum() == sum(window.pixels for window in windows)


def test_what_waits_is_bounded_in_memory_and_on_disk(tmp_path):
    blocks = blocks_of(100, 1000, lambda *_: None, 2000, tmp_path)
    for window in windows_of(100, 1000, 5, 5, 5):
        blocks.add(0, window, np.zeros((BANDS, window.height, window.width), np.float32))
        assert blocks._bytes <= 2000
        # A row of blocks, and the next one's beginning.
        assert blocks._slots <= 2 * 1000 / SIDE
    assert blocks._slots > 1000 / SIDE / 2
    blocks.finish()
    assert blocks._bytes == 0
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_are_completed_soonest_stay_in_memory(tmp_path, monkeypatch):
    # Windows of 5 pixels fill blocks of 8 in two or three rows; half of a row of blocks may wait.
    moved = []
    put_away = OverviewBlocks._put_away
    monkeypatch.setattr(
        OverviewBlocks,
        "_put_away",
        lambda self, pending: (moved.append(1), put_away(self, pending)),
    )
    blocks = blocks_of(40, 400, lambda *_: None, 400 * SIDE * 4 * BANDS / 2, tmp_path)
    for window in windows_of(40, 400, 5, 5, 5):
        blocks.add(0, window, np.zeros((BANDS, window.height, window.width), np.float32))
    blocks.finish()
    # Any other order moves more: a random one 81, the opposite one 140.
    assert 0 < len(moved) < 0.25 * 40 * 400 / SIDE**2


def test_a_folder_that_takes_no_file_is_not_hidden(tmp_path):
    blocks = blocks_of(100, 100, lambda *_: None, 0, tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        blocks.add(0, Window(0, 0, 5, 5), np.zeros((BANDS, 5, 5), np.float32))
