"""The temporal projector: learned queries align every series (Eq. 1, after Perceiver IO)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TemporalProjector(nn.Module):
    """Cross-attention of ``n_queries`` learned queries to the encoded dates (Eq. 1).

    There is no value and no output projection: the values are the encoded dates themselves, their
    features split over the heads. Scores are divided by sqrt(d_key), the width of the keys.

    Args:
        d_model: features of a date, a multiple of ``heads``.
        n_queries: vectors out.
        heads: attention heads.
        d_key: width of the queries and keys of one head.
    """

    def __init__(self, d_model: int, n_queries: int, heads: int, d_key: int) -> None:
        super().__init__()
        if d_model % heads:
            raise ValueError(f"d_model {d_model} is not a multiple of {heads} heads")
        self.heads = heads
        self.query = nn.Parameter(torch.empty(heads, n_queries, d_key))
        self.key = nn.Linear(d_model, heads * d_key, bias=False)
        nn.init.normal_(self.query, std=math.sqrt(2 / d_key))
        nn.init.normal_(self.key.weight, std=math.sqrt(2 / d_key))

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """Map (P, T, d_model), mask (P, 1, 1, T) to (P, n_queries, d_model)."""
        key = self.key(encoded).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        value = encoded.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        query = self.query.to(key.dtype).expand(len(encoded), -1, -1, -1)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)
        return mixed.transpose(1, 2).flatten(-2)
