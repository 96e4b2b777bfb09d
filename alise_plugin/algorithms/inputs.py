"""Parameters that the mapping algorithms share, and what their values become."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingUtils,
)

from ..errors import SeriesError
from ..mapping.features.source import FeatureSource, open_source
from ..model.device import DEVICES
from ..model.encoder import Encoder
from ..model.package import PRECISIONS, load_package
from ..sits.build import build_series
from ..sits.grid import Grid
from .base import BUNDLED_MODEL, AliseAlgorithm, dates_from_text, layer_sources
from .compat import FOLDER, INTEGER, TYPE_RASTER


def declare_rasters(
    algorithm: AliseAlgorithm, text: str = "Image series or embedding raster"
) -> None:
    """INPUT, one raster or several."""
    algorithm.addParameter(
        QgsProcessingParameterMultipleLayers("INPUT", algorithm.tr(text), TYPE_RASTER)
    )


def declare_extent(algorithm: AliseAlgorithm, text: str = "Extent (empty: all)") -> None:
    """EXTENT, in any CRS; everything where it is empty."""
    algorithm.addParameter(
        QgsProcessingParameterExtent("EXTENT", algorithm.tr(text), optional=True)
    )


def declare_model(algorithm: AliseAlgorithm) -> None:
    """MODEL, a folder; the bundled one where it is empty."""
    algorithm.addParameter(
        QgsProcessingParameterFile(
            "MODEL",
            algorithm.tr("Model folder (empty: the bundled model)"),
            FOLDER,
            optional=True,
        )
    )


def declare_device(algorithm: AliseAlgorithm) -> None:
    """DEVICE, PRECISION and THREADS, under "Advanced parameters"."""
    for name, text, choices in (
        ("DEVICE", "Device", DEVICES),
        ("PRECISION", "Precision (float16: for a GPU, within 1 %)", PRECISIONS),
    ):
        algorithm.add_advanced(
            QgsProcessingParameterEnum(
                name,
                algorithm.tr(text),
                list(choices),
                defaultValue=choices[0],
                usesStaticStrings=True,
            )
        )
    algorithm.add_advanced(
        QgsProcessingParameterNumber(
            "THREADS",
            algorithm.tr("CPU threads (0: all cores)"),
            INTEGER,
            0,
            optional=True,
            minValue=0,
        )
    )


def declare_engine(algorithm: AliseAlgorithm) -> None:
    """DEVICE, PRECISION, THREADS, MEMORY and TILE_SIZE, under "Advanced parameters"."""
    declare_device(algorithm)
    for name, text, default, least in (
        ("MEMORY", "Memory to use at most, in MB", 2048, 256),
        ("TILE_SIZE", "Tile size in pixels (0: as the memory allows)", 0, 0),
    ):
        algorithm.add_advanced(
            QgsProcessingParameterNumber(
                name, algorithm.tr(text), INTEGER, default, optional=True, minValue=least
            )
        )


def encoder_of(
    algorithm: AliseAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> Encoder:
    """The encoder that MODEL, DEVICE, PRECISION and THREADS ask for."""
    folder = algorithm.parameterAsString(parameters, "MODEL", context) or str(BUNDLED_MODEL)
    return load_package(folder).encoder(
        device=algorithm.parameterAsEnumString(parameters, "DEVICE", context) or "auto",
        threads=algorithm.parameterAsInt(parameters, "THREADS", context) or None,
        precision=algorithm.parameterAsEnumString(parameters, "PRECISION", context)
        or PRECISIONS[0],
    )


def open_rasters(
    layers: list[QgsMapLayer], dates_text: str, feedback: QgsProcessingFeedback
) -> FeatureSource:
    """One image series or embedding raster; a temporary series of anything else.

    Args:
        layers: one series, one embedding raster, a stack, or one raster per date.
        dates_text: DATES, for rasters that do not say theirs.
        feedback: told where a series has to be built.

    Raises:
        SeriesError: nothing was given, or it makes no series.
    """
    sources = layer_sources(layers)
    if not sources:
        raise SeriesError("No raster was given: choose an image series.")
    dates = dates_from_text(dates_text)
    if len(sources) == 1 and dates is None:
        try:
            return open_source(sources[0])
        except SeriesError:
            # Not yet a series; what makes one of it says best what is wrong with it.
            feedback.pushInfo("Building an image series of the input.")
    temporary = QgsProcessingUtils.generateTempFilename("series.vrt")
    return build_series(sources, temporary, dates=dates)


def extent_of(
    algorithm: AliseAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    grid: Grid,
) -> tuple[float, float, float, float] | None:
    """EXTENT as (xmin, ymin, xmax, ymax) in the CRS of a grid; None where it is empty."""
    crs = QgsCoordinateReferenceSystem.fromWkt(grid.crs_wkt)
    box = algorithm.parameterAsExtent(parameters, "EXTENT", context, crs)
    if box.isNull():
        return None
    return box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
