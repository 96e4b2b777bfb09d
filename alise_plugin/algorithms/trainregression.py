"""`alise:trainregression`: measurements become a head that estimates them, and its report."""

from __future__ import annotations

import math
from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterField,
)

from ..mapping.labels.layers import Values
from ..mapping.learning.train_regression import train_regression
from ..mapping.samples.samples import LabelledSource
from ..mapping.scores.metrics import Interval
from ..sits.grid import Grid
from ..sits.series import ImageSeries
from .base import AliseAlgorithm, QgisFeedback
from .inputs import declare_engine, declare_model, declare_rasters, encoder_of
from .label_layers import values_of
from .training_inputs import (
    declare_head,
    declare_labels,
    declare_validation,
    field_of,
    head_and_report,
    labels_on,
    sources_of,
    unopened_labels,
)

FIGURES = (
    ("RMSE", "RMSE", "RMSE"),
    ("MEAN_ABSOLUTE_ERROR", "mean absolute error", "Mean absolute error"),
    ("BIAS", "bias", "Bias"),
    ("R2", "R2", "R2"),
)


class TrainRegression(AliseAlgorithm):
    """Declares the parameters of `mapping.train_values.train_regression`."""

    NAME = "trainregression"
    TITLE = "Train regression"
    GROUP = ("maps", "Maps")
    TAGS = (
        "regression",
        "biomass",
        "yield",
        "leaf area",
        "canopy height",
        "fraction",
        "ridge",
        "accuracy",
    )
    SUMMARY = "Learns to estimate what was measured in some places, and reports how well."
    HELP = (
        "Learns a value from measurements: biomass, yield, leaf area, canopy height, a fraction of "
        "cover. The result is a head, a small file that Estimate values maps.\n\n"
        "INPUT is an image series or an embedding raster. LABELS are polygons or points with the "
        "numbers in FIELD, or a raster of values (finer pixels are averaged), in any CRS. A "
        "polygon's value holds for all of it, and each polygon counts once.\n\n"
        "Several areas or years train one head together: choose as many LABELS as INPUT layers, "
        "in the same order, or one LABELS for all of them.\n\n"
        "It is ridge regression on standardised features, with regularisation chosen by "
        "cross-validation. The report tells how well polygons (or blocks of BLOCK_SIZE metres) are "
        "estimated by a head that has not seen them, with confidence intervals and a learning "
        "curve. BIAS is estimated less measured."
    )
    NEEDS_RUNTIME = True
    NEEDS_SCIKIT_LEARN = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self, "Image series or embedding rasters")
        declare_labels(self, "Measurements: polygons, points or a raster")
        self.addParameter(
            QgsProcessingParameterField(
                "FIELD",
                self.tr("Field of what was measured"),
                parentLayerParameterName="LABELS",
                optional=True,
            )
        )
        declare_model(self)
        declare_validation(self)
        declare_engine(self)
        declare_head(self)
        for name, _, text in FIGURES:
            for ending, which in (("", ""), ("_LOW", ", lower end"), ("_HIGH", ", upper end")):
                self.addOutput(QgsProcessingOutputNumber(name + ending, self.tr(text + which)))
        for name, text in (
            ("LEAST", "Least value learned from"),
            ("LARGEST", "Largest value learned from"),
            ("SAMPLES_USED", "Number of samples"),
            ("AREAS", "Number of areas"),
            ("GROUPS", "Number of polygons or blocks"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, self.tr(text)))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        head, report = head_and_report(self, parameters, context)
        sources = sources_of(self, parameters, context, feedback)
        field = field_of(self, parameters, "FIELD", context)

        def read(layer: QgsMapLayer, around: list[Grid]) -> Values:
            return values_of(layer, field, context, around)

        grids = [source.grid for source in sources]
        measured, _ = labels_on(self, parameters, context, grids, read)
        needs_encoder = any(isinstance(source, ImageSeries) for source in sources)
        result = train_regression(
            [LabelledSource(*pair) for pair in zip(sources, measured)],
            encoder_of(self, parameters, context) if needs_encoder else None,
            head,
            field or measured[0].name,
            report=report or None,
            per_area=self.parameterAsInt(parameters, "SAMPLES", context),
            validation=self.parameterAsEnumString(parameters, "VALIDATION", context),
            block_size=self.parameterAsDouble(parameters, "BLOCK_SIZE", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY", context),
            tile_size=self.parameterAsInt(parameters, "TILE_SIZE", context) or None,
            seed=self.parameterAsInt(parameters, "SEED", context),
            feedback=QgisFeedback(feedback),
        )
        figures = {}
        for name, key, _ in FIGURES:
            figure = result.figures.get(key, Interval(math.nan, math.nan, math.nan))
            figures.update(
                {name: figure.value, f"{name}_LOW": figure.low, f"{name}_HIGH": figure.high}
            )
        return {
            "HEAD": head,
            "REPORT": report,
            **figures,
            "LEAST": result.low,
            "LARGEST": result.high,
            "SAMPLES_USED": result.samples,
            "AREAS": result.areas,
            "GROUPS": result.groups,
        }

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        fine, message = super().checkParameterValues(parameters, context)
        return (fine, message) if fine else unopened_labels(self, parameters, context, message)
