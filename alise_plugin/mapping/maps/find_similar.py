"""A few examples in, a map of where else it looks like there out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import AliseError
from ...feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from ...sits.rasters import block_cache
from ..features.features import Features
from ..features.sample import sample_features
from ..features.standardise import standardised
from ..features.tiling import TileBudget, cache_size
from ..labels.layers import VectorLabels
from ..rasters.destinations import require_outputs
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput, block_side
from ..rasters.style import ramp_style
from ..samples.draw import draw_examples

PER_AREA, PIXELS = 20, 10_000


_EXAMPLES, _SAMPLED = 0.1, 0.2  # of a run's progress


_STEPS = 10_000  # similarities are stored as whole numbers of 1/10000


_NODATA = -32768


_AT_ONCE = 1 << 12  # pixels: their vectors stay in cache


_MOST_EXAMPLES = 0.9  # share of them that reach the level


@dataclass(frozen=True)
class SimilarPlaces:
    """What `find_similar` wrote.

    Attributes:
        path: the raster.
        level: the similarity that nine of ten pixels of the examples reach, each compared with the
            other examples; a single example with itself.
        examples: how many areas or points were looked at.
        samples: how many of their pixels.
        device: the device that the encoder used; empty for an embedding raster.
    """

    path: str
    level: float
    examples: int
    samples: int
    device: str


class Similarity:
    """How much vectors resemble examples: -1 to 1.

    The cosine of the angle between a vector and the mean of the examples, both standardised over
    the map. What all of the map has in common does not count then, and what sets the examples
    apart from it does.

    Args:
        of_map: `(N, F)` features of pixels all over the map.
        examples: `(M, F)` features of pixels of the examples.
        area: `(M,)` which example each lies in; a large one counts as much as a small one.
    """

    def __init__(self, of_map: Float, examples: Float, area: NDArray[np.integer[Any]]) -> None:
        self._mean, self._scale, _ = standardised(of_map)
        _, which = np.unique(area, return_inverse=True)
        which = which.reshape(-1)
        standard = self._standard(examples)
        sums = np.zeros((which.max() + 1, examples.shape[1]), np.float64)
        np.add.at(sums, which, standard)
        areas = (sums / np.bincount(which)[:, None]).astype(np.float32)
        self._direction = areas.mean(0)
        self.level = float(np.quantile(self._left_out(standard, areas, which), 1 - _MOST_EXAMPLES))

    def __call__(self, features: Float) -> Float:
        """Return map `(F, H, W)` to `(H, W)`, NaN where there are no features."""
        flat = features.reshape(len(features), -1)
        out = np.empty(flat.shape[1], np.float32)
        for start in range(0, len(out), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            out[part] = _cosine(self._standard(flat[:, part].T), self._direction)
        return out.reshape(features.shape[1:])

    def _standard(self, features: Float) -> Float:
        return np.asarray((features - self._mean) / self._scale)

    def _left_out(self, standard: Float, areas: Float, which: NDArray[np.integer[Any]]) -> Float:
        """Return `(M,)` similarity of each pixel to the other examples, or to its only one."""
        count = len(areas)
        if count == 1:
            return _cosine(standard, self._direction)
        others = (areas.sum(0) - areas) / (count - 1)
        return np.concatenate(
            [_cosine(standard[which == number], others[number]) for number in range(count)]
        )


def _cosine(vectors: Float, direction: Float) -> Float:
    """Return map `(N, F)` and `(F,)` to `(N,)`."""
    length = np.sqrt(np.einsum("nf,nf->n", vectors, vectors)) * np.linalg.norm(direction)
    cosine = vectors @ direction / np.maximum(length, np.finfo(np.float32).tiny)
    return np.asarray(
        np.clip(cosine, -1, 1)
    )  # rounding: no pixel of a map would reach a level above 1


def find_similar(
    source: Features,
    examples: VectorLabels,
    output: str | os.PathLike[str],
    *,
    per_area: int = PER_AREA,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    seed: int = 0,
    feedback: Feedback | None = None,
) -> SimilarPlaces:
    """Return map how much each pixel resembles a few examples (see `Similarity`).

    Args:
        source: the features.
        examples: areas or points of one kind, somewhere on the source.
        output: GeoTIFF of one band, -1 to 1 as whole numbers of 1/10000 with their scale, with a
            style that QGIS loads.
        per_area: pixels of one area at most, chosen by chance.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source to map; all of it if None.
            Examples may lie outside.
        budget: memory and tile size.
        seed: of the choice of pixels.
        feedback: progress and cancelling.

    Raises:
        LabelsError: the examples lie elsewhere, or have no pixel with a value.
        SeriesError: the extent is outside, or a file cannot be read.
        AliseError: the memory is too little, or hardly a pixel of the source has a value.
        OutputError: the raster cannot be written, or would overwrite an input.
        Cancelled: the feedback says so; nothing is left.
    """
    feedback = feedback or SilentFeedback()
    budget = budget or TileBudget()
    require_outputs([output], source.files)
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    side, tiles = source.tiles(inner, budget)
    shown = draw_examples(
        source,
        examples,
        per_area=per_area,
        budget=budget,
        seed=seed,
        feedback=Part(feedback, 0.0, _EXAMPLES),
    )
    for text in shown.warnings:
        feedback.warning(text)
    # The whole source, so that a pixel's similarity does not depend on the extent.
    sampling = Part(feedback, _EXAMPLES, _SAMPLED)
    of_map = sample_features(source, source.grid.window, PIXELS, seed, sampling)
    if not len(of_map):
        raise AliseError(
            f"{source.name} has so few pixels with a value that none was found "
            "to compare the examples with; cut it to where it has data."
        )
    similarity = Similarity(of_map, shown.features, shown.group)
    areas, samples = len(np.unique(shown.group)), len(shown.features)
    del of_map, shown  # the tiles are as large as the memory allows
    feedback.info(
        f"{areas} examples of {samples} pixels; {inner.width} x {inner.height} pixels, "
        f"{len(tiles)} tiles of {side}, model {source.identity.name}{source.on_device}."
    )
    form = _form(source, examples, similarity.level)
    with block_cache(cache_size(budget.memory_mb)):
        raster = RasterOutput(output, source.grid.subgrid(inner), form, block_side(side))
        with raster:
            for tile, features in source.read_tiles(tiles, Part(feedback, _SAMPLED, 1.0)):
                stop_if_cancelled(feedback)
                raster.write(tile.inner.relative_to(inner), _stored(similarity(features))[None])
    feedback.info(
        f"Nine of ten pixels of the examples have a similarity of {similarity.level:.2f} or more."
    )
    if similarity.level <= 0:
        feedback.info(
            "Some examples are no more like the others than any other pixel is: are all of one "
            "kind? Search for each kind on its own, or show more examples."
        )
    feedback.progress(1.0)
    return SimilarPlaces(os.fspath(output), similarity.level, areas, samples, source.device_used)


def _form(source: Features, examples: VectorLabels, level: float) -> RasterForm:
    items = source.provenance
    items["ALISE_EXAMPLES"] = examples.name
    items["ALISE_LEVEL"] = f"{level:.4f}"
    return RasterForm(
        ["similarity"],
        np.dtype(np.int16),
        _NODATA,
        scale=[1 / _STEPS],
        offset=[0.0],
        metadata=items,
        overviews="average",
        style=ramp_style(1, 0.0, max(level, 0.1)),
    )


def _stored(similarity: Float) -> NDArray[np.int16]:
    raw = np.rint(similarity * _STEPS)
    raw[np.isnan(raw)] = _NODATA
    return np.asarray(raw, np.int16)
