"""What ten thousand polygons cost: `python -m benchmarks.polygons`.

Writes an embedding raster of 500 x 500 pixels and 640 features of twelve classes with noise, ten
thousand square fields over it, trains the linear classifier on them, and prints time, score and the
peak of the whole process beside its MEMORY.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from osgeo import ogr, osr

from alise_plugin.mapping.embedding.embed import feature_names
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.labels.read import read_vector_labels
from alise_plugin.mapping.learning.train_classifier import train_classifier
from alise_plugin.mapping.rasters.form import RasterForm
from alise_plugin.mapping.rasters.geotiff import RasterOutput
from alise_plugin.mapping.samples.samples import LabelledSource
from alise_plugin.sits.grid import Grid, Window

FIELDS, SIDE, CLASSES, FEATURES = 100, 5, 12, 640
PIXEL = 10.0
BLOCK = 128  # pixels


def write_embedding(path: Path, kinds: np.ndarray, crs_wkt: str) -> None:
    """Class means of unit deviation and as much noise again, twice over."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, (FEATURES, CLASSES)).astype(np.float32)
    size = FIELDS * SIDE
    grid = Grid(crs_wkt, (600000.0, PIXEL, 0.0, 5000000.0, 0.0, -PIXEL), size, size)
    names = feature_names(10, 64)
    metadata = {"ALISE_MODEL": "bench", "ALISE_MODEL_VERSION": "0", "ALISE_MODEL_SHA256": "0" * 64}
    form = RasterForm(names, np.dtype(np.float32), float("nan"), metadata=metadata)
    truth = kinds.repeat(SIDE, 0).repeat(SIDE, 1)
    with RasterOutput(path, grid, form, BLOCK) as raster:
        for row in range(0, size, BLOCK):
            strip = truth[row : row + BLOCK]
            noise = rng.normal(0, 6, (FEATURES, *strip.shape)).astype(np.float32)
            raster.write(Window(0, row, size, len(strip)), means[:, strip] + noise)


def write_fields(path: Path, kinds: np.ndarray, reference: osr.SpatialReference) -> None:
    """One square polygon for each field."""
    made = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = made.CreateLayer("fields", reference, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTInteger))
    layer.StartTransaction()
    for (row, col), kind in np.ndenumerate(kinds):
        left, top = 600000 + col * SIDE * PIXEL, 5000000 - row * SIDE * PIXEL
        right, bottom = left + SIDE * PIXEL, top - SIDE * PIXEL
        corners = f"{left} {top},{right} {top},{right} {bottom},{left} {bottom},{left} {top}"
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({corners}))"))
        feature.SetField("code", int(kind) + 1)
        layer.CreateFeature(feature)
    layer.CommitTransaction()


def main() -> None:
    """Run it once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=float, default=1024, help="in MB")
    memory = parser.parse_args().memory
    kinds = np.random.default_rng(1).integers(0, CLASSES, (FIELDS, FIELDS))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    with tempfile.TemporaryDirectory() as folder:
        raster, fields = Path(folder) / "embedding.tif", Path(folder) / "fields.gpkg"
        write_embedding(raster, kinds, reference.ExportToWkt())
        write_fields(fields, kinds, reference)
        began, busy = time.perf_counter(), time.process_time()
        source = LabelledSource(EmbeddingRaster(raster), read_vector_labels(str(fields), "code"))
        result = train_classifier([source], Path(folder) / "head.onnx", budget=TileBudget(memory))
        minutes = (time.perf_counter() - began) / 60, (time.process_time() - busy) / 60
    score = result.overall["macro-F1"].value
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(
        f"{result.groups} polygons, {result.samples} samples of {FEATURES} features: "
        f"{minutes[0]:.1f} minutes ({minutes[1]:.1f} of processor time), macro-F1 on left-out "
        f"polygons {score:.3f}, peak {peak:.0f} MB with MEMORY {memory:g}"
    )


if __name__ == "__main__":
    main()
