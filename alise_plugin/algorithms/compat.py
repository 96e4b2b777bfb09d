"""Enumerations under one name from QGIS 3.22 (Qt 5) to QGIS 4 (Qt 6).

QGIS 3.36 moved the enumerations of Processing into `Qgis`; Qt 6 accepts the scoped form only.
"""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsProcessing,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
)

if hasattr(Qgis, "ProcessingSourceType"):
    TYPE_RASTER = Qgis.ProcessingSourceType.Raster
    FLAG_ADVANCED = Qgis.ProcessingParameterFlag.Advanced
    INTEGER = Qgis.ProcessingNumberParameterType.Integer
    FOLDER = Qgis.ProcessingFileParameterBehavior.Folder
    DATE = Qgis.ProcessingDateTimeParameterDataType.Date
else:
    TYPE_RASTER = QgsProcessing.SourceType.TypeRaster
    FLAG_ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    INTEGER = QgsProcessingParameterNumber.Type.Integer
    FOLDER = QgsProcessingParameterFile.Behavior.Folder
    DATE = QgsProcessingParameterDateTime.Type.Date
