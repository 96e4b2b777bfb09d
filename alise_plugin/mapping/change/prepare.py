"""Everything that Detect change checks and says before it reads a pixel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import AliseError, SeriesError
from ...feedback import Feedback
from ...model.distance import CosineDistance, SquaredDistance, compact_cosine
from ...sits.grid import Window
from ...sits.years import whole_years
from ..features.features import Features
from .gapfilled import GapFilledPair
from .pairs import Pair, RasterPair, SeriesPair, names_of, require_overlap
from .periods import common_season
from .threshold import ThresholdRule

METHODS = ("cosine", "alise", "gapfilled")


ALIGNMENTS = ("none", "years", "shift", "both")


UNITS = {
    "cosine": "1 - cosine of the angle between two embeddings, no unit",
    "alise": "mean squared difference of two embeddings (paper, Eq. 12), no unit",
    "gapfilled": "mean squared difference of reflectance (1.0 = 100 %)",
}


LEAST_COMMON = 2 / 3  # of the longer year in both, or the user is told


@dataclass(frozen=True)
class ChangeOptions:
    """How two years are compared.

    Attributes:
        method: "cosine" of the angle between the compact forms of both embeddings (of all features
            if the model has no compact form; of what embedding rasters hold); "alise", the mean
            squared difference of all features (paper, Eq. 12); or "gapfilled", the paper's
            baseline, for which clouds are masked.
        align: "years" shifts the days of the second year by whole years to those of the first;
            "shift" takes the median difference of the scene off every difference, so that values
            depend on the extent, and a little on the tiles, where small windows stand for the
            scene; "both", or "none". Embedding rasters keep the days that they were made with;
            gap-filling always compares the same season.
        rule: how the threshold is found.
        changed_from: share of changed pixels from which a zone is changed.
    """

    method: str = "cosine"
    align: str = "years"
    rule: ThresholdRule = field(default_factory=ThresholdRule)
    changed_from: float = 0.5


@dataclass(frozen=True)
class ChangeOutputs:
    """Files that `detect_change` writes; None for what is not asked for.

    Attributes:
        distance: GeoTIFF of one band, nodata NaN; its unit is in UNITS.
        change: GeoTIFF of bytes, 1 where the distance is above the threshold, 0 where not, nodata
            255.
        explanation: GeoTIFF that says why (see `Explanation`).
    """

    distance: str | os.PathLike[str]
    change: str | os.PathLike[str] | None = None
    explanation: str | os.PathLike[str] | None = None


def check_options(
    before: Features,
    after: Features,
    options: ChangeOptions,
    outputs: ChangeOutputs,
    unchanged: Sequence[bytes],
) -> None:
    """Refuse what can be refused before anything is read.

    Raises:
        SeriesError: the two do not compare.
        AliseError: what is asked for needs something else.
    """
    method, align, rule = options.method, options.align, options.rule
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    if align not in ALIGNMENTS:
        raise ValueError(f"align is {align!r}; choose one of {', '.join(ALIGNMENTS)}")
    rasters = [not source.is_series for source in (before, after)]
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
    if method == "gapfilled" and outputs.explanation is not None:
        raise AliseError(
            "An explanation speaks of the model's learned dates; choose another method, or leave "
            "the explanation out."
        )
    if outputs.change is not None and rule.kind == "none":
        raise AliseError(
            "A map of changed pixels needs a threshold; choose one, or leave that map out."
        )
    if rule.kind == "unchanged" and not unchanged:
        raise AliseError(
            "The threshold from unchanged areas needs polygons that are known to be stable; give "
            "them, or choose another threshold."
        )
    if rule.kind == "noise" and (
        rasters[0] or min(len(source.dates) for source in (before, after)) < 2
    ):
        raise AliseError(
            "The noise floor needs two image series of two dates or more, which "
            f"{names[0]} and {names[1]} are not; choose another threshold."
        )


def make_pair(before: Features, after: Features, options: ChangeOptions) -> Pair:
    """Return the two inputs as a pair that yields vectors window by window."""
    if not before.is_series:
        distance = CosineDistance() if options.method == "cosine" else SquaredDistance()
        return RasterPair(before.require_raster(), after.require_raster(), distance)
    first, second = (one.require_series("choose a series") for one in (before, after))
    if options.method == "gapfilled":
        return GapFilledPair(first, second)
    return SeriesPair(
        first,
        second,
        align_years=options.align in ("years", "both"),
        distance=compact_cosine(first.encoder) if options.method == "cosine" else SquaredDistance(),
    )


def common_window(
    before: Features, after: Features, pair: Pair, extent: Sequence[float] | None
) -> Window:
    """Return the pixels of `before` that both inputs cover, clipped to `extent`."""
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


def describe_inputs(
    before: Features,
    after: Features,
    pair: Pair,
    options: ChangeOptions,
    extent_text: str,
    feedback: Feedback,
) -> None:
    """Write to the log what is compared, and warn of what makes it doubtful."""
    first, second = pair.dates
    for name, dates in zip(pair.names, pair.dates):
        if dates:
            feedback.info(f"{name}: {len(dates)} dates from {dates[0]} to {dates[-1]}.")
    how = options.method
    if pair.encoded:
        how = f"model {before.identity.name}{before.on_device}"
    feedback.info(f"{extent_text}, {how}.")
    if first and second and second[0] < first[0]:
        feedback.info(
            f"AFTER begins on {second[0]}, before BEFORE ({first[0]}): the distance is the same "
            "in either order."
        )
    if before.is_series:
        bands = before.bands or [], after.bands or []
        for name, lacks in zip(pair.names, _lacking(*bands)):
            if lacks:
                feedback.info(
                    f"{name} lacks {', '.join(lacks)}, which the other has: part of the distance "
                    "comes from that."
                )
    if first and second:
        _say_season(pair, feedback)
    aligned = options.align in ("years", "both")
    if not before.is_series and aligned and first and second and whole_years(first, second):
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
    """Warn where the two years do not cover the same season."""
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
    """Return bands of the second that the first lacks, and the other way round."""
    return [b for b in second if b not in first], [b for b in first if b not in second]


def change_metadata(
    before: Features,
    after: Features,
    pair: Pair,
    options: ChangeOptions,
    explained: bool,
) -> dict[str, str]:
    """Return what the rasters say about where they come from.

    Raises:
        SeriesError: an embedding raster shall be explained by a model that did not make it.
    """
    method = options.method
    items = {
        "ALISE_METHOD": method,
        "ALISE_UNIT": UNITS[method],
        "ALISE_ALIGN": options.align,
        "ALISE_DAYS_SHIFTED": str(-pair.year_shift),
        "ALISE_BEFORE": before.name,
        "ALISE_AFTER": after.name,
    }
    for key, dates in zip(("ALISE_DATES_BEFORE", "ALISE_DATES_AFTER"), pair.dates):
        items[key] = ",".join(day.isoformat() for day in dates)
    if method == "gapfilled":
        return items
    origin = before.provenance
    if explained and not before.is_series:
        _require_explainable(before, pair.names[0])
    if before.is_series:
        items.update({key: origin[key] for key in ("ALISE_DEVICE", "ALISE_PRECISION")})
    name, version = origin.get("ALISE_MODEL", ""), origin.get("ALISE_MODEL_VERSION", "")
    sha256 = before.identity.sha256
    items.update(
        ALISE_MODEL=name,
        ALISE_MODEL_VERSION=version,
        ALISE_MODEL_HASH=sha256,
        ALISE_MODEL_ID=f"{name} {version} {sha256[:8]}",
    )
    return items


def _require_explainable(raster: Features, name: str) -> None:
    """Make sure that the model at hand made an embedding raster, and can decode it.

    Raises:
        SeriesError: another model made it, or it holds the compact form.
    """
    package = raster.open_encoder().package
    if not package.gives_vectors_of(raster.identity):
        raise SeriesError(
            f"{name} was made by {raster.identity.name} and not by {package.model_id}, which "
            "cannot explain it; choose that model."
        )
    if raster.identity.n_features != package.n_features:
        raise SeriesError(
            f"{name} holds the compact form, of which the model reconstructs nothing; leave the "
            "explanation out, or embed in float32 or int8."
        )
