"""A search takes what it can read and names what it cannot; given directly, that is an error."""

import json
import os
import shutil
import zipfile
from datetime import date

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import SeriesError
from alise_plugin.sits.bands import BANDS
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from tests.helpers.products import CORNER, SIDE, dn, expected, reference, stac_item, write_json
from tests.helpers.rasters import dated_rasters, write_raster

DAYS = (date(2020, 5, 14), date(2020, 6, 3))


def write_cube(path, group=(), bands=(*BANDS[:4], "B08"), driver="netCDF", **options):
    """A cube whose arrays lie in a group of groups."""
    dataset = gdal.GetDriverByName(driver).CreateMultiDimensional(
        str(path), [f"{key}={value}" for key, value in options.items()]
    )
    inner = dataset.GetRootGroup()
    for name in group:
        inner = inner.CreateGroup(name)
    steps = 10 * (np.arange(SIDE) + 0.5)
    axes = {
        "time": np.array([(day - date(1970, 1, 1)).days for day in DAYS], "f8"),
        "y": CORNER[1] - steps,
        "x": CORNER[0] + steps,
    }
    dimensions = []
    double = gdal.ExtendedDataType.Create(gdal.GDT_Float64)
    for name, values in axes.items():
        dimension = inner.CreateDimension(name, "", "", len(values))
        array = inner.CreateMDArray(name, [dimension], double)
        array.Write(values)
        if name == "time":
            text = gdal.ExtendedDataType.CreateString()
            array.CreateAttribute("units", [], text).WriteString("days since 1970-01-01")
        if driver == "Zarr":
            dimension.SetIndexingVariable(array)
        dimensions.append(dimension)
    for band in bands:
        kind = gdal.ExtendedDataType.Create(gdal.GDT_UInt16)
        array = inner.CreateMDArray(band, dimensions, kind)
        array.Write(np.stack([dn(band, day) for day in DAYS]).astype(np.uint16))
        array.SetSpatialRef(reference(32631))
    return path


@pytest.mark.parametrize("group", [(), ("measurements", "r10m")], ids=["root", "groups"])
@pytest.mark.parametrize("form", ["nc", "zarr", "zarr3"])
def test_arrays_in_groups_and_zarr_3(tmp_path, form, group):
    (tmp_path / "in").mkdir()
    if form == "nc":
        path = write_cube(tmp_path / "in" / "a.nc", group)
    else:
        version = "ZARR_V3" if form == "zarr3" else "ZARR_V2"
        path = write_cube(tmp_path / "in" / "a.zarr", group, driver="Zarr", FORMAT=version)
    for given in (path, tmp_path / "in"):
        series = build_series([given], tmp_path / "series.vrt")
        assert series.dates == DAYS
        for number, day in enumerate(DAYS):
            wanted = expected(series, day, series.bands_present)
            np.testing.assert_allclose(
                series.read(series.grid.window, number), wanted, atol=1.01e-4
            )


def no_arrays(folder):
    gdal.GetDriverByName("netCDF").CreateMultiDimensional(f"{folder}/x.nc").GetRootGroup()
    return f"{folder}/x.nc"


def arrays_of(dimensions, name="tas"):
    def write(folder):
        dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(f"{folder}/x.nc")
        group = dataset.GetRootGroup()
        sizes = [group.CreateDimension(one, "", "", 4) for one in dimensions]
        kind = gdal.ExtendedDataType.Create(gdal.GDT_Float32)
        group.CreateMDArray(name, sizes, kind).Write(np.zeros([4] * len(sizes), np.float32))
        return f"{folder}/x.nc"

    return write


def bytes_in(name, content):
    def write(folder):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
        return f"{folder}/{name}"

    return write


def zarr_of(**files):
    def write(folder):
        os.makedirs(f"{folder}/x.zarr")
        for name, content in files.items():
            with open(f"{folder}/x.zarr/{name.replace('_', '.')}", "w") as file:
                file.write(content)
        return f"{folder}/x.zarr"

    return write


def hostile_zip(folder):
    with zipfile.ZipFile(f"{folder}/x.zip", "w") as archive:
        archive.writestr("../x.txt", "x")
    return f"{folder}/x.zip"


def lost_source(folder):
    shutil.copy(f"{folder}/S2_20190105.tif", f"{folder}/gone.tif")
    gdal.BuildVRT(f"{folder}/x_20180101.vrt", [f"{folder}/gone.tif"])
    os.remove(f"{folder}/gone.tif")
    return f"{folder}/x_20180101.vrt"


def half(folder):
    with open(f"{folder}/S2_20190105.tif", "rb") as file:
        content = file.read()
    return bytes_in("x_20180101.tif", content[: len(content) // 2])(folder)


def landsat_item(folder):
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "LC08", "assets": {"B2": {"href": "x"}},
        "properties": {"platform": "landsat-8", "datetime": "2019-01-01T00:00:00Z"},
    }  # fmt: skip
    return str(write_json(folder / "x.json", item))


def item_without_its_asset(folder):
    item = stac_item(folder / "items", DAYS[0])
    shutil.rmtree(folder / "items")
    return str(write_json(folder / "x.json", item))


def features_of_a_model(folder):
    values = np.random.default_rng(0).normal(size=(10, 12, 15)).astype(np.float32)
    return write_raster(folder / "x_20180101.tif", values, descriptions=())


def undated_picture(folder):
    values = np.full((3, 12, 15), 30)
    return write_raster(folder / "x.tif", values, descriptions=("Red", "Green", "Blue"))


def empty_safe(folder):
    name = "S2A_MSIL2A_20190101T105301_N0211_R051_T31TGJ_20190101T105301.SAFE"
    os.makedirs(f"{folder}/{name}")
    return f"{folder}/{name}"


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(no_arrays, id="NetCDF without arrays"),
        pytest.param(arrays_of(["n"], "red"), id="1-D NetCDF"),
        pytest.param(arrays_of(["level", "step", "y", "x"]), id="4-D NetCDF without time"),
        pytest.param(arrays_of(["time", "depth", "y", "x"]), id="ocean model"),
        pytest.param(arrays_of(["time", "band", "level", "y", "x"]), id="5-D NetCDF"),
        pytest.param(bytes_in("x.nc", b""), id="empty NetCDF"),
        pytest.param(bytes_in("x.nc", b"CDF\x01" + b"\xfe" * 99), id="damaged NetCDF"),
        pytest.param(zarr_of(_zgroup='{"zarr_format": 2}'), id="Zarr without arrays"),
        pytest.param(zarr_of(_zgroup="{"), id="damaged Zarr"),
        pytest.param(
            zarr_of(zarr_json=json.dumps({"zarr_format": 3, "node_type": "group"})), id="Zarr 3"
        ),
        pytest.param(bytes_in("x.tif", b"II*\x00" + b"\xfe" * 99), id="damaged TIFF"),
        pytest.param(bytes_in("x_20180101.tif", b"<html>404</html>"), id="a page for a TIFF"),
        pytest.param(half, id="half a TIFF"),
        pytest.param(bytes_in("x.img", b"\xfe" * 99), id="damaged .img"),
        pytest.param(bytes_in("x.vrt", b"<VRTDataset "), id="damaged VRT"),
        pytest.param(lost_source, id="VRT without its source"),
        pytest.param(bytes_in("x.zip", b"PK\x03\x04"), id="damaged zip"),
        pytest.param(hostile_zip, id="hostile zip"),
        pytest.param(landsat_item, id="Landsat item"),
        pytest.param(item_without_its_asset, id="item without its asset"),
        pytest.param(features_of_a_model, id="features"),
        pytest.param(undated_picture, id="picture without a date"),
        pytest.param(empty_safe, id="empty SAFE"),
    ],
)
def test_a_search_never_ends_over_a_foreign_file(tmp_path, rng, write):
    folder = tmp_path / "in"
    folder.mkdir()
    _, days, _ = dated_rasters(folder, rng, 2)
    path = write(folder)
    plan = plan_series([folder], tmp_path / "series.vrt", SeriesOptions())
    assert [planned.acquisition.day for planned in plan.dates] == days
    names = [name for name, _ in plan.left_out]
    assert os.path.basename(path) in names
    with pytest.raises(SeriesError) as error:
        build_series([path], tmp_path / "other.vrt")
    assert "\n" not in str(error.value)


def test_what_may_be_an_image_is_warned_of(tmp_path, rng):
    """Who loses a date of a series by a damaged file sees it, not only in the report."""
    dated_rasters(tmp_path, rng, 2)
    half(tmp_path)
    write_raster(tmp_path / "dem.tif", np.full((1, 12, 15), 300), descriptions=())
    plan = plan_series([tmp_path], tmp_path / "series.vrt", SeriesOptions())
    assert len(plan.left_out) == 2
    assert [text for text in plan.warnings if "stays out" in text] == [
        text for text in plan.warnings if text.startswith("x_20180101.tif cannot be used")
    ]
    assert any("stays out of the series" in text for text in plan.warnings)


@pytest.mark.parametrize("name", ["S2_20200514.bsq", "S2_20200514.dat", "S2_2020-05-14"])
def test_envi_images_are_found(tmp_path, name):
    values = np.stack([dn(band, DAYS[0]) for band in BANDS]).astype(np.uint16)
    memory = gdal.GetDriverByName("MEM").Create("", SIDE, SIDE, len(BANDS), gdal.GDT_UInt16)
    memory.SetGeoTransform((CORNER[0], 10, 0, CORNER[1], 0, -10))
    memory.SetSpatialRef(reference(32631))
    for number, (band, image) in enumerate(zip(BANDS, values), 1):
        memory.GetRasterBand(number).SetDescription(band)
        memory.GetRasterBand(number).WriteArray(image)
    gdal.GetDriverByName("ENVI").CreateCopy(str(tmp_path / name), memory)
    series = build_series([tmp_path], tmp_path / "series.vrt")
    assert series.dates == DAYS[:1]
    wanted = expected(series, DAYS[0], BANDS)
    np.testing.assert_allclose(series.read(series.grid.window, 0), wanted, atol=1.01e-4)
