"""Typed parameters, from which those of QGIS, options and reference pages are made.

A parameter says what the user gives; `values` says what `run` of an operation gets for it. Limits
are checked here, for every front (`Parameter.problem`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GEOTIFF = (".tif", ".tiff")
GEOPACKAGE = (".gpkg",)
TABLE = (".csv",)
WEB_PAGE = (".html",)
ONNX = (".onnx",)
SERIES_VRT = (".vrt",)


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation.

    Attributes:
        name: upper case, as in QGIS scripts; `MINIMUM_AREA` is `--minimum-area` on the command
            line.
        title: label of the field in the dialog of QGIS.
        help: one or two full sentences for the tooltip, `--help` and the reference page.
        required: whether the operation cannot run without it.
        advanced: whether QGIS shows it under "Advanced parameters".
        command_line_only: whether QGIS does not offer it; `run` gets an empty text there.
    """

    name: str
    title: str
    help: str
    required: bool = False
    advanced: bool = False
    command_line_only: bool = False

    @property
    def option(self) -> str:
        """Return the name on the command line."""
        return "--" + self.name.lower().replace("_", "-")

    def problem(self, value: Any) -> str:
        """Return the sentence that says why a value is refused; an empty text if it is fine."""
        return ""


@dataclass(frozen=True)
class Number(Parameter):
    """A number; `run` gets an int or a float, or None if it is optional and was left empty.

    Attributes:
        default: what it is if nothing is given; None makes it optional.
        minimum, maximum: limits, both included.
        above: limit that is not included itself.
        integer: whether it is a whole number.
        optional: whether QGIS takes an empty field for the default.
    """

    default: float | None = 0
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    integer: bool = False
    optional: bool = False

    def problem(self, value: Any) -> str:
        """Return the sentence that says why a number is refused."""
        if value is None:
            return ""
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        fine = low <= value <= high and math.isfinite(value)
        if fine and (self.above is None or value > self.above):
            return ""
        return f"{self.name} is {value:g}; give {self.range_text}."

    @property
    def range_text(self) -> str:
        """Return the limits in words, such as "a number from 0 to 1"."""
        what = "a whole number" if self.integer else "a number"
        if self.above is not None:
            text = f"{what} above {self.above:.10g}"
            return text if self.maximum is None else f"{text} and up to {self.maximum:.10g}"
        if self.minimum is None:
            return what if self.maximum is None else f"{what} up to {self.maximum:.10g}"
        if self.maximum is None:
            return f"{what} from {self.minimum:.10g} up"
        return f"{what} from {self.minimum:.10g} to {self.maximum:.10g}"


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words; `run` gets the word.

    Attributes:
        options: the words, which scripts use.
        preferred: the default; the first word if it is empty.
        labels: what a dialog shows for each word, in a few words.
    """

    options: tuple[str, ...] = ()
    preferred: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def default(self) -> str:
        """Return the word that stands if none is given."""
        return self.preferred or self.options[0]

    def problem(self, value: Any) -> str:
        """Return the sentence that says which words there are."""
        if value in self.options:
            return ""
        return f'{self.name} is "{value}"; choose one of {", ".join(self.options)}.'


@dataclass(frozen=True)
class Switch(Parameter):
    """Yes or no; `run` gets a bool.

    Attributes:
        default: what it is if nothing is given. A switch that is on by default is turned off by
            `--no-name` on the command line.
    """

    default: bool = False


@dataclass(frozen=True)
class Text(Parameter):
    """A text; `run` gets it, empty if nothing was given."""


@dataclass(frozen=True)
class LoginChoice(Parameter):
    """An authentication configuration of QGIS, or the environment variable of a login.

    `run` gets a `Login`, or None if nothing was given.
    """


@dataclass(frozen=True)
class Words(Parameter):
    """Some words; `run` gets a list of them, empty if nothing was given."""


@dataclass(frozen=True)
class Dates(Parameter):
    """Several days; `run` gets a list of `date`, empty if nothing was given."""


@dataclass(frozen=True)
class Day(Parameter):
    """One day; `run` gets a `date`, or None if nothing was given."""


@dataclass(frozen=True)
class Crs(Parameter):
    """A coordinate reference system; `run` gets a text that GDAL reads, or None."""


@dataclass(frozen=True)
class Extent(Parameter):
    """A rectangle; `run` gets a `values.Extent`."""


@dataclass(frozen=True)
class Rasters(Parameter):
    """One raster or several; `run` gets a list of `values.Raster`.

    Attributes:
        products: whether a layer that shows a part of a product or cube stands for all of it.
        mostly_one: whether one raster is the rule; QGIS then offers a combo box.
    """

    products: bool = False
    mostly_one: bool = False


@dataclass(frozen=True)
class ClassRaster(Parameter):
    """One class raster; `run` gets a `values.Raster` with the legend of the layer's style."""


@dataclass(frozen=True)
class Files(Parameter):
    """Several files that need not be layers; `run` gets a list of paths."""


@dataclass(frozen=True)
class Folder(Parameter):
    """A folder; `run` gets its path, or an empty text."""


@dataclass(frozen=True)
class File(Parameter):
    """A file that is read; `run` gets its path.

    Attributes:
        suffixes: endings that a dialog offers.
    """

    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labels(Parameter):
    """Vector layers or rasters with classes or values; `run` gets a list of `values.Layer`.

    QGIS offers "Selected features only" beside it.
    """


@dataclass(frozen=True)
class Vector(Parameter):
    """One vector layer; `run` gets a `values.Layer`, or None if nothing was given.

    Attributes:
        geometries: of "polygon", "point".
    """

    geometries: tuple[str, ...] = ("polygon",)


@dataclass(frozen=True)
class Field(Parameter):
    """A field of a layer; `run` gets its name, or an empty text.

    Attributes:
        layer: name of the parameter that holds the layer.
    """

    layer: str = ""


@dataclass(frozen=True)
class FileOutput(Parameter):
    """A file to write; `run` gets its path, or an empty text if it is not asked for.

    Attributes:
        suffixes: endings that are accepted; the first is offered.
        contents: what it is in a few words, such as "a map is a GeoTIFF".
        by_default: whether QGIS makes it if the user says nothing.
    """

    suffixes: tuple[str, ...] = ()
    contents: str = ""
    by_default: bool = False

    def problem(self, value: Any) -> str:
        """Return the sentence that says how the name has to end."""
        if not value or str(value).lower().endswith(self.suffixes):
            return ""
        return f"{value}: {self.contents}, let its name end in {self.suffixes[0]}."


@dataclass(frozen=True)
class RasterOutput(FileOutput):
    """A raster to write, which QGIS loads."""

    suffixes: tuple[str, ...] = GEOTIFF
    contents: str = "a map is a GeoTIFF"


@dataclass(frozen=True)
class VectorOutput(FileOutput):
    """A vector file that the operation writes itself, which QGIS loads."""

    suffixes: tuple[str, ...] = GEOPACKAGE


@dataclass(frozen=True)
class FeatureOutput(FileOutput):
    """Features or rows that the front writes where the user wants them, in any format of QGIS.

    `run` gets a `values.Sink`, or None if it is not asked for.

    Attributes:
        geometry: "polygon", "point", or "table" for rows without a shape.
    """

    geometry: str = "table"

    def problem(self, value: Any) -> str:
        """Return an empty text: the front knows which formats it writes."""
        return ""


@dataclass(frozen=True)
class Output:
    """A value that an operation returns beside its files.

    Attributes:
        name: upper case, as in QGIS scripts.
        title: what QGIS calls it.
        kind: "number", "text" or "folder".
    """

    name: str
    title: str
    kind: str = "number"


def figure_outputs(figures: tuple[tuple[str, str, str], ...]) -> tuple[Output, ...]:
    """Return three outputs for each figure: its value and the ends of its interval.

    Args:
        figures: name of the output, key of the figure, title of the output.
    """
    ends = (("", ""), ("_LOW", ", lower end"), ("_HIGH", ", upper end"))
    return tuple(
        Output(name + ending, title + text) for name, _, title in figures for ending, text in ends
    )
