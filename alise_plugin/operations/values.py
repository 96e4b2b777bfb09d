"""What `run` of an operation gets for its parameters, whatever front they were given in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from ..mapping.labels.layers import Labels, Legend, Values, VectorLabels
from ..sits.grid import Grid

Box = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax
Given = Mapping[str, Any]  # values by the name of the parameter


@dataclass(frozen=True)
class Raster:
    """A raster that was chosen.

    Attributes:
        path: the file, or the name by which GDAL opens it.
        legend: names and colours of the classes in the style of its layer.
        day: first day of the temporal range of its layer.
    """

    path: str
    legend: Legend | None = None
    day: date | None = None


class Extent(Protocol):
    """A rectangle on the map, or nothing, which stands for everything.

    Attributes:
        box: in `crs`; None if nothing was given.
        crs: that `box` was given in, as GDAL reads it; None for that of the input.
    """

    box: Box | None
    crs: str | None

    def on(self, grid: Grid) -> Box | None:
        """Return the rectangle in the CRS of a grid; None if nothing was given."""


class Layer(Protocol):
    """A vector layer or raster with labels, as a front has it.

    Attributes:
        name: of the layer or file, for messages.
        path: the file behind it, which no output may replace; an empty text if there is none.
    """

    name: str
    path: str

    def labels(
        self, field: str, name_field: str, color_field: str, around: Sequence[Grid]
    ) -> tuple[Labels, Legend]:
        """Return classes near some grids, and the legend of the layer's style."""

    def measurements(self, field: str, around: Sequence[Grid]) -> Values:
        """Return measured values near some grids."""

    def mask(self) -> VectorLabels:
        """Return the polygons outside of which nothing is mapped."""

    def examples(self) -> VectorLabels:
        """Return polygons and points without classes."""

    def shapes(self, crs_wkt: str) -> list[bytes]:
        """Return the WKB of each feature in a CRS; empty for a feature without a shape."""


@dataclass(frozen=True)
class Column:
    """A column of a table that an operation writes; `kind` is "integer", "real" or "text"."""

    name: str
    kind: str


class Sink(Protocol):
    """Where the rows or features of an output go.

    Attributes:
        path: the file that is written; an empty text if the front decides or it is no file.
    """

    path: str

    def prepare(self) -> None:
        """Make sure, before any work is done, that writing takes nothing else away.

        Raises:
            OutputError: it would.
        """

    def write(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[object]],
        points: Sequence[tuple[float, float]] | None = None,
        crs_wkt: str = "",
    ) -> str:
        """Write rows, with a point each if `points` are given; return where they are."""

    def write_beside(
        self, layer: Layer, columns: Sequence[Column], rows: Sequence[Sequence[object]]
    ) -> str:
        """Write the features of a layer with further columns; return where they are."""


@dataclass(frozen=True)
class LayerLook:
    """How QGIS shows an output that it loads.

    Attributes:
        name: of the layer; an empty text leaves the name to QGIS.
        dates: of an image series, for the Temporal Controller.
    """

    name: str = ""
    dates: tuple[date, ...] = ()


@dataclass(frozen=True)
class Results:
    """What an operation returns.

    Attributes:
        values: by the name of the output; None or an empty text for what was not asked for.
        layers: how QGIS shows outputs, by their name. Each has its style beside its file.
    """

    values: dict[str, object]
    layers: dict[str, LayerLook] = field(default_factory=dict)


def dates_as_text(dates: Sequence[date]) -> str:
    """Return dates as 2019-05-14, 2019-05-29."""
    return ", ".join(day.isoformat() for day in dates)
