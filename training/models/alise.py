"""ALISE: aligned representations of irregular series (arXiv 2407.08448, section III-A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from .additive import AdditiveEncoder, TokenNetwork
from .day_encoding import DayEncoding, Frequencies
from .decoder import Decoder
from .temporal_projector import TemporalProjector
from .transformer import Transformer, attendable
from .unet import NormName, Norms, UNet, receptive_radius


@dataclass(frozen=True)
class AliseConfig:
    """Every choice of architecture; the defaults are those of the bundled model.

    Attributes:
        bands: bands of an acquisition.
        encoder_widths: channels of the U-Net on the way down, finest first.
        decoder_widths: channels of the U-Net on the way up, finest first.
        strided: kernel, stride, padding of its strided and transposed convolutions.
        encoder_norm: "batch" or "group", on the way down.
        decoder_norm: the same, on the way up.
        skip_norm: the same, in the 1x1 skips.
        groups: groups of a group normalisation.
        d_model: features of a date and of an aligned vector.
        layers: transformer layers.
        heads: attention heads of each.
        hidden: width inside their feed-forward network.
        dropout: dropout of the transformer.
        day_base: T of the day encoding.
        day_frequencies: "geometric" as in the paper, or "year" (see `DayEncoding`).
        n_queries: aligned vectors of a pixel.
        projector_heads: attention heads of the temporal projector.
        d_key: width of its keys, for one head.
        additive: whether acquisitions become tokens by themselves and add up (`additive.py`). The
            U-Net's options then mean nothing, and `layers` work on the aligned vectors.
        token_hidden: width inside the token network of an additive model.
    """

    bands: int = 10
    encoder_widths: tuple[int, ...] = (64, 64, 64, 128)
    decoder_widths: tuple[int, ...] = (32, 32, 64, 128)
    strided: tuple[int, int, int] = (2, 2, 0)
    encoder_norm: NormName = "batch"
    decoder_norm: NormName = "batch"
    skip_norm: NormName = "batch"
    groups: int = 4
    d_model: int = 64
    layers: int = 3
    heads: int = 4
    hidden: int = 128
    dropout: float = 0.1
    day_base: float = 1000.0
    day_frequencies: Frequencies = "year"
    n_queries: int = 10
    projector_heads: int = 2
    d_key: int = 16
    additive: bool = False
    token_hidden: int = 256

    def __post_init__(self) -> None:
        sizes = ("bands", "groups", "d_model", "layers", "heads", "hidden", "n_queries", "d_key")
        for name in (*sizes, "projector_heads", "token_hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; write 1 or more")
        kernel, stride, padding = self.strided
        if kernel - 2 * padding != stride:
            raise ValueError(
                f"strided {self.strided}: a kernel less twice the padding must be the stride, or "
                "images come back in another size"
            )

    @property
    def stride(self) -> int:
        """Return height and width of an image must be multiples of this."""
        if self.additive:
            return 1
        return int(self.strided[1] ** (len(self.encoder_widths) - 1))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AliseConfig:
        """From a YAML or checkpoint mapping; ``preset`` names the start, other keys change it.

        Raises:
            ValueError: unknown preset or key.
        """
        values = dict(values)
        preset = values.pop("preset", "bundled")
        if preset not in PRESETS:
            raise ValueError(f"preset {preset!r} is unknown; choose one of {sorted(PRESETS)}")
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown model options {sorted(unknown)}")
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return replace(PRESETS[preset], **{**values, **lists})


# The columns of the table of published configurations, and the model of this project. What the
# authors count as the model's parameters is the encoder: U-Net, transformer, temporal projector;
# neither the decoder nor the embedding head (see Alise.encoder_parameters).
PRESETS = {
    "bundled": AliseConfig(),
    "alise": AliseConfig(strided=(4, 2, 1), encoder_norm="group", day_frequencies="geometric"),
    "malice": AliseConfig(day_base=10000.0, day_frequencies="geometric", d_key=64),
    "alise_minimal": AliseConfig(
        strided=(4, 2, 1),
        encoder_norm="group",
        decoder_norm="group",
        skip_norm="group",
        layers=2,
        day_base=3000.0,
        day_frequencies="geometric",
        projector_heads=4,
        d_key=32,
    ),
    "additive": AliseConfig(additive=True, layers=2, dropout=0.0),
}


def receptive_halo(config: AliseConfig, multiple: int = 8) -> int:
    """Pixels that a tile needs around it so that its inside does not depend on where it was cut.

    Args:
        config: the architecture.
        multiple: the halo is rounded up to a multiple of this.

    Raises:
        ValueError: with group normalisation, which makes every pixel depend on the whole tile.
    """
    if config.additive:
        return 0
    if "group" in (config.encoder_norm, config.decoder_norm, config.skip_norm):
        raise ValueError("a model with group normalisation has no halo: it sees the whole tile")
    radius = receptive_radius(len(config.encoder_widths) - 1, config.strided)
    return -(-radius // multiple) * multiple


class TemporalEncoder(nn.Module):
    """Dates of a pixel to aligned vectors: day encoding, transformer, projector."""

    def __init__(self, config: AliseConfig, day_encoding: DayEncoding) -> None:
        super().__init__()
        self.day_encoding = day_encoding
        self.transformer = Transformer(
            config.layers, config.d_model, config.heads, config.hidden, config.dropout
        )
        self.projector = TemporalProjector(
            config.d_model, config.n_queries, config.projector_heads, config.d_key
        )

    def forward(self, features: Tensor, days: Tensor, valid: Tensor) -> Tensor:
        """Return eq. 1.

        Args:
            features: (P, T, d_model) of the spatial encoder.
            days: (T,) or (P, T) days since 2014-03-03.
            valid: (P, T) bool; the others are not seen.

        Returns:
            (P, n_queries, d_model); finite but meaningless where no date is valid.
        """
        mask = attendable(valid)
        # A place without a value may hold anything, NaN too: it must not reach the others.
        encoded = torch.where(valid[..., None], features + self.day_encoding(days), 0.0)
        return self.projector(self.transformer(encoded, mask), mask)


def additive_encoder(config: AliseConfig, day_encoding: DayEncoding) -> AdditiveEncoder:
    """Return the temporal part of an additive model."""
    return AdditiveEncoder(
        config.d_model,
        TemporalProjector(config.d_model, config.n_queries, config.projector_heads, config.d_key),
        Transformer(config.layers, config.d_model, config.heads, config.hidden, config.dropout),
        day_encoding,
    )


class Alise(nn.Module):
    """Spatial encoder, temporal encoder and pre-training decoder."""

    spatial: UNet | TokenNetwork
    temporal: TemporalEncoder | AdditiveEncoder

    def __init__(self, config: AliseConfig) -> None:
        super().__init__()
        self.config = config
        day_encoding = DayEncoding(config.d_model, config.day_base, config.day_frequencies)
        if config.additive:
            self.spatial = TokenNetwork(config.bands, config.token_hidden, config.d_model)
            self.temporal = additive_encoder(config, day_encoding)
        else:
            norms = Norms(config.encoder_norm, config.decoder_norm, config.skip_norm, config.groups)
            self.spatial = UNet(
                config.bands,
                config.encoder_widths,
                config.decoder_widths,
                config.d_model,
                config.strided,
                norms,
            )
            self.temporal = TemporalEncoder(config, day_encoding)
        self.decoder = Decoder(config.d_model, config.bands, day_encoding)

    def encoder_parameters(self) -> int:
        """Return parameters of the encoder, the figure that the publications state."""
        parts = (self.spatial, self.temporal)
        return sum(p.numel() for part in parts for p in part.parameters())

    def forward(self, image: Tensor, days: Tensor, observed: Tensor) -> Tensor:
        """Return aligned vectors of every pixel.

        Args:
            image: (B, T, bands, H, W) normalised, without NaN; H = W = 1 is the pixel mode.
            days: (B, T) days since 2014-03-03.
            observed: (B, T, H, W) bool, what attention may see.

        Returns:
            (B, n_queries, d_model, H, W).
        """
        batch, _, _, height, width = image.shape
        features = self.encode_dates(image, observed)
        features = features.permute(0, 3, 4, 1, 2).flatten(0, 2)
        valid = observed.permute(0, 2, 3, 1).flatten(0, 2)
        aligned = self.temporal(features, days.repeat_interleave(height * width, dim=0), valid)
        return aligned.unflatten(0, (batch, height, width)).permute(0, 3, 4, 1, 2)

    def encode_dates(self, image: Tensor, observed: Tensor) -> Tensor:
        """Return spatial features of the dates that hold anything: see `encode_dates`."""
        return encode_dates(self.spatial, image, observed)


def encode_dates(spatial: UNet | TokenNetwork, image: Tensor, observed: Tensor) -> Tensor:
    """Return spatial features of the dates that hold anything, zero elsewhere.

    Padding dates are left out, which costs nothing and keeps them out of the statistics of the
    batch normalisation.

    Args:
        spatial: the encoder of one date.
        image: (B, T, bands, H, W) normalised, without NaN.
        observed: (B, T, H, W) bool.

    Returns:
        (B, T, d_model, H, W).
    """
    held = observed.flatten(2).any(dim=2)
    found = image[held]
    if image.shape[-2:] == (1, 1):
        encoded = spatial.forward_pixels(found.flatten(1))[:, :, None, None]
    else:
        encoded = spatial(found)
    shape = (*image.shape[:2], *encoded.shape[1:])
    return encoded.new_zeros(shape).masked_scatter(held[..., None, None, None], encoded)
