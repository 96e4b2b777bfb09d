"""Model packages: a folder of ONNX graphs, `model.json` and MODEL_CARD.md, checked at load."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelPackageError
from ..sentinel2 import BANDS, REFERENCE_DATE
from .identity import FeatureIdentity

# Beside the package in a clone and in the plugin, inside it once pip has installed it.
_FOLDERS = [Path(__file__).resolve().parents[level] / "models" for level in (1, 2)]
MODELS = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[-1])
BUNDLED_MODEL = MODELS / "alise-s2"
SCHEMA = 1
MANIFEST = "model.json"
GRAPHS = ("spatial.onnx", "temporal.onnx", "decoder.onnx")
COMPACT = "compact.onnx"
# The graphs that a package may also have in half precision.
HALF = {"spatial.onnx": "spatial_float16.onnx", "temporal.onnx": "temporal_float16.onnx"}
PRECISIONS = ("float32", "float16")
_REMEDY = "get the model package again"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "version": str,
    "bands": list,
    "normalisation": dict,
    "reference_date": str,
    "n_queries": int,
    "d_model": int,
    "halo": int,
    "stride": int,
    "minimum_size": int,
    "missing_value": (int, float),
    "opset": int,
    "licence": str,
    "parameters": int,
    "files": dict,
}


@dataclass(frozen=True)
class CompactForm:
    """How a package writes its features in few bytes, the same for every place and year.

    Attributes:
        sha256: hash of the graph that projects features onto fewer.
        scale: `(n,)` value = raw x scale + offset, raw 1 to 255.
        offset: `(n,)`.
        variance: share of the variance that the projection keeps, on simulated series.
    """

    sha256: str
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    variance: float


@dataclass(frozen=True)
class ModelPackage:
    """A checked model package.

    Attributes:
        folder: where it lies.
        name, version: what its makers call it.
        sha256: hash of the graphs' hashes, one for the whole model.
        bands: names of the bands in the order that the graphs take them.
        median, q05, q95: `(10,)` float32 robust statistics per band, in reflectance.
        reference_date: the day that `days` count from.
        n_queries, d_model: size of an embedding.
        halo: pixels round a tile that its inside depends on.
        stride: tiles start on multiples of this.
        minimum_size: least height and width that the spatial graph takes.
        missing_value: normalised value that stands for a missing band or pixel.
        compact: its compact form, where it has one.
        half: whether it has graphs in half precision, made from its float32 graphs.
        same_vectors_as: hashes of other packages that give the same vectors: earlier versions
            whose decoder alone was another.
    """

    folder: str
    name: str
    version: str
    sha256: str
    bands: tuple[str, ...]
    median: NDArray[np.float32]
    q05: NDArray[np.float32]
    q95: NDArray[np.float32]
    reference_date: date
    n_queries: int
    d_model: int
    halo: int
    stride: int
    minimum_size: int
    missing_value: float
    compact: CompactForm | None = None
    half: bool = False
    same_vectors_as: tuple[str, ...] = ()

    def gives_vectors_of(self, identity: FeatureIdentity) -> bool:
        """Return whether vectors of some origin are those that this model gives."""
        own = (self.sha256, *self.same_vectors_as)
        return any(identity.gives_vectors_of(sha256) for sha256 in own)

    @property
    def model_id(self) -> str:
        """Return name, version and the first eight digits of the hash."""
        return f"{self.name} {self.version} {self.sha256[:8]}"

    @property
    def normalisation(self) -> tuple[NDArray[np.float32], ...]:
        """Return median, q05 and q95, `(10,)` each, in reflectance."""
        return self.median, self.q05, self.q95

    @property
    def n_features(self) -> int:
        """Return length of a pixel's whole vector."""
        return self.n_queries * self.d_model

    def require_compact(self) -> CompactForm:
        """Return the compact form.

        Raises:
            ModelPackageError: the package has none.
        """
        if self.compact is None:
            raise ModelPackageError(
                f"The model {self.name} {self.version} has no compact form; choose the format "
                "int8 or float32, or a newer model package."
            )
        return self.compact

    def graph(self, name: str, precision: str = "float32") -> str:
        """Path of one of the ONNX graphs; those that have no half precision are the same in both.

        Raises:
            ModelPackageError: the package has no graphs in half precision.
            ValueError: the precision is unknown.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}; choose one of {', '.join(PRECISIONS)}")
        if precision == "float16" and not self.half:
            raise ModelPackageError(
                f"The model {self.name} {self.version} has no graphs in half precision; choose the "
                "precision float32, or a newer model package."
            )
        return os.path.join(self.folder, HALF.get(name, name) if precision == "float16" else name)


def load_package(path: str | os.PathLike[str]) -> ModelPackage:
    """Read and check a model package.

    Raises:
        ModelPackageError: something is missing, altered, or of a newer schema.
    """
    folder = os.fspath(path)
    content = _manifest(folder)
    sha256 = hashlib.sha256()
    for graph in GRAPHS:
        sha256.update(_checked_hash(folder, graph, content["files"].get(graph)).encode())
    statistics = [_statistics(folder, content, band) for band in content["bands"]]
    median, q05, q95 = np.array(statistics, np.float32).T
    try:
        reference = date.fromisoformat(content["reference_date"])
    except ValueError:
        raise _broken(folder, f"the reference date {content['reference_date']!r} is none") from None
    if tuple(content["bands"]) != BANDS or reference != REFERENCE_DATE:
        raise ModelPackageError(
            f"The model in {folder} takes the bands {' '.join(content['bands'])} and days since "
            f"{reference}, but an image series holds {' '.join(BANDS)} and days since "
            f"{REFERENCE_DATE}; choose another model."
        )
    return ModelPackage(
        folder=folder,
        name=content["name"],
        version=content["version"],
        sha256=sha256.hexdigest(),
        bands=tuple(content["bands"]),
        median=median,
        q05=q05,
        q95=q95,
        reference_date=reference,
        n_queries=content["n_queries"],
        d_model=content["d_model"],
        halo=content["halo"],
        stride=content["stride"],
        minimum_size=content["minimum_size"],
        missing_value=float(content["missing_value"]),
        compact=_compact(folder, content),
        half=_has_half(folder, content),
        same_vectors_as=tuple(map(str, content.get("same_vectors_as", ()))),
    )


def _has_half(folder: str, content: dict[str, Any]) -> bool:
    """Return whether there are graphs in half precision; those of other weights do not count."""
    files = content["files"]
    for name, half in HALF.items():
        entry = files.get(half)
        if not isinstance(entry, dict) or entry.get("of") != files[name]["sha256"]:
            return False
        _checked_hash(folder, half, entry)
    return True


def _compact(folder: str, content: dict[str, Any]) -> CompactForm | None:
    """Return the compact form that a package may have."""
    entry = content.get("compact")
    if entry is None:
        return None
    try:
        scale, offset = np.array([entry["scale"], entry["offset"]], np.float64)
        variance = float(entry["variance"])
    except (KeyError, TypeError, ValueError):
        raise _broken(folder, "the scale and offset of 'compact' are missing") from None
    if scale.ndim != 1 or not len(scale) or not (np.isfinite(offset).all() and (scale > 0).all()):
        raise _broken(folder, "the scale and offset of 'compact' are no numbers of one length")
    sha256 = _checked_hash(folder, COMPACT, content["files"].get(COMPACT))
    return CompactForm(sha256, scale, offset, variance)


def _manifest(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, MANIFEST)
    if not os.path.isdir(folder):
        raise ModelPackageError(f"There is no model folder {folder}; choose one with {MANIFEST}.")
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise ModelPackageError(
            f"{folder} holds no {MANIFEST}, so it is no model package; choose another folder."
        ) from None
    except (ValueError, OSError) as error:
        raise _broken(folder, f"it cannot be read ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise _broken(folder, "it states no schema number")
    if content["schema"] > SCHEMA:
        raise ModelPackageError(
            f"The model in {folder} has schema {content['schema']}, newer than the {SCHEMA} that "
            "this plugin reads; update the plugin."
        )
    for name, kind in _FIELDS.items():
        value = content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _broken(folder, f"{name!r} is missing or of the wrong kind")
    for name in ("n_queries", "d_model", "stride", "minimum_size"):
        if content[name] < 1:
            raise _broken(folder, f"{name!r} is {content[name]}")
    if content["halo"] < 0:
        raise _broken(folder, f"'halo' is {content['halo']}")
    if not content["bands"] or not all(isinstance(band, str) for band in content["bands"]):
        raise _broken(folder, "'bands' is not a list of names")
    return content


def _statistics(folder: str, content: dict[str, Any], band: str) -> tuple[float, float, float]:
    try:
        entry = content["normalisation"][band]
        values = float(entry["median"]), float(entry["q05"]), float(entry["q95"])
    except (KeyError, TypeError, ValueError):
        raise _broken(folder, f"the normalisation of {band} is missing") from None
    if not values[1] < values[2]:
        raise _broken(folder, f"the normalisation of {band} has q05 above q95")
    return values


def _checked_hash(folder: str, name: str, entry: Any) -> str:
    path = os.path.join(folder, name)
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        raise _broken(folder, f"it states no SHA-256 for {name}")
    try:
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
    except OSError:
        raise ModelPackageError(
            f"The model package {folder} lacks {name}, or it cannot be read; {_REMEDY}."
        ) from None
    if found != entry["sha256"]:
        raise ModelPackageError(
            f"{path} is not the file that {MANIFEST} describes (its SHA-256 differs); {_REMEDY}."
        )
    return found


def _broken(folder: str, what: str) -> ModelPackageError:
    return ModelPackageError(f"{os.path.join(folder, MANIFEST)} is broken: {what}; {_REMEDY}.")
