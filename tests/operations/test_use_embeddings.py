"""Embeddings of other products, written to their published layout, through every operation."""

import numpy as np
import pytest
from osgeo import gdal, ogr

from alise_plugin import AliseError, open_features, run
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from tests.helpers.products import reference

CORNER, SIDE, FIELD = (600000.0, 5000000.0), 40, 10
NAMES = [f"A{number:02d}" for number in range(64)]


def unit_vectors(seed=0, classes=4, noise=0.25):
    """(64, SIDE, SIDE) unit vectors of square fields of a few classes, and the classes."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(9).integers(0, classes, (SIDE // FIELD,) * 2)
    kinds = kinds.repeat(FIELD, 0).repeat(FIELD, 1)
    means = np.random.default_rng(5).normal(size=(classes, 64))
    vectors = means[kinds] / 8 + noise / 8 * rng.normal(size=(SIDE, SIDE, 64))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.moveaxis(vectors, -1, 0).astype(np.float32), kinds


def alphaearth_bytes(vectors):
    """The published quantisation: the inverse of sign(x) * (x / 127.5)^2."""
    steps = np.round(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5)
    return steps.clip(-127, 127).astype(np.int8)


def write_bytes_raster(path, values, *, names=NAMES, upside_down=False, epsg=32631, corner=CORNER):
    """Signed bytes with -128 for no value, as GDAL of any release writes them."""
    bands, height, width = values.shape
    if hasattr(gdal, "GDT_Int8"):
        kind, options = gdal.GDT_Int8, []
    else:
        kind, options = gdal.GDT_Byte, ["PIXELTYPE=SIGNEDBYTE"]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), width, height, bands, kind, options)
    dataset.SetProjection(reference(epsg).ExportToWkt())
    if upside_down:
        dataset.SetGeoTransform((corner[0], 10, 0, corner[1] - 10 * height, 0, 10))
        values = values[:, ::-1]
    else:
        dataset.SetGeoTransform((corner[0], 10, 0, corner[1], 0, -10))
    for index, plane in enumerate(np.ascontiguousarray(values)):
        band = dataset.GetRasterBand(index + 1)
        band.SetNoDataValue(-128)
        if names:
            band.SetDescription(names[index])
        raw = plane.tobytes()
        band.WriteRaster(0, 0, width, height, raw, buf_type=kind)
    dataset = None
    return str(path)


def write_floats(path, values, *, names=None, metadata=None):
    bands, height, width = values.shape
    dataset = gdal.GetDriverByName("GTiff").Create(
        str(path), width, height, bands, gdal.GDT_Float32
    )
    dataset.SetProjection(reference(32631).ExportToWkt())
    dataset.SetGeoTransform((CORNER[0], 10, 0, CORNER[1], 0, -10))
    dataset.SetMetadata(metadata or {})
    for index, plane in enumerate(values):
        dataset.GetRasterBand(index + 1).WriteArray(plane)
        if names:
            dataset.GetRasterBand(index + 1).SetDescription(names[index])
    dataset = None
    return str(path)


def write_fields(path, kinds, which=None):
    """A polygon inside each field, with its class as `crop`."""
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("fields", reference(32631), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("crop", ogr.OFTInteger))
    for row in range(0, SIDE, FIELD):
        for col in range(0, SIDE, FIELD):
            if which is not None and kinds[row, col] != which:
                continue
            left, top = CORNER[0] + 10 * (col + 2), CORNER[1] - 10 * (row + 2)
            right, low = left + 60, top - 60
            feature = ogr.Feature(layer.GetLayerDefn())
            ring = f"{left} {top}, {right} {top}, {right} {low}, {left} {low}, {left} {top}"
            feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
            feature.SetField(0, int(kinds[row, col]) + 1)
            layer.CreateFeature(feature)
    return str(path)


def cosine(first, second):
    return (first * second).sum(0) / np.linalg.norm(first, axis=0) / np.linalg.norm(second, axis=0)


def test_bytes_are_read_as_they_are_meant(tmp_path):
    """A linear reading of AlphaEarth's bytes has cosines that are wrong by more than 0.1."""
    vectors, _ = unit_vectors(noise=2.0)
    values = alphaearth_bytes(vectors)
    path = write_bytes_raster(tmp_path / "alphaearth_2023.tif", values)
    raster = open_features(path)
    found = raster.read(raster.grid.window)
    true = cosine(vectors, np.roll(vectors, 7, 1))
    ours = cosine(found, np.roll(found, 7, 1))
    assert np.sqrt(np.mean((ours - true) ** 2)) < 0.003
    linear = values.astype(np.float64)
    wrong = cosine(linear, np.roll(linear, 7, 1))
    assert np.sqrt(np.mean((wrong - true) ** 2)) > 10 * 0.003
    assert raster.identity.name == "AlphaEarth"


def test_a_pixel_without_a_value_stays_without(tmp_path):
    vectors, _ = unit_vectors()
    values = alphaearth_bytes(vectors)
    values[:, 3, 4] = -128
    path = write_bytes_raster(tmp_path / "a.tif", values)
    found = EmbeddingRaster(path).read(EmbeddingRaster(path).grid.window)
    assert np.isnan(found[:, 3, 4]).all()
    assert np.isfinite(np.delete(found.reshape(64, -1), 3 * SIDE + 4, axis=1)).all()


def test_rasters_upside_down_and_of_two_zones_are_one(tmp_path):
    vectors, _ = unit_vectors()
    values = alphaearth_bytes(vectors)
    left = write_bytes_raster(tmp_path / "left.tif", values[:, :, :20])
    right = write_bytes_raster(
        tmp_path / "right.tif",
        values[:, :, 20:],
        upside_down=True,
        corner=(CORNER[0] + 200, CORNER[1]),
    )
    with pytest.raises(AliseError, match="upside down"):
        EmbeddingRaster(right)
    out = tmp_path / "both.vrt"
    results = run("useembeddings", INPUT=[left, right], YEAR=2023, OUTPUT=out)
    assert (results["PRODUCT_NAME"], results["PRODUCT_YEAR"], results["FEATURES"]) == (
        "AlphaEarth",
        "2023",
        64,
    )
    whole = write_bytes_raster(tmp_path / "whole.tif", values)
    both, one = EmbeddingRaster(out), EmbeddingRaster(whole)
    assert both.grid.same_grid(one.grid)
    np.testing.assert_array_equal(both.read(both.grid.window), one.read(one.grid.window))
    # The same place as the next zone has it.
    gdal.Warp(
        str(tmp_path / "zone.vrt"), whole, dstSRS="EPSG:32632", resampleAlg="near", format="VRT"
    )
    moved = gdal.Open(str(tmp_path / "zone.vrt"))
    raw = moved.ReadAsArray().astype(np.int16)
    raw[raw > 127] -= 256
    left, dx, _, top, _, _ = moved.GetGeoTransform()
    other = write_zone(tmp_path / "zone.tif", raw.astype(np.int8), (left, top), dx)
    results = run("useembeddings", INPUT=[whole, other], YEAR=2023, OUTPUT=tmp_path / "zones.vrt")
    zones = EmbeddingRaster(tmp_path / "zones.vrt")
    assert zones.grid.same_crs(one.grid)
    assert zones.grid.width >= one.grid.width
    found = zones.read(zones.grid.window)
    assert np.isfinite(found).any()


def write_zone(path, values, corner, size):
    written = write_bytes_raster(path, values, epsg=32632, corner=corner)
    dataset = gdal.Open(written, gdal.GA_Update)
    dataset.SetGeoTransform((corner[0], size, 0, corner[1], 0, -size))
    dataset = None
    return written


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("alphaearth")
    vectors, kinds = unit_vectors()
    later, _ = unit_vectors(seed=1)
    later[:, :FIELD, :FIELD] = later[:, -FIELD:, -FIELD:][:, ::-1]
    paths = []
    for year, values in ((2022, vectors), (2023, later)):
        raster = write_bytes_raster(
            folder / f"{year}.tif", alphaearth_bytes(values), upside_down=year == 2023
        )
        run("useembeddings", INPUT=raster, YEAR=year, OUTPUT=folder / f"{year}.vrt")
        paths.append(str(folder / f"{year}.vrt"))
    fields = write_fields(folder / "fields.gpkg", kinds)
    return folder, paths, fields, kinds


def test_every_map_takes_them(place, tmp_path):
    folder, (first, second), fields, kinds = place
    head = str(tmp_path / "crops.onnx")
    run("trainclassifier", INPUT=first, LABELS=fields, FIELD="crop", HEAD=head)
    for raster in (first, second):
        run("segment", INPUT=raster, HEAD=head, OUTPUT=tmp_path / "map.tif")
        codes = gdal.Open(str(tmp_path / "map.tif")).ReadAsArray()
        same = codes == kinds + 1
        assert same[FIELD:].mean() > 0.98
    run("findclasses", INPUT=first, CLASSES=4, HEAD=tmp_path / "k.onnx")
    run("segment", INPUT=first, HEAD=tmp_path / "k.onnx", OUTPUT=tmp_path / "k.tif")
    examples = write_fields(tmp_path / "examples.gpkg", kinds, which=int(kinds[0, 0]))
    run("findsimilar", INPUT=first, EXAMPLES=examples, OUTPUT=tmp_path / "similar.tif")
    values = gdal.Open(str(tmp_path / "similar.tif")).ReadAsArray()
    alike = kinds == kinds[0, 0]
    assert np.median(values[alike]) > np.median(values[~alike])
    run("trainregression", INPUT=first, LABELS=fields, FIELD="crop", HEAD=tmp_path / "v.onnx")
    run("estimatevalues", INPUT=first, HEAD=tmp_path / "v.onnx", OUTPUT=tmp_path / "v.tif")
    run("detectchange", BEFORE=first, AFTER=second, DISTANCE=tmp_path / "d.tif")
    distance = gdal.Open(str(tmp_path / "d.tif")).ReadAsArray()
    if kinds[0, 0] != kinds[-1, -1]:
        assert np.median(distance[:FIELD, :FIELD]) > 3 * np.median(distance[FIELD:, FIELD:])
    assert folder.is_dir()


def test_a_head_refuses_another_product_or_version(place, tmp_path):
    _, (first, _), fields, _ = place
    head = str(tmp_path / "crops.onnx")
    run("trainclassifier", INPUT=first, LABELS=fields, FIELD="crop", HEAD=head)
    vectors, _ = unit_vectors()
    newer = write_bytes_raster(tmp_path / "newer.tif", alphaearth_bytes(vectors))
    run("useembeddings", INPUT=newer, YEAR=2023, VERSION="1.1", OUTPUT=tmp_path / "newer.vrt")
    with pytest.raises(AliseError, match=r"trained on features of the model AlphaEarth and not of"):
        run("segment", INPUT=tmp_path / "newer.vrt", HEAD=head, OUTPUT=tmp_path / "map.tif")
    floats = np.tile(vectors, (2, 1, 1))
    tessera = write_floats(
        tmp_path / "tessera.tif", floats, metadata={"TESSERA_DATASET_VERSION": "v1"}
    )
    with pytest.raises(AliseError, match="and not of TESSERA v1"):
        run("segment", INPUT=tessera, HEAD=head, OUTPUT=tmp_path / "map.tif")
    with pytest.raises(AliseError, match=r"made by AlphaEarth and .* by AlphaEarth 1\.1"):
        run(
            "detectchange",
            BEFORE=first,
            AFTER=tmp_path / "newer.vrt",
            DISTANCE=tmp_path / "d.tif",
        )


def test_what_needs_a_decoder_says_so(place, tmp_path):
    _, (first, second), _, _ = place
    with pytest.raises(AliseError, match="AlphaEarth, which no decoder turns back"):
        run("reconstruct", INPUT=first, OUTPUT=tmp_path / "days.tif", DATES=["2022-06-01"])
    with pytest.raises(AliseError, match="AlphaEarth, which no decoder turns back"):
        run(
            "detectchange",
            BEFORE=first,
            AFTER=second,
            DISTANCE=tmp_path / "d.tif",
            EXPLANATION=tmp_path / "e.tif",
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bands", "given", "sentence"),
    [
        (64, {}, "has 64 bands and does not say whose vectors they are: choose PRODUCT"),
        (64, {"PRODUCT": "other"}, 'PRODUCT "other" needs NAME and YEAR'),
        (64, {"NAME": "mine"}, 'NAME is for PRODUCT "other"'),
        (3, {"PRODUCT": "other", "NAME": "x", "YEAR": 2020}, "an embedding raster has 8 to 2000"),
    ],
)
def test_what_is_missing_is_asked_for(tmp_path, bands, given, sentence):
    path = write_floats(tmp_path / "mine.tif", unit_vectors()[0][:bands])
    with pytest.raises(AliseError, match=sentence):
        run("useembeddings", INPUT=path, OUTPUT=tmp_path / "out.vrt", **given)
    assert {one.name for one in tmp_path.iterdir()} == {"mine.tif"}


def test_any_vectors_are_taken_once_they_have_a_name(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("sklearn")
    vectors, kinds = unit_vectors()
    mine = write_floats(tmp_path / "mine.tif", vectors[:20])
    other = {"PRODUCT": "other", "NAME": "group model 7", "YEAR": 2021}
    run("useembeddings", INPUT=mine, OUTPUT=tmp_path / "mine.vrt", **other)
    fields = write_fields(tmp_path / "fields.gpkg", kinds)
    head = tmp_path / "head.onnx"
    run("trainclassifier", INPUT=tmp_path / "mine.vrt", LABELS=fields, FIELD="crop", HEAD=head)
    run("segment", INPUT=tmp_path / "mine.vrt", HEAD=head, OUTPUT=tmp_path / "map.tif")
    codes = gdal.Open(str(tmp_path / "map.tif")).ReadAsArray()
    assert (codes == kinds + 1).mean() > 0.95
    with pytest.raises(AliseError, match="Use Embeddings whose vectors it holds"):
        EmbeddingRaster(mine)


def test_two_years_are_not_mixed(tmp_path):
    vectors, _ = unit_vectors()
    paths = [
        write_floats(
            tmp_path / f"{year}.tif",
            vectors,
            names=NAMES,
            metadata={"system:time_start": f"{year}-01-01"},
        )
        for year in (2021, 2022)
    ]
    with pytest.raises(AliseError, match=r"is of 2021 and 2022\.tif of 2022; give"):
        run("useembeddings", INPUT=paths, OUTPUT=tmp_path / "out.vrt")
