"""Vector files and rasters with labels, as the command line gets them."""

from __future__ import annotations

from collections.abc import Sequence

from osgeo import gdal

from ..errors import AliseError, LabelsError
from ..mapping.labels.layers import Labels, Legend, Values, VectorLabels
from ..mapping.labels.read import (
    read_examples,
    read_mask,
    read_raster_labels,
    read_raster_values,
    read_vector_labels,
    read_vector_values,
)
from ..mapping.labels.shapes import POLYGONS, area_of
from ..sits.crs import transformation
from ..sits.grid import Grid
from ..sits.rasters import quiet_gdal


class LayerFile:
    """A file with labels; see `operations.values.Layer`."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.path = path

    def labels(
        self, field: str, name_field: str, color_field: str, around: Sequence[Grid]
    ) -> tuple[Labels, Legend]:
        """Return the classes of a vector file or class raster.

        Raises:
            LabelsError: no field is named, or see `read_vector_labels`.
        """
        if _is_raster(self.path):
            return read_raster_labels(self.path), Legend()
        if not field:
            raise LabelsError(f"{self.path}: name in FIELD the field that holds the class.")
        labels = read_vector_labels(self.path, field, name_field, color_field, around=around)
        return labels, Legend()

    def measurements(self, field: str, around: Sequence[Grid]) -> Values:
        """Return the measured values of a vector file or raster.

        Raises:
            LabelsError: no field is named, or see `read_vector_values`.
        """
        if _is_raster(self.path):
            return read_raster_values(self.path)
        if not field:
            raise LabelsError(f"{self.path}: name in FIELD the field that holds what was measured.")
        return read_vector_values(self.path, field, around=around)

    def mask(self) -> VectorLabels:
        """Return the polygons outside of which nothing is mapped."""
        return read_mask(self.path)

    def examples(self) -> VectorLabels:
        """Return polygons and points without classes."""
        return read_examples(self.path)

    def open_polygons(self) -> gdal.Dataset:
        """Open the file.

        Raises:
            AliseError: it cannot be opened.
        """
        source = None
        with quiet_gdal():
            source = gdal.OpenEx(self.path, gdal.OF_VECTOR)
        if source is None or not source.GetLayerCount():
            raise AliseError(f"{self.path} cannot be opened as polygons; check the path.")
        return source

    def shapes(self, crs_wkt: str) -> list[bytes]:
        """Return the WKB of each feature of the first layer in another CRS.

        Raises:
            AliseError: the file cannot be opened, has no polygons or no CRS.
        """
        source = self.open_polygons()
        layer = source.GetLayer(0)
        reference = layer.GetSpatialRef()
        if reference is None:
            raise AliseError(f"{self.path} has no CRS; assign the one that it was drawn in.")
        transform = transformation(reference, crs_wkt)
        polygons = []
        for feature in layer:
            shape = area_of(feature.GetGeometryRef(), POLYGONS)
            if shape is not None:
                shape.Transform(transform)
            polygons.append(b"" if shape is None else bytes(shape.ExportToWkb()))
        if not any(polygons):
            raise AliseError(f"{self.path} has no polygons; choose a layer of polygons.")
        return polygons


def _is_raster(path: str) -> bool:
    """Return whether GDAL finds bands in a file."""
    raster = None
    with quiet_gdal():
        raster = gdal.OpenEx(path, gdal.OF_RASTER)
    return raster is not None and raster.RasterCount > 0
