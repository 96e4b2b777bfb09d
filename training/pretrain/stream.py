"""An endless stream of batches that can be taken up again where it was left."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from .config import ConfigError, make_source

# Validation draws from here, so that training never sees its series.
VALIDATION_STREAM = 2**31


class Stream(IterableDataset[dict[str, Any]]):
    """Batches in segments, each from a source with a seed of its own.

    The seed follows from the run's seed, the process and the segment. So processes never see the
    same batch, and a run that goes on at the start of a segment sees what it would have seen. One
    that goes on within a segment sees others for the rest of it, and the next segment as it is.

    Args:
        description: of the source (`make_source`).
        seed: of the run.
        length: batches of a segment.
        done: batches that are already used.
        rank: number of the process, among several GPUs.

    Raises:
        ConfigError: as `make_source`, or the source has nothing to give.
    """

    def __init__(
        self, description: dict[str, Any], seed: int, length: int, done: int = 0, rank: int = 0
    ) -> None:
        self.description = description
        self.seed = seed
        self.length = length
        self.first_segment, self.used = divmod(done, length)
        self.rank = rank

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        step, start = (worker.num_workers, worker.id) if worker else (1, 0)
        used = self.used
        for segment in itertools.count(self.first_segment):
            seed = mixed_seed(self.seed, self.rank, segment, *([used] if used else []))
            source = make_source(self.description, seed)
            share = len(range(start, self.length - used, step))
            brought = 0
            for batch in itertools.islice(source, share):
                brought += 1
                yield batch
            if share and not brought:
                raise ConfigError(f"{self.description.get('class')} brings no batches")
            used = 0


def mixed_seed(*numbers: int) -> int:
    """Return a seed in [0, 2^32) that follows from several numbers, each of which counts."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
