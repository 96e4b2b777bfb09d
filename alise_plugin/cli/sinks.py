"""Tables as CSV files, and points and polygons as GeoPackages."""

from __future__ import annotations

from collections.abc import Sequence

from osgeo import ogr, osr

from ..errors import AliseError
from ..mapping.rasters.destinations import require_replaceable
from ..operations.parameters import GEOPACKAGE, TABLE, FeatureOutput
from ..operations.values import Column, Layer
from .geopackage import write_geopackage
from .layer_files import LayerFile
from .tables import write_table

_TYPES = {"integer": ogr.OFTInteger64, "real": ogr.OFTReal, "text": ogr.OFTString}
_LAYERS = {"point": "sample", "polygon": "zones"}


class FileSink:
    """A file for the rows or features of an output; see `operations.values.Sink`.

    Raises:
        AliseError: its name has another ending.
    """

    def __init__(self, path: str, output: FeatureOutput) -> None:
        self.path = path
        endings = TABLE if output.geometry == "table" else GEOPACKAGE
        if not path.lower().endswith(endings):
            raise AliseError(f"{path}: {output.contents}, let its name end in {endings[0]}.")
        self._layer = _LAYERS.get(output.geometry, "")

    def prepare(self) -> None:
        """Make sure that no other layer of a GeoPackage is lost."""
        if self._layer:
            require_replaceable(self.path, self._layer)

    def write(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[object]],
        points: Sequence[tuple[float, float]] | None = None,
        crs_wkt: str = "",
    ) -> str:
        """Write a table, or points with their columns."""
        if points is None:
            names = [column.name for column in columns]
            write_table(self.path, [dict(zip(names, row)) for row in rows])
            return self.path
        reference = osr.SpatialReference()
        reference.ImportFromWkt(crs_wkt)

        def fill(made: ogr.DataSource) -> None:
            layer = made.CreateLayer(self._layer, reference, ogr.wkbPoint)
            for column in columns:
                layer.CreateField(ogr.FieldDefn(column.name, _TYPES[column.kind]))
            for (x, y), row in zip(points, rows):
                shape = ogr.Geometry(ogr.wkbPoint)
                shape.AddPoint_2D(x, y)
                _add(layer, shape, row, 0)

        write_geopackage(self.path, fill)
        return self.path

    def write_beside(
        self, layer: Layer, columns: Sequence[Column], rows: Sequence[Sequence[object]]
    ) -> str:
        """Write the features of a file's first layer with further columns."""
        assert isinstance(layer, LayerFile)  # nosec B101  # narrows a type
        source = layer.open_polygons()
        zones = source.GetLayer(0)

        def fill(made: ogr.DataSource) -> None:
            definition = zones.GetLayerDefn()
            own = [definition.GetFieldDefn(index) for index in range(definition.GetFieldCount())]
            taken = {field.GetName().lower() for field in own}
            keys = [f"FID={_free_name('fid', taken)}", f"GEOMETRY_NAME={_free_name('geom', taken)}"]
            copy = made.CreateLayer(self._layer, zones.GetSpatialRef(), zones.GetGeomType(), keys)
            for field in own:
                copy.CreateField(field)
            for column in columns:
                name = _free_name(column.name, taken)
                copy.CreateField(ogr.FieldDefn(name, _TYPES[column.kind]))
            for feature, row in zip(zones, rows):
                _add(copy, feature, row, len(own))

        write_geopackage(self.path, fill)
        return self.path


def _add(
    layer: ogr.Layer, origin: ogr.Feature | ogr.Geometry, row: Sequence[object], first: int
) -> None:
    """Add a feature like another, or with a shape, whose fields from `first` on hold a row."""
    feature = ogr.Feature(layer.GetLayerDefn())
    if isinstance(origin, ogr.Feature):
        feature.SetFrom(origin)
    else:
        feature.SetGeometry(origin)
    for index, value in enumerate(row, first):
        if value is not None:
            feature.SetField(index, value)
    layer.CreateFeature(feature)


def _free_name(name: str, taken: set[str]) -> str:
    """Return the name, or `rank_2` as QGIS makes it if the zones have a field of that name."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
