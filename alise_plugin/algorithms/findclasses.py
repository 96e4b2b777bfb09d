"""`alise:findclasses`: pixels that are alike become the classes of a head, without labels."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
)

from ..mapping.labels.legend import MAX_CLASSES
from ..mapping.learning.find_classes import CLASSES, PIXELS, find_classes
from ..sits.series import ImageSeries
from .base import AliseAlgorithm, QgisFeedback, require_ending
from .compat import INTEGER
from .inputs import (
    declare_device,
    declare_extent,
    declare_model,
    declare_rasters,
    encoder_of,
    extent_of,
    open_rasters,
)


class FindClasses(AliseAlgorithm):
    """Declares the parameters of `mapping.find_classes.find_classes`."""

    NAME = "findclasses"
    TITLE = "Find classes (no labels)"
    GROUP = ("maps", "Maps")
    TAGS = ("unsupervised classification", "clustering", "k-means", "land cover")
    SUMMARY = "Groups pixels that are alike into classes, without any label."
    HELP = (
        "A first look at a place that nobody has labelled: pixels whose vectors are alike, over "
        "the whole series, become one class (k-means on standardised features). HEAD is a file "
        "that Segment maps, with legend, confidence, polygons and areas; of other years too, where "
        "other weather may move pixels from one class to another that is much like it.\n\n"
        "INPUT is an image series or an embedding raster; what compact vectors have taught maps "
        "compact vectors only. CLASSES says how "
        "many; they are numbered, the most frequent first. What each of them is you tell by "
        "looking: rather ask for more classes than there are covers, and give those that are the "
        "same cover one name. SAMPLES pixels, spread over the series or over EXTENT, are looked "
        "at."
    )
    NEEDS_RUNTIME = True
    NEEDS_SCIKIT_LEARN = True

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        declare_rasters(self)
        self.addParameter(
            QgsProcessingParameterNumber(
                "CLASSES",
                self.tr("Number of classes"),
                INTEGER,
                CLASSES,
                minValue=2,
                maxValue=MAX_CLASSES,
            )
        )
        declare_model(self)
        declare_extent(self, "Extent to look at (empty: all)")
        for name, text, default, least in (
            ("SAMPLES", "Pixels to look at", PIXELS, 100),
            ("SEED", "Seed of the random choices", 0, 0),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(name, self.tr(text), INTEGER, default, minValue=least)
            )
        declare_device(self)
        self.addParameter(
            QgsProcessingParameterFileDestination("HEAD", self.tr("Head"), "ONNX (*.onnx)")
        )
        self.addOutput(QgsProcessingOutputNumber("SAMPLES_USED", self.tr("Pixels looked at")))
        self.addOutput(QgsProcessingOutputString("DEVICE_USED", self.tr("Device used")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        head = self.parameterAsFileOutput(parameters, "HEAD", context)
        require_ending(head, "HEAD", (".onnx",), "a head is an ONNX file")
        source = open_rasters(self.parameterAsLayerList(parameters, "INPUT", context), "", feedback)
        is_series = isinstance(source, ImageSeries)
        result = find_classes(
            source,
            encoder_of(self, parameters, context) if is_series else None,
            head,
            classes=self.parameterAsInt(parameters, "CLASSES", context),
            pixels=self.parameterAsInt(parameters, "SAMPLES", context),
            extent=extent_of(self, parameters, context, source.grid),
            seed=self.parameterAsInt(parameters, "SEED", context),
            feedback=QgisFeedback(feedback),
        )
        return {"HEAD": head, "SAMPLES_USED": result.samples, "DEVICE_USED": result.device}
