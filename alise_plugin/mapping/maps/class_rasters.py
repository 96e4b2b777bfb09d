"""The rasters that Segment writes: class codes, confidence and probabilities."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float, Int
from ...model.heads.class_head import MapClass
from ...sits.grid import Grid, Window
from ...sits.pixel_area import PixelAreas
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput
from ..rasters.style import class_style, ramp_style

UNCLASSIFIED = "unclassified"


GREY = "#bdbdbd"


# Numbers of a temporary class raster; heads have at most 250 classes.
UNKNOWN_CLASS, NO_CLASS = 254, 255


PROBABILITY_STEPS = 10_000  # probabilities are stored as whole numbers of 1/10000


NO_PROBABILITY = 65535


@dataclass(frozen=True)
class ClassArea:
    """How much of the map a class takes: pixels, and true area in m2 (see `PixelAreas`)."""

    item: MapClass
    pixels: int
    square_metres: float


def shown_classes(scores: Float, best: NDArray[np.integer[Any]], unknown: float) -> Int:
    """Return the place `(H, W)` of the class that is shown, _UNKNOWN or _NONE.

    Args:
        scores: `(K, H, W)` probabilities.
        best: `(H, W)` place of the class.
        unknown: least probability.
    """
    numbers = best.astype(np.int32)
    missing = np.isnan(scores[0])
    if unknown > 0:
        numbers[probability_of_shown(scores, numbers) < unknown] = UNKNOWN_CLASS
    numbers[missing] = NO_CLASS
    return numbers


def probability_of_shown(scores: Float, numbers: Int) -> Float:
    """Return `(H, W)` probability of the class shown; of the most probable one where none is."""
    indices = np.where(numbers < len(scores), numbers, np.nan_to_num(scores, nan=-1).argmax(0))
    return np.asarray(np.take_along_axis(scores, indices[None], 0)[0])


class ClassCodes:
    """Codes, types, names and colours of the rasters of a map."""

    def __init__(
        self, classes: Sequence[MapClass], with_unknown: bool, metadata: dict[str, str]
    ) -> None:
        codes = [item.code for item in classes]
        # Two at the end of each 32-bit type: "nodata" and "unclassified" where 0 is a class.
        tops = [255, 65535, 2**31 - 2, 2**31 - 1, 2**32 - 2, 2**32 - 1]
        free = [top for top in tops if top > max(codes)]
        self.nodata = free.pop(0) if 0 in codes else 0
        self.classes = tuple(classes)
        self.shown = list(classes)
        self.unknown_code = self.nodata
        if with_unknown:
            self.unknown_code = free[0]
            self.shown.append(MapClass(self.unknown_code, UNCLASSIFIED, GREY))
        self.metadata = metadata
        self.style = class_style(self.shown)
        values = [*codes, self.nodata, self.unknown_code]
        kinds = (np.uint8, np.uint16, np.int16, np.uint32, np.int32)
        self.dtype = next(
            np.dtype(kind)
            for kind in kinds
            if np.iinfo(kind).min <= min(values) and max(values) <= np.iinfo(kind).max
        )
        self._codes = np.full(256, self.nodata, self.dtype)
        self._codes[: len(codes)] = codes
        self._codes[UNKNOWN_CLASS] = self.unknown_code

    def codes(self, numbers: Int) -> NDArray[Any]:
        """Return the class codes of class numbers, an array of the same shape."""
        return self._codes[numbers]

    def class_form(self) -> RasterForm:
        """Return the form of the class raster."""
        return RasterForm(
            ["class"],
            self.dtype,
            self.nodata,
            metadata=self.metadata,
            categories={item.code: item.name for item in self.shown},
            colors={item.code: item.rgb for item in self.shown},
            style=self.style,
        )

    def confidence_form(self) -> RasterForm:
        """Return the form of the raster of probability and entropy."""
        names = ["probability", "entropy"]
        return RasterForm(
            names,
            np.dtype(np.float32),
            float("nan"),
            metadata=self.metadata,
            style=ramp_style(1, 0, 1),
        )

    def probability_form(self) -> RasterForm:
        """Return the form of the raster with one band a class."""
        count = len(self.classes)
        return RasterForm(
            [item.name for item in self.classes],
            np.dtype(np.uint16),
            NO_PROBABILITY,
            scale=[1 / PROBABILITY_STEPS] * count,
            offset=[0.0] * count,
            metadata=self.metadata,
            style=ramp_style(1, 0, 1),
        )


def probabilities_as_integers(scores: Float) -> NDArray[np.uint16]:
    """Return probabilities in steps of 1/10000, with `NO_PROBABILITY` for NaN."""
    raw = np.rint(scores * PROBABILITY_STEPS)
    return np.where(np.isnan(raw), NO_PROBABILITY, raw).astype(np.uint16)


class ClassRasterWriters:
    """The rasters of a map, written window by window, and the areas counted on the way."""

    def __init__(
        self,
        stack: ExitStack,
        sheet: ClassCodes,
        grid: Grid,
        block: int,
        output: str | os.PathLike[str],
        confidence: str | os.PathLike[str] | None,
        probabilities: str | os.PathLike[str] | None,
    ) -> None:
        self._sheet, self._grid, self._block = sheet, grid, block

        def opened(path: str | os.PathLike[str] | None, form: RasterForm) -> RasterOutput | None:
            return stack.enter_context(RasterOutput(path, grid, form, block)) if path else None

        self._classes = opened(output, sheet.class_form())
        self._confidence = opened(confidence, sheet.confidence_form())
        self._probabilities = opened(probabilities, sheet.probability_form())
        self._kept: tuple[RasterOutput, RasterOutput] | None = None
        self._kept_stack = ExitStack()
        self._pixel_areas = PixelAreas(grid)
        self._pixels = np.zeros(256, np.int64)
        self._square_metres = np.zeros(256)

    def keep_numbers(self, stack: ExitStack, folder: str) -> None:
        """Write class numbers and confidence to a folder too, to make polygons of them."""
        number = RasterForm(["number"], np.dtype(np.uint8), NO_CLASS)
        probability = RasterForm(["probability"], np.dtype(np.float32), float("nan"))
        stack.enter_context(self._kept_stack)
        first, second = (
            self._kept_stack.enter_context(
                RasterOutput(os.path.join(folder, name), self._grid, form, self._block)
            )
            for name, form in (("numbers.tif", number), ("probability.tif", probability))
        )
        self._kept = first, second

    def close_numbers(self, stack: ExitStack) -> tuple[str, str]:
        """Complete the rasters of `keep_numbers`; their paths."""
        assert self._kept is not None  # nosec B101  # narrows a type
        self._kept_stack.close()
        return self._kept[0].path, self._kept[1].path

    def write(self, window: Window, scores: Float, numbers: Int) -> None:
        """Write a window.

        Args:
            window: pixels of the map.
            scores: `(K, H, W)` probabilities.
            numbers: `(H, W)` class numbers.
        """
        assert self._classes is not None  # nosec B101  # narrows a type
        self._classes.write(window, self._sheet.codes(numbers)[None])
        if self._probabilities:
            self._probabilities.write(window, probabilities_as_integers(scores))
        if self._confidence or self._kept:
            shown = probability_of_shown(scores, numbers)
            if self._confidence:
                self._confidence.write(window, np.stack([shown, _entropy(scores)]))
            if self._kept:
                self._kept[0].write(window, numbers[None].astype(np.uint8))
                self._kept[1].write(window, shown[None])
        areas = self._pixel_areas.of(window)
        self._pixels += np.bincount(numbers.ravel(), minlength=256)
        self._square_metres += np.bincount(numbers.ravel(), areas.ravel(), minlength=256)

    def areas(self) -> list[ClassArea]:
        """Return what was counted, in the order of the legend."""
        indices = [*range(len(self._sheet.classes)), UNKNOWN_CLASS]
        return [
            ClassArea(item, int(self._pixels[place]), float(self._square_metres[place]))
            for item, place in zip(self._sheet.shown, indices)
        ]


def _entropy(scores: Float) -> Float:
    """Return `(H, W)` entropy as a share of the largest possible, 0 to 1."""
    logs = np.log(np.maximum(scores, 1e-12))
    return np.asarray((-(scores * logs).sum(0) / math.log(max(2, len(scores)))).astype(np.float32))
