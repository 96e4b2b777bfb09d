"""`python -m training change`: ALISE beside the gap-filled baseline, and beside MALICE."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from alise_plugin.model.distance import CosineDistance, compact_cosine
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.package import load_package
from training.arguments import existing, positive
from training.evaluation.report import table
from training.files import make_folder, write_file
from training.segmentation.series import LabelledDataError

from . import distances, measures
from .pairs import CROPS, Rotation
from .rotcrop import read_rotations
from .simulated import simulated_rotations

PROJECT = Path(__file__).resolve().parents[2]
BASELINE = "gap-filled raw series"
OURS = "ALISE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--data", type=Path, help="folder of RotCrop; simulated rotations if not")
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--malice", type=existing, help="malice_s2.onnx of the peer's repository")
    parser.add_argument("--places", type=positive, default=40, help="simulated, of 32 x 32 pixels")
    parser.add_argument("--variants", action="store_true", help="also what can be done to Eq. 12")
    parser.add_argument("--threads", type=positive)
    parser.add_argument("--out", type=Path, help="folder for the figures and a picture")


def run(args: argparse.Namespace) -> int:
    """Return measure every distance and print the tables."""
    if args.out:
        make_folder(args.out)
    package = load_package(args.model)
    encoder = Encoder(package, threads=args.threads)
    ours = distances.alise(encoder)
    methods: dict[str, distances.Distance] = {BASELINE: distances.gap_filled}
    if args.malice:
        peer = distances.malice(args.malice, package)
        methods["MALICE-S2"] = distances.embedded(peer)
        if args.variants:
            methods["MALICE-S2, cosine"] = distances.embedded(peer, CosineDistance())
    methods[OURS] = distances.embedded(ours)
    if args.variants:
        methods["ALISE, years moved onto one"] = distances.in_one_season(ours)
        methods["ALISE, that, cosine of the compact form"] = distances.in_one_season(
            ours, compact_cosine(encoder)
        )
        methods["ALISE, less the place's shift"] = distances.without_common_shift(ours)
    pairs: Iterable[Rotation] = (
        read_rotations(args.data) if args.data else simulated_rotations(args.places)
    )
    pixels = measure(pairs, methods)
    scores = {
        name: measures.change_scores(found, pixels.changed)
        for name, found in pixels.distance.items()
    }
    where = f"RotCrop in {args.data.name}" if args.data else "Simulated rotations"
    text = (
        f"**{where}**: {pixels.places} places, {len(pixels.changed)} pixels of crops, "
        f"{pixels.changed.mean():.1%} changed. Model: {package.model_id}.\n\n"
        + scores_table(scores)
        + "\n\n"
        + transitions_table(pixels, scores[OURS].threshold)
    )
    print(text)
    if args.out:
        content = {name: vars(found) for name, found in scores.items()}
        write_file(args.out / "change.json", (json.dumps(content, indent=1) + "\n").encode())
        if pixels.example:
            from .pictures import change_picture

            change_picture(*pixels.example, args.out / "change.png")
    return 0


class Pixels:
    """What the pixels of all places say, background and pixels without a distance left out.

    Attributes:
        distance: `(N,)` by method.
        changed: `(N,)` bool.
        before: `(N,)` codes of the first year.
        after: `(N,)` codes of the second.
        places: how many places they are of.
        example: the first place of which between a fifth and four fifths changed.
    """

    def __init__(self) -> None:
        self.places = 0
        self.example: tuple[Rotation, dict[str, np.ndarray]] | None = None
        self.distance: dict[str, np.ndarray] = {}
        self.changed = np.zeros(0, bool)
        self.before = np.zeros(0, np.int64)
        self.after = np.zeros(0, np.int64)

    def add(self, pair: Rotation, found: dict[str, np.ndarray]) -> None:
        """Add the pixels of one place that are no background and have every distance."""
        kept = pair.known & np.isfinite(np.stack(list(found.values()))).all(0)
        self.places += 1
        if self.example is None and kept.any() and 0.2 < pair.changed[kept].mean() < 0.8:
            self.example = pair, found
        self.changed = np.append(self.changed, pair.changed[kept])
        self.before = np.append(self.before, pair.crop_before[kept])
        self.after = np.append(self.after, pair.crop_after[kept])
        for name, values in found.items():
            so_far = self.distance.get(name, np.zeros(0, np.float32))
            self.distance[name] = np.append(so_far, values[kept])


def measure(pairs: Iterable[Rotation], methods: dict[str, distances.Distance]) -> Pixels:
    """Return distances of every place.

    Raises:
        LabelledDataError: no pixel changed, or every one did.
    """
    pixels = Pixels()
    for pair in pairs:
        pixels.add(pair, {name: method(pair) for name, method in methods.items()})
    if pixels.changed.all() or not pixels.changed.any():
        raise LabelledDataError(
            "Of the pixels of crops none changed, or all did, so that there is nothing to tell "
            "apart; give more places."
        )
    return pixels


def scores_table(scores: dict[str, measures.ChangeScores]) -> str:
    """Return one row a method."""
    recall = f"recall at {measures.FALSE_ALARMS:.0%} false alarms"
    at = [f"precision at recall {least:.0%}" for least in measures.RECALLS]
    rows = [
        [name, one.auc, one.precision, *one.precision_at, one.recall]
        for name, one in scores.items()
    ]
    return table(["distance", "ROC AUC", "average precision", *at, recall], rows)


def transitions_table(pixels: Pixels, threshold: float) -> str:
    """Return change matrix, and in brackets the share of each transition that ALISE flags."""
    codes = tuple(code for code in CROPS if code in {*pixels.before, *pixels.after})
    flagged = pixels.distance[OURS] >= threshold
    shares = measures.transition_shares(pixels.before, pixels.after, codes)
    rates = measures.transition_rates(pixels.before, pixels.after, codes, flagged)
    rows = [
        [
            CROPS[code],
            *(
                f"{share:.2f} ({rate:.2f})" if share > 0 else "-"
                for share, rate in zip(shares[row], rates[row])
            ),
        ]
        for row, code in enumerate(codes)
    ]
    header = ["from \\ to", *(CROPS[code] for code in codes)]
    return (
        "Share of each crop that became each other, and in brackets the share of those pixels that "
        f"ALISE flags at {measures.FALSE_ALARMS:.0%} false alarms:\n\n" + table(header, rows)
    )
