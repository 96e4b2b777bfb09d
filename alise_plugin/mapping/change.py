"""Two years of one place in, a map of their distance out, and what makes a decision of it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ..errors import AliseError, OutputError, SeriesError
from ..model.distance import CosineDistance, SquaredDistance, compact_cosine
from ..model.encoder import Encoder
from ..model.head import MapClass
from ..sits.grid import Grid, Tile, Window
from ..sits.rasters import block_cache, open_raster, read_bands
from ..sits.series import ImageSeries
from .area import PixelAreas
from .embedding_raster import EmbeddingRaster
from .explanation import Explanation
from .feature_tiles import FeatureSource
from .feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from .gapfilled import GapFilledPair
from .output import RasterForm, RasterOutput, block_side, put_in_place, require_outputs
from .pairs import (
    Pair,
    RasterPair,
    SeriesPair,
    Vectors,
    common_season,
    names_of,
    require_overlap,
    whole_years,
)
from .style import class_style, ramp_style, style_path, write_style
from .threshold import ThresholdRule, threshold_of
from .tile_loop import cache_size
from .zones import ZoneChange, distances_inside, zone_changes

METHODS = ("cosine", "alise", "gapfilled")
ALIGNMENTS = ("none", "years", "shift", "both")
UNITS = {
    "cosine": "1 - cosine of the angle between two embeddings, no unit",
    "alise": "mean squared difference of two embeddings (paper, Eq. 12), no unit",
    "gapfilled": "mean squared difference of reflectance (1.0 = 100 %)",
}
CHANGED, UNCHANGED, NO_DECISION = 1, 0, 255
LEAST_COMMON = 2 / 3  # of the longer year in both, or the user is told
_DECISIONS = (
    MapClass(UNCHANGED, "unchanged", "#e1e1e1"),
    MapClass(CHANGED, "changed", "#d7191c"),
)
_STRETCH = (0.02, 0.98)  # quantiles of the distances that QGIS shows as the ends of its colours
_SAMPLE = 1 << 21  # distances, evenly among all, that a threshold comes from
_SHIFT_SIDE = 16  # pixels: windows that the typical shift of a scene comes from
_SHIFT_WINDOWS = 9
_PAIR_SHARE = 0.95  # of the time: the distances; the rest is what is made of them
_ZONES_SHARE = 0.99  # until the zones are summed up


@dataclass(frozen=True)
class ChangeResult:
    """What `detect_change` found.

    Attributes:
        dates: of the two years.
        year_shift: days that were taken from the days of the second year.
        encoded: acquisitions that went through the encoder, each once.
        device: that the encoder really used; "" without one.
        model_id: name, version and hash of the model; "" without one.
        median_distance: of the map.
        large_distance: that one pixel in a hundred passes.
        noise_floor: median distance between the even and the odd acquisitions of a year; None
            where it cannot be measured.
        threshold: above it a pixel is changed; None without a rule.
        changed_share: of the pixels that have a distance, 0 to 1; None without a threshold.
        changed_area: in square metres (see `PixelAreas`); None without a threshold.
        zones: one entry for each zone.
    """

    dates: tuple[tuple[date, ...], tuple[date, ...]]
    year_shift: int
    encoded: int
    device: str
    model_id: str
    median_distance: float
    large_distance: float
    noise_floor: float | None
    threshold: float | None
    changed_share: float | None
    changed_area: float | None
    zones: list[ZoneChange]

    @property
    def noise_ratio(self) -> float | None:
        """The noise floor beside the large distances of the map: near 1, nothing stands out."""
        if self.noise_floor is None or not self.large_distance:
            return None
        return self.noise_floor / self.large_distance


def detect_change(
    before: FeatureSource,
    after: FeatureSource,
    encoder: Encoder | None,
    distance: str | os.PathLike[str],
    *,
    method: str = "cosine",
    align: str = "years",
    rule: ThresholdRule | None = None,
    change: str | os.PathLike[str] | None = None,
    explanation: str | os.PathLike[str] | None = None,
    zones: Sequence[bytes] = (),
    changed_from: float = 0.5,
    unchanged: Sequence[bytes] = (),
    extent: Sequence[float] | None = None,
    memory_mb: float = 2048,
    tile_size: int | None = None,
    feedback: Feedback | None = None,
) -> ChangeResult:
    """Writes how far each pixel is from itself in another year.

    One pass: each acquisition is read and encoded once, whatever is asked for, and no vector is
    written. Rasters appear when all are complete.

    Args:
        before: an image series or an embedding raster; the map is on its grid.
        after: another of the same kind; it may have other dates, another grid and CRS.
        encoder: for image series, and for an explanation.
        distance: GeoTIFF of one band, nodata NaN; its unit is in UNITS.
        method: "cosine" of the angle between the compact forms of both embeddings (of all features
            if the model has no compact form; of what embedding rasters hold); "alise", the mean
            squared difference of all features (paper, Eq. 12); or "gapfilled", the paper's
            baseline, for which clouds are masked.
        align: "years" shifts the days of `after` by whole years to those of `before`; "shift"
            takes the median difference of the scene off every difference, so that values depend
            on the extent, and a little on the tiles, where small windows stand for the scene;
            "both", or "none".
            Embedding rasters keep the days that they were made with; gap-filling always compares
            the same season.
        rule: how the threshold is found.
        change: GeoTIFF of bytes, 1 where the distance is above the threshold, 0 where not, nodata
            255.
        explanation: GeoTIFF that says why (see `Explanation`).
        zones: WKB of polygons in the CRS of `before`, to be summed up.
        changed_from: share of changed pixels from which a zone is changed.
        unchanged: WKB of polygons in the CRS of `before` that are known to be stable.
        extent: (xmin, ymin, xmax, ymax) in the CRS of `before`; all that both cover if None.
        memory_mb: what the run may take, in 10^6 bytes, beside the program itself.
        tile_size: side of the tiles in pixels instead of what the memory allows.
        feedback: progress and cancelling.

    Raises:
        SeriesError: the two do not compare, do not overlap, or one is empty in the extent.
        AliseError: the memory is too little, or what is asked for needs something else.
        OutputError: a raster cannot be written, or would overwrite an input or another output.
        Cancelled: the feedback said so; nothing is left.
    """
    rule = rule or ThresholdRule()
    feedback = feedback or SilentFeedback()
    if rule.value is not None and rule.kind not in ("value", "quantile"):
        feedback.info(
            f"The threshold value {rule.value:g} is not used: only the thresholds value and "
            f"quantile take a number, and {rule.kind} was chosen."
        )
    if len(unchanged) and rule.kind != "unchanged":
        feedback.info(
            "The unchanged areas are not used: only the threshold unchanged takes them, and "
            f"{rule.kind} was chosen."
        )
    _check(before, after, method, align, rule, change, explanation, unchanged, encoder)
    require_outputs((distance, change, explanation), (before.path, after.path))
    pair = _pair(before, after, encoder, method, align)
    inner = _inner(before, after, pair, extent)
    side, tiles = pair.plan(inner, memory_mb, tile_size)
    _say(before, after, pair, encoder, method, align, inner, len(tiles), side, feedback)
    explain = None
    if explanation is not None and encoder is not None:
        explain = Explanation(pair, encoder)
    metadata = _metadata(before, after, pair, encoder, method, align)
    grid = pair.grid.subgrid(inner)
    block = block_side(side)
    collected = _Collected()
    with ExitStack() as stack:
        stack.enter_context(block_cache(cache_size(memory_mb)))
        because = None
        if explain is not None and explanation is not None:
            most = explain.names.index("top_query")
            form = replace(
                _float_form(explain.names, metadata),
                style=ramp_style(most + 1, 0, most - 1),  # the shares of the dates come first
            )
            because = stack.enter_context(RasterOutput(explanation, grid, form, block))
        staged = stack.enter_context(_staged(distance))
        with RasterOutput(staged, grid, _float_form(["distance"], metadata), block) as raster:
            vectors_of = _Walk(pair, tiles, inner, align in ("shift", "both"), feedback)
            for tile, vectors, shift in vectors_of:
                window = tile.inner.relative_to(inner)
                if because is not None and explain is not None:
                    because.write(window, explain.bands(vectors, shift))
                collected.add(vectors)
                # The last use of these vectors: they may be changed.
                vectors.after[:] -= shift[:, None, None]
                values = pair.distance(vectors.before, vectors.after)
                raster.write(window, values[None])
        distances = _Strips(staged, feedback)
        sample = distances.sample()
        _require_values(pair, collected, sample)
        write_style(staged, ramp_style(1, *np.quantile(sample, _STRETCH)))
        noise = collected.noise()
        rest = Part(feedback, _PAIR_SHARE, _ZONES_SHARE)
        threshold = None
        if rule.kind != "none":
            areas = unchanged if rule.kind == "unchanged" else ()
            stable = distances_inside(staged, areas, rest)
            threshold = threshold_of(rule, sample, stable, noise)
        summary = zone_changes(staged, zones, threshold, changed_from, rest)
        outside = sum(zone.pixels == 0 for zone in summary)
        if outside:
            feedback.info(
                f"{outside} of {len(summary)} zones hold no pixel that has a distance: they lie "
                "outside the map or where a year has no value."
            )
        share = area = None
        if threshold is not None:
            share, area, largest = distances.changed(threshold, change, metadata, block)
            if not share:
                feedback.info(
                    f"No pixel is changed: the threshold is {threshold:.4g} and the largest "
                    f"distance {largest:.4g}."
                )
        feedback.progress(1.0)
    return ChangeResult(
        dates=pair.dates,
        year_shift=pair.year_shift,
        encoded=pair.encoded,
        device=encoder.device_used if encoder is not None and pair.encoded else "",
        model_id=metadata.get("ALISE_MODEL_ID", ""),
        median_distance=float(np.median(sample)),
        large_distance=float(np.quantile(sample, 0.99)),
        noise_floor=float(np.median(noise)) if len(noise) else None,
        threshold=threshold,
        changed_share=share,
        changed_area=area,
        zones=summary,
    )


def _check(
    before: FeatureSource,
    after: FeatureSource,
    method: str,
    align: str,
    rule: ThresholdRule,
    change: object,
    explanation: object,
    unchanged: Sequence[bytes],
    encoder: Encoder | None,
) -> None:
    """What can be said before anything is read."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    if align not in ALIGNMENTS:
        raise ValueError(f"align is {align!r}; choose one of {', '.join(ALIGNMENTS)}")
    rasters = [isinstance(source, EmbeddingRaster) for source in (before, after)]
    names = names_of(before, after)
    if rasters[0] != rasters[1]:
        which = rasters.index(True)
        raise SeriesError(
            f"{names[which]} is an embedding raster and {names[1 - which]} an image series; give "
            "two image series or two embedding rasters."
        )
    if method == "gapfilled" and rasters[0]:
        raise SeriesError(
            f"{names[0]} is an embedding raster, which holds no reflectance to gap-fill; give "
            "image series, or choose another method."
        )
    if method == "gapfilled" and explanation is not None:
        raise AliseError(
            "An explanation speaks of the model's learned dates; choose another method, or leave "
            "the explanation out."
        )
    if encoder is None and (explanation is not None or (method != "gapfilled" and not rasters[0])):
        raise AliseError(f"{names[0]} has to be encoded or explained by a model; choose one.")
    if change is not None and rule.kind == "none":
        raise AliseError(
            "A map of changed pixels needs a threshold; choose one, or leave that map out."
        )
    if rule.kind == "unchanged" and not unchanged:
        raise AliseError(
            "The threshold from unchanged areas needs polygons that are known to be stable; give "
            "them, or choose another threshold."
        )
    if rule.kind == "noise" and (
        rasters[0] or min(len(source.dates) for source in (before, after)) < 2  # type: ignore[union-attr]
    ):
        raise AliseError(
            "The noise floor needs two image series of two dates or more, which "
            f"{names[0]} and {names[1]} are not; choose another threshold."
        )


def _pair(
    before: FeatureSource,
    after: FeatureSource,
    encoder: Encoder | None,
    method: str,
    align: str,
) -> Pair:
    if isinstance(before, EmbeddingRaster) and isinstance(after, EmbeddingRaster):
        distance = CosineDistance() if method == "cosine" else SquaredDistance()
        return RasterPair(before, after, distance)
    assert isinstance(before, ImageSeries)
    assert isinstance(after, ImageSeries)
    if method == "gapfilled":
        return GapFilledPair(before, after)
    assert encoder is not None
    return SeriesPair(
        before,
        after,
        encoder,
        align_years=align in ("years", "both"),
        distance=compact_cosine(encoder) if method == "cosine" else SquaredDistance(),
    )


def _inner(
    before: FeatureSource, after: FeatureSource, pair: Pair, extent: Sequence[float] | None
) -> Window:
    """What the map covers: what both have, of the extent."""
    both = require_overlap(before.grid, after.grid, pair.names)
    if extent is None:
        return both
    asked = before.grid.window_of(extent)
    col, row = max(asked.col, both.col), max(asked.row, both.row)
    right, bottom = min(asked.col_end, both.col_end), min(asked.row_end, both.row_end)
    if col >= right or row >= bottom:
        raise SeriesError(
            f"{pair.names[1]} has no pixel in the extent; choose an extent inside both series."
        )
    return Window(col, row, right - col, bottom - row)


def _say(
    before: FeatureSource,
    after: FeatureSource,
    pair: Pair,
    encoder: Encoder | None,
    method: str,
    align: str,
    inner: Window,
    tiles: int,
    side: int,
    feedback: Feedback,
) -> None:
    first, second = pair.dates
    for name, dates in zip(pair.names, pair.dates):
        if dates:
            feedback.info(f"{name}: {len(dates)} dates from {dates[0]} to {dates[-1]}.")
    how = method
    if encoder is not None and method != "gapfilled":
        how = f"model {encoder.package.model_id} on {encoder.where}"
    feedback.info(f"{inner.width} x {inner.height} pixels in {tiles} tiles of {side}, {how}.")
    if first and second and second[0] < first[0]:
        feedback.info(
            f"AFTER begins on {second[0]}, before BEFORE ({first[0]}): the distance is the same "
            "in either order."
        )
    if isinstance(before, ImageSeries) and isinstance(after, ImageSeries):
        for name, lacks in zip(pair.names, _lacking(before.bands_present, after.bands_present)):
            if lacks:
                feedback.info(
                    f"{name} lacks {', '.join(lacks)}, which the other has: part of the distance "
                    "comes from that."
                )
    if first and second:
        _say_season(pair, feedback)
    rasters = isinstance(before, EmbeddingRaster)
    if rasters and align in ("years", "both") and first and second and whole_years(first, second):
        feedback.info(
            "Caution: embedding rasters keep the days that they were made with, so that their "
            "years are not aligned and the time between them counts as change everywhere. Give "
            "the image series instead, or choose the alignment shift."
        )
    if pair.year_shift:
        feedback.info(f"The days of AFTER are shifted by {-pair.year_shift}.")
    shared = len(first) + len(second) - pair.encoded
    if pair.encoded and shared:
        feedback.info(f"{shared} acquisitions belong to both and are encoded once.")


def _say_season(pair: Pair, feedback: Feedback) -> None:
    """That the two years are not of one season, where they are not."""
    season = common_season(*pair.dates)
    shared = (season[1] - season[0]).days if season else -1
    longest = max((dates[-1] - dates[0]).days for dates in pair.dates)
    if shared < LEAST_COMMON * longest:
        which = f"{shared} of {longest} days ({season[0]} to {season[1]})" if season else "no day"
        feedback.info(
            f"Caution: in days of the year the two have {which} in common: what grows outside of "
            "them counts as change. Give both periods the same season."
        )


def _lacking(first: Sequence[str], second: Sequence[str]) -> tuple[list[str], list[str]]:
    """Bands of the second that the first lacks, and the other way round."""
    return [b for b in second if b not in first], [b for b in first if b not in second]


def _metadata(
    before: FeatureSource,
    after: FeatureSource,
    pair: Pair,
    encoder: Encoder | None,
    method: str,
    align: str,
) -> dict[str, str]:
    """What the rasters say about where they come from."""
    items = {
        "ALISE_METHOD": method,
        "ALISE_UNIT": UNITS[method],
        "ALISE_ALIGN": align,
        "ALISE_DAYS_SHIFTED": str(-pair.year_shift),
        "ALISE_BEFORE": os.path.basename(before.path),
        "ALISE_AFTER": os.path.basename(after.path),
    }
    for key, dates in zip(("ALISE_DATES_BEFORE", "ALISE_DATES_AFTER"), pair.dates):
        items[key] = ",".join(day.isoformat() for day in dates)
    if method == "gapfilled":
        return items
    if isinstance(before, EmbeddingRaster):
        model = before.metadata
        name, version = model.get("ALISE_MODEL", ""), model.get("ALISE_MODEL_VERSION", "")
        sha256 = model["ALISE_MODEL_SHA256"]
        if encoder is not None and encoder.package.sha256 != sha256:
            raise SeriesError(
                f"{pair.names[0]} was made by {name} {version} {sha256[:8]} and not by "
                f"{encoder.package.model_id}, which cannot explain it; choose that model."
            )
        if encoder is not None and len(before.names) != encoder.package.n_features:
            raise SeriesError(
                f"{pair.names[0]} holds the compact form, of which the model reconstructs nothing; "
                "leave the explanation out, or embed in float32 or int8."
            )
    else:
        assert encoder is not None
        package = encoder.package
        name, version, sha256 = package.name, package.version, package.sha256
        items.update(ALISE_DEVICE=encoder.device_used, ALISE_PRECISION=encoder.precision)
    items.update(
        ALISE_MODEL=name,
        ALISE_MODEL_VERSION=version,
        ALISE_MODEL_HASH=sha256,
        ALISE_MODEL_ID=f"{name} {version} {sha256[:8]}",
    )
    return items


def _float_form(names: list[str], metadata: dict[str, str]) -> RasterForm:
    return RasterForm(names, np.dtype(np.float32), float("nan"), metadata=metadata)


@contextlib.contextmanager
def _staged(path: str | os.PathLike[str]) -> Iterator[str]:
    """A name beside the final one; what is there at the end moves, unless something failed."""
    final = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(final))
    stem = os.path.splitext(name)[0]
    staged = os.path.join(folder, f".{stem}.{uuid.uuid4().hex[:8]}.staged.tif")
    try:
        yield staged
        try:
            put_in_place(staged, final)
        except OSError as reason:
            raise OutputError(
                f"{final} cannot be written ({reason.strerror}); check that the folder is "
                "writable and that no program holds the file."
            ) from reason
    finally:
        for left in (staged, style_path(staged)):
            with contextlib.suppress(OSError):
                os.remove(left)


class _Collected:
    """What a run keeps of its tiles."""

    def __init__(self) -> None:
        self._noise: list[NDArray[np.float32]] = []
        self.seen = [False, False]

    def add(self, vectors: Vectors) -> None:
        self._noise.append(vectors.noise[np.isfinite(vectors.noise)])
        for side, values in enumerate((vectors.before, vectors.after)):
            self.seen[side] = self.seen[side] or bool(np.isfinite(values).any())

    def noise(self) -> NDArray[np.float32]:
        """All distances between even and odd acquisitions, finite."""
        return np.concatenate(self._noise)


def _require_values(pair: Pair, collected: _Collected, sample: NDArray[np.float32]) -> None:
    for name, seen in zip(pair.names, collected.seen):
        if not seen:
            raise SeriesError(
                f"{name} has no value in the extent; choose another extent or another series."
            )
    if not len(sample):
        raise SeriesError(
            f"No pixel of the extent has a value in both {pair.names[0]} and {pair.names[1]}; "
            "choose another extent."
        )


class _Walk:
    """The tiles of a run with their vectors and the typical shift of the scene."""

    def __init__(
        self, pair: Pair, tiles: list[Tile], inner: Window, with_shift: bool, feedback: Feedback
    ) -> None:
        self._pair, self._tiles, self._inner = pair, tiles, inner
        self._with_shift, self._feedback = with_shift, feedback

    def __iter__(self) -> Iterator[tuple[Tile, Vectors, NDArray[np.float32]]]:
        feedback, pair = self._feedback, self._pair
        total = sum(tile.read.pixels for tile in self._tiles)
        shift = None
        if self._with_shift and len(self._tiles) > 1:
            shift = self._sampled_shift()
        done = 0
        for tile in self._tiles:
            start, part = done / total, tile.read.pixels / total

            def report(fraction: float, start: float = start, part: float = part) -> None:
                feedback.progress(_PAIR_SHARE * (start + part * 0.7 * fraction))

            vectors = pair.vectors(tile, report, feedback.cancelled)
            if shift is None:  # one tile is its own sample
                shift = np.zeros(len(vectors.before), np.float32)
                if self._with_shift:
                    shift = _typical_shift([vectors])
            yield tile, vectors, shift
            done += tile.read.pixels
            feedback.progress(_PAIR_SHARE * done / total)
            stop_if_cancelled(feedback)

    def _sampled_shift(self) -> NDArray[np.float32]:
        """From small windows spread over the map, which are encoded once more later."""
        inner = self._inner
        places = (np.arange(3) + 0.5) / 3
        samples = []
        for y in places:
            for x in places:
                stop_if_cancelled(self._feedback)
                width, height = min(_SHIFT_SIDE, inner.width), min(_SHIFT_SIDE, inner.height)
                window = Window(
                    inner.col + int(x * (inner.width - width)),
                    inner.row + int(y * (inner.height - height)),
                    width,
                    height,
                )
                tile = self._pair.plan(window, 1e6, _SHIFT_SIDE)[1][0]
                samples.append(self._pair.vectors(tile, lambda _: None, self._feedback.cancelled))
        self._feedback.info(f"The typical shift comes from {len(samples)} windows.")
        return _typical_shift(samples)


def _typical_shift(samples: Sequence[Vectors]) -> NDArray[np.float32]:
    """`(F,)` median difference of the pixels that have one; 0 where none has."""
    parts = [(v.after - v.before).reshape(len(v.before), -1) for v in samples]
    differences = np.concatenate(parts, 1)
    known = np.isfinite(differences).any(1)
    shift = np.zeros(len(differences), np.float32)
    shift[known] = np.nanmedian(differences[known], 1)
    return shift


class _Strips:
    """A distance raster, read once more strip by strip."""

    def __init__(self, path: str, feedback: Feedback) -> None:
        self._path, self._feedback = path, feedback

    def _each(self) -> Iterator[tuple[Window, NDArray[np.float32]]]:
        dataset = open_raster(self._path)
        width, height = dataset.RasterXSize, dataset.RasterYSize
        rows = max(16, _SAMPLE // width // 16 * 16)
        for row in range(0, height, rows):
            stop_if_cancelled(self._feedback)
            window = Window(0, row, width, min(rows, height - row))
            yield window, read_bands(dataset, [1], 0, row, width, window.height)[0]

    def sample(self) -> NDArray[np.float32]:
        """`(n,)` finite distances: all, or every n-th of a large map."""
        dataset = open_raster(self._path)
        step = max(1, dataset.RasterXSize * dataset.RasterYSize // _SAMPLE)
        parts = [values[np.isfinite(values)][::step] for _, values in self._each()]
        return np.concatenate(parts)

    def changed(
        self,
        threshold: float,
        output: str | os.PathLike[str] | None,
        metadata: dict[str, str],
        block: int,
    ) -> tuple[float, float, float]:
        """Share (0 to 1) and true area (m2) of what is above a threshold; also as a raster.

        The third is the largest distance.
        """
        grid = Grid.from_dataset(open_raster(self._path), self._path)
        areas = PixelAreas(grid)
        pixels, changed, area, largest = 0, 0, 0.0, 0.0
        items = {**metadata, "ALISE_THRESHOLD": repr(threshold)}
        form = RasterForm(
            ["changed"],
            np.dtype(np.uint8),
            NO_DECISION,
            metadata=items,
            categories={item.code: item.name for item in _DECISIONS},
            colors={item.code: item.rgb for item in _DECISIONS},
            style=class_style(_DECISIONS),
        )
        with ExitStack() as stack:
            write: Callable[[Window, NDArray], None] | None = None
            if output is not None:
                write = stack.enter_context(RasterOutput(output, grid, form, block)).write
            for window, values in self._each():
                known = np.isfinite(values)
                above = known & (values > threshold)
                pixels += int(known.sum())
                changed += int(above.sum())
                largest = max(largest, float(values.max(where=known, initial=0)))
                area += float(areas.of(window)[above].sum())
                if write is not None:
                    codes = np.where(above, CHANGED, UNCHANGED).astype(np.uint8)
                    codes[~known] = NO_DECISION
                    write(window, codes[None])
        return changed / pixels, area, largest
