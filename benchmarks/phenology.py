"""How exactly seasons are dated in simulated worlds, and which observations are told apart.

    python -m benchmarks.phenology [--pixels N] [--model FOLDER]

Places that the bundled model has not trained on are watched for a year and a half, a date every 5,
10 or 15 days, under the simulator's clouds. The truth is the NDVI of the ground on every day, a
moving mean of 15 days; seasons of truth and of curves are found by the same code
(`alise_plugin/mapping/curves/seasons.py`). Linear interpolation and the Whittaker smoother get the
dates that the simulator's cloud mask, which makes mistakes, calls clear; the smoother has the
strength that is best for it in the very worlds it is judged by. The decoded curve gets all dates
and no mask. A last table tells which observations are called unlike the curve. Some minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from alise_plugin.mapping.curves.indices import SpectralIndex
from alise_plugin.mapping.curves.pixel_curves import UNLIKE, departure
from alise_plugin.mapping.curves.seasons import STEP, SeasonRules, find_seasons
from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.package import BUNDLED_MODEL
from alise_plugin.model.spatial_features import Period
from alise_plugin.model.year_around import by_year_around
from alise_plugin.sentinel2 import BANDS
from training.evaluation import report
from training.evaluation.features import PATCH
from training.simulation.draws import Draws
from training.simulation.pixels import (
    FIRST_YEAR_DAY,
    YEAR,
    Options,
    draw_covers,
    ground_truth,
    observe,
)
from training.simulation.views import as_seen, draw_passes

INTERVALS = (5, 10, 15)  # days from one date to the next
LENGTH = 548  # days of a series
STRENGTHS = (0.3, 1, 3, 10, 30, 100)  # of the Whittaker smoother, in steps of 5 days
MEAN_DAYS = 15  # of the moving mean that is the truth
MATCH = 60  # days between two peaks that are of one season
AMPLITUDE = 0.2  # of a season that counts
NDVI = SpectralIndex("NDVI")


@dataclass(frozen=True)
class World:
    """Places on every day, and as they were watched on some.

    Attributes:
        truth: `(days, P)` NDVI of the ground.
        days: `(T,)` of the dates.
        seen: `(T, P, 10)` reflectance.
        clear: `(T, P)` what the cloud mask calls clear.
        ground: `(T, P, 10)` reflectance of the ground.
        first: day of the first value of `truth`.
    """

    truth: np.ndarray
    days: np.ndarray
    seen: np.ndarray
    clear: np.ndarray
    ground: np.ndarray
    first: int


def simulate(pixels: int, interval: int, seed: int) -> World:
    """Return places that begin with the January of one year."""
    options, draws = Options(longest=LENGTH + 30), Draws(seed)
    first = round(FIRST_YEAR_DAY + 4 * YEAR)
    every_day = Tensor(np.arange(LENGTH)).float().add(first).expand(pixels, -1)
    cover = draw_covers(draws, pixels, options.seasons)
    ground = ground_truth(draws, every_day, cover, options)
    some = slice(2, None, interval)
    days = every_day[:, some]
    held = days > 0
    seen = as_seen(ground.reflectance[:, some], ground.lai[:, some], draw_passes(draws, days))
    reflectance, clear = observe(draws, seen, days, held, options)
    ndvi = NDVI(ground.below_snow.numpy()).T
    pad = MEAN_DAYS // 2
    padded = np.pad(ndvi, [(pad, pad), (0, 0)], mode="edge")
    mean = np.lib.stride_tricks.sliding_window_view(padded, MEAN_DAYS, 0).mean(-1)
    below = ground.below_snow[:, some].numpy().swapaxes(0, 1)
    return World(
        mean.astype(np.float32),
        days[0].numpy(),
        reflectance.numpy().swapaxes(0, 1),
        clear.numpy().T,
        below,
        first,
    )


def decoded(world: World, encoder: Encoder, days: np.ndarray) -> np.ndarray:
    """Return `(N, P, 10)` reflectance that the model expects of all dates, without a mask.

    As the plugin does: each day from the dates of the year around it. A pixel is encoded as a
    patch of its own kind.
    """
    out = np.empty((len(days), world.seen.shape[1], len(BANDS)), np.float32)
    groups = by_year_around(world.days, days)
    periods = [Period(near, world.days[near]) for near, _ in groups]
    middle = (slice(PATCH // 2, PATCH // 2 + 1),) * 2
    for pixel in range(out.shape[1]):
        series = world.seen[:, pixel, :, None, None]
        patches = np.broadcast_to(series, (*series.shape[:2], PATCH, PATCH))
        embeddings = encoder.encode_periods(patches, len(world.days), periods, crop=middle)
        for embedding, (_, shown) in zip(embeddings, groups):
            out[shown, pixel] = encoder.decode(embedding, days[shown])[..., 0, 0]
    return out


def linear(values: np.ndarray, clear: np.ndarray, at: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return `(N, P)` linear interpolation between clear dates."""
    out = np.full((len(to), values.shape[1]), np.nan, np.float32)
    for pixel, kept in enumerate(clear.T):
        if kept.any():
            out[:, pixel] = np.interp(to, at[kept], values[kept, pixel])
    return out


def whittaker(
    values: np.ndarray, clear: np.ndarray, at: np.ndarray, to: np.ndarray, strength: float
) -> np.ndarray:
    """Return `(N, P)` smooth curves through clear dates (Eilers 2003, second differences)."""
    bends = np.diff(np.eye(len(to)), 2, axis=0)
    penalty = strength * bends.T @ bends
    place = np.clip(np.rint((at - to[0]) / STEP).astype(int), 0, len(to) - 1)
    out = np.full((len(to), values.shape[1]), np.nan, np.float32)
    for pixel, kept in enumerate(clear.T):
        if kept.sum() < 3:
            continue
        weight = np.bincount(place[kept], minlength=len(to)).astype(float)
        total = np.bincount(place[kept], values[kept, pixel], len(to))
        out[:, pixel] = np.linalg.solve(np.diag(weight) + penalty, total)
    return out


def errors(curve: np.ndarray, truth: np.ndarray, days: np.ndarray) -> list[float]:
    """Return median errors of start, peak and end in days, and the share of seasons missed."""
    rules = SeasonRules(days[0], days[-1])
    found, true = find_seasons(curve, days, rules), find_seasons(truth, days, rules)
    missed = count = 0
    misses: list[np.ndarray] = []
    for season in true:
        for pixel in np.flatnonzero(season[4] >= AMPLITUDE):
            count += 1
            apart = np.abs(found[:, 1, pixel] - season[1, pixel])
            if not np.isfinite(apart).any() or np.nanmin(apart) > MATCH:
                missed += 1
                continue
            misses.append(np.abs(found[np.nanargmin(apart), :3, pixel] - season[:3, pixel]))
    return [*np.nanmedian(np.stack(misses), 0).tolist(), 100 * missed / count]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--pixels", type=int, default=400)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    encoder = load_encoder(args.model, device="cpu", threads=args.threads)
    rows: list[list[str | float]] = []
    states: list[list[str | float]] = []
    for interval in INTERVALS:
        world = simulate(args.pixels, interval, 7_000 + interval)
        first = -(-world.first // STEP) * STEP
        days = np.arange(first, world.first + LENGTH, STEP, dtype=np.float32)
        truth = world.truth[(days - world.first).astype(int)]
        values = NDVI(world.seen)
        clear = world.clear & np.isfinite(values)
        both = decoded(world, encoder, np.concatenate([days, world.days]))
        smooth = {
            strength: errors(whittaker(values, clear, world.days, days, strength), truth, days)
            for strength in STRENGTHS
        }
        best = min(smooth, key=lambda strength: smooth[strength][0] + smooth[strength][2])
        for name, told in (
            ("decoded, no mask", errors(NDVI(both[: len(days)]), truth, days)),
            ("linear, cloud mask", errors(linear(values, clear, world.days, days), truth, days)),
            (f"Whittaker ({best}), cloud mask", smooth[best]),
        ):
            rows.append([f"{interval} d", name, *told])
        states.append([f"{interval} d", *told_apart(world, both[len(days) :])])
    print(report.table(["a date every", "curve", "start", "peak", "end", "missed, %"], rows))
    print(
        report.table(
            ["a date every", "covered, called unlike, %", "clear, called unlike, %"], states
        )
    )


def told_apart(world: World, expected: np.ndarray) -> list[float]:
    """Return shares of the observations that are called unlike: covered ones, and clear ones.

    An observation is covered if a band is off the ground by more than 0.08, clear within 0.04.
    """
    off = np.abs(world.seen - world.ground).max(-1)
    unlike = departure(world.seen, expected) > UNLIKE
    return [100 * float(unlike[off > 0.08].mean()), 100 * float(unlike[off < 0.04].mean())]


if __name__ == "__main__":
    main()
