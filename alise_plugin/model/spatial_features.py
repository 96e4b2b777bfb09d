"""Spatial features of the dates of a tile, in the device's memory or in an array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ..arrays import Float
from .device import Graph, out_of_memory
from .device_memory import DeviceFeatures, Lookup

Places = Union[slice, NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class Period:
    """Some dates of a series that make one embedding.

    Attributes:
        dates: `(n,)` places in the series, ascending.
        days: `(n,)` days that they are encoded with, since the package's reference date.
        every: rows and columns between two pixels that are wanted; 1 for all pixels.
    """

    dates: NDArray[np.integer[Any]]
    days: NDArray[np.floating[Any]]
    every: int = 1


class SpatialFeatures:
    """Spatial features of the dates that have any value, date by date.

    They lie where they will be used: in the device's memory, if there is a lookup for it and they
    fit; else in an array.

    Attributes:
        shape: rows and columns.
        valid: `(T, P)`, which features are of values.
        kept: places of the dates in the series; so many dates of the features are filled.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        room: tuple[int, int, int],
        dtype: np.dtype[Any],
        lookup: Lookup | None,
    ) -> None:
        """Make room for `(T, P, d_model)` features."""
        self.shape = shape
        self.valid = np.zeros(room[:2], bool)
        self.kept: list[int] = []
        self._there: DeviceFeatures | None = None
        if lookup is not None:
            try:
                self._there = DeviceFeatures(room, lookup)
            except Exception as error:  # onnxruntime's own classes have no public base.
                if not out_of_memory(error):
                    raise
        if self._there is None:
            self._here = np.empty(room, dtype)

    def adding(
        self,
        graph: Graph,
        dates: list[int],
        images: Float,
        window: tuple[slice, slice],
        masks: NDArray[np.bool_],
        options: Any,
    ) -> Callable[[], None]:
        """Return what takes dates in, in any thread, and in any order with others.

        Args:
            graph: gives the features of images.
            dates: `(n,)`, their places in the series.
            images: `(n, bands, H, W)`.
            window: rows and columns of an image that are kept.
            masks: `(n, h, w)`, which of these are values.
            options: see `Graph.run`.
        """
        to = slice(len(self.kept), len(self.kept) + len(dates))
        self.kept.extend(dates)
        return partial(self._add, to, graph, images, window, masks, options)

    def _add(
        self,
        to: slice,
        graph: Graph,
        images: Float,
        window: tuple[slice, slice],
        masks: NDArray[np.bool_],
        options: Any,
    ) -> None:
        if self._there is not None:
            height, width = images.shape[2:]
            indices = np.arange(height * width, dtype=np.int32).reshape(height, width)[window]
            crops = self._there.crops(to, (height, width), indices.ravel())
            graph.keep({"image": images}, ("image",), crops, options)
        else:
            encoded = graph.run({"image": images}, ("image",), options)
            self._here[to].reshape(*masks.shape, -1)[:] = encoded[(slice(None), *window)]
        self.valid[to].reshape(masks.shape)[:] = masks

    def features_of(self, dates: Places, some: Places, pixels: Places) -> Any:
        """Return what the temporal graph takes: `some` of `dates`, and `pixels`, as `(p, t, d)`."""
        if self._there is None:
            return np.ascontiguousarray(self._here[:, pixels][dates][some].transpose(1, 0, 2))
        all_dates, all_pixels = (np.arange(size) for size in self.valid.shape)
        return self._there.rows(all_dates[dates][some], all_pixels[pixels])

    def places_of(self, period: Period) -> tuple[Places, Float]:
        """Return where the dates of a period are in `features`, and their days."""
        days = dict(zip(np.asarray(period.dates).tolist(), np.asarray(period.days, np.float32)))
        indices = [place for place, date in enumerate(self.kept) if date in days]
        return as_slice(indices), np.array([days[self.kept[i]] for i in indices], np.float32)


def regular_pixels(shape: tuple[int, ...], every: int) -> Places:
    """Return places of every n-th row and column in an image without its shape."""
    if every == 1:
        return slice(0, shape[0] * shape[1])
    return np.arange(shape[0] * shape[1]).reshape(shape)[::every, ::every].ravel()


def stack_arrays(arrays: list[Any]) -> Any:
    """Do as `np.stack`, without a copy of a single one."""
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


def as_slice(indices: list[int]) -> Places:
    """Return a run of places as a slice, which copies nothing; others as an array."""
    if not indices or indices[-1] - indices[0] + 1 == len(indices):
        return slice(indices[0], indices[-1] + 1) if indices else slice(0, 0)
    return np.array(indices)
