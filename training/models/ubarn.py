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
from .day_encoding import DayEncoding
from .transformer import Transformer, attendable
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
        """Encoded dates of every pixel.

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
        """Spatial features of the dates that hold anything: see `alise.encode_dates`."""
        return encode_dates(self.spatial, image, observed)

    def temporal(self, features: Tensor, days: Tensor, valid: Tensor) -> Tensor:
        """Transformer over the dates of pixels.

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
        """(P, T, d_model) and which dates count (P, T) -> scores (P, classes)."""
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
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    content = {"model": "ubarn", "config": asdict(model.config), "state": state, "facts": facts}
    torch.save(content, path)


def load_ubarn(path: str | Path) -> tuple[UBarn, dict[str, Any]]:
    """Read what `save_ubarn` wrote: the model in evaluation mode, and the facts.

    Raises:
        ValueError: the file is something else.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or content.get("model") != "ubarn":
        raise ValueError(f"{path} is not a model of save_ubarn")
    model = UBarn(AliseConfig.from_dict(content["config"]))
    model.load_state_dict(content["state"])
    return model.eval(), content["facts"]
