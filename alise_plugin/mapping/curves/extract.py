"""Points or polygons in, the curves of their pixels as a table out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from ...errors import AliseError, SeriesError
from ...feedback import Feedback, SilentFeedback
from ...sits.grid import Grid
from ..features.features import Features
from ..features.tiling import TileBudget
from ..labels.layers import VectorLabels
from ..samples.groups import pixel_centres
from ..samples.pixels import choose_from_areas, limit_samples
from ..samples.samples import ChosenPixels
from .indices import SpectralIndex
from .pixel_curves import PixelCurves, curves_of_pixels, most_pixels, regular_dates

PER_AREA = 20  # pixels of one polygon, at most
MOST_ROWS = 1_000_000  # of a table, which is held as a whole

CLEAR, UNLIKE = "clear", "unlike"
COLUMNS = ("feature", "pixel", "x", "y", "date", "name", "observed", "reconstructed", "state")
"""Columns of the table.

`feature` and `pixel` count from 1, in the order of the layer; `x` and `y` are the pixel's centre in
the CRS of the series; `state` is "clear", "unlike" the curve, or empty without an observation.
"""
Row = tuple[int, int, float, float, str, str, "float | None", "float | None", str]


@dataclass(frozen=True)
class CurveOptions:
    """Which curves are extracted, and on which days.

    Attributes:
        indices: bands and indices.
        dates: further days beside the acquisitions.
        every: days from one further day to the next, over the whole series; 0 for none.
        per_area: most pixels of one polygon.
        seed: of the choice of pixels.
    """

    indices: Sequence[SpectralIndex]
    dates: Sequence[date] = ()
    every: int = 0
    per_area: int = PER_AREA
    seed: int = 0


@dataclass(frozen=True)
class ExtractedCurves:
    """Curves of the pixels of points and polygons.

    Attributes:
        indices: bands and indices.
        grid: of the pixels.
        chosen: the pixels, with the place of their area in the layer.
        curves: their curves.
        warnings: sentences about what was left out.
        device: the device that the encoder used.
    """

    indices: Sequence[SpectralIndex]
    grid: Grid
    chosen: ChosenPixels
    curves: PixelCurves
    warnings: list[str]
    device: str

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the table, see `COLUMNS`: pixel by pixel, index by index."""
        x, y = pixel_centres(self.grid, self.chosen.row, self.chosen.col)
        for pixel, area in enumerate(self.chosen.area):
            place = int(area) + 1, pixel + 1, float(x[pixel]), float(y[pixel])
            for name, *day in index_rows(self.curves, pixel, self.indices):
                yield (*place, day[0], name, *day[1:])  # type: ignore[misc]


def index_rows(
    curves: PixelCurves, pixel: int, indices: Sequence[SpectralIndex]
) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    """Yield name, date, observed and reconstructed value, and state of a pixel's days."""
    seen, unlike = curves.seen[pixel], curves.unlike[pixel]
    for index in indices:
        observed, expected = index(curves.observed[pixel]), index(curves.reconstructed[pixel])
        for number, day in enumerate(curves.dates):
            state = (UNLIKE if unlike[number] else CLEAR) if seen[number] else ""
            yield (
                index.name,
                day.isoformat(),
                _number(observed[number]),
                _number(expected[number]),
                state,
            )


def _number(value: np.float32) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def extract_curves(
    source: Features,
    places: VectorLabels,
    options: CurveOptions,
    *,
    budget: TileBudget | None = None,
    feedback: Feedback | None = None,
) -> ExtractedCurves:
    """Return the curves of the pixels that points and polygons hold.

    Args:
        source: an image series, or an embedding raster with all its features.
        places: points and polygons, in any CRS.
        options: which curves, on which days.
        budget: memory and tile size.
        feedback: progress and cancelling.

    Raises:
        LabelsError: places and source do not overlap.
        SeriesError: the source cannot be decoded, or a file cannot be read.
        AliseError: the memory is too little, or there would be too many rows.
        Cancelled: the feedback says so.
    """
    budget, feedback = budget or TileBudget(), feedback or SilentFeedback()
    dates = _further_dates(source, options)
    count = len({*dates, *(source.dates if source.is_series else ())})
    one_target = np.zeros(len(places.values), np.int64)
    found = choose_from_areas(source, places, one_target, options.per_area, options.seed, feedback)
    limit = min(
        most_pixels(max(1, count), budget), MOST_ROWS // (max(1, count) * len(options.indices))
    )
    if limit < 1:
        raise AliseError(
            f"One pixel would have {count} days and {len(options.indices)} indices, which is more "
            "than a table or the memory holds; ask for fewer days or indices."
        )
    (kept,), limited = limit_samples([found.chosen], limit)
    chosen = found.chosen.take(kept)
    order = np.lexsort((chosen.col, chosen.row, chosen.area))
    chosen = chosen.take(order)
    curves = curves_of_pixels(source, chosen, dates, budget=budget, feedback=feedback)
    warnings = [*places.warnings, *found.warnings, *limited]
    empty = int(np.count_nonzero(~np.isfinite(curves.reconstructed).any((1, 2))))
    if empty:
        warnings.append(f"{empty} pixels have no value in any date: their curves are empty.")
    return ExtractedCurves(
        options.indices, source.grid, chosen, curves, warnings, source.open_encoder().device_used
    )


def _further_dates(source: Features, options: CurveOptions) -> tuple[date, ...]:
    """Return the days beside the acquisitions.

    Raises:
        SeriesError: they depend on acquisitions that the source does not tell.
    """
    dates = set(options.dates)
    if options.every:
        if not source.dates:
            raise SeriesError(
                f"{source.name} does not say its dates: give the DATES to show, and EVERY 0."
            )
        dates.update(regular_dates(source.dates[0], source.dates[-1], options.every))
    elif not dates and not source.is_series:
        raise SeriesError(f"{source.name} holds no acquisitions: give EVERY, or the DATES to show.")
    return tuple(sorted(dates))
