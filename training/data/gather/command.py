"""`python -m training gather`: one folder of series that a model can train on or be measured on.

Nothing is downloaded: clone the repositories and name their folders. Files are read from git, so
that those which a repository no longer has are found in its history.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from training.files import write_file

from . import scenes, tables, tibbles, worldcereal
from .samples import GatheredSet, GatherError
from .sources import SOURCES, Source

READERS: dict[str, Callable[[Source, list[Path]], list[GatheredSet]]] = {
    "rows": worldcereal.rows,
    "columns": worldcereal.columns,
    "cube": worldcereal.cube,
    "scenes": scenes.scenes,
    "force": tables.force,
    "plots": tables.plots,
    "tibbles": tibbles.tibbles,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--repositories", type=Path, nargs="+", required=True, metavar="FOLDER",
        help="clones of " + ", ".join(sorted({source.repository for source in SOURCES})),
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("runs/places"), help="folder to write")


def run(args: argparse.Namespace) -> int:
    """Write what is found, with an index, and say what is not there.

    Raises:
        GatherError: nothing is there, or a file is not what it should be.
    """
    sets: list[tuple[Source, GatheredSet]] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            files = copied(source, args.repositories, Path(folder) / source.site)
            if files:
                sets += [(source, one) for one in READERS[source.form](source, files)]
            else:
                print(
                    f"{source.site}: none of the folders has {source.path} of {source.repository}"
                )
    if not sets:
        raise GatherError(
            f"None of the repositories is in {', '.join(map(str, args.repositories))}: clone "
            f"https://github.com/{SOURCES[0].repository} and name its folder."
        )
    # Without an index nobody takes half of the files for all of them.
    (args.out / "index.json").unlink(missing_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    index = []
    for source, one in sets:
        file = f"{one.site}.npz"
        np.savez_compressed(args.out / file, **one.arrays)
        index.append(
            {
                "file": file, "site": one.site, "bands": one.bands, "use": source.use,
                "source": f"{source.repository} ({source.path})", "licence": source.licence,
            }
        )  # fmt: skip
        arrays = one.arrays
        count = len(arrays["offset"]) - 1 if "offset" in arrays else arrays["clear"][0].size
        dates = len(arrays["dates"])
        print(f"{one.site}: {count} pixels, {dates} dates, {len(one.bands)} bands, {source.use}")
    write_file(args.out / "index.json", json.dumps(index, indent=1).encode())
    return 0


def copied(source: Source, clones: list[Path], folder: Path) -> list[Path]:
    """Return the files of a source from the first clone that has them, by name."""
    for clone in clones:
        listed = _git(clone, "ls-tree", "-r", "-z", "--name-only", source.commit)
        if listed is None:
            continue
        names = [name for name in listed.decode().split("\0") if fnmatchcase(name, source.path)]
        contents = [_git(clone, "show", f"{source.commit}:{name}") for name in sorted(names)]
        files = []
        folder.mkdir(exist_ok=True)
        for number, (name, content) in enumerate(zip(sorted(names), contents, strict=True)):
            # A clone may lack large files.
            if content is not None:
                files.append(folder / f"{number:05d}_{Path(name).name}")
                files[-1].write_bytes(content)
        if files:
            return files
    return []


def _git(clone: Path, *arguments: str) -> bytes | None:
    """Return what git says of a clone; nothing if it fails."""
    done = subprocess.run(
        ["git", "-C", str(clone), *arguments], capture_output=True, check=False
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else None
