"""Reading an embedding raster: one that `embed` wrote, or a product of others."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from osgeo import gdal

from ...arrays import Float
from ...errors import AliseError, Cancelled, SeriesError
from ...feedback import Feedback
from ...model.encoder import Encoder
from ...model.identity import FeatureIdentity
from ...sits.acquisitions import parse_date
from ...sits.grid import Grid, Tile, Window, plan_tiles
from ...sits.rasters import open_raster, read_bands
from ...sits.years import days_of_years, middle_of, whole_years
from .features import ScatteredReading
from .products import YEAR_ITEM, product_of
from .tiling import TileBudget

if TYPE_CHECKING:
    from .series_features import SeriesFeatures

YEARS_MOVED = "ALISE_YEARS_MOVED"  # metadata item: whole years that days were moved by
_BLOCK = 16  # pixels: sides of tiles are multiples, as the blocks of a GeoTIFF are
# Pixels: sides of tiles that are only read. Multiples of the first have blocks of a good size; a
# tile of the second is read in a few seconds, between which a run tells how far it is.
_STEP, _LARGEST = 64, 512
_FEATURE = re.compile(r"((q\d+_d|c)\d+)?")  # names that `embed` gives, or none


class EmbeddingRaster:
    """The vectors of an embedding raster; see `Features`.

    Attributes:
        path: the file.
        grid: CRS, place and size.
        names: of the features, "q03_d17", or "c05" in the compact form.
        metadata: provenance, ALISE_MODEL and more.
        product: whose vectors it holds; None for those of `embed`.
    """

    is_series = False
    device_used = ""
    on_device = ""

    def __init__(
        self,
        path: str | os.PathLike[str],
        load_encoder: Callable[[], Encoder] | None = None,
    ) -> None:
        """Open the raster.

        Args:
            path: the file.
            load_encoder: opens the model that made it, if it is to be decoded.

        Raises:
            SeriesError: it cannot be opened, or is no embedding raster that is known.
        """
        self.path = os.fspath(path)
        self._load = load_encoder
        self._encoder: Encoder | None = None
        name = self.name
        self._dataset: gdal.Dataset = open_raster(self.path)
        self.metadata: dict[str, str] = self._dataset.GetMetadata() or {}
        first = self._dataset.GetRasterBand(1).GetDescription()
        # Maps state their model too. Bands without names are taken: some programs drop them.
        ours = "ALISE_MODEL_SHA256" in self.metadata and _FEATURE.fullmatch(first)
        self.product = None if ours else product_of(self._dataset)
        if not ours and self.product is None:
            raise SeriesError(
                f"{name} is not an embedding raster that is known: make one with Embed Image "
                "Series, or say with Use Embeddings whose vectors it holds."
            )
        self.grid = Grid.from_dataset(self._dataset, name)
        bands = [self._dataset.GetRasterBand(i + 1) for i in range(self._dataset.RasterCount)]
        self.names = tuple(band.GetDescription() for band in bands)
        self._nodata = bands[0].GetNoDataValue()
        scale = [1.0 if band.GetScale() is None else band.GetScale() for band in bands]
        offset = [band.GetOffset() or 0.0 for band in bands]
        self._scale = np.array(scale, np.float32)[:, None, None]
        self._offset = np.array(offset, np.float32)[:, None, None]

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return os.path.basename(self.path)

    @property
    def identity(self) -> FeatureIdentity:
        """Return which model made the raster."""
        if self.product is not None:
            return self.product.identity
        sha256 = self.metadata["ALISE_MODEL_SHA256"]
        model = self.metadata.get("ALISE_MODEL", "")
        version = self.metadata.get("ALISE_MODEL_VERSION", "")
        others = self.metadata.get("ALISE_SAME_VECTORS_AS", "")
        return FeatureIdentity(
            sha256,
            f"{model or 'a model'} {version} {sha256[:8]}",
            len(self.names),
            tuple(others.split(",")) if others else (),
        )

    @property
    def files(self) -> list[str]:
        """Return the file."""
        return [self.path]

    @property
    def dates(self) -> tuple[date, ...]:
        """Return the acquisitions, ascending; none if the raster does not say them."""
        words = self.metadata.get("ALISE_DATES", "").split(",")
        return tuple(sorted(day for day in map(parse_date, words) if day is not None))

    @property
    def dates_text(self) -> str:
        """Return the acquisitions, or the year of a product, as the raster says them."""
        if self.product is not None:
            return self.product.year
        return self.metadata.get("ALISE_DATES", "")

    @property
    def season(self) -> date | None:
        """Return the middle of the days that the raster was made with, if it says them."""
        dates = self.dates
        if not dates:
            return None
        try:
            years = int(self.metadata.get(YEARS_MOVED, "0"))
        except ValueError:
            return None
        return middle_of(dates) + timedelta(days_of_years(years))

    def in_season(self, middle: date | None, feedback: Feedback) -> EmbeddingRaster:
        """Return this; warn where its days lie in another year; see `Features.in_season`."""
        own = self.season
        years = whole_years([own], [middle]) if own is not None and middle is not None else 0
        if own is not None and middle is not None and years:
            feedback.warning(
                f"{self.name} was made with the days of {own.year} and the head learned those of "
                f"{middle.year}, so it tells classes less well: embed the series again with YEAR "
                f"{middle.year}."
            )
        return self

    @property
    def bands(self) -> list[str] | None:
        """Return the bands that the vectors were made of; None if the raster does not say them."""
        stated = self.metadata.get("ALISE_BANDS", "")
        return stated.split(",") if stated else None

    @property
    def provenance(self) -> dict[str, str]:
        """Return what the raster says of its vectors."""
        if self.product is not None:
            identity = self.product.identity
            return {
                "ALISE_MODEL": self.product.name,
                "ALISE_MODEL_VERSION": self.product.version,
                "ALISE_MODEL_SHA256": identity.sha256,
                YEAR_ITEM: self.product.year,
            }
        return {key: text for key, text in self.metadata.items() if key.startswith("ALISE_")}

    def open_encoder(self) -> Encoder:
        """Return the model, to decode the raster.

        Raises:
            AliseError: no model was given, or it is of a product, of which none decodes.
        """
        if self.product is not None:
            raise AliseError(
                f"{self.name} holds vectors of {self.product.identity.name}, which no decoder "
                "turns back into reflectance; choose an image series or an embedding of ALISE."
            )
        if self._encoder is None:
            if self._load is None:
                raise AliseError(f"{self.name} needs the model that made it; choose that model.")
            self._encoder = self._load()
        return self._encoder

    def require_series(self, instead: str) -> SeriesFeatures:
        """Refuse: this is no series.

        Raises:
            SeriesError: always.
        """
        raise SeriesError(f"{self.name} is an embedding raster already: {instead}.")

    def require_raster(self) -> EmbeddingRaster:
        """Return this."""
        return self

    def tiles(self, inner: Window, budget: TileBudget, beside: int = 0) -> tuple[int, list[Tile]]:
        """Return the side of the tiles of a map and the tiles; see `Features.tiles`."""
        asked = budget.tile_size or self._largest_side(budget, beside)
        side = math.ceil(asked / _BLOCK) * _BLOCK
        return side, plan_tiles(self.grid, inner, side, 0, 1)

    def _largest_side(self, budget: TileBudget, beside: int) -> int:
        """Return the side of tiles whose vectors fit twice into the memory, in pixels."""
        most = math.isqrt(int(budget.bytes / (2 * 4 * len(self.names) + beside)))
        step = _STEP if most >= _STEP else _BLOCK
        return min(_LARGEST, max(_BLOCK, most // step * step))

    def scattered(self, budget: TileBudget) -> ScatteredReading:
        """Return how tiles around scattered pixels are read."""
        most = math.sqrt(max(0.0, budget.bytes) / (2 * 4 * len(self.names)))
        return ScatteredReading(0, 1, _BLOCK, max(_BLOCK, int(most) // _BLOCK * _BLOCK))

    def read_tiles(self, tiles: Sequence[Tile], feedback: Feedback) -> Iterator[tuple[Tile, Float]]:
        """Yield tiles with their vectors; see `Features.read_tiles`."""
        for number, tile in enumerate(tiles):
            if feedback.cancelled():
                raise Cancelled("The run was cancelled.")
            yield tile, self.read(tile.inner)
            feedback.progress((number + 1) / len(tiles))

    def read_some(self, window: Window, every: int, feedback: Feedback) -> Float:
        """Return the vectors of every n-th row and column of a window."""
        return self.read(window)[:, ::every, ::every]

    def read(self, window: Window, size: tuple[int, int] | None = None) -> Float:
        """Return `(features, H, W)` float32 of a window, NaN for a pixel without any value.

        Args:
            window: the pixels.
            size: rows and columns to return, of an overview where that is enough; all if None.
        """
        bands = range(1, len(self.names) + 1)
        place = (window.col, window.row, window.width, window.height)
        values = read_bands(self._dataset, bands, *place, size)
        missing = values[0] == self._nodata  # a pixel has all its features or none
        if self.product is not None:
            values = self.product.vectors(values)
            missing = missing | ~np.isfinite(values).all(0)
            values[:, (values == 0).all(0)] = np.nan  # no vector is nothing but zeros
        values *= self._scale
        values += self._offset
        values[:, missing] = np.nan
        return values
