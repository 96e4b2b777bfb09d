import contextlib
import dataclasses
import os
import resource
import signal

import numpy as np
import pytest
from osgeo import gdal, ogr

from alise_plugin.errors import Cancelled, OutputError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.rasters.destinations import require_outputs, require_replaceable
from alise_plugin.mapping.rasters.form import RasterForm
from alise_plugin.mapping.rasters.geotiff import RasterOutput
from alise_plugin.mapping.rasters.style import class_style, polygon_style, write_style
from alise_plugin.model.heads.class_head import MapClass
from alise_plugin.sits.grid import Grid, Window
from tests.helpers.rasters import TRANSFORM, utm

GRID = Grid(utm().ExportToWkt(), TRANSFORM, 40, 30)
FORM = RasterForm(["first", "second"], np.dtype(np.float32), np.nan, metadata={"KEY": "text"})


@pytest.fixture(params=[False, True], ids=["gdal-codes", "gdal-exceptions"], autouse=True)
def gdal_error_mode(request):
    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


@contextlib.contextmanager
def files_of_at_most(limit):
    """A limit on the size of files makes write() fail as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_what_is_written_is_read(tmp_path, rng):
    values = rng.normal(size=(2, 30, 40)).astype(np.float32)
    path = tmp_path / "map.tif"
    with RasterOutput(path, GRID, FORM, 16) as raster:
        for window in (Window(0, 0, 16, 30), Window(16, 0, 24, 30)):
            raster.write(window, values[(slice(None), *window.slices_in(GRID.window))])
        assert not path.exists()
    dataset = gdal.Open(str(path))
    np.testing.assert_array_equal(dataset.ReadAsArray(), values)
    assert Grid.from_dataset(dataset, "map").same_grid(GRID)
    assert dataset.GetMetadataItem("KEY") == "text"
    band = dataset.GetRasterBand(2)
    assert band.GetDescription() == "second"
    assert np.isnan(band.GetNoDataValue())
    assert band.GetBlockSize() == [16, 16]
    assert dataset.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") == "DEFLATE"
    assert os.listdir(tmp_path) == ["map.tif"]


@pytest.mark.parametrize("mistake", [Cancelled("stopped"), KeyboardInterrupt(), ValueError()])
def test_a_run_that_ends_early_leaves_the_folder_as_it_was(tmp_path, mistake):
    path = tmp_path / "map.tif"
    path.write_text("an older map")
    with pytest.raises(type(mistake)), RasterOutput(path, GRID, FORM, 16) as raster:  # noqa: PT012
        raster.write(Window(0, 0, 40, 16), np.zeros((2, 16, 40), np.float32))
        raise mistake
    assert os.listdir(tmp_path) == ["map.tif"]
    assert path.read_text() == "an older map"


def test_an_older_map_and_its_statistics_are_replaced(tmp_path):
    path = tmp_path / "map.tif"
    path.write_text("an older map")
    (tmp_path / "map.tif.aux.xml").write_text("<PAMDataset/>")
    with RasterOutput(path, GRID, FORM, 16):
        pass
    assert gdal.Open(str(path)) is not None
    assert os.listdir(tmp_path) == ["map.tif"]


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "nowhere" / "map.tif"
    with pytest.raises(OutputError, match="is not a folder") as error:
        RasterOutput(path, GRID, FORM, 16).__enter__()
    assert str(path) in one_sentence(error)


def test_a_folder_that_takes_no_files():
    with pytest.raises(OutputError, match="cannot be written") as error:
        RasterOutput("/proc/map.tif", GRID, FORM, 16).__enter__()
    one_sentence(error)


def test_a_name_that_is_taken_by_a_folder(tmp_path):
    """It is said before any work is done."""
    path = tmp_path / "map.tif"
    path.mkdir()
    with pytest.raises(OutputError, match="is a folder; give") as error:
        require_outputs([path], [])
    one_sentence(error)
    with pytest.raises(OutputError, match="is a folder"):
        RasterOutput(path, GRID, FORM, 16).__enter__()
    assert os.listdir(tmp_path) == ["map.tif"]


def test_a_name_that_a_folder_takes_meanwhile(tmp_path):
    path = tmp_path / "map.tif"
    with (
        pytest.raises(OutputError, match="cannot be written") as error,
        RasterOutput(path, GRID, FORM, 16),
    ):
        path.mkdir()
    one_sentence(error)
    assert os.listdir(tmp_path) == ["map.tif"]


def test_an_output_without_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is a folder; give"):
        RasterOutput("", GRID, FORM, 16).__enter__()


def test_a_raster_that_is_abandoned_takes_no_more(tmp_path):
    raster = RasterOutput(tmp_path / "map.tif", GRID, FORM, 16)
    with pytest.raises(Cancelled), raster:  # noqa: PT012
        raster.abandon()
        raster.write(Window(0, 0, 40, 16), np.zeros((2, 16, 40), np.float32))
    assert os.listdir(tmp_path) == []


def test_overviews_of_whole_numbers_are_rounded(tmp_path):
    grid = Grid(GRID.crs_wkt, TRANSFORM, 512, 512)
    form = RasterForm(["band"], np.dtype(np.uint8), 0, overviews="average")
    values = np.full((1, 512, 512), 2, np.uint8)
    values[:, ::2, ::2] = 1  # 1.75 on average
    with RasterOutput(tmp_path / "map.tif", grid, form, 128) as raster:
        raster.write(grid.window, values)
    dataset = gdal.Open(str(tmp_path / "map.tif"))
    overview = dataset.GetRasterBand(1).GetOverview(0)
    assert (overview.ReadAsArray() == 2).all()


class CancelsHalfWay(SilentFeedback):
    def __init__(self):
        self.fractions = []

    def progress(self, fraction):
        self.fractions.append(fraction)

    def cancelled(self):
        return self.fractions[-1] >= 0.5


def test_making_a_cog_can_be_cancelled(tmp_path):
    grid = Grid(GRID.crs_wkt, TRANSFORM, 2048, 1024)
    feedback = CancelsHalfWay()
    with (
        pytest.raises(Cancelled),
        RasterOutput(tmp_path / "map.tif", grid, FORM, 256, True, feedback),
    ):
        pass
    assert feedback.fractions == sorted(feedback.fractions)
    assert 0.5 <= feedback.fractions[-1] < 0.9
    assert os.listdir(tmp_path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_up(tmp_path, rng):
    grid = Grid(GRID.crs_wkt, TRANSFORM, 256, 256)
    values = rng.normal(size=(2, 256, 256)).astype(np.float32)
    path = tmp_path / "map.tif"
    with (
        files_of_at_most(100_000),
        pytest.raises(OutputError, match="disk has room") as error,
        RasterOutput(path, grid, FORM, 256) as raster,
    ):
        raster.write(grid.window, values)
    assert str(path) in one_sentence(error)
    assert os.listdir(tmp_path) == []


def test_a_disk_without_room_for_what_overviews_wait_for(tmp_path, monkeypatch):
    monkeypatch.setattr("alise_plugin.mapping.rasters.geotiff._OVERVIEW_BYTES", 0)
    grid = Grid(GRID.crs_wkt, TRANSFORM, 512, 512)
    form = RasterForm(["band"] * 16, np.dtype(np.float32), np.nan, overviews="average")
    path = tmp_path / "map.tif"
    with (
        files_of_at_most(200_000),
        pytest.raises(OutputError, match="disk has room") as error,
        RasterOutput(path, grid, form, 64) as raster,
    ):
        raster.write(Window(0, 0, 64, 64), np.zeros((16, 64, 64), np.float32))
    assert str(path) in one_sentence(error)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.int32])
def test_a_class_map_carries_names_and_colours(tmp_path, dtype):
    path = tmp_path / "classes.tif"
    names, colors = {1: "blé d'hiver", 7: 'forêt "A"'}, {1: (200, 180, 30), 7: (10, 90, 20)}
    form = RasterForm(["class"], np.dtype(dtype), 0, categories=names, colors=colors)
    values = np.resize(np.array([0, 1, 7], dtype), (1, 30, 40))
    with RasterOutput(path, GRID, form, 16) as raster:
        raster.write(GRID.window, values)
    assert sorted(os.listdir(tmp_path)) == ["classes.tif", "classes.tif.aux.xml"]
    dataset = gdal.Open(str(path))
    np.testing.assert_array_equal(dataset.ReadAsArray(), values[0])
    band = dataset.GetRasterBand(1)
    table = band.GetDefaultRAT()
    rows = [[table.GetValueAsInt(row, 0), table.GetValueAsString(row, 1)] for row in range(2)]
    assert dict(rows) == names
    assert [table.GetValueAsInt(1, column) for column in (2, 3, 4)] == list(colors[7])
    if dtype == np.uint8:
        assert band.GetCategoryNames()[7] == names[7]
    if dtype in (np.uint8, np.uint16):
        assert band.GetColorTable().GetColorEntry(1)[:3] == colors[1]
    dataset = band = table = None
    with RasterOutput(path, GRID, FORM, 16):
        pass
    assert os.listdir(tmp_path) == ["classes.tif"]  # the names of an older map go with it


def test_an_output_overwrites_nothing_that_the_run_reads(tmp_path):
    scene = tmp_path / "scene.tif"
    with RasterOutput(scene, GRID, FORM, 16):
        pass
    inner, outer, link = (str(tmp_path / name) for name in ("inner.vrt", "outer.vrt", "link.tif"))
    gdal.BuildVRT(inner, [str(scene)])
    gdal.BuildVRT(outer, [inner])
    os.symlink(scene, link)
    for output in (outer, inner, scene, link, f"{tmp_path}/../{tmp_path.name}/scene.tif"):
        with pytest.raises(OutputError, match="is also an input") as error:
            require_outputs([tmp_path / "map.tif", output], [outer])
        assert str(output) in one_sentence(error)
    require_outputs([tmp_path / "map.tif", None, ""], [outer, tmp_path / "not there.vrt"])


def test_two_outputs_have_two_names(tmp_path):
    once, twice = tmp_path / "map.tif", f"{tmp_path}/./map.tif"
    with pytest.raises(OutputError, match="asked for as two outputs") as error:
        require_outputs([once, None, twice], [])
    one_sentence(error)
    with pytest.raises(OutputError, match="is not a folder"):
        require_outputs([tmp_path / "nowhere" / "map.tif"], [])


def test_a_geopackage_takes_no_other_layers_with_it(tmp_path):
    path = tmp_path / "vectors.gpkg"
    require_replaceable(path, "classes")
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    for name in ("classes", "layer_styles"):
        source.CreateLayer(name, utm(), ogr.wkbPolygon)
    source = None
    require_replaceable(path, "classes")
    source = ogr.Open(str(path), 1)
    source.CreateLayer("fields", utm(), ogr.wkbPolygon)
    source = None
    with pytest.raises(OutputError, match="holds other layers") as error:
        require_replaceable(path, "classes")
    one_sentence(error)


CLASSES = [MapClass(1, "one", "#ff0000")]


def test_the_style_of_an_older_raster_goes_when_the_new_one_is_there(tmp_path):
    path = tmp_path / "map.tif"
    write_style(path, class_style(CLASSES))
    with pytest.raises(ValueError, match="stop"), RasterOutput(path, GRID, FORM, 16):
        raise ValueError("stop")
    assert os.listdir(tmp_path) == ["map.qml"]
    with RasterOutput(path, GRID, FORM, 16):
        assert (tmp_path / "map.qml").exists()
    assert os.listdir(tmp_path) == ["map.tif"]


def test_the_style_of_polygons_of_that_name_stays(tmp_path):
    write_style(tmp_path / "map.gpkg", polygon_style(CLASSES, "code"))
    with RasterOutput(tmp_path / "map.tif", GRID, FORM, 16):
        pass
    assert sorted(os.listdir(tmp_path)) == ["map.qml", "map.tif"]


def test_styles_of_rasters_and_vector_files_of_one_name_do_not_replace_each_other(tmp_path):
    style = tmp_path / "map.qml"
    form = dataclasses.replace(FORM, style=class_style(CLASSES))
    write_style(tmp_path / "map.gpkg", polygon_style(CLASSES, "mine"))
    with RasterOutput(tmp_path / "map.tif", GRID, form, 16):
        pass
    assert 'attr="mine"' in style.read_text()
    assert sorted(os.listdir(tmp_path)) == ["map.qml", "map.tif"]
    style.unlink()
    write_style(tmp_path / "map.tif", class_style(CLASSES))
    write_style(tmp_path / "map.gpkg", polygon_style(CLASSES, "code"))
    assert "rasterrenderer" in style.read_text()
    # one that is of both makes room for one that is of both
    for field in ("first", "second"):
        write_style(tmp_path / "map.tif", class_style(CLASSES) + polygon_style(CLASSES, field))
    assert 'attr="second"' in style.read_text()


def test_a_style_comes_with_its_raster(tmp_path):
    form = dataclasses.replace(FORM, style=class_style(CLASSES))
    path = tmp_path / "map.tif"
    with (
        pytest.raises(OutputError, match="cannot be written"),
        RasterOutput(path, GRID, form, 16),
    ):
        path.mkdir()
    assert os.listdir(tmp_path) == ["map.tif"]
    path.rmdir()
    with RasterOutput(path, GRID, form, 16):
        assert not (tmp_path / "map.qml").exists()
    assert sorted(os.listdir(tmp_path)) == ["map.qml", "map.tif"]
    assert "#ff0000" in (tmp_path / "map.qml").read_text()
