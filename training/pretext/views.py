"""Two interleaved views of a series (Eq. 3, 4), and what is taken away from them."""

from __future__ import annotations

import torch
from torch import Tensor

from alise_plugin.errors import AliseError
from alise_plugin.sentinel2 import BANDS

# Bands that users often lack together: which ones stay.
BAND_SETS = (
    ("B02", "B03", "B04", "B08"),
    ("B05", "B06", "B07", "B8A", "B11", "B12"),
    ("B02", "B03", "B04", "B08", "B8A", "B11"),
)


class TooFewDatesError(AliseError, ValueError):
    """A series is too short for two views."""


def interleaved_views(dates: int, window: int) -> tuple[Tensor, Tensor]:
    """Return places of the dates of views A and B (Eq. 4a, 4b).

    Args:
        dates: T, cut down to a multiple of twice the window so that both views are as long.
        window: t_w, successive dates that fall into one view.

    Raises:
        TooFewDatesError: there are fewer dates than two windows.
    """
    pairs = dates // (2 * window)
    if pairs == 0:
        raise TooFewDatesError(
            f"{dates} dates do not make two windows of {window}: give more dates, or a smaller "
            "window."
        )
    places = torch.arange(pairs * 2 * window).view(pairs, 2, window)
    return places[:, 0].flatten(), places[:, 1].flatten()


def drop_dates(observed: Tensor, most: float, least: int = 2) -> Tensor:
    """Hide a random share of the dates of each series, another share for each.

    Args:
        observed: (B, T, H, W) bool.
        most: greatest share that is hidden.
        least: dates that stay, if there are as many.

    Returns:
        What is left of `observed`.
    """
    batch, dates = observed.shape[:2]
    held = observed.flatten(2).any(2)
    share = torch.rand(batch, 1, device=observed.device) * most
    rank = torch.rand(batch, dates, device=observed.device).masked_fill(~held, 2.0).argsort(1)
    order = rank.argsort(1)
    keep = order < torch.clamp(((1 - share) * held.sum(1, keepdim=True)).ceil(), min=least)
    return observed & keep[:, :, None, None]


def hide_gaps(observed: Tensor, days: Tensor, share: float, longest: float) -> Tensor:
    """Hide all dates around one of them, as a cloudy spell does, from a share of the series.

    Dates hidden one by one leave close neighbours, and never teach what a long gap needs.

    Args:
        observed: (B, T, H, W) bool.
        days: (B, T).
        share: of the series that get a gap.
        longest: days that the gap lasts, at most; between none and that, all lengths are as likely.

    Returns:
        What is left of `observed`; a series that would keep fewer than two dates keeps all.
    """
    held = observed.flatten(2).any(2)
    chance = torch.rand(held.shape, device=days.device).masked_fill(~held, -1.0)
    centre = days.gather(1, chance.argmax(1, keepdim=True))
    half = torch.rand(len(days), 1, device=days.device) * longest / 2
    hidden = (days - centre).abs() <= half
    hidden &= torch.rand(len(days), 1, device=days.device) < share
    hidden &= (held & ~hidden).sum(1, keepdim=True) >= 2
    return observed & ~hidden[:, :, None, None]


def drop_bands(image: Tensor, share: float, missing_value: float) -> Tensor:
    """Take bands away from a share of the series, the same ones on all dates.

    A series loses all but one of `BAND_SETS`, or every band with a chance of its own.

    Args:
        image: (B, T, 10, H, W) normalised.
        share: of the series that lose bands.
        missing_value: what stands for them.
    """
    batch = len(image)
    sets = torch.tensor([[band in kept for band in BANDS] for kept in BAND_SETS])
    keep = torch.rand(batch, len(BANDS)) > torch.rand(batch, 1) * 0.7
    keep[~keep.any(1)] = True
    named = torch.rand(batch) < 0.7
    keep[named] = sets[torch.randint(len(sets), (int(named.sum()),))]
    keep |= (torch.rand(batch) >= share)[:, None]
    keep = keep.to(image.device)[:, None, :, None, None]
    return torch.where(keep, image, missing_value)
