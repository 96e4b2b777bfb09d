"""U-BARN: the encoder without a temporal projector, and its shallow classifier.

Dumeur, Valero and Inglada, IEEE JSTARS 2024, with which the ALISE paper compares. Spatial encoder,
day encoding and transformer are those of ALISE; a series keeps its own dates.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .alise import AliseConfig, encode_dates
from .checkpoint import ModelFileError, filled, read_model_file, write_model_file
from .day_encoding import DayEncoding
from .initial import NOISE, PROJECTOR_GAIN, RESIDUAL_GAIN
from .transformer import Transformer, TransformerLayer, attendable
from .unet import Norms, UNet


class UBarn(nn.Module):
    """Spatial encoder of each date, transformer over the dates, linear decoder.

    Args:
        config: what it shares with ALISE; the options of the projector mean nothing here.
    """

    def __init__(self, config: AliseConfig) -> None:
        super().__init__()
        self.config = config
        norms = Norms(config.encoder_norm, config.decoder_norm, config.skip_norm, config.groups)
        self.spatial = UNet(
            config.bands,
            config.encoder_widths,
            config.decoder_widths,
            config.d_model,
            config.strided,
            norms,
        )
        self.day_encoding = DayEncoding(config.d_model, config.day_base, config.day_frequencies)
        self.transformer = Transformer(
            config.layers, config.d_model, config.heads, config.hidden, config.dropout
        )
        self.decoder = nn.Linear(config.d_model, config.bands)

    def forward(self, image: Tensor, days: Tensor, observed: Tensor) -> Tensor:
        """Return encoded dates of every pixel.

        Args:
            image: (B, T, bands, H, W) normalised, without NaN; H = W = 1 is the pixel mode.
            days: (B, T) days since 2014-03-03.
            observed: (B, T, H, W) bool, what attention may see.

        Returns:
            (B, T, d_model, H, W); without meaning where nothing was observed.
        """
        batch, _, _, height, width = image.shape
        features = self.encode_dates(image, observed)
        features = features.permute(0, 3, 4, 1, 2).flatten(0, 2)
        valid = observed.permute(0, 2, 3, 1).flatten(0, 2)
        encoded = self.temporal(features, days.repeat_interleave(height * width, dim=0), valid)
        return encoded.unflatten(0, (batch, height, width)).permute(0, 3, 4, 1, 2)

    def encode_dates(self, image: Tensor, observed: Tensor) -> Tensor:
        """Return spatial features of the dates that hold anything: see `alise.encode_dates`."""
        return encode_dates(self.spatial, image, observed)

    def temporal(self, features: Tensor, days: Tensor, valid: Tensor) -> Tensor:
        """Return transformer over the dates of pixels.

        Args:
            features: (P, T, d_model) of the spatial encoder.
            days: (P, T).
            valid: (P, T) bool; the others are not seen.

        Returns:
            (P, T, d_model).
        """
        encoded = torch.where(valid[..., None], features + self.day_encoding(days), 0.0)
        return self.transformer(encoded, attendable(valid))


class ShallowClassifier(nn.Module):
    """Attention whose query is the mean of the dates' queries, then one linear layer.

    The mean query passes a batch normalisation and a linear layer; the values are the encoded dates
    themselves, their features split over the heads. With 64 features and 19 classes it has the
    13.8 thousand parameters of Table II.

    Args:
        d_model: features of a date.
        classes: K.
        heads: of the attention.
    """

    def __init__(self, d_model: int, classes: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_model, d_model)
        self.mix = nn.Sequential(nn.BatchNorm1d(d_model), nn.Linear(d_model, d_model))
        self.key = nn.Linear(d_model, d_model)
        self.classes = nn.Linear(d_model, classes)
        for layer in (self.query, self.key):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (d_model // heads)))

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Map (P, T, d_model) and which dates count (P, T) to scores (P, classes)."""
        weight = valid[..., None].to(encoded.dtype)
        mean = (self.query(encoded) * weight).sum(1) / weight.sum(1).clamp(min=1)
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (self.mix(mean)[:, None], self.key(encoded), encoded)
        )
        pooled = F.scaled_dot_product_attention(query, key, value, attendable(valid))
        return self.classes(pooled.transpose(1, 2).flatten(1))


def save_ubarn(path: str | Path, model: UBarn, **facts: Any) -> None:
    """Write the weights of ``model``, its configuration and ``facts`` (plain numbers and texts)."""
    write_model_file(path, {"ubarn": asdict(model.config), "facts": facts}, model)


def load_ubarn(path: str | Path) -> tuple[UBarn, dict[str, Any]]:
    """Read what `save_ubarn` wrote: the model in evaluation mode, and the facts.

    Raises:
        ModelFileError: the file is something else.
    """
    content = read_model_file(path)
    if "ubarn" not in content:
        raise ModelFileError(f"{path} is not a model file of U-BARN but of ALISE: give another.")
    return filled(UBarn, content["ubarn"], content["state"], path), content["facts"]


@torch.no_grad()
def begin_with_neighbours(model: UBarn) -> None:
    """Set the attention of the first layer to look at dates of the same time of the year.

    As `begin_with_seasons` does for ALISE, and for the same reason: with the usual random weights
    every date sees the mean of all, and training rests there. Everything stays free to be learned.

    Raises:
        ValueError: the model's day encoding has no harmonics of the year.
    """
    if model.config.day_frequencies != "year":
        raise ValueError('a model whose day_frequencies are not "year" knows no seasons')
    for layer in model.transformer.layers:
        assert isinstance(layer, TransformerLayer)
        layer.linear2.weight.mul_(RESIDUAL_GAIN)
    first = model.transformer.layers[0]
    assert isinstance(first, TransformerLayer)
    width = model.config.d_model // model.config.heads
    for projection in (first.query, first.key):
        projection.weight.normal_(std=NOISE)
        for head in range(model.config.heads):
            rows = slice(head * width, (head + 1) * width)
            projection.weight[rows, :width] += PROJECTOR_GAIN * torch.eye(width)
    for projection in (first.value, first.out):
        projection.weight.normal_(std=NOISE)
        projection.weight += torch.eye(model.config.d_model)
    model.decoder.weight.zero_()
    model.decoder.bias.zero_()
