"""Overviews of a raster, made from the tiles as they are written."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...sits.grid import Grid, Window
from .form import RasterForm

_COARSEST = 16  # overviews halve the raster up to here: what every tile is a multiple of


def overview_levels(grid: Grid) -> list[int]:
    """Return overviews that halve a raster until it fits into a block, or to the coarsest."""
    smallest = max(grid.width, grid.height) / 256
    return [2**i for i in range(1, int(math.log2(_COARSEST)) + 1) if 2 ** (i - 1) < smallest]


def halve(values: NDArray[Any], form: RasterForm) -> NDArray[Any]:
    """Return `(bands, H, W)` at half the size, rounded up, from blocks of 2 x 2 pixels."""
    if form.overviews == "nearest":
        return values[:, ::2, ::2]
    height, width = values.shape[1:]
    grow = [(0, 0), (0, height % 2), (0, width % 2)]
    whole = np.pad(values, grow, mode="edge") if height % 2 or width % 2 else values
    parts = [whole[:, row::2, col::2] for row in (0, 1) for col in (0, 1)]
    floats = np.dtype(form.dtype) == np.float32
    mean = parts[0] + parts[1] if floats else np.add(parts[0], parts[1], dtype=np.float32)
    mean += parts[2]
    mean += parts[3]
    mean *= 0.25
    if np.isnan(mean).any() if np.isnan(form.nodata) else (values == form.nodata).any():
        missing = [
            np.isnan(part) if np.isnan(form.nodata) else part == form.nodata for part in parts
        ]
        count = np.sum([~gone for gone in missing], axis=0, dtype=np.float32)
        kept = [np.where(gone, 0, part) for gone, part in zip(missing, parts)]
        total = np.sum(kept, axis=0, dtype=np.float32)
        mean = np.where(count > 0, total / np.maximum(count, 1), form.nodata)
    if np.dtype(form.dtype) != np.float32:
        mean = np.rint(mean)
    return mean.astype(form.dtype)


@dataclass
class _Pending:
    """A block of an overview of which some pixels are there.

    Attributes:
        level: number of the overview.
        window: its place in it.
        arrived: which pixels have come.
        pieces: those of them that lie in memory.
        slot: where in the file the others lie.
    """

    level: int
    window: Window
    arrived: list[Window] = field(default_factory=list)
    pieces: list[tuple[Window, NDArray[Any]]] = field(default_factory=list)
    slot: int | None = None

    @property
    def complete(self) -> bool:
        return sum(window.pixels for window in self.arrived) == self.window.pixels


class OverviewBlocks:
    """Hands a block of an overview on once it is complete, so that it is compressed once.

    Written as they come, most blocks would be compressed, read back and compressed again several
    times, and a TIFF does not use the place of the earlier ones again.

    Args:
        sizes: (rows, columns) of each overview.
        bands: of every overview.
        dtype: of their values.
        side: of the blocks, in pixels.
        write: takes the number of an overview, a window of it, and `(bands, H, W)`.
        most: bytes that may wait in memory; beyond, blocks wait in a temporary file, those first
            whose rest is farthest away where windows come row by row.
        folder: where that file is; it has no name, and is gone with the object.

    Its methods raise OSError where the disk does not take that file.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        bands: int,
        dtype: DTypeLike,
        side: int,
        write: Callable[[int, Window, NDArray[Any]], None],
        most: float,
        folder: str | os.PathLike[str],
    ) -> None:
        self._sizes = sizes
        self._bands = bands
        self._dtype = np.dtype(dtype)
        self._side = side
        self._write = write
        self._most = most
        self._folder = folder
        self._waiting: dict[tuple[int, int, int], _Pending] = {}
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._slots = 0
        self._free: list[int] = []

    def add(self, level: int, window: Window, values: NDArray[Any]) -> None:
        """Take `(bands, H, W)` of a window of an overview, which was not there before."""
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
            self._put_away(self._last_to_go_on(window.col_end / width))

    def finish(self) -> None:
        """Write what still waits: what is there of blocks that were never completed."""
        while self._waiting:
            pending = self._waiting.pop(next(iter(self._waiting)))
            values = self._gathered(pending)
            for part in pending.arrived:
                rows, columns = part.slices_in(pending.window)
                self._write(pending.level, part, np.ascontiguousarray(values[:, rows, columns]))
        self.close()

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            # What a full disk refused is tried again here; nobody needs it any more.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _take(self, level: int, block: Window, part: Window, values: NDArray[Any]) -> None:
        if part == block:
            self._write(level, block, np.ascontiguousarray(values))
            return
        key = (level, block.row, block.col)
        pending = self._waiting.setdefault(key, _Pending(level, block))
        pending.arrived.append(part)
        pending.pieces.append((part, values.copy()))
        self._bytes += values.nbytes
        if pending.complete:
            self._write(level, block, self._gathered(self._waiting.pop(key)))

    def _last_to_go_on(self, reached: float) -> _Pending:
        """Return of the blocks in memory, the last one that this row of windows has passed.

        Args:
            reached: share of the width that the row has come to.
        """

        def wait(pending: _Pending) -> tuple[bool, float]:
            end = pending.window.col_end / self._sizes[pending.level][1]
            return end <= reached, end

        return max((pending for pending in self._waiting.values() if pending.pieces), key=wait)

    def _put_away(self, pending: _Pending) -> None:
        """Move a block from memory to the file."""
        values = self._gathered(pending)
        if self._file is None:
            # It outlives this call; `close` ends it.
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        if not self._free:
            self._free.append(self._slots)
            self._slots += 1
        pending.slot = self._free.pop()
        self._file.seek(self._place(pending.slot))
        self._file.write(values.data)

    def _gathered(self, pending: _Pending) -> NDArray[Any]:
        """Return what is there of a block, in its place; neither memory nor the file keep it."""
        shape = (self._bands, pending.window.height, pending.window.width)
        values = np.zeros(shape, self._dtype)
        if pending.slot is not None:
            assert self._file is not None  # nosec B101  # narrows a type
            self._file.seek(self._place(pending.slot))
            self._file.readinto(values.data)  # type: ignore[attr-defined]
            self._free.append(pending.slot)
            pending.slot = None
        for part, piece in pending.pieces:
            rows, columns = part.slices_in(pending.window)
            values[:, rows, columns] = piece
            self._bytes -= piece.nbytes
        pending.pieces = []
        return values

    def _place(self, slot: int) -> int:
        return slot * self._bands * self._side**2 * self._dtype.itemsize


def _common(first: Window, second: Window) -> Window:
    """Return what two windows that overlap have in common."""
    col, row = max(first.col, second.col), max(first.row, second.row)
    width = min(first.col_end, second.col_end) - col
    return Window(col, row, width, min(first.row_end, second.row_end) - row)
