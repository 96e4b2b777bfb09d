"""Training samples: which pixels of the labels, their features, and which of them belong together.

Two passes keep memory and time in bounds. The first looks at the labels alone and chooses at most
so many pixels of each area; the second encodes only tiles that hold a chosen pixel. The choice
depends on the seed and the pixel's place, so neither tile size nor memory changes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import LabelsError
from ...feedback import Feedback
from ..features.features import Features
from ..features.tiling import TileBudget
from ..labels.layers import Labels, Value, Values, VectorLabels, VectorValues
from .features import features_of_chosen, most_samples, require_same_encoder, take_features
from .groups import group_numbers
from .pixels import choose_from_areas, choose_from_classes, choose_from_values, limit_samples
from .samples import ChosenPixels, LabelledSource, SampleDesign, Samples, ValueSamples

_NAMED = 10  # classes that a sentence names at most


_LARGEST = 1e30  # what is measured; heads and maps are of 32 bits, which end at 3.4e38


def draw_samples(
    pairs: Sequence[LabelledSource[Labels]],
    values: Sequence[Value],
    *,
    design: SampleDesign,
    budget: TileBudget,
    feedback: Feedback,
) -> Samples:
    """Choose labelled pixels and take their features.

    Args:
        pairs: areas or years; together they make one set.
        values: the classes, see `labels.class_list`.
        design: which pixels, and which groups.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        HeadError: the sources come from different encoders.
        LabelsError: labels and source do not overlap, a class has pixels but none with a value,
            or fewer than two classes have any.
        AliseError: the memory is too little.
        Cancelled: the feedback says so.
    """
    require_same_encoder(pairs)
    warnings: list[str] = []
    index = {value: number for number, value in enumerate(values)}
    chosen: list[ChosenPixels] = []
    ambiguous: set[float] = set()
    for pair in pairs:
        warnings += [text for text in pair.labels.warnings if text not in warnings]
        targets = np.array([index[value] for value in pair.labels.values])
        if isinstance(pair.labels, VectorLabels):
            found = choose_from_areas(
                pair.source, pair.labels, targets, design.per_area, design.seed, feedback
            )
            part = found.chosen
            warnings += found.warnings
            ambiguous |= found.ambiguous
        else:
            part = choose_from_classes(
                pair.source, pair.labels, targets, len(index), design, feedback
            )
        chosen.append(part)
    drawn = {int(number) for part in chosen for number in part.target}
    warnings += _require_classes(pairs, index, drawn, ambiguous)
    groups, group_warnings = group_numbers(pairs, chosen, design)
    taken = features_of_chosen(pairs, chosen, groups, budget, feedback)
    warnings += [*group_warnings, *taken.warnings]
    target = np.concatenate([part.target for part in taken.chosen])
    present = set(target.tolist())
    lost = [str(value) for value, number in index.items() if number in drawn - present]
    if lost:
        raise LabelsError(
            f'No pixel of the class "{lost[0]}" has a value in '
            f"{' or '.join(pair.name for pair in pairs)}; draw it where the series has data, or "
            "leave the class out."
        )
    return Samples(taken.features, target, taken.group, warnings)


def draw_values(
    pairs: Sequence[LabelledSource[Values]],
    *,
    design: SampleDesign,
    budget: TileBudget,
    feedback: Feedback,
) -> ValueSamples:
    """Choose pixels where something was measured and take their features.

    Args:
        pairs: areas or years; together they make one set.
        design, budget, feedback: see `draw_samples`; a block of a raster counts as a polygon.

    Raises:
        HeadError: the sources come from different encoders.
        LabelsError: measurements and source do not overlap, no pixel has features, all have one
            value, or one is beyond 32 bits.
        AliseError: the memory is too little.
        Cancelled: the feedback says so.
    """
    require_same_encoder(pairs)
    warnings: list[str] = []
    chosen: list[ChosenPixels] = []
    for pair in pairs:
        if isinstance(pair.labels, VectorValues):
            targets = np.array(pair.labels.values)
            warnings += [text for text in pair.labels.warnings if text not in warnings]
            found = choose_from_areas(
                pair.source, pair.labels, targets, design.per_area, design.seed, feedback
            )
            warnings += found.warnings
            chosen.append(found.chosen)
        else:
            chosen.append(choose_from_values(pair.source, pair.labels, design, feedback))
            if pair.labels.fill is not None:
                warnings.append(
                    f"{pair.labels.fill:g} stands for no value in {pair.labels.name}, although "
                    "the raster does not declare it."
                )
    groups, group_warnings = group_numbers(pairs, chosen, design)
    taken = features_of_chosen(pairs, chosen, groups, budget, feedback)
    warnings += [*group_warnings, *taken.warnings]
    value = np.concatenate([part.target for part in taken.chosen]).astype(np.float64)
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
        [np.stack([np.full(len(part.area), n), part.area]) for n, part in enumerate(taken.chosen)],
        1,
    )
    area = np.unique(numbers, axis=1, return_inverse=True)[1].reshape(-1)
    return ValueSamples(taken.features, value, area, taken.group, warnings)


def draw_examples(
    source: Features,
    examples: VectorLabels,
    *,
    per_area: int,
    budget: TileBudget,
    seed: int,
    feedback: Feedback,
) -> Samples:
    """Choose pixels of areas that have no classes, and take their features.

    Args:
        source: image series or embedding raster.
        examples: areas and points.
        per_area, seed: see `SampleDesign`.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Returns:
        Samples of one class; the group is the area.

    Raises:
        LabelsError: examples and source do not overlap, or no pixel has a value.
        AliseError: the memory is too little.
        Cancelled: the feedback says so.
    """
    one_class = np.zeros(len(examples.values), np.int64)
    found = choose_from_areas(source, examples, one_class, per_area, seed, feedback)
    count = source.identity.n_features
    (kept,), limit_warnings = limit_samples([found.chosen], most_samples(budget, count))
    warnings = [*examples.warnings, *found.warnings, *limit_warnings]
    chosen = found.chosen.take(kept)
    features = np.empty((len(chosen.row), count), np.float32)
    left = budget.memory_mb - features.nbytes / 1e6
    take_features(source, chosen, features, TileBudget(left, budget.tile_size), feedback)
    valid = np.isfinite(features[:, 0])
    if not valid.any():
        raise LabelsError(
            f"No pixel of {examples.name} has a value in {source.name}; draw examples where the "
            "series has data."
        )
    if not valid.all():
        missing = np.count_nonzero(~valid)
        warnings.append(f"{missing} pixels of examples have no value in any date.")
    return Samples(features[valid], chosen.target[valid], chosen.area[valid], warnings)


def _require_classes(
    pairs: Sequence[LabelledSource[Labels]],
    index: dict[Value, int],
    drawn: set[int],
    ambiguous: set[float],
) -> list[str]:
    """Make sure that there are pixels to learn from; return warnings about classes without any.

    Raises:
        LabelsError: a class has pixels of two classes only, or there are fewer than two classes.
    """
    hidden = [str(value) for value, number in index.items() if number in ambiguous - drawn]
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
    if not absent:
        return []
    more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
    return [f"Classes without a pixel in {where} are left out: {', '.join(absent[:_NAMED])}{more}."]
