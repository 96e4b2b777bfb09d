"""Styles beside class maps, so that QGIS loads them with their legend (its QML format)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from ..errors import OutputError
from ..model.head import MapClass


def style_path(path: str | os.PathLike[str]) -> str:
    """Where QGIS looks for the style of a file."""
    return os.path.splitext(os.fspath(path))[0] + ".qml"


def write_raster_style(path: str | os.PathLike[str], classes: Sequence[MapClass]) -> None:
    """Write the legend of a class raster beside it.

    Raises:
        OutputError: the folder does not take it.
    """
    entries = "".join(
        f'<paletteEntry value="{item.code}" color="{item.color}" alpha="255" '
        f"label={quoteattr(item.name)}/>"
        for item in classes
    )
    _write(
        path,
        '<pipe><rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">'
        f"<colorPalette>{entries}</colorPalette></rasterrenderer></pipe>",
    )


def write_vector_style(
    path: str | os.PathLike[str], classes: Sequence[MapClass], field: str
) -> None:
    """Write the legend of class polygons beside them.

    Args:
        path: the vector file.
        classes: by code.
        field: that holds the code.

    Raises:
        OutputError: the folder does not take it.
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
    _write(
        path,
        f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(field)} enableorderby="0" '
        f'forceraster="0" symbollevels="0"><categories>{"".join(categories)}</categories>'
        f"<symbols>{''.join(symbols)}</symbols></renderer-v2>",
    )


def _write(path: str | os.PathLike[str], content: str) -> None:
    final = style_path(path)
    temporary = f"{final}.{uuid.uuid4().hex[:8]}.partial"
    header = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(
                f'{header}<qgis version="3.22.0" styleCategories="Symbology">{content}</qgis>'
            )
        os.replace(temporary, final)
    except OSError as error:
        raise OutputError(
            f"{final} cannot be written ({error.strerror}); choose another folder or make room."
        ) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
