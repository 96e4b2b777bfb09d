"""A picture of an embedding raster: its first three principal components in false colour."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from alise_plugin.errors import SeriesError
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.sits.grid import Window
from alise_plugin.sits.rasters import quiet_gdal
from alise_plugin.whole_files import whole_file

_SAMPLE = 20_000  # pixels that the components are computed from


_STRETCH = (2, 98)  # per cent of the sample


_STRIP_BYTES = 64e6  # of features read at a time


def principal_components_png(
    embedding: str | os.PathLike[str], png: str | os.PathLike[str]
) -> NDArray[np.float64]:
    """Write an RGBA picture with one pixel per pixel; a pixel without value is transparent.

    Components come from sampled pixels, and the raster is read in strips, so memory does not grow
    with it. The sign of a component is chosen so that its largest coefficient is positive, so
    that a picture does not turn negative from one run to the next.

    Args:
        embedding: an embedding raster.
        png: the picture.

    Returns:
        `(3,)` share of the variance that each component holds.

    Raises:
        SeriesError: the raster cannot be read, or holds no value.
        OutputError: the picture cannot be written.
    """
    raster = EmbeddingRaster(embedding)
    sample = _sample(raster)
    mean = sample.mean(0)
    variances, vectors = np.linalg.eigh(np.cov((sample - mean).T))
    vectors = vectors[:, ::-1][:, :3]
    largest = np.abs(vectors).argmax(0)
    vectors = vectors * np.sign(vectors[largest, range(3)])
    low, high = np.percentile((sample - mean) @ vectors, _STRETCH, axis=0)
    rgba = np.zeros((4, raster.grid.height, raster.grid.width), np.uint8)
    for window in _strips(raster):
        features = raster.read(window)
        seen = np.isfinite(features[0])
        components = (features[:, seen].T - mean) @ vectors
        colour = (components - low) / np.maximum(high - low, 1e-12)
        rows = rgba[:, window.row : window.row_end]
        rows[:3, seen] = np.rint(255 * np.clip(colour, 0, 1)).astype(np.uint8).T
        rows[3, seen] = 255
    _write(os.fspath(png), rgba)
    return variances[::-1][:3] / max(variances.sum(), 1e-30)


def _strips(raster: EmbeddingRaster) -> Iterator[Window]:
    grid = raster.grid
    rows = max(1, int(_STRIP_BYTES / (4 * len(raster.names) * grid.width)))
    for row in range(0, grid.height, rows):
        yield Window(0, row, grid.width, min(rows, grid.height - row))


def _sample(raster: EmbeddingRaster) -> NDArray[np.float64]:
    """`(pixels, features)`: every n-th valid pixel, of strips that are spread over the raster."""
    strips = list(_strips(raster))
    per_strip = strips[0].pixels
    wanted = max(4, -(-_SAMPLE // per_strip))
    pixels = []
    for strip in strips[:: max(1, len(strips) // wanted)]:
        features = raster.read(strip)
        features = features[:, np.isfinite(features[0])]
        pixels.append(features[:, :: max(1, per_strip * wanted // _SAMPLE)].T)
    sample = np.concatenate(pixels).astype(np.float64)
    if len(sample) < 2:
        raise SeriesError(
            f"{os.path.basename(raster.path)} holds no values to make a picture of; check the "
            "image series that it was made from."
        )
    return sample


def _write(path: str, rgba: NDArray[np.uint8]) -> None:
    """Write a PNG through GDAL, whole or not at all."""
    _, height, width = rgba.shape
    with whole_file(path, ".png") as temporary:
        written = None
        with quiet_gdal() as failures:
            memory = gdal.GetDriverByName("MEM").Create("", width, height, 4, gdal.GDT_Byte)
            memory.WriteRaster(0, 0, width, height, rgba.tobytes())
            written = gdal.GetDriverByName("PNG").CreateCopy(temporary, memory)
        if written is None or failures:
            raise OSError(0, failures[0] if failures else "unknown")
