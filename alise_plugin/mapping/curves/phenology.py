"""Features in, a raster of the seasons that their decoded curves show out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import AliseError, SeriesError
from ...feedback import Feedback, SilentFeedback, stop_if_cancelled
from ...model.encoder import Encoder
from ...sentinel2 import BANDS, REFERENCE_DATE
from ...sits.acquisitions import days_since_reference
from ...sits.grid import Tile, Window, plan_tiles
from ...sits.rasters import block_cache
from ..features.decode_days import DayShare, day_shares, embeddings_of_shares, require_decodable
from ..features.features import Features
from ..features.tiling import TileBudget, cache_size
from ..rasters.destinations import require_outputs
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput, block_side
from ..rasters.style import ramp_style
from .indices import SpectralIndex
from .pixel_curves import UNLIKE, departure
from .seasons import AROUND, METRICS, SEASONS, STEP, SeasonRules, find_seasons

DAY_FORMS = ("dayofyear", "yyddd")
"""How days are written: counted from 1 January of the year in which the window of peaks begins, so
that they may lie below 1 and above 366; or as HR-VPP has them, such as 19134 for 2019-05-14."""

_BANDS = [f"{metric}_{number}" for number in range(1, SEASONS + 1) for metric in METRICS]
_LONGEST = 400  # days of a window of peaks: a year, with what does not quite fit into it
_BLOCK = 128  # pixels: side of what is decoded at once
_PART = 4096  # pixels whose seasons are found at once
_BLOCK_BYTES = 48e6  # of reflectance that is decoded at once


@dataclass(frozen=True)
class PhenologyOptions:
    """Which seasons are told, and how.

    Attributes:
        index: of the curve.
        start, end: days between which the peaks lie; the whole series if both are None.
        start_level, end_level, relative, minimum_amplitude: see `SeasonRules`.
        day_form: one of `DAY_FORMS`.
    """

    index: SpectralIndex = field(default_factory=lambda: SpectralIndex("NDVI"))
    start: date | None = None
    end: date | None = None
    start_level: float = 0.25
    end_level: float = 0.15
    relative: bool = True
    minimum_amplitude: float = 0.1
    day_form: str = DAY_FORMS[0]


@dataclass(frozen=True)
class PhenologyResult:
    """What `phenology` wrote.

    Attributes:
        path: the raster.
        start, end: days between which the peaks lie.
        with_season: share of the pixels with a value that have a season, 0 to 1.
        with_two: share of them that have two.
        device: the device that the encoder used.
    """

    path: str
    start: date
    end: date
    with_season: float
    with_two: float
    device: str


def phenology(
    source: Features,
    output: str | os.PathLike[str],
    options: PhenologyOptions | None = None,
    *,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> PhenologyResult:
    """Write start, peak, end and size of up to two seasons of every pixel.

    The curve has a value every five days, on days that depend on neither tiles nor extent, from
    half a year before the window of peaks to half a year after it as far as there are acquisitions.

    Args:
        source: an image series, or an embedding raster with all its features.
        output: GeoTIFF, float32, NaN without a value; its bands are `METRICS` of both seasons.
        options: which seasons, and how they are told.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source; all of it if None.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        SeriesError: the source cannot be decoded, does not cover the window of peaks, or covers
            several years of which none was chosen.
        AliseError: the memory is too little, or the days do not ascend.
        OutputError: the raster cannot be written, or would overwrite an input.
        Cancelled: the feedback said so; nothing is left.
    """
    options, budget = options or PhenologyOptions(), budget or TileBudget()
    feedback = feedback or SilentFeedback()
    require_outputs([output], [source.path])
    encoder = source.open_encoder()
    require_decodable(source, encoder)
    start, end = _window_of_peaks(source, options)
    calendar = _Calendar.of(source, start, end)
    first, last = days_since_reference([start, end]).tolist()
    rules = SeasonRules(
        first,
        last,
        options.start_level,
        options.end_level,
        options.relative,
        options.minimum_amplitude,
    )
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    reader, shares = day_shares(source, calendar.decoded)
    form = _form(source, encoder, options, start, end)
    pixels = found = twice = 0
    with block_cache(cache_size(budget.memory_mb)):
        side, tiles = source.tiles(inner, budget, calendar.bytes_per_pixel)
        feedback.info(
            f"{inner.width} x {inner.height} pixels, {len(tiles)} tiles of {side}, "
            f"{options.index.name} every {STEP} days, peaks from {start} to {end}, model "
            f"{encoder.package.model_id} on {encoder.where}."
        )
        raster = RasterOutput(output, source.grid.subgrid(inner), form, block_side(side))
        with raster:
            decoding = _Decoding(source, encoder, calendar, options.index)
            for tile, curve, clear in decoding.tiles(reader, tiles, shares, feedback):
                flat = curve.reshape(len(curve), -1)
                seasons = _in_parts(flat, clear.reshape(len(clear), -1), calendar, rules)
                stop_if_cancelled(feedback)
                pixels += int(np.isfinite(flat[0]).sum())
                found += int(np.isfinite(seasons[0, 1]).sum())
                twice += int(np.isfinite(seasons[1, 1]).sum())
                bands = _written(seasons, options.day_form, start)
                shape = (-1, tile.inner.height, tile.inner.width)
                raster.write(tile.inner.relative_to(inner), bands.reshape(shape))
    feedback.progress(1.0)
    if pixels and not found:
        feedback.warning(
            f"No pixel has a season whose amplitude reaches {options.minimum_amplitude:g}: check "
            "INDEX, MINIMUM_AMPLITUDE and the days."
        )
    whole = max(1, pixels)
    return PhenologyResult(
        os.fspath(output), start, end, found / whole, twice / whole, encoder.device_used
    )


def dates_of_curve(source: Features) -> tuple[date, ...]:
    """Return the days on which the curve of a source has values: all those of its acquisitions."""
    if not source.dates:
        return ()
    low, high = days_since_reference([source.dates[0], source.dates[-1]])
    return tuple(REFERENCE_DATE + timedelta(days=int(day)) for day in _regular_days(low, high))


def seasons_of_years(
    dates: Sequence[date], values: Float, minimum_amplitude: float = 0.1
) -> list[tuple[date | None, date | None, date | None]]:
    """Return start, peak and end of the seasons of a curve, those of each calendar year.

    They are those that `phenology` tells of a year with relative thresholds.

    Args:
        dates: `N` days, see `dates_of_curve`.
        values: `(N,)` the index.
        minimum_amplitude: of a season.
    """
    days = days_since_reference(dates)
    found: list[tuple[date | None, date | None, date | None]] = []
    for year in sorted({day.year for day in dates}):
        first, last = days_since_reference([date(year, 1, 1), date(year, 12, 31)]).tolist()
        near = (days >= first - AROUND) & (days <= last + AROUND)
        rules = SeasonRules(first, last, minimum_amplitude=minimum_amplitude)
        for season in find_seasons(values[near, None], days[near], rules)[..., 0]:
            if np.isfinite(season[1]):
                start, peak, end = (
                    REFERENCE_DATE + timedelta(days=round(float(day))) if day == day else None
                    for day in season[:3]
                )
                found.append((start, peak, end))
    return found


def _regular_days(low: float, high: float) -> NDArray[np.float32]:
    """Return the days of curves between two: multiples of STEP since the reference date."""
    steps = np.arange(math.ceil(low / STEP), math.floor(high / STEP) + 1)
    return (steps * STEP).astype(np.float32)


def _window_of_peaks(source: Features, options: PhenologyOptions) -> tuple[date, date]:
    """Return the days between which peaks lie.

    Raises:
        SeriesError: see `phenology`.
        AliseError: the days do not ascend, or are more than a year.
    """
    if (options.start is None) != (options.end is None):
        raise AliseError("Only one of START and END is given: give both, or none of them.")
    acquired = source.dates
    if options.start is None or options.end is None:
        if not acquired:
            raise SeriesError(f"{source.name} does not say its dates: give START and END.")
        if (acquired[-1] - acquired[0]).days > _LONGEST:
            raise SeriesError(
                f"{source.name} covers {acquired[0]} to {acquired[-1]}: give START and END of the "
                "year in which the peaks of the seasons lie."
            )
        return acquired[0], acquired[-1]
    start, end = options.start, options.end
    if not 0 < (end - start).days <= _LONGEST:
        raise AliseError(
            f"START {start} and END {end} are no window of peaks: let END follow START within "
            f"{_LONGEST} days."
        )
    if acquired and (end < acquired[0] or start > acquired[-1]):
        raise SeriesError(
            f"{source.name} has no acquisition between START {start} and END {end}: it covers "
            f"{acquired[0]} to {acquired[-1]}."
        )
    return start, end


@dataclass(frozen=True)
class _Calendar:
    """Days that are decoded.

    Attributes:
        regular: `(N,)` days of the curve.
        observed: `(T,)` days of the acquisitions that lie between them.
        acquisitions: their dates.
    """

    regular: NDArray[np.float32]
    observed: NDArray[np.float32]
    acquisitions: tuple[date, ...]

    @classmethod
    def of(cls, source: Features, start: date, end: date) -> _Calendar:
        """Return the days around a window of peaks, as far as there are acquisitions."""
        first, last = start - timedelta(days=AROUND), end + timedelta(days=AROUND)
        acquired = source.dates
        if acquired:
            first, last = max(first, acquired[0]), min(last, acquired[-1])
        low, high = days_since_reference([first, last])
        inside = tuple(day for day in acquired if first <= day <= last) if source.is_series else ()
        return cls(_regular_days(low, high), days_since_reference(inside), inside)

    @property
    def decoded(self) -> NDArray[np.float32]:
        """Return `(N + T,)` days of the curve, then those of the acquisitions."""
        return np.concatenate([self.regular, self.observed])

    @property
    def bytes_per_pixel(self) -> int:
        """Return bytes that a pixel's curve and its seasons take."""
        return len(self.regular) * 4 + len(self.observed) + 3 * len(_BANDS) * 4


@dataclass(frozen=True)
class _Decoding:
    """Curves of tiles, decoded block by block.

    Attributes:
        source: its acquisitions are compared with the curve.
        encoder: decodes.
        calendar: days.
        index: of the curve.
    """

    source: Features
    encoder: Encoder
    calendar: _Calendar
    index: SpectralIndex

    def tiles(
        self,
        reader: Features,
        tiles: list[Tile],
        shares: Sequence[DayShare],
        feedback: Feedback,
    ) -> Iterator[tuple[Tile, Float, NDArray[np.bool_]]]:
        """Yield tiles with `(N, h, w)` the index and `(T, h, w)` what is like the curve."""
        package, regular = self.encoder.package, len(self.calendar.regular)
        days = self.calendar.decoded
        for tile, embeddings in embeddings_of_shares(reader, tiles, shares, feedback):
            size = tile.inner.height, tile.inner.width
            curve = np.full((regular, *size), np.nan, np.float32)
            clear = np.zeros((len(days) - regular, *size), bool)
            for features, share in zip(embeddings, shares):
                vectors = features.reshape(package.n_queries, package.d_model, *size)
                on_curve = share.shown < regular
                acquisitions = share.shown[~on_curve] - regular
                for window in _blocks(self.source, tile, len(share.shown)):
                    stop_if_cancelled(feedback)
                    place = window.slices_in(tile.inner)
                    decoded = self.encoder.decode(vectors[(..., *place)], days[share.shown])
                    values = self.index(np.moveaxis(decoded[on_curve], 1, -1))
                    curve[(share.shown[on_curve], *place)] = values
                    expected = decoded[~on_curve]
                    clear[(acquisitions, *place)] = self._like(window, acquisitions, expected)
            yield tile, curve, clear

    def _like(
        self, window: Window, acquisitions: NDArray[np.intp], expected: Float
    ) -> NDArray[np.bool_]:
        """Return `(n, h, w)` whether an acquisition has an observation like the curve."""
        like = np.zeros((len(acquisitions), window.height, window.width), bool)
        if not len(acquisitions):
            return like
        series = self.source.require_series("choose a series").series
        for number, acquisition in enumerate(acquisitions):
            place = series.dates.index(self.calendar.acquisitions[acquisition])
            seen = np.moveaxis(series.read(window, place), 0, -1)
            like[number] = departure(seen, np.moveaxis(expected[number], 0, -1)) <= UNLIKE
        return like


def _in_parts(
    curve: Float, clear: NDArray[np.bool_], calendar: _Calendar, rules: SeasonRules
) -> Float:
    """Return `find_seasons`, which takes a dozen copies of its curves, of some pixels at a time."""
    out = np.empty((SEASONS, len(METRICS), curve.shape[1]), np.float32)
    known = len(clear) > 0
    for start in range(0, curve.shape[1], _PART):
        part = slice(start, start + _PART)
        out[..., part] = find_seasons(
            curve[:, part],
            calendar.regular,
            rules,
            clear[:, part] if known else None,
            calendar.observed if known else None,
        )
    return out


def _blocks(source: Features, tile: Tile, dates: int) -> list[Window]:
    """Return parts of a tile whose images of some dates fit into a bounded memory."""
    fitting = math.isqrt(int(_BLOCK_BYTES / (max(1, dates) * len(BANDS) * 3 * 4)))
    side = max(16, min(_BLOCK, fitting) // 16 * 16)
    return [part.inner for part in plan_tiles(source.grid, tile.inner, side, 0, 1)]


def _written(seasons: Float, day_form: str, start: date) -> Float:
    """Return `(16, P)` what is written, days in their form."""
    seasons = seasons.copy()
    days = seasons[:, :3]
    new_year = (date(start.year, 1, 1) - REFERENCE_DATE).days
    if day_form == "dayofyear":
        days -= new_year - 1
    else:
        known = np.isfinite(days)
        dates = np.rint(days[known]).astype("timedelta64[D]") + np.datetime64(REFERENCE_DATE)
        years = dates.astype("datetime64[Y]")
        of_year = (dates - years.astype("datetime64[D]")).astype(int) + 1
        days[known] = (years.astype(int) + 1970) % 100 * 1000 + of_year
    return seasons.reshape(len(_BANDS), -1)


def _form(
    source: Features, encoder: Encoder, options: PhenologyOptions, start: date, end: date
) -> RasterForm:
    kind = "share of the amplitude" if options.relative else "value"
    items = {
        "ALISE_MODEL_ID": encoder.package.model_id,
        "ALISE_INDEX": options.index.name,
        "ALISE_PEAKS": f"{start} to {end}",
        "ALISE_DAYS": f"days since {start.year - 1}-12-31"
        if options.day_form == "dayofyear"
        else "YYDDD",
        "ALISE_THRESHOLDS": f"{options.start_level:g} and {options.end_level:g}, {kind}",
        "ALISE_MINIMUM_AMPLITUDE": f"{options.minimum_amplitude:g}",
        "ALISE_DEVICE": encoder.device_used,
        "ALISE_PRECISION": encoder.precision,
    }
    low, high = ((day - date(start.year, 1, 1)).days + 1 for day in (start, end))
    return RasterForm(
        _BANDS,
        np.dtype(np.float32),
        float("nan"),
        metadata={**source.provenance, **items},
        overviews="nearest",
        style=ramp_style(1, low, high) if options.day_form == "dayofyear" else "",
    )
