"""Rows and features of an output, wherever QGIS writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingUtils,
)

from ..errors import OutputError
from ..mapping.rasters.destinations import require_replaceable
from ..operations.parameters import FeatureOutput
from ..operations.values import Column, Layer
from .compat import FIELD_INTEGER, FIELD_REAL, FIELD_TEXT, WKB_POINT
from .label_layers import FeatureSource

_TYPES = {"integer": FIELD_INTEGER, "real": FIELD_REAL, "text": FIELD_TEXT}


class QgisSink:
    """A feature sink of QGIS; see `operations.values.Sink`.

    Args:
        algorithm, parameters, context: of the run.
        output: the parameter.
        path: the file that the destination names; an empty text if there is none.
    """

    def __init__(
        self,
        algorithm: QgsProcessingAlgorithm,
        parameters: dict[str, Any],
        output: FeatureOutput,
        context: QgsProcessingContext,
        path: str,
    ) -> None:
        self.path = path
        self._destination = algorithm, parameters, output.name, context
        self._replaces = output.geometry == "polygon" and Path(path).suffix.lower() == ".gpkg"

    def prepare(self) -> None:
        """Make sure that no other layer of a GeoPackage is lost."""
        if self._replaces:
            require_replaceable(self.path, Path(self.path).stem)  # which QGIS calls the layer

    def write(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[object]],
        points: Sequence[tuple[float, float]] | None = None,
        crs_wkt: str = "",
    ) -> str:
        """Write rows, with a point each if `points` are given; return where they are."""
        if points is None:
            return self._fill(_fields(columns), None, None, ((None, row) for row in rows))
        crs = QgsCoordinateReferenceSystem.fromWkt(crs_wkt)
        shapes = (QgsGeometry.fromPointXY(QgsPointXY(x, y)) for x, y in points)
        return self._fill(_fields(columns), WKB_POINT, crs, zip(shapes, rows))

    def write_beside(
        self, layer: Layer, columns: Sequence[Column], rows: Sequence[Sequence[object]]
    ) -> str:
        """Write the features of a layer with further columns; return where they are."""
        assert isinstance(layer, FeatureSource)  # nosec B101  # narrows a type
        fields = QgsProcessingUtils.combineFields(_own_fields(layer), _fields(columns))
        features = (
            (feature.geometry(), [*feature.attributes(), *row])
            for feature, row in zip(layer.features, rows)
        )
        return self._fill(fields, layer.geometry_type, layer.crs, features)

    def _fill(
        self,
        fields: QgsFields,
        kind: Any,
        crs: QgsCoordinateReferenceSystem | None,
        features: Iterable[tuple[QgsGeometry | None, Sequence[object]]],
    ) -> str:
        algorithm, parameters, name, context = self._destination
        place = () if crs is None else (kind, crs)
        sink, written = algorithm.parameterAsSink(parameters, name, context, fields, *place)
        if sink is None:
            raise OutputError(algorithm.invalidSinkError(parameters, name))
        for shape, row in features:
            feature = QgsFeature(fields)
            if shape is not None:
                feature.setGeometry(shape)
            feature.setAttributes(list(row))
            sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert)
        del sink  # closes the file
        return str(written)


def _fields(columns: Sequence[Column]) -> QgsFields:
    fields = QgsFields()
    for column in columns:
        fields.append(QgsField(column.name, _TYPES[column.kind]))
    return fields


def _own_fields(layer: FeatureSource) -> QgsFields:
    """Return the fields of a layer; those that a GeoPackage has itself, under names like fid_2.

    A GeoPackage takes fid for its key: whole numbers, each once. A layer that QGIS has merged or
    split has some more often, and one from a Shapefile may have other numbers.
    """
    index = layer.fields.lookupField("fid")
    keys = [feature.attributes()[index] for feature in layer.features] if index >= 0 else []
    own = ["geom"]
    if len(set(keys)) < len(keys) or not all(isinstance(key, int) for key in keys):
        own.append("fid")
    fields = QgsFields()
    for name in own:
        fields.append(QgsField(name, FIELD_INTEGER))
    fields = QgsProcessingUtils.combineFields(fields, layer.fields)
    for _ in own:
        fields.remove(0)
    return fields
