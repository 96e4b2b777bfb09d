"""`alise:buildtimeseries`: whatever Sentinel-2 a user has becomes one image series."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsDateTimeRange,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QDate, QDateTime, QTime

from ..errors import AliseError, OutputError, SeriesError
from ..mapping.rasters.natural_color import write_series_style
from ..sits.bands import BANDS
from ..sits.build import SeriesOptions, plan_series
from ..sits.report import write_report
from .base import (
    AliseAlgorithm,
    DefaultStyle,
    QgisFeedback,
    dates_as_text,
    dates_from_text,
    layer_sources,
    require_ending,
)
from .compat import DATE, FOLDER, REAL, TYPE_FILE, TYPE_RASTER
from .inputs import declare_extent

# GDAL's own names for what lies in a product or a Zarr cube; the path may be quoted.
PART_OF_PRODUCT = re.compile(
    r'^(?:SENTINEL2_L[12][AC](?:_TILE)?|ZARR):"?(?P<path>.+?)"?(?::[^\\/"]*|:/.*)?$', re.IGNORECASE
)


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
    """Declares the parameters of `sits.build.plan_series`."""

    NAME = "buildtimeseries"
    TITLE = "Build image series"
    GROUP = ("series", "Image series")
    TAGS = ("stack", "vrt", "dates", "netcdf", "zarr", "cube", "safe", "theia", "stac", "mosaic")
    SUMMARY = "Puts whatever Sentinel-2 L2A you have into one dated image series."
    HELP = (
        "Puts Sentinel-2 L2A images of several dates into one image series: a VRT with ten bands "
        "(B02 to B12) per date, which QGIS shows like any raster and which copies no pixel.\n\n"
        "Give folders (they are searched), files, or layers, mixed: SAFE products and Theia "
        "products (folders or zips), one raster per date, one raster per date and band, one stack "
        "of all dates, NetCDF or Zarr cubes, STAC items, collections and catalogues. Band and date "
        "are read from metadata, band descriptions or file names (S2 product names, 20190514, "
        "2019-05-14); scale and offset from metadata, else from the values, and where two readings "
        "are plausible you are asked for SCALE or OFFSET. Clouds may stay in: the model needs no "
        "cloud mask.\n\n"
        "The series is on the grid of the finest image unless you give CRS, RESOLUTION or EXTENT. "
        "20 m bands are resampled to it once, bicubic. Images of one day are mosaicked; of two "
        "processings of one scene the newer is used. Bands that no image has are left empty and "
        "are listed in BANDS_MISSING; at least four, with red and near infrared, are needed.\n\n"
        "REPORT shows what came of it, and what was left out and why."
    )

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                "INPUT", self.tr("Rasters"), TYPE_RASTER, optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterFile(
                "FOLDER",
                self.tr("Folder of images (is searched)"),
                FOLDER,
                optional=True,
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
        self._declare_choices()
        self.addOutput(QgsProcessingOutputString("DATES", self.tr("Dates")))
        self.addOutput(QgsProcessingOutputNumber("COUNT", self.tr("Number of dates")))
        self.addOutput(QgsProcessingOutputString("BANDS_MISSING", self.tr("Bands without data")))
        self.addOutput(QgsProcessingOutputNumber("PRODUCTS", self.tr("Number of images used")))
        self.addOutput(QgsProcessingOutputNumber("LEFT_OUT", self.tr("Number of images left out")))
        self.addOutput(QgsProcessingOutputString("WARNINGS", self.tr("Warnings")))

    def _declare_choices(self) -> None:
        """What came after the first release stands after what it had, and is optional."""
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                "FILES",
                self.tr("Product zips, STAC files, cubes (files)"),
                TYPE_FILE,
                optional=True,
            )
        )
        declare_extent(self)
        self.addParameter(
            QgsProcessingParameterCrs(
                "CRS", self.tr("CRS (empty: of the finest image)"), optional=True
            )
        )
        self.addParameter(
            self._number("RESOLUTION", "Pixel size in units of the CRS (empty: finest image)", 0)
        )
        self.addParameter(
            self._number("MAX_CLOUD", "Leave out dates with more cloud than, in %", 0, 100)
        )
        self.addParameter(
            self._number("MIN_VALID", "Leave out dates with fewer valid pixels than, in %", 0, 100)
        )
        self.addParameter(
            QgsProcessingParameterBoolean(
                "MASK_CLOUDS", self.tr("Mask clouds by the products' own masks"), False
            )
        )
        for name, text in (
            ("SCALE", "Reflectance per raw unit, of files that do not say (empty: auto)"),
            ("OFFSET", "Reflectance of raw value 0, of files that do not say (empty: auto)"),
            ("NODATA", "Raw value without meaning, of files that do not say (empty: auto)"),
        ):
            self.add_advanced(self._number(name, text))
        self.add_advanced(
            QgsProcessingParameterString(
                "BAND_ORDER",
                self.tr("Bands of a date in their order, where rasters do not say (B02, B03, ...)"),
                optional=True,
            )
        )
        self.add_advanced(
            QgsProcessingParameterEnum(
                "STACK_ORDER",
                self.tr("Order of a stack that describes nothing"),
                ["date-major", "band-major"],
                defaultValue="date-major",
                usesStaticStrings=True,
            )
        )
        self.add_advanced(
            QgsProcessingParameterEnum(
                "THEIA",
                self.tr("Reflectance of Theia products"),
                ["FRE", "SRE"],
                defaultValue="FRE",
                usesStaticStrings=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "REPORT", self.tr("Report"), "HTML (*.html)", optional=True, createByDefault=False
            )
        )

    def _number(
        self, name: str, text: str, least: float | None = None, most: float | None = None
    ) -> QgsProcessingParameterNumber:
        parameter = QgsProcessingParameterNumber(name, self.tr(text), REAL, optional=True)
        if least is not None:
            parameter.setMinimum(least)
        if most is not None:
            parameter.setMaximum(most)
        return parameter

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        layers = self.parameterAsLayerList(parameters, "INPUT", context)
        sources = [whole_product(source) for source in layer_sources(layers)]
        sources += [path for path in self.parameterAsFileList(parameters, "FILES", context) if path]
        folder = self.parameterAsString(parameters, "FOLDER", context)
        sources += [folder] if folder else []
        if not sources:
            raise SeriesError(
                "No raster was given: choose layers in INPUT, files in FILES or a folder in FOLDER."
            )
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        if Path(output).suffix.lower() != ".vrt":
            raise OutputError(
                f"{output or 'OUTPUT'}: an image series is a VRT, let its name end in .vrt."
            )
        report = self.parameterAsFileOutput(parameters, "REPORT", context)
        if report:
            require_ending(report, "REPORT", (".html",), "a report is a web page")
        options = self._options(parameters, context, layer_days(layers), measured=bool(report))
        plan = plan_series(sources, output, options, QgisFeedback(feedback, 0, 0.9))
        for text in plan.notes:
            feedback.pushInfo(text)
        for name, reason in plan.left_out:
            feedback.pushInfo(f"Left out: {name} ({reason.rstrip('.')}).")
        for text in plan.warnings:
            feedback.pushWarning(text)
        if report:
            write_report(plan, output, report, QgisFeedback(feedback, 0.9, 1))
        try:
            with plan.write(output) as series:
                dates = series.dates
                write_series_style(series, plan)
        except AliseError:
            if report:
                Path(report).unlink()
            raise
        missing = ", ".join(plan.bands_missing)
        feedback.pushInfo(f"{len(dates)} dates from {dates[0]} to {dates[-1]}.")
        if missing:
            feedback.pushInfo(f"No raster has {missing}: these bands are left empty.")
        self.name_layer(context, output, f"Image series {dates[0]} to {dates[-1]}")
        self.style_layer(context, output, SeriesTime(dates))
        return {
            "OUTPUT": output,
            "DATES": dates_as_text(dates),
            "COUNT": len(dates),
            "BANDS_MISSING": missing,
            "PRODUCTS": len({p.name for item in plan.dates for p in item.products}),
            "LEFT_OUT": len(plan.left_out),
            "WARNINGS": " ".join(plan.warnings),
            "REPORT": report,
        }

    def _options(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        days: dict[str, date],
        measured: bool,
    ) -> SeriesOptions:
        crs = self.parameterAsCrs(parameters, "CRS", context)
        if isinstance(parameters.get("CRS"), str) and parameters["CRS"] and not crs.isValid():
            raise SeriesError(f"{parameters['CRS']!r} is no CRS; write for example EPSG:32631.")
        box = self.parameterAsExtent(parameters, "EXTENT", context)
        drawn_in = self.parameterAsExtentCrs(parameters, "EXTENT", context)
        if str(parameters.get("EXTENT")).endswith("]") and not drawn_in.isValid():
            raise SeriesError(f"EXTENT {parameters['EXTENT']} names no CRS that is known.")
        extent = (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum())
        cloud = self.number_or_none(parameters, "MAX_CLOUD", context)
        valid = self.number_or_none(parameters, "MIN_VALID", context)
        names = self.parameterAsString(parameters, "BAND_ORDER", context)
        return SeriesOptions(
            dates=dates_from_text(self.parameterAsString(parameters, "DATES", context)),
            start=self.day_or_none(parameters, "START", context),
            end=self.day_or_none(parameters, "END", context),
            scale=self.number_or_none(parameters, "SCALE", context),
            offset=self.number_or_none(parameters, "OFFSET", context),
            nodata=self.number_or_none(parameters, "NODATA", context),
            crs=_definition(crs),
            resolution=self.number_or_none(parameters, "RESOLUTION", context),
            extent=None if box.isNull() else extent,
            extent_crs=_definition(drawn_in),
            band_order=[word for word in re.split(r"[\s,;]+", names) if word] or None,
            band_major=self.parameterAsEnumString(parameters, "STACK_ORDER", context)
            == "band-major",
            layer_days=days,
            theia=self.parameterAsEnumString(parameters, "THEIA", context) or "FRE",
            max_cloud=None if cloud is None else cloud / 100,
            min_valid=None if valid is None else valid / 100,
            mask_clouds=self.parameterAsBool(parameters, "MASK_CLOUDS", context),
            measured=measured,
        )


def _definition(crs: QgsCoordinateReferenceSystem) -> str | None:
    """A CRS as GDAL reads it; None where it is empty."""
    if not crs.isValid():
        return None
    return crs.authid() if crs.authid().startswith("EPSG:") else crs.toWkt()


def whole_product(source: str) -> str:
    """The product or cube of which a layer shows one part."""
    part = PART_OF_PRODUCT.match(source)
    if part is None:
        return source
    path = part["path"]
    return os.path.dirname(path) if path.lower().endswith(".xml") else path


def layer_days(layers: Sequence[QgsMapLayer]) -> dict[str, date]:
    """The first day of the fixed temporal range of the layers that have one, per source."""
    days = {}
    for layer in layers:
        properties = layer.temporalProperties()
        if not isinstance(layer, QgsRasterLayer) or properties is None:
            continue
        fixed = Qgis.RasterTemporalMode.FixedTemporalRange
        if properties.isActive() and properties.mode() == fixed:
            moment = properties.fixedTemporalRange().begin()
            if moment.isValid():
                day = moment.date()
                days[layer.source()] = date(day.year(), day.month(), day.day())
    return days


class SeriesTime(DefaultStyle):
    """Gives the loaded layer its style and its temporal range, for the Temporal Controller.

    From QGIS 3.38 on, each band has the range from its date up to the next date; before, the layer
    has one range from the first date to the last.
    """

    def __init__(self, dates: Sequence[date]) -> None:
        super().__init__()
        self._dates = tuple(dates)

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style and set the temporal properties."""
        super().postProcessLayer(layer, context, feedback)
        set_time(layer, self._dates)


def set_time(layer: QgsRasterLayer, dates: Sequence[date]) -> None:
    """Give a series' layer its temporal range: per band where QGIS can."""
    properties = layer.temporalProperties()
    starts = [QDateTime(QDate(day.year, day.month, day.day), QTime(0, 0)) for day in dates]
    end = QDateTime(starts[-1].date(), QTime(23, 59, 59))
    per_band = getattr(Qgis.RasterTemporalMode, "FixedRangePerBand", None)
    if per_band is not None:
        ranges = {}
        for number, start in enumerate(starts):
            until = starts[number + 1] if number + 1 < len(starts) else end
            for band in range(number * len(BANDS) + 1, (number + 1) * len(BANDS) + 1):
                ranges[band] = QgsDateTimeRange(start, until, True, until == end)
        properties.setMode(per_band)
        properties.setFixedRangePerBand(ranges)
    else:
        properties.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
        properties.setFixedTemporalRange(QgsDateTimeRange(starts[0], end))
    properties.setIsActive(True)
