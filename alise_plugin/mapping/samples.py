"""Training samples: which pixels of the labels, their features, and which of them belong together.

Two passes keep memory and time in bounds. The first looks at the labels alone and chooses at most
so many pixels of each area; the second encodes only tiles that hold a chosen pixel. The choice
depends on the seed and the pixel's place, so neither tile size nor memory changes it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from osgeo import osr

from ..errors import HeadError, LabelsError
from ..model.encoder import Encoder
from ..sits.grid import Grid, Tile, Window
from ..sits.rasters import block_cache
from ..sits.series import ImageSeries
from .feature_tiles import FeatureSource, features_of, needed_encoder
from .feedback import Feedback, Part, stop_if_cancelled
from .labels import (
    Areas,
    Burner,
    Labels,
    RasterLabels,
    RasterValues,
    Value,
    Values,
    VectorLabels,
    VectorValues,
    WarpedLabels,
    WarpedValues,
    merge_places,
    on_grid,
    transformation,
)
from .tile_loop import cache_size, choose_tile_size, tile_halo, tile_step

VALIDATIONS = ("polygons", "blocks")
_STRIP = 1024  # pixels: side of the windows in which labels are looked for
_MOST = 50_000  # samples: more of them cost time and change a classifier little
_SHARE = 1 / 6  # of the memory that samples may take; fitting needs copies of them
_NAMED = 10  # classes that a sentence names at most
_METRES_PER_DEGREE = 111_320.0
_LARGEST = 1e30  # what is measured; heads and maps are of 32 bits, which end at 3.4e38


# What lies on features: classes, or measured values.
Truth = TypeVar("Truth", bound="Labels | Values", covariant=True)


@dataclass(frozen=True)
class LabelledSource(Generic[Truth]):
    """Features and the labels that lie on them."""

    source: FeatureSource
    labels: Truth

    @property
    def name(self) -> str:
        """File of the features."""
        return os.path.basename(self.source.path)


@dataclass(frozen=True)
class Samples:
    """Labelled pixels.

    Attributes:
        features: `(N, F)` float32.
        target: `(N,)` place of the class in the list of classes, of which some may be absent.
        group: `(N,)` pixels of one group are never split between training and validation.
        notes: sentences about what was left out.
    """

    features: NDArray[np.float32]
    target: NDArray[np.int64]
    group: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ValueSamples:
    """Pixels where something was measured.

    Attributes:
        features: `(N, F)` float32.
        value: `(N,)` what was measured.
        area: `(N,)` pixels of one area have one value; each pixel of a raster is its own.
        group: `(N,)` pixels of one group are never split between training and validation.
        notes: sentences about what was left out.
    """

    features: NDArray[np.float32]
    value: NDArray[np.float64]
    area: NDArray[np.int64]
    group: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


@dataclass
class _Chosen:
    """Pixels of one source, chosen for their labels."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    area: NDArray[np.int64]
    target: NDArray[np.number]  # place of the class, or what was measured
    rank: NDArray[np.int64]  # among the pixels of its area, in the order of chance
    priority: NDArray[np.uint64]

    def take(self, chosen: NDArray) -> _Chosen:
        parts = (self.row, self.col, self.area, self.target, self.rank, self.priority)
        return _Chosen(*(part[chosen] for part in parts))


def encoder_identity(source: FeatureSource, encoder: Encoder | None) -> tuple[str, str, int]:
    """Which encoder features come from: hash, what to call it, and how many features it gives."""
    if isinstance(source, ImageSeries):
        package = needed_encoder(source, encoder).package
        return package.sha256, package.model_id, package.n_queries * package.d_model
    items = source.metadata
    sha256 = items["ALISE_MODEL_SHA256"]
    name = f"{items.get('ALISE_MODEL', '')} {items.get('ALISE_MODEL_VERSION', '')} {sha256[:8]}"
    return sha256, name, len(source.names)


def files_read(sources: Sequence[FeatureSource], encoder: Encoder | None) -> list[str]:
    """The files of features and model, which no output may take the place of."""
    model = Path(encoder.package.folder).glob("*") if encoder is not None else ()
    return [*map(str, model), *(source.path for source in sources)]


def draw_samples(
    pairs: Sequence[LabelledSource[Labels]],
    values: Sequence[Value],
    encoder: Encoder | None,
    *,
    per_area: int = 20,
    validation: str = "polygons",
    block_size: float = 1000.0,
    memory_mb: float = 2048,
    tile_size: int | None = None,
    seed: int = 0,
    feedback: Feedback,
) -> Samples:
    """Choose labelled pixels and take their features.

    Args:
        pairs: areas or years; together they make one set.
        values: the classes, see `labels.class_list`.
        encoder: for image series.
        per_area: most pixels of one polygon (of one class in one block, for label rasters).
        validation: groups are "polygons" (areas on one another count as one) or "blocks".
        block_size: side of the blocks in metres; an area belongs to the block of its middle.
        memory_mb: what the run may take, in 10^6 bytes, beside the program itself.
        tile_size: side of the tiles in pixels instead of what the memory allows.
        seed: of the choice.
        feedback: progress and cancelling.

    Raises:
        HeadError: the sources come from different encoders.
        LabelsError: labels and source do not overlap, a class has pixels but none with a value,
            or fewer than two classes have any.
        AliseError: the memory is too little.
        Cancelled: the feedback says so.
    """
    _same_encoder(pairs, encoder)
    notes: list[str] = []
    index = {value: number for number, value in enumerate(values)}
    chosen: list[_Chosen] = []
    disputed: set[float] = set()
    for pair in pairs:
        notes += [note for note in pair.labels.notes if note not in notes]
        targets = np.array([index[value] for value in pair.labels.values])
        if isinstance(pair.labels, VectorLabels):
            part = _choose_from_areas(
                pair.source, pair.labels, targets, per_area, seed, feedback, notes, disputed
            )
        else:
            part = _choose_from_classes(
                pair.source, pair.labels, targets, len(index), per_area, block_size, seed, feedback
            )
        chosen.append(part)
    drawn = {int(number) for part in chosen for number in part.target}
    _require_classes(pairs, index, drawn, disputed, notes)
    groups = _groups(pairs, chosen, validation, block_size, notes)
    features, chosen, group = _features_of(
        pairs, chosen, groups, encoder, memory_mb, tile_size, feedback, notes
    )
    target = np.concatenate([part.target for part in chosen])
    there = set(target.tolist())
    lost = [str(value) for value, number in index.items() if number in drawn - there]
    if lost:
        raise LabelsError(
            f'No pixel of the class "{lost[0]}" has a value in '
            f"{' or '.join(pair.name for pair in pairs)}; draw it where the series has data, or "
            "leave the class out."
        )
    return Samples(features, target, group, notes)


def draw_values(
    pairs: Sequence[LabelledSource[Values]],
    encoder: Encoder | None,
    *,
    per_area: int = 20,
    validation: str = "polygons",
    block_size: float = 1000.0,
    memory_mb: float = 2048,
    tile_size: int | None = None,
    seed: int = 0,
    feedback: Feedback,
) -> ValueSamples:
    """Choose pixels where something was measured and take their features.

    Args:
        pairs: areas or years; together they make one set.
        encoder: for image series.
        per_area: most pixels of one polygon (of one block, for rasters).
        validation, block_size, memory_mb, tile_size, seed, feedback: see `draw_samples`.

    Raises:
        HeadError: the sources come from different encoders.
        LabelsError: measurements and source do not overlap, no pixel has features, all have one
            value, or one is beyond 32 bits.
        AliseError: the memory is too little.
        Cancelled: the feedback says so.
    """
    _same_encoder(pairs, encoder)
    notes: list[str] = []
    chosen: list[_Chosen] = []
    for pair in pairs:
        if isinstance(pair.labels, VectorValues):
            targets = np.array(pair.labels.values)
            part = _choose_from_areas(
                pair.source, pair.labels, targets, per_area, seed, feedback, notes, set()
            )
        else:
            part = _choose_from_values(
                pair.source, pair.labels, per_area, block_size, seed, feedback
            )
            if pair.labels.fill is not None:
                notes.append(
                    f"{pair.labels.fill:g} stands for no value in {pair.labels.name}, although "
                    "the raster does not declare it."
                )
        chosen.append(part)
    groups = _groups(pairs, chosen, validation, block_size, notes)
    features, chosen, group = _features_of(
        pairs, chosen, groups, encoder, memory_mb, tile_size, feedback, notes
    )
    value = np.concatenate([part.target for part in chosen]).astype(np.float64)
    where = " or ".join(dict.fromkeys(pair.name for pair in pairs))
    if not len(value):
        raise LabelsError(
            f"No pixel that was measured has a value in {where}; measure where the series has data."
        )
    most = value[np.abs(value).argmax()]
    if abs(most) > _LARGEST:
        raise LabelsError(
            f"In {where} was measured {most:g}, too much for a map: if it stands for no value, let "
            "the raster state it as nodata, or the field hold NULL instead."
        )
    if value.min() == value.max():
        raise LabelsError(
            f"Everywhere in {where} was measured {value[0]:g}; values that differ are needed to "
            "learn from, choose another field."
        )
    numbers = np.concatenate(
        [np.stack([np.full(len(part.area), n), part.area]) for n, part in enumerate(chosen)], 1
    )
    area = np.unique(numbers, axis=1, return_inverse=True)[1].reshape(-1)
    return ValueSamples(features, value, area, group, notes)


def _features_of(
    pairs: Sequence[LabelledSource[Labels | Values]],
    chosen: Sequence[_Chosen],
    groups: Sequence[NDArray[np.int64]],
    encoder: Encoder | None,
    memory_mb: float,
    tile_size: int | None,
    feedback: Feedback,
    notes: list[str],
) -> tuple[NDArray[np.float32], list[_Chosen], NDArray[np.int64]]:
    """Features `(N, F)` of chosen pixels, as many as the memory holds; these, and their group.

    Pixels that have no value in any date are left out.
    """
    count = encoder_identity(pairs[0].source, encoder)[2]
    limit = int(min(_MOST, _SHARE * memory_mb * 1e6 / (4 * count)))
    kept = _limited(chosen, limit, notes)
    chosen = [part.take(keep) for part, keep in zip(chosen, kept)]
    group = np.concatenate([numbers[keep] for numbers, keep in zip(groups, kept)])
    group = np.unique(group, return_inverse=True)[1].reshape(-1)
    features = np.empty((len(group), count), np.float32)
    ends = np.cumsum([len(part.row) for part in chosen])
    for number, (pair, part, end) in enumerate(zip(pairs, chosen, ends)):
        step = Part(feedback, number / len(pairs), (number + 1) / len(pairs))
        rows = features[end - len(part.row) : end]
        left = memory_mb - features.nbytes / 1e6
        _take_features(pair.source, encoder, part, rows, left, tile_size, step)
    seen = np.isfinite(features[:, 0])
    if seen.all():
        return features, chosen, group
    notes.append(f"{np.count_nonzero(~seen)} labelled pixels have no value in any date.")
    parts = np.split(seen, ends[:-1])
    return features[seen], [part.take(keep) for part, keep in zip(chosen, parts)], group[seen]


def draw_examples(
    source: FeatureSource,
    examples: VectorLabels,
    encoder: Encoder | None,
    *,
    per_area: int,
    memory_mb: float,
    tile_size: int | None,
    seed: int,
    feedback: Feedback,
) -> Samples:
    """Choose pixels of areas that have no classes, and take their features.

    Args:
        source: image series or embedding raster.
        examples: areas and points.
        encoder: for an image series.
        per_area, memory_mb, tile_size, seed, feedback: see `draw_samples`.

    Returns:
        Samples of one class; the group is the area.

    Raises:
        LabelsError: examples and source do not overlap, or no pixel has a value.
        AliseError: the memory is too little.
        Cancelled: the feedback says so.
    """
    notes = list(examples.notes)
    alike = np.zeros(len(examples.values), np.int64)
    chosen = _choose_from_areas(source, examples, alike, per_area, seed, feedback, notes, set())
    count = encoder_identity(source, encoder)[2]
    limit = int(min(_MOST, _SHARE * memory_mb * 1e6 / (4 * count)))
    chosen = chosen.take(_limited([chosen], limit, notes)[0])
    features = np.empty((len(chosen.row), count), np.float32)
    left = memory_mb - features.nbytes / 1e6
    _take_features(source, encoder, chosen, features, left, tile_size, feedback)
    seen = np.isfinite(features[:, 0])
    if not seen.any():
        raise LabelsError(
            f"No pixel of {examples.name} has a value in {os.path.basename(source.path)}; draw "
            "examples where the series has data."
        )
    if not seen.all():
        notes.append(f"{np.count_nonzero(~seen)} pixels of examples have no value in any date.")
    return Samples(features[seen], chosen.target[seen], chosen.area[seen], notes)


def _require_classes(
    pairs: Sequence[LabelledSource[Labels]],
    index: dict[Value, int],
    drawn: set[int],
    disputed: set[float],
    notes: list[str],
) -> None:
    """Make sure that there are pixels to learn from; classes that have none are noted.

    Raises:
        LabelsError: a class has pixels of two classes only, or there are fewer than two classes.
    """
    hidden = [str(value) for value, number in index.items() if number in disputed - drawn]
    if hidden:
        raise LabelsError(
            f'Every pixel of the class "{hidden[0]}" also lies in an area of another class; draw '
            "areas of different classes apart, or leave one of the two classes out."
        )
    where = " or ".join(dict.fromkeys(pair.name for pair in pairs))
    if len(drawn) < 2:
        (one,) = (str(value) for value, number in index.items() if number in drawn)
        raise LabelsError(
            f'Of the classes only "{one}" has a pixel in {where}; a map needs at least two, choose '
            "labels that cover it."
        )
    absent = [f'"{value}"' for value, number in index.items() if number not in drawn]
    if absent:
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        notes.append(
            f"Classes without a pixel in {where} are left out: {', '.join(absent[:_NAMED])}{more}."
        )


def _same_encoder(
    pairs: Sequence[LabelledSource[Labels | Values]], encoder: Encoder | None
) -> None:
    first = encoder_identity(pairs[0].source, encoder)
    for pair in pairs[1:]:
        other = encoder_identity(pair.source, encoder)
        if other[0] == first[0] and other[2] != first[2]:
            raise HeadError(
                f"{pair.name} holds {other[2]} features per pixel and {pairs[0].name} {first[2]}; "
                "give them in one form, compact or not."
            )
        if other != first:
            raise HeadError(
                f"The features of {pair.name} come from {other[1]} and those of {pairs[0].name} "
                f"from {first[1]}; use one model for all of them."
            )


def _choose_from_areas(
    source: FeatureSource,
    labels: Areas,
    targets: NDArray[np.number],
    per_area: int,
    seed: int,
    feedback: Feedback,
    notes: list[str],
    disputed: set[float],
) -> _Chosen:
    """Pixels of areas.

    Args:
        source: of the features.
        labels: the areas.
        targets: class or value of each; those that share pixels with another are added to
            `disputed`.
        per_area, seed, feedback: see `draw_samples`.
        notes: sentences are added about what is left out.
        disputed: see `targets`.
    """
    grid, name = source.grid, os.path.basename(source.path)
    geometries = on_grid(labels, grid)
    boxes = np.array([g.GetEnvelope() for g in geometries if g is not None]).reshape(-1, 4)
    left, bottom, right, top = grid.extent
    inside = (boxes[:, 0] < right) & (boxes[:, 1] > left) & (boxes[:, 2] < top)
    inside &= boxes[:, 3] > bottom
    if not inside.any():
        raise LabelsError(
            f"{labels.name} and {name} do not overlap; choose layers of the same area, or check "
            "the CRS of both."
        )
    boxes = boxes[inside]
    # A little wider, so that a point has an extent.
    dx, dy = grid.pixel_size
    extent = boxes[:, 0].min() - dx, boxes[:, 2].min() - dy
    around = grid.window_of((*extent, boxes[:, 1].max() + dx, boxes[:, 3].max() + dy))
    burner = Burner(geometries, grid, targets)
    parts = [_nothing()]
    ambiguous = 0
    for window in _strips(around):
        stop_if_cancelled(feedback)
        over, under = burner.burn(window)
        rows, cols = np.nonzero(over >= 0)
        area = over[rows, cols].astype(np.int64)
        clear = targets[area] == targets[under[rows, cols]]
        ambiguous += int(np.count_nonzero(~clear))
        for areas in (over, under):
            disputed.update(np.unique(targets[areas[rows, cols][~clear]]).tolist())
        rows, cols, area = rows[clear], cols[clear], area[clear]
        part = _ranked(rows + window.row, cols + window.col, area, targets[area], grid, seed)
        parts.append(part.take(part.rank < per_area))
    one, two = ("value", "values") if isinstance(labels, VectorValues) else ("class", "classes")
    if ambiguous:
        notes.append(
            f"{ambiguous} pixels of {labels.name} lie in areas of two {two} and are left out."
        )
    if isinstance(labels, VectorValues):
        if labels.without_value:
            fill = labels.fill
            what = "NULL" if fill is None else f"NULL, or {fill:g}, which stands for no value"
            notes.append(
                f"{labels.without_value} features of {labels.name} have no value ({what})."
            )
    elif labels.without_class:
        notes.append(f"{labels.without_class} features of {labels.name} have no class (NULL).")
    chosen = _joined(parts, grid, seed, per_area)
    missing = len(targets) - len(np.unique(chosen.area))
    if missing:
        notes.append(
            f"{missing} of {len(targets)} areas of {labels.name} give no pixel: they lie outside "
            f"{name}, hold no pixel centre or are covered by others."
        )
    if not len(chosen.row):
        alone, apart = (f" that is clearly of one {one}", " or apart") if ambiguous else ("", "")
        raise LabelsError(
            f"The areas of {labels.name} hold no pixel centre of {name}{alone}; draw them "
            f"larger{apart}."
        )
    return chosen


def _choose_from_classes(
    source: FeatureSource,
    labels: RasterLabels,
    targets: NDArray[np.int64],
    count: int,
    per_area: int,
    block_size: float,
    seed: int,
    feedback: Feedback,
) -> _Chosen:
    """Pixels of a class raster, so many of each class in a block.

    Args:
        source: of the features.
        labels: the raster.
        targets: place of each of its values in the list of `count` classes.
        count: see `targets`.
        per_area, block_size, seed, feedback: see `draw_samples`.
    """
    grid = source.grid
    warped = WarpedLabels(labels, grid)
    parts = [_nothing()]
    for window in _strips(grid.window):
        stop_if_cancelled(feedback)
        values = warped.read(window)
        rows, cols = np.nonzero(values >= 0)
        target = targets[values[rows, cols]]
        rows, cols = rows + window.row, cols + window.col
        # One number for a class in a block.
        area = _block_numbers(*_centres(grid, rows, cols), grid, block_size) * count + target
        part = _ranked(rows, cols, area, target, grid, seed)
        parts.append(part.take(part.rank < per_area))
    return _some(_joined(parts, grid, seed, per_area), labels.name, source)


def _choose_from_values(
    source: FeatureSource,
    values: RasterValues,
    per_area: int,
    block_size: float,
    seed: int,
    feedback: Feedback,
) -> _Chosen:
    """Pixels of a raster of measured values, so many of each block; each is an area of its own."""
    grid = source.grid
    warped = WarpedValues(values, grid)
    parts = [_nothing()]
    for window in _strips(grid.window):
        stop_if_cancelled(feedback)
        measured = warped.read(window)
        rows, cols = np.nonzero(np.isfinite(measured))
        target = measured[rows, cols]
        rows, cols = rows + window.row, cols + window.col
        block = _block_numbers(*_centres(grid, rows, cols), grid, block_size)
        part = _ranked(rows, cols, block, target, grid, seed)
        parts.append(part.take(part.rank < per_area))
    chosen = _some(_joined(parts, grid, seed, per_area), values.name, source)
    return replace(chosen, area=chosen.row * grid.width + chosen.col)


def _some(chosen: _Chosen, name: str, source: FeatureSource) -> _Chosen:
    """The pixels of a raster.

    Raises:
        LabelsError: there are none.
    """
    if not len(chosen.row):
        raise LabelsError(
            f"{name} and {os.path.basename(source.path)} do not overlap; choose labels of the same "
            "area, or check the CRS of both."
        )
    return chosen


def _strips(around: Window) -> list[Window]:
    return [
        Window(col, row, _STRIP, _STRIP).expand(0, around)
        for row in range(around.row, around.row_end, _STRIP)
        for col in range(around.col, around.col_end, _STRIP)
    ]


def _nothing() -> _Chosen:
    none = np.empty(0, np.int64)
    return _Chosen(none, none, none, none, none, none.astype(np.uint64))


def _ranked(
    row: NDArray[np.int64],
    col: NDArray[np.int64],
    area: NDArray[np.int64],
    target: NDArray[np.number],
    grid: Grid,
    seed: int,
) -> _Chosen:
    """Pixels ordered by area and chance, with their rank in the area."""
    priority = chance(row * grid.width + col, seed)
    order = np.lexsort((priority, area))
    row, col, area, target, priority = (v[order] for v in (row, col, area, target, priority))
    first = np.flatnonzero(np.r_[True, area[1:] != area[:-1]]) if len(area) else area
    sizes = np.diff(np.r_[first, len(area)])
    rank = np.arange(len(area)) - np.repeat(first, sizes)
    return _Chosen(row, col, area, target, rank, priority)


def _joined(parts: Sequence[_Chosen], grid: Grid, seed: int, per_area: int) -> _Chosen:
    """Pixels of all windows; an area may lie in several, so its ranks are made anew."""
    row, col, area, target = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("row", "col", "area", "target")
    )
    ranked = _ranked(row, col, area, target, grid, seed)
    return ranked.take(ranked.rank < per_area)


def chance(numbers: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A random 64-bit number for each number and seed (SplitMix64, Steele et al. 2014).

    A function of the pixel and not a stream, so that the order of reading does not matter.
    """
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
        mixed += np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _centres(
    grid: Grid, row: NDArray[np.int64], col: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, dx, _, top, _, dy = grid.geotransform
    return left + dx * (col + 0.5), top + dy * (row + 0.5)


def _blocks(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Grid, block_size: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Column and row of the block that each place lies in."""
    reference = osr.SpatialReference()
    reference.ImportFromWkt(grid.crs_wkt)
    side = block_size / (
        _METRES_PER_DEGREE if reference.IsGeographic() else reference.GetLinearUnits()
    )
    return np.floor(x / side).astype(np.int64), np.floor(y / side).astype(np.int64)


def _block_numbers(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Grid, block_size: float
) -> NDArray[np.int64]:
    """One number for each block; blocks are counted from far outside the grid."""
    columns, rows = _blocks(x, y, grid, block_size)
    return (columns + 2**20) * 2**21 + rows + 2**20


def have_polygons(pairs: Sequence[LabelledSource[Labels | Values]]) -> bool:
    """Whether all labels are areas or places, which can be left out one by one."""
    return all(isinstance(pair.labels, (VectorLabels, VectorValues)) for pair in pairs)


def _groups(
    pairs: Sequence[LabelledSource[Labels | Values]],
    chosen: Sequence[_Chosen],
    validation: str,
    block_size: float,
    notes: list[str],
) -> list[NDArray[np.int64]]:
    """For each source `(pixels,)` the number of the group that a pixel belongs to."""
    layers = [
        pair.labels for pair in pairs if isinstance(pair.labels, (VectorLabels, VectorValues))
    ]
    if validation == "polygons" and have_polygons(pairs):
        distinct = list({id(layer): layer for layer in layers}.values())
        numbers = merge_places(distinct, pairs[0].source.grid.crs_wkt)
        places = {id(layer): place for layer, place in zip(distinct, numbers)}
        return [places[id(pair.labels)][part.area] for pair, part in zip(pairs, chosen)]
    if validation == "polygons":
        notes.append(f"A raster has no polygons: blocks of {block_size:g} m are left out instead.")
    grid = pairs[0].source.grid
    out = []
    for pair, part in zip(pairs, chosen):
        x, y = _centres(pair.source.grid, part.row, part.col)
        if not pair.source.grid.same_crs(grid):
            transform = transformation(pair.source.grid.crs_wkt, grid.crs_wkt)
            x, y, _ = np.array(transform.TransformPoints(np.stack([x, y], 1).tolist())).T
        if isinstance(pair.labels, (VectorLabels, VectorValues)):
            # A polygon is not split: the middle of its pixels decides.
            _, which = np.unique(part.area, return_inverse=True)
            size = np.bincount(which)
            x, y = (np.bincount(which, v)[which] / size[which] for v in (x, y))
        out.append(_block_numbers(x, y, grid, block_size))
    return out


def _limited(chosen: Sequence[_Chosen], limit: int, notes: list[str]) -> list[NDArray[np.bool_]]:
    """Which pixels to keep so that all of them together are at most `limit`."""
    rank = np.concatenate([part.rank for part in chosen])
    per_rank = np.cumsum(np.bincount(rank))
    fits = int(np.searchsorted(per_rank, limit, side="right"))
    if fits == len(per_rank):
        return [np.ones(len(part.rank), bool) for part in chosen]
    if fits:
        notes.append(f"The memory leaves room for {fits} pixels of an area instead of more.")
        return [part.rank < fits for part in chosen]
    # Not even one of each: some areas, by chance.
    priority = np.concatenate([part.priority[part.rank == 0] for part in chosen])
    last = np.partition(priority, limit - 1)[limit - 1]
    notes.append(f"The memory leaves room for {limit} of {len(priority)} areas.")
    return [(part.rank == 0) & (part.priority <= last) for part in chosen]


def _take_features(
    source: FeatureSource,
    encoder: Encoder | None,
    chosen: _Chosen,
    out: NDArray[np.float32],
    memory_mb: float,
    tile_size: int | None,
    feedback: Feedback,
) -> None:
    """Write the features of the chosen pixels into `out` `(pixels, F)`."""
    plan = _plan(source, encoder, chosen, memory_mb, tile_size, out.shape[1])
    inner = [tile for tile, _ in plan]
    members = {tile.inner: pixels for tile, pixels in plan}
    read = sum(tile.read.pixels for tile in inner)
    feedback.info(
        f"{len(chosen.row)} chosen pixels of {os.path.basename(source.path)} lie in "
        f"{len(inner)} tiles, {read} pixels to read."
    )
    with block_cache(cache_size(memory_mb)):
        for tile, features in features_of(source, encoder, inner, feedback):
            pixels = members[tile.inner]
            rows, cols = chosen.row[pixels], chosen.col[pixels]
            out[pixels] = features[:, rows - tile.inner.row, cols - tile.inner.col].T


def _plan(
    source: FeatureSource,
    encoder: Encoder | None,
    chosen: _Chosen,
    memory_mb: float,
    tile_size: int | None,
    n_features: int,
) -> list[tuple[Tile, NDArray[np.int64]]]:
    """Tiles that hold chosen pixels, cut to them, with the pixels of each.

    Small tiles leave out more of what lies between the labels, large ones read less halo: the
    side that reads least wins.
    """
    halo, stride, step = 0, 1, 16
    if isinstance(source, ImageSeries):
        encoder = needed_encoder(source, encoder)
        halo, stride, step = tile_halo(encoder), encoder.package.stride, tile_step(encoder)
        whole = source.grid.window
        largest = choose_tile_size(encoder, len(source.dates), whole, whole, memory_mb)
    else:
        budget = memory_mb * 1e6 - cache_size(memory_mb)
        largest = max(step, int(math.sqrt(max(0.0, budget) / (2 * 4 * n_features))) // step * step)
    if tile_size:
        return _tiles_around(source.grid, chosen, math.ceil(tile_size / step) * step, halo, stride)
    plans = []
    side = largest
    while True:
        plans.append(_tiles_around(source.grid, chosen, side, halo, stride))
        if side == step:
            break
        side = max(step, side // 2 // step * step)
    return min(plans, key=lambda plan: sum(tile.read.pixels for tile, _ in plan))


def _tiles_around(
    grid: Grid, chosen: _Chosen, side: int, halo: int, stride: int
) -> list[tuple[Tile, NDArray[np.int64]]]:
    across = -(-grid.width // side)
    cell = chosen.row // side * across + chosen.col // side
    order = np.argsort(cell, kind="stable")
    ends = np.flatnonzero(np.diff(cell[order])) + 1
    plan = []
    for pixels in np.split(order, ends):
        rows, cols = chosen.row[pixels], chosen.col[pixels]
        row, col = int(rows.min()), int(cols.min())
        inner = Window(col, row, int(cols.max()) - col + 1, int(rows.max()) - row + 1)
        plan.append(
            (Tile(inner.expand(halo, grid.window).snap(stride, grid.window), inner), pixels)
        )
    return plan
