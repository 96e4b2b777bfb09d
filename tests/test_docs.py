"""Pages for readers: what they point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def dead_links(page):
    links = [link for link in LINK.findall(page.read_text()) if not link.startswith("https:")]
    return [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert not dead_links(page)


def test_every_page_is_linked_from_the_readme():
    linked = LINK.findall(PAGES[0].read_text())
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= set(linked)


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[this](page.md) [that](gone.md) ![it](https://example.org)")
    assert dead_links(page) == ["gone.md"]
