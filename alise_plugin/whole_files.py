"""Write files that appear under their name when they are complete, or not at all.

Every file of this project is written here, under a temporary name in the folder of its final one.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

from .errors import OutputError

# What an SQLite file (a GeoPackage) and a GDAL raster leave beside them if they are broken off.
_LEFT_BESIDE = ("", "-journal", "-wal", "-shm", ".aux.xml")


def temporary_name(path: str | os.PathLike[str], ending: str | None = None) -> str:
    """Return a new hidden name in the folder of `path`, for a file that will take its place.

    Args:
        path: the final name.
        ending: of the temporary name, for writers that choose a format by it; that of `path` if
            None.
    """
    folder, name = os.path.split(os.path.abspath(path))
    stem, own_ending = os.path.splitext(name)
    last = own_ending if ending is None else ending
    return os.path.join(folder, f".{stem}.{uuid.uuid4().hex[:8]}.partial{last}")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], ending: str | None = None) -> Iterator[str]:
    """Yield a temporary name; what is written there takes the name `path` when the block ends.

    After an exception inside the block nothing is left, and an older file of that name stays.

    Args:
        path: the final name.
        ending: see `temporary_name`.

    Raises:
        OutputError: the folder or the disk does not take the file; every OSError of the block is
            taken for that.
    """
    temporary = temporary_name(path, ending)
    try:
        yield temporary
        replace_file(temporary, path)
    except OSError as error:
        raise cannot_write(path, error.strerror) from error
    finally:
        for suffix in _LEFT_BESIDE:
            with contextlib.suppress(OSError):
                os.remove(temporary + suffix)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file.

    Raises:
        OutputError: the folder or the disk does not take it.
    """
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write a whole file of UTF-8 text.

    Raises:
        OutputError: the folder or the disk does not take it.
    """
    write_bytes(path, content.encode("utf-8"))


def replace_file(temporary: str, final: str | os.PathLike[str]) -> None:
    """Give a finished file its name, after the system has put its content on the disk.

    Raises:
        OSError: it cannot be moved; then everything is as before.
    """
    number = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
    os.replace(temporary, final)


def cannot_write(path: str | os.PathLike[str], reason: str | None) -> OutputError:
    """Return the error that says which file cannot be written, why, and what to do."""
    known = f" ({reason.strip().rstrip('.')})" if reason else ""
    return OutputError(
        f"{os.fspath(path)} cannot be written{known}; check that the folder is writable, that the "
        "disk has room and that no program holds the file."
    )
