"""Files appear whole or not at all."""

import ast
import os
from pathlib import Path

import pytest

from alise_plugin.errors import Cancelled, OutputError
from alise_plugin.whole_files import whole_file, write_bytes, write_text

ROOT = Path(__file__).resolve().parents[1]


def test_an_older_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "map.csv"
    write_text(path, "old")
    with whole_file(path) as temporary:
        Path(temporary).write_text("ne")
        assert path.read_text() == "old"
        Path(temporary).write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["map.csv"]


@pytest.mark.parametrize("error", [Cancelled("stop"), ValueError("no"), KeyboardInterrupt()])
def test_after_an_exception_nothing_is_left(tmp_path, error):
    path = tmp_path / "polygons.gpkg"
    write_bytes(path, b"old")

    def write_half():
        with whole_file(path) as temporary:
            Path(temporary).write_bytes(b"half")
            Path(temporary + "-journal").write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["polygons.gpkg"]


def test_what_the_disk_refuses_is_said_with_the_name_of_the_file(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere.x\.txt cannot be written \(No such file"):
        write_text(tmp_path / "nowhere" / "x.txt", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder cannot be written"):
        write_text(tmp_path / "folder", "text")
    assert os.listdir(tmp_path) == ["folder"]


def test_writers_that_choose_a_format_by_the_ending_get_theirs(tmp_path):
    with whole_file(tmp_path / "a.dat", ".gpkg") as temporary:
        assert temporary.endswith(".partial.gpkg")
        Path(temporary).touch()


# Here a whole folder takes its name, a raster replaces its own temporary copy, and a style moves
# beside its raster.
_OTHERS = {
    "mapping/embedding/tile_files.py",
    "mapping/rasters/geotiff.py",
    "mapping/rasters/style.py",
}


def test_no_other_file_of_the_plugin_moves_files_to_their_name():
    found = set()
    for path in (ROOT / "alise_plugin").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("replace", "rename")
                and isinstance(node.value, ast.Name)
                and node.value.id == "os"
            ):
                found.add(path.relative_to(ROOT / "alise_plugin").as_posix())
    assert found - {"whole_files.py"} <= _OTHERS
