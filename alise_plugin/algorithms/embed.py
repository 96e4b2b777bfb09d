"""`alise:embed`: an image series becomes a raster of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
    QgsProcessingUtils,
)

from ..errors import OutputError, SeriesError
from ..mapping.embed import embed
from ..model.package import load_package
from ..sits.build import build_series
from ..sits.series import ImageSeries
from .base import (
    BUNDLED_MODEL,
    AliseAlgorithm,
    QgisFeedback,
    dates_as_text,
    dates_from_text,
    layer_sources,
)
from .compat import FOLDER, INTEGER, TYPE_RASTER


class Embed(AliseAlgorithm):
    """Declares the parameters of `mapping.embed.embed`."""

    NAME = "embed"
    TITLE = "Embed image series"
    GROUP = ("maps", "Maps")
    TAGS = ("embedding", "features", "deep learning", "onnx")
    SUMMARY = "Turns a Sentinel-2 image series into one vector of features per pixel."
    HELP = (
        "Encodes the whole irregular series of each pixel, clouds and gaps included, into one "
        "vector of fixed size: 10 learned dates x 64 features, as bands q00_d00 to q09_d63 at "
        "the resolution of the input.\n\n"
        "INPUT is one image series (see Build image series) or one raster per date. DATES is "
        "only needed when the rasters do not say their dates. MODEL is the folder of a model "
        "package; the bundled model is used when it is empty.\n\n"
        "float32 is exact; int8 writes one byte per band and pixel, with a scale and an offset "
        "in the file, and is four times smaller. The run never uses more memory than MEMORY, "
        "whatever the size of the raster. DEVICE_USED tells where it really ran."
    )
    NEEDS_RUNTIME = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                "INPUT", self.tr("Image series, or one raster per date"), TYPE_RASTER
            )
        )
        self.addParameter(
            QgsProcessingParameterString(
                "DATES",
                self.tr("Dates, when the rasters do not say (2019-05-14, 2019-05-29, ...)"),
                optional=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterFile(
                "MODEL", self.tr("Model folder (empty: the bundled model)"), FOLDER, optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterExtent("EXTENT", self.tr("Extent (empty: all)"), optional=True)
        )
        self.add_advanced(
            QgsProcessingParameterEnum(
                "DEVICE",
                self.tr("Device"),
                ["auto", "cpu", "cuda"],
                defaultValue="auto",
                usesStaticStrings=True,
            )
        )
        for name, text, default, least in (
            ("THREADS", "CPU threads (0: all cores)", 0, 0),
            ("MEMORY", "Memory to use at most, in MB", 2048, 256),
            ("TILE_SIZE", "Tile size in pixels (0: as the memory allows)", 0, 0),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(
                    name, self.tr(text), INTEGER, default, optional=True, minValue=least
                )
            )
        self.add_advanced(
            QgsProcessingParameterEnum(
                "FORMAT",
                self.tr("Number format of the output"),
                ["float32", "int8"],
                defaultValue="float32",
                usesStaticStrings=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Embedding raster"))
        )
        self.addOutput(QgsProcessingOutputString("DATES_USED", self.tr("Dates used")))
        self.addOutput(QgsProcessingOutputString("DEVICE_USED", self.tr("Device used")))
        self.addOutput(QgsProcessingOutputString("MODEL_ID", self.tr("Model")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        if Path(output).suffix.lower() not in (".tif", ".tiff"):
            raise OutputError(
                f"{output or 'OUTPUT'}: an embedding raster is a GeoTIFF, let its name end in .tif."
            )
        folder = self.parameterAsString(parameters, "MODEL", context) or str(BUNDLED_MODEL)
        package = load_package(folder)
        encoder = package.encoder(
            device=self.parameterAsEnumString(parameters, "DEVICE", context) or "auto",
            threads=self.parameterAsInt(parameters, "THREADS", context) or None,
        )
        with self._series(parameters, context, feedback) as series:
            result = embed(
                series,
                encoder,
                output,
                extent=self._extent(parameters, context, series),
                memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
                tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
                format=self.parameterAsEnumString(parameters, "FORMAT", context) or "float32",
                feedback=QgisFeedback(feedback),
            )
        self.name_layer(context, output, f"Embedding {result.dates[0]} to {result.dates[-1]}")
        return {
            "OUTPUT": output,
            "DATES_USED": dates_as_text(result.dates),
            "DEVICE_USED": result.device,
            "MODEL_ID": result.model_id,
        }

    def _series(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> ImageSeries:
        """Open INPUT, or build a temporary series of it."""
        sources = layer_sources(self.parameterAsLayerList(parameters, "INPUT", context))
        if not sources:
            raise SeriesError("No raster was given: choose an image series in INPUT.")
        dates = dates_from_text(self.parameterAsString(parameters, "DATES", context))
        if len(sources) == 1 and dates is None:
            try:
                return ImageSeries.open(sources[0])
            except SeriesError:
                # Not yet a series; what makes one of it says best what is wrong with it.
                feedback.pushInfo("Building an image series of the input.")
        temporary = QgsProcessingUtils.generateTempFilename("series.vrt")
        return build_series(sources, temporary, dates=dates)

    def _extent(
        self, parameters: dict[str, Any], context: QgsProcessingContext, series: ImageSeries
    ) -> tuple[float, float, float, float] | None:
        """Return EXTENT as (xmin, ymin, xmax, ymax) in the CRS of the series."""
        crs = QgsCoordinateReferenceSystem.fromWkt(series.grid.crs_wkt)
        box = self.parameterAsExtent(parameters, "EXTENT", context, crs)
        if box.isNull():
            return None
        return box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
