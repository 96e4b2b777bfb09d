"""The losses of the multi-view pre-training (Eq. 2, 5 to 7, 10, 11)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def reconstruction_loss(
    predicted: Tensor, truth: Tensor, valid: Tensor, linear_from: float = math.inf
) -> Tensor:
    """l_rec (Eq. 11): squared error of the valid values, averaged within a date, then over dates.

    Args:
        predicted: (P, T, 10) normalised reflectance.
        truth: the same shape.
        valid: the same shape, bool: clear, and of a band that the series has.
        linear_from: larger errors grow linearly (Huber 1964), so that the few targets that a mask
            wrongly calls clear do not rule; by default none do, as in the paper.

    Returns:
        A scalar; dates without a valid value do not count. 0 if there is none at all.
    """
    error = torch.where(valid, predicted - truth, 0.0).abs()
    within = error.clamp(max=linear_from)
    squared = within * (2 * error - within)
    count = valid.sum(dim=(0, 2))
    per_date = squared.sum(dim=(0, 2)) / count.clamp(min=1)
    return per_date.sum() / (count > 0).sum().clamp(min=1)


def cross_reconstruction_loss(loss_a: Tensor, loss_b: Tensor) -> Tensor:
    """Return L_rec (Eq. 10): mean of the loss of A predicted from B and of B predicted from A."""
    return (loss_a + loss_b) / 2


def invariance_loss(embedded_a: Tensor, embedded_b: Tensor) -> Tensor:
    """Return L_inv (Eq. 5): mean over the vectors of the squared distance.

    Args:
        embedded_a: (M, d_emb) embedded aligned vectors of view A.
        embedded_b: the same of view B.

    Returns:
        A scalar; 0 without any vector.
    """
    return ((embedded_a - embedded_b) ** 2).sum() / max(len(embedded_a), 1)


def covariance_loss(embedded: Tensor) -> Tensor:
    """Return l_cov (Eq. 6): squared covariances between different features, summed, over d_emb.

    Args:
        embedded: (M, d_emb); centred here.

    Returns:
        A scalar; 0 with fewer than two vectors.
    """
    if len(embedded) < 2:
        return embedded.sum() * 0
    centred = embedded - embedded.mean(0)
    covariance = centred.T @ centred / (len(embedded) - 1)
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    return (off_diagonal**2).sum() / embedded.shape[1]
