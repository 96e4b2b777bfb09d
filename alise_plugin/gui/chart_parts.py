"""What a chart shows of the curves of a pixel."""

from __future__ import annotations

import numpy as np

from ..mapping.curves.indices import SpectralIndex
from ..mapping.curves.phenology import seasons_of_years
from ..mapping.curves.pixel_curves import PixelCurves
from ..mapping.curves.seasons import STEP
from ..sentinel2 import REFERENCE_DATE
from .curve_chart import ChartCurve

_LETTERS = ("S", "P", "E")  # start, peak and end of a season


def chart_curve(curves: PixelCurves, index: SpectralIndex, name: str, color: str) -> ChartCurve:
    """Return the curve of an index of the first pixel, with its observations and seasons."""
    ordinals = np.array([day.toordinal() for day in curves.dates], np.int64)
    line, seen = index(curves.reconstructed[0]), curves.seen[0]
    regular = (ordinals - REFERENCE_DATE.toordinal()) % STEP == 0
    dates = [day for day, kept in zip(curves.dates, regular) if kept]
    marks = [
        (day.toordinal(), letter)
        for season in (seasons_of_years(dates, line[regular]) if len(dates) > 2 else [])
        for day, letter in zip(season, _LETTERS)
        if day is not None
    ]
    return ChartCurve(
        name,
        color,
        ordinals,
        line,
        ordinals[seen],
        index(curves.observed[0])[seen],
        curves.unlike[0][seen],
        marks,
    )
