"""The optimiser of a pre-training and how its learning rate goes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LinearLR, SequentialLR

from .config import PretrainConfig


def optimiser(
    parameters: Iterable[nn.Parameter], config: PretrainConfig
) -> OptimizerLRSchedulerConfig:
    """Return adam or AdamW, warm-up, then cosine annealing with warm restarts (section III-C).

    Args:
        parameters: what learns.
        config: of the run.
    """
    rate, schedule = config.learning_rate, config.schedule
    chosen: torch.optim.Optimizer = (
        torch.optim.AdamW(parameters, rate, weight_decay=config.weight_decay)
        if config.optimizer == "adamw"
        else torch.optim.Adam(parameters, rate)
    )
    steps = max(1, schedule.warmup)
    warmup = LinearLR(chosen, start_factor=0.01, total_iters=steps)
    cosine = CosineAnnealingWarmRestarts(
        chosen, T_0=schedule.first_cycle, T_mult=schedule.growth, eta_min=schedule.floor * rate
    )
    both = SequentialLR(chosen, [warmup, cosine], milestones=[steps])
    return {"optimizer": chosen, "lr_scheduler": {"scheduler": both, "interval": "step"}}
