"""Layers as people have them: other encodings, features without a shape, lines among polygons."""

import os
import sqlite3

import numpy as np
import pytest
from osgeo import gdal, ogr

from alise_plugin.cli.layer_files import LayerFile
from alise_plugin.errors import AliseError, LabelsError
from alise_plugin.mapping.labels.on_grid import WarpedValues
from alise_plugin.mapping.labels.read import (
    read_examples,
    read_mask,
    read_raster_labels,
    read_raster_values,
    read_vector_labels,
    read_vector_values,
)
from alise_plugin.sits.grid import Grid
from tests.helpers.labelled_region import point, square, write_layer
from tests.helpers.rasters import utm, write_raster

CLASSES = ["blé", "maïs", "forêt"]


def shapefile(path, encoding, language, field="class"):
    """A shapefile without .cpg; `language` is the byte of the .dbf that states a code page."""
    source = ogr.GetDriverByName("ESRI Shapefile").CreateDataSource(str(path))
    layer = source.CreateLayer("x", utm(), ogr.wkbPolygon, [f"ENCODING={encoding}"])
    layer.CreateField(ogr.FieldDefn(field))
    for number, name in enumerate(CLASSES):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(square(3 * number, 0, 2, 2))
        feature.SetField(0, name)
        layer.CreateFeature(feature)
    del layer, source
    path.with_suffix(".cpg").unlink()
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = language
    path.with_suffix(".dbf").write_bytes(table)
    return str(path)


@pytest.fixture(autouse=True)
def without_the_encoding_of_qgis():
    """QGIS, which other tests start in this process, tells GDAL to decode no shapefile."""
    before = gdal.GetConfigOption("SHAPE_ENCODING")
    gdal.SetConfigOption("SHAPE_ENCODING", None)
    yield
    gdal.SetConfigOption("SHAPE_ENCODING", before)


@pytest.mark.parametrize(
    ("encoding", "language", "is_said"),
    [
        pytest.param("ISO-8859-1", 0, True, id="no code page"),
        pytest.param("ISO-8859-1", 0x57, False, id="code page in the table"),
        pytest.param("UTF-8", 0, False, id="UTF-8"),
        pytest.param("UTF-8", 0x57, True, id="UTF-8 under another code page"),
    ],
)
def test_text_of_shapefiles_without_a_cpg(tmp_path, encoding, language, is_said):
    path = shapefile(tmp_path / "x.shp", encoding, language)
    labels = read_vector_labels(path, "class")
    assert labels.classes() == CLASSES
    assert [text for text in labels.warnings if "encoding" in text] == list(labels.warnings)
    assert bool(labels.warnings) == is_said
    assert all(text.encode() for text in labels.warnings)


def test_fields_with_letters_that_are_not_utf_8(tmp_path):
    path = shapefile(tmp_path / "x.shp", "ISO-8859-1", 0, field="catégorie")
    assert read_vector_labels(path, "catégorie").classes() == CLASSES
    with pytest.raises(LabelsError, match="choose one of catégorie"):
        read_vector_labels(path, "class")


def test_raw_bytes_in_a_geopackage(tmp_path):
    path = write_layer(tmp_path / "x.gpkg", [square(0, 0, 2, 2), square(4, 0, 2, 2)], c=["a", "b"])
    with sqlite3.connect(path) as table:
        for (name,) in table.execute("SELECT name FROM sqlite_master WHERE type='trigger'"):
            table.execute(f'DROP TRIGGER "{name}"')
        table.execute("UPDATE labels SET c = CAST(x'626CE9' AS TEXT) WHERE fid = 1")
    table.close()
    labels = read_vector_labels(path, "c")
    assert labels.classes() == ["blé", "b"]
    assert "read as" in labels.warnings[0]


def test_a_path_that_is_not_utf_8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/Fl\xe4che.gpkg")
    with pytest.raises(AliseError, match="has letters that are not UTF-8; rename"):
        read_vector_labels(path, "class")


def mixed(path, **columns):
    wkts = ("LINESTRING (0 0, 1 1)", "POLYGON EMPTY")
    line, empty = map(ogr.CreateGeometryFromWkt, wkts)
    collection = ogr.Geometry(ogr.wkbGeometryCollection)
    collection.AddGeometry(square(8, 0, 2, 2))
    collection.AddGeometry(line)
    shapes = [square(0, 0, 2, 2), square(4, 0, 2, 2), collection, point(12, 0), line, empty, None]
    return write_layer(path, shapes, **columns)


def test_one_line_does_not_block_a_layer(tmp_path):
    path = mixed(tmp_path / "x.gpkg", c=list("ababbab"), v=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    left_out = [
        "Left out of x.gpkg: 2 features without a geometry.",
        "Left out of x.gpkg: 1 feature of another kind, the first being a linestring (feature 5); ",
    ]
    labels = read_vector_labels(path, "c")
    assert labels.values == list("abab")
    assert labels.geometries[2].GetArea() == pytest.approx(square(8, 0, 2, 2).GetArea())
    measured = read_vector_values(path, "v")
    assert measured.values == [1.0, 2.0, 3.0, 4.0]
    for read in (labels, measured, read_examples(path)):
        assert len(read.geometries) == 4
        assert read.warnings[0] == left_out[0]
        assert read.warnings[1].startswith(left_out[1])
    mask = read_mask(path)
    assert len(mask.geometries) == 3
    assert "2 features of another kind, the first being a point" in mask.warnings[1]
    shapes = LayerFile(path).shapes(utm().ExportToWkt())
    assert [bool(shape) for shape in shapes] == [True, True, True, False, False, False, False]


def test_layers_of_which_nothing_can_be_used(tmp_path):
    line, empty = map(ogr.CreateGeometryFromWkt, ("LINESTRING (0 0, 1 1)", "POLYGON EMPTY"))
    lines = write_layer(tmp_path / "lines.gpkg", [line, line], c=["a", "b"])
    with pytest.raises(LabelsError, match=r"holds a linestring \(feature 1\); labels are polygons"):
        read_vector_labels(lines, "c")
    with pytest.raises(AliseError, match="has no polygons"):
        LayerFile(lines).shapes(utm().ExportToWkt())
    nothing = write_layer(tmp_path / "nothing.gpkg", [empty, None], c=["a", "b"])
    with pytest.raises(LabelsError, match=r"None of the 2 features .* has a geometry"):
        read_vector_labels(nothing, "c")


def test_classes_that_stand_for_none(tmp_path):
    squares = [square(3 * number, 0, 2, 2) for number in range(4)]
    path = write_layer(
        tmp_path / "x.gpkg", squares, c=["a", "NULL", "b", "-9999"], n=[1, 2, -9999, 0]
    )
    texts = read_vector_labels(path, "c")
    assert texts.values == ["a", "NULL", "b"]
    assert texts.without_class == 1
    assert 'holds the text "NULL", which counts as a class' in texts.warnings[0]
    numbers = read_vector_labels(path, "n")
    assert numbers.values == [1, 2, 0]
    assert numbers.warnings == ["-9999 stands for no class in x.gpkg."]


@pytest.mark.parametrize("nodata", [None, 0.0])
def test_an_undeclared_fill_in_a_class_raster(tmp_path, nodata):
    codes = np.full((1, 12, 15), -9999, np.int16)
    codes[0, :, :5], codes[0, :, 5:9] = 1, 2
    labels = read_raster_labels(write_raster(tmp_path / "x.tif", codes, nodata=nodata))
    assert labels.values == [1, 2]
    assert any("-9999 stands for no class" in text for text in labels.warnings)
    floats = np.where(codes == -9999, np.nan, codes).astype(np.float32)
    assert read_raster_labels(write_raster(tmp_path / "y.tif", floats)).values == [1, 2]


@pytest.mark.parametrize("nodata", [None, -1.0])
@pytest.mark.parametrize("size", [10.0, 5.0], ids=["same pixels", "finer pixels"])
def test_what_a_raster_of_values_says_and_shows_of_missing_ones(tmp_path, nodata, size):
    """NaN and -9999, neither declared, beside what is: none of them is averaged or trained on."""
    times = int(10 / size)
    wanted = np.full((12, 15), 40.0)
    wanted[:, 8:] = 60.5
    values = np.repeat(np.repeat(wanted, times, 0), times, 1).astype(np.float32)
    values[: 2 * times], values[2 * times : 4 * times] = np.nan, -9999
    wanted[:4] = np.nan
    if nodata is not None:
        values[4 * times : 5 * times], wanted[4] = nodata, np.nan
    transform = (6e5, size, 0.0, 5e6, 0.0, -size)
    path = write_raster(tmp_path / "x.tif", values[None], nodata=nodata, transform=transform)
    read = read_raster_values(path)
    assert read.fill == -9999
    grid = Grid(utm().ExportToWkt(), (6e5, 10.0, 0.0, 5e6, 0.0, -10.0), 15, 12)
    np.testing.assert_allclose(WarpedValues(read, grid).read(grid.window), wanted)
