"""The temporal encoder of U-BARN: a transformer over the dates of each pixel (Table IX)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def attendable(valid: Tensor) -> Tensor:
    """Map attention mask of dates that can be looked at: (P, T) bool to (P, 1, 1, T) bool.

    A pixel without any valid date looks at all of them: its answer means nothing, but it is finite
    and so are the gradients of its neighbours in the batch.
    """
    return (valid | ~valid.any(dim=1, keepdim=True))[:, None, None, :]


class TransformerLayer(nn.Module):
    """Post-norm encoder layer: self-attention and a two-layer network, each added and normalised.

    The query, key, value and output projections are separate linear layers, so that an exporter
    can read them by name.
    """

    def __init__(self, d_model: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if d_model % heads:
            raise ValueError(f"d_model {d_model} is not a multiple of {heads} heads")
        self.heads = heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.linear1 = nn.Linear(d_model, hidden)
        self.linear2 = nn.Linear(hidden, d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (P, T, d_model), mask (P, 1, 1, T) of `attendable` to (P, T, d_model)."""
        x = self.norm1(x + self.dropout(self._attend(x, mask)))
        hidden = self.dropout(F.relu(self.linear1(x), inplace=True))
        return self.norm2(x + self.dropout(self.linear2(hidden)))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        dropout = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).flatten(-2))


class Transformer(nn.Module):
    """Stack of `TransformerLayer`; without order but what the day encoding brings in."""

    def __init__(self, layers: int, d_model: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(d_model, heads, hidden, dropout) for _ in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (P, T, d_model), mask (P, 1, 1, T) of `attendable` to (P, T, d_model)."""
        for layer in self.layers:
            x = layer(x, mask)
        return x
