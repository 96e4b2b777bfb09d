"""An image series bound to the encoder that makes vectors of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from ...arrays import Float
from ...errors import SeriesError
from ...feedback import Feedback
from ...model.encoder import Encoder
from ...model.identity import FeatureIdentity
from ...sits.grid import Tile, Window
from ...sits.series import ImageSeries
from ...sits.years import days_of_years, middle_of, whole_years
from .embedding_raster import YEARS_MOVED, EmbeddingRaster
from .encode_tiles import encode_some, encode_tiles
from .features import ScatteredReading
from .spread_windows import grown
from .tiling import TileBudget, choose_tile_size, tile_halo, tile_step, tiles_of

_YEAR_DAYS = 365.25
_MANY_YEARS = 1.5  # a season with what comes before and after it


class SeriesFeatures:
    """The vectors of an image series; see `Features`.

    Args:
        series: the image series.
        encoder: the encoder, or what opens it when it is needed first: a comparison of
            gap-filled reflectance or a refusal costs no model then.
    """

    is_series = True

    def __init__(self, series: ImageSeries, encoder: Encoder | Callable[[], Encoder]) -> None:
        self.series = series
        self.path = series.path
        self.grid = series.grid
        self._load: Callable[[], Encoder] = encoder if callable(encoder) else lambda: encoder
        self._encoder: Encoder | None = None

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return os.path.basename(self.path)

    @property
    def encoder(self) -> Encoder:
        """Return the encoder."""
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    def open_encoder(self) -> Encoder:
        """Return the encoder."""
        return self.encoder

    def require_series(self, instead: str) -> SeriesFeatures:
        """Return this."""
        return self

    def require_raster(self) -> EmbeddingRaster:
        """Refuse: this is no embedding raster.

        Raises:
            SeriesError: always.
        """
        raise SeriesError(f"{self.name} is an image series: choose an embedding raster.")

    def with_series(self, series: ImageSeries) -> SeriesFeatures:
        """Return the vectors of another series by the same encoder."""
        return SeriesFeatures(series, self.open_encoder)

    @property
    def identity(self) -> FeatureIdentity:
        """Return which model the vectors come from."""
        package = self.encoder.package
        return FeatureIdentity(
            package.sha256,
            package.model_id,
            package.n_queries * package.d_model,
            package.same_vectors_as,
        )

    @property
    def files(self) -> list[str]:
        """Return the files of the series and of the model."""
        return [*map(str, Path(self.encoder.package.folder).glob("*")), self.path]

    @property
    def dates(self) -> tuple[date, ...]:
        """Return the acquisitions."""
        return self.series.dates

    @property
    def dates_text(self) -> str:
        """Return first, last and number of the acquisitions."""
        return f"{self.dates[0]} to {self.dates[-1]}, {len(self.dates)} dates"

    @property
    def season(self) -> date | None:
        """Return the middle of the days that the vectors are made with."""
        return middle_of(self.dates) + timedelta(days_of_years(self.series.moved_years))

    def in_season(self, middle: date | None, feedback: Feedback) -> SeriesFeatures:
        """Return the vectors with days moved by whole years; see `Features.in_season`."""
        if middle is None:
            return self
        years = whole_years(self.dates, [middle])
        if years == self.series.moved_years:
            return self
        feedback.info(
            f"The days of {self.name} are moved by {years:+d} years for the encoder, into the "
            f"season around {middle} that the head learned."
        )
        return self.with_series(self.series.moved(years))

    def in_year(self, year: int, feedback: Feedback) -> SeriesFeatures:
        """Return the vectors with days moved by whole years, so that their middle is in a year.

        Args:
            year: one year for all series that are to be compared.
            feedback: told by how many years.
        """
        years = year - middle_of(self.dates).year
        if years:
            feedback.info(f"The days of {self.name} are moved by {years:+d} years, into {year}.")
        return self.with_series(self.series.moved(years)) if years else self

    @property
    def bands(self) -> list[str] | None:
        """Return the bands that the series has."""
        return list(self.series.bands_present)

    @property
    def provenance(self) -> dict[str, str]:
        """Return model, dates, bands and device, as metadata items."""
        package = self.encoder.package
        return {
            "ALISE_MODEL": package.name,
            "ALISE_MODEL_VERSION": package.version,
            "ALISE_MODEL_SHA256": package.sha256,
            **same_vectors_item(package.same_vectors_as),
            "ALISE_DATES": ",".join(day.isoformat() for day in self.dates),
            "ALISE_BANDS": ",".join(self.series.bands_present),
            "ALISE_SERIES": self.name,
            "ALISE_DEVICE": self.encoder.device_used,
            "ALISE_PRECISION": self.encoder.precision,
            **moved_item(self.series.moved_years),
        }

    @property
    def device_used(self) -> str:
        """Return the device that the encoder really uses."""
        return self.encoder.device_used

    @property
    def on_device(self) -> str:
        """Return " on " and where the encoder runs."""
        return f" on {self.encoder.where}"

    def tiles(self, inner: Window, budget: TileBudget, beside: int = 0) -> tuple[int, list[Tile]]:
        """Return the side of the tiles of a map and the tiles; see `Features.tiles`."""
        return tiles_of(self.series, self.encoder, inner, budget, beside)

    def scattered(self, budget: TileBudget) -> ScatteredReading:
        """Return how tiles around scattered pixels are read."""
        whole = self.grid.window
        largest = choose_tile_size(self.encoder, len(self.dates), whole, whole, budget.memory_mb)
        halo, stride = tile_halo(self.encoder), self.encoder.package.stride
        return ScatteredReading(halo, stride, tile_step(self.encoder), largest)

    def read_tiles(self, tiles: Sequence[Tile], feedback: Feedback) -> Iterator[tuple[Tile, Float]]:
        """Yield tiles with their vectors; see `Features.read_tiles`."""
        warn_of_several_years(self.series, feedback)
        return encode_tiles(self.series, self.encoder, tiles, feedback)

    def read_some(self, window: Window, every: int, feedback: Feedback) -> Float:
        """Return the vectors of every n-th row and column; see `Features.read_some`."""
        tile = Tile(grown(window, self.grid.window), window)
        return encode_some(self.series, self.encoder, tile, every, feedback.cancelled)


def moved_item(years: int) -> dict[str, str]:
    """Return the metadata item about years that days were moved by."""
    return {YEARS_MOVED: str(years)} if years else {}


def same_vectors_item(hashes: Sequence[str]) -> dict[str, str]:
    """Return the metadata item about other models that give the same vectors."""
    return {"ALISE_SAME_VECTORS_AS": ",".join(hashes)} if hashes else {}


def warn_of_several_years(series: ImageSeries, feedback: Feedback) -> None:
    """Say that vectors of one year tell more of it (`benchmarks/segment.py`, table together)."""
    years = (series.dates[-1] - series.dates[0]).days / _YEAR_DAYS
    if years > _MANY_YEARS:
        feedback.info(
            f"{os.path.basename(series.path)} covers {years:.1f} years. Vectors of a single year "
            "tell more of it: for a map of one year, build a series of its dates."
        )
