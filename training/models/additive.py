"""An encoder that adds up: acquisitions become terms by themselves, and a series is their sum.

Each acquisition of a pixel becomes a token alone, learned queries attend to all tokens at once (the
temporal projector of Eq. 1 without the transformer before it), and small transformer layers then
work on the queries. With fixed queries the projector is a weighted mean over acquisitions: sums to
which acquisitions can be added in any order and any grouping (`Sums`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .day_encoding import DayEncoding
from .temporal_projector import TemporalProjector
from .transformer import Transformer

# In a normalised image this value stands for none, here as in a model package.
MISSING_VALUE = 0.0
# The score of a date without a value: far below any other, and finite, so that a pixel without any
# date gives no NaN.
MASKED_SCORE = -1e9


class TokenNetwork(nn.Module):
    """A two-layer network on the bands of a pixel and on which of them are there.

    It takes the place of the U-Net and has the same two ways to be called.

    Args:
        bands: of an acquisition.
        hidden: width of the layer between.
        d_model: features of a token.
    """

    def __init__(self, bands: int, hidden: int, d_model: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(2 * bands, hidden)
        self.linear2 = nn.Linear(hidden, d_model)

    def forward(self, image: Tensor) -> Tensor:
        """Return features (N, d_model, H, W) of images (N, bands, H, W)."""
        return self.forward_pixels(image.movedim(1, -1)).movedim(-1, 1)

    def forward_pixels(self, pixels: Tensor) -> Tensor:
        """Return features (..., d_model) of normalised pixels (..., bands)."""
        present = (pixels != MISSING_VALUE).to(pixels.dtype)
        return self.linear2(F.relu(self.linear1(torch.cat([pixels, present], dim=-1))))


@dataclass(frozen=True)
class Sums:
    """The state of a series: what its acquisitions add up to.

    Attributes:
        numerator: (P, n_queries, d_model), the sum of exp(score - maximum) x token, each head's
            score on its own share of the features.
        denominator: (P, heads, n_queries), the sum of exp(score - maximum).
        maximum: (P, heads, n_queries), the largest score, which keeps the exponentials in range;
            MASKED_SCORE where no date has a value, which then adds nothing to other sums.
    """

    numerator: Tensor
    denominator: Tensor
    maximum: Tensor

    def __add__(self, other: Sums) -> Sums:
        """Return the state of the acquisitions of both."""
        maximum = torch.maximum(self.maximum, other.maximum)
        ours, theirs = (self.maximum - maximum).exp(), (other.maximum - maximum).exp()
        return Sums(
            _weighted(self.numerator, ours) + _weighted(other.numerator, theirs),
            self.denominator * ours + other.denominator * theirs,
            maximum,
        )

    @property
    def mean(self) -> Tensor:
        """Return the weighted means (P, n_queries, d_model); 0 without any acquisition."""
        return _weighted(self.numerator, 1 / self.denominator)


def _weighted(numerator: Tensor, factor: Tensor) -> Tensor:
    """Multiply each head's features of (P, n_queries, d_model) by a (P, heads, n_queries)."""
    by_head = numerator.unflatten(-1, (factor.shape[1], -1))
    return (by_head * factor.transpose(1, 2)[..., None]).flatten(-2)


class AdditiveEncoder(nn.Module):
    """Tokens of a pixel to aligned vectors: day encoding, projector, layers on the queries.

    Args:
        d_model: features of a token and of an aligned vector.
        projector: of the tokens onto the learned queries.
        transformer: the layers on the queries.
        day_encoding: added to the tokens.
    """

    def __init__(
        self,
        d_model: int,
        projector: TemporalProjector,
        transformer: Transformer,
        day_encoding: DayEncoding,
    ) -> None:
        super().__init__()
        self.day_encoding = day_encoding
        self.projector = projector
        # The layers treat all queries alike; this tells them which is which.
        self.place = nn.Parameter(torch.zeros(projector.query.shape[1], d_model))
        self.transformer = transformer
        # The last layer ends in a normalisation, which would fix the length of every vector.
        self.out = nn.Linear(d_model, d_model)
        nn.init.eye_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, days: Tensor, valid: Tensor) -> Tensor:
        """Return the aligned vectors of whole series.

        Args:
            features: (P, T, d_model) of the token network.
            days: (T,) or (P, T) days since 2014-03-03.
            valid: (P, T) bool; the others are not seen.

        Returns:
            (P, n_queries, d_model); finite but meaningless where no date is valid.
        """
        return self.finish(self.terms(features, days, valid))

    def terms(self, features: Tensor, days: Tensor, valid: Tensor) -> Sums:
        """Return what some acquisitions add up to; arguments as of `forward`."""
        projector = self.projector
        tokens = torch.where(valid[..., None], features + self.day_encoding(days), 0.0)
        key = projector.key(tokens).unflatten(-1, (projector.heads, -1))
        scores = torch.einsum("pthk,hnk->phnt", key, projector.query.to(key.dtype))
        scores = scores / math.sqrt(projector.query.shape[-1])
        scores = scores.masked_fill(~valid[:, None, None], MASKED_SCORE)
        maximum = scores.amax(-1)
        weights = (scores - maximum[..., None]).exp()
        value = tokens.unflatten(-1, (projector.heads, -1))
        numerator = torch.einsum("phnt,pthd->pnhd", weights, value).flatten(-2)
        return Sums(numerator, weights.sum(-1), maximum)

    def finish(self, sums: Sums) -> Tensor:
        """Return the aligned vectors (P, n_queries, d_model) of sums."""
        mean = sums.mean + self.place
        everything = torch.ones(
            len(mean), 1, 1, mean.shape[1], dtype=torch.bool, device=mean.device
        )
        return self.out(self.transformer(mean, everything))
