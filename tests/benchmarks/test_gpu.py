"""The script that measures on a GPU, run without one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        cwd=ROOT,
    )


def test_where_there_is_no_cuda_it_says_so_in_a_sentence():
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    found = run()
    assert found.returncode == 2
    assert found.stdout.count("\n") == 1
    assert "no cuda" in found.stdout
    assert not found.stderr


def test_on_the_cpu_provider_it_runs_to_its_end(tmp_path):
    pytest.importorskip("onnx")
    found = run(
        "--device", "cpu", "--dates", "2", "--sides", "16", "--repeats", "1", "--size", "64"
    )
    assert found.returncode == 0, found.stderr
    text = found.stdout
    assert "no figure below is a GPU's" in text
    for precision in ("float32", "float16"):
        for way in ("bound", "over the host"):
            assert f"{precision}, {way}: " in text
            assert f"T 2, 16 px, {precision}, {way}: " in text
        assert f"limit, {precision} matrix products of 64: " in text
        assert f"temporal.onnx, {precision}, " in text
    assert "WRONG" not in text


def test_a_wrong_result_ends_with_an_error(monkeypatch):
    """The check does tell a wrong offset from rounding."""
    from alise_plugin.model.device_memory import DeviceFeatures
    from alise_plugin.model.encoder import Encoder
    from alise_plugin.model.package import load_package
    from benchmarks import gpu

    package = load_package(ROOT / "models" / "alise-s2")
    encoders = {"bound": Encoder(package, "cpu", 1, bound=True)}
    assert gpu.check(package, encoders)
    rows = DeviceFeatures.rows
    monkeypatch.setattr(
        DeviceFeatures, "rows", lambda self, dates, pixels: rows(self, dates, np.roll(pixels, 1))
    )
    assert not gpu.check(package, encoders)
