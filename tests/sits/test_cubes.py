"""Cubes as openEO, xcube and stackstac write them: what is read is the landscape."""

import shutil
from datetime import date

import numpy as np
import pytest
from osgeo import gdal, osr

from alise_plugin.errors import SeriesError
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from alise_plugin.sits.series import ImageSeries
from tests.helpers.cubes import write_netcdf4, write_zarr
from tests.helpers.products import CORNER, SIDE, centres, dn, expected, reference, truth

DAYS = (date(2019, 5, 14), date(2019, 5, 29), date(2019, 8, 2))
BANDS = ("B02", "B03", "B04", "B08")
SECONDS = "seconds since 2019-01-01T12:00:00"
WRITERS = {"zarr": write_zarr, "nc": write_netcdf4}


@pytest.fixture(params=[False, True], ids=["gdal-codes", "gdal-exceptions"], autouse=True)
def gdal_error_mode(request):
    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


def axes(corner=CORNER, size=10.0, side=SIDE, labels=0.5, up=False):
    x = corner[0] + size * (np.arange(side) + labels)
    y = corner[1] - size * (np.arange(side) + labels)
    return x, y[::-1] if up else y


def moments(days=DAYS, hour=10):
    return np.array([((day - date(2019, 1, 1)).days * 24 + hour - 12) * 3600 for day in days], "i8")


def near(series, more=1.01e-4):
    for number, day in enumerate(DAYS):
        got = series.read(series.grid.window, number)
        wanted = expected(series, day, BANDS)
        np.testing.assert_allclose(got, wanted, atol=more)


@pytest.mark.parametrize("form", ["zarr", "nc"])
@pytest.mark.parametrize("up", [False, True], ids=["north first", "south first"])
@pytest.mark.parametrize("mapping", ["crs", "spatial_ref"])
def test_one_variable_per_band(tmp_path, form, up, mapping):
    """openEO (time dimension `t`) and xcube: reflectance in floating point, and SCL."""
    x, y = axes(up=up)
    time = "t" if mapping == "crs" else "time"
    planes = {}
    for band in BANDS:
        images = np.stack([dn(band, day) * 1e-4 for day in DAYS]).astype("f4")
        planes[band] = ((time, "y", "x"), images[:, ::-1] if up else images)
    planes["SCL"] = ((time, "y", "x"), np.full((3, SIDE, SIDE), 4, "u1"))
    wkt = reference(32631).ExportToWkt()
    path = WRITERS[form](
        tmp_path / f"cube.{form}",
        planes,
        {
            time: (moments(), {"units": SECONDS, "calendar": "proleptic_gregorian"}),
            "y": (y, {"standard_name": "projection_y_coordinate", "units": "m"}),
            "x": (x, {"standard_name": "projection_x_coordinate", "units": "m"}),
        },
        scalars={mapping: (np.int32(0), {"crs_wkt": wkt, "spatial_ref": wkt})},
        attributes={"grid_mapping": mapping},
    )
    series = build_series([path], tmp_path / "series.vrt")
    assert series.dates == DAYS
    assert series.bands_present == BANDS
    assert series.grid.geotransform == pytest.approx((CORNER[0], 10, 0, CORNER[1], 0, -10))
    near(series)
    masked = build_series([path], tmp_path / "masked.vrt", mask_clouds=True)
    near(masked)


@pytest.mark.parametrize("form", ["zarr", "nc"])
@pytest.mark.parametrize("labels", [0.0, 0.5], ids=["corners", "centres"])
@pytest.mark.parametrize("names", [BANDS, ("blue", "green", "red", "nir")])
def test_one_variable_with_a_band_dimension(tmp_path, form, labels, names):
    """stackstac: DN in float64, bands by name, pixels labelled by their upper left corners."""
    x, y = axes(labels=labels)
    values = np.stack([[dn(band, day) for band in BANDS] for day in DAYS]).astype("f8")
    values[0, :, 3:5, 7] = np.nan
    path = WRITERS[form](
        tmp_path / f"cube.{form}",
        {"stackstac-0a1b": (("time", "band", "y", "x"), values)},
        {
            "time": (moments(), {"units": SECONDS, "calendar": "proleptic_gregorian"}),
            "band": (np.array(names), {}),
            "y": (y, {}),
            "x": (x, {}),
        },
        scalars={"epsg": (np.int32(32631), {})},
        attributes={"crs": "epsg:32631", "resolution": "10.0"},
    )
    series = build_series([path], tmp_path / "series.vrt")
    assert series.grid.geotransform == pytest.approx((CORNER[0], 10, 0, CORNER[1], 0, -10))
    got = series.read(series.grid.window, 0)[[0, 1, 2, 6]]
    wanted = expected(series, DAYS[0])[[0, 1, 2, 6]]
    wanted[:, 3:5, 7] = np.nan
    np.testing.assert_allclose(got, wanted, atol=1.01e-4)


@pytest.mark.parametrize("form", ["zarr", "nc"])
@pytest.mark.parametrize("labels", [0.0, 0.5], ids=["corners", "centres"])
@pytest.mark.parametrize("stated", ["list", "text", "cut out", "GeoTransform", "bounds", "nothing"])
def test_a_cube_beside_the_grid_of_sentinel_2(tmp_path, form, labels, stated):
    """stackstac with snap_bounds=False: only what the cube states tells corners from centres."""
    if (stated, labels) == ("nothing", 0.5):
        pytest.skip("nobody can tell: see the note that the other case makes")
    corner = (CORNER[0] + 3.7, CORNER[1] - 1.2)
    x, y = axes(corner, labels=labels)
    values = np.stack([[dn(band, day, corner=corner) for band in BANDS] for day in DAYS])
    far = 10 * 25 if stated == "cut out" else 0
    affine = [10.0, 0.0, corner[0] - far, 0.0, -10.0, corner[1] + far, 0.0, 0.0, 1.0]
    attributes, scalars, coordinates = {}, {"epsg": (np.int32(32631), {})}, {}
    more = {"x": {}, "y": {}}
    if stated in ("list", "cut out"):
        attributes = {"transform": affine}
    elif stated == "text":
        attributes = {"transform": ", ".join(map(str, affine))}
    elif stated == "GeoTransform":
        wkt = reference(32631).ExportToWkt()
        text = f"{corner[0]} 10.0 0.0 {corner[1]} 0.0 -10.0"
        scalars = {"spatial_ref": (np.int32(0), {"crs_wkt": wkt, "GeoTransform": text})}
        attributes = {"grid_mapping": "spatial_ref"}
    variables = {"stackstac-0a1b": (("time", "band", "y", "x"), values.astype("f8"))}
    if stated == "bounds":
        more = {axis: {"bounds": f"{axis}_bnds"} for axis in "xy"}
        coordinates = {"bnds": (np.arange(2.0), {})}
        for axis, steps in (("x", [0, 10]), ("y", [0, -10])):
            edges = axes(corner, labels=0)["xy".index(axis)]
            variables[f"{axis}_bnds"] = ((axis, "bnds"), edges[:, None] + np.array(steps, "f8"))
    path = WRITERS[form](
        tmp_path / f"cube.{form}",
        variables,
        {
            "time": (moments(), {"units": SECONDS, "calendar": "proleptic_gregorian"}),
            "band": (np.array(BANDS), {}),
            "y": (y, more["y"]),
            "x": (x, more["x"]),
            **coordinates,
        },
        scalars=scalars,
        attributes=attributes,
    )
    plan = plan_series([path], tmp_path / "series.vrt", SeriesOptions())
    assert any("taken as corners" in note for note in plan.notes) == (stated == "nothing")
    series = plan.write(tmp_path / "series.vrt")
    assert series.grid.geotransform == pytest.approx((corner[0], 10, 0, corner[1], 0, -10))
    near(series)


def test_a_cube_in_degrees_needs_a_crs_and_is_warped_to_it(tmp_path):
    """xcube's usual grid: latitude and longitude."""
    to_degrees = osr.CoordinateTransformation(reference(32631), reference(4326))
    longitude, latitude, _ = to_degrees.TransformPoint(CORNER[0], CORNER[1])
    size, side = 9e-5, 40
    corner = (longitude, latitude)
    lon, lat = axes(corner, size, side)
    x, y = centres(corner, size, (side, side), 4326)
    planes = {
        band: (("time", "lat", "lon"), np.stack([truth(band, d, x, y) for d in DAYS]).astype("f4"))
        for band in BANDS
    }
    path = write_zarr(
        tmp_path / "cube.zarr",
        planes,
        {"time": (moments(), {"units": SECONDS}), "lat": (lat, {}), "lon": (lon, {})},
    )
    output = tmp_path / "series.vrt"
    with pytest.raises(SeriesError, match=r"in degrees.* target CRS \(EPSG:32631 fits\)"):
        build_series([path], output)
    series = build_series([path], output, crs="EPSG:32631")
    assert series.grid.pixel_size == (10, 10)
    assert series.grid.geotransform[0] % 10 == 0
    got = series.read(series.grid.window, 1)
    wanted = expected(series, DAYS[1], BANDS)
    inner = (slice(None), slice(6, 34), slice(6, 24))
    # A tenth of a pixel: in x the kernel is wider than in y, and its weights are rounded.
    np.testing.assert_allclose(got[inner], wanted[inner], atol=2e-4)


def test_a_netcdf_series_can_move_with_its_folder(tmp_path):
    x, y = axes()
    planes = {
        b: (("time", "y", "x"), np.stack([dn(b, d) for d in DAYS]).astype("u2")) for b in BANDS
    }
    wkt = reference(32631).ExportToWkt()
    write_netcdf4(
        tmp_path / "here" / "cube.nc",
        planes,
        {"time": (moments(), {"units": SECONDS}), "y": (y, {}), "x": (x, {})},
        scalars={"crs": (np.int32(0), {"crs_wkt": wkt, "spatial_ref": wkt})},
        attributes={"grid_mapping": "crs"},
    )
    build_series([tmp_path / "here"], tmp_path / "here" / "series.vrt")
    shutil.move(tmp_path / "here", tmp_path / "there")
    near(ImageSeries.open(tmp_path / "there" / "series.vrt"))


def test_cubes_that_do_not_say_where_or_when(tmp_path):
    x, y = axes()
    values = np.zeros((3, SIDE, SIDE), "f4")
    time = (moments(), {"units": SECONDS})
    scalars = {"epsg": (np.int32(32631), {})}

    def refuse(number, match, dimensions, coordinates, scalars=scalars, image=values):
        path = tmp_path / f"{number}.zarr"
        write_zarr(path, {"B04": (dimensions, image)}, coordinates, scalars=scalars)
        with pytest.raises(SeriesError, match=match) as error:
            build_series([path], tmp_path / "series.vrt")
        assert "\n" not in str(error.value)

    dims = ("time", "y", "x")
    uneven = x.copy()
    uneven[5:] += 4
    refuse(1, "not evenly spaced", dims, {"time": time, "y": (y, {}), "x": (uneven, {})})
    refuse(2, "no coordinates of x", dims, {"time": time, "y": (y, {})})
    refuse(3, "has no CRS", dims, {"time": time, "y": (y, {}), "x": (x, {})}, {})
    refuse(4, "no coordinate; write", dims, {"y": (y, {}), "x": (x, {})})
    months = (moments(), {"units": "months since 2019-01-01"})
    refuse(5, "not a count of days", dims, {"time": months, "y": (y, {}), "x": (x, {})})
    refuse(
        6, r"dimensions \(time, y, x\)", ("y", "x"), {"y": (y, {}), "x": (x, {})}, image=values[0]
    )
    swapped = {"time": time, "y": (y[::-1], {}), "x": (x, {})}
    refuse(7, r"B04\) has its rows along x; reshape it", ("time", "x", "y"), swapped)


@pytest.mark.parametrize("form", ["zarr", "nc"])
def test_the_first_of_january_with_one_digit(tmp_path, form):
    """terra counts days since 1970-1-1."""
    x, y = axes()
    planes = {
        b: (("time", "y", "x"), np.stack([dn(b, d) for d in DAYS]).astype("u2")) for b in BANDS
    }
    time = np.array([(day - date(1970, 1, 1)).days for day in DAYS], "i4")
    path = WRITERS[form](
        tmp_path / f"cube.{form}",
        planes,
        {"time": (time, {"units": "days since 1970-1-1"}), "y": (y, {}), "x": (x, {})},
        scalars={"epsg": (np.int32(32631), {})},
    )
    series = build_series([path], tmp_path / "series.vrt")
    assert series.dates == DAYS


@pytest.mark.parametrize("form", ["zarr", "nc"])
@pytest.mark.parametrize("kind", ["f8", "u2"])
def test_two_images_of_a_day_are_a_mosaic(tmp_path, form, kind):
    """stackstac lists the tiles of a day one by one, each with what it has of the grid."""
    x, y = axes()
    days = (DAYS[0], DAYS[0], DAYS[1])
    values = np.stack([[dn(band, day) for band in BANDS] for day in days]).astype(kind)
    values[0, ..., 14:] = values[1, ..., :10] = np.nan if kind == "f8" else 0
    path = WRITERS[form](
        tmp_path / f"cube.{form}",
        {"stackstac": (("time", "band", "y", "x"), values)},
        {
            "time": (moments(days) + np.array([0, 14, 0]), {"units": SECONDS}),
            "band": (np.array(BANDS), {}),
            "y": (y, {}),
            "x": (x, {}),
        },
        scalars={"epsg": (np.int32(32631), {})},
    )
    series = build_series([path], tmp_path / "series.vrt")
    assert series.dates == DAYS[:2]
    for number, day in enumerate(series.dates):
        got = series.read(series.grid.window, number)
        np.testing.assert_allclose(got, expected(series, day, BANDS), atol=1.01e-4)
