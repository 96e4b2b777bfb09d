"""One step of the multi-view pre-training, for PyTorch Lightning."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from alise_plugin.errors import AliseError
from training.models.alise import Alise, AliseConfig
from training.models.checkpoint import ModelFileError, load_alise, save_alise
from training.models.decoder import EmbeddingHead
from training.models.initial import begin_with_seasons
from training.models.unet import UNet, concentrate
from training.pretext.losses import (
    covariance_loss,
    cross_reconstruction_loss,
    invariance_loss,
    reconstruction_loss,
)
from training.pretext.normalise import MISSING_VALUE, normalise, normalise_target
from training.pretext.views import drop_bands, drop_dates, hide_gaps, interleaved_views

from .averaged import AveragedTraining, Batch
from .config import ConfigError, PretrainConfig


class DivergedError(AliseError):
    """The loss of a run is no number any more: nothing can be learned from there."""


class Pretraining(AveragedTraining[Alise]):
    """Cross-reconstruction and latent losses of two views (paper, section III-B).

    Attributes:
        model: the network that learns.
    """

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config)
        self.model = Alise(AliseConfig.from_dict(config.model))
        if config.init_from:
            self.model.load_state_dict(initial_weights(config.init_from, self.model.config))
        elif self.model.config.day_frequencies == "year":
            begin_with_seasons(self.model)
        if config.concentrate:
            assert isinstance(self.model.spatial, UNet)
            concentrate(self.model.spatial)
        if config.bfloat16:
            # Convolutions in that precision are fast only where a pixel's channels lie together.
            self.model.spatial.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.freeze_spatial or config.freeze_encoder:
            self.model.spatial.requires_grad_(False)
        if config.freeze_encoder:
            self.model.temporal.requires_grad_(False)
        self.head = EmbeddingHead(self.model.config.d_model, config.d_embedding)
        self.begin_average()
        self.validation_loss = MeanMetric()
        self.validation_mean_loss = MeanMetric()

    def on_train_start(self) -> None:
        """Keep the statistics of batch normalisation, where the configuration says so."""
        if self.config.keep_statistics:
            for layer in self.model.spatial.modules():
                if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def training_step(self, batch: Batch) -> Tensor:
        """Return loss of Eq. 2 on one batch."""
        image = normalise(batch["reflectance"])
        seen = drop_bands(image, self.config.drop_bands, MISSING_VALUE)
        observed = hide_gaps(
            batch["observed"], batch["days"], self.config.gaps, self.config.longest_gap
        )
        observed = drop_dates(observed, self.config.drop_dates)
        losses = self._losses(self.model, batch, seen, observed)
        total = (
            self.config.weight_reconstruction * losses["reconstruction"]
            + self.config.weight_invariance * losses["invariance"]
            + self.config.weight_covariance * losses["covariance"]
        )
        require_finite(total.item(), self.global_step)
        losses["loss"] = total.detach()
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, prog_bar=True)
        return total

    def validation_step(self, batch: Batch) -> None:
        """Measure the loss of the averaged weights, and of each series' own mean."""
        image = normalise(batch["reflectance"])
        losses = self._losses(self.kept_model, batch, image, batch["observed"])
        self.validation_loss(losses["reconstruction"])
        self.validation_mean_loss(losses["mean"])
        self.log("val/reconstruction", self.validation_loss, prog_bar=True)
        self.log("val/series_mean", self.validation_mean_loss)

    def learning(self) -> list[torch.nn.Parameter]:
        """Return the parameters of the network and of the embedding head."""
        return [*super().learning(), *self.head.parameters()]

    def save_model(self, path: Path, **facts: float) -> None:
        """Write the averaged weights, and facts of them, as a model file that `export` takes."""
        save_alise(path, self.kept_model, steps=int(self.global_step), **facts)

    def _losses(
        self, model: Alise, batch: Batch, image: Tensor, observed: Tensor
    ) -> dict[str, Tensor]:
        """Return every term of Eq. 2, and the loss of predicting each series' mean.

        Args:
            model: the network.
            batch: the batch.
            image: (B, T, 10, H, W) normalised, bands perhaps taken away, what is seen.
            observed: (B, T, H, W) bool, what of it is not hidden from the encoder.
        """
        places = interleaved_views(image.shape[1], self.config.window)
        # Both views in one batch: one pass through the network.
        views = torch.cat([image[:, place] for place in places])
        view_days = torch.cat([batch["days"][:, place] for place in places])
        view_observed = torch.cat([observed[:, place] for place in places])
        with self._spatial_precision(image.device), _gradients_of(model.spatial):
            features = model.encode_dates(views, view_observed)
        # Attention over few dates gains nothing from fewer digits.
        features = features.to(image.dtype)

        batch_size, _, _, height, width = image.shape
        picked = self._pick_pixels(batch_size, height * width, image.device)
        features = at_pixels(features, picked.repeat(2, 1))
        seen = at_pixels(view_observed[:, :, None], picked.repeat(2, 1))[..., 0]
        per_series = picked.shape[1]
        pixel_days = view_days.repeat_interleave(per_series, 0)
        with _gradients_of(model.temporal):
            aligned = model.temporal(features, pixel_days, seen)

        # View A is predicted from B's vectors and B from A's (Eq. 10).
        other_days = pixel_days.roll(batch_size * per_series, 0)
        predicted = model.decoder(aligned, other_days)
        truth = normalise_target(batch["reflectance"])
        known = batch["clear"][:, :, None] & batch["reflectance"].isfinite()
        linear_from = self.config.linear_from
        if "ground" in batch:
            # A simulator knows what lay below clouds: every date it saw can be asked for.
            truth = normalise_target(batch["ground"])
            known = batch["observed"][:, :, None].expand_as(truth)
            linear_from = math.inf
        targets, valid = (
            torch.cat([at_pixels(part[:, place], picked) for place in reversed(places)])
            for part in (truth, known)
        )
        half = batch_size * per_series
        usable = valid & seen.any(1)[:, None, None]
        reconstruction = cross_reconstruction_loss(
            reconstruction_loss(predicted[:half], targets[:half], usable[:half], linear_from),
            reconstruction_loss(predicted[half:], targets[half:], usable[half:], linear_from),
        )
        mean = (targets * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)
        in_both = (seen[:half].any(1) & seen[half:].any(1)).nonzero()[:, 0]
        both = torch.cat([aligned[:half][in_both], aligned[half:][in_both]])
        # Without a vector there is nothing to normalise in the head.
        embedded_a, embedded_b = (self.head(both) if len(both) else both.flatten(0, 1)).chunk(2)
        return {
            "reconstruction": reconstruction,
            "invariance": invariance_loss(embedded_a, embedded_b),
            "covariance": covariance_loss(embedded_a) + covariance_loss(embedded_b),
            "mean": reconstruction_loss(mean.expand_as(targets), targets, usable).detach(),
        }

    def _spatial_precision(self, device: torch.device) -> AbstractContextManager[object]:
        """bfloat16 for the U-Net where the configuration asks for it; a GPU's run has its own."""
        if not (self.config.bfloat16 and device.type == "cpu"):
            return nullcontext()
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def _pick_pixels(self, batch_size: int, pixels: int, device: torch.device) -> Tensor:
        """Return (B, K) places of the pixels that go on, others for each series."""
        count = min(pixels, self.config.pixels_per_patch)
        return torch.rand(batch_size, pixels, device=device).argsort(1)[:, :count]


def _gradients_of(part: torch.nn.Module) -> AbstractContextManager[object]:
    """Record gradients only where a part of the network learns: a frozen part then runs faster."""
    learns = any(weight.requires_grad for weight in part.parameters())
    return torch.set_grad_enabled(torch.is_grad_enabled() and learns)


def require_finite(loss: float, step: int) -> None:
    """Raise DivergedError where a loss is NaN or infinite, before such weights are kept."""
    if not math.isfinite(loss):
        raise DivergedError(
            f"The loss is {loss} after {step} steps: go on from an older checkpoint, or "
            "begin again, with a lower learning_rate."
        )


def initial_weights(path: str, config: AliseConfig) -> dict[str, Tensor]:
    """Return weights of the model file of another run.

    Raises:
        ConfigError: it is no such file, or its architecture is another.
    """
    try:
        trained, _ = load_alise(path)
    except ModelFileError as error:
        raise ConfigError(f"init_from: {error}") from error
    # Dropout holds no weights: it alone may differ.
    if replace(trained.config, dropout=config.dropout) != config:
        raise ConfigError(f"init_from: {path} holds another architecture than this run asks for")
    return trained.state_dict()


def at_pixels(maps: Tensor, picked: Tensor) -> Tensor:
    """Map (B, T, C, H, W) at picked pixels (B, K) to (B * K, T, C)."""
    flat = maps.flatten(3)
    index = picked[:, None, None].expand(-1, flat.shape[1], flat.shape[2], -1)
    return flat.gather(3, index).permute(0, 3, 1, 2).flatten(0, 1)
