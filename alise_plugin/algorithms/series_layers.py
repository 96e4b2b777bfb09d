"""Layers of image series: what QGIS needs to write, load and date them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import date

from qgis.core import (
    Qgis,
    QgsDateTimeRange,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterRasterDestination,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QDate, QDateTime, QTime

from ..operations.values import LayerLook

PART_OF_PRODUCT = re.compile(
    r'^(?:SENTINEL2_L[12][AC](?:_TILE)?|ZARR):"?(?P<path>.+?)"?(?::[^\\/"]*|:/.*)?$', re.IGNORECASE
)


class VrtDestination(QgsProcessingParameterRasterDestination):
    """A raster output that is always a VRT, also when QGIS chooses a temporary name."""

    def clone(self) -> VrtDestination:
        """Return a copy, which QGIS keeps."""
        return VrtDestination(self.name(), self.description())

    def defaultFileExtension(self) -> str:
        """Return the ending of temporary names."""
        return "vrt"

    def createFileFilter(self) -> str:
        """Return the choices of the Save dialog."""
        return "VRT (*.vrt *.VRT)"

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """Return the endings that batch mode and the modeler offer."""
        return ["vrt"]


def whole_product(source: str) -> str:
    """Return the product or cube of which a layer shows one part."""
    part = PART_OF_PRODUCT.match(source)
    if part is None:
        return source
    path = part["path"]
    return os.path.dirname(path) if path.lower().endswith(".xml") else path


def day_of(layer: QgsMapLayer) -> date | None:
    """Return the first day of the fixed temporal range of a raster layer; None without one."""
    properties = layer.temporalProperties()
    if not isinstance(layer, QgsRasterLayer) or properties is None:
        return None
    fixed = Qgis.RasterTemporalMode.FixedTemporalRange
    if not properties.isActive() or properties.mode() != fixed:
        return None
    moment = properties.fixedTemporalRange().begin()
    day = moment.date()
    return date(day.year(), day.month(), day.day()) if moment.isValid() else None


class DefaultStyle(QgsProcessingLayerPostProcessorInterface):
    """Gives the loaded layer the style that lies beside its file, which Processing passes by."""

    # QGIS keeps no reference to a post-processor, so this class does until it has run.
    _waiting: dict[str, DefaultStyle] = {}
    _path = ""

    def until_it_has_run(self, path: str) -> DefaultStyle:
        """Keep it for the layer of a file."""
        self._path = path
        self._waiting[path] = self
        return self

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style."""
        layer.loadDefaultStyle()
        self._waiting.pop(self._path, None)


class SeriesTime(DefaultStyle):
    """Gives the loaded layer its style and its temporal range, for the Temporal Controller.

    The layer has one range from the first date to the last; which of its dates is seen follows the
    controller in QGIS desktop (see `gui.temporal_series`).
    """

    def __init__(self, dates: Sequence[date]) -> None:
        super().__init__()
        self._dates = tuple(dates)

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style and set the temporal properties."""
        super().postProcessLayer(layer, context, feedback)
        set_time(layer, self._dates)


def set_time(layer: QgsRasterLayer, dates: Sequence[date]) -> None:
    """Give a series' layer its temporal range."""
    properties = layer.temporalProperties()
    first, last = (QDate(day.year, day.month, day.day) for day in (dates[0], dates[-1]))
    begin, end = QDateTime(first, QTime(0, 0)), QDateTime(last, QTime(23, 59, 59))
    properties.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
    properties.setFixedTemporalRange(QgsDateTimeRange(begin, end))
    properties.setIsActive(True)


def show_layer(
    context: QgsProcessingContext, path: str, look: LayerLook, usual_names: Sequence[str]
) -> None:
    """Give the layer that QGIS will load from a file its name, its style and its dates.

    Args:
        context: of the run.
        path: the file.
        look: what to show.
        usual_names: how QGIS calls the layer by itself. Another name is that of a model's author,
            and stays.
    """
    if not context.willLoadLayerOnCompletion(path):
        return
    details = context.layerToLoadOnCompletionDetails(path)
    if look.name and details.name in ("", *usual_names):
        details.name = look.name
    styled = SeriesTime(look.dates) if look.dates else DefaultStyle()
    details.setPostProcessor(styled.until_it_has_run(path))
