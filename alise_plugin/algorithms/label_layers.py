"""Layers of labels: from whatever QGIS has open to what `mapping.labels` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsFields,
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

from ..errors import LabelsError
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
from ..sits.grid import Grid
from .compat import SKIP_VALIDITY_CHECKS, WKB_ANY

_LAYER = "labels"


def labels_of(
    layer: QgsMapLayer,
    field: str,
    name_field: str,
    color_field: str,
    context: QgsProcessingContext,
    around: Sequence[Grid] = (),
) -> tuple[Labels, Legend]:
    """The labels of a layer, and the names and colours of its style.

    Args:
        layer: vector or raster.
        field: that holds the class; empty for that of the layer's categorised style, or a raster.
        name_field, color_field: of the names and colours of the classes; empty for none.
        context: of the run.
        around: see `read_vector_labels`.

    Raises:
        LabelsError: no field is given and the layer has no categories, or see `read_vector_labels`.
        SeriesError: a raster cannot be read.
    """
    if isinstance(layer, QgsRasterLayer):
        return read_raster_labels(layer.source(), layer.name()), raster_legend(layer)
    if not isinstance(layer, QgsVectorLayer):
        raise LabelsError(
            f"{layer.name()} is neither a vector nor a raster layer; choose polygons, points or a "
            "class raster."
        )
    field = field or _style_field(layer)
    if not field:
        raise LabelsError(
            f"{layer.name()}: choose in FIELD the field that holds the class, or give the layer a "
            "categorised style."
        )
    wanted = list(dict.fromkeys(filter(None, (field, name_field, color_field))))
    path = _exported(layer, wanted, context, around)
    labels = read_vector_labels(
        path, field, name_field, color_field, layer=_LAYER, name=layer.name()
    )
    return labels, _vector_legend(layer, field)


def values_of(
    layer: QgsMapLayer,
    field: str,
    context: QgsProcessingContext,
    around: Sequence[Grid] = (),
) -> Values:
    """What was measured, as a layer has it.

    Args:
        layer: vector or raster.
        field: that holds the measurements; empty for a raster.
        context: of the run.
        around: see `read_vector_values`.

    Raises:
        LabelsError: no field is given, or see `read_vector_values`.
        SeriesError: a raster cannot be read.
    """
    if isinstance(layer, QgsRasterLayer):
        return read_raster_values(layer.source(), layer.name())
    if not isinstance(layer, QgsVectorLayer):
        raise LabelsError(
            f"{layer.name()} is neither a vector nor a raster layer; choose polygons, points or a "
            "raster of what was measured."
        )
    if not field:
        raise LabelsError(
            f"{layer.name()}: choose in FIELD the field that holds what was measured."
        )
    path = _exported(layer, [field], context, around)
    return read_vector_values(path, field, layer=_LAYER, name=layer.name())


def mask_of(layer: QgsVectorLayer, context: QgsProcessingContext) -> VectorLabels:
    """The polygons of a layer.

    Raises:
        LabelsError: it holds none, or something else.
    """
    return read_mask(_exported(layer, [], context), layer=_LAYER, name=layer.name())


def examples_of(source: QgsProcessingFeatureSource, context: QgsProcessingContext) -> VectorLabels:
    """The polygons and points of a source, the selected ones where only these are wanted.

    Raises:
        LabelsError: it holds none, or something else.
    """
    name = source.sourceName()
    # Without QGIS's check, as labels: an outline that crosses itself has an inside all the same.
    features = source.getFeatures(QgsFeatureRequest().setNoAttributes(), SKIP_VALIDITY_CHECKS)
    path = _written(features, source.fields(), [], source.sourceCrs(), name, context)
    return read_examples(path, layer=_LAYER, name=name)


def _exported(
    layer: QgsVectorLayer,
    fields: Sequence[str],
    context: QgsProcessingContext,
    around: Sequence[Grid] = (),
) -> str:
    """A GeoPackage of what the layer shows: its filter, edits, joins and CRS, any provider."""
    there = [one.name() for one in layer.fields()]
    for name in fields:
        if name not in there:
            raise LabelsError(
                f'{layer.name()} has no field "{name}"; choose one of {", ".join(there) or "none"}.'
            )
    indices = [layer.fields().lookupField(name) for name in fields]
    for name, index in zip(fields, indices):
        if index in layer.primaryKeyAttributes():
            raise LabelsError(
                f'The field "{name}" of {layer.name()} numbers its features; choose one that says '
                "what they are."
            )
    features = _features(layer, indices, around)
    return _written(features, layer.fields(), indices, layer.crs(), layer.name(), context)


def _features(
    layer: QgsVectorLayer, indices: Sequence[int], grids: Sequence[Grid]
) -> Iterable[QgsFeature]:
    """The features near some grids, in their order; all of them if there are none."""
    wanted = QgsFeatureRequest().setSubsetOfAttributes(indices)
    box = bounds_around(grids, layer.crs().toWkt()) if layer.crs().isValid() else None
    if box is not None:
        near = QgsFeatureRequest(wanted).setFilterRect(QgsRectangle(*box)).addOrderBy("$id")
        found = list(layer.getFeatures(near))
        if found:
            return found
    return layer.getFeatures(wanted)


def _written(
    features: Iterable[QgsFeature],
    fields: QgsFields,
    indices: Sequence[int],
    crs: QgsCoordinateReferenceSystem,
    name: str,
    context: QgsProcessingContext,
) -> str:
    """A GeoPackage of features of any geometry with some of their fields."""
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
    return path


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
    """Names and colours of a layer with a paletted style; nothing of another."""
    renderer = layer.renderer()
    if not isinstance(renderer, QgsPalettedRasterRenderer):
        return Legend()
    classes = renderer.classes()
    return Legend(
        {int(one.value): one.label for one in classes},
        {int(one.value): one.color.name() for one in classes},
    )
