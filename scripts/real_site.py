"""A real site that the model never saw, from clouds to classes: a picture for the README.

    python -m scripts.real_site PNG [--similar PNG] [--data FOLDER] [--model FOLDER]

From left to right: two clear days of 2019 in Belgium, ten classes found without labels in all
acquisitions of that year, clouds included, and the ground as the model reconstructs it for a day
under cloud, beside what was seen that day. --similar adds a picture of both clear days and of how
much every pixel resembles the example that is framed in red, for two examples: black 0, white as
much as nine of ten pixels of the example. One pixel becomes 4 x 4. The data lies beside
the repository (WorldCereal/worldcereal-classification, MIT; Copernicus Sentinel-2 data 2019).
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

from alise_plugin.mapping.features.series_features import SeriesFeatures
from alise_plugin.mapping.labels.layers import Legend, VectorLabels
from alise_plugin.mapping.learning.find_classes import find_classes
from alise_plugin.mapping.maps.find_similar import find_similar
from alise_plugin.mapping.maps.reconstruct import reconstruct
from alise_plugin.mapping.maps.segment import ClassMapOutputs, segment
from alise_plugin.model.encoder import load_encoder
from alise_plugin.model.heads.class_head import Head
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from alise_plugin.sits.series import ImageSeries
from scripts.demo_pictures import NATURAL, write

PROJECT = Path(__file__).resolve().parents[1]
SITE = "image_series/wc_0000280849BAC91C.npz"
YEAR, CLEAR, COVERED = 2019, (date(2019, 5, 11), date(2019, 7, 5)), date(2019, 5, 1)
CLASSES = 10
EXAMPLES = ((30, 30, 4, 4), (52, 50, 5, 5))  # column, row, width and height in pixels
LEFT, TOP, METRES = 600000.0, 5600000.0, 10.0
SCALE, GAP, BRIGHTEST = 4, 2, 0.2
RED = (255, 0, 0)


def main() -> None:
    """Build the series, find the classes, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("png")
    parser.add_argument("--similar", metavar="PNG")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    given = parser.parse_args()
    encoder = load_encoder(given.model, "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with series_of(given.data / SITE, folder) as series:
            features = SeriesFeatures(series, lambda: encoder)
            head = find_classes(features, folder / "head.onnx", classes=CLASSES)
            segment(features, Head(head.path), ClassMapOutputs(folder / "classes.tif"))
            reconstruct(features, folder / "images.tif", dates=[COVERED])
            panels = [colour(series, day) for day in CLEAR]
            seen = colour(series, COVERED)
            if given.similar:
                found = [similarity(features, example, folder) for example in EXAMPLES]
                write_panels(given.similar, [*panels, *found])
        codes = gdal.Open(str(folder / "classes.tif")).ReadAsArray()
        legend = ["#000000", *(item.color for item in head.classes)]
        panels.append(np.array([list(bytes.fromhex(text[1:])) for text in legend], np.uint8)[codes])
        with ImageSeries.open(folder / "images.tif") as images:
            panels += [seen, colour(images, COVERED)]
    write_panels(given.png, panels)


def write_panels(png: str, panels: list[np.ndarray]) -> None:
    """Write images `(H, W, 3)` side by side."""
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    row = np.concatenate([piece for panel in panels for piece in (panel, gap)][:-1], 1)
    write(png, row.repeat(SCALE, 0).repeat(SCALE, 1))


def similarity(
    features: SeriesFeatures, example: tuple[int, int, int, int], folder: Path
) -> np.ndarray:
    """Return `(H, W, 3)` uint8: similarity to one example, with its frame."""
    col, row, width, height = example
    left, top = LEFT + METRES * col, TOP - METRES * row
    right, bottom = left + METRES * width, top - METRES * height
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    ring = ", ".join(f"{x} {y}" for x, y in corners)
    shape = ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))")
    shown = VectorLabels("example", features.grid.crs_wkt, [shape], [1], Legend())
    result = find_similar(features, shown, folder / "similar.tif")
    raw = gdal.Open(result.path).ReadAsArray()
    grey = np.clip(raw / (10_000 * result.level), 0, 1)
    panel = np.rint(255 * grey).astype(np.uint8)[..., None].repeat(3, 2)
    last_row, last_col = row + height - 1, col + width - 1
    panel[row : last_row + 1, [col, last_col]] = panel[[row, last_row], col : last_col + 1] = RED
    return panel


def series_of(site: Path, folder: Path) -> ImageSeries:
    """Return the acquisitions of one year as an image series; of two of one day, the first."""
    with np.load(site) as file:
        days = [date.fromisoformat(str(day)[:10]) for day in file["dates"]]
        values = file["reflectance"]
    paths = []
    for place, day in enumerate(days):
        if day.year == YEAR and days.index(day) == place:
            paths.append(str(folder / f"S2_{day:%Y%m%d}.tif"))
            write_scene(paths[-1], values[place])
    return build_series(paths, folder / "series.vrt", scale=1e-4, offset=0.0)


def write_scene(path: str, values: np.ndarray) -> None:
    """Write (10, H, W) DN as a GeoTIFF; the place does not matter."""
    count, height, width = values.shape
    target = gdal.GetDriverByName("GTiff").Create(path, width, height, count, gdal.GDT_UInt16)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    target.SetProjection(reference.ExportToWkt())
    target.SetGeoTransform((LEFT, METRES, 0.0, TOP, 0.0, -METRES))
    for number, band in enumerate(BANDS):
        target.GetRasterBand(number + 1).SetDescription(band)
    target.WriteArray(values.astype(np.uint16))
    target.FlushCache()


def colour(series: ImageSeries, day: date) -> np.ndarray:
    """Return (H, W, 3) uint8: one day in natural colour."""
    bands = series.read(series.grid.window, series.dates.index(day))[list(NATURAL)]
    shown = np.clip(np.nan_to_num(bands, nan=BRIGHTEST) / BRIGHTEST, 0, 1)
    return np.rint(255 * shown).astype(np.uint8).transpose(1, 2, 0)


if __name__ == "__main__":
    main()
