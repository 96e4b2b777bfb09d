"""onnxruntime sessions on the device asked for, and no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AliseError, Cancelled, ModelPackageError, RuntimeMissingError

DEVICES = ("auto", "cpu", "cuda")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_LOOK = 0.1  # seconds between two looks at whether the user stopped a run
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


class Graph:
    """An ONNX graph with one output, opened on the device asked for.

    Attributes:
        device: "cpu" or "cuda", as the session reports it: onnxruntime falls back in silence.
    """

    def __init__(self, session: Any, device: str) -> None:
        self.device = device
        self._session = session
        self._most: int | None = None  # rows of a call, once a larger one did not fit

    def run(
        self,
        inputs: Mapping[str, NDArray],
        batched: Sequence[str],
        stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """The output for some inputs.

        Where the device's memory is too small, the batch is halved until it fits, and stays so.

        Args:
            inputs: arrays by name.
            batched: inputs whose first axis is the batch; the others belong to every part of it.
            stop: asked about ten times a second; once true, the graph is left in the middle.

        Raises:
            Cancelled: `stop()` was true.
            AliseError: not even a batch of one fits into the device's memory.
        """
        count = len(inputs[batched[0]])
        most = self._most or count
        if count > most:
            return np.concatenate(
                [
                    self.run(_part(inputs, batched, start, start + most), batched, stop)
                    for start in range(0, count, most)
                ]
            )
        try:
            return self._call(inputs, stop)
        except Exception as error:  # onnxruntime's own classes have no public base.
            if not _no_memory(error):
                raise
            if count == 1:
                raise AliseError(
                    f"The memory of the device {self.device} is too little for one tile; choose a "
                    "smaller TILE_SIZE or MEMORY, or the device cpu."
                ) from error
            self._most = (count + 1) // 2
        return self.run(inputs, batched, stop)

    def release(self, inputs: Mapping[str, Sequence[int]]) -> None:
        """Give the memory that larger calls took back to the system.

        onnxruntime does so after a run that asks for it, so a small one is made.

        Args:
            inputs: shape of every input; float32.
        """
        options = import_onnxruntime().RunOptions()
        if self.device == "cpu":
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            zeros = {name: np.zeros(shape, np.float32) for name, shape in inputs.items()}
            self._session.run(None, zeros, options)

    def _call(
        self, inputs: Mapping[str, NDArray], stop: Callable[[], bool] | None
    ) -> NDArray[np.float32]:
        feeds = dict(inputs)
        if stop is None:
            return self._session.run(None, feeds)[0]
        options = import_onnxruntime().RunOptions()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._session.run, None, feeds, options)
            while not wait([running], timeout=_LOOK).done:
                if stop():
                    options.terminate = True
                    wait([running])
                    raise Cancelled("The run was cancelled.")
            return running.result()[0]


def _part(
    inputs: Mapping[str, NDArray], batched: Sequence[str], start: int, end: int
) -> dict[str, NDArray]:
    return {name: value[start:end] if name in batched else value for name, value in inputs.items()}


def _no_memory(error: Exception) -> bool:
    """Whether a run failed for want of memory; onnxruntime, CUDA and cuBLAS say it their way."""
    text = str(error).lower()
    return any(
        words in text
        for words in ("out of memory", "failed to allocate memory", "alloc_failed", "bad_alloc")
    )


def open_graph(path: str, device: str, threads: int) -> Graph:
    """Open a graph on a device; see `open_session`."""
    return Graph(*open_session(path, device, threads))


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
