"""Writes the reference pages of docs/: python -m scripts.reference_pages [folder]."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from alise_plugin.operations import parameters as kinds
from alise_plugin.operations.catalogue import OPERATIONS
from alise_plugin.operations.operation import Operation

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
_WRITTEN = "<!-- Written by `python -m scripts.reference_pages`; change the operation instead. -->"
# What the user gives for a kind of parameter; the kinds with limits or choices say those instead.
_GIVEN = {
    kinds.Text: "text",
    kinds.Words: "words",
    kinds.Dates: "dates, such as 2019-05-14",
    kinds.Day: "a date, such as 2019-05-14",
    kinds.Crs: "a CRS, such as EPSG:32633",
    kinds.Extent: "a rectangle: xmin, ymin, xmax, ymax",
    kinds.Rasters: "rasters",
    kinds.ClassRaster: "a class raster",
    kinds.Files: "files",
    kinds.Folder: "a folder",
    kinds.File: "a file",
    kinds.Labels: "polygons, points or rasters",
    kinds.Vector: "a vector layer",
    kinds.Field: "name of a field",
    kinds.FeatureOutput: "a vector file or table",
    kinds.LoginChoice: "a login that QGIS keeps",
}


def reference_pages() -> dict[str, str]:
    """Return the text of each page by its file's name."""
    pages = {f"{name}.md": _page(one) for name, one in OPERATIONS.items()}
    pages["index.md"] = "\n".join(_index())
    return pages


def _index() -> Iterator[str]:
    yield from (_WRITTEN, "", "# Reference", "")
    yield "Each operation is an algorithm of QGIS, a command and a call of Python, with the same"
    yield "parameters."
    yield "`alise:segment` in `qgis_process`, `alise segment` on the command line and"
    yield '`alise.run("segment", ...)` in Python do the same work.'
    group = ""
    for name, one in OPERATIONS.items():
        if one.group[1] != group:
            group = one.group[1]
            yield from ("", f"## {group}", "", "| operation | what it does |", "| --- | --- |")
        yield f"| [{one.title}]({name}.md) | {one.summary} |"
    yield ""


def _page(operation: Operation) -> str:
    return "\n".join(_lines(operation))


def _lines(operation: Operation) -> Iterator[str]:
    yield from (_WRITTEN, "", f"# {operation.title}", "", operation.summary, "")
    yield from (operation.help, "")
    yield f"`alise:{operation.name}` in QGIS, in the group *{operation.group[1]}*."
    yield "On the command line:"
    yield from ("", "```", f"alise {operation.name}{_required(operation)}", "```", "")
    inputs = [one for one in operation.parameters if not isinstance(one, kinds.FileOutput)]
    plain = [one for one in inputs if not (one.advanced or one.command_line_only)]
    yield from _table("Parameters", plain)
    yield from _table("Advanced parameters", [one for one in inputs if one.advanced])
    yield from _table("Command line only", [one for one in inputs if one.command_line_only])
    files = [one for one in operation.parameters if isinstance(one, kinds.FileOutput)]
    yield from _table("Files to write", files)
    if operation.outputs:
        yield from ("## Values returned", "", "| name | what it is |", "| --- | --- |")
        yield from (f"| `{one.name}` | {one.title} ({one.kind}) |" for one in operation.outputs)
        yield ""


def _required(operation: Operation) -> str:
    """Return the options that a command needs, each with a word for its value."""
    needed = [one for one in operation.parameters if one.required]
    return "".join(f" {one.option} {one.name}" for one in needed)


def _table(title: str, parameters: Sequence[kinds.Parameter]) -> Iterator[str]:
    if not parameters:
        return
    yield from (f"## {title}", "")
    yield from ("| name | option | give | what it does |", "| --- | --- | --- | --- |")
    for one in parameters:
        text = f"**{one.title}.** {one.help}".replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{one.name}` | `{one.option}` | {_given(one)} | {text} |"
    yield ""


def _given(parameter: kinds.Parameter) -> str:
    """Return what a user gives, with limits and default."""
    need = "; required" if parameter.required else ""
    if isinstance(parameter, kinds.Number):
        default = "" if parameter.default is None else f"; default {parameter.default:.10g}"
        return parameter.range_text + default + need
    if isinstance(parameter, kinds.Choice):
        words = ", ".join(f"`{one}`" for one in parameter.options)
        return f"one of {words}; default `{parameter.default}`"
    if isinstance(parameter, kinds.Switch):
        return f"yes or no; default {'yes' if parameter.default else 'no'}"
    suffixes = getattr(parameter, "suffixes", ())
    if suffixes:
        return "a file that ends in " + " or ".join(f"`{one}`" for one in suffixes) + need
    return _GIVEN[type(parameter)] + need


def main(folder: Path = FOLDER) -> None:
    """Write all pages, and remove those of operations that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = reference_pages()
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
