"""Parameters of QGIS Processing, made from those of an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

from qgis.core import (
    QgsProcessingOutputDefinition,
    QgsProcessingOutputFolder,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterAuthConfig,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)
from qgis.PyQt.QtCore import QCoreApplication

from ..operations import parameters as kinds
from .compat import (
    DATE,
    FILE,
    FLAG_ADVANCED,
    FLAG_OPTIONAL,
    FOLDER,
    INTEGER,
    REAL,
    TYPE_FILE,
    TYPE_MAP_LAYER,
    TYPE_POINT,
    TYPE_POLYGON,
    TYPE_RASTER,
    TYPE_TABLE,
)
from .series_layers import VrtDestination

# QGIS offers it after a list of layers of labels; the command line has no selection.
SELECTED_LABELS = kinds.Switch(
    "SELECTED_LABELS",
    "Selected features of the labels only",
    "Only the features that are selected in the layers of labels count. A raster has no "
    "selection: it counts as it is.",
)
_FILTERS: dict[tuple[str, ...], str] = {
    kinds.ONNX: "ONNX (*.onnx)",
    kinds.WEB_PAGE: "HTML (*.html)",
}
_GEOMETRIES = {"polygon": TYPE_POLYGON, "point": TYPE_POINT, "table": TYPE_TABLE}
# What QGIS makes of a kind from its name and title alone, and what it is told besides.
_PLAIN: dict[
    type[kinds.Parameter],
    tuple[Callable[..., QgsProcessingParameterDefinition], tuple[object, ...]],
] = {
    kinds.Text: (QgsProcessingParameterString, ()),
    kinds.LoginChoice: (QgsProcessingParameterAuthConfig, ()),
    kinds.Words: (QgsProcessingParameterString, ()),
    kinds.Dates: (QgsProcessingParameterString, ()),
    kinds.Day: (QgsProcessingParameterDateTime, (DATE,)),
    kinds.Crs: (QgsProcessingParameterCrs, ()),
    kinds.Extent: (QgsProcessingParameterExtent, ()),
    kinds.ClassRaster: (QgsProcessingParameterRasterLayer, ()),
    kinds.Files: (QgsProcessingParameterMultipleLayers, (TYPE_FILE,)),
    kinds.Folder: (QgsProcessingParameterFile, (FOLDER,)),
}


class OwnField:
    """Makes the field of a list of layers or of a choice; QGIS asks for a class."""

    def __new__(
        cls,
        parameter: Any,
        dialog: Any,
        row: int = 0,
        column: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the field, which is no instance of this class."""
        # Windows and their parts: not there under qgis_process.
        from .fields import field_in_dialog

        return field_in_dialog(parameter, dialog, labels)


def translated(text: str) -> str:
    """Return a text in the user's language."""
    return str(QCoreApplication.translate("Alise", text))


def parameter_definition(parameter: kinds.Parameter) -> QgsProcessingParameterDefinition:
    """Return the parameter as QGIS declares it, with its help."""
    definition = _definition(parameter, parameter.name, translated(parameter.title))
    flags = definition.flags()
    if parameter.advanced:
        flags |= FLAG_ADVANCED
    if _is_optional(parameter):
        flags |= FLAG_OPTIONAL
    definition.setFlags(flags)
    definition.setHelp(translated(parameter.help))
    return definition


def output_definition(output: kinds.Output) -> QgsProcessingOutputDefinition:
    """Return the output as QGIS declares it."""
    made = {
        "number": QgsProcessingOutputNumber,
        "text": QgsProcessingOutputString,
        "folder": QgsProcessingOutputFolder,
    }
    return made[output.kind](output.name, translated(output.title))


def _is_optional(parameter: kinds.Parameter) -> bool:
    """Return whether QGIS may leave a parameter out; numbers and choices have a default."""
    if isinstance(parameter, kinds.Number):
        return parameter.default is None or parameter.optional
    if isinstance(parameter, kinds.Choice):
        return False
    return not parameter.required


@singledispatch
def _definition(
    parameter: kinds.Parameter, name: str, title: str
) -> QgsProcessingParameterDefinition:
    """Return the definition without flags and help."""
    made, told = _PLAIN[type(parameter)]
    return made(name, title, *told)


@_definition.register
def _(parameter: kinds.Number, name: str, title: str) -> QgsProcessingParameterDefinition:
    kind = INTEGER if parameter.integer else REAL
    made = QgsProcessingParameterNumber(name, title, kind, parameter.default)
    low = parameter.minimum if parameter.above is None else parameter.above
    if low is not None:
        made.setMinimum(low)
    if parameter.maximum is not None:
        made.setMaximum(parameter.maximum)
    return made


@_definition.register
def _(parameter: kinds.Choice, name: str, title: str) -> QgsProcessingParameterDefinition:
    made = QgsProcessingParameterEnum(
        name,
        title,
        list(parameter.options),
        defaultValue=parameter.default,
        usesStaticStrings=True,
    )
    # QGIS shows the words that scripts use; the dialog says what they do.
    labels = {word: translated(label) for word, label in parameter.labels.items()}
    made.setMetadata({"widget_wrapper": {"class": OwnField, "labels": labels}})
    return made


@_definition.register
def _(parameter: kinds.Rasters, name: str, title: str) -> QgsProcessingParameterDefinition:
    made = QgsProcessingParameterMultipleLayers(name, title, TYPE_RASTER)
    if parameter.mostly_one:
        made.setMetadata({"widget_wrapper": {"class": OwnField}})
    return made


@_definition.register
def _(parameter: kinds.Labels, name: str, title: str) -> QgsProcessingParameterDefinition:
    made = QgsProcessingParameterMultipleLayers(name, title, TYPE_MAP_LAYER)
    made.setMetadata({"widget_wrapper": {"class": OwnField}})
    return made


@_definition.register
def _(parameter: kinds.Switch, name: str, title: str) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterBoolean(name, title, parameter.default)


@_definition.register
def _(parameter: kinds.File, name: str, title: str) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterFile(name, title, FILE, fileFilter=_FILTERS[parameter.suffixes])


@_definition.register
def _(parameter: kinds.Vector, name: str, title: str) -> QgsProcessingParameterDefinition:
    types = [_GEOMETRIES[geometry] for geometry in parameter.geometries]
    return QgsProcessingParameterFeatureSource(name, title, types)


@_definition.register
def _(parameter: kinds.Field, name: str, title: str) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterField(name, title, parentLayerParameterName=parameter.layer)


@_definition.register
def _(parameter: kinds.FileOutput, name: str, title: str) -> QgsProcessingParameterDefinition:
    made = QgsProcessingParameterFileDestination(name, title, _FILTERS[parameter.suffixes])
    made.setCreateByDefault(parameter.required or parameter.by_default)
    return made


@_definition.register
def _(parameter: kinds.RasterOutput, name: str, title: str) -> QgsProcessingParameterDefinition:
    if parameter.suffixes == kinds.SERIES_VRT:
        return VrtDestination(name, title)
    made = QgsProcessingParameterRasterDestination(name, title)
    made.setCreateByDefault(parameter.required)
    return made


@_definition.register
def _(parameter: kinds.VectorOutput, name: str, title: str) -> QgsProcessingParameterDefinition:
    made = QgsProcessingParameterVectorDestination(name, title, TYPE_POLYGON)
    made.setCreateByDefault(parameter.required)
    return made


@_definition.register
def _(parameter: kinds.FeatureOutput, name: str, title: str) -> QgsProcessingParameterDefinition:
    kind = _GEOMETRIES[parameter.geometry]
    made = QgsProcessingParameterFeatureSink(name, title, kind)
    made.setCreateByDefault(parameter.required)
    return made
