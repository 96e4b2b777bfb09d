"""onnxruntime sessions on the device asked for, and no other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import AliseError, ModelPackageError, RuntimeMissingError
from .device_memory import Crops, Lookup, Rows
from .onnx_file import lookup_bytes

# What a graph takes by name: an array, or rows of an array in the device's memory.
Inputs = Mapping[str, Union[NDArray[Any], Rows]]

DEVICES = ("auto", "cpu", "cuda")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# Float32 means float32: the card's own shorter form (TF32) is left to those who ask for float16.
# Convolutions are chosen by rule: trying them all out, for each size of tile, costs seconds and
# needs all the memory that the largest of them wants.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
_INSTALL = 'run the algorithm "Install runtime" of ALISE, or: pip install onnxruntime'


def import_onnxruntime() -> Any:
    """Return the onnxruntime module.

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
    """Return CPU threads that this process may use."""
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


def run_options() -> Any:
    """Return options for runs of graphs; setting their `terminate` ends these runs."""
    return import_onnxruntime().RunOptions()


class Graph:
    """An ONNX graph with one output, opened on the device asked for.

    Attributes:
        device: "cpu" or "cuda", as the session reports it: onnxruntime falls back in silence.
        dtype: of the output, float32 or float16.
    """

    def __init__(self, session: Any, device: str) -> None:
        self.device = device
        self._session = session
        output = session.get_outputs()[0]
        self._output = output.name
        self.dtype = np.dtype(np.float16 if "float16" in output.type else np.float32)
        self._most: int | None = None  # rows of a call, once a larger one did not fit

    def run(
        self,
        inputs: Inputs,
        batched: Sequence[str],
        options: Any = None,
    ) -> NDArray[np.floating[Any]]:
        """Return the output for some inputs.

        Where the device's memory is too small, the batch is halved until it fits, and stays so.

        Args:
            inputs: arrays by name, or rows of the device's memory.
            batched: inputs whose first axis is the batch; the others belong to every part of it.
            options: of `run_options`; a run that they terminate raises onnxruntime's own error.

        Raises:
            AliseError: not even a batch of one fits into the device's memory.
        """
        outputs = list(self._outputs(inputs, batched, options, None))
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def keep(
        self,
        inputs: Inputs,
        batched: Sequence[str],
        crops: Crops,
        options: Any = None,
    ) -> None:
        """Run a graph, but keep the output in the device's memory, where `crops` says."""
        for _ in self._outputs(inputs, batched, options, crops):
            pass

    def _outputs(
        self,
        inputs: Inputs,
        batched: Sequence[str],
        options: Any,
        crops: Crops | None,
    ) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield the outputs of as many calls as it takes; nothing comes back of what is kept."""
        start, count = 0, len(inputs[batched[0]])
        while start < count:
            end = min(start + (self._most or count), count)
            try:
                part = _part(inputs, batched, start, end)
                output = self._call(part, options, None if crops is None else crops[start:end])
            except Exception as error:  # onnxruntime's own classes have no public base.
                if not out_of_memory(error):
                    raise
                if end - start == 1:
                    other = ", or the device cpu" if self.device != "cpu" else ""
                    raise AliseError(
                        f"The memory of the device {self.device} is too little for one tile; "
                        f"choose a smaller TILE_SIZE or MEMORY{other}."
                    ) from error
                self._most = (end - start + 1) // 2
                continue
            yield output
            start = end

    def release(self, inputs: Mapping[str, Sequence[int]]) -> None:
        """Give the memory that larger calls took back to the system.

        onnxruntime does so after a run that asks for it, so a small one is made.

        Args:
            inputs: shape of every input; float32.
        """
        options = run_options()
        if self.device == "cpu":
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            zeros = {name: np.zeros(shape, np.float32) for name, shape in inputs.items()}
            self._session.run(None, zeros, options)

    def _call(self, inputs: Inputs, options: Any, crops: Crops | None) -> NDArray[np.floating[Any]]:
        """Return one run of the session."""
        feeds = dict(inputs)
        if crops is None and all(isinstance(value, np.ndarray) for value in feeds.values()):
            return self._session.run(None, feeds, options)[0]  # type: ignore[no-any-return]
        binding = self._session.io_binding()
        held = []  # Memory that must not be used again before the run is over.
        for name, value in feeds.items():
            if isinstance(value, Rows):
                taken = value.taken()
                held.append(taken)
                binding.bind_input(name, *taken.bound)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
        room = None
        if crops is None:
            binding.bind_output(self._output, self.device, 0)
        else:
            room = crops.room()
            binding.bind_output(self._output, *room.bound)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()
        if crops is None or room is None:
            return np.asarray(binding.copy_outputs_to_cpu()[0])
        crops.take(room)
        return np.empty(0, self.dtype)


def _part(inputs: Inputs, batched: Sequence[str], start: int, end: int) -> Inputs:
    return {name: value[start:end] if name in batched else value for name, value in inputs.items()}


def out_of_memory(error: Exception) -> bool:
    """Return whether a run failed for want of memory.

    onnxruntime, its arena (with and without a limit), CUDA, cuBLAS and cuDNN say it their way.
    """
    text = str(error).lower()
    return any(
        words in text
        for words in (
            "out of memory",
            "failed to allocate memory",
            "is smaller than requested bytes",
            "alloc_failed",
            "allocation_failed",
            "bad_alloc",
            "bad allocation",
        )
    )


def open_graph(path: str, device: str, threads: int) -> Graph:
    """Open a graph on a device; see `open_session`."""
    return Graph(*open_session(path, device, threads))


def open_lookup(device: str, dtype: DTypeLike) -> Lookup:
    """Return what takes rows out of arrays in the memory of a device."""
    return Lookup(open_session(lookup_bytes(dtype), device, 1)[0], device, dtype)


def open_session(graph: str | bytes, device: str, threads: int) -> tuple[Any, str]:
    """Open a graph; return the session and the device that it really runs on.

    onnxruntime falls back to the CPU in silence when CUDA cannot start: the session is asked.

    Args:
        graph: ONNX file, or its content.
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
    wanted: list[Any] = [_PROVIDERS["cpu"]]
    if device == "cuda":
        wanted.insert(0, (_PROVIDERS["cuda"], _CUDA_OPTIONS))
    if device == "cuda" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # Finds the CUDA libraries that pip installs, too.
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=wanted)
    except Exception as error:  # onnxruntime's own classes have no public base.
        reason = str(error).strip().splitlines()[0]
        name = graph if isinstance(graph, str) else "a graph of its own making"
        raise ModelPackageError(
            f"onnxruntime {onnxruntime.__version__} cannot open {name} ({reason}); "
            "update onnxruntime, or get the model package again."
        ) from error
    used = session.get_providers()[0]
    return session, next(name for name, provider in _PROVIDERS.items() if provider == used)
