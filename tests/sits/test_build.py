import os
import shutil
from datetime import date

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import OutputError, SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from alise_plugin.sits.grid import Window
from alise_plugin.sits.series import ImageSeries
from tests.helpers.rasters import (
    TRANSFORM,
    dated_rasters,
    days,
    digital_numbers,
    land,
    utm,
    write_cube,
    write_raster,
)


@pytest.fixture(params=[False, True], ids=["gdal-codes", "gdal-exceptions"], autouse=True)
def gdal_error_mode(request):
    """Everything holds in both error modes of GDAL, and neither is changed."""
    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    assert bool(gdal.GetUseExceptions()) == request.param
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


def same(series, reflectance):
    np.testing.assert_allclose(series.read_all(series.grid.window), reflectance, atol=2e-7)


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.rstrip().endswith(".")
    assert ". " not in text.replace("e.g. ", "")
    return text


# ---- what a series holds ----


def test_one_raster_per_date(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng)
    series = build_series([paths[2], paths[0], paths[1]], tmp_path / "series.vrt")
    assert series.dates == tuple(dates)
    assert series.days.tolist() == [(day - date(2014, 3, 3)).days for day in dates]
    assert series.bands_present == BANDS
    same(series, values * 1e-4)


def test_the_vrt_is_an_ordinary_raster_that_says_what_it_holds(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng)
    build_series(paths, tmp_path / "series.vrt")
    dataset = gdal.Open(str(tmp_path / "series.vrt"))
    assert dataset.RasterCount == 30
    assert dataset.GetGeoTransform() == TRANSFORM
    assert dataset.GetSpatialRef().IsSame(utm())
    band = dataset.GetRasterBand(12)
    assert band.GetDescription() == f"{dates[1]} B03"
    assert band.GetMetadataItem("ACQUISITION_DATE") == str(dates[1])
    assert band.GetMetadataItem("BAND") == "B03"
    assert (band.GetScale(), band.GetOffset(), band.GetNoDataValue()) == (1e-4, 0, 0)
    assert (band.ReadAsArray() == values[1, 1]).all()


def test_windows_read_what_the_whole_holds(tmp_path, rng):
    paths, _, values = dated_rasters(tmp_path, rng)
    series = build_series(paths, tmp_path / "series.vrt")
    got = series.read(Window(3, 2, 5, 7), 1)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, values[1, :, 2:9, 3:8] * 1e-4, atol=2e-7)


def test_bands_are_matched_by_description(tmp_path, rng):
    values = digital_numbers(rng)
    order = rng.permutation(10)
    names = [BANDS[index].replace("B0", "b") for index in order]
    path = write_raster(tmp_path / "2020-07-01.tif", values[order], descriptions=names)
    same(build_series([path], tmp_path / "series.vrt"), values[None] * 1e-4)


def test_absent_and_other_bands(tmp_path, rng):
    values = digital_numbers(rng, 5)
    names = ["B8A", "Scene classification", "B02", "B04", "B11"]
    path = write_raster(tmp_path / "2020-07-01.tif", values, descriptions=names)
    series = build_series([path], tmp_path / "series.vrt")
    assert series.bands_present == ("B02", "B04", "B8A", "B11")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got[[0, 7, 2, 8]], values[[2, 0, 3, 4]] * 1e-4, atol=2e-7)
    assert np.isnan(np.delete(got, [0, 2, 7, 8], axis=0)).all()
    assert gdal.Open(str(tmp_path / "series.vrt")).RasterCount == 10


@pytest.mark.parametrize("described", [True, False])
def test_a_stack(tmp_path, rng, described):
    dates = days(4)
    values = np.stack([land(rng) for _ in dates])
    names = [f"{day} {band}" for day in dates for band in BANDS] if described else []
    path = write_raster(tmp_path / "stack.tif", values.reshape(40, 12, 15), descriptions=names)
    given = None if described else dates
    series = build_series([path], tmp_path / "series.vrt", dates=given)
    assert series.dates == tuple(dates)
    same(series, values * 1e-4)


def test_a_stack_with_dates_out_of_order_is_sorted(tmp_path, rng):
    values = np.stack([land(rng) for _ in range(3)])
    path = write_raster(tmp_path / "stack.tif", values.reshape(30, 12, 15))
    dates = [date(2020, 5, 1), date(2018, 5, 1), date(2019, 5, 1)]
    series = build_series([path], tmp_path / "series.vrt", dates=dates)
    assert series.dates == tuple(sorted(dates))
    same(series, values[[1, 2, 0]] * 1e-4)


def test_a_series_and_one_more_date(tmp_path, rng):
    paths, _, values = dated_rasters(tmp_path, rng)
    first = tmp_path / "first.vrt"
    build_series(paths[:2], first)
    series = build_series([first, paths[2]], tmp_path / "both.vrt")
    same(series, values * 1e-4)


def test_dates_from_metadata_and_explicit_dates(tmp_path, rng):
    values = digital_numbers(rng)
    stated = write_raster(
        tmp_path / "a.tif", values, metadata={"ACQUISITION_DATE": "2018-03-04T10:00:00"}
    )
    tagged = write_raster(
        tmp_path / "b.tif", values, metadata={"TIFFTAG_DATETIME": "2018:06:05 10:00:00"}
    )
    series = build_series([stated, tagged], tmp_path / "series.vrt")
    assert series.dates == (date(2018, 3, 4), date(2018, 6, 5))
    given = [date(2021, 1, 2), date(2021, 1, 1)]
    series = build_series([stated, tagged], tmp_path / "given.vrt", dates=given)
    assert series.dates == tuple(sorted(given))


def test_start_and_end_are_kept(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng, 5)
    series = build_series(paths, tmp_path / "series.vrt", start=dates[1], end=dates[3])
    assert series.dates == tuple(dates[1:4])
    same(series, values[1:4] * 1e-4)


def test_subset_and_reopen(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng, 4)
    with build_series(paths, tmp_path / "series.vrt") as series:
        part = series.subset([dates[3], dates[1]])
        twin = part.reopen()
    assert part.dates == (dates[1], dates[3])
    same(part, values[[1, 3]] * 1e-4)
    same(twin, values[[1, 3]] * 1e-4)
    with pytest.raises(SeriesError, match="no acquisition of 1999-01-01") as error:
        part.subset([date(1999, 1, 1)])
    one_sentence(error)


def test_swaths_of_different_extent_make_one_grid(tmp_path, rng):
    west, east = digital_numbers(rng), digital_numbers(rng)
    shifted = (TRANSFORM[0] + 50, *TRANSFORM[1:3], TRANSFORM[3] + 20, *TRANSFORM[4:])
    series = build_series(
        [
            write_raster(tmp_path / "20200101.tif", west),
            write_raster(tmp_path / "20200111.tif", east, transform=shifted),
        ],
        tmp_path / "series.vrt",
    )
    assert (series.grid.width, series.grid.height) == (20, 14)
    got = series.read_all(series.grid.window)
    np.testing.assert_allclose(got[0, :, 2:, :15], west * 1e-4, atol=2e-7)
    np.testing.assert_allclose(got[1, :, :12, 5:], east * 1e-4, atol=2e-7)
    assert np.isnan(got[0, :, :2]).all()
    assert np.isnan(got[0, :, :, 15:]).all()
    assert np.isnan(got[1, :, 12:]).all()
    assert np.isnan(got[1, :, :, :5]).all()


def test_the_folder_of_series_and_rasters_can_move(tmp_path, rng):
    folder = tmp_path / "here"
    (folder / "scenes").mkdir(parents=True)
    paths, _, values = dated_rasters(folder / "scenes", rng)
    build_series(paths, folder / "series.vrt")
    shutil.move(str(folder), str(tmp_path / "there"))
    same(ImageSeries.open(tmp_path / "there" / "series.vrt"), values * 1e-4)


def test_the_same_file_twice_and_a_copy_count_once(tmp_path, rng):
    paths, dates, values = dated_rasters(tmp_path, rng, 2)
    copy = tmp_path / "copy_of_20190105.tif"
    shutil.copy(paths[0], copy)
    series = build_series([*paths, paths[0], copy], tmp_path / "series.vrt")
    assert series.dates == tuple(dates)
    same(series, values * 1e-4)


# ---- values ----


def test_nodata_becomes_nan(tmp_path, rng):
    values = digital_numbers(rng)
    values[:, 3:5, 2:9] = 0
    undeclared = write_raster(tmp_path / "20200101.tif", values)
    other = values.copy()
    other[other == 0] = 65535
    declared = write_raster(tmp_path / "20200111.tif", other, nodata=65535)
    series = build_series([undeclared, declared], tmp_path / "series.vrt")
    truth = np.where(values == 0, np.nan, values * 1e-4)
    same(series, np.stack([truth, truth]))


def test_reflectance_is_left_as_it_is(tmp_path, rng):
    values = rng.uniform(0, 1.4, (10, 12, 15)).astype(np.float32)
    values[0, 0] = np.nan
    path = write_raster(tmp_path / "20200101.tif", values)
    series = build_series([path], tmp_path / "series.vrt")
    np.testing.assert_array_equal(series.read(series.grid.window, 0), values)


def test_stated_and_given_scale_and_offset(tmp_path, rng):
    values = digital_numbers(rng)
    path = write_raster(tmp_path / "20230101.tif", values, scale=1e-4, offset=-0.1)
    same(build_series([path], tmp_path / "a.vrt"), values[None] * 1e-4 - 0.1)
    given = build_series([path], tmp_path / "b.vrt", scale=2e-4, offset=0.05)
    same(given, values[None] * 2e-4 + 0.05)


def test_an_empty_date_does_not_hide_the_scale_of_the_others(tmp_path, rng):
    paths, _, values = dated_rasters(tmp_path, rng, 2)
    write_raster(paths[0], np.zeros_like(values[0]))
    series = build_series(paths, tmp_path / "series.vrt")
    truth = values * 1e-4
    truth[0] = np.nan
    same(series, truth)


def test_whole_numbers_in_floating_point_are_dn(tmp_path, rng):
    values = digital_numbers(rng).astype(np.float32)
    values[:, 2, 3] = np.nan
    path = write_raster(tmp_path / "20200101.tif", values)
    same(build_series([path], tmp_path / "series.vrt"), values[None] * 1e-4)


@pytest.mark.parametrize("kind", ["ones", "float DN"])
def test_an_unclear_scale_is_refused(tmp_path, rng, kind):
    values = digital_numbers(rng)
    values = np.ones_like(values) if kind == "ones" else values.astype(np.float32) + 0.5
    path = write_raster(tmp_path / "20200101.tif", values)
    with pytest.raises(SeriesError, match="give the scale") as error:
        build_series([path], tmp_path / "series.vrt")
    assert "20200101.tif" in one_sentence(error)
    same(build_series([path], tmp_path / "series.vrt", scale=1e-4), values[None] * 1e-4)


def test_an_offset_that_nothing_states_is_refused(tmp_path, rng):
    values = digital_numbers(rng) + 1000
    old = write_raster(tmp_path / "20220124.tif", values)
    same(build_series([old], tmp_path / "old.vrt"), values[None] * 1e-4)
    new = write_raster(tmp_path / "20220125.tif", values)
    text = refuse([new], tmp_path / "series.vrt", "give the offset")
    assert "20220125.tif" in text
    given = build_series([new], tmp_path / "new.vrt", offset=-0.1)
    same(given, values[None] * 1e-4 - 0.1)
    mixed = build_series([tmp_path / "old.vrt", tmp_path / "new.vrt"], tmp_path / "both.vrt")
    same(mixed, np.stack([values * 1e-4, values * 1e-4 - 0.1]))
    dark = write_raster(tmp_path / "20220301.tif", np.maximum(values, 1200) - 1000)
    build_series([dark], tmp_path / "dark.vrt")


# ---- two pixel sizes ----


def test_coarse_bands_are_resampled_and_their_edges_do_not_bleed(tmp_path, rng):
    fine = digital_numbers(rng, 4, 24, 24)
    rows, cols = np.mgrid[:12, :12]
    coarse = np.stack([3000 + 40 * rows + 25 * cols] * 2).astype(np.uint16)
    coarse[:, 4:7, 4:8] = 0
    coarse[:, :, 11] = 0
    double = (TRANSFORM[0], 20.0, 0.0, TRANSFORM[3], 0.0, -20.0)
    a = write_raster(tmp_path / "20200101_10m.tif", fine, descriptions=["B02", "B03", "B04", "B08"])
    b = write_raster(
        tmp_path / "20200101_20m.tif",
        coarse,
        descriptions=["B11", "B04"],
        nodata=0,
        transform=double,
    )
    series = build_series([b, a], tmp_path / "series.vrt")
    assert series.bands_present == ("B02", "B03", "B04", "B08", "B11")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got[[0, 1, 2, 6]], fine * 1e-4, atol=2e-7)  # the finer B04
    swir = got[8]
    y, x = (np.mgrid[:24, :24] - 0.5) / 2
    truth = (3000 + 40 * y + 25 * x) * 1e-4
    valid = np.kron(coarse[0] > 0, np.ones((2, 2))) > 0
    assert np.isfinite(swir[valid]).all()
    # A pixel or two of ringing at an edge, never a mixture with 0 (which would be 0.1 and more).
    assert np.nanmax(np.abs(swir - truth)) < 0.006
    assert np.isnan(swir[9:13, 9:15]).all()
    for window in (Window(3, 5, 8, 9), Window(7, 0, 1, 1), Window(10, 11, 13, 13)):
        part = series.read(window, 0)
        np.testing.assert_array_equal(
            part, got[(slice(None), *window.slices_in(series.grid.window))]
        )


@pytest.mark.parametrize("flip", [False, True], ids=["north first", "south first"])
def test_netcdf_cubes(tmp_path, rng, flip):
    since = [0, 10, 45]
    fine = {
        name: rng.integers(1, 9000, (3, 20, 16)).astype(np.int16)
        for name in ("B2", "B3", "B4", "SCL")
    }
    fine["B2"][1, 4] = 0
    coarse = {name: rng.integers(1, 9000, (3, 10, 8)).astype(np.int16) for name in ("B4", "B8A")}
    place = {"left": 600000.0, "top": 5000000.0, "days_since": since, "flip": flip}
    a = write_cube(tmp_path / "cube_10m.nc", fine, size=10, **place)
    b = write_cube(tmp_path / "cube_20m.nc", coarse, size=20, **place)
    series = build_series([b, a], tmp_path / "series.vrt")
    assert series.dates == (date(2015, 8, 1), date(2015, 8, 11), date(2015, 9, 15))
    assert series.bands_present == ("B02", "B03", "B04", "B8A")
    assert series.grid.geotransform == pytest.approx(TRANSFORM)
    got = series.read_all(series.grid.window)
    for plane, name in ((0, "B2"), (1, "B3"), (2, "B4")):
        truth = np.where(fine[name] == 0, np.nan, fine[name] * 1e-4)
        np.testing.assert_allclose(got[:, plane], truth, atol=2e-7)
    means = got[:, 7].reshape(3, 10, 2, 8, 2).mean((2, 4))
    assert np.corrcoef(means.ravel(), coarse["B8A"].ravel())[0, 1] > 0.98


def test_a_cube_without_bands_is_refused(tmp_path):
    path = write_cube(
        tmp_path / "cube.nc",
        {"ndvi": np.ones((2, 4, 4), np.int16)},
        left=0.0,
        top=0.0,
        size=10,
        days_since=[0, 1],
    )
    with pytest.raises(SeriesError, match=r"cube\.nc has no variable named as") as error:
        build_series([path], tmp_path / "series.vrt")
    one_sentence(error)


# ---- what a user gets wrong ----


def refuse(inputs, output, match, **options):
    with pytest.raises(SeriesError, match=match) as error:
        build_series(inputs, output, **options)
    assert not os.path.exists(output)
    return one_sentence(error)


def test_two_rasters_of_one_date_are_both_named(tmp_path, rng):
    one = write_raster(tmp_path / "east_20200101.tif", digital_numbers(rng))
    two = write_raster(tmp_path / "west_20200101.tif", digital_numbers(rng))
    text = refuse([one, two], tmp_path / "series.vrt", "2020-01-01")
    assert "east_20200101.tif" in text
    assert "west_20200101.tif" in text


def test_files_that_do_not_fit(tmp_path, rng):
    values = digital_numbers(rng)
    output = tmp_path / "series.vrt"
    good = write_raster(tmp_path / "20200101.tif", values)
    refuse([], output, "No raster was given")
    refuse([tmp_path / "gone_20200101.tif"], output, r"gone_20200101\.tif does not exist")
    (tmp_path / "text.tif").write_text("not a raster")
    refuse([tmp_path / "text.tif"], output, r"text\.tif cannot be opened")
    seven = write_raster(tmp_path / "20200102.tif", values[:7])
    refuse([seven], output, r"20200102\.tif has 7 bands")
    undated = write_raster(tmp_path / "scene.tif", values)
    refuse([undated], output, r"scene\.tif has no acquisition date")
    clash = write_raster(
        tmp_path / "20200103.tif", values, metadata={"TIFFTAG_DATETIME": "2021:02:03 00:00:00"}
    )
    refuse([clash], output, "2021-02-03")
    twice = write_raster(tmp_path / "20200104.tif", values[:2], descriptions=["B2", "B02"])
    refuse([twice], output, "B02 of 2020-01-04 twice")
    refuse([good], output, "No acquisition lies between", start=date(2021, 1, 1))
    stack = write_raster(tmp_path / "stack.tif", np.concatenate([values, values]))
    refuse([stack], output, "20 bands")
    refuse([stack], output, "cannot share|is not 10 for 3 dates", dates=days(3))
    refuse([good, undated], output, "3 dates were given for 2 rasters", dates=days(3))


def test_places_that_do_not_fit(tmp_path, rng):
    values = digital_numbers(rng)
    output = tmp_path / "series.vrt"
    good = write_raster(tmp_path / "20200101.tif", values)
    nowhere = write_raster(tmp_path / "20200102.tif", values, crs="none")
    refuse([good, nowhere], output, r"20200102\.tif has no CRS")
    unplaced = write_raster(tmp_path / "20200103.tif", values, transform=None)
    refuse([good, unplaced], output, r"20200103\.tif is not georeferenced")
    upside = write_raster(
        tmp_path / "20200104.tif", values, transform=(6e5, 10.0, 0.0, 5e6, 0.0, 10.0)
    )
    refuse([good, upside], output, "upside down")
    zone = write_raster(tmp_path / "20200105.tif", values, crs=utm(32))
    refuse([good, zone], output, r"20200105\.tif does not overlap 20200101\.tif")
    far = write_raster(
        tmp_path / "20200106.tif", values, transform=(7e5, 10.0, 0.0, 5e6, 0.0, -10.0)
    )
    refuse([good, far], output, "does not overlap")


def test_the_output_must_be_writable_and_not_an_input(tmp_path, rng):
    paths, _, _ = dated_rasters(tmp_path, rng)
    with pytest.raises(OutputError) as error:
        build_series(paths, tmp_path / "no such folder" / "series.vrt")
    one_sentence(error)
    with pytest.raises(SeriesError, match="also an input") as error:
        build_series(paths, paths[0])
    one_sentence(error)
    assert sorted(os.listdir(tmp_path)) == sorted(os.path.basename(path) for path in paths)


def test_the_output_is_no_raster_of_the_folder_nor_behind_one(tmp_path, rng):
    """Except for the series that a run before made."""
    paths, _, values = dated_rasters(tmp_path, rng)
    mosaic, output = str(tmp_path / "20191231.vrt"), str(tmp_path / "series.vrt")
    gdal.GetDriverByName("VRT").CreateCopy(mosaic, gdal.Open(paths[0])).FlushCache()
    for inputs in ([tmp_path], [build_series([mosaic, *paths], output).path]):
        before = (tmp_path / "20191231.vrt").read_bytes()
        with pytest.raises(SeriesError, match="also an input"):
            build_series(inputs, mosaic)
        assert (tmp_path / "20191231.vrt").read_bytes() == before
    os.remove(mosaic)
    same(build_series([tmp_path], output), values * 1e-4)


def test_other_rasters_are_not_a_series(tmp_path, rng):
    values = digital_numbers(rng)
    plain = write_raster(tmp_path / "plain.tif", values)
    with pytest.raises(SeriesError, match=r"plain\.tif is not an image series") as error:
        ImageSeries.open(plain)
    one_sentence(error)
    names = [f"2020-01-01 {band}" for band in BANDS]
    unscaled = write_raster(tmp_path / "unscaled.tif", values, descriptions=names)
    with pytest.raises(SeriesError, match="have no scale") as error:
        ImageSeries.open(unscaled)
    one_sentence(error)


def test_a_file_that_went_missing_is_named(tmp_path, rng):
    paths, _, _ = dated_rasters(tmp_path, rng)
    build_series(paths, tmp_path / "series.vrt")
    os.remove(paths[1])
    series = ImageSeries.open(tmp_path / "series.vrt")
    with pytest.raises(SeriesError, match=os.path.basename(paths[1])) as error:
        series.read(series.grid.window, 1)
    one_sentence(error)
