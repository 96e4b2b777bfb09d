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
from osgeo import ogr

from ... import html_page
from ...errors import LabelsError
from ...feedback import Feedback, SilentFeedback, stop_if_cancelled
from ...model.heads.class_head import MapClass
from ...sits.grid import Grid, Window
from ...whole_files import write_text
from ..labels.layers import Value, VectorLabels
from ..labels.legend import default_color
from ..labels.on_grid import AreaRasterizer, on_grid
from ..rasters.destinations import require_folder
from ..scores.estimators import (
    DesignSample,
    StratifiedEstimate,
    design_estimate,
    stratified_estimate,
    stratum_shares,
)
from ..scores.metrics import (
    OVERALL,
    Interval,
    flat,
    measures,
    resampled,
    resampled_in_strata,
)
from ..scores.tables import confusion_sections, overall_table
from .class_map import ClassMap

_SAME_AREA = 0.02  # how far areas of strata and map may differ
_FEW = 2  # points of a stratum: with fewer, its error cannot be estimated


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
        warnings: what was left out and what the sample cannot say.
    """

    classes: list[MapClass]
    counts: NDArray[np.int64]
    mapped: NDArray[np.float64]
    estimate: StratifiedEstimate
    overall: dict[str, Interval]
    f1: list[Interval]
    iou: list[Interval]
    labels: int
    warnings: list[str]


@dataclass(frozen=True)
class SampleStrata:
    """The strata that reference points were drawn from.

    Attributes:
        code: `(labels,)` of the stratum of each label.
        square_metres: `(labels,)` area of that stratum.
    """

    code: NDArray[np.int64]
    square_metres: NDArray[np.float64]


def assess_accuracy(
    class_map: ClassMap,
    reference: VectorLabels,
    *,
    strata: SampleStrata | None = None,
    report: str | os.PathLike[str] | None = None,
    seed: int = 0,
    feedback: Feedback | None = None,
) -> AccuracyResult:
    """Compare a map with reference labels.

    Points are taken as a stratified random sample. Their strata are those that they bring (see
    `draw_sample`), which may be of another map (Stehman 2014), or else the map's classes (Olofsson
    et al. 2014). The pixels of a polygon are alike, so with polygons all intervals come from
    resampling polygons.

    Args:
        class_map: the map.
        reference: points or polygons with the true class: codes of the map, or names of its
            classes.
        strata: that the points were drawn from; the classes of the map if None.
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
    warnings = [*skipped, *_warnings_of_labels(reference, classes, counts, mapped)]
    by_polygon = any(geometry.GetDimension() > 0 for geometry in reference.geometries)

    def figures(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return all figures of a matrix with the reference in rows, weighted by strata."""
        shares = stratum_shares(matrix.T, mapped)
        return np.concatenate([flat(measures(shares.T)), shares.sum(0)])

    design = _design(strata, area, shown, truth, classes, mapped) if not by_polygon else None
    if strata is not None and by_polygon:
        warnings.append("The strata of the sample are not used, for it holds polygons.")
    if by_polygon:
        group = np.unique(area, return_inverse=True)[1].reshape(-1)
        low, high = resampled(truth, shown, group, count, figures, seed)
        values = figures(counts.T.astype(np.float64))
    else:
        own = DesignSample(shown, mapped, shown, truth, count)
        sample = design or own
        cells = truth * count + shown
        low, high = resampled_in_strata(
            cells, sample.stratum, sample.weights, count, _figures_of_shares, seed
        )
        values = _figures_of_shares(sample.shares().T)
    if design is not None:
        estimate = design_estimate(design)
        warnings += _warnings_of_strata(design, mapped)
    else:
        warnings += _warnings_of_classes(classes, counts, mapped, complete)
    rows = [Interval(*map(float, three)) for three in zip(values, low, high)]
    overall = dict(zip(OVERALL, rows))
    users, producers, f1, iou, shares = (
        rows[4 + part * count : 4 + (part + 1) * count] for part in range(5)
    )
    if by_polygon:
        warnings.append(
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
    result = AccuracyResult(
        classes, counts, mapped, estimate, overall, f1, iou, len(truth), warnings
    )
    for text in warnings:
        feedback.warning(text)
    if report:
        write_text(report, _report(class_map.name, reference.name, result))
    feedback.progress(1.0)
    return result


def _figures_of_shares(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return all figures of shares of the area, reference in rows."""
    whole = matrix / matrix.sum()
    return np.concatenate([flat(measures(whole)), whole.sum(1)])


def _design(
    strata: SampleStrata | None,
    area: NDArray[np.int64],
    shown: NDArray[np.int64],
    truth: NDArray[np.int64],
    classes: Sequence[MapClass],
    mapped: NDArray[np.float64],
) -> DesignSample | None:
    """Return the sample with its own strata; None where they are the classes of the map."""
    if strata is None:
        return None
    codes, number = np.unique(strata.code[area], return_inverse=True)
    number = number.reshape(-1)
    areas = np.array([strata.square_metres[area[number == one]].max() for one in range(len(codes))])
    of_map = np.array([item.code for item in classes])
    if (of_map[shown] == codes[number]).all():
        own = mapped[np.searchsorted(of_map, codes)]
        if np.allclose(areas, own, rtol=1e-6):
            return None
    return DesignSample(number, areas, shown, truth, len(classes))


def _warnings_of_strata(sample: DesignSample, mapped: NDArray[np.float64]) -> list[str]:
    warnings = []
    few = int((np.bincount(sample.stratum) < _FEW).sum())
    if few:
        warnings.append(f"{few} strata of the sample hold one label, too few for intervals.")
    ours, theirs = float(mapped.sum()), float(sample.areas.sum())
    if abs(ours / theirs - 1) > _SAME_AREA:
        warnings.append(
            f"The strata of the sample cover {theirs / 1e4:.2f} ha and the map {ours / 1e4:.2f} "
            "ha: the figures are of the area of the strata. Check that both show one place."
        )
    return warnings


def _matched(
    class_map: ClassMap, reference: VectorLabels
) -> tuple[list[MapClass], NDArray[np.int64]]:
    """Return all classes by code, and `(areas,)` the place of the true class of each area."""
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
    """Return of every labelled pixel: true class, class of the map, area; and what was left out."""
    grid = class_map.grid
    geometries = on_grid(reference, grid)
    codes = np.array([item.code for item in classes])
    parts: list[tuple[NDArray[np.int64], ...]] = []
    compared: set[int] = set()
    ambiguous = 0
    windows = class_map.windows()
    for rows, cols, over, under in _labelled(geometries, target, grid, windows, feedback):
        window = Window(
            int(cols.min()), int(rows.min()), int(np.ptp(cols)) + 1, int(np.ptp(rows)) + 1
        )
        values, valid = class_map.read(window)
        at = rows - window.row, cols - window.col
        clear = target[over] == target[under]
        ambiguous += int(np.count_nonzero(valid[at] & ~clear))
        compared.update(over[valid[at]].tolist(), under[valid[at]].tolist())
        kept = valid[at] & clear
        shown = np.searchsorted(codes, values[at][kept].astype(np.int64))
        parts.append((target[over[kept]], shown, over[kept]))
    truth, shown, area = (
        np.concatenate([part[i] for part in parts] or [np.empty(0, np.int64)]) for i in range(3)
    )
    warnings = []
    if len(compared) < len(geometries):
        warnings.append(
            f"{len(geometries) - len(compared)} of {len(geometries)} labels are left out: they lie "
            "outside the map, where it has no class, or under others."
        )
    if ambiguous:
        warnings.append(f"{ambiguous} pixels lie in areas of two classes and are left out.")
    if not len(truth):
        raise LabelsError(
            f"{reference.name} and {class_map.name} do not overlap; choose a reference of the same "
            "area, or check the CRS of both."
        )
    return truth, shown, area, warnings


def _labelled(
    geometries: Sequence[ogr.Geometry | None],
    target: NDArray[np.int64],
    grid: Grid,
    windows: Sequence[Window],
    feedback: Feedback,
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield rows, columns and areas (top, bottom) of the labelled pixels of each window.

    Points are looked up one by one: two in one pixel are two of the sample.
    """
    left, dx, _, top, _, dy = grid.geotransform
    labelled: list[tuple[int, ...]] = []
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
                labelled.append((row, col, number, number))
    for place in labelled:
        yield tuple(np.array([value]) for value in place)
    if all(polygon is None for polygon in polygons):
        return
    burner = AreaRasterizer(polygons, grid, target)
    for done, window in enumerate(windows):
        stop_if_cancelled(feedback)
        over, under = burner.burn(window)
        rows, cols = np.nonzero(over >= 0)
        if len(rows):
            both = (areas[rows, cols].astype(np.int64) for areas in (over, under))
            yield rows + window.row, cols + window.col, *both
        feedback.progress(0.8 * (done + 1) / len(windows))


def _warnings_of_labels(
    reference: VectorLabels,
    classes: Sequence[MapClass],
    counts: NDArray[np.int64],
    mapped: NDArray[np.float64],
) -> list[str]:
    warnings = list(reference.warnings)
    if reference.without_class:
        warnings.append(
            f"{reference.without_class} features have no class (NULL) and are left out."
        )
    for item, count, size in zip(classes, counts.sum(0), mapped):
        if count and not size:
            warnings.append(
                f'The map has no "{item.name}", the true class of {count} labels: they count as '
                "wrong. Check how the class is written if the map should have it."
            )
    return warnings


def _warnings_of_classes(
    classes: Sequence[MapClass],
    counts: NDArray[np.int64],
    mapped: NDArray[np.float64],
    complete: NDArray[np.bool_],
) -> list[str]:
    warnings = []
    for item, count, size, whole in zip(classes, counts.sum(1), mapped, complete):
        if size and not count:
            warnings.append(
                f'No label lies in the mapped class "{item.name}" ({size / mapped.sum():.1%} of '
                "the map): all figures are for the rest of the map."
            )
        elif size and count < _FEW and not whole:
            warnings.append(
                f'The mapped class "{item.name}" holds one label, too few for intervals.'
            )
    return warnings


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
            *(html_page.paragraph(text, warning=True) for text in result.warnings),
            html_page.paragraph(
                f"{result.labels} labelled pixels of {reference_name}. Every figure but their "
                "counts is weighted by the area of the strata of the sample; adjusted areas are "
                "those of the reference classes (Olofsson et al. 2014; Stehman 2014 where the "
                "strata are not the classes of the map)."
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


def class_rows(result: AccuracyResult) -> list[dict[str, Any]]:
    """Return the figures of each class, one flat row each; None where the sample does not say."""

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
