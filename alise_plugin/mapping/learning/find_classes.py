"""Classes without labels: pixels that are alike, as a head that `segment` maps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float
from ...errors import AliseError
from ...feedback import Feedback, Part, SilentFeedback, stop_if_cancelled
from ...model.heads.class_head import HeadDescription, MapClass, write_head
from ..features.features import Features
from ..features.sample import sample_features
from ..features.standardise import standardised
from ..labels.legend import MAX_CLASSES, default_color
from ..rasters.destinations import require_outputs
from .classifier import fit, require_scikit_learn
from .training_record import same_vectors, season_item

CLASSES, PIXELS = 8, 10_000


_STARTS = 4  # of k-means, from other seeds; the best is taken


_SAMPLED = 0.8  # of a run's progress


@dataclass(frozen=True)
class FoundClasses:
    """What `find_classes` wrote.

    Attributes:
        path: the head.
        classes: in the order of their share.
        shares: of the sampled pixels, 0 to 1.
        samples: how many pixels were sampled.
        device: the device that the encoder used; empty for an embedding raster.
    """

    path: str
    classes: list[MapClass]
    shares: list[float]
    samples: int
    device: str


def find_classes(
    source: Features,
    head: str | os.PathLike[str],
    *,
    classes: int = CLASSES,
    pixels: int = PIXELS,
    extent: Sequence[float] | None = None,
    seed: int = 0,
    feedback: Feedback | None = None,
) -> FoundClasses:
    """Group pixels whose vectors are alike: k-means on standardised features (Lloyd 1982).

    The head gives each pixel the nearest mean, as a `prototype` head does. Its classes are
    numbered, the most frequent first; what they are is for who knows the place to say.

    Args:
        source: the features.
        head: ONNX file to write.
        classes: K.
        pixels: sampled, about, spread evenly; encoded without what lies around their window, and
            so not quite as the map will be.
        extent: (xmin, ymin, xmax, ymax) in the CRS of the source to sample; all of it if None.
        seed: of the first means.
        feedback: progress and cancelling.

    Raises:
        SeriesError: the extent is outside, or a file cannot be read.
        AliseError: there are fewer pixels than classes, or too many classes.
        RuntimeMissingError: scikit-learn is not there.
        OutputError: the head cannot be written, or would overwrite an input.
        Cancelled: the feedback says so; nothing is left.
    """
    require_scikit_learn()
    if not 2 <= classes <= MAX_CLASSES:
        raise AliseError(f"{classes} classes cannot be found: choose 2 to {MAX_CLASSES}.")
    feedback = feedback or SilentFeedback()
    require_outputs([head], source.files)
    inner = source.grid.window if extent is None else source.grid.window_of(extent)
    sampling = Part(feedback, 0.0, _SAMPLED)
    features = sample_features(source, inner, max(pixels, classes), seed, sampling)
    if len(features) < classes:
        raise AliseError(
            f"{len(features)} pixels of {source.name} have a value, fewer than "
            f"the {classes} classes: choose fewer classes or a larger extent."
        )
    target = k_means(features, classes, seed, feedback)
    counts = np.bincount(target, minlength=classes)
    order = np.argsort(-counts, kind="stable")
    target = np.argsort(order)[target]
    own_group = np.arange(len(target))  # each pixel counts once
    network = fit("prototype", features, target, own_group, classes, 1.0, seed)
    found = [
        MapClass(number + 1, f"class {number + 1}", default_color(number))
        for number in range(classes)
    ]
    identity = source.identity
    provenance: dict[str, Any] = {
        "made": date.today().isoformat(),
        "inputs": [{"features": source.name}],
        "samples": len(features),
        "seed": seed,
        **season_item(source),
        **same_vectors(identity),
    }
    bands = source.bands
    if bands is not None:
        provenance["bands"] = bands
    write_head(
        head,
        network,
        HeadDescription(tuple(found), identity.name, identity.sha256, "k-means", provenance),
    )
    shares = (counts[order] / len(target)).tolist()
    listed = ", ".join(f"{item.name} {100 * share:.1f} %" for item, share in zip(found, shares))
    feedback.info(f"Of {len(features)} sampled pixels: {listed}.")
    feedback.progress(1.0)
    return FoundClasses(os.fspath(head), found, shares, len(features), source.device_used)


def k_means(features: Float, classes: int, seed: int, feedback: Feedback) -> NDArray[np.int64]:
    """Return `(N,)` cluster of each pixel, k-means on standardised features.

    Args:
        features: `(N, F)`.
        classes: K, at most N.
        seed: of the first means.
        feedback: progress and cancelling.

    Raises:
        Cancelled: the feedback says so.
    """
    from sklearn.cluster import KMeans

    _, _, standard = standardised(features)
    best = None
    for start in range(_STARTS):
        stop_if_cancelled(feedback)
        found = KMeans(classes, n_init=1, random_state=seed + start).fit(standard)
        if best is None or found.inertia_ < best.inertia_:
            best = found
        feedback.progress(_SAMPLED + (1 - _SAMPLED) * (start + 1) / (_STARTS + 1))
    assert best is not None  # nosec B101  # narrows a type
    return np.asarray(best.labels_, np.int64)
