"""The pre-training decoder and the embedding head (sections III-B.2 and III-B.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .day_encoding import DayEncoding


class Decoder(nn.Module):
    """Predicts the reflectance of any day from the aligned vectors (Eq. 8, Eq. 9).

    The query is a learned mask token plus the encoding of the day (Eq. 8); one head of attention
    mixes the aligned vectors, which are their own values (Eq. 9); a linear layer makes the bands.
    """

    def __init__(self, d_model: int, bands: int, day_encoding: DayEncoding) -> None:
        super().__init__()
        self.day_encoding = day_encoding
        self.mask_token = nn.Parameter(torch.randn(d_model) * 0.02)
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.bands = nn.Linear(d_model, bands)

    def forward(self, embedding: Tensor, days: Tensor) -> Tensor:
        """(P, n_queries, d_model), days (T2,) or (P, T2) -> normalised reflectance (P, T2, 10)."""
        query = self.query(self.mask_token + self.day_encoding(days))
        query = query.expand(len(embedding), -1, -1)
        key = self.key(embedding)
        mixed = F.scaled_dot_product_attention(query.to(key.dtype), key, embedding.to(key.dtype))
        return self.bands(mixed)


class EmbeddingHead(nn.Module):
    """Maps each aligned vector to the space of the latent losses (Figure 12).

    Linear, batch normalisation, ReLU, linear; used in pre-training only.
    """

    def __init__(self, d_model: int, d_embedding: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_embedding)
        self.norm = nn.BatchNorm1d(d_embedding)
        self.linear2 = nn.Linear(d_embedding, d_embedding)

    def forward(self, aligned: Tensor) -> Tensor:
        """Map (..., d_model) to (M, d_embedding), M the product of the leading axes."""
        return self.linear2(F.relu(self.norm(self.linear1(aligned.flatten(0, -2)))))
