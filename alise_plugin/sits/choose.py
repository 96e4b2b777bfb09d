"""Which of the bands that were read make the acquisitions, and which are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ..errors import SeriesError
from ..sentinel2 import BANDS
from .network import is_remote
from .rasters import open_raster, read_bands, read_small
from .sources.record import SourceBand

MIN_BANDS = 4
_STRIP = 256  # rows compared at a time
_PICTURE = 256  # pixels: side of the pictures in which parts of a scene are told apart
_ANOTHER_PART = 0.01  # of a scene: what a part must have that no newer one has
_COPIES = ("SAFE", "Theia", "STAC")  # kinds whose scene and processing time identify the pixels


@dataclass
class Chosen:
    """What a series is made of.

    Attributes:
        bands: per day and band, the sources to lay over each other, the last on top.
        masks: per day, the product's masks, in the same order.
        left_out: (name, reason).
    """

    bands: dict[date, dict[str, list[SourceBand]]] = field(default_factory=dict)
    masks: dict[date, list[SourceBand]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def choose(records: Sequence[SourceBand], check: Callable[[], None] = lambda: None) -> Chosen:
    """Return resolves repetitions: reprocessings, copies, pixel sizes, mosaics of a day.

    Two processings of a scene: the newer, or both where each has a part of the scene. One band at
    two pixel sizes: the finer, where it covers the coarser. Two scenes of a day: both, as a mosaic.

    Args:
        records: from the readers.
        check: called often while pixels are compared; may raise to stop.

    Raises:
        SeriesError: two files hold different pixels for one band, day and place, and nothing says
            which is newer; or a tile and day comes from two providers.
    """
    chosen = Chosen()
    for record in _newest(records, chosen, check):
        if record.band in BANDS:
            pile = chosen.bands.setdefault(record.day, {}).setdefault(record.band, [])
        else:
            pile = chosen.masks.setdefault(record.day, [])
        _add(pile, record, chosen, check)
    for piles in chosen.bands.values():
        for pile in piles.values():
            pile.sort(key=_order)
    for pile in chosen.masks.values():
        pile.sort(key=_order)
    chosen.left_out = list(dict.fromkeys(chosen.left_out))
    return chosen


def _order(record: SourceBand) -> tuple[float, str]:
    return -record.grid.pixel_size[0], record.product.processed


def _newest(
    records: Sequence[SourceBand], chosen: Chosen, check: Callable[[], None]
) -> list[SourceBand]:
    """Return records without those of older processings of the same scene.

    A tile at the seam of two data strips comes as two products of one scene, each with its part of
    the pixels: these are no processings of each other, and all are kept.
    """
    scenes: dict[str, dict[str, list[SourceBand]]] = {}
    for record in records:
        if record.product.scene:
            of_scene = scenes.setdefault(record.product.scene, {})
            of_scene.setdefault(record.product.processed, []).append(record)
    kept_of: dict[str, list[str]] = {}
    for scene, processings in scenes.items():
        newest, *older = sorted(processings, reverse=True)
        kept_of[scene] = [newest]
        for processed in older:
            parts = [processings[other] for other in kept_of[scene]]
            if _baseline(processed) == _baseline(newest) and _is_another_part(
                processings[processed], parts, check
            ):
                kept_of[scene].append(processed)
    kept = []
    for record in records:
        scene, processed = record.product.scene, record.product.processed
        if not scene or processed in kept_of[scene]:
            kept.append(record)
            continue
        best = scenes[scene][kept_of[scene][0]][0]
        chosen.left_out.append((record.name, f"an older processing of the scene of {best.name}"))
    return kept


def _baseline(processed: str) -> str:
    """Return the processing baseline that "02.12_20190516T135205" begins with, if any."""
    return processed.rpartition("_")[0]


def _is_another_part(
    records: Sequence[SourceBand],
    others: Sequence[Sequence[SourceBand]],
    check: Callable[[], None],
) -> bool:
    """Return whether an image has values in a part of its scene where the others have none.

    Files on servers are described without a reading of their pixels, so they are no parts.
    """
    mine = next((record for record in records if record.band in BANDS), None)
    if mine is None or is_remote(mine.path):
        return False
    only_mine = _has_values(mine)
    for other in others:
        check()
        theirs = (r for r in other if r.band == mine.band and r.grid.same_grid(mine.grid))
        only_mine &= ~_has_values(next(theirs, mine))
    return bool(only_mine.mean() > _ANOTHER_PART)


def _has_values(record: SourceBand) -> NDArray[np.bool_]:
    """Return where a band holds values, in a small picture of it."""
    dataset = open_raster(record.dataset_name, record.open_options)
    width, height = min(_PICTURE, record.grid.width), min(_PICTURE, record.grid.height)
    values = read_small(dataset, [record.index], width, height)
    if values is None:  # whoever reads it for its pixels says so
        return np.zeros((height, width), bool)
    return np.asarray(np.isfinite(values[0]) & (values[0] != 0) & (values[0] != record.nodata))


def _add(
    pile: list[SourceBand], record: SourceBand, chosen: Chosen, check: Callable[[], None]
) -> None:
    """Put a record among those of its day and band, or leaves it, or another, out."""
    for other in list(pile):
        if record.band != other.band:
            continue  # masks of two kinds
        scenes = record.product.scene, other.product.scene
        if all(scenes) and scenes[0] != scenes[1]:
            if record.band in BANDS and _is_other_processor(record, other):
                raise SeriesError(
                    f"{other.name} ({other.product.kind}) and {record.name} "
                    f"({record.product.kind}) are of one tile and day, {record.day}, and may be "
                    "corrected differently; give one of them."
                )
            continue
        if all(scenes) and record.product.processed != other.product.processed:
            continue  # two parts of one scene
        if record.grid.same_grid(other.grid):
            copy = all(scenes) and record.product.kind in _COPIES
            if copy or record.band not in BANDS or _same_pixels(record, other, check):
                if record.name != other.name or record.file != other.file:
                    chosen.left_out.append((record.name, f"a copy of {other.name}"))
                return
            raise SeriesError(
                f"{other.name} and {record.name} are both {record.band} of {record.day} and "
                "differ; give one of them, or their mosaic."
            )
        if _covers(record, other):
            pile.remove(other)
        elif _covers(other, record):
            return
    pile.append(record)


def _is_other_processor(first: SourceBand, second: SourceBand) -> bool:
    """Return whether two records of one tile come from providers with different scene names."""
    tiles = {record.product.scene.partition("_")[0].lstrip("T") for record in (first, second)}
    kinds = {record.product.kind for record in (first, second)}
    return len(tiles) == 1 and len(kinds) == 2 and kinds <= set(_COPIES)


def _covers(finer: SourceBand, coarser: SourceBand) -> bool:
    """Return whether a record holds all that a coarser one does, better."""
    if finer.grid.pixel_size >= coarser.grid.pixel_size or not finer.grid.same_crs(coarser.grid):
        return False
    dx, dy = coarser.grid.pixel_size
    inner, outer = coarser.grid.extent, finer.grid.extent
    return (
        outer[0] <= inner[0] + dx
        and outer[1] <= inner[1] + dy
        and outer[2] >= inner[2] - dx
        and outer[3] >= inner[3] - dy
    )


def _same_pixels(first: SourceBand, second: SourceBand, check: Callable[[], None]) -> bool:
    one, two = (open_raster(record.dataset_name, record.open_options) for record in (first, second))
    for row in range(0, first.grid.height, _STRIP):
        check()
        size = (0, row, first.grid.width, min(_STRIP, first.grid.height - row))
        a, b = read_bands(one, [first.index], *size), read_bands(two, [second.index], *size)
        if not np.array_equal(a, b, equal_nan=True):
            return False
    return True


def refuse_too_few_bands(bands: set[str]) -> None:
    """Raise SeriesError below four bands, or without red or near infrared."""
    listed = ", ".join(band for band in BANDS if band in bands) or "none"
    if "B04" not in bands or not bands & {"B08", "B8A"}:
        raise SeriesError(
            f"Of the ten bands only {listed} were found, and ALISE needs at least four with red "
            "(B04) and near infrared (B08 or B8A); add the files of these bands."
        )
    if len(bands) < MIN_BANDS:
        raise SeriesError(
            f"Only {listed} were found, and ALISE needs at least {MIN_BANDS} of its ten bands; "
            "add the files of others."
        )
