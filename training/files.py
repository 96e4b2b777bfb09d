"""What commands of `training` write: folders, and files whole or not at all."""

from __future__ import annotations

from pathlib import Path

from alise_plugin.errors import OutputError
from alise_plugin.whole_files import write_bytes


def make_folder(folder: Path) -> None:
    """Make a folder for what a command will write, before it takes hours to have something.

    Raises:
        OutputError: there cannot be such a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its folder is made if it is not there.

    Raises:
        OutputError: the folder or the disk does not take it.
    """
    make_folder(path.parent)
    write_bytes(path, content)
