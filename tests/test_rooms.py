"""The rooms keep apart: each imports only what stands below it (docs/architecture.md)."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "alise_plugin"
# Files that any room may import. They import one another, and nothing else of the plugin.
GROUND = {"errors", "arrays", "feedback", "sentinel2", "whole_files", "html_page", "xml_elements"}
# Floors from the ground up: a room imports itself, the ground, and the rooms named here.
BELOW = {
    "model": set(),
    "sits": set(),
    "mapping": {"model", "sits"},
    "operations": {"model", "sits", "mapping"},
    "cli": {"model", "sits", "mapping", "operations"},
    "runtime": set(),
    "algorithms": {"model", "sits", "mapping", "operations", "runtime"},
    "gui": {"model", "sits", "mapping", "operations", "algorithms", "runtime"},
}
ENTRIES = {"__init__", "__main__", "plugin", "provider"}  # what Python and QGIS start
# The rooms of mapping, in the order in which data flows.
MAPPING = (
    "rasters",
    "labels",
    "features",
    "samples",
    "scores",
    "embedding",
    "learning",
    "maps",
    "curves",
    "change",
    "accuracy",
)
QGIS = {"qgis", "processing", "PyQt5", "PyQt6"}
WITHOUT_QGIS = {"model", "sits", "mapping", "operations", "cli", "runtime", *GROUND}
FORBIDDEN = {"torch", "training", "PyQt5", "PyQt6", "rasterio", "cv2", "alise_plugin"}
MOST_LINES = 500


def imports(path, root=ROOT):
    """Dotted names that a file imports; relative ones are spelled from alise_plugin on."""
    names = set()
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            names |= {f"{stem}.{alias.name}" for alias in node.names}
            if not node.level:
                names.add(stem)
    return names


def arrows_up(path, root=ROOT):
    """What a file of the plugin imports that does not stand below it."""
    parts = path.relative_to(root / "alise_plugin").with_suffix("").parts
    room = parts[0]
    own = [name.split(".")[1:] for name in imports(path, root) if name.startswith("alise_plugin.")]
    wrong = []
    for target in own:
        if room in ENTRIES or target[0] in GROUND:
            continue
        if (
            room in GROUND
            or (target[0] != room and target[0] not in BELOW.get(room, set()))
            or (
                room == target[0] == "mapping"
                and len(parts) > 2
                and target[1] in MAPPING[MAPPING.index(parts[1]) + 1 :]
            )
        ):
            wrong.append(".".join(target))
    return wrong


FILES = sorted(PLUGIN.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_what_stands_below_it(path):
    assert not arrows_up(path)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_does_without_what_it_may_not_have(path):
    absolute = {n.split(".")[0] for n in imports(path) if not n.startswith("alise_plugin.")}
    assert not absolute & FORBIDDEN
    room = path.relative_to(PLUGIN).with_suffix("").parts[0]
    if room in WITHOUT_QGIS:
        assert not absolute & QGIS
    if room == "model":
        assert "osgeo" not in absolute


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_inside_the_plugin_are_relative(path):
    """The folder of the plugin has the name that the user gives it."""
    absolute = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and (node.module or "").startswith("alise_plugin")
    ]
    assert not absolute


def modules_imported(path):
    """Modules of the plugin that a file imports, also inside a function; not for types alone."""
    tree = ast.parse(path.read_text())
    known = {".".join(one.relative_to(ROOT).with_suffix("").parts) for one in FILES}
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for_types = {
        id(inner)
        for node in tree.body
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types or not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = ".".join(package[: len(package) - node.level + 1])
        stem = ".".join(part for part in (base, node.module) if part)
        found |= {stem} & known
        found |= {f"{stem}.{alias.name}" for alias in node.names} & known
    return found


def circle_in(graph):
    """The modules of a circle in a graph of modules to what each imports; none if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_one_another_in_a_circle():
    graph = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts): modules_imported(p) for p in FILES
    }
    assert sum(len(found) for found in graph.values()) > len(FILES)
    assert not circle_in(graph)


def test_a_circle_is_found():
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_no_longer_than_can_be_read_at_once(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_every_room_of_mapping_is_in_the_plan():
    rooms = {
        path.name for path in (PLUGIN / "mapping").iterdir() if (path / "__init__.py").exists()
    }
    assert rooms == set(MAPPING)
    assert [path.name for path in (PLUGIN / "mapping").glob("*.py")] == ["__init__.py"]


def test_training_knows_only_sits_model_and_the_ground_of_the_plugin():
    for path in sorted((ROOT / "training").rglob("*.py")):
        names = {n for n in imports(path) if n.startswith("alise_plugin")} - {"alise_plugin"}
        rooms = {name.split(".")[1] for name in names}
        assert rooms <= {"sits", "model", *GROUND}, path


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("sits/bad.py", "from ..mapping.rasters import form\n"),
        ("model/bad.py", "from ..sits.grid import Grid\n"),
        ("mapping/rasters/bad.py", "from ..change.detect import detect_change\n"),
        ("mapping/features/bad.py", "from ...operations import embed\n"),
        ("operations/bad.py", "from ..cli import main\n"),
        ("errors.py", "from .sits import grid\n"),
    ],
)
def test_the_rule_catches_an_arrow_up(tmp_path, place, text):
    bad = tmp_path / "alise_plugin" / place
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.write_text(text)
    assert arrows_up(bad, tmp_path)
