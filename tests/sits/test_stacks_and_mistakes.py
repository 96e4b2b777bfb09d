"""Stacks, dates and orders; grids that the user chooses; everything a user gets wrong."""

import os
import sys
from datetime import date, timedelta
from functools import partial

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import Cancelled, OutputError, SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from alise_plugin.sits.grid import Window
from alise_plugin.sits.report import write_report
from alise_plugin.sits.series import ImageSeries
from tests.helpers.products import (
    CORNER,
    SIDE,
    dn,
    expected,
    write_image,
    write_safe,
)
from tests.helpers.rasters import (
    ALL_BANDS,
    dated_rasters,
    days,
    digital_numbers,
    land,
    write_raster,
)

DAY = date(2019, 5, 14)


@pytest.fixture(params=[False, True], ids=["gdal-codes", "gdal-exceptions"], autouse=True)
def gdal_error_mode(request):
    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


def same(series, values):
    np.testing.assert_allclose(series.read_all(series.grid.window), values * 1e-4, atol=2e-7)


def refuse(inputs, output, match, **options):
    with pytest.raises(SeriesError, match=match) as error:
        build_series(inputs, output, **options)
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert ". " not in text
    assert not os.path.exists(output)
    return text


# ---- stacks ----


def test_the_stack_that_earth_engine_exports(tmp_path, rng):
    """toBands(): the image's index before each band; processed on another day; other bands too."""
    dates = days(3)
    names, planes, values = [], [], []
    for day in dates:
        image = digital_numbers(rng)
        values.append(image)
        index = f"{day:%Y%m%d}T105031_{day + timedelta(days=2):%Y%m%d}T105555_T31TCJ"
        for band, plane in zip(BANDS, image):
            names.append(f"{index}_{band.replace('B0', 'B')}")
            planes.append(plane)
        for other in ("B1", "AOT", "QA60", "SCL"):
            names.append(f"{index}_{other}")
            planes.append(np.full_like(planes[0], 4))
    path = write_raster(tmp_path / "export.tif", np.stack(planes), descriptions=names)
    plan = plan_series([path], tmp_path / "series.vrt", SeriesOptions(measured=True))
    series = plan.write(tmp_path / "series.vrt")
    assert series.dates == tuple(dates)
    same(series, np.stack(values))
    assert [item.fractions.cloud for item in plan.dates] == [0, 0, 0]  # by its SCL


def test_two_tiles_of_a_day_in_one_stack_are_a_mosaic(tmp_path, rng):
    west, east = digital_numbers(rng), digital_numbers(rng)
    west[:, :, 8:] = 0
    east[:, :, :8] = 0
    index = "20190514T105031_20190514T105555_T31T"
    names = [f"{index}{tile}_{band}" for tile in ("CJ", "DJ") for band in BANDS]
    path = write_raster(tmp_path / "export.tif", np.concatenate([west, east]), descriptions=names)
    same(build_series([path], tmp_path / "series.vrt"), (west + east)[None])


@pytest.mark.parametrize("major", ["date", "band"])
@pytest.mark.parametrize("order", [None, ["B08", "B04", "SCL", "B03", "B02"]])
def test_a_stack_with_explicit_dates_and_order(tmp_path, rng, major, order):
    dates = days(3)
    count = len(order or BANDS)
    made = land if order is None else partial(digital_numbers, bands=count)
    values = np.stack([made(rng) for _ in dates])
    stack = values if major == "date" else values.swapaxes(0, 1)
    path = write_raster(tmp_path / "stack.tif", stack.reshape(-1, 12, 15))
    series = build_series(
        [path], tmp_path / "s.vrt", dates=dates, band_order=order, band_major=major == "band"
    )
    assert series.dates == tuple(dates)
    got = series.read_all(series.grid.window)
    names = order or BANDS
    for position, band in enumerate(names):
        if band in BANDS:
            wanted = values[:, position] * 1e-4
            np.testing.assert_allclose(got[:, BANDS.index(band)], wanted, atol=2e-7)
    refuse([path], tmp_path / "x.vrt", "one name per band", dates=dates, band_order=["B02", "B04"])


def test_twelve_bands_of_a_product(tmp_path, rng):
    order = [band for band in ALL_BANDS if band != "B10"]
    values = land(rng, order)
    path = write_raster(tmp_path / "20190514.tif", values)
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions())
    kept = [*range(1, 9), 10, 11]  # without B01 and B09
    same(plan.write(tmp_path / "s.vrt"), values[kept][None])
    assert any("12 bands without names" in text for text in plan.notes)


def test_thirteen_bands_are_those_of_level_1c(tmp_path, rng):
    path = write_raster(tmp_path / "20190514.tif", land(rng, ALL_BANDS))
    refuse([path], tmp_path / "s.vrt", r"as Level-1C \(top of atmosphere\) has")


FORCE = [
    "BLUE",
    "GREEN",
    "RED",
    "REDEDGE1",
    "REDEDGE2",
    "REDEDGE3",
    "BROADNIR",
    "NIR",
    "SWIR1",
    "SWIR2",
]
FINE_FIRST = ["B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12"]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (FORCE, BANDS),
        (
            ["Blue", "Green", "Red", "NIR", "RE1", "RE2", "RE3", "NIR2", "SWIR1", "SWIR2"],
            FINE_FIRST,
        ),
        (
            [
                "blue",
                "green",
                "red",
                "nir",
                "Red Edge 1",
                "Red Edge 2",
                "red_edge_3",
                "NIR narrow",
                "swir16",
                "swir22",
            ],
            FINE_FIRST,
        ),
    ],
)
def test_bands_that_are_called_by_colours(tmp_path, rng, names, order):
    values = digital_numbers(rng)
    wanted = values[[order.index(band) for band in BANDS]]
    path = write_raster(tmp_path / "20190514.tif", values, descriptions=names)
    same(build_series([path], tmp_path / "s.vrt"), wanted[None])
    dated = [f"2019-05-14 {name}" for name in names]
    path = write_raster(tmp_path / "dated.tif", values, descriptions=dated)
    same(build_series([path], tmp_path / "dated.vrt"), wanted[None])


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ([f"B{number}" for number in range(1, 11)], "B1 to B10 and has no B8A"),
        ([f"B{number:02d}" for number in range(1, 13)], "B01 to B12 and has no B8A"),
        (["water", "forest", "meadow", *"abcdefg"], "water, forest, meadow, a, ..."),
    ],
)
def test_names_that_are_no_names_of_bands_are_not_replaced_by_positions(
    tmp_path, rng, names, match
):
    values = digital_numbers(rng, len(names))
    path = write_raster(tmp_path / "20190514.tif", values, descriptions=names)
    assert "BAND_ORDER" in refuse([path], tmp_path / "s.vrt", match)
    order = [*FINE_FIRST, "B01", "B09"][: len(names)]
    series = build_series([path], tmp_path / "s.vrt", band_order=order)
    same(series, values[[order.index(band) for band in BANDS]][None])


@pytest.mark.parametrize(
    "names",
    [
        [f"Band {number}" for number in range(1, 11)],
        [f"S2_clip_{number}" for number in range(1, 11)],
        [f"lyr{number}" for number in range(1, 11)],
        ["surface reflectance"] * 10,
    ],
)
def test_descriptions_that_only_count_leave_the_usual_order(tmp_path, rng, names):
    values = land(rng)
    path = write_raster(tmp_path / "20190514.tif", values, descriptions=names)
    same(build_series([path], tmp_path / "s.vrt"), values[None])


def test_where_dates_come_from(tmp_path, rng):
    """Metadata before the layer, before the file's name, before the folder's; and it is said."""
    values = digital_numbers(rng)
    folder = tmp_path / "2019-07-07"
    folder.mkdir()
    stated = write_raster(
        tmp_path / "20190101.tif", values, metadata={"ACQUISITION_DATE": "2018-03-04"}
    )
    layer = write_raster(tmp_path / "20190102.tif", values)
    named = write_raster(tmp_path / "20190103.tif", values)
    foldered = write_raster(folder / "image.tif", values)
    layers = {path: date(2020, 2, 2) for path in (stated, layer)}
    given = [stated, layer, named, foldered]
    plan = plan_series(given, tmp_path / "s.vrt", SeriesOptions(layer_days=layers))
    said = {item.acquisition.day: item.products[0].date_from for item in plan.dates}
    assert said == {
        date(2018, 3, 4): "metadata (ACQUISITION_DATE)",
        date(2020, 2, 2): "the layer's temporal range",
        date(2019, 1, 3): "file name",
        date(2019, 7, 7): "folder name",
    }
    assert sum("date from" in text for text in plan.notes) == 4


def test_which_raster_has_which_of_the_dates_given_is_said(tmp_path, rng):
    """Of a folder, that is the order of names."""
    for name in "ba":
        write_raster(tmp_path / f"{name}.tif", digital_numbers(rng))
    plan = plan_series([tmp_path], tmp_path / "s.vrt", SeriesOptions(dates=days(2)))
    assert "Dates as given: 2019-01-05 a.tif, 2019-01-16 b.tif." in plan.notes


def test_an_order_of_bands_may_name_colours(tmp_path, rng):
    values = digital_numbers(rng, 4)
    path = write_raster(tmp_path / "20190514.tif", values[[2, 1, 0, 3]])
    order = ["red", "green", "blue", "nir"]
    series = build_series([path], tmp_path / "s.vrt", band_order=order)
    assert series.bands_present == ("B02", "B03", "B04", "B08")
    got = series.read(series.grid.window, 0)[[0, 1, 2, 6]]
    np.testing.assert_allclose(got, values * 1e-4, atol=2e-7)
    refuse([path], tmp_path / "x.vrt", "None of a, b, c, d is a name", band_order=list("abcd"))


@pytest.mark.parametrize("name", ["image.tif", "2023-01-05/image.tif", "20190514_20190524.tif"])
def test_dates_that_disagree_are_asked_for(tmp_path, rng, name):
    """Of the file, its folder, and the day in TIFFTAG_DATETIME, which may be of processing."""
    path = tmp_path / "2019-07-07" / name
    path.parent.mkdir(parents=True)
    tags = {} if name.startswith("2019") else {"TIFFTAG_DATETIME": "2024:02:03 10:00:00"}
    write_raster(path, digital_numbers(rng), metadata=tags)
    refuse([path], tmp_path / "s.vrt", "in its folder name and 2024-02-03|has no acquisition date")
    series = build_series([path], tmp_path / "s.vrt", dates=[date(2019, 7, 8)])
    assert series.dates == (date(2019, 7, 8),)


def test_of_two_dates_in_a_name_the_folder_chooses_one(tmp_path, rng):
    (tmp_path / "2019-05-14").mkdir()
    path = tmp_path / "2019-05-14" / "20190514_made_20190524.tif"
    write_raster(path, digital_numbers(rng))
    assert build_series([path], tmp_path / "s.vrt").dates == (DAY,)


# ---- the grid ----


def test_crs_resolution_and_extent_of_the_user(tmp_path):
    product = write_safe(tmp_path, DAY, side=40)
    extent = (CORNER[0] + 103, CORNER[1] - 297, CORNER[0] + 258, CORNER[1] - 101)
    series = build_series([product], tmp_path / "part.vrt", extent=extent)
    assert series.grid.extent == (600100, 4999700, 600260, 4999900)
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got, expected(series, DAY), atol=1.01e-4)
    coarse = build_series([product], tmp_path / "coarse.vrt", resolution=20)
    assert coarse.grid.pixel_size == (20, 20)
    got = coarse.read(coarse.grid.window, 0)
    np.testing.assert_allclose(got, expected(coarse, DAY), atol=1.01e-4)
    other = build_series([product], tmp_path / "laea.vrt", crs="EPSG:32632", resolution=10)
    assert other.grid.geotransform[0] % 10 == 0
    got, wanted = other.read(other.grid.window, 0), expected(other, DAY)
    middle = Window(other.grid.width // 2 - 8, other.grid.height // 2 - 8, 16, 16)
    cut = (slice(None), *middle.slices_in(other.grid.window))
    # Whole DN in, whole DN out, and a rotated kernel between them.
    np.testing.assert_allclose(got[cut], wanted[cut], atol=1.3e-4)
    degrees = build_series(
        [product], tmp_path / "d.vrt", extent=(4.2730, 45.1450, 4.2746, 45.1465),
        extent_crs="EPSG:4326",
    )  # fmt: skip
    assert degrees.grid.same_crs(series.grid)
    assert 10 <= degrees.grid.width <= 20
    output = tmp_path / "x.vrt"
    point = (CORNER[0] + 100.1, CORNER[1] - 100.3, CORNER[0] + 100.3, CORNER[1] - 100.1)
    clicked = build_series([product], tmp_path / "p.vrt", extent=point)
    assert clicked.grid.extent == (600100, 4999890, 600110, 4999900)
    refuse([product], output, "is no CRS", crs="EPSG:nowhere")
    refuse([product], output, "cannot be taken to the target CRS", crs='LOCAL_CS["x"]')
    refuse([product], output, "No raster overlaps the extent", extent=(0, 0, 10, 10))
    refuse([product], output, "is empty", extent=(10, 10, 0, 0))
    refuse([product], output, "not a positive number", resolution=-5)


def test_images_beside_the_lattice_are_resampled_to_it(tmp_path):
    images = []
    for day, shift in ((DAY, 0.0), (date(2019, 6, 3), 4.0)):
        corner = (CORNER[0] + shift, CORNER[1])
        planes = np.stack([dn(band, day, corner=corner) for band in BANDS]).astype(np.uint16)
        images.append(write_image(tmp_path / f"{day}.tif", planes, corner=corner, nodata=0))
    series = build_series(images, tmp_path / "series.vrt")
    assert series.grid.width == SIDE + 1
    for number, day in enumerate(series.dates):
        got, wanted = series.read(series.grid.window, number), expected(series, day)
        inner = (slice(None), slice(3, -3), slice(3, -4))
        np.testing.assert_allclose(got[inner], wanted[inner], atol=1.01e-4)


def test_swaths_of_one_day_are_a_mosaic_and_equal_extents_are_not(tmp_path, rng):
    west = write_raster(tmp_path / "west_20190514.tif", digital_numbers(rng))
    transform = (600100.0, 10.0, 0.0, 5000000.0, 0.0, -10.0)
    values = digital_numbers(rng)
    values[:, :, 3:5] = 0
    east = write_raster(tmp_path / "east_20190514.tif", values, transform=transform)
    series = build_series([west, east], tmp_path / "series.vrt")
    assert series.grid.width == 25
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got[:, :, 15:], values[:, :, 5:] * 1e-4, atol=2e-7)
    assert np.isfinite(got).all()  # where one has no data, the other shows


# ---- mistakes ----


def test_truncated_tiff(tmp_path, rng):
    good = write_raster(tmp_path / "20190101.tif", digital_numbers(rng, height=200, width=200))
    content = (tmp_path / "20190101.tif").read_bytes()
    bad = tmp_path / "20190201.tif"
    for part in (len(content) - 1000, 300, 10):
        bad.write_bytes(content[:part])
        refuse([good, bad], tmp_path / "s.vrt", r"20190201\.tif (is cut off|cannot be opened)")
    cog = tmp_path / "20190301.tif"
    gdal.Translate(str(cog), good, format="COG", creationOptions=["BLOCKSIZE=128"])
    content = cog.read_bytes()
    cog.write_bytes(content[: len(content) * 3 // 4])
    refuse([good, cog], tmp_path / "s.vrt", r"20190301\.tif is cut off")


@pytest.mark.parametrize(
    ("day", "match"),
    [
        (date.today() + timedelta(days=400), "in the future"),
        (date(2014, 6, 1), "before the first Sentinel-2"),
    ],
)
def test_days_on_which_no_image_was_taken(tmp_path, rng, day, match):
    path = write_raster(tmp_path / f"{day:%Y%m%d}.tif", digital_numbers(rng))
    assert str(day) in refuse([path], tmp_path / "s.vrt", match)
    named = write_raster(tmp_path / "image.tif", digital_numbers(rng))
    refuse([named], tmp_path / "s.vrt", match, dates=[day])


def test_mixed_offsets_are_refused(tmp_path, rng):
    """Of two images since 2022, one is dark below 1000 and one begins just above it."""
    values = digital_numbers(rng)
    without = write_raster(tmp_path / "20220301.tif", values)
    within = write_raster(tmp_path / "20220311.tif", np.maximum(values, 100) + 1000)
    text = refuse([without, within], tmp_path / "s.vrt", "some may hold the offset of 1000")
    assert "20220301.tif" in text
    assert "20220311.tif" in text
    one = build_series([without], tmp_path / "one.vrt", offset=0)
    two = build_series([within], tmp_path / "two.vrt", offset=-0.1)
    both = build_series([one.path, two.path], tmp_path / "both.vrt")
    np.testing.assert_allclose(
        both.read_all(both.grid.window),
        np.stack([values, np.maximum(values, 100)]) * 1e-4,
        atol=2e-7,
    )


def test_reprocessed_images_may_hold_an_offset_whatever_their_day(tmp_path, rng):
    name = "S2A_MSIL2A_20190514T105031_N0500_R051_T31TCJ_20230516T135205.tif"
    path = write_raster(tmp_path / name, digital_numbers(rng) + 1000)
    refuse([path], tmp_path / "s.vrt", "give the offset")


def test_a_given_offset_does_not_touch_products_that_state_theirs(tmp_path):
    product = write_safe(tmp_path, DAY)
    later = date(2022, 5, 5)
    plain = write_image(
        tmp_path / "20220505.tif",
        np.stack([dn(band, later, offset=1000) for band in BANDS]).astype(np.uint16),
    )
    series = build_series([product, plain], tmp_path / "s.vrt", offset=-0.1)
    for number, day in enumerate((DAY, later)):
        got = series.read(series.grid.window, number)
        assert np.abs(got - expected(series, day)).max() < 5e-3


def test_too_few_bands(tmp_path, rng):
    output = tmp_path / "s.vrt"

    def image(*names):
        path = tmp_path / "20190514.tif"
        return write_raster(path, digital_numbers(rng, len(names)), descriptions=names)

    refuse([image("B02", "B03", "B04")], output, r"near infrared \(B08 or B8A\)")
    refuse([image("B02", "B03", "B08", "B11")], output, r"red \(B04\)")
    refuse([image("B04", "B08", "B11")], output, "at least 4 of its ten bands")
    plan = plan_series([image("B03", "B04", "B8A", "B11")], output, SeriesOptions())
    assert plan.bands_missing == ("B02", "B05", "B06", "B07", "B08", "B12")


def test_one_date_is_allowed_with_a_warning(tmp_path, rng):
    path = write_raster(tmp_path / "20190514.tif", digital_numbers(rng))
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions())
    assert len(plan.warnings) == 1
    assert "one date only (2019-05-14)" in plan.warnings[0]


def test_paths_that_are_none(tmp_path):
    output = tmp_path / "s.vrt"
    refuse([tmp_path / "gone.tif"], output, r"gone\.tif does not exist")
    refuse([f"GPKG:{tmp_path}/a.gpkg:images"], output, "names a part of a file")


def test_folders_with_nothing_in_them(tmp_path):
    (tmp_path / "empty").mkdir()
    refuse([tmp_path / "empty"], tmp_path / "s.vrt", "holds no raster and no Sentinel-2 product")
    refuse([tmp_path / "gone"], tmp_path / "s.vrt", "does not exist")
    write_raster(tmp_path / "empty" / "dem.tif", np.ones((1, 5, 5), np.uint16))
    refuse([tmp_path / "empty"], tmp_path / "s.vrt", r"No Sentinel-2 product .*dem\.tif")


def test_names_with_spaces_accents_and_300_characters(tmp_path, rng):
    folder = tmp_path / "Été à Orléans #1 & Söhne %20" / ("long " * 30).strip() / ("x" * 100)
    folder.mkdir(parents=True)
    paths, _, values = dated_rasters(folder, rng, 2)
    assert len(paths[0]) > 300
    output = folder / "série d'images.vrt"
    build_series([folder], output)
    same(ImageSeries.open(output), values)
    product = write_safe(tmp_path / "Été à Orléans #1", DAY)
    build_series([product], tmp_path / "Été à Orléans #1" / "s é.vrt")
    moved = tmp_path / "moved"
    (tmp_path / "Été à Orléans #1").rename(moved)
    series = ImageSeries.open(moved / "s é.vrt")
    got = series.read(series.grid.window, 0)
    assert np.abs(got - expected(series, DAY)).max() < 5e-3
    text = (moved / "s é.vrt").read_text() + "".join(
        path.read_text() for path in (moved / "s é_parts").iterdir()
    )
    assert str(tmp_path) not in text  # nothing in it leads out of the folder


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-16, or UTF-8, elsewhere")
def test_names_of_old_disks(tmp_path, rng):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/Fl\xe4che")
    os.mkdir(folder)
    paths, _, _ = dated_rasters(tmp_path, rng, 2)
    refuse(paths, f"{folder}/s.vrt", r"Fl\\udce4che/s\.vrt' has letters that are not UTF-8")
    os.rename(paths[0], f"{folder}/20190105.tif")
    plan = plan_series([tmp_path], tmp_path / "s.vrt", SeriesOptions())
    assert [name for name, _ in plan.left_out] == ["20190105.tif"]
    assert "has letters that are not UTF-8; rename" in plan.warnings[0]
    plan.warnings[0].encode()  # can be shown
    os.remove(f"{folder}/20190105.tif")
    write_safe(tmp_path, DAY).rename(f"{folder}/product.SAFE")
    refuse([folder], tmp_path / "s.vrt", "has letters that are not UTF-8; rename")


def test_a_series_in_a_linked_folder_finds_its_files(tmp_path, rng):
    """From `link`, the system goes up to where the folder really lies."""
    (tmp_path / "data").mkdir()
    (tmp_path / "disk" / "deep" / "out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep" / "out")
    paths, _, values = dated_rasters(tmp_path / "data", rng, 2)
    same(build_series(paths, tmp_path / "link" / "series.vrt"), values)
    product = write_safe(tmp_path / "data", DAY)  # needs a helper, one folder below
    series = build_series([product], tmp_path / "link" / "safe.vrt")
    assert np.abs(series.read(series.grid.window, 0) - expected(series, DAY)).max() < 5e-3


def test_linked_folders_are_searched_and_circles_end(tmp_path, rng):
    for name in ("disk", "given"):
        (tmp_path / name).mkdir()
    _, _, values = dated_rasters(tmp_path / "disk", rng, 3)
    (tmp_path / "given" / "images").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "given")
    same(build_series([tmp_path / "given"], tmp_path / "s.vrt"), values)


def test_building_again_and_failing_leaves_no_helpers_behind(tmp_path, monkeypatch):
    product = write_safe(tmp_path, DAY)
    output = tmp_path / "out" / "series.vrt"
    output.parent.mkdir()
    build_series([product], output)
    first = sorted(os.listdir(tmp_path / "out" / "series_parts"))
    own = tmp_path / "out" / "series_parts" / "scene_native_10m.tif"
    own.write_text("of the user")
    build_series([product], output)
    own.unlink()  # which is still there
    second = sorted(os.listdir(tmp_path / "out" / "series_parts"))
    assert len(first) == len(second) == 1
    before = output.read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full disk")))
    with pytest.raises(OutputError, match="full disk"):
        build_series([product], output)
    monkeypatch.undo()
    assert output.read_text() == before
    assert sorted(os.listdir(tmp_path / "out" / "series_parts")) == second
    assert sorted(os.listdir(tmp_path / "out")) == ["series.vrt", "series_parts"]
    plain = write_image(
        tmp_path / "20190514.tif", np.stack([dn(band, DAY) for band in BANDS]).astype(np.uint16)
    )
    build_series([plain], output)
    assert os.listdir(tmp_path / "out") == ["series.vrt"]


class Feedback:
    def __init__(self, stop_at=2.0):
        self.stop_at = stop_at
        self.done = [0.0]

    def progress(self, fraction):
        self.done.append(fraction)

    def cancelled(self):
        return self.done[-1] >= self.stop_at

    def info(self, text):
        pass

    def warning(self, text):
        self.info(text)


def test_progress_and_cancel(tmp_path, rng):
    paths, _, _ = dated_rasters(tmp_path, rng, 8)
    feedback = Feedback()
    build_series(paths, tmp_path / "s.vrt", feedback=feedback)
    assert feedback.done == sorted(feedback.done)
    assert 0.5 < feedback.done[-1] <= 1
    with pytest.raises(Cancelled):
        build_series(paths, tmp_path / "c.vrt", feedback=Feedback(0.2))
    assert not (tmp_path / "c.vrt").exists()


def test_a_search_can_be_cancelled(tmp_path, monkeypatch):
    """Before anything is read: there may be very many files."""
    (tmp_path / "0.tif").write_text("not opened")

    def is_cube(path):
        assert os.path.isdir(path)

    monkeypatch.setattr("alise_plugin.sits.sources.find.is_cube", is_cube)
    with pytest.raises(Cancelled):
        build_series([tmp_path], tmp_path / "c.vrt", feedback=Feedback(0.0))


def test_a_folder_that_cannot_be_read_is_left_out_and_said(tmp_path, rng, monkeypatch):
    dated_rasters(tmp_path, rng, 2)
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    plan = plan_series([tmp_path], tmp_path / "s.vrt", SeriesOptions())
    assert plan.left_out == (("closed", "a folder that cannot be read"),)


# ---- the report ----


def test_the_report_says_what_is_in_the_series_and_what_is_not(tmp_path):
    scl = np.full((SIDE // 2, SIDE // 2), 4)
    scl[:6] = 9
    old = write_safe(tmp_path, DAY, scl=scl)
    new = write_safe(tmp_path, DAY, scl=scl, baseline="03.00", processed="20210516T135205")
    other = write_safe(tmp_path, date(2019, 6, 3))
    late = write_safe(tmp_path, date(2020, 6, 3))
    output, page = tmp_path / "s.vrt", tmp_path / "report.html"
    options = SeriesOptions(measured=True, end=date(2019, 12, 31))
    plan = plan_series([old, new, other, late], output, options)
    plan.write(output)
    write_report(plan, output, page)
    html = page.read_text(encoding="utf-8")
    assert html.count("<rect") == 3  # two dates, and the cloud of one
    assert html.count("data:image/png;base64,") == 2
    assert '<td class="number">50</td>' in html
    for text in (old.name, new.name, "an older processing of the scene of", "after 2019-12-31"):
        assert text in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in html
    with pytest.raises(OutputError):
        write_report(plan, output, tmp_path / "nowhere" / "report.html")
