"""One step of U-BARN's pre-training, for PyTorch Lightning."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from training.models.alise import AliseConfig
from training.models.ubarn import UBarn, begin_with_neighbours, save_ubarn
from training.pretext.losses import reconstruction_loss
from training.pretext.normalise import MISSING_VALUE, normalise
from training.pretext.ubarn import corrupted_dates, permuted
from training.pretext.views import drop_bands

from .averaged import AveragedTraining, Batch
from .config import PretrainConfig
from .module import at_pixels, require_finite


class MaskedPretraining(AveragedTraining[UBarn]):
    """U-BARN learns to recover corrupted dates from the others.

    Of the configuration, what concerns views, latent losses and dropped dates means nothing here.

    Attributes:
        model: the network that learns.
    """

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config)
        self.model = UBarn(AliseConfig.from_dict(config.model))
        if self.model.config.day_frequencies == "year":
            begin_with_neighbours(self.model)
        self.begin_average()
        self.validation_loss = MeanMetric()
        self.validation_mean_loss = MeanMetric()

    def training_step(self, batch: Batch) -> Tensor:
        """Return squared error of the corrupted dates of one batch."""
        image = normalise(batch["reflectance"])
        seen = drop_bands(image, self.config.drop_bands, MISSING_VALUE)
        loss, mean = self._losses(self.model, batch, image, seen)
        require_finite(loss.item(), self.global_step)
        self.log_dict({"train/loss": loss.detach(), "train/mean": mean}, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Measure the same of the averaged weights, and of each series' own mean."""
        image = normalise(batch["reflectance"])
        loss, mean = self._losses(self.kept_model, batch, image, image)
        self.validation_loss(loss)
        self.validation_mean_loss(mean)
        self.log("val/reconstruction", self.validation_loss, prog_bar=True)
        self.log("val/series_mean", self.validation_mean_loss)

    def save_model(self, path: Path, **facts: float) -> None:
        """Write the averaged weights, and facts of them, as a model file."""
        save_ubarn(path, self.kept_model, steps=int(self.global_step), **facts)

    def _losses(
        self, model: UBarn, batch: Batch, truth: Tensor, image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return loss on the corrupted dates, and that of predicting the mean of the others.

        Args:
            model: the network.
            batch: the batch.
            truth: (B, T, 10, H, W) normalised, what is to be predicted.
            image: the same, bands perhaps taken away, what is seen.
        """
        observed = batch["observed"]
        known = batch["clear"][:, :, None] & batch["reflectance"].isfinite()
        if "ground" in batch:
            # A simulator knows what lay below clouds: every date it saw can be asked for.
            truth = normalise(batch["ground"])
            known = observed[:, :, None].expand_as(truth)
        corrupted = corrupted_dates(observed.flatten(2).any(2), self.config.masking_rate)
        features = model.encode_dates(image, observed)
        pixels = features.shape[-2] * features.shape[-1]
        count = min(pixels, self.config.pixels_per_patch)
        picked = torch.rand(len(features), pixels, device=features.device).argsort(1)[:, :count]
        features, target, valid = (at_pixels(x, picked) for x in (features, truth, known))
        seen = at_pixels(observed[:, :, None], picked)[..., 0]
        days, hidden = (x.repeat_interleave(count, 0) for x in (batch["days"], corrupted))
        hidden = hidden & seen
        predicted = model.decoder(model.temporal(permuted(features, hidden), days, seen))
        asked = valid & hidden[..., None]
        left = valid & ~hidden[..., None]
        mean = (target * left).sum(1, keepdim=True) / left.sum(1, keepdim=True).clamp(min=1)
        return (
            reconstruction_loss(predicted, target, asked),
            reconstruction_loss(mean.expand_as(target), target, asked).detach(),
        )
