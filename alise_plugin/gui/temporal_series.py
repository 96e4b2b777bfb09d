"""Image series that follow the Temporal Controller.

QGIS shows one fixed set of bands of a multiband layer: ranges of time per band, which it has from
3.38 on, do nothing for its colour renderer. So the renderer's three bands are set to the date that
the controller shows.
"""

from __future__ import annotations

import re
from datetime import date

from qgis.core import QgsDateTimeRange, QgsMultiBandColorRenderer, QgsProject, QgsRasterLayer
from qgis.gui import QgsMapCanvas

from ..sits.acquisitions import parse_date
from ..sits.bands import canonical_band

_BAND_NAME = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2}) (?P<band>B\w{2})")


def bands_by_date(layer: QgsRasterLayer) -> dict[date, dict[str, int]]:
    """Return the number of each band of an image series, by date and name; empty for another."""
    found: dict[date, dict[str, int]] = {}
    for number in range(1, layer.bandCount() + 1):
        described = _BAND_NAME.search(layer.bandName(number))
        day = parse_date(described["day"]) if described else None
        name = canonical_band(described["band"]) if described else None
        if day is None or name is None:
            return {}
        found.setdefault(day, {})[name] = number
    return found


def show_date(layer: QgsRasterLayer, last: date) -> bool:
    """Show the last date of a series up to a day; its first date before that.

    Args:
        layer: a raster layer.
        last: end of the span that the Temporal Controller shows.

    Returns:
        Whether the layer is a series in colour whose bands were changed.
    """
    renderer = layer.renderer()
    if not isinstance(renderer, QgsMultiBandColorRenderer):
        return False
    by_date = bands_by_date(layer)
    place_of = {
        number: (day, name) for day, bands in by_date.items() for name, number in bands.items()
    }
    shown = [renderer.redBand(), renderer.greenBand(), renderer.blueBand()]
    if not all(number in place_of for number in shown):
        return False
    days = [day for day in sorted(by_date) if day <= last]
    bands = by_date[days[-1] if days else min(by_date)]
    wanted = [bands.get(place_of[number][1], number) for number in shown]
    if wanted == shown:
        return False
    renderer.setRedBand(wanted[0])
    renderer.setGreenBand(wanted[1])
    renderer.setBlueBand(wanted[2])
    layer.triggerRepaint()
    return True


def last_day_of(span: QgsDateTimeRange) -> date | None:
    """Return the last day of the span that the Temporal Controller shows; None without one."""
    if span.isInfinite() or not span.end().isValid():
        return None
    end = span.end().date()
    if not span.includeEnd() and span.end().time().msecsSinceStartOfDay() == 0:
        end = end.addDays(-1)  # "up to midnight" is the day before
    return date(end.year(), end.month(), end.day())


class TemporalSeries:
    """Has every image series of the project show the date of the Temporal Controller.

    Args:
        canvas: the map, which the controller tells the time.
    """

    def __init__(self, canvas: QgsMapCanvas) -> None:
        self._canvas = canvas
        canvas.temporalRangeChanged.connect(self.follow)

    def follow(self) -> None:
        """Show the date of the canvas in each series that has a range of time."""
        last = last_day_of(self._canvas.temporalRange())
        if last is None:
            return
        for layer in QgsProject.instance().mapLayers().values():
            if isinstance(layer, QgsRasterLayer) and layer.temporalProperties().isActive():
                show_date(layer, last)

    def stop(self) -> None:
        """Follow no longer."""
        self._canvas.temporalRangeChanged.disconnect(self.follow)
