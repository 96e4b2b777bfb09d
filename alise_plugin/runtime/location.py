"""Where the Python packages lie that QGIS does not have, and how they come into view.

They are kept in the user's profile and not in the plugin, so that an update of the plugin leaves
them alone; in one folder per Python version, because compiled packages fit only one, so that an
upgrade of QGIS finds an empty folder (and says so) and not packages that crash.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

# Packages of QGIS's own that must never come from our folder.
NEVER_SHADOW = ("numpy", "osgeo")


def python_tag() -> str:
    """Return the tag of this Python in the names of wheels, such as `cp311`."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def runtime_folder(profile: Path) -> Path:
    """Return the folder of the packages for this Python, in a QGIS user profile."""
    return profile / "python" / "alise_runtime" / python_tag()


def activate(folder: Path) -> bool:
    """Make the packages in `folder` importable and return whether they now are.

    The folder goes to the front, so that an onnxruntime for the GPU that the user installed here
    wins over another one; it is left out if it holds a package that would then hide QGIS's own.
    """
    if not folder.is_dir() or any((folder / name).exists() for name in NEVER_SHADOW):
        return False
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return True


def is_installed(package: str) -> bool:
    """Return whether `package` can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def other_pythons(profile: Path) -> list[str]:
    """Return the tags of other Python versions that a runtime was installed for."""
    parent = runtime_folder(profile).parent
    if not parent.is_dir():
        return []
    # A folder such as "cp314.new" is an installation that was broken off.
    tags = [p.name for p in parent.iterdir() if p.is_dir() and re.fullmatch(r"cp\d+", p.name)]
    return sorted(tag for tag in tags if tag != python_tag())


def missing_sentence(profile: Path, package: str = "onnxruntime") -> str:
    """Say in one sentence that a package is missing, why, and how to get it."""
    others = other_pythons(profile)
    since = f" (it is there for {', '.join(others)}, which QGIS no longer uses)" if others else ""
    return (
        f"The Python package {package} is not installed for {python_tag()}{since}: run "
        'the algorithm "Install runtime" (alise:installruntime) once, then try again.'
    )
