"""`alise:segment`: an image series and a head become a class map."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
)

from ..mapping.maps.neighbourhood import MapOptions
from ..mapping.maps.segment import SegmentResult, segment
from ..mapping.maps.smoothing import SMOOTHINGS
from ..model.heads.class_head import Head
from ..sits.series import ImageSeries
from .base import GEOTIFF, AliseAlgorithm, QgisFeedback, require_ending
from .compat import (
    FIELD_INTEGER,
    FIELD_REAL,
    FIELD_TEXT,
    FILE,
    INTEGER,
    REAL,
    TYPE_POLYGON,
    TYPE_TABLE,
)
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


class Segment(AliseAlgorithm):
    """Declares the parameters of `mapping.segment.segment`."""

    NAME = "segment"
    TITLE = "Segment (class map)"
    GROUP = ("maps", "Maps")
    TAGS = ("classification", "crop map", "land cover", "smoothing", "sieve", "area")
    SUMMARY = "Maps the classes of a head, from the image series to the legend in one pass."
    HELP = (
        "Maps the classes that Train classifier has learned. INPUT is an image series or an "
        "embedding raster made with the same model as the head.\n\n"
        "OUTPUT is a raster of class codes that loads with its legend. CONFIDENCE has the "
        "probability of the class shown and the entropy of all classes (0: sure, 1: no idea); "
        "PROBABILITIES one band a class; VECTOR polygons with class, true area and mean "
        "confidence; AREAS the true area of each class on the ellipsoid.\n\n"
        "SMOOTHING looks at the pixels around: bayes smooths the probabilities as in SITS, "
        "majority takes the most frequent class. Patches below MINIMUM_AREA go to their largest "
        "neighbour. Pixels whose class is less probable than UNKNOWN stay unclassified. Nothing is "
        "mapped outside the polygons of MASK.\n\n"
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
            QgsProcessingParameterEnum(
                "SMOOTHING",
                self.tr("Smoothing"),
                list(SMOOTHINGS),
                defaultValue="none",
                usesStaticStrings=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                "MINIMUM_AREA", self.tr("Smallest patch in m2"), REAL, 0, minValue=0
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                "UNKNOWN",
                self.tr("Leave unclassified below this probability"),
                REAL,
                0,
                minValue=0,
                maxValue=1,
            )
        )
        self.addParameter(
            QgsProcessingParameterVectorLayer(
                "MASK", self.tr("Map these polygons only"), [TYPE_POLYGON], optional=True
            )
        )
        declare_extent(self)
        standard = MapOptions()
        for name, text, kind, default, least, most in (
            ("WINDOW", "Smoothing: side of the window", INTEGER, standard.window, 3, 21),
            ("FRACTION", "Bayes: share of the neighbours", REAL, standard.fraction, 0.1, 1),
            ("SMOOTHNESS", "Bayes: variance of logits", REAL, standard.smoothness, 0.1, 200),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(
                    name, self.tr(text), kind, default, minValue=least, maxValue=most
                )
            )
        declare_engine(self)
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Class map")))
        for name, text in (
            ("CONFIDENCE", "Confidence"),
            ("PROBABILITIES", "Probabilities of the classes"),
        ):
            self.addParameter(
                QgsProcessingParameterRasterDestination(
                    name, self.tr(text), optional=True, createByDefault=False
                )
            )
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                "VECTOR",
                self.tr("Class polygons"),
                TYPE_POLYGON,
                optional=True,
                createByDefault=False,
            )
        )
        self.addParameter(
            QgsProcessingParameterFeatureSink(
                "AREAS",
                self.tr("Area of the classes"),
                TYPE_TABLE,
                optional=True,
                createByDefault=False,
            )
        )
        self.addOutput(QgsProcessingOutputNumber("AREA", self.tr("Area mapped in m2")))
        self.addOutput(QgsProcessingOutputString("DEVICE_USED", self.tr("Device used")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        rasters = {
            name: self.parameterAsOutputLayer(parameters, name, context)
            for name in ("OUTPUT", "CONFIDENCE", "PROBABILITIES")
            if name == "OUTPUT" or parameters.get(name)
        }
        for name, path in rasters.items():
            require_ending(path, name, GEOTIFF, "a map is a GeoTIFF")
        vector = None
        if parameters.get("VECTOR"):
            vector = self.parameterAsOutputLayer(parameters, "VECTOR", context)
            require_ending(vector, "VECTOR", (".gpkg",), "class polygons are a GeoPackage")
        written = ("OUTPUT", "CONFIDENCE", "PROBABILITIES", "VECTOR", "AREAS")
        self.require_outputs(parameters, written, ("INPUT", "MASK"), context)
        head = Head(self.parameterAsFile(parameters, "HEAD", context))
        layers = self.parameterAsLayerList(parameters, "INPUT", context)
        source = open_rasters(layers, "", feedback)
        is_series = isinstance(source, ImageSeries)
        mask = self.parameterAsVectorLayer(parameters, "MASK", context)
        result = segment(
            source,
            encoder_of(self, parameters, context) if is_series else None,
            head,
            rasters["OUTPUT"],
            options=MapOptions(
                self.parameterAsEnumString(parameters, "SMOOTHING", context),
                self.parameterAsInt(parameters, "WINDOW", context),
                self.parameterAsDouble(parameters, "FRACTION", context),
                self.parameterAsDouble(parameters, "SMOOTHNESS", context),
                self.parameterAsDouble(parameters, "MINIMUM_AREA", context),
                self.parameterAsDouble(parameters, "UNKNOWN", context),
            ),
            confidence=rasters.get("CONFIDENCE"),
            probabilities=rasters.get("PROBABILITIES"),
            vector=vector,
            mask=mask_of(mask, context) if mask else None,
            extent=extent_of(self, parameters, context, source.grid),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            feedback=QgisFeedback(feedback),
        )
        self.name_layer(context, rasters["OUTPUT"], "Classes")
        for path in (*rasters.values(), vector):
            if path:
                self.style_layer(context, path)
        return {
            **{name: rasters.get(name, "") for name in ("OUTPUT", "CONFIDENCE", "PROBABILITIES")},
            "VECTOR": vector or "",
            "AREAS": self._write_areas(result, parameters, context),
            "AREA": sum(row.square_metres for row in result.areas),
            "DEVICE_USED": result.device,
        }

    def _write_areas(
        self, result: SegmentResult, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> str:
        """Fill the table of areas where it is asked for; where it is."""
        if not parameters.get("AREAS"):
            return ""
        fields = QgsFields()
        for name, kind in (
            ("code", FIELD_INTEGER),
            ("class", FIELD_TEXT),
            ("color", FIELD_TEXT),
            ("pixels", FIELD_INTEGER),
            ("area_m2", FIELD_REAL),
            ("area_ha", FIELD_REAL),
            ("share", FIELD_REAL),
        ):
            fields.append(QgsField(name, kind))
        sink, place = self.parameterAsSink(parameters, "AREAS", context, fields)
        total = sum(row.square_metres for row in result.areas) or 1.0
        for row in result.areas:
            feature = QgsFeature(fields)
            feature.setAttributes(
                [
                    row.item.code,
                    row.item.name,
                    row.item.color,
                    row.pixels,
                    row.square_metres,
                    row.square_metres / 1e4,
                    row.square_metres / total,
                ]
            )
            sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert)
        del sink
        return str(place)
