"""What was given to an algorithm, as its operation gets it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsAuthMethodConfig,
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
)

from ..errors import SeriesError
from ..operations import parameters as kinds
from ..operations.values import Box, Layer, Raster
from ..sits.acquisitions import parse_date
from ..sits.area.transport import Login
from ..sits.grid import Grid
from .label_layers import FeatureSource, MapLayer, raster_legend
from .qgis_parameters import SELECTED_LABELS
from .series_layers import day_of, whole_product
from .sinks import QgisSink

# GDAL's rasters, and NetCDF cubes, which QGIS takes for meshes when it gets the bare file.
_FILE_PROVIDERS = ("gdal", "mdal")
# Where a layer lies that is no file: "memory:", "ogr:dbname=...", "postgres:..."; C: is a drive.
_OTHER_THAN_FILE = re.compile(r"^\w{2,}:")
# How GDAL names one variable of a NetCDF file; the file may be quoted.
_NETCDF_VARIABLE = re.compile(r'^NETCDF:"?(?P<file>.+?)"?:[^:/\\]+$', re.IGNORECASE)


class QgisExtent:
    """EXTENT of an algorithm, in any CRS; see `operations.values.Extent`."""

    def __init__(
        self,
        algorithm: QgsProcessingAlgorithm,
        parameters: dict[str, Any],
        name: str,
        context: QgsProcessingContext,
    ) -> None:
        self._asked = algorithm, parameters, name, context
        box = algorithm.parameterAsExtent(parameters, name, context)
        self.box: Box | None = None if box.isNull() else _edges(box)
        drawn_in = algorithm.parameterAsExtentCrs(parameters, name, context)
        if str(parameters.get(name)).endswith("]") and not drawn_in.isValid():
            raise SeriesError(f"{name} {parameters[name]} names no CRS that is known.")
        self.crs = crs_text(drawn_in)

    def on(self, grid: Grid) -> Box | None:
        """Return the rectangle in the CRS of a grid; None if nothing was given."""
        algorithm, parameters, name, context = self._asked
        crs = QgsCoordinateReferenceSystem.fromWkt(grid.crs_wkt)
        box = algorithm.parameterAsExtent(parameters, name, context, crs)
        return None if box.isNull() else _edges(box)


class GivenToQgis:
    """The parameters of a run.

    Args:
        algorithm: that runs.
        parameters: as QGIS has them.
        context: of the run.
    """

    def __init__(
        self,
        algorithm: QgsProcessingAlgorithm,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
    ) -> None:
        self.algorithm = algorithm
        self.parameters = parameters
        self.context = context

    def problem(self, parameter: kinds.Parameter) -> str:
        """Return the sentence that says why a value is refused; an empty text if it is fine."""
        given = self.parameters.get(parameter.name)
        if isinstance(parameter, kinds.Number) and isinstance(given, (int, float)):
            return parameter.problem(given)
        if isinstance(parameter, (kinds.Rasters, kinds.Labels)):
            what = "a raster" if isinstance(parameter, kinds.Rasters) else "a layer of labels"
            for value in given if isinstance(given, (list, tuple)) else [given]:
                if isinstance(value, str) and value and not self._layers(parameter.name, [value]):
                    return (
                        f"{value} cannot be opened as {what}: check that the file exists and that "
                        "QGIS can show it."
                    )
        return ""

    def value(self, parameter: kinds.Parameter) -> Any:
        """Return what `run` of the operation gets for a parameter.

        Raises:
            AliseError: what was given is no such thing.
        """
        for kind in type(parameter).__mro__:
            convert = _CONVERTERS.get(kind)
            if convert is not None:
                return convert(self, parameter)
        raise NotImplementedError(type(parameter).__name__)

    def _number(self, parameter: kinds.Number) -> float | None:
        if self.parameters.get(parameter.name) in (None, ""):
            return parameter.default
        value = self.algorithm.parameterAsDouble(self.parameters, parameter.name, self.context)
        return int(value) if parameter.integer else float(value)

    def _choice(self, parameter: kinds.Choice) -> str:
        word = self.algorithm.parameterAsEnumString(self.parameters, parameter.name, self.context)
        return str(word) or parameter.default

    def _switch(self, parameter: kinds.Switch) -> bool:
        return bool(self.algorithm.parameterAsBool(self.parameters, parameter.name, self.context))

    def _text(self, parameter: kinds.Parameter) -> str:
        return str(self.algorithm.parameterAsString(self.parameters, parameter.name, self.context))

    def _login(self, parameter: kinds.LoginChoice) -> Login | None:
        name = self._text(parameter)
        if not name:
            return None
        manager = QgsApplication.authManager()
        found = QgsAuthMethodConfig()
        if not manager.loadAuthenticationConfig(name, found, True)[0]:
            raise SeriesError(
                f"{parameter.name} {name} is no authentication configuration that QGIS can open; "
                "choose one, and give QGIS its master password."
            )
        return Login(found.config("username"), found.config("password"), name)

    def _words(self, parameter: kinds.Words) -> list[str]:
        return [word for word in re.split(r"[\s,;]+", self._text(parameter)) if word]

    def _dates(self, parameter: kinds.Dates) -> list[date]:
        dates = []
        for word in re.split(r"[\s,;]+", self._text(parameter)):
            day = parse_date(word) if word else None
            if day is not None:
                dates.append(day)
            elif word:
                raise SeriesError(
                    f'{parameter.name}: "{word}" is not a date: write the dates as 2019-05-14, '
                    "with commas."
                )
        return dates

    def _day(self, parameter: kinds.Day) -> date | None:
        moment = self.algorithm.parameterAsDateTime(self.parameters, parameter.name, self.context)
        if not moment.isValid():
            return None
        day = moment.date()
        return date(day.year(), day.month(), day.day())

    def _crs(self, parameter: kinds.Crs) -> str | None:
        crs = self.algorithm.parameterAsCrs(self.parameters, parameter.name, self.context)
        given = self.parameters.get(parameter.name)
        if isinstance(given, str) and given and not crs.isValid():
            raise SeriesError(f"{given!r} is no CRS; write for example EPSG:32631.")
        return crs_text(crs)

    def _extent(self, parameter: kinds.Extent) -> QgisExtent:
        return QgisExtent(self.algorithm, self.parameters, parameter.name, self.context)

    def _rasters(self, parameter: kinds.Rasters) -> list[Raster]:
        rasters = []
        for layer in self._layers(parameter.name):
            path = raster_file(layer)
            path = whole_product(path) if parameter.products else path
            rasters.append(Raster(path, day=day_of(layer)))
        return rasters

    def _class_raster(self, parameter: kinds.ClassRaster) -> Raster:
        layer = self.algorithm.parameterAsRasterLayer(self.parameters, parameter.name, self.context)
        return Raster(raster_file(layer), raster_legend(layer))

    def _files(self, parameter: kinds.Files) -> list[str]:
        files = self.algorithm.parameterAsFileList(self.parameters, parameter.name, self.context)
        return [path for path in files if path]

    def _file(self, parameter: kinds.File) -> str:
        return str(self.algorithm.parameterAsFile(self.parameters, parameter.name, self.context))

    def _labels(self, parameter: kinds.Labels) -> list[Layer]:
        selected = self._switch(SELECTED_LABELS)
        return [MapLayer(layer, self.context, selected) for layer in self._layers(parameter.name)]

    def _vector(self, parameter: kinds.Vector) -> Layer | None:
        source = self.algorithm.parameterAsSource(self.parameters, parameter.name, self.context)
        if source is None:
            return None
        given = self.parameters.get(parameter.name)
        if isinstance(given, QgsProcessingFeatureSourceDefinition):
            given, _ = given.source.valueAsString(self.context.expressionContext())
        layers = self._layers(parameter.name, given)
        path = file_of_layer(layers[0]) if layers else ""
        return FeatureSource(parameter.name, source, path, self.context)

    def _field(self, parameter: kinds.Field) -> str:
        # QGIS gives a list, which is empty if nothing was chosen.
        fields = self.algorithm.parameterAsFields(self.parameters, parameter.name, self.context)
        return str(next(iter(fields), ""))

    def _file_output(self, parameter: kinds.FileOutput) -> str:
        if self._is_blank(parameter):
            return ""
        return str(
            self.algorithm.parameterAsFileOutput(self.parameters, parameter.name, self.context)
        )

    def _layer_output(self, parameter: kinds.FileOutput) -> str:
        if self._is_blank(parameter):
            return ""
        return str(
            self.algorithm.parameterAsOutputLayer(self.parameters, parameter.name, self.context)
        )

    def _sink(self, parameter: kinds.FeatureOutput) -> QgisSink | None:
        if self._is_blank(parameter):
            return None
        path = self._destination_file(self.parameters.get(parameter.name))
        return QgisSink(self.algorithm, self.parameters, parameter, self.context, path)

    def _is_blank(self, parameter: kinds.FileOutput) -> bool:
        """Return whether an output is not asked for; batch mode says so with an empty text."""
        given = self.parameters.get(parameter.name)
        if isinstance(given, QgsProcessingOutputLayerDefinition):
            given, _ = given.sink.valueAsString(self.context.expressionContext())
        return not given and not parameter.required

    def _destination_file(self, given: Any) -> str:
        """Return the file that a destination names; an empty text if QGIS chooses one.

        Not parameterAsOutputLayer, which tells QGIS to load what it is asked about.
        """
        if isinstance(given, QgsProcessingOutputLayerDefinition):
            given, _ = given.sink.valueAsString(self.context.expressionContext())
        path = given.split("|")[0] if isinstance(given, str) else ""
        return path if Path(path).suffix and not _OTHER_THAN_FILE.match(path) else ""

    def _layers(self, name: str, given: Any = None) -> list[QgsMapLayer]:
        parameters = self.parameters if given is None else {**self.parameters, name: given}
        return list(self.algorithm.parameterAsLayerList(parameters, name, self.context))


_CONVERTERS: dict[type, Callable[[GivenToQgis, Any], Any]] = {
    kinds.Number: GivenToQgis._number,
    kinds.Choice: GivenToQgis._choice,
    kinds.Switch: GivenToQgis._switch,
    kinds.Text: GivenToQgis._text,
    kinds.Folder: GivenToQgis._text,
    kinds.LoginChoice: GivenToQgis._login,
    kinds.Words: GivenToQgis._words,
    kinds.Dates: GivenToQgis._dates,
    kinds.Day: GivenToQgis._day,
    kinds.Crs: GivenToQgis._crs,
    kinds.Extent: GivenToQgis._extent,
    kinds.Rasters: GivenToQgis._rasters,
    kinds.ClassRaster: GivenToQgis._class_raster,
    kinds.Files: GivenToQgis._files,
    kinds.File: GivenToQgis._file,
    kinds.Labels: GivenToQgis._labels,
    kinds.Vector: GivenToQgis._vector,
    kinds.Field: GivenToQgis._field,
    kinds.FileOutput: GivenToQgis._file_output,
    kinds.RasterOutput: GivenToQgis._layer_output,
    kinds.VectorOutput: GivenToQgis._layer_output,
    kinds.FeatureOutput: GivenToQgis._sink,
}


def crs_text(crs: QgsCoordinateReferenceSystem) -> str | None:
    """Return a CRS as GDAL reads it; None if it is empty."""
    if not crs.isValid():
        return None
    return str(crs.authid() if crs.authid().startswith("EPSG:") else crs.toWkt())


def file_of_layer(layer: QgsMapLayer) -> str:
    """Return the file behind a layer, without the part that names a layer in it."""
    return str(layer.source()).split("|")[0]


def raster_file(layer: QgsMapLayer) -> str:
    """Return the file behind a raster layer.

    Raises:
        SeriesError: the layer is not a raster file (a web service, a database).
    """
    if layer.dataProvider() is None or layer.dataProvider().name() not in _FILE_PROVIDERS:
        raise SeriesError(
            f'The layer "{layer.name()}" is not a raster file: export it to a GeoTIFF first.'
        )
    source = str(layer.source()).split("|option:")[0]
    cube = _NETCDF_VARIABLE.match(source)
    return cube["file"] if cube else source


def _edges(box: Any) -> Box:
    return box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
