"""Several sources of batches as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from training.pretrain.config import make_source

Source = IterableDataset[dict[str, Tensor]]


class Mixed(IterableDataset[dict[str, Tensor]]):
    """Every batch comes from one of the sources, drawn by weight.

    Batches are never blended: sources may differ in T, in size, and in the truth that they know.

    Args:
        sources: data sets, or their descriptions in a configuration (`class` and arguments).
        weights: how often each is drawn; equal if not given.
        seed: of the draws, and of the sources that are described.

    Raises:
        ValueError: not one positive weight for each source.
        ConfigError: a description names no source.
    """

    def __init__(
        self,
        sources: Sequence[Source | dict[str, Any]],
        weights: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        share = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
        if not len(sources) or share.shape != (len(sources),) or (share <= 0).any():
            raise ValueError(
                f"{len(sources)} sources need as many positive weights; got {weights}."
            )
        self.sources = [
            make_source(source, seed + place) if isinstance(source, dict) else source
            for place, source in enumerate(sources)
        ]
        self.share = share / share.sum()
        self.seed = seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        streams = [iter(source) for source in self.sources]
        while True:
            yield next(streams[rng.choice(len(streams), p=self.share)])
