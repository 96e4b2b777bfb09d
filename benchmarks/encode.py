"""Speed of the encoder beside its peers: ratios measured in one run, alternating, medians.

    python -m benchmarks.encode [--malice malice_s2.onnx] [--threads 2] [--shapes 30x64 60x128]
        [--model FOLDER] [--against FOLDER] [--profile]

Side by side: the bundled weights through the plugin's encoder, the same in PyTorch eager, and, when
its path is given, the published MALICE-S2 encoder. In the same turns the machine's limit as it is
just then: how fast it multiplies matrices, and which share of that the encoder reaches. --against
times another package instead of the peers, --profile says which operators the time goes to.

The weights count: trained ones spread the scores of attention so far that some shares are subnormal
numbers, on which processors are slow; random weights never show it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from alise_plugin.model.encoder import TEMPORAL_ROWS, Encoder, load_encoder
from alise_plugin.model.flush_subnormals import flush_subnormals
from alise_plugin.model.package import load_package
from training.export.command import untrained
from training.export.package import write_package
from training.models.alise import Alise
from training.models.checkpoint import load_alise
from training.pretext.normalise import EUROPE, normalise

PROJECT = Path(__file__).resolve().parents[1]

MATRIX = 2048  # rows and columns of the matrices whose product is the limit
PRODUCTS = 10  # in one turn, so that it lasts as long as an encoding
CHECKPOINT = PROJECT / "training" / "checkpoints" / "alise-s2.pt"


def main() -> None:
    """Run every shape and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--malice", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--shapes", nargs="+", default=["30x64", "60x64", "30x128", "60x128"], help="dates x side"
    )
    parser.add_argument("--model", type=Path, help="package to time with --against or --profile")
    parser.add_argument("--against", type=Path, help="another export of the same weights")
    parser.add_argument("--profile", action="store_true", help="of one thread, by operator")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.profile:
        profile(args.model or PROJECT / "models" / "alise-s2")
        return
    if args.against:
        compare(args.model or PROJECT / "models" / "alise-s2", args)
        return

    eager, _ = load_alise(CHECKPOINT)
    eager = eager.eval()
    encoder = encoder_of(eager, args.threads)
    peer = malice_session(args.malice, args.threads) if args.malice else None
    matrix = torch.randn(MATRIX, MATRIX)
    print("thousand pixels x dates a second; ratios of ours to the peer; limit: matrix products")
    print("| T | H = W | ours | PyTorch eager | ratio | MALICE-S2 | ratio | limit | share of it |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for shape in args.shapes:
        dates, size = map(int, shape.split("x"))
        rng = np.random.default_rng(0)
        reflectance = rng.uniform(0, 0.5, (dates, 10, size, size)).astype(np.float32)
        days = 2000 + 6 * np.arange(dates, dtype=np.float32)
        runs: dict[str, Callable[[], Any]] = {
            "ours": lambda r=reflectance, d=days: encoder.encode(r, d),
            "eager": lambda r=reflectance, d=days: run_eager(eager, r, d),
            "limit": lambda: [matrix @ matrix for _ in range(PRODUCTS)],
        }
        if peer is not None:
            runs["malice"] = lambda r=reflectance, d=days: run_malice(peer, r, d)
        runs["eager"]()  # The first run of PyTorch in a process is sometimes 5e-4 off; no other is.
        difference = np.abs(runs["ours"]() - np.asarray(runs["eager"]())[0]).max()
        if difference > 1e-4:
            raise SystemExit(f"the encoder and PyTorch differ by {difference:.1e}")
        seconds = alternate(runs, args.repeats)
        work = dates * size * size
        rate = {name: work / value / 1e3 for name, value in seconds.items()}
        limit = PRODUCTS * 2 * MATRIX**3 / seconds["limit"]
        share = flops_per_pixel_date(dates) * rate["ours"] * 1e3 / limit
        malice = f"{rate['malice']:.0f} | {rate['ours'] / rate['malice']:.2f}" if peer else "- | -"
        print(
            f"| {dates} | {size} | {rate['ours']:.0f} | {rate['eager']:.0f} "
            f"| {rate['ours'] / rate['eager']:.2f} | {malice} "
            f"| {limit / 1e9:.0f} GFLOP/s | {100 * share:.0f} % |",
            flush=True,
        )


def compare(model: Path, args: argparse.Namespace) -> None:
    """Print two packages side by side: is an export faster?"""
    folders = (model, args.against)
    encoders = {str(path): load_encoder(path, "cpu", args.threads) for path in folders}
    for shape in args.shapes:
        dates, size = map(int, shape.split("x"))
        rng = np.random.default_rng(0)
        reflectance = rng.uniform(0, 0.5, (dates, 10, size, size)).astype(np.float32)
        days = 2000 + 6 * np.arange(dates, dtype=np.float32)
        found = [encoder.encode(reflectance, days) for encoder in encoders.values()]
        runs = {
            name: lambda e=encoder, r=reflectance, d=days: e.encode(r, d)
            for name, encoder in encoders.items()
        }
        seconds = alternate(runs, args.repeats)
        rates = {name: dates * size**2 / value / 1e3 for name, value in seconds.items()}
        first, second = rates.values()
        print(
            f"{shape}: {rates}, ratio {second / first:.2f}, "
            f"largest difference {np.abs(found[0] - found[1]).max():.1e}",
            flush=True,
        )


def profile(folder: Path, dates: int = 30, size: int = 128) -> None:
    """Share of the time of each operator of the two graphs, in calls as the encoder makes them."""
    package = load_package(folder)
    rng = np.random.default_rng(0)
    pixels = TEMPORAL_ROWS["cpu"] // dates
    image = rng.normal(size=(1, 10, size, size)).astype(np.float32)
    # Features of images, not random ones: they spread the scores of attention much further.
    images = rng.normal(size=(dates, 10, 16, 16)).astype(np.float32)
    spatial = onnxruntime.InferenceSession(package.graph("spatial.onnx"))
    # As the encoder's threads do; the first session of a process sets its thread back.
    flush_subnormals()
    features = spatial.run(None, {"image": images})[0].reshape(dates, -1, package.d_model)
    calls = {
        "spatial.onnx": {"image": image},
        "temporal.onnx": {
            "features": np.ascontiguousarray(features[:, :pixels].transpose(1, 0, 2)),
            "days": 2000 + 6 * np.arange(dates, dtype=np.float32),
            "valid": np.ones((pixels, dates), bool),
        },
    }
    work = {"spatial.onnx": size * size, "temporal.onnx": pixels * dates}
    limit = matrix_product_flops()
    print(f"one thread; matrix products, float32: {limit / 1e9:.0f} GFLOP/s")
    for name, inputs in calls.items():
        with tempfile.TemporaryDirectory() as temporary:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.enable_profiling = True
            options.profile_file_prefix = f"{temporary}/profile"
            session = onnxruntime.InferenceSession(package.graph(name), options)
            repeats = max(3, 100_000 // work[name])
            start = time.process_time()
            for _ in range(repeats):
                session.run(None, inputs)
            seconds = (time.process_time() - start) / repeats
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        spent: dict[str, float] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                operator = event["args"]["op_name"]
                spent[operator] = spent.get(operator, 0.0) + event["dur"]
        total = sum(spent.values())
        parts = [
            f"{operator} {100 * share / total:.0f} %"
            for operator, share in sorted(spent.items(), key=lambda item: -item[1])
            if share > 0.01 * total
        ]
        flops = dict(zip(calls, flops_of_parts(dates)))[name]
        rate = work[name] / seconds
        print(
            f"{name}: {rate / 1e3:.0f} thousand pixels x dates a second, "
            f"{flops * rate / 1e9:.0f} GFLOP/s, {100 * flops * rate / limit:.0f} % of the limit; "
            + ", ".join(parts)
        )


def alternate(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return median seconds of each, run in turns; the first round warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def encoder_of(model: Alise, threads: int) -> Encoder:
    """Return the plugin's encoder with the weights of `model`."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "bench"
        statistics = np.stack([EUROPE.median, EUROPE.q05, EUROPE.q95])
        write_package(model, package, name="bench", version="0", statistics=statistics, card="")
        return load_encoder(package, "cpu", threads)


def run_eager(model: Alise, reflectance: np.ndarray, days: np.ndarray) -> torch.Tensor:
    """Return the straightforward way: the whole series through the PyTorch module."""
    image = normalise(torch.from_numpy(reflectance))[None]
    observed = torch.ones(image.shape[0], image.shape[1], *image.shape[3:], dtype=torch.bool)
    with torch.inference_mode():
        return model(image, torch.from_numpy(days)[None], observed)


def malice_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return the peer's published graph with as many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def run_malice(
    session: onnxruntime.InferenceSession, reflectance: np.ndarray, days: np.ndarray
) -> None:
    """Run the peer on the same series."""
    padding = np.zeros((1, len(days)), bool)
    session.run(None, {"sits": reflectance[None], "tpe": days[None], "padd_mask": padding})


def matrix_product_flops(repeats: int = 5) -> float:
    """Return best rate of float32 matrix products of one thread, in FLOP/s of its CPU time."""
    torch.set_num_threads(1)
    matrix = torch.randn(MATRIX, MATRIX)
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        matrix @ matrix
        best = min(best, time.process_time() - start)
    return 2 * MATRIX**3 / best


def flops_per_pixel_date(dates: int) -> float:
    """Return multiplications and additions of the bundled architecture, for one pixel and date."""
    return sum(flops_of_parts(dates))


def flops_of_parts(dates: int) -> tuple[float, float]:
    """Return the same for the spatial and for the temporal graph."""
    model = untrained("bundled")
    size = 64
    total = 0.0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], out: object) -> None:
        nonlocal total
        assert isinstance(out, torch.Tensor)
        weight = module.weight
        # Every weight works once for each place of the smaller side of the layer.
        image = inputs[0] if isinstance(module, torch.nn.ConvTranspose2d) else out
        places = image[0, 0].numel() if image.dim() == 4 else 0
        total += 2 * weight.numel() * places

    for module in model.spatial.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        model.spatial(torch.zeros(1, 10, size, size))
    spatial = total / size**2
    config = model.config
    linear = 4 * config.d_model**2 + 2 * config.d_model * config.hidden
    attention = 2 * dates * config.d_model
    return spatial, 2 * config.layers * (linear + attention)


if __name__ == "__main__":
    main()
