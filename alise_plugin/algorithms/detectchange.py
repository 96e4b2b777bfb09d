"""`alise:detectchange`: two years of one place become a map of what changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsWkbTypes,
)

from ..errors import AliseError, OutputError, SeriesError
from ..mapping.change.detect import ChangeResult, detect_change
from ..mapping.change.periods import within
from ..mapping.change.prepare import ALIGNMENTS, METHODS
from ..mapping.change.threshold import RULES, ThresholdRule
from ..mapping.change.zones import ZoneChange
from ..mapping.features.source import FeatureSource
from ..mapping.rasters.destinations import require_replaceable
from ..sits.series import ImageSeries
from .base import GEOTIFF, AliseAlgorithm, QgisFeedback, dates_as_text, require_ending
from .compat import (
    DATE,
    FIELD_INTEGER,
    FIELD_REAL,
    POLYGON,
    REAL,
    SKIP_VALIDITY_CHECKS,
    TYPE_POLYGON,
    TYPE_RASTER,
)
from .inputs import (
    declare_engine,
    declare_extent,
    declare_model,
    encoder_of,
    extent_of,
    open_rasters,
)

ZONE_FIELDS = (
    ("pixels", FIELD_INTEGER),
    ("dist_mean", FIELD_REAL),
    ("dist_med", FIELD_REAL),
    ("share_chg", FIELD_REAL),
    ("rank", FIELD_INTEGER),
    ("changed", FIELD_INTEGER),
)


@dataclass(frozen=True)
class Polygons:
    """The features of a polygon layer, as they were when the run began.

    The layer itself may be edited or taken out of the project while the run goes on.

    Attributes:
        fields: of the features.
        kind: QGIS's type of their geometries.
        crs: of their geometries.
        features: in the order of the layer.
        shapes: WKB of each in the CRS of the map; empty for one without a geometry.
    """

    fields: QgsFields
    kind: Any
    crs: QgsCoordinateReferenceSystem
    features: tuple[QgsFeature, ...]
    shapes: tuple[bytes, ...]


class DetectChange(AliseAlgorithm):
    """Declares the parameters of `mapping.change.detect_change`."""

    NAME = "detectchange"
    TITLE = "Detect change"
    GROUP = ("maps", "Maps")
    TAGS = ("change detection", "difference", "distance", "threshold", "loss", "rotation")
    SUMMARY = "Maps what changed between two years, without training and without cloud masks."
    HELP = (
        "Compares two years of one place: the angle between their two aligned embeddings, pixel "
        "by pixel. No labels and no cloud masks are needed, and the two years may have other "
        "dates, another number of dates and other gaps.\n\n"
        "BEFORE and AFTER are two image series (see Build image series) or two embedding rasters "
        "of one model. AFTER may have another grid and CRS: it is read on the grid of BEFORE. For "
        "two periods of one series, leave AFTER empty and give the days of both periods; an "
        "acquisition in both is encoded once.\n\n"
        "DISTANCE is, by METHOD, 1 - cosine of the angle between the compact forms of both "
        "embeddings (cosine; embedding rasters are compared as they are), the mean squared "
        "difference of all features (alise, the paper's own), or that of reflectance (gapfilled, "
        "the usual baseline, for which Build image series has to mask the clouds). CHANGE is 1 "
        "above the threshold and 0 below it.\n\n"
        "THRESHOLD: value; quantile; otsu; unchanged, from polygons that are known to be stable; "
        "noise, from the distances between the even and the odd acquisitions of one year. "
        "FALSE_ALARM is the share of stable (or noise) pixels that may pass the last two.\n\n"
        "ZONES_OUTPUT sums up the distance for polygons such as parcels. EXPLANATION says why: "
        "the share of each learned date in the distance, the feature that carries most of it, "
        "and the NDVI of both years, as the model reconstructs it, on the day when they "
        "differ most.\n\n"
        "ALIGN years, the default, shifts AFTER by whole years to the days of BEFORE, before it is "
        "encoded (embedding rasters keep the days that they were made with); shift takes the "
        "scene's median difference off; both does both; none is the paper's own. "
        "NOISE_FLOOR is the median distance between even and odd acquisitions, NOISE_RATIO that "
        "beside the distance which one pixel in a hundred passes: near 1, nothing stands out."
    )
    NEEDS_RUNTIME = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        for name, text, optional in (
            ("BEFORE", "First year: image series, embedding raster, or one raster per date", False),
            ("AFTER", "Second year (empty: another period of the first)", True),
        ):
            self.addParameter(
                QgsProcessingParameterMultipleLayers(
                    name, self.tr(text), TYPE_RASTER, optional=optional
                )
            )
        for name, text in (
            ("BEFORE_START", "First day of the first period"),
            ("BEFORE_END", "Last day of the first period"),
            ("AFTER_START", "First day of the second period"),
            ("AFTER_END", "Last day of the second period"),
        ):
            self.addParameter(
                QgsProcessingParameterDateTime(name, self.tr(text), DATE, optional=True)
            )
        for name, which in (("BEFORE_DATES", "BEFORE"), ("AFTER_DATES", "AFTER")):
            self.add_advanced(
                QgsProcessingParameterString(
                    name,
                    self.tr(f"Dates of {which}, when its rasters do not say (2019-05-14, ...)"),
                    optional=True,
                )
            )
        self._choice("METHOD", "Method", METHODS, "cosine")
        self._choice("ALIGN", "Alignment of the two years", ALIGNMENTS, "years")
        self._choice("THRESHOLD", "Threshold", RULES, "none")
        self._number("THRESHOLD_VALUE", "Distance (value) or share of the pixels (quantile)", None)
        self._number("FALSE_ALARM", "False-alarm rate (unchanged, noise)", 0.05)
        for name, text in (
            ("UNCHANGED", "Areas known to be unchanged (polygons)"),
            ("ZONES", "Zones to sum up (polygons)"),
        ):
            self.addParameter(
                QgsProcessingParameterFeatureSource(
                    name, self.tr(text), [TYPE_POLYGON], optional=True
                )
            )
        self._number("ZONE_SHARE", "Share of changed pixels that makes a zone changed", 0.5)
        declare_model(self)
        declare_extent(self)
        declare_engine(self)
        self.addParameter(QgsProcessingParameterRasterDestination("DISTANCE", self.tr("Distance")))
        for name, text in (("CHANGE", "Changed pixels"), ("EXPLANATION", "Explanation")):
            self.addParameter(
                QgsProcessingParameterRasterDestination(
                    name, self.tr(text), optional=True, createByDefault=False
                )
            )
        self.addParameter(
            QgsProcessingParameterFeatureSink(
                "ZONES_OUTPUT",
                self.tr("Zones with their change"),
                TYPE_POLYGON,
                optional=True,
                createByDefault=False,
            )
        )
        for name, text in (
            ("THRESHOLD_USED", "Threshold used"),
            ("CHANGED_SHARE", "Share of changed pixels"),
            ("CHANGED_AREA", "Changed area in square metres"),
            ("MEDIAN_DISTANCE", "Median distance"),
            ("NOISE_FLOOR", "Noise floor"),
            ("NOISE_RATIO", "Noise floor beside large distances"),
            ("DAYS_SHIFTED", "Days that AFTER was shifted by"),
            ("DATES_ENCODED", "Acquisitions encoded"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, self.tr(text)))
        for name, text in (
            ("DATES_BEFORE", "Dates of the first year"),
            ("DATES_AFTER", "Dates of the second year"),
            ("DEVICE_USED", "Device used"),
            ("MODEL_ID", "Model"),
        ):
            self.addOutput(QgsProcessingOutputString(name, self.tr(text)))

    def _choice(self, name: str, text: str, options: tuple[str, ...], default: str) -> None:
        self.addParameter(
            QgsProcessingParameterEnum(
                name,
                self.tr(text),
                list(options),
                defaultValue=default,
                usesStaticStrings=True,
            )
        )

    def _number(self, name: str, text: str, default: float | None) -> None:
        # Without limits here: what lies outside them gets a sentence of its own.
        self.addParameter(
            QgsProcessingParameterNumber(name, self.tr(text), REAL, default, optional=True)
        )

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        given: list[Any] = []
        for name in ("BEFORE", "AFTER"):
            value = parameters.get(name)
            given += value if isinstance(value, (list, tuple)) else [value]
        return super().checkParameterValues({**parameters, "INPUT": given}, context)

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        paths = {
            name: self._geotiff(parameters, name, context)
            for name in ("DISTANCE", "CHANGE", "EXPLANATION")
        }
        self.require_outputs(
            parameters, (*paths, "ZONES_OUTPUT"), ("BEFORE", "AFTER", "ZONES", "UNCHANGED"), context
        )
        package = Path(self.file_of(parameters.get("ZONES_OUTPUT"), context))
        if package.suffix.lower() == ".gpkg":
            require_replaceable(package, package.stem)  # which QGIS calls the layer
        method = self.parameterAsEnumString(parameters, "METHOD", context)
        rule = self._rule(parameters, context)
        zone_share = self.parameterAsDouble(parameters, "ZONE_SHARE", context)
        if not 0 < zone_share <= 1:
            raise AliseError(
                f"ZONE_SHARE {zone_share:g} is outside its range; give a share above 0 and up to 1."
            )
        before, after = self._years(parameters, context, feedback)
        crs = QgsCoordinateReferenceSystem.fromWkt(before.grid.crs_wkt)
        zones = self._zones(parameters, context, feedback, crs)
        needs_model = isinstance(before, ImageSeries) and method != "gapfilled"
        unchanged = self._polygons("UNCHANGED", parameters, context, crs)
        encoder = None
        if needs_model or paths["EXPLANATION"]:
            encoder = encoder_of(self, parameters, context)
        result = detect_change(
            before,
            after,
            encoder,
            paths["DISTANCE"] or "",
            method=method,
            align=self.parameterAsEnumString(parameters, "ALIGN", context),
            rule=rule,
            change=paths["CHANGE"],
            explanation=paths["EXPLANATION"],
            zones=zones.shapes if zones else (),
            changed_from=zone_share,
            unchanged=unchanged.shapes if unchanged else (),
            extent=extent_of(self, parameters, context, before.grid),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            feedback=QgisFeedback(feedback),
        )
        written = None
        if zones:
            written = self._write_zones(parameters, context, zones, result.zones)
        for name, text in (
            ("DISTANCE", "Distance"),
            ("CHANGE", "Change"),
            ("EXPLANATION", "Explanation of the distance"),
        ):
            path = paths[name]
            if path:
                self.name_layer(context, path, f"{text} {_span(result)}".strip())
                self.style_layer(context, path)
        return {
            **paths,
            "ZONES_OUTPUT": written,
            "THRESHOLD_USED": result.threshold,
            "CHANGED_SHARE": result.changed_share,
            "CHANGED_AREA": result.changed_area,
            "MEDIAN_DISTANCE": result.median_distance,
            "NOISE_FLOOR": result.noise_floor,
            "NOISE_RATIO": result.noise_ratio,
            "DAYS_SHIFTED": -result.year_shift,
            "DATES_ENCODED": result.encoded,
            "DATES_BEFORE": dates_as_text(result.dates[0]),
            "DATES_AFTER": dates_as_text(result.dates[1]),
            "DEVICE_USED": result.device,
            "MODEL_ID": result.model_id,
        }

    def _geotiff(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> str | None:
        path = self.parameterAsOutputLayer(parameters, name, context)
        if not path and name != "DISTANCE":
            return None
        require_ending(path, name, GEOTIFF, "the output is a GeoTIFF")
        return path

    def _rule(self, parameters: dict[str, Any], context: QgsProcessingContext) -> ThresholdRule:
        return ThresholdRule(
            self.parameterAsEnumString(parameters, "THRESHOLD", context),
            self.number_or_none(parameters, "THRESHOLD_VALUE", context),
            self.parameterAsDouble(parameters, "FALSE_ALARM", context),
        )

    def _years(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> tuple[FeatureSource, FeatureSource]:
        """Both years, as two rasters or as two periods of one."""
        opened: list[FeatureSource] = []
        for name in ("BEFORE", "AFTER"):
            layers = self.parameterAsLayerList(parameters, name, context)
            dates = self.parameterAsString(parameters, f"{name}_DATES", context)
            if layers or name == "BEFORE":
                opened.append(open_rasters(layers, dates, feedback))
        days = {
            name: self.day_or_none(parameters, name, context)
            for name in ("BEFORE_START", "BEFORE_END", "AFTER_START", "AFTER_END")
        }
        if len(opened) == 1:
            opened.append(opened[0])
            for name in ("BEFORE", "AFTER"):
                if not (days[f"{name}_START"] or days[f"{name}_END"]):
                    raise SeriesError(
                        f"AFTER is empty and {name}_START and {name}_END are too: give a second "
                        "series, or the days of both periods of the first."
                    )
        years: list[FeatureSource] = []
        for name, source in zip(("BEFORE", "AFTER"), opened):
            start, end = days[f"{name}_START"], days[f"{name}_END"]
            if not isinstance(source, ImageSeries):
                if start or end:
                    raise SeriesError(
                        f"{Path(source.path).name} is an embedding raster, of which no days can be "
                        f"chosen: leave {name}_START and {name}_END empty."
                    )
                years.append(source)
                continue
            if start and end and start > end:
                raise SeriesError(
                    f"{name}_START ({start}) is after {name}_END ({end}): exchange them."
                )
            years.append(within(source, start, end, name))
        return years[0], years[1]

    def _zones(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        crs: QgsCoordinateReferenceSystem,
    ) -> Polygons | None:
        """The zones, where their output is asked for."""
        if not parameters.get("ZONES_OUTPUT"):
            if parameters.get("ZONES"):
                feedback.pushWarning("ZONES are not summed up, because ZONES_OUTPUT is empty.")
            return None
        zones = self._polygons("ZONES", parameters, context, crs)
        if zones is None:
            raise AliseError("ZONES_OUTPUT needs polygons in ZONES: choose a layer of zones.")
        return zones

    def _polygons(
        self,
        name: str,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        crs: QgsCoordinateReferenceSystem,
    ) -> Polygons | None:
        """The features of a layer and their shapes in the CRS of the map; None without a layer."""
        source = self.parameterAsSource(parameters, name, context)
        if source is None:
            return None
        called = f'{name}: the layer "{source.sourceName()}"'
        if QgsWkbTypes.geometryType(source.wkbType()) != POLYGON or not source.featureCount():
            raise AliseError(f"{called} has no polygons; choose a layer of polygons.")
        if not source.sourceCrs().isValid():
            raise AliseError(f"{called} has no CRS; assign the one that it was drawn in.")
        transform = QgsCoordinateTransform(source.sourceCrs(), crs, context.transformContext())
        # Without QGIS's check: its exception for an invalid polygon breaks Python's iteration and
        # ends QGIS, and an outline that crosses itself has an inside all the same.
        features = list(source.getFeatures(QgsFeatureRequest(), SKIP_VALIDITY_CHECKS))
        shapes = []
        for feature in features:
            geometry = QgsGeometry(feature.geometry())
            geometry.convertToStraightSegment()
            geometry.transform(transform)
            shapes.append(b"" if geometry.isEmpty() else geometry.asWkb().data())
        if not any(shapes):
            raise AliseError(f"{called} has no polygons; choose a layer of polygons.")
        return Polygons(
            source.fields(), source.wkbType(), source.sourceCrs(), tuple(features), tuple(shapes)
        )

    def _write_zones(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        zones: Polygons,
        changes: list[ZoneChange],
    ) -> str:
        added = QgsFields()
        for name, kind in ZONE_FIELDS:
            added.append(QgsField(name, kind))
        sink, written = self.parameterAsSink(
            parameters,
            "ZONES_OUTPUT",
            context,
            QgsProcessingUtils.combineFields(_zone_fields(zones), added),
            zones.kind,
            zones.crs,
        )
        if sink is None:
            raise OutputError(self.invalidSinkError(parameters, "ZONES_OUTPUT"))
        for feature, zone in zip(zones.features, changes):
            row = QgsFeature()
            row.setGeometry(feature.geometry())
            values = [zone.pixels, zone.mean, zone.median, zone.changed_share, zone.rank]
            decision = None if zone.changed is None else int(zone.changed)
            row.setAttributes([*feature.attributes(), *values, decision])
            sink.addFeature(row, QgsFeatureSink.Flag.FastInsert)
        del sink  # closes the file
        return str(written)


def _zone_fields(zones: Polygons) -> QgsFields:
    """The fields of the zones; those that a GeoPackage has itself, under names such as fid_2.

    It takes fid for its key: whole numbers, each once. A layer that QGIS has merged or split has
    some more often, and one from a Shapefile may have other numbers.
    """
    place = zones.fields.lookupField("fid")
    keys = [feature.attributes()[place] for feature in zones.features] if place >= 0 else []
    own = ["geom"]
    if len(set(keys)) < len(keys) or not all(isinstance(key, int) for key in keys):
        own.append("fid")
    fields = QgsFields()
    for name in own:
        fields.append(QgsField(name, FIELD_INTEGER))
    fields = QgsProcessingUtils.combineFields(fields, zones.fields)
    for _ in own:
        fields.remove(0)
    return fields


def _span(result: ChangeResult) -> str:
    """What a layer's name says of time: both years, or the days where they are one year."""
    before, after = result.dates
    if not before or not after:
        return ""
    if before[0].year != after[0].year:
        return f"{before[0].year} to {after[0].year}"
    return f"{before[0]} to {after[-1]}"
