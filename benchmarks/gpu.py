"""The encoder on a GPU: right, how fast, which share of the card's limit, and where time goes.

    python -m benchmarks.gpu [--model FOLDER] [--dates 30 60] [--sides 64 128 256 512]
        [--repeats 3] [--device cuda] [--size 8192]

Needs a machine with an NVIDIA card, NumPy and onnxruntime-gpu, and installs nothing. With the
package `onnx` it also measures the card's limit (matrix products through onnxruntime itself) and
how long each operator takes. Ends with 1 where a result is not that of the CPU to 1e-2.

--device cpu runs the same on the CPU provider, features bound by address as on a card: that tests
this script and says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from alise_plugin.errors import AliseError
from alise_plugin.model.device import choose_device, import_onnxruntime, open_session
from alise_plugin.model.encoder import SPATIAL_PIXELS, TEMPORAL_ROWS, Encoder
from alise_plugin.model.package import PRECISIONS, ModelPackage, load_package

PROJECT = Path(__file__).resolve().parents[1]

NEAR = 1e-2
CHAIN = 8  # matrix products in one call, so that starting it does not count


def main() -> int:
    """Run everything and print it; 1 where a result is wrong, 2 where there is no device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dates", type=int, nargs="+", default=[30, 60])
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=8192, help="of the matrices that set the limit")
    args = parser.parse_args()
    try:
        choose_device(args.device)
        package = load_package(args.model)
        encoders = {
            f"{precision}, {'bound' if bound else 'over the host'}": Encoder(
                package, args.device, None, precision, bound
            )
            for precision in PRECISIONS[: 2 if package.half else 1]
            for bound in (False, True)
        }
    except AliseError as error:
        print(f"Nothing is measured: {error}")
        return 2
    print(
        f"onnxruntime {import_onnxruntime().__version__}, {package.model_id}, {card(args.device)}"
    )
    if args.device == "cpu":
        print("The CPU provider only tests this script; no figure below is a GPU's.")
    limits = {precision: limit(args.device, precision, args.size) for precision in PRECISIONS}
    for precision, rate in limits.items():
        if rate:
            print(f"limit, {precision} matrix products of {args.size}: {rate / 1e12:.2f} TFLOP/s")
    right = check(package, encoders)
    speed(package, encoders, limits, args)
    stages(encoders, args.dates[0], args.sides[-1])
    if args.device == "cuda":
        print(f"memory of the card in use, all four encoders open: {card('cuda', 'memory.used')}")
    for precision in PRECISIONS[: 2 if package.half else 1]:
        providers(package, precision, args.device, args.dates[0])
        operators(package, precision, args.device, args.dates[0], args.repeats)
    return 0 if right else 1


def card(device: str, what: str = "name,memory.total,driver_version") -> str:
    """Return what the driver says of the card."""
    if device == "cpu":
        return "CPU"
    question = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
    try:
        return subprocess.run(question, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "a card that nvidia-smi does not name"


def series(dates: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return any reflectance `(T, 10, side, side)` with clouds, and its days."""
    rng = np.random.default_rng(0)
    reflectance = rng.random((dates, 10, side, side), np.float32) * np.float32(0.5)
    clouds = rng.random((dates, 1, side, side)) < 0.1
    reflectance[np.broadcast_to(clouds, reflectance.shape)] = np.nan
    return reflectance, np.arange(dates, dtype=np.float32) * 11 + 1500


def check(package: ModelPackage, encoders: dict[str, Encoder]) -> bool:
    """Return whether every way gives what the CPU gives in float32."""
    reflectance, days = series(12, 72)
    crop = (slice(8, 61), slice(3, 70))
    expected = Encoder(package, "cpu").encode(reflectance, days, crop=crop).reshape(640, -1)
    right = True
    for name, encoder in encoders.items():
        found = encoder.encode(reflectance, days, crop=crop).reshape(640, -1)
        away = np.linalg.norm(found - expected, axis=0) / np.linalg.norm(expected, axis=0)
        far = float(np.nanmax(away))
        same = far <= NEAR and np.array_equal(np.isnan(found), np.isnan(expected))
        right &= same
        print(f"{name}: {far:.1e} from the CPU's float32{'' if same else ', WRONG'}")
    return right


def speed(
    package: ModelPackage,
    encoders: dict[str, Encoder],
    limits: dict[str, float | None],
    args: argparse.Namespace,
) -> None:
    """Pixels x dates a second of every way, in turns, medians."""
    for dates in args.dates:
        flops = flops_per_pixel_date(package, dates)
        for side in args.sides:
            reflectance, days = series(dates, side)
            times: dict[str, list[float]] = defaultdict(list)
            for turn in range(args.repeats + 1):
                for name, encoder in encoders.items():
                    start = time.perf_counter()
                    encoder.encode(reflectance, days)
                    if turn:  # the first warms up
                        times[name].append(time.perf_counter() - start)
            for name, seconds in times.items():
                rate = dates * side * side / statistics.median(seconds)
                line = (
                    f"T {dates}, {side} px, {name}: {rate / 1e6:.3f} million pixels x dates a "
                    "second"
                )
                peak = limits[encoders[name].precision]
                if flops and peak:
                    line += (
                        f", {flops * rate / 1e12:.3f} TFLOP/s, {100 * flops * rate / peak:.1f} %"
                    )
                print(line)


def stages(encoders: dict[str, Encoder], dates: int, side: int) -> None:
    """Where a whole call's time goes: on the host alone, in the first graph, in the second."""
    reflectance, days = series(dates, side)
    whole = slice(None)
    for name, encoder in encoders.items():
        encoder.encode(reflectance[:2], days[:2])
        start = time.perf_counter()
        for _ in encoder._batches(reflectance, dates, whole, whole):
            pass
        prepared = time.perf_counter() - start
        start = time.perf_counter()
        encoder._see(reflectance, dates, None, lambda: False)
        seen = time.perf_counter() - start
        start = time.perf_counter()
        encoder.encode(reflectance, days)
        both = time.perf_counter() - start
        print(
            f"T {dates}, {side} px, {name}: normalising alone {prepared:.3f} s, with it the "
            f"spatial graph {seen:.3f} s, all {both:.3f} s"
        )


def limit(device: str, precision: str, size: int) -> float | None:
    """Return FLOP/s of matrix products through onnxruntime; None without the package onnx."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        print("The package onnx is not installed, so the limit and the operators stay unmeasured.")
        return None
    kind = TensorProto.FLOAT16 if precision == "float16" else TensorProto.FLOAT
    names = ["x0", *(f"x{i + 1}" for i in range(CHAIN))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [a, "w"], [b]) for a, b in zip(names, names[1:])],
        "limit",
        [helper.make_tensor_value_info(name, kind, ["n", "n"]) for name in ("x0", "w")],
        [helper.make_tensor_value_info(names[-1], kind, ["n", "n"])],
    )
    model = helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]
    ).SerializeToString()
    rng = np.random.default_rng(0)
    scale = 1 / math.sqrt(size)  # products stay as large as they are
    feeds = {
        name: (rng.standard_normal((size, size), np.float32) * scale).astype(precision)
        for name in ("x0", "w")
    }
    seconds = bound_seconds(model, feeds, names[-1], device, 4)
    return CHAIN * 2 * size**3 / seconds


def bound_seconds(
    model: bytes, feeds: dict[str, np.ndarray], output: str, device: str, repeats: int
) -> float:
    """Return best seconds of a run whose inputs and output stay on the device."""
    session, used = open_session(model, device, 0)
    assert used == device
    binding = session.io_binding()
    values = import_onnxruntime().OrtValue
    held = {name: values.ortvalue_from_numpy(value, device, 0) for name, value in feeds.items()}
    for name, value in held.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_output(output, device, 0)
    best = math.inf
    for _ in range(repeats + 1):
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        best = min(best, time.perf_counter() - start)
    return best


def flops_per_pixel_date(package: ModelPackage, dates: int) -> float | None:
    """Return multiplications and additions of the float32 graphs for one pixel and date.

    Convolutions, products with weights, and attention; the rest is little.
    """
    try:
        import onnx
    except ImportError:
        return None
    size = 8 * package.minimum_size
    model = onnx.load(package.graph("spatial.onnx"))
    for axis, length in enumerate((1, len(package.bands), size, size)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    weights = {weight.name: list(weight.dims) for weight in inferred.initializer}
    total = 0.0
    for node in inferred.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            # Every weight works once for each place of the smaller side.
            image = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
            total += 2 * math.prod(weights[node.input[1]]) * math.prod(shapes[image][2:])
    total /= size**2
    temporal = onnx.load(package.graph("temporal.onnx")).graph
    matrices = {w.name: math.prod(w.dims) for w in temporal.initializer if len(w.dims) == 2}
    for node in temporal.node:
        if node.op_type in ("Gemm", "MatMul"):
            total += sum(2 * matrices.get(name, 0) for name in node.input)
        elif node.op_type == "FusedMatMul":
            total += 2 * dates * package.d_model
    return total


def inputs_of(
    package: ModelPackage, name: str, precision: str, device: str, dates: int
) -> dict[str, Any]:
    """Return what one of the two graphs takes in a call of ordinary size, by name."""
    rng = np.random.default_rng(0)
    if name == "spatial.onnx":
        side = math.isqrt(SPATIAL_PIXELS[device]) // package.stride * package.stride
        return {"image": rng.standard_normal((1, len(package.bands), side, side), np.float32)}
    pixels = max(1, TEMPORAL_ROWS[device] // dates)
    features = rng.standard_normal((pixels, dates, package.d_model), np.float32)
    return {
        "features": features.astype(precision),
        "days": np.arange(dates, dtype=np.float32) * 11 + 1500,
        "valid": np.ones((pixels, dates), bool),
    }


def providers(package: ModelPackage, precision: str, device: str, dates: int) -> None:
    """How many nodes of each graph run where: on a card, those on the CPU cost a trip."""
    onnxruntime = import_onnxruntime()
    for name in ("spatial.onnx", "temporal.onnx"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_profiling = True
        with tempfile.TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder) / "profile")
            wanted = ["CUDAExecutionProvider"] * (device == "cuda") + ["CPUExecutionProvider"]
            session = onnxruntime.InferenceSession(
                package.graph(name, precision), options, providers=wanted
            )
            session.run(None, inputs_of(package, name, precision, device, dates))
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        where: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                where[event["args"].get("provider", "?")][event["args"]["op_name"]] += 1
        for provider, nodes in where.items():
            each = ", ".join(f"{count} {operator}" for operator, count in sorted(nodes.items()))
            print(f"{name}, {precision}, {provider}: {sum(nodes.values())} nodes: {each}")


def operators(package: ModelPackage, precision: str, device: str, dates: int, repeats: int) -> None:
    """Time of each kind of operator, its nodes run alone on the device.

    onnxruntime's own profile would tell when kernels of a card were started, not how long they ran.
    Alone, nothing is fused, so that the sum is more than the graph takes.
    """
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        return
    for name in ("spatial.onnx", "temporal.onnx"):
        model = onnx.load(package.graph(name, precision))
        values: dict[str, np.ndarray] = dict(inputs_of(package, name, precision, device, dates))
        values.update({w.name: numpy_helper.to_array(w) for w in model.graph.initializer})
        spent: dict[str, float] = defaultdict(float)
        for node in model.graph.node:
            feeds = {each: values[each] for each in node.input}
            kinds = {
                each: helper.np_dtype_to_tensor_dtype(value.dtype) for each, value in feeds.items()
            }
            # Sizes and pads have to be constants: some kernels read them on the host.
            small = [each for each in feeds if feeds[each].dtype == np.int64]
            graph = helper.make_graph(
                [node],
                "one",
                [
                    helper.make_tensor_value_info(each, kind, None)
                    for each, kind in kinds.items()
                    if each not in small
                ],
                [onnx.ValueInfoProto(name=node.output[0])],
                [numpy_helper.from_array(feeds.pop(each), each) for each in small],
            )
            one = helper.make_model(graph, ir_version=9, opset_imports=model.opset_import)
            content = one.SerializeToString()
            session, _ = open_session(content, device, 0)
            values[node.output[0]] = session.run(None, feeds)[0]
            if feeds and max(value.size for value in feeds.values()) > 1 << 12:
                spent[node.op_type] += bound_seconds(
                    content, feeds, node.output[0], device, repeats
                )
        total = sum(spent.values())
        parts = (
            f"{operator} {100 * seconds / total:.0f} %"
            for operator, seconds in sorted(spent.items(), key=lambda item: -item[1])
            if seconds > 0.01 * total
        )
        print(f"{name}, {precision}, {1e3 * total:.2f} ms alone: {', '.join(parts)}")


if __name__ == "__main__":
    sys.exit(main())
