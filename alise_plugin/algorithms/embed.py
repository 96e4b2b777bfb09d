"""`alise:embed`: an image series becomes a raster of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
)

from ..errors import SeriesError
from ..mapping.embedding.embed import FORMATS, embed
from ..sits.series import ImageSeries
from .base import GEOTIFF, AliseAlgorithm, QgisFeedback, dates_as_text, require_ending
from .inputs import (
    declare_engine,
    declare_extent,
    declare_model,
    declare_rasters,
    encoder_of,
    extent_of,
    open_rasters,
)


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
        "only needed when the rasters do not say their dates. Vectors of a single year tell more "
        "of it than those of several at once. MODEL is the folder of a model package; the bundled "
        "model is used when it is empty.\n\n"
        "float32 is exact; int8 writes one byte per band and pixel, with a scale and an offset "
        "in the file, and is four times smaller; compact writes 64 bytes per pixel, a projection "
        "with ranges that belong to the model, so that places and years stay comparable. The run "
        "never uses more memory than MEMORY, whatever the size of the raster. DEVICE_USED tells "
        "where it really ran.\n\n"
        "With RESUME, finished tiles stay in a folder beside the output until it is complete, and "
        "a run that was stopped goes on where it was when it is started again with the same "
        "parameters. COG makes the output a Cloud Optimised GeoTIFF."
    )
    NEEDS_RUNTIME = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self, "Image series, or one raster per date")
        self.addParameter(
            QgsProcessingParameterString(
                "DATES",
                self.tr("Dates, when the rasters do not say (2019-05-14, 2019-05-29, ...)"),
                optional=True,
            )
        )
        declare_model(self)
        declare_extent(self)
        declare_engine(self)
        self.add_advanced(
            QgsProcessingParameterEnum(
                "FORMAT",
                self.tr("Number format of the output"),
                list(FORMATS),
                defaultValue=FORMATS[0],
                usesStaticStrings=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Embedding raster"))
        )
        for name, text in (
            ("RESUME", "Keep finished tiles, and go on with those of an interrupted run"),
            ("COG", "Write a Cloud Optimised GeoTIFF"),
        ):
            self.add_advanced(QgsProcessingParameterBoolean(name, self.tr(text), False, True))
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
        require_ending(output, "OUTPUT", GEOTIFF, "an embedding raster is a GeoTIFF")
        encoder = encoder_of(self, parameters, context)
        layers = self.parameterAsLayerList(parameters, "INPUT", context)
        dates = self.parameterAsString(parameters, "DATES", context)
        series = open_rasters(layers, dates, feedback)
        if not isinstance(series, ImageSeries):
            raise SeriesError(
                f"{Path(series.path).name} is an embedding raster already: choose an image series."
            )
        with series:
            result = embed(
                series,
                encoder,
                output,
                extent=extent_of(self, parameters, context, series.grid),
                memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
                tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
                format=self.parameterAsEnumString(parameters, "FORMAT", context) or FORMATS[0],
                feedback=QgisFeedback(feedback),
                resume=self.parameterAsBool(parameters, "RESUME", context),
                cog=self.parameterAsBool(parameters, "COG", context),
            )
        self.name_layer(context, output, f"Embedding {result.dates[0]} to {result.dates[-1]}")
        return {
            "OUTPUT": output,
            "DATES_USED": dates_as_text(result.dates),
            "DEVICE_USED": result.device,
            "MODEL_ID": result.model_id,
        }
