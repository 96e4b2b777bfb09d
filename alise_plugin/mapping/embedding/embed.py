"""Image series in, embedding raster out."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AliseError, Cancelled
from ...feedback import Feedback, Part, SilentFeedback
from ...model.encoder import Encoder
from ...model.quantise import NODATA, Quantiser
from ...sits.grid import Grid, Tile, Window
from ...sits.rasters import block_cache
from ...sits.series import ImageSeries
from ..features.encode_tiles import encode_some, encode_strips, encode_tile
from ..features.series_features import SeriesFeatures, warn_of_several_years
from ..features.spread_windows import SIDE, grown, spread_windows, valid_pixels
from ..features.tiling import TileBudget, Tiling, cache_size, cut_into_tiles, strip_memory
from ..rasters.destinations import require_outputs
from ..rasters.form import RasterForm
from ..rasters.geotiff import RasterOutput
from ..rasters.write_behind import WriteBehind
from .source_state import State, require_unchanged, source_state
from .tile_files import BlockFolder

FORMATS = ("float32", "int8", "compact")


_SAMPLE_EVERY = 4  # rows and columns from one pixel of a window to the next


_SAMPLE_SHARE = 0.05  # of the pixels that the map reads


_SAMPLE_WINDOWS = (36, 400)  # at least, at most


_MAKING = 0.97  # of a run with RESUME: the tiles; the rest puts them together


_COMPLETE = 0.9  # of a run that ends with a COG: what comes before that


# A tile, a strip of its inner window, and the strip's features (F, h, w).
Strip = tuple[Tile, Window, NDArray[np.float32]]


@dataclass(frozen=True)
class EmbedResult:
    """What `embed` wrote and with what.

    Attributes:
        path: the embedding raster.
        dates: the acquisitions that went in.
        device: the device that the encoder really used.
        model_id: name, version and hash of the model.
        clipped: share of the values that int8 could not hold, 0 to 1.
    """

    path: str
    dates: tuple[date, ...]
    device: str
    model_id: str
    clipped: float = 0.0


def feature_names(n_queries: int, d_model: int) -> list[str]:
    """Return band names of an embedding raster: "q03_d17" is feature 17 of query 3."""
    return [
        f"q{query:02d}_d{feature:02d}" for query in range(n_queries) for feature in range(d_model)
    ]


@dataclass(frozen=True)
class Plan:
    """A map, decided on to the last bit: who works it off, where and in which order is open.

    Attributes:
        grid: of the map.
        inner: its window in the series.
        cut: its tiles, strips and blocks.
        tiles: windows to read and to keep.
        form: what the raster holds.
        format: one of FORMATS.
        quantiser: of int8 and compact; None writes float32.
        ready: strips that were encoded already, where the map is its own sample.
        series_path: the series.
        sources: what it was read from at the start, see `source_state`.
    """

    grid: Grid
    inner: Window
    cut: Tiling
    tiles: list[Tile]
    form: RasterForm
    format: str
    quantiser: Quantiser | None
    ready: Sequence[Strip] = ()
    series_path: str = ""
    sources: State = field(default_factory=list)

    def write(self, raster: RasterOutput, origin: Window, features: Any, window: Window) -> int:
        """Write features `(F, h, w)` of a window of the series and return how many were clipped."""
        values, clipped = features, 0
        if self.quantiser is not None:
            values, clipped = self.quantiser.encode(features)
        raster.write(window.relative_to(origin), values)
        return clipped


def embed(
    features: SeriesFeatures,
    output: str | os.PathLike[str],
    *,
    extent: Sequence[float] | None = None,
    budget: TileBudget | None = None,
    format: str = "float32",
    feedback: Feedback | None = None,
    resume: bool = False,
    cog: bool = False,
) -> EmbedResult:
    """Write the embedding of every pixel (paper, Eq. 1), one band per query and feature.

    Values depend neither on the tiles nor on the extent: every tile is read with the model's halo
    from the whole series, on the model's stride. Reading, encoding and writing overlap.

    Args:
        features: the image series and its encoder.
        output: a GeoTIFF, which appears when it is complete.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the series; all of it if None.
        budget: memory and tile size.
        format: "float32" (nodata NaN); "int8": one byte per feature (nodata 0), with scale and
            offset per band from a sample of the map's pixels (see `Quantiser`); or "compact": the
            model's own fixed projection onto fewer features, in one byte each, with the model's
            own scale and offset, so that places and years stay comparable.
        feedback: progress and cancelling.
        resume: keep finished tiles in `<output>.blocks` until the raster is complete, and go on
            with those that an earlier run left there.
        cog: make a Cloud Optimised GeoTIFF.

    Raises:
        SeriesError: the extent is outside, or a file cannot be read.
        ModelPackageError: the model has no compact form.
        AliseError: the memory is too little.
        OutputError: the raster cannot be written or would overwrite an input, or there is nothing
            that a run can go on with.
        Cancelled: the feedback said so; nothing is left but what `resume` keeps.
    """
    series, encoder, budget = features.series, features.encoder, budget or TileBudget()
    require_outputs([output], [series.path])
    feedback, finishing = steps(feedback or SilentFeedback(), cog)
    folder = BlockFolder(output) if resume else None
    with block_cache(cache_size(budget.memory_mb) / 2):  # overviews that wait may take as much
        plan = make_plan(
            features,
            extent=extent,
            budget=budget,
            format=format,
            feedback=feedback if folder is None else Part(feedback, 0.0, _MAKING),
            folder=folder,
        )
        feedback.info(summary(series, encoder, plan))
        warn_of_several_years(series, feedback)
        raster = RasterOutput(output, plan.grid, plan.form, plan.cut.block, cog, finishing)
        if folder is None:
            clipped = _embed_at_once(series, encoder, plan, raster, feedback)
        else:
            clipped = _embed_in_blocks(series, encoder, plan, raster, folder, feedback)
    return result_of(series, encoder, plan, output, clipped, feedback)


def result_of(
    series: ImageSeries,
    encoder: Encoder,
    plan: Plan,
    output: str | os.PathLike[str],
    clipped: int,
    feedback: Feedback,
) -> EmbedResult:
    """Return what `embed` returns once its raster is there; the log hears of clipped values."""
    share = clipped / (len(plan.form.descriptions) * plan.inner.pixels)
    if share:
        feedback.info(
            f"{100 * share:.2g} % of the values lay outside the range of {plan.format} and were "
            "clipped."
        )
    return EmbedResult(
        os.fspath(output), series.dates, encoder.device_used, encoder.package.model_id, share
    )


def steps(feedback: Feedback, cog: bool) -> tuple[Part, Part]:
    """Return the feedback of a run until its raster is complete, and of making a COG of that."""
    complete = _COMPLETE if cog else 1.0
    return Part(feedback, 0.0, complete), Part(feedback, complete, 1.0)


def make_plan(
    features: SeriesFeatures,
    *,
    extent: Sequence[float] | None,
    budget: TileBudget,
    format: str,
    feedback: Feedback,
    folder: BlockFolder | None = None,
) -> Plan:
    """Decide everything about a map before its first tile; see `embed` for the arguments.

    Args:
        folder: where the run keeps its blocks. If there are some, the plan is that of the run
            that left them; if not, the folder is made.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
    series, encoder = features.series, features.encoder
    memory_mb = budget.memory_mb
    tile: int | tuple[int, int] | None = budget.tile_size
    package = encoder.package
    metadata = features.provenance
    names = feature_names(package.n_queries, package.d_model)
    if format == "compact":
        compact = package.require_compact()
        names = [f"c{feature:02d}" for feature in range(len(compact.scale))]
        metadata["ALISE_COMPACT_SHA256"] = compact.sha256
    inner = series.grid.window if extent is None else series.grid.window_of(extent)
    sources = source_state(series.path)
    run = {
        "model": package.sha256,
        "precision": encoder.precision,
        "compact": metadata.get("ALISE_COMPACT_SHA256"),
        "dates": metadata["ALISE_DATES"],
        "years_moved": series.moved_years,
        "files": sources,
        "window": [inner.col, inner.row, inner.width, inner.height],
        "format": format,
    }
    going_on = folder is not None and folder.found(run)
    if folder is not None and going_on:
        rows, columns = folder.decisions["tile"]
        tile = rows, columns
        _require_memory(encoder, series, (rows, columns), inner, memory_mb)
    cut, tiles = cut_into_tiles(series, encoder, inner, memory_mb, tile)
    quantiser = None
    ready: list[Strip] = []
    if format == "compact":
        quantiser = Quantiser(compact.scale, compact.offset)
    elif format == "int8" and folder is not None and going_on:
        scale, offset = np.array(folder.decisions["ranges"])
        quantiser = Quantiser(scale, offset)
    elif format == "int8" and len(tiles) == 1 and _fits(encoder, series, tiles[0], memory_mb):
        # Then the map is its own sample, and nothing is encoded twice.
        ready = list(encode_strips(series, encoder, tiles, cut.rows, feedback))
        samples = [
            valid_pixels(vectors, len(names))
            for _, _, vectors in ready
            if np.isfinite(vectors[0]).any()
        ]
        nothing = np.zeros((1, len(names)), np.float32)
        quantiser = Quantiser.from_sample(np.concatenate(samples or [nothing]))
    elif format == "int8":
        quantiser = _sampled_quantiser(series, encoder, inner, tiles, feedback)
    if folder is not None and not going_on:
        ranges = [] if quantiser is None else [quantiser.scale.tolist(), quantiser.offset.tolist()]
        folder.begin(run, {"tile": list(cut.tile), "ranges": ranges})
    if quantiser is not None:
        form = _int8_form(names, quantiser, metadata)
    else:
        form = RasterForm(
            names, np.dtype(np.float32), float("nan"), metadata=metadata, overviews="average"
        )
    grid = series.grid.subgrid(inner)
    form = replace(form, fast=True)
    return Plan(grid, inner, cut, tiles, form, format, quantiser, ready, series.path, sources)


def _fits(encoder: Encoder, series: ImageSeries, tile: Tile, memory_mb: float) -> bool:
    """Return whether all features of a tile can be held at once, and what they are written as."""
    pixels = tile.inner.pixels
    features = 4 * encoder.package.n_queries * encoder.package.d_model * pixels
    needed = encoder.memory_needed(len(series.dates), tile.read.pixels, pixels) + features
    return needed <= memory_mb * 1e6 - cache_size(memory_mb)


def summary(series: ImageSeries, encoder: Encoder, plan: Plan) -> str:
    """Return what a run is going to do, for its log."""
    return (
        f"{len(series.dates)} dates from {series.dates[0]} to {series.dates[-1]}, "
        f"{plan.inner.width} x {plan.inner.height} pixels in {len(plan.tiles)} tiles of "
        f"{plan.cut.tile[1]} x {plan.cut.tile[0]}, model {encoder.package.model_id} on "
        f"{encoder.where}."
    )


def _require_memory(
    encoder: Encoder,
    series: ImageSeries,
    tile: tuple[int, int],
    inner: Window,
    memory_mb: float,
) -> None:
    """Raise AliseError where tiles of a run begun with more memory no longer fit."""
    needed = strip_memory(encoder, len(series.dates), tile, series.grid.window, inner)
    if needed > memory_mb * 1e6 - cache_size(memory_mb):
        raise AliseError(
            f"The run to go on with has tiles of {tile[1]} x {tile[0]} pixels, too large for a "
            f"memory of {memory_mb:g} MB; allow at least {math.ceil(needed / 0.9e6)} MB, or delete "
            "its blocks."
        )


def _embed_at_once(
    series: ImageSeries,
    encoder: Encoder,
    plan: Plan,
    raster: RasterOutput,
    feedback: Feedback,
) -> int:
    """Encode every tile straight into the raster and return how many values were clipped."""
    clipped = 0

    def write(features: NDArray[np.float32], window: Window) -> None:
        nonlocal clipped
        clipped += plan.write(raster, plan.inner, features, window)

    with raster, WriteBehind(raster.abandon) as behind:
        for _, window, features in _strips(series, encoder, plan, plan.tiles, feedback):
            behind.submit(write, features, window)
        require_unchanged(plan.sources, plan.series_path)
    return clipped


def _embed_in_blocks(
    series: ImageSeries,
    encoder: Encoder,
    plan: Plan,
    raster: RasterOutput,
    folder: BlockFolder,
    feedback: Feedback,
) -> int:
    """Return tiles that are missing into files of their own, then all of them into the raster."""
    missing = folder.missing(plan.tiles)
    done = len(plan.tiles) - len(missing)
    if done:
        feedback.info(f"{done} of {len(plan.tiles)} tiles are there already.")
    making = Part(feedback, _MAKING * done / len(plan.tiles), _MAKING)
    clipped = 0
    for number, tile in enumerate(missing):
        step = Part(making, number / len(missing), (number + 1) / len(missing))
        clipped += write_block(series, encoder, plan, folder, tile, step)
    join_blocks(plan, folder, raster, Part(feedback, _MAKING, 1.0))
    return clipped


def write_block(
    series: ImageSeries,
    encoder: Encoder,
    plan: Plan,
    folder: BlockFolder,
    tile: Tile,
    feedback: Feedback,
) -> int:
    """Encode one tile of a plan into its file and return how many values were clipped.

    Raises:
        OutputError: it cannot be written.
        Cancelled: the feedback says so.
    """
    clipped = 0
    block = RasterOutput(
        folder.block(tile),
        series.grid.subgrid(tile.inner),
        replace(plan.form, overviews=""),
        plan.cut.block,
    )

    def write(features: NDArray[np.float32], window: Window) -> None:
        nonlocal clipped
        clipped += plan.write(block, tile.inner, features, window)

    with block, WriteBehind(block.abandon) as behind:
        for _, window, features in _strips(series, encoder, plan, [tile], feedback):
            behind.submit(write, features, window)
    return clipped


def join_blocks(plan: Plan, folder: BlockFolder, raster: RasterOutput, feedback: Feedback) -> None:
    """Copy all blocks of a plan into the raster and remove their folder.

    Raises:
        OutputError: a block cannot be read, or the raster not be written.
        Cancelled: the feedback says so.
    """
    with raster, WriteBehind(raster.abandon) as behind:
        done = 0
        for _, window, values in folder.strips(plan.tiles, plan.cut.rows):
            behind.submit(raster.write, window.relative_to(plan.inner), values)
            done += window.pixels
            feedback.progress(done / plan.inner.pixels)
            if feedback.cancelled():
                raise Cancelled("The run was cancelled.")
        require_unchanged(plan.sources, plan.series_path)
    folder.remove()


def _strips(
    series: ImageSeries,
    encoder: Encoder,
    plan: Plan,
    tiles: Sequence[Tile],
    feedback: Feedback,
) -> Iterator[Strip]:
    """Yield strips of the features that the plan's format is made of."""
    if plan.ready:
        yield from plan.ready
        return
    strips = encode_strips(series, encoder, tiles, plan.cut.rows, feedback)
    with contextlib.closing(strips):  # type: ignore[type-var]
        for tile, window, features in strips:
            if plan.format == "compact":
                features = encoder.compact(features)
            yield tile, window, features


def _int8_form(names: list[str], quantiser: Quantiser, metadata: dict[str, str]) -> RasterForm:
    return RasterForm(
        names,
        np.dtype(np.uint8),
        NODATA,
        scale=quantiser.scale.tolist(),
        offset=quantiser.offset.tolist(),
        metadata={**metadata, "ALISE_QUANTISATION": "value = raw x scale + offset, raw 1 to 255"},
        overviews="average",
    )


def _sampled_quantiser(
    series: ImageSeries,
    encoder: Encoder,
    inner: Window,
    tiles: Sequence[Tile],
    feedback: Feedback,
) -> Quantiser:
    """Return ranges from small windows spread over the map, which are encoded once more later.

    Many places, because neighbours are alike: four windows of a map of fields let 1 to 2 % of the
    values fall outside their range.
    """
    count = encoder.package.n_queries * encoder.package.d_model
    read = sum(tile.read.pixels for tile in tiles)
    wanted = int(np.clip(_SAMPLE_SHARE * read / SIDE**2, *_SAMPLE_WINDOWS))
    samples: list[NDArray[np.float32]] = []
    # Pixels side by side only where there are too few others.
    for every in (_SAMPLE_EVERY, 1):
        for window in spread_windows(inner, 4 * wanted) if not samples else ():
            tile = Tile(grown(window, series.grid.window), window)
            features = encode_some(series, encoder, tile, every, feedback.cancelled)
            if np.isfinite(features).any():
                samples.append(valid_pixels(features, count))
            if len(samples) == wanted:
                break
    for tile in [] if samples else tiles:  # all samples fell where there is no value
        features = encode_tile(series, encoder, tile, lambda _: None, feedback.cancelled)
        if np.isfinite(features).any():
            samples.append(valid_pixels(features, count))
            break
    feedback.info(f"The ranges of int8 come from {sum(map(len, samples))} sampled pixels.")
    return Quantiser.from_sample(np.concatenate(samples or [np.zeros((1, count), np.float32)]))
