"""The rooms of the house keep apart: who may import whom (see README, Layout)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "alise_plugin"
FORBIDDEN_BY_ROOM = {
    "sits": {"qgis", "processing", "PyQt5", "PyQt6", "torch", "training", "onnxruntime"},
    "model": {"qgis", "processing", "PyQt5", "PyQt6", "torch", "training", "osgeo"},
    "mapping": {"qgis", "processing", "PyQt5", "PyQt6", "torch", "training"},
    "cli": {"qgis", "processing", "PyQt5", "PyQt6", "torch", "training"},
}
FORBIDDEN_IN_PLUGIN = {"torch", "training", "PyQt5", "PyQt6", "rasterio", "cv2", "alise_plugin"}
# What every room may import.
SHARED = {"errors", "html_page"}
# Which rooms a room may import besides.
ALLOWED_ROOMS = {
    "sits": {"sits"},
    "model": {"model"},
    "mapping": {"mapping", "sits", "model"},
    "cli": {"cli", "mapping", "sits", "model"},
    "runtime": {"runtime"},
}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports; relative ones are spelled from alise_plugin on."""
    names = set()
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
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


PLUGIN_FILES = sorted(PLUGIN.rglob("*.py"))


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_plugin_file_stays_in_its_room(path):
    names = imports(path)
    absolute = {name.split(".")[0] for name in names if not name.startswith("alise_plugin.")}
    assert not absolute & FORBIDDEN_IN_PLUGIN
    room = path.relative_to(PLUGIN).parts[0]
    assert not absolute & FORBIDDEN_BY_ROOM.get(room, set())
    if room in ALLOWED_ROOMS:
        rooms = {n.split(".")[1] for n in names if n.startswith("alise_plugin.")} - SHARED
        assert rooms <= ALLOWED_ROOMS[room]


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_inside_the_plugin_are_relative(path):
    tree = ast.parse(path.read_text())
    absolute = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and (node.module or "").startswith("alise_plugin")
    ]
    assert not absolute


def test_training_knows_only_sits_and_model_of_the_plugin():
    for path in sorted((ROOT / "training").rglob("*.py")):
        names = {n for n in imports(path) if n.startswith("alise_plugin")} - {"alise_plugin"}
        rooms = {name.split(".")[1] for name in names}
        assert rooms <= {"sits", "model", "errors"}, path


def test_the_rule_catches_what_it_forbids(tmp_path):
    bad = tmp_path / "alise_plugin" / "sits" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("import qgis.core\nfrom ..mapping import embed\n")
    global ROOT
    before, ROOT = ROOT, tmp_path
    try:
        names = imports(bad)
    finally:
        ROOT = before
    assert "qgis.core" in names
    assert "alise_plugin.mapping.embed" in names
