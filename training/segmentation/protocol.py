"""The paper's protocol of training and testing (section IV-B1)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .batches import Batches
from .metrics import Scores, confusion_matrix, scores
from .series import IGNORED, LabelledDataError, LabelledSet, Split, targets


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; what the paper states is the default.

    Attributes:
        learning_rate: of Adam.
        patience: epochs without a smaller validation loss before the rate falls.
        decay: factor by which it falls.
        smallest_rate: training ends once the rate is below. The paper states no end; after two
            falls nothing moves any more.
        epochs: training ends after so many at the latest.
        batch_size: series in a batch.
        crop: greatest height and width of a series.
        few: so many series train, drawn at random as `chances` says (Table III); all if None.
        draws: how often they are drawn for each split.
        seed: of the network's first weights, of the draws, crops and order.
    """

    learning_rate: float = 1e-4
    patience: int = 10
    decay: float = 0.05
    smallest_rate: float = 1e-6
    epochs: int = 100
    batch_size: int = 2
    crop: int = 64
    few: int | None = None
    draws: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """One experiment.

    Attributes:
        network: with the weights of the smallest validation loss.
        scores: on the test series.
        confusion: `(K, K)` counts on them, truth in rows.
        epochs: that training took.
    """

    network: nn.Module
    scores: Scores
    confusion: np.ndarray
    epochs: int


def experiments(data: LabelledSet, protocol: Protocol) -> Iterator[tuple[int, Split]]:
    """Yield seed and series of every experiment: the splits, or random few of each (Table III).

    Raises:
        LabelledDataError: a part of a split holds no series, or no series to draw has a label.
    """
    for number, split in enumerate(data.splits()):
        for part in fields(split):
            if not getattr(split, part.name):
                raise LabelledDataError(
                    f"Split {number + 1} of the labelled set has no {part.name} series; give the "
                    "whole set."
                )
        chance = None if protocol.few is None else chances(data, split.train)
        for draw in range(protocol.draws):
            seed = protocol.seed + number * protocol.draws + draw
            train = split.train
            if protocol.few is not None and chance is not None:
                rng = np.random.default_rng(seed)
                count = min(protocol.few, int((chance > 0).sum()))
                train = tuple(rng.choice(train, count, replace=False, p=chance).tolist())
            yield seed, Split(train, split.validation, split.test)


def chances(data: LabelledSet, places: tuple[int, ...]) -> np.ndarray:
    """Return how likely each series is drawn where few train (U-BARN, appendix B, Eq. 5).

    Series of scarce classes are likelier, so that all classes are among the few.

    Returns:
        `(N,)`, of sum 1; 0 for a series without a label.

    Raises:
        LabelledDataError: no series has one.
    """
    count = np.zeros((len(places), len(data.classes)))
    for row, place in enumerate(places):
        target = targets(data.labels(place), data.classes)
        count[row] = np.bincount(target[target != IGNORED], minlength=len(data.classes))
    if not count.any():
        raise LabelledDataError("No pixel of the training series has a label; check the labels.")
    scarcity = 1 / np.maximum(count.sum(0), 1)
    score = count @ scarcity / np.maximum(count.sum(1), 1)
    return np.asarray(score / score.sum())


def run_experiment(
    make_network: Callable[[], nn.Module],
    batches: Batches,
    split: Split,
    classes: int,
    protocol: Protocol,
    seed: int,
    report: Callable[[str], None] = lambda text: None,
) -> Trained:
    """Train on one split, keep what validates best, test it.

    Args:
        make_network: called after seeding; its answer to the inputs of a batch is (P, K).
        batches: of the set.
        split: which series do what.
        classes: K.
        protocol: how.
        seed: of this experiment.
        report: hears of each epoch.

    Raises:
        LabelledDataError: no pixel of the training, the validation or the test series has a label.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = make_network().to(device)
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, protocol.learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=protocol.decay, patience=protocol.patience
    )
    smallest, best, epoch = np.inf, copy.deepcopy(network.state_dict()), 0
    while epoch < protocol.epochs:
        if optimizer.param_groups[0]["lr"] < protocol.smallest_rate:
            break
        epoch += 1
        network.train()
        training = _Mean()
        for batch in batches(split.train, rng):
            on_device = batch.to(device)
            loss = F.cross_entropy(network(*on_device.inputs), on_device.target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            training.add(float(loss.detach()), len(batch.target))
        validation = _validation_loss(network, batches, split.validation, device)
        if np.isnan(training.value) or np.isnan(validation):
            raise LabelledDataError(
                "No pixel of the training or of the validation series has a label of a class that "
                "is learned, or the loss is not finite; check the labels."
            )
        scheduler.step(validation)
        if validation < smallest:
            smallest, best = validation, copy.deepcopy(network.state_dict())
        report(f"epoch {epoch}: training {training.value:.4f}, validation {validation:.4f}")
    network.load_state_dict(best)
    confusion = test_confusion(network, batches, split.test, classes, device)
    if not confusion.any():
        raise LabelledDataError(
            "No pixel of the test series has a label of a class that is learned; check the labels."
        )
    return Trained(network.cpu(), scores(confusion), confusion, epoch)


@torch.no_grad()
def test_confusion(
    network: nn.Module,
    batches: Batches,
    places: tuple[int, ...],
    classes: int,
    device: torch.device,
) -> np.ndarray:
    """Return `(K, K)` counts over the labelled pixels of some series."""
    network.eval()
    confusion = np.zeros((classes, classes), np.int64)
    for batch in batches(places, None):
        predicted = network(*batch.to(device).inputs).argmax(1).cpu().numpy()
        confusion += confusion_matrix(batch.target.numpy(), predicted, classes)
    return confusion


@torch.no_grad()
def _validation_loss(
    network: nn.Module, batches: Batches, places: tuple[int, ...], device: torch.device
) -> float:
    network.eval()
    loss = _Mean()
    for batch in batches(places, None):
        on_device = batch.to(device)
        found = F.cross_entropy(network(*on_device.inputs), on_device.target)
        loss.add(float(found), len(batch.target))
    return loss.value


class _Mean:
    """Mean over pixels of what came in batches; NaN without any."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, mean: float, count: int) -> None:
        self.total += mean * count
        self.count += count

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else float("nan")
