"""The compact form, overviews and COGs of an embedding raster."""

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import ModelPackageError
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.rasters.form import RasterForm
from alise_plugin.mapping.rasters.geotiff import RasterOutput
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sits.grid import Grid, Window
from tests.helpers.features import compare, features_from


@pytest.fixture(scope="module")
def compact_package(tiny_package, tmp_path_factory):
    """The tiny package with a projection onto 64 features, learned on noise."""
    pytest.importorskip("torch")
    import shutil
    from pathlib import Path

    from training.export.compact import principal_components, write_compact

    folder = tmp_path_factory.mktemp("models") / "compact"
    shutil.copytree(tiny_package, folder)
    encoder = load_encoder(folder, "cpu", threads=1)
    rng = np.random.default_rng(0)
    image = rng.uniform(0.0, 1.0, (4, 10, 40, 40)).astype(np.float32)  # as the series is
    image[0, :, 20:] = np.nan
    image[2, :, :, 25:] = np.nan
    sample = encoder.encode(image, np.array([1769, 1780, 1791, 1802], np.float32))
    write_compact(Path(folder), principal_components(sample.reshape(640, -1).T))
    return str(folder)


def test_compact_is_the_projection_of_the_features(series, compact_package, tmp_path):
    encoder = load_encoder(compact_package, "cpu", threads=2)
    embed(features_from(series, encoder), tmp_path / "full.tif")
    result = embed(
        features_from(series, encoder),
        tmp_path / "compact.tif",
        budget=TileBudget(tile_size=48),
        format="compact",
    )
    full, compact = (EmbeddingRaster(tmp_path / f"{name}.tif") for name in ("full", "compact"))
    assert len(compact.names) == 64
    assert gdal.Open(str(tmp_path / "compact.tif")).GetRasterBand(1).DataType == gdal.GDT_Byte
    assert compact.metadata["ALISE_MODEL_SHA256"] == full.metadata["ALISE_MODEL_SHA256"]
    assert len(compact.metadata["ALISE_COMPACT_SHA256"]) == 64
    window = full.grid.window
    expected = encoder.compact(full.read(window))
    found = compact.read(window)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.isnan(found[:, :, :10]).all()
    step = encoder.package.compact.scale[:, None, None]
    inside = np.abs(found - expected) <= 0.51 * step + 1e-5
    assert result.clipped < 0.02
    assert inside[:, :, 10:].mean() > 0.98


def test_two_compact_rasters_are_compared_as_they_are(series, compact_package, tmp_path):
    encoder = load_encoder(compact_package, "cpu", threads=2)
    rasters = []
    for name, first in (("one", 0), ("two", 1)):
        year = series.subset(series.dates[first::2])
        embed(features_from(year, encoder), tmp_path / f"{name}.tif", format="compact")
        rasters.append(EmbeddingRaster(tmp_path / f"{name}.tif"))
    compare(*rasters, None, tmp_path / "distance.tif", tile_size=32)
    found = gdal.Open(str(tmp_path / "distance.tif")).ReadAsArray()
    one, two = (raster.read(raster.grid.window).astype(np.float64) for raster in rasters)
    expected = 1 - (one * two).sum(0) / np.sqrt((one**2).sum(0) * (two**2).sum(0))
    assert np.isfinite(found).any()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_scale_and_offset_do_not_depend_on_the_map(series, compact_package, tmp_path):
    encoder = load_encoder(compact_package, "cpu", threads=2)
    part = series.grid.subgrid(Window(30, 20, 20, 16)).extent
    for name, extent in (("all", None), ("part", part)):
        embed(
            features_from(series, encoder),
            tmp_path / f"{name}.tif",
            format="compact",
            extent=extent,
        )
    whole, some = (gdal.Open(str(tmp_path / f"{name}.tif")) for name in ("all", "part"))
    assert [whole.GetRasterBand(i + 1).GetScale() for i in range(64)] == [
        some.GetRasterBand(i + 1).GetScale() for i in range(64)
    ]
    difference = whole.ReadAsArray()[:, 20:36, 30:50].astype(int) - some.ReadAsArray()
    assert np.abs(difference).max() <= 1


def test_a_package_without_a_compact_form_says_so(series, tiny_package, tmp_path):
    pytest.importorskip("onnxruntime")
    encoder = load_encoder(tiny_package, "cpu", threads=1)
    with pytest.raises(ModelPackageError, match="has no compact form; choose") as error:
        embed(features_from(series, encoder), tmp_path / "map.tif", format="compact")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["float32", "int8"])
@pytest.mark.parametrize("cog", [False, True])
def test_overviews_are_means_of_pixels_with_a_value(tmp_path, encoder, rng, form, cog):
    from alise_plugin.sits.build import build_series
    from tests.helpers.rasters import dated_rasters, write_raster

    folder = tmp_path / "scenes"
    folder.mkdir()
    paths, _, values = dated_rasters(folder, rng, 2, height=301, width=600)
    values[:, :, 50:101, 33:70] = 0
    for path, image in zip(paths, values):
        write_raster(path, image)
    series = build_series(paths, folder / "series.vrt")
    path = tmp_path / "map.tif"
    embed(
        features_from(series, encoder), path, budget=TileBudget(tile_size=96), format=form, cog=cog
    )
    raster = EmbeddingRaster(path)
    dataset = gdal.Open(str(path))
    band = dataset.GetRasterBand(3)
    sizes = [
        (band.GetOverview(i).XSize, band.GetOverview(i).YSize)
        for i in range(band.GetOverviewCount())
    ]
    assert sizes[:2] == [(300, 151), (150, 76)]
    whole = raster.read(raster.grid.window)[2]
    padded = np.pad(whole, [(0, 1), (0, 0)], mode="edge")
    blocks = padded.reshape(151, 2, 300, 2)
    with np.errstate(invalid="ignore"):
        count = np.isfinite(blocks).sum((1, 3))
        expected = np.where(count > 0, np.nansum(blocks, axis=(1, 3)) / count, np.nan)
    found = band.GetOverview(0).ReadAsArray().astype(np.float64)
    scale = 1.0
    if form == "int8":
        found[found == 0] = np.nan
        scale = band.GetScale()
        found = found * scale + band.GetOffset()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    step = 0.501 * scale if form == "int8" else 1e-5
    assert np.nanmax(np.abs(found - expected)) <= step


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_a_cog_is_valid_and_holds_the_same(series, encoder, tmp_path, form):
    validator = pytest.importorskip("osgeo_utils.samples.validate_cloud_optimized_geotiff")
    plain, cog = tmp_path / "plain.tif", tmp_path / "cog.tif"
    embed(features_from(series, encoder), plain, format=form)
    embed(features_from(series, encoder), cog, format=form, cog=True)
    _, errors, _ = validator.validate(str(cog), full_check=True)
    assert not errors
    first, second = gdal.Open(str(plain)), gdal.Open(str(cog))
    np.testing.assert_array_equal(first.ReadAsArray(), second.ReadAsArray())
    assert second.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    assert second.GetMetadataItem("ALISE_MODEL") == "fake"
    for index in (1, 6):
        bands = first.GetRasterBand(index), second.GetRasterBand(index)
        assert bands[0].GetDescription() == bands[1].GetDescription() != ""
        assert bands[0].GetScale() == bands[1].GetScale()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cog.tif", "plain.tif", "scenes"]


def test_overviews_of_classes_are_classes(tmp_path):
    from tests.helpers.rasters import TRANSFORM, utm

    values = np.random.default_rng(0).integers(0, 5, (1, 520, 520)).astype(np.uint8)
    grid = Grid(utm().ExportToWkt(), TRANSFORM, 520, 520)
    form = RasterForm(["class"], np.dtype(np.uint8), 0, overviews="nearest")
    with RasterOutput(tmp_path / "map.tif", grid, form, 256) as raster:
        for row in (0, 256, 512):
            rows = min(256, 520 - row)
            raster.write(Window(0, row, 520, rows), values[:, row : row + rows])
    dataset = gdal.Open(str(tmp_path / "map.tif"))
    overview = dataset.GetRasterBand(1).GetOverview(0)
    np.testing.assert_array_equal(overview.ReadAsArray(), values[0, ::2, ::2])


def test_blocks_are_compressed_once(tmp_path, rng):
    """A block that is written again leaves its old place in the file empty."""
    from tests.helpers.rasters import TRANSFORM, utm

    values = rng.integers(0, 255, (5, 700, 650)).astype(np.uint8)
    grid = Grid(utm().ExportToWkt(), TRANSFORM, 650, 700)
    form = RasterForm(list("abcde"), np.dtype(np.uint8), 0, overviews="average", fast=True)
    path = tmp_path / "map.tif"
    with RasterOutput(path, grid, form, (16, 112)) as raster:
        for row in range(0, 700, 112):
            for col in range(0, 650, 112):
                for top in range(row, min(row + 112, 700), 48):
                    bottom = min(top + 48, row + 112, 700)
                    window = Window(col, top, min(112, 650 - col), bottom - top)
                    part = values[(slice(None), *window.slices_in(grid.window))]
                    raster.write(window, np.ascontiguousarray(part))
    dataset = gdal.Open(str(path))
    used = 0
    for index in range(1, 6):
        band = dataset.GetRasterBand(index)
        for each in [band, *(band.GetOverview(i) for i in range(band.GetOverviewCount()))]:
            width, height = each.GetBlockSize()
            for x in range(-(-each.XSize // width)):
                for y in range(-(-each.YSize // height)):
                    used += int(each.GetMetadataItem(f"BLOCK_SIZE_{x}_{y}", "TIFF"))
    assert path.stat().st_size < 1.03 * used
