"""Features and a head in, a class map out: in one pass from the series, tile by tile.

What looks at neighbours (smoothing, sieve, polygons) works on a raster of probabilities or of class
numbers that is kept beside the map for as long as the run takes, in windows with a margin or as a
whole, so that the map depends neither on the tiles nor on the memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ...arrays import Float
from ...errors import HeadError, OutputError
from ...feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from ...model.heads.class_head import Head
from ...sits.grid import Tile
from ...sits.rasters import block_cache
from ..features.features import Features
from ..features.tiling import TileBudget, cache_size
from ..labels.layers import VectorLabels
from ..labels.legend import MAX_CLASSES
from ..labels.mask import Mask
from ..rasters.destinations import require_outputs, require_replaceable
from ..rasters.geotiff import block_side
from ..rasters.style import polygon_style, style_path
from .class_rasters import ClassArea, ClassCodes, ClassRasterWriters, shown_classes
from .head_items import head_items, warn_of_missing_bands
from .neighbourhood import MapOptions, ProbabilityRaster, remove_small_patches, second_pass_side
from .polygons import FIELD, LAYER, Polygons, write_polygons
from .smoothing import SMOOTHINGS

_ENCODED, _WRITTEN = 0.8, 0.9  # of a run's progress, where more follows


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


@dataclass(frozen=True)
class ClassMapOutputs:
    """Files that `segment` writes; None for what is not asked for.

    Attributes:
        output: GeoTIFF of class codes in the smallest integer type, with colour table, names and a
            style that QGIS loads.
        confidence: GeoTIFF of two bands: the probability of the class that the map shows, and the
            entropy of all classes as a share of the largest possible.
        probabilities: GeoTIFF of one band a class, as whole numbers of 1/10000 with their scale;
            smoothed where the map is (Bayesian smoothing).
        vector: GeoPackage of polygons with class, true area and mean confidence.
    """

    output: str | os.PathLike[str]
    confidence: str | os.PathLike[str] | None = None
    probabilities: str | os.PathLike[str] | None = None
    vector: str | os.PathLike[str] | None = None


def segment(
    source: Features,
    head: Head,
    outputs: ClassMapOutputs,
    *,
    options: MapOptions | None = None,
    mask: VectorLabels | None = None,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> SegmentResult:
    """Return map the classes of a head.

    Args:
        source: the features.
        head: the classifier.
        outputs: files to write.
        options: smoothing, smallest patch, least confidence.
        mask: polygons outside of which nothing is mapped.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source; all of it if None.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        HeadError: the head belongs to another encoder.
        LabelsError: the mask lies elsewhere.
        SeriesError: the extent is outside, or a file cannot be read.
        AliseError: the memory is too little.
        OutputError: a file cannot be written, or would overwrite an input or another output.
        Cancelled: the feedback says so; nothing is left.
    """
    options, budget = options or MapOptions(), budget or TileBudget()
    feedback = feedback or SilentFeedback()
    output, vector = outputs.output, outputs.vector
    confidence, probabilities = outputs.confidence, outputs.probabilities
    _check(options, vector)
    if len(head.classes) > MAX_CLASSES:
        raise HeadError(
            f"{head.name} has {len(head.classes)} classes, more than the {MAX_CLASSES} of a map; "
            "train a head on fewer."
        )
    require_outputs((output, confidence, probabilities, vector), (source.path, head.path))
    if vector:
        require_replaceable(vector, LAYER)
    head.require(source.identity)
    source = source.in_season(head.season, feedback)
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    half = options.window // 2 if options.smoothing != "none" else 0
    work = inner.expand(half, source.grid.window)  # neighbours of the map's edge
    side, tiles = source.tiles(work, budget)
    inside = Mask(mask, source.grid)
    for text in mask.warnings if mask else ():
        feedback.warning(text)
    chosen = [tile for tile in tiles if inside.any(tile.inner)]
    inside.require_some(inner.squares(side), mask)
    feedback.info(
        f"{inner.width} x {inner.height} pixels, {len(chosen)} tiles of {side}, "
        f"{len(head.classes)} classes, model {source.identity.name}{source.on_device}."
    )
    in_two_passes = options.smoothing != "none" or options.minimum_area > 0
    warn_of_missing_bands(source, head, feedback)
    encoding = Part(feedback, 0.0, _ENCODED if in_two_passes or vector else 1.0)

    def predicted() -> Iterator[tuple[Tile, Float]]:
        for tile, features in source.read_tiles(chosen, encoding):
            scores = head.probabilities(features)
            scores[:, ~inside.of(tile.inner)] = np.nan
            yield tile, scores

    metadata = _provenance(source, head, options)
    folder = os.path.dirname(os.path.abspath(output))
    with ExitStack() as stack:
        stack.enter_context(block_cache(cache_size(budget.memory_mb)))
        scratch = stack.enter_context(_scratch(folder))
        sheet = ClassCodes(head.classes, options.unknown > 0, metadata)
        if vector and style_path(vector) == style_path(output):  # then one file is both styles
            sheet.style += polygon_style(sheet.shown, FIELD)
        second_side = second_pass_side(len(head.classes), half, budget.memory_mb)
        block = min(256, second_side) if in_two_passes else block_side(side)
        grid = source.grid.subgrid(inner)
        writers = ClassRasterWriters(stack, sheet, grid, block, output, confidence, probabilities)
        if vector:
            writers.keep_numbers(stack, scratch)
        if in_two_passes:
            path = os.path.join(scratch, "probabilities.tif")
            stored = ProbabilityRaster(path, source.grid, work, len(head.classes), options)
            stack.callback(stored.close)  # Windows removes no file that is open
            stored.fill(predicted(), block_side(side))
            windows = inner.squares(second_side)
            step = Part(feedback, _ENCODED, _WRITTEN)
            numbers = None
            if options.minimum_area > 0:
                numbers = remove_small_patches(stored, windows, scratch, grid, inner, options, step)
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
                shown = shown_classes(scores, scores.argmax(0), options.unknown)
                writers.write(tile.inner.relative_to(inner), scores, shown)
        if vector:
            polygons = Polygons(sheet.shown, *writers.close_numbers(stack))
            write_polygons(vector, polygons, Part(feedback, _WRITTEN, 1.0))
    feedback.progress(1.0)
    return SegmentResult(os.fspath(output), writers.areas(), source.device_used)


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
    """Make a hidden folder beside the map for the time of a run."""
    try:
        return tempfile.TemporaryDirectory(prefix=".alise-", dir=folder)
    except OSError as error:
        raise OutputError(
            f"{folder} does not take files ({error.strerror}); choose another folder."
        ) from error


def _provenance(source: Features, head: Head, options: MapOptions) -> dict[str, str]:
    items = source.provenance | head_items(head)
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
