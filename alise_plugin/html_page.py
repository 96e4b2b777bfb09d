"""Self-contained HTML pages for reports: no script, no file beside them, nothing from the network.

Text that comes from a user (class names, paths) is escaped here, once.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70em; margin: 2em auto;
       padding: 0 1.5em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25em 0.8em; text-align: left;
         vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: 0.5em; } figcaption { font-size: 0.85em; color: #555; }
img { image-rendering: pixelated; }
.warning { color: #a33; }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """Return a whole page of a title and pieces made by the functions below."""
    name = escape(title)
    body = "\n".join(sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{name}</h1>\n{body}\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """Return a heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, warning: bool = False) -> str:
    """Return a paragraph; in another colour where it warns."""
    kind = ' class="warning"' if warning else ""
    return f"<p{kind}>{escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; numbers are aligned to the right, floats have three decimals."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = ["".join(_cell(value) for value in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def _cell(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return f'<td class="number">{value:.3f}</td>'
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f'<td class="number">{value}</td>'
    return f"<td>{escape(str(value))}</td>"


def picture(pixels: NDArray[np.uint8], caption: str = "", width: int | None = None) -> str:
    """Return a figure with the pixels inside it.

    Args:
        pixels: `(3 or 4, H, W)` red, green, blue and perhaps opacity.
        caption: what stands below.
        width: on the page, in CSS pixels; as many as the picture has if None.
    """
    data = base64.b64encode(_png(pixels)).decode("ascii")
    text = escape(caption, quote=True)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text}" '
        f'width="{width or pixels.shape[2]}"><figcaption>{text}</figcaption></figure>'
    )


def drawing(svg: str, caption: str = "") -> str:
    """Return a figure of SVG that the caller made (and escaped)."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    bands, height, width = pixels.shape
    memory = gdal.GetDriverByName("MEM").Create("", width, height, bands, gdal.GDT_Byte)
    memory.WriteRaster(0, 0, width, height, np.ascontiguousarray(pixels).tobytes())
    name = f"/vsimem/{uuid.uuid4().hex}.png"
    gdal.GetDriverByName("PNG").CreateCopy(name, memory)
    size = gdal.VSIStatL(name).size
    file = gdal.VSIFOpenL(name, "rb")
    data = bytes(gdal.VSIFReadL(1, size, file))
    gdal.VSIFCloseL(file)
    for path in (name, f"{name}.aux.xml"):
        if gdal.VSIStatL(path) is not None:  # Unlink of nothing raises in GDAL's exception mode
            gdal.Unlink(path)
    return data
