"""Builds an image series, a VRT, from the Sentinel-2 data that a user has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from ..errors import SeriesError
from ..feedback import Feedback, Part, SilentFeedback, report_step
from ..sentinel2 import BANDS
from .acquisitions import refuse_impossible_day
from .choose import Chosen, choose, refuse_too_few_bands
from .grid import Grid
from .measure import Fractions, measure
from .rasters import files_behind, refuse_unspeakable
from .series import ImageSeries
from .sources.find import Readings, find, made_here, read_all
from .sources.record import DATE_GIVEN, Product, SourceBand
from .target import extent_in, overlap, target_grid
from .values import Values
from .vrt.compose import names_fixed_place
from .vrt.layers import Acquisition, Layer
from .vrt.write import write_vrt

LeftOut = list[tuple[str, str]]  # names, and why they are left out


@dataclass(frozen=True)
class SeriesOptions:
    """What a user may say of a series; everything has a default.

    Attributes:
        dates: acquisition dates, one per file, or one per acquisition of a single stack.
        start: first day to keep.
        end: last day to keep.
        scale: reflectance per unit of files whose product states none; None: what a file states,
            else 1e-4 for DN and 1 for reflectance, as the values show.
        offset: reflectance of the raw value 0; None: what a file states, else 0.
        nodata: raw value without meaning; None: what a file declares, else 0 for integer data.
        crs: of the series (EPSG:32631, WKT); None: of the finest source.
        resolution: side of a pixel in units of that CRS; None: of the finest source.
        extent: (xmin, ymin, xmax, ymax); None: all sources.
        extent_crs: CRS of the extent; None: that of the series.
        band_order: names of the bands of a date, for rasters that do not describe them.
        band_major: an undescribed stack holds all dates of one band, then of the next.
        layer_days: day that a layer of the project states, per path.
        theia: "FRE" or "SRE", the reflectance of Theia products.
        max_cloud: dates with a greater share of cloud are left out, 0 to 1.
        min_valid: dates with a smaller share of valid pixels are left out, 0 to 1.
        mask_clouds: lay "no value" over what the products' own masks call unusable.
        names: of the products to keep; None: all.
        measured: state valid and cloud fractions also where no filter needs them.
    """

    dates: Sequence[date] | None = None
    start: date | None = None
    end: date | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    crs: str | None = None
    resolution: float | None = None
    extent: Sequence[float] | None = None
    extent_crs: str | None = None
    band_order: Sequence[str] | None = None
    band_major: bool = False
    layer_days: Mapping[str, date] = field(default_factory=dict)
    theia: str = "FRE"
    max_cloud: float | None = None
    min_valid: float | None = None
    mask_clouds: bool = False
    names: frozenset[str] | None = None
    measured: bool = False


@dataclass(frozen=True)
class PlannedDate:
    """One acquisition of a planned series, and what is known of it."""

    acquisition: Acquisition
    products: tuple[Product, ...]
    fractions: Fractions


@dataclass(frozen=True)
class SeriesPlan:
    """A series that is ready to be written.

    Attributes:
        grid: of the series.
        dates: its acquisitions, ascending.
        left_out: (name, reason) of everything that was found and is not in it.
        notes: what was found or decided about values and places.
        warnings: what the user should look at.
        masked: whether clouds are masked.
    """

    grid: Grid
    dates: tuple[PlannedDate, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    masked: bool

    @property
    def bands_missing(self) -> tuple[str, ...]:
        """Return names of BANDS that no acquisition has."""
        return tuple(
            band
            for band in BANDS
            if not any(band in planned.acquisition.layers for planned in self.dates)
        )

    def write(self, output: str | os.PathLike[str]) -> ImageSeries:
        """Write the VRT and open it.

        Raises:
            OutputError: it cannot be written.
        """
        acquisitions = [planned.acquisition for planned in self.dates]
        write_vrt(os.fspath(output), self.grid, acquisitions, masked=self.masked)
        return ImageSeries.open(output)


def build_series(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    feedback: Feedback | None = None,
    **options: Any,
) -> ImageSeries:
    """Write the VRT of an image series over what is given, without copying pixels.

    Args:
        inputs: files and folders, see `plan_series`.
        output: the VRT to write.
        feedback: told about progress; may stop.
        options: fields of `SeriesOptions`.

    Returns:
        The series, opened.

    Raises:
        SeriesError: what was given does not make a series; says which file and why.
        OutputError: the VRT cannot be written.
        Cancelled: the feedback stopped it.
    """
    return plan_series(inputs, output, SeriesOptions(**options), feedback).write(output)


def plan_series(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: SeriesOptions,
    feedback: Feedback | None = None,
) -> SeriesPlan:
    """Read what is given and decide what the series is made of; write nothing.

    Inputs may be SAFE and Theia products (folders or zips), rasters of one date or of one band,
    stacks, image series, NetCDF and Zarr cubes, STAC files, and folders of all these, mixed.

    Args:
        inputs: files and folders.
        output: the VRT to be written, which is passed by where an input folder is searched.
        options: what the user says.
        feedback: told about progress; may stop.

    Raises:
        SeriesError: see `build_series`.
        Cancelled: the feedback stopped it.
    """
    feedback = feedback or SilentFeedback()
    readings = _read(inputs, os.fspath(output), options, Part(feedback, 0, 0.6))
    left_out = list(readings.left_out)
    warnings = list(readings.warnings)
    records, out_of_time = _in_time(readings.records, options)
    left_out += out_of_time
    check = partial(report_step, feedback, 6, 10)
    chosen = choose(records, check)
    left_out += chosen.left_out
    kept = [record for piles in chosen.bands.values() for pile in piles.values() for record in pile]
    refuse_too_few_bands({record.band for record in kept})
    grid = target_grid(kept, options.crs, options.resolution, options.extent, options.extent_crs)
    left_out += _leave_outside(chosen, grid)
    if options.mask_clouds:
        _refuse_safe_without_mask(chosen)
    values = Values(options.scale, options.offset, options.nodata, check)
    acquisitions = _acquisitions(chosen, values)
    warnings += values.warnings
    products = [_products(acquisition) for acquisition in acquisitions]
    fractions = [Fractions()] * len(acquisitions)
    if options.measured or options.max_cloud is not None or options.min_valid is not None:
        fractions = measure(grid, acquisitions, products, Part(feedback, 0.6, 0.95))
    planned = [PlannedDate(*item) for item in zip(acquisitions, map(tuple, products), fractions)]
    planned, too_cloudy, doubts = _filtered(planned, options)
    left_out += too_cloudy
    warnings += doubts
    if len(planned) == 1:
        day = planned[0].acquisition.day
        warnings.append(
            f"The series holds one date only ({day}); ALISE lives on several, so expect less of it."
        )
    if options.mask_clouds and not all(item.acquisition.masks for item in planned):
        bare = [str(item.acquisition.day) for item in planned if not item.acquisition.masks]
        warnings.append(
            f"{len(bare)} dates bring no mask and stay unmasked (the first is {bare[0]})."
        )
    refuse_too_few_bands({band for item in planned for band in item.acquisition.layers})
    return SeriesPlan(
        grid,
        tuple(planned),
        tuple(dict.fromkeys(left_out)),
        tuple([*values.notes, *_grid_notes(grid, kept), *_remarks(planned)]),
        tuple(warnings),
        options.mask_clouds,
    )


def _identity(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _read(
    inputs: Sequence[str | os.PathLike[str]],
    output: str,
    options: SeriesOptions,
    feedback: Feedback,
) -> Readings:
    """Return records of everything that is given, each read by the reader of its kind."""
    paths = [os.fspath(path) for path in inputs]
    files = list({_identity(path): path for path in reversed(paths)}.values())[::-1]
    if not files:
        raise SeriesError("No raster was given; choose at least one.")
    refuse_unspeakable(output)
    # A search passes by the series that a run before made, and nothing else of that name.
    avoid = frozenset({os.path.realpath(output)} if made_here(output) else ())
    found = find(files, avoid, partial(report_step, feedback, 0, 1))
    behind = (
        name for path in (*files, *(item.path for item in found)) for name in files_behind(path)
    )
    if _identity(output) in {_identity(name) for name in behind}:
        raise SeriesError(f"{output} is also an input; choose another name for the image series.")
    readings = read_all(
        found,
        dates=options.dates,
        layer_days=options.layer_days,
        band_order=options.band_order,
        band_major=options.band_major,
        theia=options.theia,
        step=partial(report_step, feedback),
    )
    for day, record in {record.day: record for record in readings.records}.items():
        refuse_impossible_day(day, record.name)
    return readings


def _in_time(
    records: Sequence[SourceBand], options: SeriesOptions
) -> tuple[list[SourceBand], LeftOut]:
    """Return records of the products and days to keep, and what is left out."""
    kept: list[SourceBand] = []
    left_out: LeftOut = []
    for record in records:
        if options.names is not None and record.product.name not in options.names:
            left_out.append((f"{record.product.name}, {record.day}", "not asked for"))
            continue
        early = options.start is not None and record.day < options.start
        late = options.end is not None and record.day > options.end
        if not (early or late):
            kept.append(record)
            continue
        when = f"before {options.start}" if early else f"after {options.end}"
        left_out.append((f"{record.name}, {record.day}", when))
    if not any(record.band in BANDS for record in kept):
        raise SeriesError(
            f"No acquisition lies between {options.start or 'the first'} and "
            f"{options.end or 'the last'} day; widen the dates."
        )
    return kept, left_out


def _refuse_safe_without_mask(chosen: Chosen) -> None:
    """Raise where a SAFE product, which all come with scene classes, has lost them."""
    masked = {mask.product for masks in chosen.masks.values() for mask in masks}
    piles = [pile for by_band in chosen.bands.values() for pile in by_band.values()]
    products = {record.product for pile in piles for record in pile}
    bare = {item.name for item in products - masked if item.kind == "SAFE"}
    if bare:
        raise SeriesError(
            f"{min(bare)} lacks its scene classes (SCL), so its clouds cannot be masked; download "
            "the product again, take it out, or switch MASK_CLOUDS off."
        )


def _leave_outside(chosen: Chosen, grid: Grid) -> LeftOut:
    """Take out sources outside the grid, and dates of which nothing is left; return which."""
    inside: dict[Grid, bool] = {}
    left_out: LeftOut = []

    def is_inside(record: SourceBand) -> bool:
        if record.grid not in inside:
            inside[record.grid] = overlap(extent_in(record.grid, grid.crs_wkt), grid.extent)
        return inside[record.grid]

    for day, piles in list(chosen.bands.items()):
        for band, pile in list(piles.items()):
            for record in pile:
                if not is_inside(record):
                    left_out.append((f"{record.name}, {day}", "outside the extent"))
            piles[band] = [record for record in pile if is_inside(record)]
            if not piles[band]:
                del piles[band]
        if not piles:
            del chosen.bands[day]
    for day, masks in chosen.masks.items():
        chosen.masks[day] = [record for record in masks if is_inside(record)]
    return left_out


def _acquisitions(chosen: Chosen, values: Values) -> list[Acquisition]:
    """Return acquisitions in order of date, their values settled together."""
    placed = [
        (day, band, record)
        for day in sorted(chosen.bands)
        for band, pile in chosen.bands[day].items()
        for record in pile
    ]
    layers: dict[date, dict[str, list[Layer]]] = {}
    for (day, band, _), layer in zip(placed, values.settle([item[2] for item in placed])):
        layers.setdefault(day, {}).setdefault(band, []).append(layer)
    return [Acquisition(day, layers[day], tuple(chosen.masks.get(day, ()))) for day in layers]


def _products(acquisition: Acquisition) -> list[Product]:
    found = {layer.source.product for layers in acquisition.layers.values() for layer in layers}
    return sorted(found, key=lambda product: (product.name, product.scene))


def _filtered(
    planned: Sequence[PlannedDate], options: SeriesOptions
) -> tuple[list[PlannedDate], LeftOut, list[str]]:
    """Return the dates within the limits of cloud and validity, those left out, and warnings.

    Dates that were not measured are kept.
    """
    kept: list[PlannedDate] = []
    left_out: LeftOut = []
    warnings = []
    unknown = 0
    for item in planned:
        day, fractions = item.acquisition.day, item.fractions
        cloud, valid = fractions.cloud, fractions.valid
        if options.min_valid is not None and valid is not None and valid < options.min_valid:
            reason = f"{100 * valid:.0f} % valid, less than {100 * options.min_valid:.0f} %"
        elif options.max_cloud is not None and cloud is not None and cloud > options.max_cloud:
            reason = f"{100 * cloud:.0f} % cloud, more than {100 * options.max_cloud:.0f} %"
        else:
            unknown += options.max_cloud is not None and cloud is None
            kept.append(item)
            continue
        left_out.append((str(day), reason))
    if not kept:
        raise SeriesError(
            f"None of the {len(planned)} dates passes the limits (the last: {left_out[-1][0]}, "
            f"{left_out[-1][1]}); loosen them."
        )
    if unknown:
        warnings.append(
            f"The cloud cover of {unknown} dates is not known, because they bring no mask; they "
            "were kept."
        )
    return kept, left_out, warnings


def _grid_notes(grid: Grid, records: Sequence[SourceBand]) -> list[str]:
    dx, _ = grid.pixel_size
    notes = [f"Grid: {grid.width} x {grid.height} pixels of {dx:g}, {grid.crs_name}."]
    others = {record.name for record in records if not record.grid.same_crs(grid)}
    if others:
        notes.append(
            f"{len(others)} products in another CRS are warped to it (bicubic, masks by nearest "
            f"neighbour), for example {min(others)}."
        )
    fixed = {record.name for record in records if names_fixed_place(record)}
    if fixed:
        notes.append(
            f"{min(fixed)}{f' and {len(fixed) - 1} more' if len(fixed) > 1 else ''}: zips, Zarr "
            "cubes and remote files are referred to by their full path, which a VRT cannot make "
            "relative; build the series again where they move."
        )
    return notes


def _remarks(planned: Sequence[PlannedDate]) -> list[str]:
    """Return what the readers had to decide, and where dates come from, each once."""
    remarks: dict[str, set[str]] = {}
    given = []
    for item in planned:
        for product in item.products:
            if product.remark:
                remarks.setdefault(product.remark, set()).add(product.name)
            if product.date_from == DATE_GIVEN:
                given.append(f"{item.acquisition.day} {product.name}")
            elif product.date_from:
                text = f"date from {product.date_from}"
                remarks.setdefault(text, set()).add(product.name)
    notes = [f"Dates as given: {', '.join(given)}."] if given else []
    return notes + [
        f"{min(names)}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}."
        for text, names in sorted(remarks.items())
    ]
