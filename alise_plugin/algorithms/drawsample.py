"""`alise:drawsample`: the stratified random sample with which a class map is judged."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
)

from ..mapping.accuracy.sample_design import REFERENCE, draw_sample, require_no_references
from .assessaccuracy import open_map
from .base import AliseAlgorithm, QgisFeedback
from .compat import (
    FIELD_INTEGER,
    FIELD_REAL,
    FIELD_TEXT,
    INTEGER,
    REAL,
    TYPE_POINT,
    WKB_POINT,
)


class DrawSample(AliseAlgorithm):
    """Declares the parameters of `mapping.accuracy.draw_sample`."""

    NAME = "drawsample"
    TITLE = "Draw accuracy sample"
    GROUP = ("maps", "Maps")
    TAGS = ("stratified", "random points", "validation", "olofsson", "sample design")
    SUMMARY = "Draws the stratified random points that a class map is judged by."
    HELP = (
        "Draws random pixels of a class map, its classes being the strata: in proportion to their "
        "area, but at least MINIMUM of each (Olofsson et al. 2014). Fill in the field reference "
        "with the true class, a code or a name, then run Assess accuracy.\n\n"
        "With SIZE 0 there are as many points as a standard error of STANDARD_ERROR of the overall "
        "accuracy asks for, when every class has the user's accuracy EXPECTED. The points come in "
        "random order: whoever stops early has a smaller sample.\n\n"
        "Fields: id, stratum (code on the map), stratum_name, stratum_m2 and stratum_n (its area "
        "and points), reference."
    )

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Class map")))
        for name, text, kind, default, least, most in (
            ("SIZE", "Points (0: as the standard error asks)", INTEGER, 500, 0, 1_000_000),
            ("MINIMUM", "Points of each class at least", INTEGER, 50, 0, 100_000),
            ("EXPECTED", "Expected user's accuracy", REAL, 0.85, 0.01, 0.99),
            ("STANDARD_ERROR", "Standard error of overall accuracy", REAL, 0.01, 0.001, 0.2),
            ("SEED", "Seed", INTEGER, 0, 0, 2**31 - 1),
        ):
            self.addParameter(
                QgsProcessingParameterNumber(
                    name, self.tr(text), kind, default, minValue=least, maxValue=most
                )
            )
        self.addParameter(
            QgsProcessingParameterFeatureSink("OUTPUT", self.tr("Sample points"), TYPE_POINT)
        )
        self.addOutput(QgsProcessingOutputNumber("COUNT", self.tr("Number of points")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        self.require_outputs(parameters, ("OUTPUT",), ("INPUT",), context)
        require_no_references(self.file_of(parameters.get("OUTPUT"), context))
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        class_map = open_map(layer, QgisFeedback(feedback, 0.0, 0.5))
        points = draw_sample(
            class_map,
            size=self.parameterAsInt(parameters, "SIZE", context),
            minimum=self.parameterAsInt(parameters, "MINIMUM", context),
            expected=self.parameterAsDouble(parameters, "EXPECTED", context),
            standard_error=self.parameterAsDouble(parameters, "STANDARD_ERROR", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            feedback=QgisFeedback(feedback, 0.5, 1.0),
        )
        fields = QgsFields()
        for name, kind in (
            ("id", FIELD_INTEGER),
            ("stratum", FIELD_INTEGER),
            ("stratum_name", FIELD_TEXT),
            ("stratum_m2", FIELD_REAL),
            ("stratum_n", FIELD_INTEGER),
            (REFERENCE, FIELD_TEXT),
        ):
            fields.append(QgsField(name, kind))
        crs = QgsCoordinateReferenceSystem.fromWkt(class_map.grid.crs_wkt)
        sink, place = self.parameterAsSink(parameters, "OUTPUT", context, fields, WKB_POINT, crs)
        for number, point in enumerate(points, start=1):
            feature = QgsFeature(fields)
            feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(point.x, point.y)))
            area, count = point.stratum_square_metres, point.stratum_points
            feature.setAttributes([number, point.item.code, point.item.name, area, count, None])
            sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert)
        del sink
        return {"OUTPUT": place, "COUNT": len(points)}
