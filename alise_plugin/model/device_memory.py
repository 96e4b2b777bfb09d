"""Arrays in a device's memory, so that one graph's output is the next one's input there.

onnxruntime hands out such memory and binds graphs to addresses in it, but it can neither slice nor
copy there. So a graph of one node does: it looks rows up by their places. What is cut out of an
image, and which dates and pixels go through the temporal graph together, are such places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Places = NDArray[np.int32]

# CUDA's lookup counts values in 32 bits.
MOST_VALUES = 1 << 31


@dataclass(frozen=True)
class DeviceArray:
    """A contiguous array in a device's memory.

    Attributes:
        owner: the onnxruntime value that the memory belongs to; it is free once nobody holds it.
        address: where the array starts.
        shape: of the array.
        dtype: float32 or float16.
        device: "cpu" or "cuda".
    """

    owner: Any
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    device: str

    @classmethod
    def empty(cls, shape: Sequence[int], dtype: DTypeLike, device: str) -> DeviceArray:
        """Return memory that holds anything.

        Raises:
            Exception: the memory of the device is too little; see `device.out_of_memory`.
        """
        # Imported here: the plugin loads without onnxruntime.
        from onnxruntime import OrtValue

        kind = np.dtype(dtype)
        owner = OrtValue.ortvalue_from_shape_and_type(list(shape), kind.type, device, 0)
        return cls(owner, owner.data_ptr(), tuple(shape), kind, device)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> DeviceArray:
        """Return a part of the first axis, in the same memory."""
        start, end, _ = part.indices(len(self))
        before = start * math.prod(self.shape[1:]) * self.dtype.itemsize
        return replace(
            self, address=self.address + before, shape=(max(0, end - start), *self.shape[1:])
        )

    def reshape(self, *shape: int) -> DeviceArray:
        """Return the same memory as another shape of as many values."""
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"{self.shape} cannot be seen as {shape}")
        return replace(self, shape=shape)

    @property
    def bound(self) -> tuple[str, int, type, list[int], int]:
        """Return what `bind_input` and `bind_output` of onnxruntime take after the name."""
        return self.device, 0, self.dtype.type, list(self.shape), self.address


class Lookup:
    """Takes rows out of an array of a device into another."""

    def __init__(self, session: Any, device: str, dtype: DTypeLike) -> None:
        """See `device.open_lookup`."""
        self.device = device
        self.dtype = np.dtype(dtype)
        self._session = session

    def into(self, target: DeviceArray, rows: DeviceArray, places: Places) -> None:
        """Write rows `(N, d)` at places `(a, b)` to a target `(a, b, d)`."""
        binding = self._session.io_binding()
        binding.bind_input("rows", *rows.bound)
        binding.bind_cpu_input("places", np.ascontiguousarray(places, np.int32))
        binding.bind_output("taken", *target.bound)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)


@dataclass(frozen=True)
class Rows:
    """Rows of an array of a device, taken out when a graph runs on them.

    It can be cut as the NumPy array `(a, b, d)` that it stands for.

    Attributes:
        source: `(N, d)`, what they are taken from.
        places: `(a, b)`, where they are in it.
        lookup: takes them.
    """

    source: DeviceArray
    places: Places
    lookup: Lookup

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice | tuple[slice, ...]) -> Rows:
        return replace(self, places=self.places[part])

    def taken(self) -> DeviceArray:
        """Return the rows, `(a, b, d)`, in memory of their own."""
        shape = (*self.places.shape, self.source.shape[1])
        target = DeviceArray.empty(shape, self.source.dtype, self.source.device)
        self.lookup.into(target, self.source, self.places)
        return target


@dataclass(frozen=True)
class Crops:
    """Where features of images go: the pixels of each that are kept, image by image.

    Attributes:
        target: `(n, P, d)`.
        size: rows and columns of an image as the graph gives it.
        places: `(P,)` of these pixels in it, row by row.
        lookup: takes them.
    """

    target: DeviceArray
    size: tuple[int, int]
    places: Places
    lookup: Lookup

    def __getitem__(self, part: slice) -> Crops:
        """Return the same for some of the images."""
        return replace(self, target=self.target[part])

    def room(self) -> DeviceArray:
        """Return memory for the whole images, `(n, height, width, d)`."""
        count, _, width = self.target.shape
        return DeviceArray.empty((count, *self.size, width), self.target.dtype, self.target.device)

    def take(self, images: DeviceArray) -> None:
        """Write the pixels that are kept to the target."""
        count, width, pixels = len(images), images.shape[-1], math.prod(self.size)
        starts = np.arange(count, dtype=np.int32)[:, None] * np.int32(pixels)
        rows = images.reshape(count * pixels, width)
        self.lookup.into(self.target, rows, starts + self.places)


class DeviceFeatures:
    """Spatial features `(T, P, d)` of a series in a device's memory, date by date."""

    def __init__(self, shape: tuple[int, int, int], lookup: Lookup) -> None:
        """Take the memory.

        Raises:
            MemoryError: there are more values than a lookup can count.
            Exception: the memory of the device is too little; see `device.out_of_memory`.
        """
        if math.prod(shape) >= MOST_VALUES:
            raise MemoryError(f"out of memory: a lookup reaches {MOST_VALUES} values")
        self._array = DeviceArray.empty(shape, lookup.dtype, lookup.device)
        self._lookup = lookup

    def crops(self, dates: slice, size: tuple[int, int], places: Places) -> Crops:
        """Return where the images of some dates go; see `Crops`."""
        return Crops(self._array[dates], size, places, self._lookup)

    def rows(self, dates: NDArray[np.integer[Any]], pixels: NDArray[np.integer[Any]]) -> Rows:
        """Return the features of some dates `(t,)` and pixels `(p,)`, as `(p, t, d)`."""
        count, all_pixels, width = self._array.shape
        places = (dates[None, :] * all_pixels + pixels[:, None]).astype(np.int32)
        return Rows(self._array.reshape(count * all_pixels, width), places, self._lookup)
