"""Simulated worlds never trained on: cover, change between two years, leaf area."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from alise_plugin.model.encoder import Encoder
from training.simulation.covers import COVERS
from training.simulation.draws import Draws
from training.simulation.pixels import (
    FIRST_YEAR_DAY,
    YEAR,
    Options,
    ground_truth,
    observe,
)

from . import features, probe, report

# Far from every seed that training draws from.
SEED = 982_451_653
PIXELS = 1500
PAIRS = 400


def table(encoder: Encoder, figures: dict[str, object]) -> str:
    """Return measure 3 as Markdown."""
    ours = features.alise(encoder)
    rows: list[list[Any]] = []
    cover = cover_and_lai(ours)
    raw = cover_and_lai(features.gap_filled)
    change_ours, change_raw = change_auc(ours)
    rows.append(["cover, macro-F1, all labels", raw[0], cover[0]])
    rows.append(["cover, macro-F1, 10 a class", raw[1], cover[1]])
    rows.append(["mean leaf area of the year, R2", raw[2], cover[2]])
    rows.append(["change between two years, ROC AUC", change_raw, change_ours])
    figures["simulated"] = rows
    return (
        f"**3. Simulated worlds never trained on** ({PIXELS} pixels of one year; {PAIRS} pairs of "
        "years with other dates, weather and clouds, half of them another crop).\n\n"
        + report.table(["measure", "gap-filled raw series", "ALISE"], rows)
    )


def one_year(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of one calendar year on common dates: reflectance, days, cover and mean leaf area."""
    options = Options(change_share=0.0)
    draws = Draws(seed)
    first = FIRST_YEAR_DAY + 4 * YEAR
    days = torch.arange(first, first + 365, 8).floor()
    cover = draws.integers(0, len(COVERS), PIXELS)[:, None].expand(-1, 6)
    common = days.expand(PIXELS, -1)
    ground = ground_truth(draws, common, cover, options)
    held = torch.ones(common.shape, dtype=torch.bool)
    seen, clear = observe(draws, ground.reflectance, common, held, options)
    seen[~clear] = torch.nan
    return seen.numpy(), days.numpy(), cover[:, 0].numpy(), ground.lai.mean(1).numpy()


def cover_and_lai(method: features.Features) -> tuple[float, float, float]:
    """Macro-F1 of cover with all labels and with ten a class, and R2 of the mean leaf area."""
    train, test = one_year(SEED), one_year(SEED + 1)
    train_x, test_x = method(train[0], train[1]), method(test[0], test[1])
    return (
        probe.macro_f1(train_x, train[2], test_x, test[2]),
        probe.few_label_macro_f1(train_x, train[2], test_x, test[2], draws=5),
        probe.ridge_r2(train_x, train[3], test_x, test[3]),
    )


def change_auc(ours: features.Features) -> tuple[float, float]:
    """ROC AUC of the distance between two years (Eq. 12), ours and the gap-filled baseline's.

    The second year has other dates, another weather and other clouds; in half of the pairs the
    crop is another one.
    """
    annual = torch.tensor([i for i, cover in enumerate(COVERS) if cover.annual])
    draws = Draws(SEED + 2)
    before = annual[draws.integers(0, len(annual), PAIRS)]
    other = annual[draws.integers(0, len(annual), PAIRS)]
    changed = draws.chance(0.5, PAIRS) & (other != before)
    after = torch.where(changed, other, before)
    options = Options(change_share=0.0)
    vectors: list[tuple[np.ndarray, np.ndarray]] = []
    for year, cover in enumerate((before, after)):
        first = FIRST_YEAR_DAY + (4 + year) * YEAR
        days = (first + torch.arange(365.0)[3 * year :: 7 + year]).floor()
        common = days.expand(PAIRS, -1)
        # The same place in both years: climate and soil come from the same draws.
        place = Draws(SEED + 3)
        ground = ground_truth(place, common, cover[:, None].expand(-1, 6), options)
        held = torch.ones(common.shape, dtype=torch.bool)
        seen, clear = observe(Draws(SEED + 4 + year), ground.reflectance, common, held, options)
        seen[~clear] = torch.nan
        both = seen.numpy(), days.numpy()
        calendar = features.gap_filled(both[0], both[1] - first)[:, : 71 * 10]
        vectors.append((ours(*both), calendar))
    ours_distance, raw_distance = (((a - b) ** 2).mean(1) for a, b in zip(*vectors))
    truth = changed.numpy()
    return (
        float(roc_auc_score(truth, ours_distance)),
        float(roc_auc_score(truth, raw_distance)),
    )
