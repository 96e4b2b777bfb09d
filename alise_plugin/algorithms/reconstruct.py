"""`alise:reconstruct`: an image series becomes images without clouds, on any days."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
)

from ..mapping.maps.reconstruct import EVERY, reconstruct
from .base import (
    GEOTIFF,
    AliseAlgorithm,
    QgisFeedback,
    dates_as_text,
    dates_from_text,
    require_ending,
)
from .compat import INTEGER
from .inputs import (
    declare_engine,
    declare_extent,
    declare_model,
    declare_rasters,
    encoder_of,
    extent_of,
    open_rasters,
)


class Reconstruct(AliseAlgorithm):
    """Declares the parameters of `mapping.reconstruct.reconstruct`."""

    NAME = "reconstruct"
    TITLE = "Reconstruct images"
    GROUP = ("maps", "Maps")
    TAGS = ("cloud-free", "gap filling", "interpolation", "composite", "reflectance")
    SUMMARY = "Shows the ground without clouds on any day, as the model expects it."
    HELP = (
        "Decodes what the vectors of Embed image series hold: the reflectance of the ten bands on "
        "any day, as if no cloud had been there. Use it to look at a place where no acquisition "
        "was clear, or as a regular series for other tools.\n\n"
        "INPUT is an image series, one raster per date, or an embedding raster in float32 or int8 "
        "that MODEL made. DATES are the days to show, such as 2019-05-14, 2019-08-01; without them "
        "there is one every EVERY days, from the first to the last acquisition. OUTPUT is an image "
        "series itself, ten bands a date, in whole numbers of 1/10000 with their scale. More than "
        "400 days get no overviews.\n\n"
        "Of an image series of more than a year, each day is decoded from the acquisitions of the "
        "year around it, or of two years where that has fewer than 24. An embedding raster of "
        "several years is quicker, but holds them all at once, and they become more alike.\n\n"
        "These are estimates and no observations: events between two clear dates (a mowing, a "
        "flood) are smoothed out, snow is not shown, thin haze and deep shadow may tint a pixel, "
        "and days outside the series and bands that it lacks are guesses. The card of the model "
        "tells how large the errors are."
    )
    NEEDS_RUNTIME = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self, "Image series, one raster per date, or embedding raster")
        self.addParameter(
            QgsProcessingParameterString(
                "DATES",
                self.tr("Days to show (2019-05-14, 2019-08-01, ...; empty: one every EVERY days)"),
                optional=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                "EVERY",
                self.tr("Days from one image to the next, where DATES is empty"),
                INTEGER,
                EVERY,
                minValue=1,
            )
        )
        declare_model(self)
        declare_extent(self)
        declare_engine(self)
        self.addParameter(
            QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Reconstructed images"))
        )
        self.addOutput(QgsProcessingOutputString("DATES_USED", self.tr("Days shown")))
        self.addOutput(QgsProcessingOutputString("DEVICE_USED", self.tr("Device used")))
        self.addOutput(QgsProcessingOutputString("MODEL_ID", self.tr("Model")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        require_ending(output, "OUTPUT", GEOTIFF, "reconstructed images are a GeoTIFF")
        dates = dates_from_text(self.parameterAsString(parameters, "DATES", context))
        encoder = encoder_of(self, parameters, context)
        source = open_rasters(self.parameterAsLayerList(parameters, "INPUT", context), "", feedback)
        result = reconstruct(
            source,
            encoder,
            output,
            dates=dates or (),
            every=self.parameterAsInt(parameters, "EVERY", context),
            extent=extent_of(self, parameters, context, source.grid),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            feedback=QgisFeedback(feedback),
        )
        self.name_layer(context, output, f"Reconstructed {result.dates[0]} to {result.dates[-1]}")
        self.style_layer(context, output)
        return {
            "OUTPUT": output,
            "DATES_USED": dates_as_text(result.dates),
            "DEVICE_USED": result.device,
            "MODEL_ID": result.model_id,
        }
