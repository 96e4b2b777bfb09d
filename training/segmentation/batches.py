"""Batches of a labelled set: images for a network, or features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alise_plugin.model.encoder import Encoder
from alise_plugin.model.prefetch import ahead
from training.pretext.normalise import normalise

from .series import IGNORED, LabelledSeries, LabelledSet, targets

# Features of a frozen encoder are kept in memory up to this; beyond, they are made again.
KEPT_BYTES = 4 << 30
# Groups of series that are read while the network is at work.
GROUPS_AHEAD = 4


@dataclass(frozen=True)
class LabelledBatch:
    """What a network is given, and what it is to answer.

    Attributes:
        inputs: arguments of the network.
        target: (P,) places of classes of the labelled pixels, in the order of the answer.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor

    def to(self, device: torch.device) -> LabelledBatch:
        """Return the same on a device."""
        return LabelledBatch(tuple(x.to(device) for x in self.inputs), self.target.to(device))


# Batches of the series at some places: shuffled and cropped at random with a generator, else in
# order and cropped in the centre.
Batches = Callable[[Sequence[int], "np.random.Generator | None"], Iterator[LabelledBatch]]


def cropped(
    series: LabelledSeries, size: int, rng: np.random.Generator | None = None
) -> LabelledSeries:
    """At most `size` x `size` pixels: any with a generator, else the centre (section IV-A)."""
    room = [max(0, side - size) for side in series.labels.shape]
    top, left = (int(rng.integers(r + 1)) if rng else r // 2 for r in room)
    place = (slice(top, top + size), slice(left, left + size))
    return LabelledSeries(
        series.name, series.reflectance[(..., *place)], series.days, series.labels[place]
    )


class ImageBatches:
    """Normalised images, days, what was seen, and which pixels are labelled.

    Args:
        data: the set.
        crop: greatest height and width.
        batch_size: series in a batch; the shorter ones are padded with dates not seen.
    """

    def __init__(self, data: LabelledSet, crop: int, batch_size: int) -> None:
        self.data, self.crop, self.batch_size = data, crop, batch_size

    def __call__(
        self, places: Sequence[int], rng: np.random.Generator | None
    ) -> Iterator[LabelledBatch]:
        """Yield batches; the network answers (P, K) for the labelled pixels."""
        groups = grouped(places, self.batch_size, rng)
        read = ([cropped(self.data.read(place), self.crop, rng) for place in g] for g in groups)
        for series in ahead(read, GROUPS_AHEAD):
            longest = max(len(one.days) for one in series)
            images, days, observed = [], [], []
            for one in series:
                missing = longest - len(one.days)
                shape = (missing, *one.reflectance.shape[1:])
                padding = np.full(shape, np.nan, np.float32)
                reflectance = np.concatenate([one.reflectance, padding])
                days.append(np.pad(one.days, (0, missing), mode="edge"))
                observed.append(np.isfinite(reflectance).any(1))
                images.append(reflectance)
            labels = np.stack([targets(one.labels, self.data.classes) for one in series])
            seen = np.stack(observed)
            # Nothing can be said of a pixel that no date shows.
            labels[~seen.any(1)] = IGNORED
            target = torch.from_numpy(labels)
            labelled = target != IGNORED
            if labelled.any():
                image = normalise(torch.from_numpy(np.stack(images)))
                inputs = (image, torch.from_numpy(np.stack(days)), torch.from_numpy(seen), labelled)
                yield LabelledBatch(inputs, target[labelled])


class FeatureBatches:
    """Features of a frozen encoder at the labelled pixels, (P, 640).

    Where the crop cannot move, a series is encoded once and its features are kept.

    Args:
        data: the set.
        encoder: of a model package, as the plugin runs it.
        crop: greatest height and width.
        batch_size: series in a batch.
    """

    def __init__(self, data: LabelledSet, encoder: Encoder, crop: int, batch_size: int) -> None:
        self.data, self.encoder = data, encoder
        self.crop, self.batch_size = crop, batch_size
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._bytes = 0

    def __call__(
        self, places: Sequence[int], rng: np.random.Generator | None
    ) -> Iterator[LabelledBatch]:
        """Yield batches; the network answers (P, K) for the labelled pixels."""
        for group in grouped(places, self.batch_size, rng):
            parts = [self._features(place, rng) for place in group]
            features, target = (torch.cat(part) for part in zip(*parts))
            if len(target):
                yield LabelledBatch((features,), target)

    def _features(
        self, place: int, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        if place in self._kept:
            return self._kept[place]
        whole = self.data.read(place)
        series = cropped(whole, self.crop, rng)
        label = targets(series.labels, self.data.classes).ravel()
        vectors = self.encoder.encode(series.reflectance, series.days)
        rows = vectors.reshape(-1, len(label)).T
        labelled = (label != IGNORED) & np.isfinite(rows).all(1)
        found = torch.from_numpy(rows[labelled]), torch.from_numpy(label[labelled])
        if max(whole.labels.shape) <= self.crop and self._bytes < KEPT_BYTES:
            self._kept[place] = found
            self._bytes += found[0].nbytes
        return found


def grouped(
    places: Sequence[int], size: int, rng: np.random.Generator | None
) -> Iterator[Sequence[int]]:
    """Yield groups of at most `size` places, in another order for each pass of a generator."""
    order = np.asarray(places) if rng is None else rng.permutation(places)
    for start in range(0, len(order), size):
        yield [int(place) for place in order[start : start + size]]
