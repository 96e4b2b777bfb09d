"""Features from what a test has: a series with an encoder, or an embedding raster."""

from copy import copy
from dataclasses import replace

from alise_plugin.mapping.change.detect import detect_change
from alise_plugin.mapping.change.prepare import ChangeOptions, ChangeOutputs
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.maps.segment import ClassMapOutputs, segment
from alise_plugin.mapping.samples.samples import SampleDesign


def features_from(source, encoder=None):
    """Return the features of a series or a raster; what are features already stays as it is."""
    if isinstance(source, SeriesFeatures):
        return source
    if isinstance(source, EmbeddingRaster):
        raster = copy(source)
        raster._load = lambda: encoder
        return raster
    return SeriesFeatures(source, lambda: encoder)


def labelled_with(encoder, pairs):
    """Return pairs of features and labels, of series that this encoder encodes."""
    return [replace(pair, source=features_from(pair.source, encoder)) for pair in pairs]


def packed(options, design=False):
    """Return options that stand side by side as the budget (and the design) that they belong to."""
    options = dict(options)

    def taken(names):
        return {name: options.pop(name) for name in names if name in options}

    budget = taken(("memory_mb", "tile_size"))
    if budget:
        options["budget"] = TileBudget(**budget)
    chosen = taken(("per_area", "validation", "block_size", "seed")) if design else {}
    if chosen:
        options["design"] = SampleDesign(**chosen)
    return options


def map_classes(source, encoder, head, output, **options):
    """Run `segment` on a series or raster with its outputs side by side."""
    names = [name for name in ("confidence", "probabilities", "vector") if name in options]
    outputs = ClassMapOutputs(output, **{name: options.pop(name) for name in names})
    return segment(features_from(source, encoder), head, outputs, **packed(options))


def compare(before, after, encoder, distance, **options):
    """Run `detect_change` on two series or rasters with its options side by side."""

    def taken(names):
        return {name: options.pop(name) for name in names if name in options}

    outputs = ChangeOutputs(distance, **taken(("change", "explanation")))
    how = ChangeOptions(**taken(("method", "align", "rule", "changed_from")))
    budget = TileBudget(**taken(("memory_mb", "tile_size")))
    sources = [features_from(source, encoder) for source in (before, after)]
    return detect_change(*sources, outputs, options=how, budget=budget, **options)
