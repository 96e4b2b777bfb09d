"""One step of distillation: a small encoder learns to give the vectors of a trained one.

Both see the same series, dates and bands taken away. The loss is the squared error of the features
of all aligned vectors, each over its variance, so that none rules because it is large.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from training.models.alise import Alise, AliseConfig
from training.models.checkpoint import ModelFileError, load_alise, save_alise
from training.models.initial import begin_with_seasons
from training.pretext.normalise import MISSING_VALUE, normalise
from training.pretext.views import drop_bands, drop_dates, hide_gaps

from .averaged import AveragedTraining, Batch
from .config import ConfigError, PretrainConfig
from .module import at_pixels, initial_weights, require_finite

# No feature counts more than this share of the mean variance allows.
LEAST_VARIANCE = 0.01


class Distillation(AveragedTraining[Alise]):
    """A student learns the aligned vectors of a teacher and takes over its decoder.

    Of the configuration, what concerns views and latent losses means nothing here.

    Attributes:
        model: the student.
        teacher: the trained network.
        variance: (n_queries, d_model) of the teacher's features, over the validation series.
    """

    variance: Tensor

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config)
        assert config.teacher is not None
        try:
            self.teacher = load_alise(config.teacher)[0].requires_grad_(False)
        except ModelFileError as error:
            raise ConfigError(f"teacher: {error}") from error
        self.model = Alise(AliseConfig.from_dict(config.model))
        ours, theirs = self.model.config, self.teacher.config
        if (ours.n_queries, ours.d_model) != (theirs.n_queries, theirs.d_model):
            raise ConfigError(
                f"teacher: {config.teacher} has {theirs.n_queries} vectors of {theirs.d_model} "
                f"features, the model {ours.n_queries} of {ours.d_model}; write the same."
            )
        if config.init_from:
            self.model.load_state_dict(initial_weights(config.init_from, ours))
        elif ours.day_frequencies == "year":
            begin_with_seasons(self.model)
        self.model.decoder.load_state_dict(self.teacher.decoder.state_dict())
        self.model.decoder.requires_grad_(False)
        self.begin_average()
        self.register_buffer("variance", torch.ones(ours.n_queries, ours.d_model))
        self.validation_loss = MeanMetric()

    @torch.no_grad()
    def measure(self, batches: list[Batch]) -> None:
        """Take the variance of the teacher's features over some batches."""
        vectors = []
        for batch in batches:
            features, days, seen = self._pixels(
                self.teacher, normalise(batch["reflectance"]), batch["days"], batch["observed"]
            )
            vectors.append(self.teacher.temporal(features, days, seen)[seen.any(1)])
        variance = torch.cat(vectors).var(0)
        self.variance.copy_(variance.clamp(min=LEAST_VARIANCE * float(variance.mean())))

    def train(self, mode: bool = True) -> Distillation:
        """Leave the teacher in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss on one batch, dates and bands taken away."""
        image = normalise(batch["reflectance"])
        image = drop_bands(image, self.config.drop_bands, MISSING_VALUE)
        observed = hide_gaps(
            batch["observed"], batch["days"], self.config.gaps, self.config.longest_gap
        )
        observed = drop_dates(observed, self.config.drop_dates)
        loss = self._loss(self.model, image, batch["days"], observed)
        require_finite(loss.item(), self.global_step)
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Measure the same of the averaged weights, on everything that was observed."""
        image = normalise(batch["reflectance"])
        loss = self._loss(self.kept_model, image, batch["days"], batch["observed"])
        self.validation_loss(loss)
        # The name by which the best model of a run is chosen.
        self.log("val/reconstruction", self.validation_loss, prog_bar=True)

    def save_model(self, path: Path, **facts: float) -> None:
        """Write the averaged weights, and facts of them, as a model file that `export` takes."""
        save_alise(path, self.kept_model, steps=int(self.global_step), **facts)

    def _loss(self, model: Alise, image: Tensor, days: Tensor, observed: Tensor) -> Tensor:
        generator = torch.get_rng_state()
        found = []
        for network in (self.teacher, model):
            # Both look at the same pixels of a patch.
            torch.set_rng_state(generator)
            with torch.set_grad_enabled(torch.is_grad_enabled() and network is not self.teacher):
                features, pixel_days, seen = self._pixels(network, image, days, observed)
                found.append(network.temporal(features, pixel_days, seen)[seen.any(1)])
        wanted, got = found
        if not len(got):
            return got.sum()
        return ((got - wanted) ** 2 / self.variance).mean()

    def _pixels(
        self, network: Alise, image: Tensor, days: Tensor, observed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (P, T, d), days (P, T) and validity (P, T) of some pixels of a batch."""
        batch, _, _, height, width = image.shape
        count = min(height * width, self.config.pixels_per_patch)
        picked = torch.rand(batch, height * width, device=image.device).argsort(1)[:, :count]
        features = at_pixels(network.encode_dates(image, observed), picked)
        seen = at_pixels(observed[:, :, None], picked)[..., 0]
        return features, days.repeat_interleave(count, 0), seen
