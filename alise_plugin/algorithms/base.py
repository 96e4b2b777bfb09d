"""What all algorithms share: their look in the Toolbox, progress, errors, and input layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
    QgsProcessingUtils,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QIcon

from ..errors import OUT_OF_MEMORY, AliseError, OutputError, SeriesError
from ..mapping.rasters.destinations import require_outputs
from ..runtime import location
from ..sits.acquisitions import parse_date
from .compat import FLAG_ADVANCED

PLUGIN_ROOT = Path(__file__).resolve().parents[2]
BUNDLED_MODEL = PLUGIN_ROOT / "models" / "alise-s2"
ICON = PLUGIN_ROOT / "alise_plugin" / "resources" / "icon.svg"
# GDAL's rasters, and NetCDF cubes, which QGIS takes for meshes when it gets the bare file.
FILE_PROVIDERS = ("gdal", "mdal")
GEOTIFF = (".tif", ".tiff")
# Where a layer lies that is no file: "memory:", "ogr:dbname=...", "postgres:..."; C: is a drive.
OTHER_THAN_FILE = re.compile(r"^\w{2,}:")
# How GDAL names one variable of a NetCDF file; the file may be quoted.
NETCDF_VARIABLE = re.compile(r'^NETCDF:"?(?P<file>.+?)"?:[^:/\\]+$', re.IGNORECASE)


def profile_folder() -> Path:
    """Return the folder of the QGIS user profile in use."""
    return Path(QgsApplication.qgisSettingsDirPath())


class QgisFeedback:
    """Passes progress, messages and the Cancel button between QGIS and the other rooms.

    Args:
        feedback: the feedback object that QGIS handed to the algorithm.
        start: fraction of the whole run, in [0, 1], that is done before this step.
        end: fraction of the whole run that is done after it.
    """

    def __init__(
        self, feedback: QgsProcessingFeedback, start: float = 0.0, end: float = 1.0
    ) -> None:
        self._feedback = feedback
        self._start = start
        self._end = end

    def progress(self, fraction: float) -> None:
        """Report the fraction of this step that is done, in [0, 1]."""
        done = self._start + (self._end - self._start) * fraction
        self._feedback.setProgress(100.0 * done)

    def cancelled(self) -> bool:
        """Return whether the user pressed Cancel."""
        return bool(self._feedback.isCanceled())

    def info(self, text: str) -> None:
        """Write one line to the log of the run."""
        self._feedback.pushInfo(text)


class AliseAlgorithm(QgsProcessingAlgorithm):
    """An algorithm of this plugin; the files beside this one say what each does.

    A subclass sets the texts below, declares its parameters in `initAlgorithm` and does its work
    in `work`, where it may raise any `AliseError`.
    """

    NAME = ""
    TITLE = ""
    GROUP = ("", "")  # id, title
    TAGS: tuple[str, ...] = ()
    SUMMARY = ""
    HELP = ""
    NEEDS_RUNTIME = False
    NEEDS_SCIKIT_LEARN = False

    def name(self) -> str:
        return self.NAME

    def displayName(self) -> str:
        return self.tr(self.TITLE)

    def group(self) -> str:
        return self.tr(self.GROUP[1])

    def groupId(self) -> str:
        return self.GROUP[0]

    def tags(self) -> list[str]:
        return [*self.TAGS, "alise", "sentinel-2", "time series"]

    def shortDescription(self) -> str:
        return self.tr(self.SUMMARY)

    def shortHelpString(self) -> str:
        return self.tr(self.HELP)

    def icon(self) -> QIcon:
        return QIcon(str(ICON))

    def svgIconPath(self) -> str:
        return str(ICON)

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return QCoreApplication.translate("Alise", text)

    def createInstance(self) -> AliseAlgorithm:
        return type(self)()

    def canExecute(self) -> tuple[bool, str]:
        if self.NEEDS_RUNTIME and not location.is_installed("onnxruntime"):
            return False, self.tr(location.missing_sentence(profile_folder()))
        if self.NEEDS_SCIKIT_LEARN and not location.is_installed("sklearn"):
            return False, self.tr(location.missing_sentence(profile_folder(), "scikit-learn"))
        return True, ""

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Declare a parameter that the dialog shows under "Advanced parameters"."""
        parameter.setFlags(parameter.flags() | FLAG_ADVANCED)
        self.addParameter(parameter)

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            given = parameters.get("INPUT")
            for value in given if isinstance(given, (list, tuple)) else [given]:
                if isinstance(value, str) and not QgsProcessingUtils.mapLayerFromString(
                    value, context
                ):
                    return False, (
                        f"{value} cannot be opened as a raster: check that the file exists and "
                        "that QGIS can show it."
                    )
        return fine, message

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        # The dialog asks canExecute; qgis_process and processing.run do not in every release.
        can, sentence = self.canExecute()
        if not can:
            raise QgsProcessingException(sentence)
        try:
            return self.work(parameters, context, feedback)
        except AliseError as error:
            raise QgsProcessingException(str(error)) from error
        except MemoryError as error:
            raise QgsProcessingException(OUT_OF_MEMORY) from error

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Do the work and return a value for every declared output."""
        raise NotImplementedError

    def number_or_none(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> float | None:
        """An optional number; None where the user left it empty (None, NULL or no text)."""
        if parameters.get(name) in (None, ""):
            return None
        return float(self.parameterAsDouble(parameters, name, context))

    def day_or_none(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> date | None:
        """An optional day; None where the user left it empty."""
        moment = self.parameterAsDateTime(parameters, name, context)
        if not moment.isValid():
            return None
        day = moment.date()
        return date(day.year(), day.month(), day.day())

    def name_layer(self, context: QgsProcessingContext, path: str, name: str) -> None:
        """Give the layer that QGIS will load from `path` a name that tells what it is."""
        if context.willLoadLayerOnCompletion(path):
            context.layerToLoadOnCompletionDetails(path).name = name

    def style_layer(
        self, context: QgsProcessingContext, path: str, styled: DefaultStyle | None = None
    ) -> None:
        """Have the layer that QGIS will load from `path` take the style that lies beside it.

        Args:
            context: of the run.
            path: the file.
            styled: what does so, where it does more.
        """
        if context.willLoadLayerOnCompletion(path):
            processor = (styled or DefaultStyle()).until_it_has_run(path)
            context.layerToLoadOnCompletionDetails(path).setPostProcessor(processor)

    def require_outputs(
        self,
        parameters: dict[str, Any],
        outputs: Sequence[str],
        inputs: Sequence[str],
        context: QgsProcessingContext,
    ) -> None:
        """Make sure that files can be written and overwrite neither layers read nor each other.

        Args:
            parameters: of the run.
            outputs: names of the destinations.
            inputs: names of the parameters that hold layers, one or several.
            context: of the run.

        Raises:
            OutputError: see `mapping.output.require_outputs`.
        """
        layers: list[QgsMapLayer] = []
        for name in inputs:
            given = parameters.get(name)
            if isinstance(given, QgsProcessingFeatureSourceDefinition):
                given, _ = given.source.valueAsString(context.expressionContext())
            if given:
                layers += self.parameterAsLayerList({**parameters, name: given}, name, context)
        require_outputs(
            [self.file_of(parameters.get(name), context) for name in outputs],
            [layer.source().split("|")[0] for layer in layers],
        )

    def file_of(self, destination: Any, context: QgsProcessingContext) -> str:
        """The file that a destination names; empty where QGIS chooses one, or it is no file.

        Not parameterAsOutputLayer, which tells QGIS to load what it is asked about.
        """
        if isinstance(destination, QgsProcessingOutputLayerDefinition):
            destination, _ = destination.sink.valueAsString(context.expressionContext())
        path = destination.split("|")[0] if isinstance(destination, str) else ""
        return path if Path(path).suffix and not OTHER_THAN_FILE.match(path) else ""


class DefaultStyle(QgsProcessingLayerPostProcessorInterface):
    """Gives the loaded layer the style that lies beside its file, which Processing passes by."""

    # QGIS keeps no reference to a post-processor, so this class does until it has run.
    _waiting: dict[str, DefaultStyle] = {}
    _path = ""

    def until_it_has_run(self, path: str) -> DefaultStyle:
        """Keep it for the layer of a file."""
        self._path = path
        self._waiting[path] = self
        return self

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style."""
        layer.loadDefaultStyle()
        self._waiting.pop(self._path, None)


def require_ending(path: str, parameter: str, endings: Sequence[str], what: str) -> None:
    """Make sure that an output has the right file type.

    Raises:
        OutputError: it has another.
    """
    if Path(path).suffix.lower() not in endings:
        raise OutputError(f"{path or parameter}: {what}, let its name end in {endings[0]}.")


def layer_sources(layers: Sequence[QgsMapLayer]) -> list[str]:
    """Return the file behind each layer; all variables of a NetCDF cube are one file.

    Raises:
        SeriesError: a layer is not a raster file (a web service, a database).
    """
    sources = []
    for layer in layers:
        if layer.dataProvider() is None or layer.dataProvider().name() not in FILE_PROVIDERS:
            raise SeriesError(
                f'The layer "{layer.name()}" is not a raster file: export it to a GeoTIFF first.'
            )
        source = layer.source().split("|option:")[0]
        cube = NETCDF_VARIABLE.match(source)
        sources.append(cube["file"] if cube else source)
    return list(dict.fromkeys(sources))


def dates_from_text(text: str) -> list[date] | None:
    """Return the dates in a text such as "2019-05-14, 2019-05-29"; None when it is empty.

    Raises:
        SeriesError: a word of it is not a date.
    """
    dates = []
    for word in re.split(r"[\s,;]+", text.strip()):
        if not word:
            continue
        day = parse_date(word)
        if day is None:
            raise SeriesError(
                f'DATES: "{word}" is not a date: write the dates as 2019-05-14, with commas.'
            )
        dates.append(day)
    return dates or None


def dates_as_text(dates: Sequence[date]) -> str:
    """Return dates the way that `dates_from_text` reads them."""
    return ", ".join(day.isoformat() for day in dates)
