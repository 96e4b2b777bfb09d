"""Enumerations under one name from QGIS 3.22 (Qt 5) to QGIS 4 (Qt 6).

QGIS 3.36 moved the enumerations of Processing into `Qgis`; Qt 6 accepts the scoped form only.
"""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsMapLayerProxyModel,
    QgsProcessing,
    QgsProcessingFeatureSource,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsWkbTypes,
)

if hasattr(Qgis, "ProcessingSourceType"):
    TYPE_RASTER = Qgis.ProcessingSourceType.Raster
    TYPE_FILE = Qgis.ProcessingSourceType.File
    TYPE_MAP_LAYER = Qgis.ProcessingSourceType.MapLayer
    TYPE_TABLE = Qgis.ProcessingSourceType.Vector
    TYPE_POLYGON = Qgis.ProcessingSourceType.VectorPolygon
    TYPE_POINT = Qgis.ProcessingSourceType.VectorPoint
    FLAG_ADVANCED = Qgis.ProcessingParameterFlag.Advanced
    FLAG_OPTIONAL = Qgis.ProcessingParameterFlag.Optional
    INTEGER = Qgis.ProcessingNumberParameterType.Integer
    REAL = Qgis.ProcessingNumberParameterType.Double
    FOLDER = Qgis.ProcessingFileParameterBehavior.Folder
    FILE = Qgis.ProcessingFileParameterBehavior.File
    DATE = Qgis.ProcessingDateTimeParameterDataType.Date
    SKIP_VALIDITY_CHECKS = Qgis.ProcessingFeatureSourceFlag.SkipGeometryValidityChecks
else:
    TYPE_RASTER = QgsProcessing.SourceType.TypeRaster
    TYPE_FILE = QgsProcessing.SourceType.TypeFile
    TYPE_MAP_LAYER = QgsProcessing.SourceType.TypeMapLayer
    TYPE_TABLE = QgsProcessing.SourceType.TypeVector
    TYPE_POLYGON = QgsProcessing.SourceType.TypeVectorPolygon
    TYPE_POINT = QgsProcessing.SourceType.TypeVectorPoint
    FLAG_ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    FLAG_OPTIONAL = QgsProcessingParameterDefinition.Flag.FlagOptional
    INTEGER = QgsProcessingParameterNumber.Type.Integer
    REAL = QgsProcessingParameterNumber.Type.Double
    FOLDER = QgsProcessingParameterFile.Behavior.Folder
    FILE = QgsProcessingParameterFile.Behavior.File
    DATE = QgsProcessingParameterDateTime.Type.Date
    SKIP_VALIDITY_CHECKS = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks

# Layers that a combo box offers: QGIS 3.34 moved the enumeration into `Qgis`.
if hasattr(Qgis, "LayerFilter"):
    RASTER_LAYERS = Qgis.LayerFilter.RasterLayer
    LABEL_LAYERS = Qgis.LayerFilter.RasterLayer | Qgis.LayerFilter.VectorLayer
else:
    RASTER_LAYERS = QgsMapLayerProxyModel.Filters(QgsMapLayerProxyModel.RasterLayer)
    LABEL_LAYERS = RASTER_LAYERS | QgsMapLayerProxyModel.VectorLayer

if Qgis.QGIS_VERSION_INT >= 33000:
    WKB_POINT = Qgis.WkbType.Point
    WKB_ANY = Qgis.WkbType.Unknown
else:
    WKB_POINT = QgsWkbTypes.Type.Point
    WKB_ANY = QgsWkbTypes.Type.Unknown

# Types of fields: QGIS 3.38 moved them from QVariant.
if Qgis.QGIS_VERSION_INT >= 33800:
    from qgis.PyQt.QtCore import QMetaType

    FIELD_INTEGER = QMetaType.Type.LongLong
    FIELD_REAL = QMetaType.Type.Double
    FIELD_TEXT = QMetaType.Type.QString
else:
    from qgis.PyQt.QtCore import QVariant

    FIELD_INTEGER = QVariant.LongLong
    FIELD_REAL = QVariant.Double
    FIELD_TEXT = QVariant.String
