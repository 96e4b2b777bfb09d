"""Opening a raster as what it is: an image series or an embedding raster."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...errors import SeriesError
from ...model.encoder import Encoder, load_encoder
from ...sits.series import ImageSeries
from .embedding_raster import EmbeddingRaster
from .features import Features
from .series_features import SeriesFeatures


def open_features(
    path: str | os.PathLike[str], load: Callable[[], Encoder] = load_encoder
) -> Features:
    """Open a raster as features.

    Args:
        path: an image series or an embedding raster.
        load: opens the model, when it is needed first; the bundled one if not given.

    Raises:
        SeriesError: it is neither; the sentence is the one of a series.
    """
    try:
        return EmbeddingRaster(path, load)
    except SeriesError:
        return SeriesFeatures(ImageSeries.open(os.fspath(path)), load)
