"""`alise:findsimilar`: a few examples become a map of where else it looks like there."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
)

from ..mapping.maps.find_similar import PER_AREA, find_similar
from ..sits.series import ImageSeries
from .base import GEOTIFF, AliseAlgorithm, QgisFeedback, require_ending
from .compat import INTEGER, TYPE_POINT, TYPE_POLYGON
from .inputs import (
    declare_engine,
    declare_extent,
    declare_model,
    declare_rasters,
    encoder_of,
    extent_of,
    open_rasters,
)
from .label_layers import examples_of


class FindSimilar(AliseAlgorithm):
    """Declares the parameters of `mapping.find_similar.find_similar`."""

    NAME = "findsimilar"
    TITLE = "Find similar places"
    GROUP = ("maps", "Maps")
    TAGS = ("similarity search", "examples", "one class", "cosine", "query by example")
    SUMMARY = "Maps how much every pixel resembles a few examples."
    HELP = (
        "Where else does it look like here? EXAMPLES are a few polygons or points of one kind of "
        "place: fields of one crop, a mine, a stand of one tree. They need no field and no "
        "counterexamples; tick 'Selected features only' to search for what is selected.\n\n"
        "OUTPUT has a similarity for every pixel, over the whole series: 1 is the middle of the "
        "examples, 0 what is as usual as anything else on INPUT, -1 its opposite (cosine of "
        "vectors that are standardised over INPUT). LEVEL is what nine of ten pixels of the "
        "examples reach, each compared with the other examples (a single one with itself): a first "
        "threshold, for the raster calculator. More examples make it surer.\n\n"
        "INPUT is an image series or an embedding raster. EXAMPLES may lie outside EXTENT, but not "
        "outside INPUT. For a map of several classes use Train classifier and Segment."
    )
    NEEDS_RUNTIME = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self)
        self.addParameter(
            QgsProcessingParameterFeatureSource(
                "EXAMPLES", self.tr("Examples: polygons or points"), [TYPE_POLYGON, TYPE_POINT]
            )
        )
        declare_model(self)
        declare_extent(self)
        for name, text, default, least in (
            ("SAMPLES", "Pixels of one polygon at most", PER_AREA, 1),
            ("SEED", "Seed of the random choices", 0, 0),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(name, self.tr(text), INTEGER, default, minValue=least)
            )
        declare_engine(self)
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Similarity")))
        for name, text in (
            ("LEVEL", "Similarity that nine of ten pixels of the examples reach"),
            ("EXAMPLES_USED", "Examples with pixels"),
            ("SAMPLES_USED", "Pixels of the examples"),
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
        self.require_outputs(parameters, ("OUTPUT",), ("INPUT", "EXAMPLES"), context)
        layers = self.parameterAsLayerList(parameters, "INPUT", context)
        source = open_rasters(layers, "", feedback)
        is_series = isinstance(source, ImageSeries)
        examples = self.parameterAsSource(parameters, "EXAMPLES", context)
        result = find_similar(
            source,
            encoder_of(self, parameters, context) if is_series else None,
            examples_of(examples, context),
            output,
            per_area=self.parameterAsInt(parameters, "SAMPLES", context),
            extent=extent_of(self, parameters, context, source.grid),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            seed=self.parameterAsInt(parameters, "SEED", context),
            feedback=QgisFeedback(feedback),
        )
        self.name_layer(context, output, "Similarity")
        self.style_layer(context, output)
        return {
            "OUTPUT": output,
            "LEVEL": result.level,
            "EXAMPLES_USED": result.examples,
            "SAMPLES_USED": result.samples,
            "DEVICE_USED": result.device,
        }
