"""Pages for readers: they build without a warning, and what is generated is current."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import reference_pages

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def build(folder, config=ROOT / "mkdocs.yml"):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]
    return subprocess.run([*command, "-d", str(folder)], capture_output=True, text=True)


def dead_links(page):
    links = [link for link in LINK.findall(page.read_text()) if not link.startswith("https:")]
    return [link for link in links if not (page.parent / link).exists()]


def test_the_docs_build_without_a_warning_and_open_without_a_network(tmp_path):
    pytest.importorskip("mkdocs")
    done = build(tmp_path / "html")
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "html").rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text()
        assert "<script" not in text, page
        assert not re.search(r'(src|<link[^>]* href)="(https?:|/)', text), page


def test_a_page_that_nobody_reaches_fails_the_build(tmp_path):
    pytest.importorskip("mkdocs")
    (tmp_path / "docs" / "theme").mkdir(parents=True)
    (tmp_path / "docs" / "theme" / "main.html").write_text("{{ page.content }}")
    (tmp_path / "docs" / "index.md").write_text("# Start")
    config = re.sub(r"(?s)\nnav:.*", "\nnav: [index.md]\n", (ROOT / "mkdocs.yml").read_text())
    (tmp_path / "mkdocs.yml").write_text(config)
    assert build(tmp_path / "html", tmp_path / "mkdocs.yml").returncode == 0
    (tmp_path / "docs" / "lost.md").write_text("# Lost")
    assert build(tmp_path / "html", tmp_path / "mkdocs.yml").returncode != 0


def test_links_of_the_readme_lead_somewhere(tmp_path):
    assert not dead_links(ROOT / "README.md")
    page = tmp_path / "page.md"
    page.write_text("[this](page.md) [that](gone.md) ![it](https://example.org)")
    assert dead_links(page) == ["gone.md"]


def test_reference_pages_are_those_of_the_operations():
    """After a change of an operation: python -m scripts.reference_pages."""
    written = {page.name: page.read_text() for page in (DOCS / "reference").glob("*.md")}
    assert written == reference_pages.reference_pages()


def test_every_parameter_and_output_is_in_the_reference():
    for name, operation in reference_pages.OPERATIONS.items():
        page = (DOCS / "reference" / f"{name}.md").read_text()
        for one in (*operation.parameters, *operation.outputs):
            assert f"| `{one.name}` |" in page, (name, one.name)


def test_every_decision_is_listed_with_its_reason():
    index = (DOCS / "decisions" / "index.md").read_text()
    for page in (DOCS / "decisions").glob("*.md"):
        if page.name != "index.md":
            assert f"({page.name})" in index
            assert "## Why" in page.read_text()


def test_the_changelog_begins_with_what_the_version_is():
    versions = re.findall(r"^## (\S+)", (DOCS / "changelog.md").read_text(), re.MULTILINE)
    now = re.search(r"^version=(.*)$", (ROOT / "metadata.txt").read_text(), re.MULTILINE)[1]
    assert versions[:2] == ["Unreleased", now]
    assert versions[-1] == "0.1.0"


def test_the_readme_is_short_and_begins_with_the_demo():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 110
    commands = [line for line in text.splitlines() if line.startswith("bash ")]
    assert [line.split("#")[0].split() for line in commands[:2]] == [
        ["bash", "scripts/demo.sh"],
        ["bash", "scripts/test.sh"],
    ]
