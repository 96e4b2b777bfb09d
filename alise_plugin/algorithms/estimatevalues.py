"""`alise:estimatevalues`: an image series and a head become a map of estimates."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFile,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorLayer,
)

from ..mapping.maps.estimate import estimate
from ..model.heads.value_head import ValueHead
from ..sits.series import ImageSeries
from .base import GEOTIFF, AliseAlgorithm, QgisFeedback, require_ending
from .compat import FILE, TYPE_POLYGON
from .inputs import (
    declare_engine,
    declare_extent,
    declare_model,
    declare_rasters,
    encoder_of,
    extent_of,
    open_rasters,
)
from .label_layers import mask_of


class EstimateValues(AliseAlgorithm):
    """Declares the parameters of `mapping.estimate.estimate`."""

    NAME = "estimatevalues"
    TITLE = "Estimate values"
    GROUP = ("maps", "Maps")
    TAGS = ("regression", "biomass", "yield", "leaf area", "canopy height", "fraction")
    SUMMARY = "Maps the value of a head, from the image series in one pass."
    HELP = (
        "Maps the value that Train regression has learned to estimate. INPUT is an image series or "
        "an embedding raster made with the same model as the head.\n\n"
        "OUTPUT is a raster of one band in the unit of the measurements. Estimates beyond the "
        "least and the largest value that the head has learned from are guesses, such as a biomass "
        "below 0: they are set to the nearer end, unless EXTRAPOLATE keeps them, and the log "
        "says how many they are. Nothing is mapped outside the polygons of MASK: give it the "
        "places of the kind that was measured.\n\n"
        "The map depends neither on tile size nor on memory."
    )
    NEEDS_RUNTIME = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self)
        self.addParameter(
            QgsProcessingParameterFile("HEAD", self.tr("Head"), FILE, fileFilter="ONNX (*.onnx)")
        )
        declare_model(self)
        self.addParameter(
            QgsProcessingParameterBoolean(
                "EXTRAPOLATE",
                self.tr("Keep estimates beyond what the head has learned from"),
                False,
            )
        )
        self.addParameter(
            QgsProcessingParameterVectorLayer(
                "MASK", self.tr("Map these polygons only"), [TYPE_POLYGON], optional=True
            )
        )
        declare_extent(self)
        declare_engine(self)
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Estimates")))
        for name, text in (
            ("MEAN", "Mean of the estimates"),
            ("BEYOND", "Share of estimates beyond what the head has learned from"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, self.tr(text)))
        self.addOutput(QgsProcessingOutputString("DEVICE_USED", self.tr("Device used")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        require_ending(output, "OUTPUT", GEOTIFF, "a map is a GeoTIFF")
        self.require_outputs(parameters, ("OUTPUT",), ("INPUT", "MASK"), context)
        head = ValueHead(self.parameterAsFile(parameters, "HEAD", context))
        layers = self.parameterAsLayerList(parameters, "INPUT", context)
        source = open_rasters(layers, "", feedback)
        is_series = isinstance(source, ImageSeries)
        mask = self.parameterAsVectorLayer(parameters, "MASK", context)
        result = estimate(
            source,
            encoder_of(self, parameters, context) if is_series else None,
            head,
            output,
            extrapolate=self.parameterAsBool(parameters, "EXTRAPOLATE", context),
            mask=mask_of(mask, context) if mask else None,
            extent=extent_of(self, parameters, context, source.grid),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            feedback=QgisFeedback(feedback),
        )
        self.name_layer(context, output, head.description.name)
        self.style_layer(context, output)
        return {
            "OUTPUT": output,
            "MEAN": result.mean,
            "BEYOND": result.beyond,
            "DEVICE_USED": result.device,
        }
