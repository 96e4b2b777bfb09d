"""Checks of output files before a run begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from osgeo import gdal

from ...errors import OutputError
from ...sits.rasters import files_behind, quiet_gdal

_SAVED_STYLES = "layer_styles"  # where QGIS keeps the styles that a GeoPackage holds


def require_folder(path: str | os.PathLike[str]) -> None:
    """Raise OutputError, before any work is done, where a file cannot be put in its place."""
    final = os.path.abspath(path)
    if os.path.isdir(final):
        raise OutputError(f"{final} is a folder; give the output a name of its own.")
    folder = os.path.dirname(final)
    if not os.path.isdir(folder):
        raise OutputError(
            f"{os.fspath(path)} cannot be written because {folder} is not a folder; create it or "
            "choose another."
        )
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"{os.fspath(path)} cannot be written because {folder} does not allow it; choose "
            "another folder."
        )


def require_outputs(
    outputs: Iterable[str | os.PathLike[str] | None], inputs: Iterable[str | os.PathLike[str]]
) -> None:
    """Make sure, before any work is done, that outputs have a folder and overwrite no input.

    Args:
        outputs: files to be written; empty or None for one that is not asked for.
        inputs: files that the run reads. A VRT stands for the files behind it too.

    Raises:
        OutputError: a file has no folder to be written to, is also an input, or is asked for twice.
    """
    asked = [os.fspath(path) for path in outputs if path]
    for path in asked:
        require_folder(path)
    # The name of a layer may follow that of its file.
    sources = [os.fspath(path).partition("|layername=")[0] for path in inputs]
    read = {_identity(file) for path in sources if path for file in files_behind(path)}
    written: set[object] = set()
    for path in asked:
        identity = _identity(path)
        if identity in read:
            raise OutputError(
                f"{path} is also an input of this run; choose another name for the output."
            )
        if identity in written:
            raise OutputError(
                f"{path} is asked for as two outputs; give each output a name of its own."
            )
        written.add(identity)


def require_replaceable(path: str | os.PathLike[str], layer: str) -> None:
    """Make sure that a GeoPackage, which is written whole, takes no other layers with it.

    Args:
        path: the file.
        layer: the one that it may hold, of an earlier run.

    Raises:
        OutputError: it holds others.
    """
    found = None
    with quiet_gdal():
        if os.path.exists(path):
            found = gdal.OpenEx(os.fspath(path), gdal.OF_VECTOR)
    if found is None:
        return
    names = [found.GetLayer(index).GetName() for index in range(found.GetLayerCount())]
    others = [name for name in names if name not in (layer, _SAVED_STYLES)]
    if others:
        raise OutputError(
            f"{os.fspath(path)} holds other layers ({', '.join(others)}), which would be lost; "
            "choose another name for the output."
        )


def _identity(path: str) -> object:
    """Return equal for two names of one file."""
    with contextlib.suppress(OSError):
        state = os.stat(path)
        if state.st_ino:  # some file systems of Windows number nothing
            return state.st_dev, state.st_ino
    return os.path.normcase(os.path.realpath(path))
