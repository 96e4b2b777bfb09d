"""Blocks of overviews, gathered from windows that do not end where blocks do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..sits.grid import Window


@dataclass
class _Pending:
    """A block of an overview of which some pixels are there."""

    level: int
    window: Window
    pieces: list[tuple[Window, NDArray]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return sum(window.pixels for window, _ in self.pieces) == self.window.pixels

    @property
    def nbytes(self) -> int:
        return sum(values.nbytes for _, values in self.pieces)


class OverviewBlocks:
    """Hands a block of an overview on once it is complete, so that it is compressed once.

    Written as they come, most blocks would be compressed, read back and compressed again several
    times, and a TIFF does not use the place of the earlier ones again.

    Args:
        sizes: (rows, columns) of each overview.
        side: of the blocks, in pixels.
        write: takes the number of an overview, a window of it, and `(bands, H, W)`.
        most: bytes that may wait; beyond, blocks are written in pieces, those first whose rest is
            farthest away where windows come row by row.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        side: int,
        write: Callable[[int, Window, NDArray], None],
        most: float,
    ) -> None:
        self._sizes = sizes
        self._side = side
        self._write = write
        self._most = most
        self._waiting: dict[tuple[int, int, int], _Pending] = {}
        self._bytes = 0

    def add(self, level: int, window: Window, values: NDArray) -> None:
        """Takes `(bands, H, W)` of a window of an overview, which was not there before."""
        side = self._side
        height, width = self._sizes[level]
        for row in range(window.row // side, math.ceil(window.row_end / side)):
            for col in range(window.col // side, math.ceil(window.col_end / side)):
                top, left = row * side, col * side
                block = Window(left, top, min(side, width - left), min(side, height - top))
                part = _common(block, window)
                rows, columns = part.slices_in(window)
                self._take(level, block, part, values[:, rows, columns])
        while self._bytes > self._most:
            self._finish(self._last_to_go_on(window.col_end / width))

    def finish(self) -> None:
        """Writes what still waits."""
        while self._waiting:
            self._finish(next(iter(self._waiting)))

    def _take(self, level: int, block: Window, part: Window, values: NDArray) -> None:
        if part == block:
            self._write(level, block, np.ascontiguousarray(values))
            return
        key = (level, block.row, block.col)
        pending = self._waiting.setdefault(key, _Pending(level, block))
        pending.pieces.append((part, values.copy()))
        self._bytes += values.nbytes
        if pending.complete:
            self._finish(key)

    def _last_to_go_on(self, reached: float) -> tuple[int, int, int]:
        """The block that waits longest from now on: of those that the row has passed, the last.

        Args:
            reached: share of the width that this row of windows has come to.
        """

        def wait(key: tuple[int, int, int]) -> tuple[bool, float]:
            pending = self._waiting[key]
            end = pending.window.col_end / self._sizes[pending.level][1]
            return end <= reached, end

        return max(self._waiting, key=wait)

    def _finish(self, key: tuple[int, int, int]) -> None:
        pending = self._waiting.pop(key)
        self._bytes -= pending.nbytes
        around = _around([part for part, _ in pending.pieces])
        if around.pixels != sum(part.pixels for part, _ in pending.pieces):
            for part, values in pending.pieces:
                self._write(pending.level, part, values)
            return
        first = pending.pieces[0][1]
        whole = np.empty((len(first), around.height, around.width), first.dtype)
        for part, values in pending.pieces:
            rows, columns = part.slices_in(around)
            whole[:, rows, columns] = values
        self._write(pending.level, around, whole)


def _around(windows: Sequence[Window]) -> Window:
    """The least window that holds all of some."""
    col, row = min(each.col for each in windows), min(each.row for each in windows)
    width = max(each.col_end for each in windows) - col
    return Window(col, row, width, max(each.row_end for each in windows) - row)


def _common(first: Window, second: Window) -> Window:
    """What two windows that overlap have in common."""
    col, row = max(first.col, second.col), max(first.row, second.row)
    width = min(first.col_end, second.col_end) - col
    return Window(col, row, width, min(first.row_end, second.row_end) - row)
