"""The report of a built series: one HTML page without anything beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from .. import html_page
from ..feedback import Feedback, SilentFeedback, report_step
from ..sentinel2 import BANDS
from ..whole_files import write_text
from .build import PlannedDate, SeriesPlan
from .no_value import RawValues
from .rasters import open_raster, quiet_gdal, read_small
from .vrt.write import series_in_memory

_THUMBNAIL = 96  # pixels: longer side
_SMALL_THUMBNAIL = 64  # of a series with many dates, so that the page stays a few megabytes
_MANY = 60
_READ_WHOLE = 4_000_000  # pixels of the grid: up to here, all are read for a picture
_COLOURS = (("B04", "B03", "B02"), ("B08", "B04", "B03"), ("B8A", "B04", "B03"))
_BRIGHT = 0.3  # reflectance that is white in a thumbnail: the same for all dates
_WIDTH, _HEIGHT, _LEFT, _BASE = 900, 150, 30, 110  # of the timeline, in pixels


def write_report(
    plan: SeriesPlan,
    series: str | os.PathLike[str],
    page: str | os.PathLike[str],
    feedback: Feedback | None = None,
) -> None:
    """Write timeline, fractions, thumbnails, what was decided and what was left out.

    The series need not be written yet: pictures are read through a copy in memory, so that a
    report that fails or is stopped leaves no series behind.

    Args:
        plan: of the series; with measured fractions, or the page says that they are not known.
        series: name of its VRT, for the title.
        page: the HTML file.
        feedback: told about progress; may stop.

    Raises:
        OutputError: the page cannot be written.
        Cancelled: the feedback stopped it.
    """
    first, last = plan.dates[0].acquisition.day, plan.dates[-1].acquisition.day
    missing = ", ".join(plan.bands_missing) or "none"
    products = {product.name for item in plan.dates for product in item.products}
    sections = [
        html_page.paragraph(
            f"{len(plan.dates)} dates from {first} to {last}, of {len(products)} products or "
            f"files. Bands missing: {missing}. Clouds are "
            f"{'masked by the products own masks' if plan.masked else 'not masked'}."
        ),
        *[html_page.paragraph(text, warning=True) for text in plan.warnings],
        html_page.drawing(
            _timeline(plan.dates),
            "One bar per acquisition: its height is the share of valid pixels, its grey part the "
            "share of cloud. A hollow bar was not measured.",
        ),
        html_page.heading("Acquisitions"),
        html_page.table(
            ["date", "valid %", "cloud %", "known from", "bands missing", "made of"],
            [_row(plan, item) for item in plan.dates],
        ),
        html_page.heading("Images"),
        *_thumbnails(plan, feedback or SilentFeedback()),
        html_page.heading("What was found"),
        *[html_page.paragraph(text) for text in plan.notes],
        html_page.heading("What was left out"),
    ]
    if plan.left_out:
        sections.append(html_page.table(["what", "why"], plan.left_out))
    else:
        sections.append(html_page.paragraph("Nothing."))
    title = f"Image series {os.path.basename(os.fspath(series))}"
    write_text(page, html_page.page(title, sections))


def _percent(fraction: float | None) -> object:
    return "not known" if fraction is None else round(100 * fraction)


def _row(plan: SeriesPlan, item: PlannedDate) -> list[object]:
    absent = [
        band
        for band in BANDS
        if band not in item.acquisition.layers and band not in plan.bands_missing
    ]
    return [
        item.acquisition.day.isoformat(),
        _percent(item.fractions.valid),
        _percent(item.fractions.cloud),
        item.fractions.how or "not measured",
        ", ".join(absent) or "-",
        ", ".join(f"{product.name} ({product.kind})" for product in item.products),
    ]


def _timeline(dates: Sequence[PlannedDate]) -> str:
    """Return an SVG of all acquisitions on a time axis."""
    days = [item.acquisition.day for item in dates]
    begin, end = days[0] - timedelta(days=5), days[-1] + timedelta(days=5)
    span = (end - begin).days

    def x(day: date) -> float:
        return _LEFT + (_WIDTH - 2 * _LEFT) * (day - begin).days / span

    width = max(1.5, min(8.0, 0.6 * (_WIDTH - 2 * _LEFT) / len(days)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="timeline" font-size="11" fill="#555">',
        f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_BASE}" y2="{_BASE}" stroke="#999"/>',
    ]
    for day, text in _ticks(begin, end):
        parts.append(
            f'<line x1="{x(day):.1f}" x2="{x(day):.1f}" y1="{_BASE}" y2="{_BASE + 5}" '
            f'stroke="#999"/><text x="{x(day):.1f}" y="{_BASE + 18}" text-anchor="middle">'
            f"{text}</text>"
        )
    for item in dates:
        valid, cloud = item.fractions.valid, item.fractions.cloud
        height = (1.0 if valid is None else valid) * (_BASE - 15)
        left = x(item.acquisition.day) - width / 2
        fill = "none" if valid is None else "#3a7d44"
        title = f"{item.acquisition.day}: valid {_percent(valid)}, cloud {_percent(cloud)}"
        parts.append(
            f'<rect x="{left:.1f}" y="{_BASE - height:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" fill="{fill}" stroke="#3a7d44" stroke-width="0.5">'
            f"<title>{title}</title></rect>"
        )
        if cloud:
            grey = height * cloud
            parts.append(
                f'<rect x="{left:.1f}" y="{_BASE - height:.1f}" width="{width:.1f}" '
                f'height="{grey:.1f}" fill="#bbb"><title>{title}</title></rect>'
            )
    return "".join([*parts, "</svg>"])


def _ticks(begin: date, end: date) -> list[tuple[date, str]]:
    """Return firsts of months, of quarters or of years, a dozen or so."""
    months = (end.year - begin.year) * 12 + end.month - begin.month + 1
    every = next((step for step in (1, 3, 12) if months / step <= 14), 12)
    ticks = []
    for number in range(months + 1):
        year, month = divmod(begin.month - 1 + number, 12)
        first = date(begin.year + year, month + 1, 1)
        if begin <= first <= end and month % every == 0:
            ticks.append((first, f"{first:%Y}" if every == 12 else f"{first:%Y-%m}"))
    return ticks


def _thumbnails(plan: SeriesPlan, feedback: Feedback) -> list[str]:
    side = _THUMBNAIL if len(plan.dates) <= _MANY else _SMALL_THUMBNAIL
    pictures, without = [], 0
    with series_in_memory(plan.grid, [item.acquisition for item in plan.dates]) as (name, _):
        dataset = open_raster(name)
        for number, item in enumerate(plan.dates):
            report_step(feedback, number, len(plan.dates))
            pixels, what = _picture(plan, dataset, number, item, side)
            if pixels is None:
                without += 1
            else:
                pictures.append(html_page.picture(pixels, f"{item.acquisition.day}{what}"))
        del dataset
    if plan.masked:
        pictures.append(html_page.paragraph("The pictures show the images before masking."))
    if without:
        pictures.append(
            html_page.paragraph(
                f"{without} dates have no picture: their files are large and hold no overviews, so "
                "a picture would take a reading of all pixels."
            )
        )
    return pictures


def _picture(
    plan: SeriesPlan, dataset: gdal.Dataset, number: int, item: PlannedDate, side: int
) -> tuple[NDArray[np.uint8] | None, str]:
    """Return pixels of a thumbnail, and what to add to its caption."""
    present = item.acquisition.layers
    colours = next((c for c in _COLOURS if all(band in present for band in c)), None)
    bands = colours or (("B04",) * 3 if "B04" in present else (next(iter(present)),) * 3)
    if plan.grid.window.pixels > _READ_WHOLE:
        for product in item.products:
            preview = _preview(product.preview, side) if product.preview else None
            if preview is not None:
                return preview, " (the product's own preview)"
        source = present[bands[0]][0].source
        opened = open_raster(source.dataset_name, source.open_options)
        if opened.GetRasterBand(source.index).GetOverviewCount() == 0:
            return None, ""
    indices = [number * len(BANDS) + BANDS.index(band) + 1 for band in bands]
    width, height = _size(plan.grid.width, plan.grid.height, side)
    values = read_small(dataset, indices, width, height)
    if values is None:
        return None, ""
    RawValues.of([dataset.GetRasterBand(index) for index in indices]).to_reflectance(values)
    rgba = np.empty((4, height, width), np.uint8)
    rgba[:3] = np.rint(255 * np.clip(np.nan_to_num(values) / _BRIGHT, 0, 1))
    rgba[3] = 255 * np.isfinite(values).all(axis=0)
    return rgba, ""


def _preview(path: str, side: int) -> NDArray[np.uint8] | None:
    """Return a product's own picture, made small; None where it cannot be read."""
    opened = None
    with quiet_gdal():
        opened = gdal.OpenEx(path, gdal.OF_RASTER)
    if opened is None or opened.RasterCount < 3:
        return None
    width, height = _size(opened.RasterXSize, opened.RasterYSize, side)
    values = read_small(opened, [1, 2, 3], width, height)
    return None if values is None else np.clip(values, 0, 255).astype(np.uint8)


def _size(width: int, height: int, side: int) -> tuple[int, int]:
    factor = side / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))
