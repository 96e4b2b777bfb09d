"""The areas and places of features, whatever else their layer holds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from osgeo import ogr

POLYGONS = (ogr.wkbPolygon, ogr.wkbMultiPolygon)
"""Types of geometries with an area."""
AREAS = (*POLYGONS, ogr.wkbPoint, ogr.wkbMultiPoint)
"""Types of geometries that labels and measurements have."""


def area_of(geometry: ogr.Geometry | None, kinds: Collection[int]) -> ogr.Geometry | None:
    """Return the part of a geometry that is of some kinds, without curves.

    Args:
        geometry: of a feature.
        kinds: POLYGONS or AREAS. A collection gives its polygons, or else its points: what
            overlay tools leave where two areas also share a border.

    Returns:
        None if the geometry is missing or empty, or of no such kind.
    """
    if geometry is None or geometry.IsEmpty():
        return None
    if geometry.HasCurveGeometry():
        geometry = geometry.GetLinearGeometry()
    if ogr.GT_Flatten(geometry.GetGeometryType()) in kinds:
        return geometry
    if ogr.GT_Flatten(geometry.GetGeometryType()) != ogr.wkbGeometryCollection:
        return None
    parts = list(_parts(geometry))
    for single, multiple in (
        (ogr.wkbPolygon, ogr.wkbMultiPolygon),
        (ogr.wkbPoint, ogr.wkbMultiPoint),
    ):
        alike = [one for one in parts if ogr.GT_Flatten(one.GetGeometryType()) == single]
        if alike and single in kinds:
            together = ogr.Geometry(multiple)
            for one in alike:
                together.AddGeometry(one)
            return together
    return None


def _parts(geometry: ogr.Geometry) -> list[ogr.Geometry]:
    """Return the single geometries in a collection of collections."""
    count = geometry.GetGeometryCount()
    if not count or ogr.GT_Flatten(geometry.GetGeometryType()) in POLYGONS[:1]:
        return [] if geometry.IsEmpty() else [geometry]
    return [one for number in range(count) for one in _parts(geometry.GetGeometryRef(number))]


@dataclass
class ShapeReader:
    """Takes the areas of the features of a layer, and counts what it leaves out.

    Attributes:
        kinds: POLYGONS or AREAS.
        wanted: what they are, for messages: "labels are polygons or points".
        taken: features with such a geometry.
        without: features without a geometry.
        others: features with a geometry of another kind.
        first: what the first of those is, and its number.
    """

    kinds: Collection[int]
    wanted: str
    taken: int = 0
    without: int = 0
    others: int = 0
    first: str = ""

    def read(self, feature: ogr.Feature) -> ogr.Geometry | None:
        """Return a copy of the area of a feature; None where it has none."""
        geometry = feature.GetGeometryRef()
        area = area_of(geometry, self.kinds)
        if area is not None:
            self.taken += 1
            return area.Clone()
        if geometry is None or geometry.IsEmpty():
            self.without += 1
            return None
        self.others += 1
        self.first = (
            self.first or f"{geometry.GetGeometryName().lower()} (feature {feature.GetFID()})"
        )
        return None

    def problem(self, name: str) -> str:
        """Return why no feature of a layer is used; empty if the geometries are not to blame."""
        if self.taken or not (self.others or self.without):
            return ""
        if self.others:
            return f"{name} holds a {self.first}; {self.wanted}."
        return f"None of the {self.without} features of {name} has a geometry; {self.wanted}."

    def warnings(self, name: str) -> list[str]:
        """Return sentences about the features of a layer that are left out."""
        said = []
        if self.without:
            said.append(f"Left out of {name}: {_features(self.without)} without a geometry.")
        if self.others:
            said.append(
                f"Left out of {name}: {_features(self.others)} of another kind, the first being a "
                f"{self.first}; {self.wanted}."
            )
        return said


def _features(count: int) -> str:
    return "1 feature" if count == 1 else f"{count} features"
