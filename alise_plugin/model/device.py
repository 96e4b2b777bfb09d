"""onnxruntime sessions on the device asked for, and no other."""

from __future__ import annotations

import os
from typing import Any

from ..errors import ModelPackageError, RuntimeMissingError

DEVICES = ("auto", "cpu", "cuda")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_INSTALL = 'run the algorithm "Install runtime" of ALISE, or: pip install onnxruntime'


def import_onnxruntime() -> Any:
    """The onnxruntime module.

    Raises:
        RuntimeMissingError: it is not installed for this Python, or is broken.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError(
            f"onnxruntime cannot be imported ({error}); {_INSTALL}."
        ) from error
    return onnxruntime


def available_threads() -> int:
    """CPU threads that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux; knows of the limits of a job on a cluster.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(device: str) -> str:
    """Turn "auto" into "cuda" where onnxruntime has it, else "cpu".

    Raises:
        RuntimeMissingError: the device is unknown, or this onnxruntime is built without it.
    """
    if device not in DEVICES:
        raise RuntimeMissingError(
            f"The device {device!r} is unknown; choose one of {', '.join(DEVICES)}."
        )
    offered = import_onnxruntime().get_available_providers()
    if device == "auto":
        return "cuda" if _PROVIDERS["cuda"] in offered else "cpu"
    if _PROVIDERS[device] not in offered:
        raise RuntimeMissingError(
            f"The onnxruntime that is installed has no {device}; choose the device cpu, or run "
            '"Install runtime" with the variant cuda.'
        )
    return device


def open_session(path: str, device: str, threads: int) -> tuple[Any, str]:
    """Open a graph; return the session and the device that it really runs on.

    onnxruntime falls back to the CPU in silence when CUDA cannot start: the session is asked.

    Args:
        path: ONNX file.
        device: "cpu" or "cuda" (see `choose_device`).
        threads: CPU threads inside an operator; 1 runs in the calling thread.

    Raises:
        ModelPackageError: onnxruntime refuses the graph.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # A refusal is raised below, a fall-back is asked for.
    options.intra_op_num_threads = threads
    # Threads that wait for work may spin during a call, not between two: other sessions need them.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    wanted = [_PROVIDERS[device]] + ([_PROVIDERS["cpu"]] if device != "cpu" else [])
    if device == "cuda" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # Finds the CUDA libraries that pip installs, too.
    try:
        session = onnxruntime.InferenceSession(path, options, providers=wanted)
    except Exception as error:  # onnxruntime's own classes have no public base.
        reason = str(error).strip().splitlines()[0]
        raise ModelPackageError(
            f"onnxruntime {onnxruntime.__version__} cannot open {path} ({reason}); "
            "update onnxruntime, or get the model package again."
        ) from error
    used = session.get_providers()[0]
    return session, next(name for name, provider in _PROVIDERS.items() if provider == used)
