"""U-BARN's pretext task: recover acquisitions whose embeddings were exchanged.

Dumeur, Valero and Inglada, IEEE JSTARS 2024, section III: some dates of a series are corrupted
after the spatial encoder, so that the transformer alone has to recover them from the other dates. A
corrupted value is that of another corrupted pixel, date or feature: no value that could not be.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASKING_RATE = 0.6


def corrupted_dates(seen: Tensor, rate: float = MASKING_RATE) -> Tensor:
    """Return which dates of each series are corrupted, with a date or more left as they are.

    All pixels of a date are: a neighbour left alone would tell what the spatial encoder saw.

    Args:
        seen: (B, T) bool, the series has something on that date.
        rate: share of them that is corrupted.

    Returns:
        (B, T) bool.
    """
    chance = torch.rand(seen.shape, device=seen.device).masked_fill(~seen, 2.0)
    rank = chance.argsort(1).argsort(1)
    count = seen.sum(1, keepdim=True)
    wanted = torch.minimum((rate * count).round(), count - 1)
    return (rank < wanted) & seen


def permuted(features: Tensor, corrupted: Tensor) -> Tensor:
    """Exchange the values of the corrupted pixels and dates among each other, at random.

    Args:
        features: (P, T, d_model).
        corrupted: (P, T) bool.
    """
    flagged = features[corrupted].flatten()
    order = torch.randperm(len(flagged), device=features.device)
    return features.masked_scatter(corrupted[..., None], flagged[order])
