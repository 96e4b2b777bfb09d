"""How often the intervals of Assess accuracy hold the truth, over simulated samples.

    python -m benchmarks.accuracy [--samples 1000] [--labels 250]

A region of two classes and two maps of it, A and B, of different errors. Samples are drawn from the
classes of map A and judge map B: once with the strata that they were drawn from (Stehman 2014), and
once as if they had been drawn from the classes of map B.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from alise_plugin.mapping.scores.estimators import (
    DesignSample,
    design_estimate,
    stratified_estimate,
)

# Pixels by true class, class on A and class on B.
_CELLS = np.array(
    [
        [0, 0, 0, 74_000],
        [0, 0, 1, 3_500],
        [0, 1, 0, 4_500],
        [0, 1, 1, 1_500],
        [1, 0, 0, 2_500],
        [1, 0, 1, 3_000],
        [1, 1, 0, 2_000],
        [1, 1, 1, 9_000],
    ]
)
_PIXELS = _CELLS[:, :3].repeat(_CELLS[:, 3], 0)
_REALLY, _SHOWN = _PIXELS[:, 0] == 1, _PIXELS[:, 2] == 1
_BOTH = float((_REALLY & _SHOWN).sum())
FIGURES = ("overall accuracy", "area of class 1", "user's accuracy", "producer's accuracy")
# Of map B and class 1, in the order of FIGURES.
TRUTH = (
    float((_REALLY == _SHOWN).mean()),
    float(_REALLY.sum()),
    _BOTH / _SHOWN.sum(),
    _BOTH / _REALLY.sum(),
)


def two_maps(rng: np.random.Generator, labels: int) -> tuple[DesignSample, NDArray[np.float64]]:
    """Return labels drawn from both classes of map A, with what B shows; and B's mapped areas."""
    areas = np.bincount(_PIXELS[:, 1]).astype(np.float64)
    drawn = np.concatenate(
        [rng.choice(np.flatnonzero(_PIXELS[:, 1] == one), labels, replace=False) for one in (0, 1)]
    )
    true, on_a, on_b = _PIXELS[drawn].T
    return DesignSample(on_a, areas, on_b, true, 2), np.bincount(_PIXELS[:, 2]).astype(np.float64)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--labels", type=int, default=250, help="of each class of map A")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    held = np.zeros((2, given.samples, len(FIGURES)), bool)
    values = np.zeros((2, given.samples, len(FIGURES)))
    for number in range(given.samples):
        sample, mapped = two_maps(rng, given.labels)
        counts = np.bincount(sample.shown * 2 + sample.reference, minlength=4).reshape(2, 2)
        for way, found in enumerate((design_estimate(sample), stratified_estimate(counts, mapped))):
            figures = (found.overall, found.areas[1], found.users[1], found.producers[1])
            for place, (one, truth) in enumerate(zip(figures, TRUTH)):
                held[way, number, place] = one.low <= truth <= one.high
                values[way, number, place] = one.value
    print("| figure of map B | truth | mean, own strata | held | mean, classes of B | held |")
    print("| --- | --- | --- | --- | --- | --- |")
    for place, (name, truth) in enumerate(zip(FIGURES, TRUTH)):
        cells = [f"{truth:.4g}"]
        for way in range(2):
            share = held[way, :, place].mean()
            cells += [f"{values[way, :, place].mean():.4g}", f"{share:.1%}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
