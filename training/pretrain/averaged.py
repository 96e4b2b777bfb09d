"""What every pre-training does around its own loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .config import PretrainConfig
from .optimise import optimiser
from .stream import mixed_seed

Batch = dict[str, Tensor]
Tensors = tuple[Tensor, ...] | list[Tensor]
Network = TypeVar("Network", bound=nn.Module)


class AveragedTraining(lightning.LightningModule, Generic[Network]):
    """Draws by step, so that a resumed run goes on alike, and averages the weights.

    Attributes:
        config: of the run.
        model: the network that learns.
        averaged: exponential moving average of its weights, validated and kept.
    """

    model: Network

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config

    def begin_average(self) -> None:
        """Take the first weights of the network as the average."""
        self.averaged = AveragedModel(
            self.model, multi_avg_fn=moving_average(self.config.ema), use_buffers=True
        ).requires_grad_(False)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw what is hidden, and dropout, from the step: a resumed run draws the same."""
        torch.manual_seed(mixed_seed(self.config.seed, self.global_rank, self.global_step))

    def on_validation_batch_start(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Hide the same dates, and draw the same pixels of a patch, at every validation."""
        torch.manual_seed(batch_idx)

    def on_train_batch_end(self, *_: object) -> None:
        """Follow the weights with their moving average."""
        self.averaged.update_parameters(self.model)

    @property
    def kept_model(self) -> Network:
        """Return the network with the averaged weights."""
        model = self.averaged.module
        assert isinstance(model, type(self.model))
        return model

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser of the configuration, over all that learns."""
        return optimiser(self.learning(), self.config)

    def learning(self) -> list[nn.Parameter]:
        """Return the parameters that the optimiser moves."""
        return list(self.model.parameters())


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Update of an `AveragedModel`: an exponential average that does not hold on to the start.

    The decay grows to its value as (1 + n) / (10 + n) with the number n of updates; a constant one
    would keep the untrained weights in the average for some 1 / (1 - decay) steps.

    Args:
        decay: of the weights of the step before, in [0, 1).
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, updates: Tensor | int) -> None:
        kept = min(decay, (1 + int(updates)) / (10 + int(updates)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), 1 - kept)
            else:
                mean.copy_(value)

    return update
