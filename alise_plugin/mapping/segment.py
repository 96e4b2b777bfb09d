"""Features and a head in, a class map out: in one pass from the series, tile by tile.

What looks at neighbours (smoothing, sieve, polygons) works on a raster of probabilities or of class
numbers that is kept beside the map for as long as the run takes, in windows with a margin or as a
whole, so that the map depends neither on the tiles nor on the memory.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ..errors import HeadError, OutputError
from ..model.encoder import Encoder
from ..model.head import Head, MapClass
from ..sits.grid import Grid, Tile, Window
from ..sits.rasters import block_cache, open_raster, quiet_gdal, read_bands
from ..sits.series import ImageSeries
from .area import PixelAreas
from .feature_tiles import FeatureSource, features_of, tiles_for
from .feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from .inside import Inside
from .labels import MAX_CLASSES, VectorLabels
from .output import RasterForm, RasterOutput, block_side, require_outputs, require_replaceable
from .polygons import FIELD, LAYER, Polygons, write_polygons
from .provenance import head_items, provenance_of, warn_of_missing_bands
from .samples import encoder_identity
from .smoothing import SMOOTHINGS, bayes, majority
from .style import class_style, polygon_style, ramp_style, style_path
from .tile_loop import cache_size

UNCLASSIFIED = "unclassified"
_GREY = "#bdbdbd"
# Numbers of a temporary class raster; heads have at most 250 classes.
_UNKNOWN, _NONE = 254, 255
_STEPS = 10_000  # probabilities are stored as whole numbers of 1/10000
_NO_PROBABILITY = 65535
_ENCODED, _WRITTEN = 0.8, 0.9  # of a run's progress, where more follows
_SIDES = (512, 256, 128, 64, 32, 16)  # pixels: windows of the second pass
_COPIES = 8  # of a window's probabilities that smoothing holds

Float = NDArray[np.float32]
Int = NDArray[np.int32]


@dataclass(frozen=True)
class MapOptions:
    """How probabilities become a map.

    Attributes:
        smoothing: one of SMOOTHINGS.
        window: side of the neighbourhood in pixels, odd.
        fraction, smoothness: of Bayesian smoothing, see `smoothing.bayes`.
        minimum_area: m2; smaller patches go to their largest neighbour.
        unknown: a pixel whose class is less probable is left unclassified; 0 for none.
    """

    smoothing: str = "none"
    window: int = 9
    fraction: float = 0.5
    smoothness: float = 20.0
    minimum_area: float = 0.0
    unknown: float = 0.0


@dataclass(frozen=True)
class ClassArea:
    """How much of the map a class takes: pixels, and true area in m2 (see `PixelAreas`)."""

    item: MapClass
    pixels: int
    square_metres: float


@dataclass(frozen=True)
class SegmentResult:
    """What `segment` wrote.

    Attributes:
        path: the class raster.
        areas: of every class, and of "unclassified" where it was asked for.
        device: the device that the encoder used; empty for an embedding raster.
    """

    path: str
    areas: list[ClassArea]
    device: str


def segment(
    source: FeatureSource,
    encoder: Encoder | None,
    head: Head,
    output: str | os.PathLike[str],
    *,
    options: MapOptions | None = None,
    confidence: str | os.PathLike[str] | None = None,
    probabilities: str | os.PathLike[str] | None = None,
    vector: str | os.PathLike[str] | None = None,
    mask: VectorLabels | None = None,
    extent: Sequence[float] | None = None,
    memory_mb: float = 2048,
    tile_size: int | None = None,
    feedback: Feedback | None = None,
) -> SegmentResult:
    """Map the classes of a head.

    Args:
        source: image series or embedding raster.
        encoder: for an image series.
        head: the classifier.
        output: GeoTIFF of class codes in the smallest integer type, with colour table, names and a
            style that QGIS loads.
        options: smoothing, smallest patch, least confidence.
        confidence: GeoTIFF of two bands: the probability of the class that the map shows, and the
            entropy of all classes as a share of the largest possible.
        probabilities: GeoTIFF of one band a class, as whole numbers of 1/10000 with their scale;
            smoothed where the map is (Bayesian smoothing).
        vector: GeoPackage of polygons with class, true area and mean confidence.
        mask: polygons outside of which nothing is mapped.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source; all of it if None.
        memory_mb: what the run may take, in 10^6 bytes, beside the program itself.
        tile_size: side of the tiles in pixels instead of what the memory allows.
        feedback: progress and cancelling.

    Raises:
        HeadError: the head belongs to another encoder.
        LabelsError: the mask lies elsewhere.
        SeriesError: the extent is outside, or a file cannot be read.
        AliseError: the memory is too little.
        OutputError: a file cannot be written, or would overwrite an input or another output.
        Cancelled: the feedback says so; nothing is left.
    """
    options = options or MapOptions()
    feedback = feedback or SilentFeedback()
    _check(options, vector)
    if len(head.classes) > MAX_CLASSES:
        raise HeadError(
            f"{head.name} has {len(head.classes)} classes, more than the {MAX_CLASSES} of a map; "
            "train a head on fewer."
        )
    require_outputs((output, confidence, probabilities, vector), (source.path, head.path))
    if vector:
        require_replaceable(vector, LAYER)
    sha256, model_id, count = encoder_identity(source, encoder)
    head.require_encoder(sha256, model_id, count)
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    half = options.window // 2 if options.smoothing != "none" else 0
    work = inner.expand(half, source.grid.window)  # neighbours of the map's edge
    side, tiles = tiles_for(source, encoder, work, memory_mb, tile_size)
    inside = Inside(mask, source.grid)
    chosen = [tile for tile in tiles if inside.any(tile.inner)]
    inside.require_some(inner.squares(side), mask)
    device = encoder.device_used if encoder and isinstance(source, ImageSeries) else ""
    where = f" on {encoder.where}" if encoder and device else ""
    feedback.info(
        f"{inner.width} x {inner.height} pixels, {len(chosen)} tiles of {side}, "
        f"{len(head.classes)} classes, model {model_id}{where}."
    )
    in_two_passes = options.smoothing != "none" or options.minimum_area > 0
    warn_of_missing_bands(source, head, feedback)
    encoding = Part(feedback, 0.0, _ENCODED if in_two_passes or vector else 1.0)

    def predicted() -> Iterator[tuple[Tile, Float]]:
        for tile, features in features_of(source, encoder, chosen, encoding):
            scores = head.probabilities(features)
            scores[:, ~inside.of(tile.inner)] = np.nan
            yield tile, scores

    metadata = _provenance(source, encoder, head, options)
    folder = os.path.dirname(os.path.abspath(output))
    with ExitStack() as stack:
        stack.enter_context(block_cache(cache_size(memory_mb)))
        scratch = stack.enter_context(_scratch(folder))
        sheet = _Sheet(head.classes, options.unknown > 0, metadata)
        if vector and style_path(vector) == style_path(output):  # then one file is both styles
            sheet.style += polygon_style(sheet.shown, FIELD)
        second_side = _second_side(len(head.classes), half, memory_mb)
        block = min(256, second_side) if in_two_passes else block_side(side)
        grid = source.grid.subgrid(inner)
        writers = _Writers(stack, sheet, grid, block, output, confidence, probabilities)
        if vector:
            writers.keep_numbers(stack, scratch)
        if in_two_passes:
            path = os.path.join(scratch, "probabilities.tif")
            stored = _Stored(path, source.grid, work, len(head.classes), options)
            stack.callback(stored.close)  # Windows removes no file that is open
            stored.fill(predicted(), block_side(side))
            windows = inner.squares(second_side)
            step = Part(feedback, _ENCODED, _WRITTEN)
            numbers = None
            if options.minimum_area > 0:
                numbers = _sieved(stored, windows, scratch, grid, inner, options, step)
                stack.callback(numbers.close)
            for done, window in enumerate(windows):
                stop_if_cancelled(feedback)
                step.progress(0.5 + 0.5 * done / len(windows))
                scores, shown = stored.classes(window)
                if numbers is not None:
                    shown = numbers.read(window.relative_to(inner))
                writers.write(window.relative_to(inner), scores, shown)
        else:
            for tile, scores in predicted():
                shown = _numbers(scores, scores.argmax(0), options.unknown)
                writers.write(tile.inner.relative_to(inner), scores, shown)
        if vector:
            polygons = Polygons(sheet.shown, *writers.close_numbers(stack))
            write_polygons(vector, polygons, Part(feedback, _WRITTEN, 1.0))
    feedback.progress(1.0)
    return SegmentResult(os.fspath(output), writers.areas(), device)


def _check(options: MapOptions, vector: str | os.PathLike[str] | None) -> None:
    if options.smoothing not in SMOOTHINGS:
        raise ValueError(f"smoothing is {options.smoothing!r}; choose one of {SMOOTHINGS}")
    if options.smoothing != "none" and (options.window < 3 or options.window % 2 == 0):
        raise OutputError(
            f"A neighbourhood of {options.window} pixels has no middle; choose an odd WINDOW of "
            "3 or more."
        )
    if vector and not os.fspath(vector).lower().endswith(".gpkg"):
        raise OutputError(
            f"{os.fspath(vector)}: class polygons are a GeoPackage, let its name end in .gpkg."
        )


def _scratch(folder: str) -> tempfile.TemporaryDirectory[str]:
    """A hidden folder beside the map, on the disk that the user chose, gone after the run."""
    try:
        return tempfile.TemporaryDirectory(prefix=".alise-", dir=folder)
    except OSError as error:
        raise OutputError(
            f"{folder} does not take files ({error.strerror}); choose another folder."
        ) from error


def _provenance(
    source: FeatureSource, encoder: Encoder | None, head: Head, options: MapOptions
) -> dict[str, str]:
    items = provenance_of(source, encoder) | head_items(head)
    items["ALISE_CLASSIFIER"] = head.description.classifier
    items["ALISE_SMOOTHING"] = options.smoothing
    if options.smoothing != "none":
        items["ALISE_SMOOTHING_WINDOW"] = str(options.window)
    if options.smoothing == "bayes":
        items["ALISE_SMOOTHING_FRACTION"] = f"{options.fraction:g}"
        items["ALISE_SMOOTHING_SMOOTHNESS"] = f"{options.smoothness:g}"
    items["ALISE_MINIMUM_AREA_M2"] = f"{options.minimum_area:g}"
    items["ALISE_UNKNOWN_BELOW"] = f"{options.unknown:g}"
    return items


def _second_side(classes: int, half: int, memory_mb: float) -> int:
    """Largest window whose probabilities, with their margin, fit into half of the memory."""
    fits = memory_mb * 1e6 / 2 / (4 * _COPIES * classes)
    return next((side for side in _SIDES if (side + 2 * half) ** 2 <= fits), _SIDES[-1])


def _numbers(scores: Float, best: NDArray[np.integer], unknown: float) -> Int:
    """`(H, W)` place of the class, _UNKNOWN where it is not probable enough, _NONE without value.

    Args:
        scores: `(K, H, W)` probabilities.
        best: `(H, W)` place of the class.
        unknown: least probability.
    """
    numbers = best.astype(np.int32)
    missing = np.isnan(scores[0])
    if unknown > 0:
        numbers[_probability_of(scores, numbers) < unknown] = _UNKNOWN
    numbers[missing] = _NONE
    return numbers


def _probability_of(scores: Float, numbers: Int) -> Float:
    """`(H, W)` probability of the class shown; of the most probable one where none is."""
    places = np.where(numbers < len(scores), numbers, np.nan_to_num(scores, nan=-1).argmax(0))
    return np.take_along_axis(scores, places[None], 0)[0]


class _Sheet:
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
            self.shown.append(MapClass(self.unknown_code, UNCLASSIFIED, _GREY))
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
        self._codes[_UNKNOWN] = self.unknown_code

    def codes(self, numbers: Int) -> NDArray:
        return self._codes[numbers]

    def class_form(self) -> RasterForm:
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
        names = ["probability", "entropy"]
        return RasterForm(
            names,
            np.dtype(np.float32),
            float("nan"),
            metadata=self.metadata,
            style=ramp_style(1, 0, 1),
        )

    def probability_form(self) -> RasterForm:
        count = len(self.classes)
        return RasterForm(
            [item.name for item in self.classes],
            np.dtype(np.uint16),
            _NO_PROBABILITY,
            scale=[1 / _STEPS] * count,
            offset=[0.0] * count,
            metadata=self.metadata,
            style=ramp_style(1, 0, 1),
        )


def _stored_values(scores: Float) -> NDArray[np.uint16]:
    raw = np.rint(scores * _STEPS)
    return np.where(np.isnan(raw), _NO_PROBABILITY, raw).astype(np.uint16)


class _Writers:
    """The rasters of a map, written window by window, and the areas counted on the way."""

    def __init__(
        self,
        stack: ExitStack,
        sheet: _Sheet,
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
        """Also write class numbers and confidence to a folder, to make polygons of."""
        number = RasterForm(["number"], np.dtype(np.uint8), _NONE)
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
        assert self._kept is not None
        self._kept_stack.close()
        return self._kept[0].path, self._kept[1].path

    def write(self, window: Window, scores: Float, numbers: Int) -> None:
        """Write a window.

        Args:
            window: pixels of the map.
            scores: `(K, H, W)` probabilities.
            numbers: `(H, W)` class numbers.
        """
        assert self._classes is not None
        self._classes.write(window, self._sheet.codes(numbers)[None])
        if self._probabilities:
            self._probabilities.write(window, _stored_values(scores))
        if self._confidence or self._kept:
            shown = _probability_of(scores, numbers)
            if self._confidence:
                self._confidence.write(window, np.stack([shown, _entropy(scores)]))
            if self._kept:
                self._kept[0].write(window, numbers[None].astype(np.uint8))
                self._kept[1].write(window, shown[None])
        areas = self._pixel_areas.of(window)
        self._pixels += np.bincount(numbers.ravel(), minlength=256)
        self._square_metres += np.bincount(numbers.ravel(), areas.ravel(), minlength=256)

    def areas(self) -> list[ClassArea]:
        """What was counted, in the order of the legend."""
        places = [*range(len(self._sheet.classes)), _UNKNOWN]
        return [
            ClassArea(item, int(self._pixels[place]), float(self._square_metres[place]))
            for item, place in zip(self._sheet.shown, places)
        ]


def _entropy(scores: Float) -> Float:
    """`(H, W)` entropy as a share of the largest possible, 0 to 1."""
    logs = np.log(np.maximum(scores, 1e-12))
    return (-(scores * logs).sum(0) / math.log(max(2, len(scores)))).astype(np.float32)


class _Stored:
    """Probabilities of the whole map on disk, read back in windows with a margin.

    Args:
        path: the temporary raster.
        grid: of the source.
        work: the window of the source that it covers.
        count: K.
        options: how to smooth.
    """

    def __init__(
        self, path: str, grid: Grid, work: Window, count: int, options: MapOptions
    ) -> None:
        self._path, self._grid, self._work, self._count = path, grid.subgrid(work), work, count
        self._options = options
        self._half = options.window // 2 if options.smoothing != "none" else 0
        self._dataset: gdal.Dataset | None = None

    def fill(self, tiles: Iterator[tuple[Tile, Float]], block: int) -> None:
        """Write the probabilities of all tiles."""
        names = [f"class {number}" for number in range(self._count)]
        form = RasterForm(names, np.dtype(np.uint16), _NO_PROBABILITY)
        with RasterOutput(self._path, self._grid, form, block) as raster:
            for tile, scores in tiles:
                raster.write(tile.inner.relative_to(self._work), _stored_values(scores))
        self._dataset = open_raster(self._path)

    def close(self) -> None:
        """Close the file."""
        self._dataset = None

    def classes(self, window: Window) -> tuple[Float, Int]:
        """Probabilities `(K, H, W)` and class numbers `(H, W)` of a window of the source."""
        around = window.expand(self._half, self._work)
        place = around.relative_to(self._work)
        scores = read_bands(
            self._dataset,
            range(1, self._count + 1),
            place.col,
            place.row,
            place.width,
            place.height,
        )
        scores[scores == _NO_PROBABILITY] = np.nan
        scores /= _STEPS
        rows, columns = window.slices_in(around)
        options = self._options
        if options.smoothing == "bayes":
            scores = bayes(scores, options.window, options.fraction, options.smoothness)
        best = scores.argmax(0).astype(np.int32)
        best[np.isnan(scores[0])] = -1
        if options.smoothing == "majority":
            best = majority(best, self._count, options.window)
        scores, best = scores[:, rows, columns], best[rows, columns]
        return scores, _numbers(scores, np.maximum(best, 0), options.unknown)


class _NumberRaster:
    """Class numbers of the map on disk."""

    def __init__(self, path: str) -> None:
        self._dataset = open_raster(path)

    def close(self) -> None:
        """Close the file."""
        self._dataset = None

    def read(self, window: Window) -> Int:
        values = read_bands(self._dataset, [1], window.col, window.row, window.width, window.height)
        return values[0].astype(np.int32)


def _sieves(least: int) -> list[int]:
    """Sizes in pixels to sieve by, one after the other.

    A sieve leaves a small patch alone where all that touch it are small too. So what it leaves is
    sieved from single pixels on, until patches have grown to the size.
    """
    growing = [2**power for power in range(1, least.bit_length())]
    return [least, *growing, least] if growing else [least]


def _sieved(
    stored: _Stored,
    windows: Sequence[Window],
    folder: str,
    grid: Grid,
    inner: Window,
    options: MapOptions,
    feedback: Feedback,
) -> _NumberRaster:
    """Class numbers of the whole map, patches below the smallest area given to neighbours."""
    before, after = (os.path.join(folder, name) for name in ("before.tif", "after.tif"))
    form = RasterForm(["number"], np.dtype(np.uint8), _NONE)
    with RasterOutput(before, grid, form, 256) as raster:
        for number, window in enumerate(windows):
            stop_if_cancelled(feedback)
            numbers = stored.classes(window)[1].astype(np.uint8)
            raster.write(window.relative_to(inner), numbers[None])
            feedback.progress(0.5 * (number + 1) / len(windows))
    pixels = options.minimum_area / PixelAreas(grid).mean()
    least = math.ceil(min(pixels, inner.pixels, 2**31 - 1) - 1e-6)
    with RasterOutput(after, grid, form, 256):
        pass
    with quiet_gdal() as failures:
        source = gdal.Open(before)
        target = gdal.Open(after, gdal.GA_Update)
        band = source.GetRasterBand(1)
        for size in _sieves(least):
            gdal.SieveFilter(
                band,
                band.GetMaskBand(),
                target.GetRasterBand(1),
                size,
                4,
                callback=lambda *_: 0 if feedback.cancelled() else 1,
            )
            if feedback.cancelled() or failures:
                break
            band = target.GetRasterBand(1)
        source = band = target = None
    stop_if_cancelled(feedback)
    if failures:
        raise OutputError(
            f"Small patches cannot be removed ({failures[0]}); make room on the disk of the map."
        )
    return _NumberRaster(after)
