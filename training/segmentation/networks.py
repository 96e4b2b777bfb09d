"""What answers for a labelled pixel: one linear layer, alone or behind an encoder that learns."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from training.models.alise import Alise
from training.models.checkpoint import load_alise, read_model_file, save_alise
from training.models.ubarn import ShallowClassifier, UBarn, load_ubarn, save_ubarn


class AliseSegmenter(nn.Module):
    """ALISE and a linear layer on the features of each pixel (section IV-B1, Figure 5).

    Args:
        alise: its encoder learns along with the layer.
        classes: K.
    """

    def __init__(self, alise: Alise, classes: int) -> None:
        super().__init__()
        self.alise = alise
        # Pre-training alone needs it.
        self.alise.decoder.requires_grad_(False)
        self.head = linear_head(alise.config.n_queries * alise.config.d_model, classes)

    def forward(self, image: Tensor, days: Tensor, observed: Tensor, labelled: Tensor) -> Tensor:
        """Scores (P, K) of the pixels that `labelled` (B, H, W) names; the rest as `Alise`."""
        aligned = self.alise(image, days, observed).flatten(1, 2)
        return self.head(aligned.permute(0, 2, 3, 1)[labelled])


class UBarnSegmenter(nn.Module):
    """U-BARN and its shallow classifier.

    Args:
        ubarn: the encoder.
        classes: K.
        frozen: the encoder does not learn (U-BARN^FR).
    """

    def __init__(self, ubarn: UBarn, classes: int, frozen: bool = False) -> None:
        super().__init__()
        self.ubarn = ubarn.requires_grad_(not frozen)
        self.ubarn.decoder.requires_grad_(False)
        self.frozen = frozen
        self.head = ShallowClassifier(ubarn.config.d_model, classes, ubarn.config.heads)

    def train(self, mode: bool = True) -> UBarnSegmenter:
        """Return a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.ubarn.eval()
        return self

    def forward(self, image: Tensor, days: Tensor, observed: Tensor, labelled: Tensor) -> Tensor:
        """Scores (P, K) of the pixels that `labelled` (B, H, W) names; the rest as `UBarn`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            encoded = self.ubarn(image, days, observed)
        seen = observed.permute(0, 2, 3, 1)[labelled]
        return self.head(encoded.permute(0, 3, 4, 1, 2)[labelled], seen)


def linear_head(features: int, classes: int) -> nn.Linear:
    """Return the single linear layer of the paper."""
    return nn.Linear(features, classes)


def segmenter(encoder: Alise | UBarn, classes: int) -> nn.Module:
    """Return the network of an encoder that learns along."""
    if isinstance(encoder, UBarn):
        return UBarnSegmenter(encoder, classes)
    return AliseSegmenter(encoder, classes)


def load_encoder(path: Path) -> Alise | UBarn:
    """Return a pre-trained encoder, of either kind.

    Raises:
        ModelFileError: the file is none.
    """
    return load_ubarn(path)[0] if "ubarn" in read_model_file(path) else load_alise(path)[0]


def save_encoder(folder: Path | None, number: int, network: nn.Module) -> None:
    """Write the encoder of an experiment as `encoder_<number>.pt`, which `export` takes.

    Args:
        folder: made if it is not there; nothing is written without one.
        number: of the experiment.
        network: of `segmenter`.
    """
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"encoder_{number}.pt"
    if isinstance(network, AliseSegmenter):
        save_alise(path, network.alise, experiment=number)
    elif isinstance(network, UBarnSegmenter):
        save_ubarn(path, network.ubarn, experiment=number)


def trainable(network: nn.Module) -> int:
    """Return parameters that learn."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
