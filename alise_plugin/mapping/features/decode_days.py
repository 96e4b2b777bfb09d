"""Features that days are decoded from: those of the acquisitions of the year around each day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SeriesError
from ...feedback import Feedback
from ...model.encoder import Encoder
from ...model.spatial_features import Period
from ...model.year_around import by_year_around
from ...sits.grid import Tile
from .encode_tiles import encode_periods
from .features import Features


@dataclass(frozen=True)
class DayShare:
    """Days that are decoded from one embedding.

    Attributes:
        shown: `(n,)` their places among the days to show.
        period: the acquisitions; None for those that an embedding raster is of.
    """

    shown: NDArray[np.intp]
    period: Period | None


def day_shares(
    source: Features, wanted: NDArray[np.floating[Any]]
) -> tuple[Features, list[DayShare]]:
    """Return the source without acquisitions that no day needs, and the days that go together."""
    if not source.is_series:
        return source, [DayShare(np.arange(len(wanted)), None)]
    features = source.require_series("choose a series")
    series = features.series
    groups = by_year_around(series.days, wanted)
    used = np.unique(np.concatenate([near for near, _ in groups]))
    if len(used) < len(series.dates):
        series = series.subset(series.dates[index] for index in used)
    return features.with_series(series), [
        DayShare(shown, Period(indices := np.searchsorted(used, near), series.days[indices]))
        for near, shown in groups
    ]


def embeddings_of_shares(
    source: Features,
    tiles: list[Tile],
    shares: Sequence[DayShare],
    feedback: Feedback,
) -> Iterator[tuple[Tile, Iterator[NDArray[np.float32]]]]:
    """Yield tiles, each with `(features, h, w)` float32 for one share after the other."""
    periods = [share.period for share in shares if share.period is not None]
    if periods:
        features = source.require_series("choose a series")
        yield from encode_periods(features.series, features.encoder, tiles, periods, feedback)
    else:
        for tile, vectors in source.read_tiles(tiles, feedback):
            yield tile, iter([vectors])


def require_decodable(source: Features, encoder: Encoder) -> None:
    """Make sure that a model can decode an embedding raster.

    Raises:
        SeriesError: another model made it, or it holds the compact form.
    """
    name, package, identity = source.name, encoder.package, source.identity
    if identity.n_features != package.n_features:
        raise SeriesError(
            f"{name} does not hold the {package.n_features} features that images are decoded from: "
            "choose the image series, or embed it as float32 or int8."
        )
    if not package.gives_vectors_of(identity):
        raise SeriesError(
            f"{name} was made by {identity.name}, not by {package.model_id}: choose the model that "
            "made it."
        )
