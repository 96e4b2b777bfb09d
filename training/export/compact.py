"""The compact form of a package: a fixed projection onto few features, one byte each.

Principal components of the embeddings of simulated landscapes, and ranges that belong to the
package: a value means the same in every place and year, which ranges taken from one map do not.
Plain components, not whitened ones, keep the distances between pixels; taken about the origin, not
about the mean, they keep the angles as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.package import COMPACT, MANIFEST, load_package
from training.arguments import positive
from training.files import write_file
from training.simulation.landscapes import simulate_landscapes
from training.simulation.pixels import Options

from .graph import Graph

FEATURES = 64
LANDSCAPES = 96
DATES = (12, 24, 40)  # of a landscape, in turns
SIZE = 32  # pixels
PIXELS = 128  # of a landscape that count
# Far from the seeds that training and evaluation draw from.
SEED = 715_225_739
TAILS = (0.5, 99.5)  # per cent of the sample: its spread
MARGIN = 0.5  # of the spread, on either side, for what simulations did not show
LEVELS = 254  # steps between raw 1 and raw 255


@dataclass(frozen=True)
class Projection:
    """compact = features @ matrix, then raw = (compact - offset) / scale.

    Attributes:
        matrix: `(n_features, C)` float32, C at most FEATURES.
        scale, offset: `(C,)` float64; raw runs from 1 to 255.
        variance: share of the sample's variance that is kept.
    """

    matrix: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    variance: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--model", type=Path, required=True, help="folder of the package")
    parser.add_argument(
        "--landscapes", type=positive, default=LANDSCAPES, help="simulated, to learn on"
    )


def run(args: argparse.Namespace) -> int:
    """Give a package its compact form and say what it keeps."""
    variance = add_compact(args.model, args.landscapes)
    count = len(load_package(args.model).require_compact().scale)
    print(f"{args.model}: {count} compact features keep {100 * variance:.2f} % of the variance")
    return 0


def add_compact(folder: Path, landscapes: int = LANDSCAPES) -> float:
    """Learn the compact form of a package on simulated landscapes and write it into the package.

    Returns:
        The share of the variance that it keeps.

    Raises:
        ModelPackageError: `folder` is no model package.
    """
    encoder = load_encoder(folder, "cpu")
    projection = principal_components(simulated_embeddings(encoder, landscapes))
    write_compact(folder, projection)
    return projection.variance


def simulated_embeddings(encoder: Encoder, landscapes: int, seed: int = SEED) -> np.ndarray:
    """Return embeddings of pixels of simulated landscapes, clouds and swath edges in: `(N, F)`."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(landscapes):
        dates = DATES[number % len(DATES)]
        world = simulate_landscapes(1, dates, SIZE, seed + number, Options())
        reflectance = world.reflectance[0].numpy().astype(np.float32)
        observed = world.observed[0].numpy()[:, None]
        reflectance = np.where(observed, reflectance, np.nan)
        embedding = encoder.encode(reflectance, world.days[0].numpy())
        pixels = embedding.reshape(encoder.package.n_features, -1).T
        pixels = pixels[np.isfinite(pixels[:, 0])]
        chosen = rng.choice(len(pixels), min(PIXELS, len(pixels)), replace=False)
        rows.append(pixels[chosen])
    return np.concatenate(rows)


def principal_components(embeddings: np.ndarray, features: int = FEATURES) -> Projection:
    """Return the first components of a sample, and ranges for them.

    Args:
        embeddings: `(N, F)`, N at least 2.
        features: how many components; all F where there are no more.
    """
    sample = embeddings.astype(np.float64)
    features = min(features, sample.shape[1])
    moments, vectors = np.linalg.eigh(sample.T @ sample)
    matrix = vectors[:, np.argsort(moments)[::-1][:features]]
    # The sign of a component is free: its largest coefficient is made positive.
    matrix = matrix * np.sign(matrix[np.abs(matrix).argmax(0), range(features)])
    compact = sample @ matrix
    low, high = np.percentile(compact, TAILS, axis=0)
    spread = np.maximum(high - low, 1e-6)
    scale = spread * (1 + 2 * MARGIN) / LEVELS
    return Projection(
        matrix.astype(np.float32),
        scale,
        low - MARGIN * spread - scale,
        float(compact.var(0).sum() / sample.var(0).sum()),
    )


def write_compact(folder: Path, projection: Projection) -> None:
    """Put a projection into a package; the manifest, which names it, is replaced last."""
    graph = Graph()
    graph.add("MatMul", "features", graph.weight(projection.matrix), output="compact")
    shape = projection.matrix.shape
    model = graph.model(
        {"features": (TensorProto.FLOAT, ["pixels", shape[0]])}, {"compact": ["pixels", shape[1]]}
    )
    content = model.SerializeToString()
    onnx.checker.check_model(model)
    write_file(folder / COMPACT, content)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["compact"] = {
        "scale": [float(f"{value:.9g}") for value in projection.scale],
        "offset": [float(f"{value:.9g}") for value in projection.offset],
        "variance": round(projection.variance, 6),
    }
    manifest["files"][COMPACT] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    write_file(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
