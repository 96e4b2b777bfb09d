"""Labels and measured values as they were read from a vector layer or a raster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from osgeo import ogr

Value = Union[int, str]  # of the field that holds the class


NOT_LABELLED = -1


@dataclass(frozen=True)
class Legend:
    """Names and colours of class values, as a layer's style or a file's attribute table has them.

    Attributes:
        names: name by value.
        colors: "#rrggbb" by value.
    """

    names: Mapping[Value, str] = field(default_factory=dict)
    colors: Mapping[Value, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VectorLabels:
    """Labelled areas (polygons) and places (points).

    Attributes:
        name: of the layer, for messages.
        crs_wkt: of the geometries.
        geometries: one per area.
        values: class of each.
        legend: names and colours that the layer's fields state.
        without_class: features left out because their class is NULL or empty.
        warnings: sentences about what the layer leaves open.
    """

    name: str
    crs_wkt: str
    geometries: Sequence[ogr.Geometry]
    values: Sequence[Value]
    legend: Legend
    without_class: int = 0
    warnings: Sequence[str] = ()

    def classes(self) -> list[Value]:
        """Return the values that occur."""
        return list(dict.fromkeys(self.values))


@dataclass(frozen=True)
class RasterLabels:
    """A raster of class codes.

    Attributes:
        name: of the file, for messages.
        path: the file.
        nodata: the value that stands for "no label"; 0 where the file states none.
        values: the codes that occur.
        legend: names and colours from its attribute table or colour table.
        warnings: sentences about what the file leaves open.
    """

    name: str
    path: str
    nodata: float
    values: Sequence[int]
    legend: Legend
    warnings: Sequence[str] = ()

    def classes(self) -> list[Value]:
        """Return the values that occur."""
        return list(self.values)


@dataclass(frozen=True)
class VectorValues:
    """Areas (polygons) and places (points) where something was measured.

    Attributes:
        name: of the layer, for messages.
        crs_wkt: of the geometries.
        geometries: one per area.
        values: what was measured in each, finite.
        without_value: features left out because their value is NULL or `fill`.
        fill: the value that plainly stands for "no value"; None if none does.
        warnings: sentences about what the layer leaves open.
    """

    name: str
    crs_wkt: str
    geometries: Sequence[ogr.Geometry]
    values: Sequence[float]
    without_value: int = 0
    fill: float | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class RasterValues:
    """A raster of measured values, its first band.

    Attributes:
        name: of the file, for messages.
        path: the file.
        fill: the value that plainly stands for "no value" and is not declared; None if none does.
    """

    name: str
    path: str
    fill: float | None = None


Labels = Union[VectorLabels, RasterLabels]
Values = Union[VectorValues, RasterValues]
Areas = Union[VectorLabels, VectorValues]
