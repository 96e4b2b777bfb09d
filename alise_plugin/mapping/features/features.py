"""Where vectors come from, so that nothing downstream asks which kind it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

from ...arrays import Float
from ...feedback import Feedback
from ...model.encoder import Encoder
from ...model.identity import FeatureIdentity
from ...sits.grid import Grid, Tile, Window
from .tiling import TileBudget

if TYPE_CHECKING:
    from .embedding_raster import EmbeddingRaster
    from .series_features import SeriesFeatures


@dataclass(frozen=True)
class ScatteredReading:
    """How tiles around scattered pixels are read.

    Attributes:
        halo: pixels that are read around a tile.
        stride: pixels that a tile's edges are snapped to.
        step: pixels that the side of a tile is a multiple of.
        largest: side of the largest tile that fits into the memory, in pixels.
    """

    halo: int
    stride: int
    step: int
    largest: int


class Features(Protocol):
    """Vectors of the pixels of a place: a series bound to its encoder, or an embedding raster.

    Attributes:
        path: the file.
        name: of the file, for messages.
        grid: CRS, place and size.
        is_series: whether the vectors are encoded on the way.
    """

    path: str
    grid: Grid
    is_series: bool

    @property
    def name(self) -> str:
        """Return the name of the file."""

    @property
    def identity(self) -> FeatureIdentity:
        """Return which model or product the vectors come from."""

    @property
    def files(self) -> list[str]:
        """Return the files that are read, which no output may replace."""

    @property
    def dates(self) -> tuple[date, ...]:
        """Return the acquisitions, ascending; none if they are not known."""

    @property
    def dates_text(self) -> str:
        """Return the acquisitions in a few words; an empty text if they are not known."""

    @property
    def season(self) -> date | None:
        """Return the middle of the days that the vectors are made with; None if not known."""

    def in_season(self, middle: date | None, feedback: Feedback) -> Features:
        """Return the vectors with days moved by whole years, so that their middle is nearest.

        An embedding raster keeps the days that it was made with; it warns.

        Args:
            middle: of the season to move to; None for the vectors as they are.
            feedback: told by how many years.
        """

    @property
    def bands(self) -> list[str] | None:
        """Return the bands that the vectors were made of; None if they are not known."""

    @property
    def provenance(self) -> dict[str, str]:
        """Return what a map says of its vectors, as metadata items."""

    @property
    def device_used(self) -> str:
        """Return the device that the encoder really used; an empty text if none was."""

    @property
    def on_device(self) -> str:
        """Return " on " and where the encoder runs; an empty text if none does."""

    def open_encoder(self) -> Encoder:
        """Return the model that encodes the series or decodes the raster; it is opened once.

        Raises:
            AliseError: there is none.
        """

    def require_series(self, instead: str) -> SeriesFeatures:
        """Return the features of an image series.

        Args:
            instead: what the user is asked to do.

        Raises:
            SeriesError: it is an embedding raster.
        """

    def require_raster(self) -> EmbeddingRaster:
        """Return the features of an embedding raster.

        Raises:
            SeriesError: it is an image series.
        """

    def tiles(self, inner: Window, budget: TileBudget, beside: int = 0) -> tuple[int, list[Tile]]:
        """Return the side of the tiles of a map, a multiple of 16 pixels, and the tiles.

        Args:
            inner: what the map covers, in pixels of `grid`.
            budget: memory and tile size.
            beside: bytes of a pixel that are held beside the vectors.

        Raises:
            AliseError: the memory is too little.
        """

    def scattered(self, budget: TileBudget) -> ScatteredReading:
        """Return how tiles around scattered pixels are read."""

    def read_tiles(self, tiles: Sequence[Tile], feedback: Feedback) -> Iterator[tuple[Tile, Float]]:
        """Yield tiles with `(features, h, w)` float32, NaN for a pixel without any value.

        Args:
            tiles: all or some of `tiles`.
            feedback: progress and cancelling.

        Raises:
            Cancelled: the feedback says so.
        """

    def read_some(self, window: Window, every: int, feedback: Feedback) -> Float:
        """Return `(features, h, w)` of every n-th row and column of a window.

        A series is encoded without what lies around the window, and so not quite as a map is.
        """
