"""Say what of the runtime is there, and in one sentence what is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import location

DEVICE_OF_PROVIDER = {
    "CPUExecutionProvider": "cpu",
    "CUDAExecutionProvider": "cuda",
}


@dataclass(frozen=True)
class RuntimeReport:
    """What QGIS's Python has.

    Attributes:
        versions: version of each package that is there, by name.
        devices: what this build of onnxruntime was made for ("cpu", "cuda"); whether the
            device works is only known when a session ran on it.
        folder: where "Install runtime" puts packages for this Python.
        problem: one sentence, or None when onnxruntime works.
    """

    versions: dict[str, str]
    devices: tuple[str, ...]
    folder: Path
    problem: str | None


def check_runtime(profile: Path) -> RuntimeReport:
    """Import onnxruntime and look which packages there are; never raises.

    Args:
        profile: folder of the QGIS user profile.
    """
    folder = location.runtime_folder(profile)
    location.activate(folder)
    versions = {"Python": platform.python_version(), "NumPy": np.__version__}
    for name in ("onnxruntime", "onnxruntime-gpu", "scikit-learn", "scipy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if not location.is_installed("onnxruntime"):
        return RuntimeReport(versions, (), folder, location.missing_sentence(profile))
    try:
        onnxruntime = importlib.import_module("onnxruntime")
        versions["onnxruntime"] = onnxruntime.__version__
        providers = onnxruntime.get_available_providers()
    except Exception as error:  # whatever a broken binary package raises while it is imported
        return RuntimeReport(versions, (), folder, _broken("onnxruntime", error, folder))
    devices = tuple(DEVICE_OF_PROVIDER[p] for p in providers if p in DEVICE_OF_PROVIDER)
    return RuntimeReport(versions, devices, folder, None)


def scikit_learn_problem(profile: Path) -> str | None:
    """Return one sentence, or None when scikit-learn, which classifiers are trained with, works."""
    if not location.is_installed("sklearn"):
        return location.missing_sentence(profile, "scikit-learn")
    try:
        importlib.import_module("sklearn")
    except Exception as error:  # as above
        return _broken("scikit-learn", error, location.runtime_folder(profile))
    return None


def _broken(package: str, error: Exception, folder: Path) -> str:
    return (
        f"{package} is there but does not start ({error}): run the algorithm "
        f'"Install runtime", or delete the folder {folder} and restart QGIS first.'
    )
