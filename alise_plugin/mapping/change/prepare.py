"""Everything that Detect change checks and says before it reads a pixel."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import AliseError, SeriesError
from ...feedback import Feedback
from ...model.distance import CosineDistance, SquaredDistance, compact_cosine
from ...model.encoder import Encoder
from ...sits.grid import Window
from ...sits.series import ImageSeries
from ..features.embedding_raster import EmbeddingRaster
from ..features.source import FeatureSource
from .gapfilled import GapFilledPair
from .pairs import Pair, RasterPair, SeriesPair, names_of, require_overlap
from .periods import common_season, whole_years
from .threshold import ThresholdRule

METHODS = ("cosine", "alise", "gapfilled")


ALIGNMENTS = ("none", "years", "shift", "both")


UNITS = {
    "cosine": "1 - cosine of the angle between two embeddings, no unit",
    "alise": "mean squared difference of two embeddings (paper, Eq. 12), no unit",
    "gapfilled": "mean squared difference of reflectance (1.0 = 100 %)",
}


LEAST_COMMON = 2 / 3  # of the longer year in both, or the user is told


def check_options(
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


def make_pair(
    before: FeatureSource,
    after: FeatureSource,
    encoder: Encoder | None,
    method: str,
    align: str,
) -> Pair:
    """Return the two inputs as a pair that yields vectors window by window."""
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


def common_window(
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


def describe_inputs(
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
    """Write to the log what is compared, and warn of what makes it doubtful."""
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


def change_metadata(
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
