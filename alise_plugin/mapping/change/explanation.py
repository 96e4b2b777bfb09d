"""Why a distance is large: which learned dates and features carry it, and what NDVI did."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...model.encoder import Encoder
from ...sentinel2 import REFERENCE_DATE
from ...sits.acquisitions import days_since_reference
from ...sits.years import days_of_years, whole_years
from .pairs import Pair, Vectors
from .periods import require_common_season

_STEP_DAYS = 10


"""Days between two reconstructions of NDVI."""


class Explanation:
    """Bands that let a person see why a pixel is far from itself a year before.

    - `share_q00` and so on: share of the distance that each learned date carries, sum 1 (see
      `Distance.parts`).
    - `top_query`, `top_feature`: learned date and number of the one feature that carries most; the
      date with the largest share may be another.
    - `day_of_year`: of the first year, where the NDVI of the two years differs most.
    - `ndvi_before`, `ndvi_after`: reconstructed by the model (Eq. 8, 9) on that day.

    Args:
        pair: what is compared.
        encoder: whose decoder reconstructs; the model that made the vectors.

    Raises:
        SeriesError: the two years have no season in common to reconstruct.
    """

    def __init__(self, pair: Pair, encoder: Encoder) -> None:
        package = encoder.package
        self._encoder = encoder
        self._parts = pair.distance.parts
        self._shape = (package.n_queries, package.d_model)
        self._red, self._infrared = package.bands.index("B04"), package.bands.index("B08")
        between = days_of_years(whole_years(*pair.dates))
        first, last = days_since_reference(require_common_season(*pair.dates, pair.names))
        self._days = np.arange(first, last + 1, _STEP_DAYS, dtype=np.float32)
        # Where the days of the second were shifted before it was encoded, its vectors speak of
        # the days of the first.
        self._later = np.float32(between - pair.year_shift)
        dates = [REFERENCE_DATE + timedelta(days=int(day)) for day in self._days]
        self._day_of_year = np.array([day.timetuple().tm_yday for day in dates], np.float32)
        self.names = [
            *(f"share_q{query:02d}" for query in range(package.n_queries)),
            "top_query",
            "top_feature",
            "day_of_year",
            "ndvi_before",
            "ndvi_after",
        ]

    def bands(self, vectors: Vectors, shift: NDArray[np.floating[Any]]) -> Float:
        """Return `(len(names), h, w)` float32, NaN where there is no distance.

        Args:
            vectors: of a tile.
            shift: `(F,)` typical shift of the scene that the distance leaves out.
        """
        queries, features = self._shape
        shape = vectors.before.shape[1:]
        parts = self._parts(vectors.before, vectors.after - shift[:, None, None])
        missing = np.isnan(parts[0])
        parts[:, missing] = 0
        per_query = parts.reshape(queries, features, *shape).sum(1)
        total = per_query.sum(0)
        out = np.empty((len(self.names), *shape), np.float32)
        out[:queries] = per_query / np.where(total > 0, total, 1)
        top = parts.argmax(0)
        out[queries], out[queries + 1] = top // features, top % features
        before = self._ndvi(vectors.before, self._days)
        after = self._ndvi(vectors.after, self._days + self._later)
        gap = np.nan_to_num(np.abs(after - before), nan=-1)
        most = gap.argmax(0)
        out[queries + 2] = self._day_of_year[most]
        for band, ndvi in ((queries + 3, before), (queries + 4, after)):
            out[band] = np.take_along_axis(ndvi, most[None], 0)[0]
        out[:, missing] = np.nan
        return out

    def _ndvi(self, vectors: Float, days: NDArray[np.floating[Any]]) -> Float:
        embedding = vectors.reshape(*self._shape, *vectors.shape[1:])
        reflectance = self._encoder.decode(embedding, days)
        red, infrared = reflectance[:, self._red], reflectance[:, self._infrared]
        return np.asarray(np.clip((infrared - red) / np.maximum(infrared + red, 1e-6), -1, 1))
