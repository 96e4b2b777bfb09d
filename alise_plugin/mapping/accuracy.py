"""A class map against reference points or polygons, and the sample to interpret."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr

from .. import html_page
from ..errors import LabelsError, OutputError, SeriesError
from ..model.head import MapClass
from ..sits.grid import Grid, Window
from ..sits.rasters import open_raster, quiet_gdal
from .area import PixelAreas
from .estimators import (
    StratifiedEstimate,
    allocate,
    sample_size,
    stratified_estimate,
    stratum_shares,
)
from .feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from .labels import (
    MAX_CLASSES,
    Burner,
    Legend,
    Value,
    VectorLabels,
    clean,
    default_color,
    legend_of,
    on_grid,
)
from .measures import OVERALL, Interval, flat, measures, resampled
from .output import require_folder
from .samples import chance
from .train import confusion_sections, overall_table

_SIDE = 1024  # pixels: windows in which the map is read
REFERENCE = "reference"  # field of a sample that its interpreter fills in
_FEW = 2  # points of a stratum: with fewer, its error cannot be estimated


class ClassMap:
    """A class raster opened for reading.

    Attributes:
        name: of the file.
        grid: CRS, place and size.
        classes: that occur, by code, with names and colours where the file or layer has them.
        names: by code, of classes that do not occur too.
        pixels: `(K,)` how many pixels each has.
        square_metres: `(K,)` their true area.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        legend: Legend | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        """Opens it and counts its classes.

        Raises:
            SeriesError: it cannot be opened or read, or is no class raster.
            Cancelled: the feedback says so.
        """
        feedback = feedback or SilentFeedback()
        self.name = os.path.basename(os.fspath(path))
        self._dataset = open_raster(os.fspath(path))
        self.grid = Grid.from_dataset(self._dataset, self.name)
        band = self._dataset.GetRasterBand(1)
        self._nodata = band.GetNoDataValue()
        stored = legend_of(band)
        legend = legend or Legend()
        named = [*stored.names.items(), *legend.names.items()]
        self.names = {int(code): clean(name) for code, name in named if clean(name)}
        pixels: dict[int, int] = {}
        areas: dict[int, float] = {}
        of_pixel = PixelAreas(self.grid)
        windows = self.windows()
        for done, window in enumerate(windows):
            stop_if_cancelled(feedback)
            values, there = self.read(window)
            codes, which = np.unique(values[there], return_inverse=True)
            self._check(codes, len(pixels))
            counts = np.bincount(which.reshape(-1))
            sizes = np.bincount(which.reshape(-1), of_pixel.of(window)[there])
            for code, count, size in zip(codes, counts, sizes):
                pixels[int(code)] = pixels.get(int(code), 0) + int(count)
                areas[int(code)] = areas.get(int(code), 0.0) + float(size)
            feedback.progress((done + 1) / len(windows))
        if not pixels:
            raise SeriesError(f"{self.name} holds no class, only nodata; choose a class map.")
        codes_found = sorted(pixels)
        self.classes = [
            MapClass(
                code,
                self.names.get(code, str(code)),
                legend.colors.get(code) or stored.colors.get(code) or default_color(number),
            )
            for number, code in enumerate(codes_found)
        ]
        self.pixels = np.array([pixels[code] for code in codes_found])
        self.square_metres = np.array([areas[code] for code in codes_found])

    def windows(self) -> list[Window]:
        """Windows that cover the map."""
        return [
            Window(col, row, _SIDE, _SIDE).expand(0, self.grid.window)
            for row in range(0, self.grid.height, _SIDE)
            for col in range(0, self.grid.width, _SIDE)
        ]

    def read(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """`(H, W)` codes of a window, and where there is a class."""
        values = np.empty((window.height, window.width))
        done = None
        with quiet_gdal() as failures:
            done = self._dataset.ReadRaster(
                window.col,
                window.row,
                window.width,
                window.height,
                buf_type=gdal.GDT_Float64,
                band_list=[1],
                buf_obj=values,
            )
        if done is None or failures:
            raise SeriesError(f"{self.name} cannot be read; check that the file is complete.")
        there = np.isfinite(values)
        if self._nodata is not None:
            there &= values != self._nodata
        return values, there

    def _check(self, codes: NDArray[np.float64], known: int) -> None:
        if len(codes) and (codes != np.floor(codes)).any():
            raise SeriesError(
                f"{self.name} holds numbers that are not whole, so it is no class map; choose one."
            )
        if max(len(codes), known) > MAX_CLASSES + 1:  # and "unclassified"
            raise SeriesError(
                f"{self.name} holds more than {MAX_CLASSES} different values, so it is no class "
                "map; choose one."
            )


@dataclass(frozen=True)
class AccuracyResult:
    """How good a map is.

    Attributes:
        classes: of the map and the reference, by code.
        counts: `(K, K)` reference labels, map in rows and reference in columns.
        mapped: `(K,)` area of each class on the map, m2.
        estimate: accuracy and area by the stratified estimators.
        overall: overall accuracy, kappa, macro-F1 and mean IoU of the area.
        f1, iou: of each class, of the area.
        labels: how many points or pixels were compared.
        notes: what was left out and what the sample cannot say.
    """

    classes: list[MapClass]
    counts: NDArray[np.int64]
    mapped: NDArray[np.float64]
    estimate: StratifiedEstimate
    overall: dict[str, Interval]
    f1: list[Interval]
    iou: list[Interval]
    labels: int
    notes: list[str]


def assess_accuracy(
    class_map: ClassMap,
    reference: VectorLabels,
    *,
    report: str | os.PathLike[str] | None = None,
    seed: int = 0,
    feedback: Feedback | None = None,
) -> AccuracyResult:
    """Compare a map with reference labels.

    Points are taken as a stratified random sample with the map's classes as strata (see
    `draw_sample`): their intervals are those of Olofsson et al. 2014. The pixels of a polygon are
    alike, so with polygons all intervals come from resampling polygons.

    Args:
        class_map: the map.
        reference: points or polygons with the true class: codes of the map, or names of its
            classes.
        report: HTML page to write.
        seed: of the resampling.
        feedback: progress and cancelling.

    Raises:
        LabelsError: reference and map do not overlap, or have no class in common.
        OutputError: the report cannot be written.
        Cancelled: the feedback says so.
    """
    feedback = feedback or SilentFeedback()
    if report:
        require_folder(report)
    classes, target = _matched(class_map, reference)
    count = len(classes)
    truth, shown, area, skipped = _compared(class_map, reference, classes, target, feedback)
    of_map = {item.code: size for item, size in zip(class_map.classes, class_map.square_metres)}
    mapped = np.array([of_map.get(item.code, 0.0) for item in classes])
    counts = np.bincount(shown * count + truth, minlength=count**2).reshape(count, count)
    pixels = dict(zip((item.code for item in class_map.classes), class_map.pixels.tolist()))
    number = np.array([pixels.get(item.code, 0) for item in classes])
    complete = (number > 0) & (counts.sum(1) >= number)
    estimate = stratified_estimate(counts, mapped, complete)
    notes = [*skipped, *_notes(reference, classes, counts, mapped, complete)]
    by_polygon = any(geometry.GetDimension() > 0 for geometry in reference.geometries)

    def figures(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """All figures of a matrix with the reference in rows, weighted by the strata's areas."""
        shares = stratum_shares(matrix.T, mapped)
        return np.concatenate([flat(measures(shares.T)), shares.sum(0)])

    group = np.unique(area, return_inverse=True)[1].reshape(-1)
    low, high = resampled(truth, shown, group, count, figures, seed)
    values = figures(counts.T.astype(np.float64))
    rows = [Interval(*map(float, three)) for three in zip(values, low, high)]
    overall = dict(zip(OVERALL, rows))
    users, producers, f1, iou, shares = (
        rows[4 + part * count : 4 + (part + 1) * count] for part in range(5)
    )
    if by_polygon:
        notes.append(
            "The reference is polygons: intervals come from resampling them, and areas are "
            "unbiased only if the polygons were drawn at random."
        )
        total = float(mapped[counts.sum(1) > 0].sum())
        areas = [Interval(s.value * total, s.low * total, s.high * total) for s in shares]
        estimate = StratifiedEstimate(
            estimate.shares, overall["overall accuracy"], users, producers, areas
        )
    else:
        overall["overall accuracy"] = estimate.overall
    result = AccuracyResult(classes, counts, mapped, estimate, overall, f1, iou, len(truth), notes)
    for note in notes:
        feedback.info(note)
    if report:
        html_page.write_page(report, _report(class_map.name, reference.name, result))
    feedback.progress(1.0)
    return result


def _matched(
    class_map: ClassMap, reference: VectorLabels
) -> tuple[list[MapClass], NDArray[np.int64]]:
    """All classes by code, and `(areas,)` the place of the true class of each area."""
    known = {item.code: item for item in class_map.classes}

    def code_of(value: Value) -> int | None:
        if isinstance(value, int):
            return value
        named = [item.code for item in class_map.classes if item.name == value]
        if len(named) > 1:
            raise LabelsError(
                f'"{value}" is the name of the classes {named[0]} and {named[1]} of '
                f"{class_map.name}; choose a field of {reference.name} that holds codes."
            )
        named += [code for code, name in class_map.names.items() if name == value]
        if named:
            return named[0]
        return int(value) if re.fullmatch("-?[0-9]{1,10}", value) else None

    found = {value: code_of(value) for value in reference.classes()}
    codes = {value: code for value, code in found.items() if code is not None}
    free = itertools.count(max(*known, *codes.values(), 0) + 1)
    # A class that the map lacks can only be missed.
    codes.update({value: next(free) for value in found if value not in codes})
    if not set(codes.values()) & set(known):
        theirs = ", ".join(f'"{value}"' for value in list(codes)[:3])
        ours = ", ".join(f'{item.code} "{item.name}"' for item in class_map.classes[:3])
        raise LabelsError(
            f"{reference.name} and {class_map.name} have no class in common ({theirs} against "
            f"{ours}); choose the field that holds the codes or names of the map's classes."
        )
    for value, code in codes.items():
        if code not in known:
            name = class_map.names.get(code, str(value))
            known[code] = MapClass(code, name, default_color(len(known)))
    classes = [known[code] for code in sorted(known)]
    place = {item.code: number for number, item in enumerate(classes)}
    return classes, np.array([place[codes[value]] for value in reference.values])


def _compared(
    class_map: ClassMap,
    reference: VectorLabels,
    classes: Sequence[MapClass],
    target: NDArray[np.int64],
    feedback: Feedback,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Of every labelled pixel: true class, class of the map, area; and what was left out."""
    grid = class_map.grid
    geometries = on_grid(reference, grid)
    codes = np.array([item.code for item in classes])
    parts: list[tuple[NDArray[np.int64], ...]] = []
    compared: set[int] = set()
    disputed = 0
    windows = class_map.windows()
    for rows, cols, over, under in _labelled(geometries, target, grid, windows, feedback):
        window = Window(
            int(cols.min()), int(rows.min()), int(np.ptp(cols)) + 1, int(np.ptp(rows)) + 1
        )
        values, there = class_map.read(window)
        at = rows - window.row, cols - window.col
        clear = target[over] == target[under]
        disputed += int(np.count_nonzero(there[at] & ~clear))
        compared.update(over[there[at]].tolist(), under[there[at]].tolist())
        kept = there[at] & clear
        shown = np.searchsorted(codes, values[at][kept].astype(np.int64))
        parts.append((target[over[kept]], shown, over[kept]))
    truth, shown, area = (
        np.concatenate([part[i] for part in parts] or [np.empty(0, np.int64)]) for i in range(3)
    )
    notes = []
    if len(compared) < len(geometries):
        notes.append(
            f"{len(geometries) - len(compared)} of {len(geometries)} labels are left out: they lie "
            "outside the map, where it has no class, or under others."
        )
    if disputed:
        notes.append(f"{disputed} pixels lie in areas of two classes and are left out.")
    if not len(truth):
        raise LabelsError(
            f"{reference.name} and {class_map.name} do not overlap; choose a reference of the same "
            "area, or check the CRS of both."
        )
    return truth, shown, area, notes


def _labelled(
    geometries: Sequence[ogr.Geometry | None],
    target: NDArray[np.int64],
    grid: Grid,
    windows: Sequence[Window],
    feedback: Feedback,
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Rows, columns and areas (on top, at the bottom) of the labelled pixels, window by window.

    Points are looked up one by one: two in one pixel are two of the sample.
    """
    left, dx, _, top, _, dy = grid.geotransform
    places: list[tuple[int, ...]] = []
    polygons: list[ogr.Geometry | None] = []
    for number, geometry in enumerate(geometries):
        polygons.append(geometry if geometry is not None and geometry.GetDimension() > 0 else None)
        if geometry is None or geometry.GetDimension() > 0:
            continue
        parts = [geometry.GetGeometryRef(i) for i in range(geometry.GetGeometryCount())]
        for part in parts or [geometry]:
            col = int(np.floor((part.GetX() - left) / dx))
            row = int(np.floor((part.GetY() - top) / dy))
            if 0 <= col < grid.width and 0 <= row < grid.height:
                places.append((row, col, number, number))
    for place in places:
        yield tuple(np.array([value]) for value in place)
    if all(polygon is None for polygon in polygons):
        return
    burner = Burner(polygons, grid, target)
    for done, window in enumerate(windows):
        stop_if_cancelled(feedback)
        over, under = burner.burn(window)
        rows, cols = np.nonzero(over >= 0)
        if len(rows):
            both = (areas[rows, cols].astype(np.int64) for areas in (over, under))
            yield rows + window.row, cols + window.col, *both
        feedback.progress(0.8 * (done + 1) / len(windows))


def _notes(
    reference: VectorLabels,
    classes: Sequence[MapClass],
    counts: NDArray[np.int64],
    mapped: NDArray[np.float64],
    complete: NDArray[np.bool_],
) -> list[str]:
    notes = []
    if reference.without_class:
        notes.append(f"{reference.without_class} features have no class (NULL) and are left out.")
    for item, count, size in zip(classes, counts.sum(0), mapped):
        if count and not size:
            notes.append(
                f'The map has no "{item.name}", the true class of {count} labels: they count as '
                "wrong. Check how the class is written if the map should have it."
            )
    for item, count, size, whole in zip(classes, counts.sum(1), mapped, complete):
        if size and not count:
            notes.append(
                f'No label lies in the mapped class "{item.name}" ({size / mapped.sum():.1%} of '
                "the map): all figures are for the rest of the map."
            )
        elif size and count < _FEW and not whole:
            notes.append(f'The mapped class "{item.name}" holds one label, too few for intervals.')
    return notes


def _report(map_name: str, reference_name: str, result: AccuracyResult) -> str:
    estimate = result.estimate
    rows: list[list[object]] = []
    for number, item in enumerate(result.classes):
        area = estimate.areas[number]
        rows.append(
            [
                item.code,
                item.name,
                int(result.counts[number].sum()),
                round(result.mapped[number] / 1e4, 2),
                round(area.value / 1e4, 2),
                f"{area.low / 1e4:.2f} to {area.high / 1e4:.2f}" if np.isfinite(area.low) else "",
                *_with_range(estimate.users[number]),
                *_with_range(estimate.producers[number]),
                *_with_range(result.f1[number]),
                *_with_range(result.iou[number]),
            ]
        )
    header = ["code", "class", "labels", "mapped ha", "adjusted ha", "95 % interval"]
    for name in ("user's accuracy", "producer's accuracy", "F1", "IoU"):
        header += [name, ""]
    names = [item.name for item in result.classes]
    shares = [[name, *(float(value) for value in row)] for name, row in zip(names, estimate.shares)]
    return html_page.page(
        f"Accuracy of {map_name}",
        [
            *(html_page.paragraph(note, warning=True) for note in result.notes),
            html_page.paragraph(
                f"{result.labels} labelled pixels of {reference_name}. Every figure but their "
                "counts is weighted by the area of the map's classes; adjusted areas are those of "
                "the reference classes (Olofsson et al. 2014)."
            ),
            html_page.heading("Overall"),
            overall_table(result.overall),
            html_page.heading("Classes and areas"),
            html_page.table(header, rows),
            *confusion_sections(result.counts.T, names),
            html_page.heading("Share of the area"),
            html_page.table(["map \\ reference", *names], shares),
        ],
    )


def _with_range(figure: Interval) -> list[object]:
    if not np.isfinite(figure.value):
        return ["-", ""]
    known = np.isfinite(figure.low)
    return [figure.value, f"{figure.low:.3f} to {figure.high:.3f}" if known else ""]


@dataclass(frozen=True)
class SamplePoint:
    """A pixel to interpret.

    Attributes:
        x, y: its middle, in the CRS of the map.
        item: class of the map, its stratum.
        stratum_square_metres: area of the stratum.
        stratum_points: points in it; the area divided by them is what the point stands for.
    """

    x: float
    y: float
    item: MapClass
    stratum_square_metres: float
    stratum_points: int


def require_no_references(path: str) -> None:
    """Make sure that a new sample does not take the place of one that somebody has interpreted.

    Args:
        path: of the new sample; nothing or anything may be there.

    Raises:
        OutputError: the file is a sample with references filled in.
    """
    found = None
    with quiet_gdal():
        if os.path.isfile(path):
            found = gdal.OpenEx(path, gdal.OF_VECTOR)
    layers = [found.GetLayer(i) for i in range(found.GetLayerCount())] if found else []
    for layer in layers:
        definition = layer.GetLayerDefn()
        if min(definition.GetFieldIndex(name) for name in ("stratum", REFERENCE)) < 0:
            continue
        filled = sum(bool(feature.GetField(REFERENCE)) for feature in layer)
        if filled:
            raise OutputError(
                f"{path} is a sample with {filled} references filled in, which would be lost; "
                "choose another name for the output."
            )


def draw_sample(
    class_map: ClassMap,
    *,
    size: int = 500,
    minimum: int = 50,
    expected: float = 0.85,
    standard_error: float = 0.01,
    seed: int = 0,
    feedback: Feedback | None = None,
) -> list[SamplePoint]:
    """Draw a stratified random sample of pixels, the map's classes being strata.

    Args:
        class_map: the map.
        size: points in all; 0 for as many as the standard error asks for.
        minimum: points of each class at least.
        expected: user's accuracy that is expected of every class, where size is 0.
        standard_error: of the overall accuracy that is wanted, where size is 0.
        seed: of chance.
        feedback: progress and cancelling.

    Returns:
        Points in random order, so that an interpreter who stops early has a sample too.

    Raises:
        Cancelled: the feedback says so.
    """
    feedback = Part(feedback or SilentFeedback(), 0.0, 1.0)
    size = size or sample_size(class_map.square_metres, expected, standard_error)
    wanted = allocate(class_map.pixels, size, minimum)
    codes = [item.code for item in class_map.classes]
    grid = class_map.grid
    found: list[NDArray[np.uint64]] = [np.empty((2, 0), np.uint64) for _ in codes]
    windows = class_map.windows()
    for done, window in enumerate(windows):
        stop_if_cancelled(feedback)
        values, there = class_map.read(window)
        for place, code in enumerate(codes):
            rows, cols = np.nonzero(there & (values == code))
            number = (rows + window.row) * grid.width + cols + window.col
            both = np.stack([chance(number, seed), number.astype(np.uint64)])
            joined = np.concatenate([found[place], both], 1)
            found[place] = joined[:, np.argsort(joined[0], kind="stable")[: wanted[place]]]
        feedback.progress((done + 1) / len(windows))
    left, dx, _, top, _, dy = grid.geotransform
    points = []
    for place, item in enumerate(class_map.classes):
        # The choice leaves low numbers where few of many are chosen: they cannot be the order.
        order = chance(found[place][0], seed).tolist()
        for turn, number in zip(order, found[place][1].tolist()):
            row, col = divmod(number, grid.width)
            x, y = left + dx * (col + 0.5), top + dy * (row + 0.5)
            area = float(class_map.square_metres[place])
            points.append((turn, SamplePoint(x, y, item, area, int(wanted[place]))))
    return [point for _, point in sorted(points, key=lambda pair: pair[0])]


def class_rows(result: AccuracyResult) -> list[dict[str, Any]]:
    """The figures of each class, one flat row each; None where the sample does not say."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    rows = []
    for number, item in enumerate(result.classes):
        area = result.estimate.areas[number]
        row: dict[str, Any] = {
            "code": item.code,
            "name": item.name,
            "labels": int(result.counts[number].sum()),
            "mapped_m2": float(result.mapped[number]),
            "adjusted_m2": finite(area.value),
            "adjusted_low": finite(area.low),
            "adjusted_high": finite(area.high),
        }
        for name, figure in (
            ("users", result.estimate.users[number]),
            ("producers", result.estimate.producers[number]),
            ("f1", result.f1[number]),
            ("iou", result.iou[number]),
        ):
            row[name] = finite(figure.value)
            row[f"{name}_low"], row[f"{name}_high"] = finite(figure.low), finite(figure.high)
        rows.append(row)
    return rows
