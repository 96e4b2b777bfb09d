"""Image series in, images without clouds on any day out: what the model expects to be seen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ...errors import SeriesError
from ...feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from ...model.encoder import Encoder
from ...sentinel2 import BANDS
from ...sits.acquisitions import days_since_reference
from ...sits.grid import Window, plan_tiles
from ...sits.no_value import HIGHEST, LOWEST
from ...sits.rasters import block_cache
from ...sits.series import RECONSTRUCTED
from ..features.decode_days import (
    DayShare,
    day_shares,
    embeddings_of_shares,
    require_decodable,
)
from ..features.features import Features
from ..features.tiling import TileBudget, cache_size
from ..rasters.destinations import require_outputs
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput, block_side
from ..rasters.natural_color import natural_color
from ..rasters.write_behind import WriteBehind

EVERY = 30  # days between two dates, where none are given


# Whole numbers of 1/10000, as Sentinel-2's own products have.
_STEPS = 10_000


_NODATA = -10_000


_LOWEST, _HIGHEST = -0.2, 3.2767  # reflectance: what is below reads as no value, or has no number


_WINDOW_BYTES = 64e6  # of the images that are decoded at once, with their copies


_SMALLEST_BLOCK, _LARGEST_BLOCK = 16**2, 256**2  # pixels


_MOST_WITH_OVERVIEWS = 400  # days: a block of an overview, with all its bands, takes 33 MB


_MOST_BANDS = 65535  # of a GeoTIFF


_NAMED = 5  # days outside the series that the log names


@dataclass(frozen=True)
class ReconstructResult:
    """What `reconstruct` wrote and with what.

    Attributes:
        path: the images, an image series itself.
        dates: of the images.
        device: the device that the encoder used.
        model_id: name, version and hash of the model.
    """

    path: str
    dates: tuple[date, ...]
    device: str
    model_id: str


def reconstruct(
    source: Features,
    output: str | os.PathLike[str],
    *,
    dates: Sequence[date] = (),
    every: int = EVERY,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> ReconstructResult:
    """Write the reflectance that the model expects on any days (paper, Eq. 8 and 9).

    Values depend neither on the tiles nor on the extent, as those of `embed`, nor on the other days
    that are shown. Of a series of more than a year, each day is decoded from the acquisitions of
    the year around it (`model.year_around`); an embedding raster has all of them in it.

    Args:
        source: an image series, or an embedding raster with all its features.
        output: a GeoTIFF of ten bands a date, as whole numbers of 1/10000 with their scale. It is
            an image series that every algorithm takes, but that Build image series refuses days
            on which no Sentinel-2 can have seen anything. More than 400 dates get no overviews.
        dates: days to show, in any order; if none is given, one every so many days.
        every: days between two dates, from the first to the last of the source.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source; all of it if None.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        SeriesError: the source cannot be decoded, the extent is outside, or a file cannot be read.
        AliseError: the memory is too little.
        OutputError: the raster cannot be written or would overwrite an input.
        Cancelled: the feedback said so; nothing is left.
    """
    feedback = feedback or SilentFeedback()
    budget = budget or TileBudget()
    require_outputs([output], [source.path])
    encoder = source.open_encoder()
    require_decodable(source, encoder)
    acquired = source.dates
    wanted = tuple(sorted(set(dates))) or _regular(acquired, every)
    if len(wanted) * len(BANDS) > _MOST_BANDS:
        raise SeriesError(
            f"{len(wanted)} days are more than a GeoTIFF holds ({_MOST_BANDS // len(BANDS)}): show "
            "fewer."
        )
    for sentence in _cautions(source, acquired, wanted):
        feedback.info(sentence)
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    days = days_since_reference(wanted)
    package = encoder.package
    source, shares = day_shares(source, days)
    form = _form(source, encoder, acquired, wanted)
    with block_cache(cache_size(budget.memory_mb) / 2):  # overviews that wait may take as much
        # Images of one share are written as they are made, others wait for the rest.
        held = len(form.descriptions) * form.dtype.itemsize if len(shares) > 1 else 0
        side, tiles = source.tiles(inner, budget, held)
        feedback.info(
            f"{inner.width} x {inner.height} pixels, {len(wanted)} days, {len(tiles)} tiles of "
            f"{side}, model {package.model_id} on {encoder.where}."
        )
        if len(shares) > 1:
            feedback.info("Each day is decoded from the acquisitions of the year around it.")
        progress = _Progress(feedback, _share_of_images(source, shares))
        shown = 0
        block = _block(side, len(tiles), inner, len(wanted))
        raster = RasterOutput(output, source.grid.subgrid(inner), form, block)
        with raster, WriteBehind(raster.abandon) as behind:
            for tile, embeddings in embeddings_of_shares(source, tiles, shares, progress):
                size = tile.inner.height, tile.inner.width
                all_images = (
                    np.empty((len(wanted), len(BANDS), *size), form.dtype) if held else None
                )
                # What is asked for last ends the tile, and lets go of what it holds.
                for features, share in zip(embeddings, shares):
                    vectors = features.reshape(package.n_queries, package.d_model, *size)
                    for part in plan_tiles(source.grid, tile.inner, block, 0, 1):
                        stop_if_cancelled(feedback)
                        window = part.inner
                        place = window.slices_in(tile.inner)
                        decoded = encoder.decode(vectors[(..., *place)], days[share.shown])
                        images = _stored(decoded)
                        if all_images is not None:
                            all_images[(share.shown, slice(None), *place)] = images
                            images = all_images[(..., *place)]
                        if share is shares[-1]:
                            bands = images.reshape(-1, window.height, window.width)
                            behind.submit(raster.write, window.relative_to(inner), bands)
                        shown += window.pixels * len(share.shown)
                        progress.images(shown / (inner.pixels * len(wanted)))
    feedback.progress(1.0)
    return ReconstructResult(os.fspath(output), wanted, encoder.device_used, package.model_id)


def _regular(acquired: Sequence[date], every: int) -> tuple[date, ...]:
    """Return a date every so many days, from the first to the last acquisition.

    Raises:
        SeriesError: the source does not say its dates, or there are no days between.
    """
    if not acquired:
        raise SeriesError("The embedding raster does not say its dates: give the DATES to show.")
    if every < 1:
        raise SeriesError(f"EVERY is {every} days: give 1 or more, or the DATES to show.")
    count = (acquired[-1] - acquired[0]).days // every + 1
    return tuple(acquired[0] + timedelta(days=every * number) for number in range(count))


def _cautions(source: Features, acquired: Sequence[date], wanted: Sequence[date]) -> Iterator[str]:
    """Yield sentences on what the images show that nobody has seen."""
    outside = [day for day in wanted if acquired and not acquired[0] <= day <= acquired[-1]]
    if outside:
        named = ", ".join(map(str, outside[:_NAMED])) + (", ..." if outside[_NAMED:] else "")
        yield (
            f"{len(outside)} of {len(wanted)} dates lie outside the series ({acquired[0]} to "
            f"{acquired[-1]}): {named}. What the model expects there is a guess."
        )
    absent = [band for band in BANDS if band not in (source.bands or BANDS)]
    if absent:
        yield f"The series has no {', '.join(absent)}: the model guesses them from the other bands."


def _form(
    source: Features, encoder: Encoder, acquired: Sequence[date], wanted: Sequence[date]
) -> RasterForm:
    descriptions = [f"{day} {band}" for day in wanted for band in BANDS]
    return RasterForm(
        descriptions,
        np.dtype(np.int16),
        _NODATA,
        scale=[1 / _STEPS] * len(descriptions),
        offset=[0.0] * len(descriptions),
        metadata={
            RECONSTRUCTED: encoder.package.model_id,
            "ALISE_RECONSTRUCTED_FROM": source.name,
            "ALISE_DATES": ",".join(map(str, acquired)),
            "ALISE_BANDS": ",".join(source.bands or ()),
            "ALISE_DEVICE": encoder.device_used,
            "ALISE_PRECISION": encoder.precision,
        },
        overviews="average" if len(wanted) <= _MOST_WITH_OVERVIEWS else "",
        style=natural_color(len(wanted) // 2),
    )


def _block(side: int, tiles: int, inner: Window, dates: int) -> tuple[int, int]:
    """Return rows and columns of the GeoTIFF's blocks, which are also what is decoded at once.

    As large as a bounded memory for the images of all dates lets them be, whole numbers of which
    make a tile. Few numbers divide some sides, so blocks need not be square.
    """
    pixel = dates * len(BANDS) * (2 * 4 + 2 * 2)  # decoded, rounded, as written, and those before
    pixels = int(np.clip(_WINDOW_BYTES / pixel, _SMALLEST_BLOCK, _LARGEST_BLOCK))
    if tiles == 1:
        square = min(math.isqrt(pixels), max(inner.width, inner.height) + 15) // 16 * 16
        return square, square
    height = block_side(side, math.isqrt(pixels))
    return height, block_side(side, pixels // height)


def _stored(images: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return reflectance as it is written."""
    raw = np.clip(images, LOWEST, HIGHEST)  # what is beyond reads as no value
    raw *= _STEPS
    np.rint(raw, out=raw)
    raw[np.isnan(raw)] = _NODATA
    return raw.astype(np.int16)


def _share_of_images(source: Features, shares: Sequence[DayShare]) -> float:
    """Return the share of a run's time, 0 to 1, that decoding and writing take."""
    # Measured in dates that are decoded: one that is encoded takes about ten times as long, six of
    # which are spent again in each further embedding that has it, and the features of an embedding
    # raster are read in the time of some forty.
    dates = sum(len(share.shown) for share in shares)
    dates += sum(6 * len(share.period.dates) for share in shares[1:] if share.period is not None)
    features = 10 * len(source.dates) if source.is_series else 40
    return dates / (dates + features)


class _Progress(Part):
    """The feedback of a run in which features are made and images decoded by turns.

    Args:
        whole: the feedback of the run.
        share: of the run that images take, 0 to 1.
    """

    def __init__(self, whole: Feedback, share: float) -> None:
        super().__init__(whole, 0.0, 1.0)
        self._share = share
        self._features = self._images = 0.0

    def progress(self, fraction: float) -> None:
        """Report how much of the features is made, 0 to 1."""
        self._features = fraction
        self._tell()

    def images(self, fraction: float) -> None:
        """Report how much of the images is decoded, 0 to 1."""
        self._images = fraction
        self._tell()

    def _tell(self) -> None:
        ahead = self._images - self._features
        self._whole.progress(self._features + self._share * ahead)
