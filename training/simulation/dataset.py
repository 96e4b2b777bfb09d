"""Endless batches of simulated series for pre-training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from .landscapes import simulate_landscapes
from .pixels import Options, simulate_pixels


class PixelWorlds(IterableDataset[dict[str, Tensor]]):
    """Batches of single pixels; every pixel is a place of its own.

    Args:
        seed: of the stream; batch i of worker w is the same whenever it is made.
        batch_size: series in a batch.
        dates: T.
        distinct: series that there are in all, in whole batches; every stream draws from the same
            ones. Without limit by default.
        options: of `simulate_pixels`.

    Raises:
        ValueError: fewer distinct series than one batch.
    """

    def __init__(
        self,
        seed: int,
        batch_size: int = 512,
        dates: int = 48,
        distinct: int | None = None,
        **options: float,
    ) -> None:
        require_positive(batch_size=batch_size, dates=dates)
        self.seed = seed
        self.batch_size = batch_size
        self.dates = dates
        if distinct is not None and distinct < batch_size:
            raise ValueError(f"{distinct} distinct series do not fill a batch of {batch_size}")
        self.batches = None if distinct is None else distinct // batch_size
        self.options = Options(**options)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for number in numbers():
            # Far apart, so that streams of neighbouring seeds never meet.
            seed = self.seed * 1_000_003 + number
            if self.batches is not None:
                seed = int(np.random.default_rng(seed).integers(self.batches))
            world = simulate_pixels(self.batch_size, self.dates, seed, self.options)
            yield {
                "reflectance": world.reflectance[..., None, None],
                "days": world.days,
                "observed": world.observed[..., None, None],
                "clear": world.clear[..., None, None],
                "ground": world.below_snow[..., None, None],
            }


class PatchWorlds(IterableDataset[dict[str, Tensor]]):
    """Batches of small landscapes.

    Args:
        seed: of the stream.
        batch_size: landscapes in a batch.
        dates: T.
        size: H = W.
        options: of `simulate_landscapes`.

    Raises:
        ValueError: the size is odd.
    """

    def __init__(
        self, seed: int, batch_size: int = 8, dates: int = 24, size: int = 32, **options: float
    ) -> None:
        require_positive(batch_size=batch_size, dates=dates, size=size)
        if size % 2:
            raise ValueError(f"size is {size}; landscapes are even")
        self.seed = seed
        self.batch_size = batch_size
        self.dates = dates
        self.size = size
        self.options = Options(**options)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for number in numbers():
            seed = self.seed * 1_000_003 + number
            world = simulate_landscapes(self.batch_size, self.dates, self.size, seed, self.options)
            yield {
                "reflectance": world.reflectance,
                "days": world.days,
                "observed": world.observed,
                "clear": world.clear,
                "ground": world.below_snow,
            }


def require_positive(**sizes: int) -> None:
    """Raise ValueError where one of the sizes of a batch is not above 0."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; write 1 or more")


def numbers() -> Iterator[int]:
    """Return 0, 1, 2, ...; in a loader's worker, that worker's share of them."""
    worker = get_worker_info()
    return itertools.count(worker.id, worker.num_workers) if worker else itertools.count()
