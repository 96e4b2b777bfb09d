"""Speed of the encoder beside its peers: ratios measured in one run, alternating, medians.

    python scripts/bench.py [--model models/alise-s2] [--malice malice_s2.onnx] [--threads 2]

Side by side: the model package in onnxruntime, the same architecture in PyTorch eager, and, when
its path is given, the published MALICE-S2 encoder. Also the machine's own limit: how fast it
multiplies matrices, and which share of that the encoder reaches.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from alise_plugin.model.package import load_package  # noqa: E402
from training.export.command import untrained  # noqa: E402

SHAPES = ((30, 64), (60, 64), (30, 128), (60, 128))


def main() -> None:
    """Run every shape and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--malice", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    encoder = load_package(args.model).encoder("cpu", args.threads)
    # Speed does not depend on the weights, only on the architecture, which is the bundled one.
    eager = untrained("bundled")
    peer = malice_session(args.malice, args.threads) if args.malice else None
    limit = matrix_product_flops()
    print(f"matrix products, float32, {args.threads} threads: {limit / 1e9:.0f} GFLOP/s")
    print("thousand pixels x dates a second; ratios of ours to the peer")
    print("| T | H = W | ours | PyTorch eager | ratio | MALICE-S2 | ratio | share of limit |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for dates, size in SHAPES:
        rng = np.random.default_rng(0)
        reflectance = rng.uniform(0, 0.5, (dates, 10, size, size)).astype(np.float32)
        days = 2000 + 6 * np.arange(dates, dtype=np.float32)
        runs: dict[str, Callable[[], object]] = {
            "ours": lambda r=reflectance, d=days: encoder.encode(r, d),
            "eager": lambda r=reflectance, d=days: run_eager(eager, r, d),
        }
        if peer is not None:
            runs["malice"] = lambda r=reflectance, d=days: run_malice(peer, r, d)
        seconds = alternate(runs, args.repeats)
        work = dates * size * size
        rate = {name: work / value / 1e3 for name, value in seconds.items()}
        share = flops_per_pixel_date(dates) * rate["ours"] * 1e3 / limit
        malice = f"{rate['malice']:.0f} | {rate['ours'] / rate['malice']:.2f}" if peer else "- | -"
        print(
            f"| {dates} | {size} | {rate['ours']:.0f} | {rate['eager']:.0f} "
            f"| {rate['ours'] / rate['eager']:.2f} | {malice} | {100 * share:.0f} % |",
            flush=True,
        )


def alternate(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def run_eager(model: torch.nn.Module, reflectance: np.ndarray, days: np.ndarray) -> None:
    """The straightforward way: the whole series through the PyTorch module."""
    image = torch.from_numpy(reflectance)[None]
    observed = torch.ones(image.shape[0], image.shape[1], *image.shape[3:], dtype=torch.bool)
    with torch.no_grad():
        model(image, torch.from_numpy(days)[None], observed)


def malice_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The peer's published graph with as many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def run_malice(
    session: onnxruntime.InferenceSession, reflectance: np.ndarray, days: np.ndarray
) -> None:
    """The peer on the same series."""
    padding = np.zeros((1, len(days)), bool)
    session.run(None, {"sits": reflectance[None], "tpe": days[None], "padd_mask": padding})


def matrix_product_flops(size: int = 2048, repeats: int = 5) -> float:
    """Best rate of float32 matrix products on this machine, in FLOP/s."""
    a = torch.randn(size, size)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def flops_per_pixel_date(dates: int) -> float:
    """Multiplications and additions of the bundled architecture, for one pixel and date."""
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
    return spatial + 2 * config.layers * (linear + attention)


if __name__ == "__main__":
    main()
