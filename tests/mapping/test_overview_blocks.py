"""Overviews are handed on block by block, whatever windows a map is written in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alise_plugin.mapping.overview_blocks import OverviewBlocks
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


@given(sizes, sizes, sizes, sizes, sizes, st.sampled_from([0, 500, 1e9]))
def test_every_pixel_is_written_once(height, width, rows, columns, strip, most):
    truth = np.random.default_rng(0).normal(size=(2, height, width)).astype(np.float32)
    written = Written((height, width), np.float32)
    blocks = OverviewBlocks([(height, width)], SIDE, written, most)
    for window in windows_of(height, width, rows, columns, strip):
        place = slice(window.row, window.row_end), slice(window.col, window.col_end)
        blocks.add(0, window, truth[(slice(None), *place)])
    blocks.finish()
    np.testing.assert_array_equal(written.values, truth)
    assert (written.times == 1).all()
    if most == 1e9:  # and every block at once
        assert len(written.windows) == -(-height // SIDE) * -(-width // SIDE)


def test_what_waits_is_bounded():
    waiting = []

    def write(level, window, values):
        waiting.append(blocks._bytes)

    blocks = OverviewBlocks([(100, 1000)], SIDE, write, 2000)
    for window in windows_of(100, 1000, 5, 5, 5):
        blocks.add(0, window, np.zeros((2, window.height, window.width), np.float32))
        assert blocks._bytes <= 2000
    blocks.finish()
    assert blocks._bytes == 0
    assert waiting


def test_where_memory_is_short_blocks_ahead_are_kept_for_the_row_that_completes_them():
    # Windows of 5 pixels fill blocks of 8 in two or three rows; half of a row of blocks may wait.
    written = Written((40, 400), np.float32)
    blocks = OverviewBlocks([(40, 400)], SIDE, written, 400 * SIDE * 8 / 2)
    for window in windows_of(40, 400, 5, 5, 5):
        blocks.add(0, window, np.zeros((2, window.height, window.width), np.float32))
    blocks.finish()
    whole = [window for window in written.windows if window.pixels == SIDE * SIDE]
    assert len(whole) > 0.4 * 40 * 400 / SIDE**2
    assert len(written.windows) < 2 * 40 * 400 / SIDE**2
