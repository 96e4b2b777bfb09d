"""Small simulated farmlands, watched for one calendar year or several.

Fields, texture, soils and climate of a place stay; from year to year the crops rotate, the weather
and each farmer's calendar differ, and the satellite passes and the clouds come on other days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.simulation.covers import COVERS, NAMES
from training.simulation.draws import Draws
from training.simulation.landscapes import (
    LINE_COVERS,
    field_map,
    observe_space,
    sharpness,
    texture,
)
from training.simulation.pixels import FIRST_YEAR_DAY, YEAR, Options, ground_truth

FIRST_DAY = FIRST_YEAR_DAY + 4 * YEAR
"""1 January 2019, the first year that is watched, in days since 2014-03-03."""
FIELDS = 12
PASS_DAYS = 5
FEWEST_DATES, MOST_DATES = 24, 60
# Landscapes made at once.
CHUNK = 8


@dataclass(frozen=True)
class Year:
    """What was seen of a farmland in one year, and what stood there.

    Attributes:
        reflectance: `(T, 10, H, W)` float32, clouds included, NaN where not observed.
        days: `(T,)` float32, ascending, since 2014-03-03.
        clear: `(T, H, W)` bool: observed and not flagged; the flag makes mistakes.
        cover: `(H, W)` int64, place in COVERS.
    """

    reflectance: np.ndarray
    days: np.ndarray
    clear: np.ndarray
    cover: np.ndarray


@dataclass(frozen=True)
class Farmland:
    """A place and its years.

    Attributes:
        years: in order.
        field: `(H, W)` int64, number of the field; the last is what lies between fields.
    """

    years: tuple[Year, ...]
    field: np.ndarray


def simulate_farmlands(
    count: int,
    years: int,
    seed: int,
    covers: Sequence[str],
    *,
    size: int = 32,
    rotation: float = 1.0,
) -> list[Farmland]:
    """Draw farmlands whose summer is the northern one, as in the labelled sets of France.

    Args:
        count: how many.
        years: that each is watched, from 2019 on.
        seed: the same seed gives the same farmlands.
        covers: names of what grows on the fields, of COVERS, all as likely.
        size: H = W, even.
        rotation: chance that a field of an annual crop is sown anew with any annual crop each year,
            which may be the same one.
    """
    found: list[Farmland] = []
    for number in range(100 * count):
        if len(found) >= count:
            break
        # Far apart, so that neighbouring seeds never meet.
        draws = Draws(seed * 1_000_003 + number)
        found += _chunk(draws, years, covers, size, rotation)
    return found[:count]


def _chunk(
    draws: Draws, years: int, covers: Sequence[str], size: int, rotation: float
) -> Iterator[Farmland]:
    options = Options(change_share=0.0)
    seasons = _rotations(draws, CHUNK * FIELDS, years + 2, covers, rotation)
    days = [_pass_days(draws, year) for year in range(years)]
    every_day = torch.cat(days, 1)
    truth = ground_truth(
        draws, every_day.repeat_interleave(FIELDS, 0), seasons, options, neighbours=FIELDS
    )
    field = field_map(draws, CHUNK, size, FIELDS)
    row = (torch.arange(CHUNK)[:, None, None] * FIELDS + field).flatten(1)
    shape = (CHUNK, size, size)
    ground = truth.reflectance[row].unflatten(1, (size, size)).permute(0, 3, 4, 1, 2)
    ground = sharpness(ground * texture(draws, CHUNK, size)[:, None])
    cover = seasons[row].view(*shape, -1)
    north = _northern(truth.lai.unflatten(0, (CHUNK, FIELDS)).mean(1), every_day)
    seen: list[tuple[Tensor, Tensor]] = []
    start = 0
    for year_days in days:
        part = ground[:, start : start + year_days.shape[1]]
        start += year_days.shape[1]
        held = torch.ones_like(year_days, dtype=torch.bool)
        reflectance, _, clear = observe_space(draws, part, year_days, held, options)
        seen.append((reflectance, clear))
    for place in north.nonzero()[:, 0].tolist():
        yield Farmland(
            tuple(
                Year(
                    reflectance[place].numpy(),
                    days[year][place].numpy(),
                    clear[place].numpy(),
                    # The season before the first year comes first.
                    cover[place, ..., year + 1].numpy(),
                )
                for year, (reflectance, clear) in enumerate(seen)
            ),
            field[place].numpy(),
        )


def _rotations(
    draws: Draws, count: int, seasons: int, covers: Sequence[str], rotation: float
) -> Tensor:
    """Return (N, seasons) places in COVERS: annual crops rotate, what is permanent stays."""
    grown = torch.tensor([NAMES.index(name) for name in covers])
    annual = grown[[COVERS[int(place)].annual for place in grown]]
    current = grown[draws.integers(0, len(grown), count)]
    is_annual = torch.isin(current, annual)
    chain = [current]
    for _ in range(seasons - 1):
        sown = is_annual & draws.chance(rotation, count)
        if len(annual):
            current = torch.where(sown, annual[draws.integers(0, len(annual), count)], current)
        chain.append(current)
    cover = torch.stack(chain, 1)
    lines = torch.tensor(LINE_COVERS)[draws.integers(0, len(LINE_COVERS), count // FIELDS)]
    cover[FIELDS - 1 :: FIELDS] = lines[:, None]
    return cover


def _pass_days(draws: Draws, year: int) -> Tensor:
    """(CHUNK, T) ascending days on which the satellite delivers something, others for each year."""
    slots = int(YEAR // PASS_DAYS)
    count = int(draws.integers(FEWEST_DATES, MOST_DATES + 1, 1))
    slot = draws.uniform(0, 1, CHUNK, slots).argsort(1)[:, :count].sort(1).values
    orbit = draws.integers(0, PASS_DAYS, CHUNK, 1)
    return (FIRST_DAY + year * YEAR + slot * PASS_DAYS + orbit).floor()


def _northern(lai: Tensor, days: Tensor) -> Tensor:
    """Return (N,) bool: the leaves of a place (N, T) are those of a northern summer."""
    summer = (((days - FIRST_DAY) % YEAR) > 91) & (((days - FIRST_DAY) % YEAR) < 274)
    in_summer = (lai * summer).sum(1) / summer.sum(1)
    return in_summer > (lai * ~summer).sum(1) / (~summer).sum(1)
