"""Layers of labels: from whatever QGIS has open to what `mapping.labels` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from osgeo import ogr
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsFields,
    QgsGeometry,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeatureSource,
    QgsProcessingUtils,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from ..errors import AliseError, LabelsError
from ..mapping.labels.layers import Labels, Legend, Value, Values, VectorLabels
from ..mapping.labels.read import (
    bounds_around,
    read_examples,
    read_mask,
    read_raster_labels,
    read_raster_values,
    read_vector_labels,
    read_vector_values,
)
from ..mapping.labels.shapes import POLYGONS, area_of
from ..sits.grid import Grid
from .compat import SKIP_VALIDITY_CHECKS, WKB_ANY

_LAYER = "labels"


class MapLayer:
    """A layer of labels; see `operations.values.Layer`.

    Args:
        layer: vectors or a raster.
        context: of the run.
        selected: whether only the selected features count.
    """

    def __init__(
        self, layer: QgsMapLayer, context: QgsProcessingContext, selected: bool = False
    ) -> None:
        self.name = str(layer.name())
        self.path = str(layer.source()).split("|")[0]
        self._layer = layer
        self._context = context
        self._selected = selected

    def labels(
        self, field: str, name_field: str, color_field: str, around: Sequence[Grid]
    ) -> tuple[Labels, Legend]:
        """Return the classes of a layer, and the names and colours of its style.

        Args:
            field: that holds the class; empty for that of the layer's categorised style, or a
                raster.
            name_field, color_field: of the names and colours of the classes; empty for none.
            around: see `read_vector_labels`.

        Raises:
            LabelsError: no field is given and the layer has no categories, or see
                `read_vector_labels`.
            SeriesError: a raster cannot be read.
        """
        if isinstance(self._layer, QgsRasterLayer):
            labels = read_raster_labels(self._layer.source(), self.name)
            return labels, raster_legend(self._layer)
        layer = self._vector("polygons, points or a class raster")
        field = field or _style_field(layer)
        if not field:
            raise LabelsError(
                f"{self.name}: choose in FIELD the field that holds the class, or give the layer a "
                "categorised style."
            )
        wanted = list(dict.fromkeys(filter(None, (field, name_field, color_field))))
        path = self._exported(layer, wanted, around)
        read = read_vector_labels(
            path, field, name_field, color_field, layer=_LAYER, name=self.name
        )
        return read, _vector_legend(layer, field)

    def measurements(self, field: str, around: Sequence[Grid]) -> Values:
        """Return what was measured.

        Args:
            field: that holds the measurements; empty for a raster.
            around: see `read_vector_values`.

        Raises:
            LabelsError: no field is given, or see `read_vector_values`.
            SeriesError: a raster cannot be read.
        """
        if isinstance(self._layer, QgsRasterLayer):
            return read_raster_values(self._layer.source(), self.name)
        layer = self._vector("polygons, points or a raster of what was measured")
        if not field:
            raise LabelsError(
                f"{self.name}: choose in FIELD the field that holds what was measured."
            )
        path = self._exported(layer, [field], around)
        return read_vector_values(path, field, layer=_LAYER, name=self.name)

    def mask(self) -> VectorLabels:
        """Return the polygons of the layer.

        Raises:
            LabelsError: it holds none, or something else.
        """
        path = self._exported(self._vector("polygons"), [])
        return read_mask(path, layer=_LAYER, name=self.name)

    def examples(self) -> VectorLabels:
        """Return the polygons and points of the layer."""
        path = self._exported(self._vector("polygons or points"), [])
        return read_examples(path, layer=_LAYER, name=self.name)

    def shapes(self, crs_wkt: str) -> list[bytes]:
        """Return the WKB of each feature in a CRS."""
        source = QgsProcessingFeatureSource(self._layer, self._context)
        return FeatureSource(self.name, source, self.path, self._context).shapes(crs_wkt)

    def _vector(self, choose: str) -> QgsVectorLayer:
        if not isinstance(self._layer, QgsVectorLayer):
            raise LabelsError(
                f"{self.name} is neither a vector nor a raster layer; choose {choose}."
            )
        return self._layer

    def _exported(
        self, layer: QgsVectorLayer, fields: Sequence[str], around: Sequence[Grid] = ()
    ) -> str:
        """Write a GeoPackage of what the layer shows: its filter, edits, joins and CRS."""
        indices = _indices(fields, layer.fields(), layer.name())
        for name, index in zip(fields, indices):
            if index in layer.primaryKeyAttributes():
                raise LabelsError(
                    f'The field "{name}" of {layer.name()} numbers its features; choose one that '
                    "says what they are."
                )
        if self._selected and not layer.selectedFeatureCount():
            raise LabelsError(
                f"{layer.name()} has no selected feature; select some, or take all its features."
            )
        features = (
            layer.getSelectedFeatures() if self._selected else _features(layer, indices, around)
        )
        crs, name = layer.crs(), layer.name()
        return _written(features, layer.fields(), indices, crs, name, self._context)


class FeatureSource:
    """The features of a layer, or the selected ones, as they were when the run began.

    The layer itself may be edited or taken out of the project while the run goes on.

    Args:
        parameter: name of the parameter, for messages.
        source: what QGIS gives for it.
        path: the file behind it.
        context: of the run.

    Attributes:
        fields: of the features.
        geometry_type: QGIS's type of their geometries.
        crs: of their geometries.
        features: in the order of the layer.
    """

    def __init__(
        self,
        parameter: str,
        source: QgsProcessingFeatureSource,
        path: str,
        context: QgsProcessingContext,
    ) -> None:
        self.name = str(source.sourceName())
        self.path = path
        self.fields = source.fields()
        self.geometry_type = source.wkbType()
        self.crs = source.sourceCrs()
        # Without QGIS's check: its exception for an invalid polygon breaks Python's iteration and
        # ends QGIS, and an outline that crosses itself has an inside all the same.
        self.features = list(source.getFeatures(QgsFeatureRequest(), SKIP_VALIDITY_CHECKS))
        self._parameter = parameter
        self._context = context

    def shapes(self, crs_wkt: str) -> list[bytes]:
        """Return the WKB of each feature in a CRS; empty for one without a geometry.

        Raises:
            AliseError: there are no polygons, or they have no CRS.
        """
        called = f'{self._parameter}: the layer "{self.name}"'
        no_polygons = f"{called} has no polygons; choose a layer of polygons."
        if not self.features:
            raise AliseError(no_polygons)
        if not self.crs.isValid():
            raise AliseError(f"{called} has no CRS; assign the one that it was drawn in.")
        target = QgsCoordinateReferenceSystem.fromWkt(crs_wkt)
        transform = QgsCoordinateTransform(self.crs, target, self._context.transformContext())
        shapes = []
        for feature in self.features:
            geometry = QgsGeometry(feature.geometry())
            geometry.convertToStraightSegment()
            geometry.transform(transform)
            wkb = b"" if geometry.isEmpty() else bytes(geometry.asWkb().data())
            area = area_of(ogr.CreateGeometryFromWkb(wkb), POLYGONS) if wkb else None
            shapes.append(b"" if area is None else bytes(area.ExportToWkb()))
        if not any(shapes):
            raise AliseError(no_polygons)
        return shapes

    def examples(self) -> VectorLabels:
        """Return the polygons and points, the selected ones if only these are wanted.

        Raises:
            LabelsError: there are none, or something else.
        """
        path = _written(self.features, self.fields, [], self.crs, self.name, self._context)
        return read_examples(path, layer=_LAYER, name=self.name)

    def mask(self) -> VectorLabels:
        """Return the polygons outside of which nothing is mapped."""
        path = _written(self.features, self.fields, [], self.crs, self.name, self._context)
        return read_mask(path, layer=_LAYER, name=self.name)

    def labels(
        self, field: str, name_field: str, color_field: str, around: Sequence[Grid]
    ) -> tuple[Labels, Legend]:
        """Return the classes of the features."""
        wanted = list(dict.fromkeys(filter(None, (field, name_field, color_field))))
        path = self._with_fields(wanted)
        read = read_vector_labels(
            path, field, name_field, color_field, layer=_LAYER, name=self.name
        )
        return read, Legend()

    def measurements(self, field: str, around: Sequence[Grid]) -> Values:
        """Return what was measured."""
        path = self._with_fields([field])
        return read_vector_values(path, field, layer=_LAYER, name=self.name)

    def _with_fields(self, names: Sequence[str]) -> str:
        indices = _indices(names, self.fields, self.name)
        return _written(self.features, self.fields, indices, self.crs, self.name, self._context)


def _indices(names: Sequence[str], fields: QgsFields, layer: str) -> list[int]:
    """Return the indices of some fields.

    Raises:
        LabelsError: the layer has no such field.
    """
    own = [one.name() for one in fields]
    for name in names:
        if name not in own:
            raise LabelsError(
                f'{layer} has no field "{name}"; choose one of {", ".join(own) or "none"}.'
            )
    return [fields.lookupField(name) for name in names]


def _features(
    layer: QgsVectorLayer, indices: Sequence[int], grids: Sequence[Grid]
) -> Iterator[QgsFeature]:
    """Yield the features near some grids, in their order; all of them if there are none."""
    wanted = QgsFeatureRequest().setSubsetOfAttributes(indices)
    box = bounds_around(grids, layer.crs().toWkt()) if layer.crs().isValid() else None
    found: list[QgsFeature] = []
    if box is not None:
        near = QgsFeatureRequest(wanted).setFilterRect(QgsRectangle(*box)).addOrderBy("$id")
        found = list(layer.getFeatures(near))
    yield from found or layer.getFeatures(wanted)


def _written(
    features: Iterable[QgsFeature],
    fields: QgsFields,
    indices: Sequence[int],
    crs: QgsCoordinateReferenceSystem,
    name: str,
    context: QgsProcessingContext,
) -> str:
    """Return a GeoPackage of features of any geometry with some of their fields."""
    path = QgsProcessingUtils.generateTempFilename("labels.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = _LAYER
    options.fileEncoding = "UTF-8"
    # Fields called fid or geom are data here.
    options.layerOptions = ["FID=alise_fid", "GEOMETRY_NAME=alise_geometry"]
    kept = QgsFields()
    for index in indices:
        kept.append(fields.at(index))
    writer = QgsVectorFileWriter.create(
        path, kept, WKB_ANY, crs, context.transformContext(), options
    )
    fine = QgsVectorFileWriter.WriterError.NoError
    for feature in features if writer.hasError() == fine else ():
        row = QgsFeature(kept)
        row.setGeometry(feature.geometry())
        row.setAttributes([feature.attribute(index) for index in indices])
        if not writer.addFeature(row, QgsFeatureSink.Flag.FastInsert):
            break
    error, message = writer.hasError(), writer.errorMessage()
    del writer  # which completes the file
    if error != fine:
        raise LabelsError(f"{name} cannot be read ({message}); export it to a GeoPackage.")
    return str(path)


def _style_field(layer: QgsVectorLayer) -> str:
    renderer = layer.renderer()
    if not isinstance(renderer, QgsCategorizedSymbolRenderer):
        return ""
    field = renderer.classAttribute().strip('"')
    return field if layer.fields().lookupField(field) >= 0 else ""


def _vector_legend(layer: QgsVectorLayer, field: str) -> Legend:
    renderer = layer.renderer()
    names: dict[Value, str] = {}
    colors: dict[Value, str] = {}
    if _style_field(layer) != field or not isinstance(renderer, QgsCategorizedSymbolRenderer):
        return Legend()
    for category in renderer.categories():
        value = category.value()
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, (int, float, str)) or one == "":
                continue
            key: Value = one.strip() if isinstance(one, str) else int(one)
            names[key] = category.label()
            colors[key] = category.symbol().color().name()
    return Legend(names, colors)


def raster_legend(layer: QgsRasterLayer) -> Legend:
    """Return names and colours of a layer with a paletted style; nothing of another."""
    renderer = layer.renderer()
    if not isinstance(renderer, QgsPalettedRasterRenderer):
        return Legend()
    classes = renderer.classes()
    return Legend(
        {int(one.value): one.label for one in classes},
        {int(one.value): one.color.name() for one in classes},
    )
