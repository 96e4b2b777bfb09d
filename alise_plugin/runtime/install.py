"""Install onnxruntime and scikit-learn for QGIS's Python, into the user's profile.

Without dependencies: onnxruntime needs NumPy only, and a second NumPy beside QGIS's own is what
breaks such plugins most often. Packages go to a staging folder, are tried there in a process
of their own, and only then take the final name.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import Cancelled, OutputError, RuntimeMissingError
from . import location
from .interpreter import SAFE_PATH, empty_folder, find_python, no_window

VARIANTS = ("cpu", "cuda")
DISTRIBUTION = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}


def is_complete(variant: str) -> bool:
    """Return whether onnxruntime, in this variant, and scikit-learn can be imported already."""
    try:
        importlib.metadata.version(DISTRIBUTION[variant])
    except importlib.metadata.PackageNotFoundError:
        return False
    return _starts("onnxruntime") and _starts("sklearn")


def _starts(package: str) -> bool:
    try:
        importlib.import_module(package)
    except Exception:  # whatever a broken binary package raises while it is imported
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]  # they would be mixed with those of another installation
        return False
    return True


def scikit_learn_requirements(folder: Path) -> list[str]:
    """Return what pip must fetch for scikit-learn; nothing where QGIS's Python has it.

    Args:
        folder: the runtime's, which the installation replaces and which therefore does not count.
    """
    elsewhere = [entry for entry in sys.path if entry != str(folder)]
    if importlib.machinery.PathFinder.find_spec("sklearn", elsewhere) is not None:
        return []
    return [_for_this_numpy("scikit-learn")]


def unmet_requirements(staging: Path, folder: Path) -> list[str]:
    """Return what the packages in `staging` need, and neither they nor QGIS's Python have.

    Never NumPy, which QGIS has, and nothing for onnxruntime, which runs with NumPy alone.

    Args:
        staging: where packages were just installed.
        folder: the runtime's, which does not count, see `scikit_learn_requirements`.
    """
    path = [str(staging), *(entry for entry in sys.path if entry != str(folder))]
    installed = {
        _plain(d.metadata["Name"] or "") for d in importlib.metadata.distributions(path=path)
    }
    installed.add("numpy")
    unmet = {}
    for distribution in importlib.metadata.distributions(path=[str(staging)]):
        if distribution.metadata["Name"] in DISTRIBUTION.values():
            continue
        for requirement in distribution.requires or []:
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            name = _plain(match.group() if match else "")
            if name not in installed and "extra ==" not in requirement:
                unmet[name] = _for_this_numpy(requirement)
    return list(unmet.values())


def _plain(name: str) -> str:
    """Return a distribution's name as the packaging rules compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _for_this_numpy(requirement: str) -> str:
    """Limit a requirement to the last releases that work with the NumPy 1 of an older QGIS."""
    if int(np.__version__.split(".")[0]) >= 2:
        return requirement
    last = {"scikit-learn": "scikit-learn<1.8", "scipy": "scipy<1.16"}
    return next((text for name, text in last.items() if requirement.startswith(name)), requirement)


def cuda_requirements(staging: Path) -> list[str]:
    """Return the CUDA and cuDNN packages that the onnxruntime-gpu in `staging` asks for."""
    found = importlib.metadata.distributions(path=[str(staging)])
    requires = [r for d in found for r in d.requires or [] if re.search(r"extra == .cud", r)]
    return list(dict.fromkeys(r.split(";")[0].strip() for r in requires))


def install_runtime(
    profile: Path,
    variant: str = "cpu",
    *,
    info: Callable[[str], None] = lambda text: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Install the runtime into the user's profile and make it importable in this process.

    Does nothing when it is complete.

    Args:
        profile: folder of the QGIS user profile.
        variant: "cpu", or "cuda" for onnxruntime-gpu with its CUDA and cuDNN packages.
        info: receives pip's lines.
        cancelled: asked several times a second.

    Returns:
        The folder of the packages for this Python version.

    Raises:
        RuntimeMissingError: no pip, no network, or packages that do not import here.
        OutputError: the profile cannot be written.
        Cancelled: `cancelled` said so; an earlier installation is still there.
    """
    folder = location.runtime_folder(profile)
    location.activate(folder)
    if is_complete(variant):
        info(f"{DISTRIBUTION[variant]} and scikit-learn are there already.")
        return folder
    python = find_python()
    staging = folder.with_name(folder.name + ".new")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"The folder {staging} cannot be written ({error.strerror}): make the QGIS user "
            "profile writable, then try again."
        ) from error
    try:
        _fill(staging, folder, python, variant, info, cancelled)
        _put_in_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    location.activate(folder)
    return folder


def _fill(
    staging: Path,
    folder: Path,
    python: Path,
    variant: str,
    info: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Fetch the packages into `staging` and try to import them."""

    def pip(*arguments: str) -> None:
        options = ["--target", str(staging), "--only-binary", ":all:", "--no-input"]
        options += ["--disable-pip-version-check", "--no-warn-script-location"]
        command = [str(python), "-m", "pip", "install", *options, *arguments]
        output = _run(command, {"PIP_USER": "0"}, info, cancelled)
        if output is not None:
            raise RuntimeMissingError(
                f"pip could not install {DISTRIBUTION[variant]} ({_reason(output)}): check the "
                "network connection or the proxy settings, then try again."
            )

    pip("--no-deps", DISTRIBUTION[variant], *scikit_learn_requirements(folder))
    asked: set[str] = set()
    # Not left to pip, which would follow the same requirements to a NumPy of its own. What pip
    # skips, because it is for another Python, is asked for once.
    while needed := [r for r in unmet_requirements(staging, folder) if r not in asked]:
        pip("--no-deps", *needed)
        asked.update(needed)
    if variant == "cuda":
        # These packages need each other and nothing else, so pip may follow their dependencies.
        pip(*cuda_requirements(staging))
    numpy_parent = str(Path(np.__file__).parents[1])
    script = (
        f"import sys; sys.path[:0] = [{str(staging)!r}]; sys.path.append({numpy_parent!r})\n"
        "import onnxruntime, sklearn"
    )
    output = _run([str(python), "-c", script], {}, info, cancelled)
    if output is not None:
        raise RuntimeMissingError(
            f"The packages were fetched, but do not work with NumPy {np.__version__} of this QGIS "
            f"({_reason(output)}): update QGIS, then try again."
        )


def _reason(output: list[str]) -> str:
    """Return the line of a failed command that says most."""
    errors = [line for line in output if "error" in line.lower()]
    return (errors or output or ["no message"])[-1].strip()


def _run(
    command: list[str],
    variables: dict[str, str],
    info: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> list[str] | None:
    """Run a command, pass its lines on, stop it on request; return its output if it failed."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read(stream: IO[str]) -> None:
        for line in stream:
            lines.put(line.rstrip())
        lines.put(None)

    output: list[str] = []
    with (
        empty_folder() as empty,
        subprocess.Popen(  # nosec B603  # no shell
            command,
            cwd=empty,
            env={**os.environ, **SAFE_PATH, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            creationflags=no_window(),
        ) as process,
    ):
        assert process.stdout is not None  # nosec B101  # narrows a type
        reader = threading.Thread(target=read, args=(process.stdout,), daemon=True)
        reader.start()
        while True:
            if cancelled():
                process.kill()
                reader.join()
                raise Cancelled("The installation was stopped; what was there before is unchanged.")
            try:
                line = lines.get(timeout=0.2)
            except queue.Empty:
                continue
            if line is None:
                break
            output.append(line)
            if line.strip():
                info(line)
    return output if process.returncode != 0 else None


def _put_in_place(staging: Path, folder: Path) -> None:
    """Give `staging` the name `folder`; an older folder goes, or stays if that fails."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    try:
        if folder.exists():
            folder.rename(old)
        staging.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise OutputError(
            f"The folder {folder} is in use ({error.strerror}): restart QGIS and run this "
            "algorithm again before any other of ALISE."
        ) from error
    shutil.rmtree(old, ignore_errors=True)
