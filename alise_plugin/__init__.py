"""ALISE for QGIS: from a pile of Sentinel-2 scenes to a map.

The public names of the library. Each is imported when it is first used, so that QGIS, which loads
this package at its start, waits for none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cli.run import run as run
    from .errors import AliseError as AliseError
    from .feedback import Feedback as Feedback
    from .mapping.change.detect import detect_change as detect_change
    from .mapping.change.prepare import ChangeOptions as ChangeOptions
    from .mapping.change.prepare import ChangeOutputs as ChangeOutputs
    from .mapping.embedding.embed import embed as embed
    from .mapping.features.series_features import SeriesFeatures as SeriesFeatures
    from .mapping.features.source import open_features as open_features
    from .mapping.learning.find_classes import find_classes as find_classes
    from .mapping.maps.estimate import estimate as estimate
    from .mapping.maps.find_similar import find_similar as find_similar
    from .mapping.maps.neighbourhood import MapOptions as MapOptions
    from .mapping.maps.reconstruct import reconstruct as reconstruct
    from .mapping.maps.segment import ClassMapOutputs as ClassMapOutputs
    from .mapping.maps.segment import segment as segment
    from .model.encoder import Encoder as Encoder
    from .model.encoder import load_encoder as load_encoder
    from .model.heads.class_head import Head as Head
    from .model.heads.value_head import ValueHead as ValueHead
    from .sits.build import SeriesOptions as SeriesOptions
    from .sits.build import build_series as build_series
    from .sits.series import ImageSeries as ImageSeries
    from .sits.series import open_series as open_series

# The room in which each public name lives.
_PUBLIC = {
    "AliseError": "errors",
    "ChangeOptions": "mapping.change.prepare",
    "ChangeOutputs": "mapping.change.prepare",
    "ClassMapOutputs": "mapping.maps.segment",
    "Encoder": "model.encoder",
    "Feedback": "feedback",
    "Head": "model.heads.class_head",
    "ImageSeries": "sits.series",
    "MapOptions": "mapping.maps.neighbourhood",
    "SeriesFeatures": "mapping.features.series_features",
    "SeriesOptions": "sits.build",
    "ValueHead": "model.heads.value_head",
    "build_series": "sits.build",
    "detect_change": "mapping.change.detect",
    "embed": "mapping.embedding.embed",
    "estimate": "mapping.maps.estimate",
    "find_classes": "mapping.learning.find_classes",
    "find_similar": "mapping.maps.find_similar",
    "load_encoder": "model.encoder",
    "open_features": "mapping.features.source",
    "open_series": "sits.series",
    "reconstruct": "mapping.maps.reconstruct",
    "run": "cli.run",
    "segment": "mapping.maps.segment",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *_PUBLIC})
