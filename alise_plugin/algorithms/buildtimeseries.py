"""`alise:buildtimeseries`: rasters of several dates become one image series."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
)

from ..errors import OutputError, SeriesError
from ..sits.bands import BANDS
from ..sits.build import build_series
from .base import AliseAlgorithm, dates_as_text, dates_from_text, layer_sources
from .compat import DATE, FOLDER, TYPE_RASTER

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".nc")


class VrtDestination(QgsProcessingParameterRasterDestination):
    """A raster output that is always a VRT, also when QGIS chooses a temporary name."""

    def clone(self) -> VrtDestination:
        """Return a copy, which QGIS keeps."""
        return VrtDestination(self.name(), self.description())

    def defaultFileExtension(self) -> str:
        """Return the ending of temporary names."""
        return "vrt"

    def createFileFilter(self) -> str:
        """Return the choices of the Save dialog."""
        return "VRT (*.vrt *.VRT)"

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """Return the endings that batch mode and the modeler offer."""
        return ["vrt"]


class BuildTimeSeries(AliseAlgorithm):
    """Declares the parameters of `sits.build.build_series`."""

    NAME = "buildtimeseries"
    TITLE = "Build image series"
    GROUP = ("series", "Image series")
    TAGS = ("stack", "vrt", "dates", "netcdf", "cube")
    SUMMARY = "Puts Sentinel-2 rasters of several dates into one dated image series."
    HELP = (
        "Puts Sentinel-2 L2A rasters of several dates into one image series: a VRT with ten bands "
        "(B02 to B12) per date, which QGIS shows like any raster and which copies no pixel.\n\n"
        "Give one raster per date, one stack of all dates, or NetCDF cubes with one variable per "
        "band, as layers or as a folder. Band and date are read from band descriptions, metadata "
        "or file names (S2 product names, 20190514, 2019-05-14). Clouds may stay in: the model "
        "needs no cloud mask.\n\n"
        "Where a band is at 20 m, it is resampled to the finest grid given. Bands that no raster "
        "has are left empty and are listed in BANDS_MISSING."
    )

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                "INPUT", self.tr("Rasters"), TYPE_RASTER, optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterFile(
                "FOLDER", self.tr("Folder of rasters"), FOLDER, optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterString(
                "DATES",
                self.tr("Dates, when the rasters do not say (2019-05-14, 2019-05-29, ...)"),
                optional=True,
            )
        )
        for name, text in (("START", "First day to keep"), ("END", "Last day to keep")):
            self.addParameter(
                QgsProcessingParameterDateTime(name, self.tr(text), DATE, optional=True)
            )
        self.addParameter(VrtDestination("OUTPUT", self.tr("Image series")))
        self.addOutput(QgsProcessingOutputString("DATES", self.tr("Dates")))
        self.addOutput(QgsProcessingOutputNumber("COUNT", self.tr("Number of dates")))
        self.addOutput(QgsProcessingOutputString("BANDS_MISSING", self.tr("Bands without data")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        sources = layer_sources(self.parameterAsLayerList(parameters, "INPUT", context))
        folder = self.parameterAsString(parameters, "FOLDER", context)
        if folder:
            sources += rasters_in(Path(folder))
        if not sources:
            raise SeriesError("No raster was given: choose layers in INPUT or a folder in FOLDER.")
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        if Path(output).suffix.lower() != ".vrt":
            raise OutputError(
                f"{output or 'OUTPUT'}: an image series is a VRT, let its name end in .vrt."
            )
        with build_series(
            sources,
            output,
            dates=dates_from_text(self.parameterAsString(parameters, "DATES", context)),
            start=self._day(parameters, "START", context),
            end=self._day(parameters, "END", context),
        ) as series:
            dates = series.dates
            missing = [band for band in BANDS if band not in series.bands_present]
        feedback.pushInfo(f"{len(dates)} dates from {dates[0]} to {dates[-1]}.")
        if missing:
            feedback.pushInfo(f"No raster has {', '.join(missing)}: these bands are left empty.")
        self.name_layer(context, output, f"Image series {dates[0]} to {dates[-1]}")
        return {
            "OUTPUT": output,
            "DATES": dates_as_text(dates),
            "COUNT": len(dates),
            "BANDS_MISSING": ", ".join(missing),
        }

    def _day(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> date | None:
        moment = self.parameterAsDateTime(parameters, name, context)
        if not moment.isValid():
            return None
        day = moment.date()
        return date(day.year(), day.month(), day.day())


def rasters_in(folder: Path) -> list[str]:
    """Return the rasters that lie directly in a folder, by name.

    Raises:
        SeriesError: there is none.
    """
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in RASTER_SUFFIXES)
    if not found:
        raise SeriesError(
            f"The folder {folder} holds no raster ({', '.join(RASTER_SUFFIXES)}): "
            "choose the folder in which the files themselves lie."
        )
    return [str(path) for path in found]
