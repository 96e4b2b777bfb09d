"""Training samples: which pixels of the labels, their features, and which of them belong together.

Two passes keep memory and time in bounds. The first looks at the labels alone and chooses at most
so many pixels of each area; the second encodes only tiles that hold a chosen pixel. The choice
depends on the seed and the pixel's place, so neither tile size nor memory changes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ...errors import LabelsError
from ...feedback import Feedback
from ...model.encoder import Encoder
from ..features.source import FeatureSource, encoder_identity
from ..labels.layers import Labels, Value, Values, VectorLabels, VectorValues
from .features import (
    MAX_SAMPLES,
    SAMPLES_SHARE,
    features_of_chosen,
    require_same_encoder,
    take_features,
)
from .groups import group_numbers
from .pixels import choose_from_areas, choose_from_classes, choose_from_values, limit_samples
from .samples import ChosenPixels, LabelledSource, Samples, ValueSamples

_NAMED = 10  # classes that a sentence names at most


_LARGEST = 1e30  # what is measured; heads and maps are of 32 bits, which end at 3.4e38


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
    require_same_encoder(pairs, encoder)
    notes: list[str] = []
    index = {value: number for number, value in enumerate(values)}
    chosen: list[ChosenPixels] = []
    disputed: set[float] = set()
    for pair in pairs:
        notes += [note for note in pair.labels.notes if note not in notes]
        targets = np.array([index[value] for value in pair.labels.values])
        if isinstance(pair.labels, VectorLabels):
            part = choose_from_areas(
                pair.source, pair.labels, targets, per_area, seed, feedback, notes, disputed
            )
        else:
            part = choose_from_classes(
                pair.source, pair.labels, targets, len(index), per_area, block_size, seed, feedback
            )
        chosen.append(part)
    drawn = {int(number) for part in chosen for number in part.target}
    _require_classes(pairs, index, drawn, disputed, notes)
    groups = group_numbers(pairs, chosen, validation, block_size, notes)
    features, chosen, group = features_of_chosen(
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
    require_same_encoder(pairs, encoder)
    notes: list[str] = []
    chosen: list[ChosenPixels] = []
    for pair in pairs:
        if isinstance(pair.labels, VectorValues):
            targets = np.array(pair.labels.values)
            part = choose_from_areas(
                pair.source, pair.labels, targets, per_area, seed, feedback, notes, set()
            )
        else:
            part = choose_from_values(
                pair.source, pair.labels, per_area, block_size, seed, feedback
            )
        chosen.append(part)
    groups = group_numbers(pairs, chosen, validation, block_size, notes)
    features, chosen, group = features_of_chosen(
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
    chosen = choose_from_areas(source, examples, alike, per_area, seed, feedback, notes, set())
    count = encoder_identity(source, encoder)[2]
    limit = int(min(MAX_SAMPLES, SAMPLES_SHARE * memory_mb * 1e6 / (4 * count)))
    chosen = chosen.take(limit_samples([chosen], limit, notes)[0])
    features = np.empty((len(chosen.row), count), np.float32)
    left = memory_mb - features.nbytes / 1e6
    take_features(source, encoder, chosen, features, left, tile_size, feedback)
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
