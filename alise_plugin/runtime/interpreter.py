"""Find the Python interpreter whose pip fits the Python that runs inside QGIS.

Inside QGIS `sys.executable` may be QGIS itself (Windows, macOS) or another Python that happens to
come first on the PATH (Linux), so candidates are asked for their version before they are believed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import RuntimeMissingError

# Python 3.11 and later then leave out the folder that they are started in, too.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}

_ASK = "import sys, platform; print(*sys.version_info[:2], platform.machine())"


def candidates() -> list[Path]:
    """Return the files that may be QGIS's Python, the most likely first, existing ones only."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = ("python.exe", "python3.exe") if sys.platform == "win32" else (f"python{version}",)
    # Windows has it in the prefix itself, Linux in bin, QGIS.app in MacOS or MacOS/bin.
    folders = [
        Path(prefix, *below)
        for prefix in dict.fromkeys((sys.base_prefix, sys.exec_prefix, sys.prefix))
        for below in ((), ("bin",), ("MacOS",), ("MacOS", "bin"))
    ]
    beside_qgis = Path(sys.executable).parent
    folders += [beside_qgis, beside_qgis / "bin"]
    found = [folder / name for folder in folders for name in (*names, "python3", "python")]
    if Path(sys.executable).name.lower().startswith("python"):
        found.append(Path(sys.executable))
    return list(dict.fromkeys(path for path in found if path.is_file()))


def run_hidden(command: list[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a short command without a console window (Windows) and without standard input."""
    with empty_folder() as empty:
        return subprocess.run(  # nosec B603  # no shell
            command,
            cwd=empty,
            env={**os.environ, **SAFE_PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            creationflags=no_window(),
        )


def empty_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder to start Python in, which looks for modules where it is started.

    A `platform.py` or `pip.py` in the user's project would be run otherwise. Not Python's isolated
    mode, which the Pythons of QGIS on Windows and macOS do not start in: they need PYTHONHOME.
    """
    return tempfile.TemporaryDirectory(prefix="alise-")


def no_window() -> int:
    """Return the `creationflags` that keep Windows from opening a console."""
    return int(getattr(subprocess, "CREATE_NO_WINDOW", 0))


def _answers(path: Path, arguments: list[str]) -> str | None:
    try:
        result = run_hidden([str(path), *arguments])
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def find_python() -> Path:
    """Return an interpreter of this Python's version and processor that has pip.

    Raises:
        RuntimeMissingError: there is none; the sentence names the one command that helps.
    """
    wanted = f"{sys.version_info.major} {sys.version_info.minor} {platform.machine()}"
    fitting = [path for path in candidates() if _answers(path, ["-c", _ASK]) == wanted]
    for path in fitting:
        if _answers(path, ["-m", "pip", "--version"]):
            return path
    if fitting:
        command = (
            "sudo apt install python3-pip"
            if Path("/etc/debian_version").is_file()
            else f'"{fitting[0]}" -m ensurepip --user'
        )
        raise RuntimeMissingError(
            f"QGIS's Python ({fitting[0]}) has no pip: run `{command}` in a terminal, "
            "then run this algorithm again."
        )
    raise RuntimeMissingError(
        f"No Python {sys.version_info.major}.{sys.version_info.minor} program was found beside "
        f"QGIS (looked under {sys.base_prefix}): install onnxruntime with the Python of QGIS by "
        "hand, then restart QGIS."
    )
