"""Styles beside rasters and polygons, so that QGIS shows them with a legend (its QML format)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr  # nosec B406  # only quotes text

from ...model.heads.class_head import MapClass
from ...whole_files import write_text

_VIRIDIS = ("#440154", "#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#fde725")


_RASTER, _VECTOR = b"<rasterrenderer", b"<renderer-v2"  # what a QML file has for each


def style_path(path: str | os.PathLike[str]) -> str:
    """Return where QGIS looks for the style of a file."""
    return os.path.splitext(os.fspath(path))[0] + ".qml"


def class_style(classes: Sequence[MapClass]) -> str:
    """Return the legend of a class raster."""
    entries = "".join(
        f'<paletteEntry value="{item.code}" color="{item.color}" alpha="255" '
        f"label={quoteattr(item.name)}/>"
        for item in classes
    )
    return (
        '<pipe><rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">'
        f"<colorPalette>{entries}</colorPalette></rasterrenderer></pipe>"
    )


def ramp_style(band: int, low: float, high: float) -> str:
    """Return one band of a raster in colours that look evenly apart (viridis).

    Args:
        band: its number, from 1 on.
        low, high: values of the first and the last colour; those outside have the same.
    """
    if high <= low:  # a raster of one value
        high = low + max(1e-9, 1e-6 * abs(low))
    entries = ""
    for number, color in enumerate(_VIRIDIS):
        value = low + (high - low) * number / (len(_VIRIDIS) - 1)
        entries += f'<item value="{value:.9g}" color="{color}" alpha="255" label="{value:.3g}"/>'
    return (
        f'<pipe><rasterrenderer type="singlebandpseudocolor" band="{band}" opacity="1" '
        f'alphaBand="-1" classificationMin="{low:.9g}" classificationMax="{high:.9g}">'
        '<rastershader><colorrampshader colorRampType="INTERPOLATED" classificationMode="1" '
        f'clip="0" minimumValue="{low:.9g}" maximumValue="{high:.9g}">{entries}</colorrampshader>'
        "</rastershader></rasterrenderer></pipe>"
    )


def color_style(bands: Sequence[int], high: float) -> str:
    """Return three bands of a raster as red, green and blue.

    Args:
        bands: numbers of the bands, from 1 on.
        high: value of full brightness; 0 is black.
    """
    names = ("red", "green", "blue")
    shown = " ".join(f'{name}Band="{band}"' for name, band in zip(names, bands))
    stretch = "".join(
        f"<{name}ContrastEnhancement><minValue>0</minValue><maxValue>{high:g}</maxValue>"
        f"<algorithm>StretchToMinimumMaximum</algorithm></{name}ContrastEnhancement>"
        for name in names
    )
    return (
        f'<pipe><rasterrenderer type="multibandcolor" opacity="1" alphaBand="-1" {shown}>'
        f"{stretch}</rasterrenderer></pipe>"
    )


def polygon_style(classes: Sequence[MapClass], field: str) -> str:
    """Return the legend of class polygons.

    Args:
        classes: by code.
        field: that holds the code.
    """
    categories, symbols = [], []
    for number, item in enumerate(classes):
        red, green, blue = item.rgb
        categories.append(
            f'<category symbol="{number}" value="{item.code}" label={quoteattr(item.name)} '
            'type="long" render="true"/>'
        )
        options = f'<Option type="QString" name="color" value="{red},{green},{blue},255"/>'
        options += '<Option type="QString" name="outline_width" value="0.1"/>'
        symbols.append(
            f'<symbol type="fill" name="{number}" alpha="1" clip_to_extent="1">'
            f'<layer class="SimpleFill" enabled="1" pass="0" locked="0">'
            f'<Option type="Map">{options}</Option></layer></symbol>'
        )
    return (
        f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(field)} enableorderby="0" '
        f'forceraster="0" symbollevels="0"><categories>{"".join(categories)}</categories>'
        f"<symbols>{''.join(symbols)}</symbols></renderer-v2>"
    )


def write_style(path: str | os.PathLike[str], content: str) -> None:
    """Write the style of a raster or vector file beside it.

    The style of a vector file stays where a raster of that name gets one, and the other way round.

    Args:
        path: the file that it is of.
        content: of the functions above; that of a raster and that of polygons may stand together.

    Raises:
        OutputError: the folder does not take it.
    """
    final = style_path(path)
    header = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    text = f'{header}<qgis version="3.22.0" styleCategories="Symbology">{content}</qgis>'
    if _may_replace(final, _kinds_in(text.encode())):
        write_text(final, text)


def move_style(style: str, final: str) -> None:
    """Give a style file its name, unless a style of the other kind of layer has it.

    Raises:
        OSError: it cannot be moved.
    """
    if _may_replace(final, _kinds(style)):
        os.replace(style, final)


def _may_replace(final: str, kinds: set[bytes]) -> bool:
    """Return whether the style file of a name is not there, or is of the same kind of layer."""
    existing = _kinds(final)
    return not existing or bool(existing & kinds)


def _kinds(style: str) -> set[bytes]:
    """Return the kinds of layers that a style file is for; none if there is no such file."""
    with contextlib.suppress(OSError), open(style, "rb") as file:
        return _kinds_in(file.read())
    return set()


def _kinds_in(content: bytes) -> set[bytes]:
    return {kind for kind in (_RASTER, _VECTOR) if kind in content}


def remove_raster_style(path: str | os.PathLike[str]) -> None:
    """Remove the style of the raster that had this name before; that of a vector file stays."""
    with contextlib.suppress(OSError):
        if _RASTER in _kinds(style_path(path)):
            os.remove(style_path(path))
