"""SAFE, Theia, files per band, STAC: what is read through the series is the landscape."""

import os
import shutil
import zipfile
from datetime import date

import numpy as np
import pytest
from osgeo import gdal, osr
from scipy.ndimage import binary_erosion

from alise_plugin.errors import SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from alise_plugin.sits.grid import Window
from alise_plugin.sits.series import ImageSeries
from tests.helpers.products import (
    CORNER,
    FINE,
    SIDE,
    dn,
    expected,
    reference,
    stac_item,
    truth,
    write_date_and_band_files,
    write_image,
    write_json,
    write_safe,
    write_theia,
    zipped,
)

DAY, LATER = date(2019, 5, 14), date(2022, 3, 2)
COARSE = [BANDS.index(band) for band in BANDS if band not in FINE]


@pytest.fixture(params=[False, True], ids=["gdal-codes", "gdal-exceptions"], autouse=True)
def gdal_error_mode(request):
    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


def near(series, day, *, edge=4, bands=BANDS, more=0.0):
    """Equal to the truth to 1e-4, which a shift of a tenth of a pixel would break.

    Bicubic resampling has no neighbours beyond the edge of an image: there 20 m bands only come
    near, within a fraction of a pixel.
    """
    got = series.read(series.grid.window, series.dates.index(day))
    wanted = expected(series, day, bands) + more
    inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
    np.testing.assert_allclose(got[inner], wanted[inner], atol=1.01e-4)
    assert np.nanmax(np.abs(got - wanted)) < 5e-3


# ---- SAFE ----


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_safe(tmp_path, packed):
    old = write_safe(tmp_path / "in", DAY)
    new = write_safe(
        tmp_path / "in", LATER, baseline="04.00", offset=-1000, processed="20220302T150000"
    )
    inputs = [zipped(old), zipped(new)] if packed else [old, new]
    series = build_series(inputs, tmp_path / "series.vrt")
    assert series.dates == (DAY, LATER)
    assert series.bands_present == BANDS
    assert series.grid.geotransform == (CORNER[0], 10, 0, CORNER[1], 0, -10)
    for day in series.dates:
        near(series, day)
    dataset = gdal.Open(str(tmp_path / "series.vrt"))
    assert dataset.GetRasterBand(11).GetOffset() == pytest.approx(-0.1)  # as stated


def test_a_folder_of_safe_is_searched_and_what_is_no_image_is_passed_by(tmp_path):
    write_safe(tmp_path / "in" / "2019", DAY)
    zipped(write_safe(tmp_path / "in" / "2022 spring", LATER))
    (tmp_path / "in" / "notes.json").write_text('{"a": 1}')
    (tmp_path / "in" / "readme.txt").write_text("hello")
    for _ in range(2):  # the second time with the first series lying there
        output = tmp_path / "in" / "series.vrt"
        assert build_series([tmp_path / "in"], output).dates == (DAY, LATER)
    plan = plan_series([tmp_path / "in"], tmp_path / "in" / "other.vrt", SeriesOptions())
    assert plan.left_out == (("series.vrt", "an image series; give it by itself to take it in"),)


def test_no_data_does_not_bleed_into_20_m_bands(tmp_path):
    product = write_safe(tmp_path, DAY, hole=(slice(4, 7), slice(3, 8)))
    series = build_series([product], tmp_path / "series.vrt")
    got = series.read(series.grid.window, 0)
    hole = np.zeros((SIDE, SIDE), bool)
    hole[8:14, 6:16] = True
    assert np.isnan(got[:4][:, hole][[0, 1, 2]]).all()
    assert np.isfinite(got[:, ~hole]).all()
    error = np.abs(got - expected(series, DAY))[:, ~hole]
    assert error.max() < 5e-3  # a mixture with 0 would be wrong by 0.05 and more
    part = series.read(Window(5, 7, 9, 8), 0)
    np.testing.assert_array_equal(part, got[:, 7:15, 5:14])


def test_the_newest_processing_is_used_and_the_other_is_named(tmp_path):
    old = write_safe(tmp_path, DAY)
    new = write_safe(tmp_path, DAY, baseline="05.00", offset=-1000, processed="20230516T135205")
    plan = plan_series([old, new], tmp_path / "s.vrt", SeriesOptions())
    assert plan.left_out == ((old.name, f"an older processing of the scene of {new.name}"),)
    near(plan.write(tmp_path / "s.vrt"), DAY)
    copy = plan_series([new, zipped(new, keep=True)], tmp_path / "s.vrt", SeriesOptions())
    assert "a copy of" in copy.left_out[0][1]


def test_two_parts_of_a_scene_are_a_mosaic_of_one_acquisition(tmp_path):
    """Where a data strip ends inside a tile; both have one baseline, and a time of processing."""
    everywhere, half = slice(None), SIDE // 4
    north = write_safe(tmp_path, DAY, hole=(slice(half, None), everywhere))
    south = write_safe(
        tmp_path, DAY, hole=(slice(0, half - 1), everywhere), processed="20190516T150000"
    )
    whole = write_safe(tmp_path / "whole", DAY)
    plan = plan_series([north, south], tmp_path / "s.vrt", SeriesOptions(mask_clouds=True))
    assert plan.left_out == ()
    assert [layer.source.name for layer in plan.dates[0].acquisition.layers["B02"]] == [
        north.name,
        south.name,
    ]
    got = plan.write(tmp_path / "s.vrt").read(Window(0, 0, SIDE, SIDE), 0)
    wanted = build_series([whole], tmp_path / "w.vrt").read(Window(0, 0, SIDE, SIDE), 0)
    assert np.abs(got - wanted).max() < 5e-3
    newer = write_safe(tmp_path, DAY, baseline="03.00", hole=(slice(half, None), everywhere))
    plan = plan_series([whole, newer], tmp_path / "n.vrt", SeriesOptions())
    assert plan.left_out == ((whole.name, f"an older processing of the scene of {newer.name}"),)


def test_two_tiles_of_a_day_are_one_acquisition(tmp_path):
    west = write_safe(tmp_path, DAY)
    shift = (CORNER[0] + 200, CORNER[1])
    east = write_safe(
        tmp_path, DAY, tile="T31TDJ", corner=shift, baseline="04.00", offset=-1000,
        processed="20220516T135205",
    )  # fmt: skip
    series = build_series([west, east], tmp_path / "series.vrt")
    assert series.dates == (DAY,)
    assert (series.grid.width, series.grid.height) == (SIDE + 20, SIDE)
    got, wanted = series.read(series.grid.window, 0), expected(series, DAY)
    error = np.abs(got - wanted)  # although one holds an offset and the other does not
    assert error.max() < 5e-3
    error[:, :, 18:23] = 0  # at the seam a bicubic kernel has no neighbours
    assert error[:, 4:-4, 4:-4].max() < 1.01e-4


def test_tiles_of_two_zones_are_resampled_once_into_one(tmp_path):
    """A tile in zone 32 beside one in zone 31; also the SCL of both, masked."""
    west = write_safe(tmp_path, DAY, side=40)

    transform = osr.CoordinateTransformation(reference(32631), reference(32632))
    x, y, _ = transform.TransformPoint(CORNER[0] + 300, CORNER[1] + 100)
    corner = (round(x, -1), round(y, -1))
    east = write_safe(tmp_path, DAY, tile="T32TLP", corner=corner, side=60, epsg=32632)
    series = build_series([west, east], tmp_path / "series.vrt")
    assert series.dates == (DAY,)
    got, wanted = series.read(series.grid.window, 0), expected(series, DAY)
    error = np.abs(got - wanted)
    seen = np.isfinite(got).all(0)
    assert seen.mean() > 0.6
    assert error[:, seen].max() < 1e-2
    # Inside of each, where a kernel finds all its neighbours.
    place = {"crs": "EPSG:32631", "extent": series.grid.extent}
    inside = []
    for number, tile in enumerate((west, east)):
        alone = build_series([tile], tmp_path / f"{number}.vrt", **place)
        assert alone.grid == series.grid
        inside.append(np.isfinite(alone.read(alone.grid.window, 0)).all(0))
    only_east = binary_erosion(inside[1] & ~inside[0], iterations=5)
    only_west = binary_erosion(inside[0] & ~inside[1], iterations=5)
    assert min(only_east.sum(), only_west.sum()) > 100
    assert error[:, only_west].max() < 1.01e-4
    assert error[:, only_east].max() < 1.01e-4
    # A window is what the whole holds, whatever the helpers are cut into.
    part = series.read(Window(25, 11, 30, 40), 0)
    np.testing.assert_array_equal(part, got[:, 11:51, 25:55])


def test_masks_follow_their_tiles_into_another_zone(tmp_path):
    west = write_safe(tmp_path, DAY, side=40)
    to_32 = osr.CoordinateTransformation(reference(32631), reference(32632))
    x, y, _ = to_32.TransformPoint(CORNER[0] + 300, CORNER[1])
    corner, classes = (round(x, -1), round(y, -1)), np.full((30, 30), 9)
    classes[:, 15:] = 4
    east = write_safe(tmp_path, DAY, tile="T32TLP", corner=corner, side=60, epsg=32632, scl=classes)
    bare = build_series([west, east], tmp_path / "bare.vrt")
    series = build_series([west, east], tmp_path / "series.vrt", mask_clouds=True)
    seen = np.isfinite(series.read(series.grid.window, 0)).all(0)
    # The eastern half of the eastern tile is clear: where those pixels lie, by their own place.
    to_31 = osr.CoordinateTransformation(reference(32632), reference(32631))
    middle, _, _ = to_31.TransformPoint(corner[0] + 300, corner[1] - 300)
    edge = int((middle - series.grid.extent[0]) / 10)
    rows = slice(42, series.grid.height - 8)  # below the western tile
    assert not seen[rows, 45 : edge - 6].any()
    inner = seen[rows, edge + 6 : edge + 15]
    assert inner.all()
    assert np.isfinite(bare.read(bare.grid.window, 0)[:, rows, 45:edge]).mean() > 0.9


def test_a_safe_that_lacks_an_image_or_metadata(tmp_path):
    output = tmp_path / "series.vrt"

    def refuse(match, product):
        with pytest.raises(SeriesError, match=match) as error:
            build_series([product], output)
        text = str(error.value)
        assert "\n" not in text
        assert text.endswith(".")
        assert not output.exists()

    product = write_safe(tmp_path / "a", DAY)
    images = {path.name: path for path in product.rglob("*_B05_20m.jp2")}
    path = next(iter(images.values()))
    content = path.read_bytes()
    path.unlink()
    refuse("lacks its image of B05", product)
    path.write_bytes(content[: len(content) // 2])
    refuse(r"B05_20m\.jp2 is cut off", product)
    path.write_bytes(b"")
    refuse(r"B05_20m\.jp2 is cut off", product)
    path.write_bytes(content)
    build_series([product], tmp_path / "fine.vrt")
    metadata = product / "MTD_MSIL2A.xml"
    text = metadata.read_text()
    metadata.write_text(text[:500])
    refuse("MTD_MSIL2A.xml of .* is damaged", product)
    metadata.write_text(text.replace("02.12", "04.00"))
    refuse("states no BOA_ADD_OFFSET", product)
    metadata.write_text(text.replace("<IMAGE_FILE>GRANULE", "<IMAGE_FILE>../../GRANULE"))
    refuse("outside the product", product)
    metadata.write_text('<!DOCTYPE x [<!ENTITY a "aa">]>' + text.split("?>")[1])
    refuse("declares XML entities", product)
    metadata.unlink()
    refuse("has no MTD_MSIL2A.xml", product)


def test_a_safe_without_its_scene_classes_is_read_unless_clouds_are_masked(tmp_path):
    product = write_safe(tmp_path, DAY)
    next(product.rglob("*_SCL_20m.jp2")).unlink()
    whole = write_safe(tmp_path, LATER)
    series = build_series([product, whole], tmp_path / "s.vrt")
    for day in series.dates:
        near(series, day)
    with pytest.raises(SeriesError, match=r"lacks its scene classes \(SCL\).*MASK_CLOUDS") as error:
        build_series([product, whole], tmp_path / "masked.vrt", mask_clouds=True)
    assert product.name in str(error.value)


@pytest.mark.parametrize(("ending", "said"), [("", True), ("_10m", False)])
def test_images_that_are_named_as_those_of_l1c_are_pointed_at(tmp_path, ending, said):
    for band in BANDS:
        path = tmp_path / "in" / f"T31TCJ_20190514T105031_{band}{ending}.jp2"
        write_image(path, dn(band, DAY).astype(np.uint16), driver="JP2OpenJPEG")
    plan = plan_series([tmp_path / "in"], tmp_path / "s.vrt", SeriesOptions())
    assert any("Level-1C (top of atmosphere)" in text for text in plan.notes) == said


def test_l1c_is_refused_by_name(tmp_path):
    product = write_safe(tmp_path / "in", DAY, level="MSIL1C")
    for given in (product, tmp_path / "in", product / "MTD_MSIL1C.xml"):
        with pytest.raises(SeriesError, match=r"S2A_MSIL1C_2019\S+ is a Level-1C product"):
            build_series([given], tmp_path / "series.vrt")
    with pytest.raises(SeriesError, match="is a Level-1C product"):
        build_series([zipped(product, keep=True)], tmp_path / "series.vrt")
    image = tmp_path / "S2A_MSIL1C_20190514T105031_N0207_R051_T31TCJ_20190514T125411.tif"
    write_image(image, np.stack([dn(band, DAY) for band in BANDS]).astype(np.uint16))
    with pytest.raises(SeriesError, match="is a Level-1C product"):
        build_series([image], tmp_path / "series.vrt")
    write_safe(tmp_path / "in", DAY)
    plan = plan_series([tmp_path / "in"], tmp_path / "series.vrt", SeriesOptions())
    assert plan.left_out[0][0] == product.name  # beside others it is left out, and said


def test_zips_that_are_none_or_hostile(tmp_path):
    import zipfile

    output = tmp_path / "series.vrt"

    def refuse(match, path):
        with pytest.raises(SeriesError, match=match):
            build_series([path], output)

    good = zipped(write_safe(tmp_path, DAY))
    part = tmp_path / "part.zip"
    part.write_bytes(good.read_bytes()[:-4000])
    refuse("is not a zip, or only a part of one", part)
    (tmp_path / "text.zip").write_text("hello")
    refuse("is not a zip", tmp_path / "text.zip")
    for entry in ("../../etc/MTD_MSIL2A.xml", "/etc/MTD_MSIL2A.xml", "..\\x", "C:/x"):
        with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo(entry), "x")
        refuse("a place outside of itself", tmp_path / "hostile.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday.txt", "x")
    refuse("holds no Sentinel-2 product", tmp_path / "other.zip")


# ---- Theia ----


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_theia(tmp_path, packed):
    product = write_theia(tmp_path, DAY, hole=(slice(4, 7), slice(3, 8)))
    given = zipped(product) if packed else product
    series = build_series([given], tmp_path / "series.vrt")
    got = series.read(series.grid.window, 0)
    hole = np.zeros((SIDE, SIDE), bool)
    hole[8:14, 6:16] = True
    assert np.isnan(got[0][hole]).all()
    assert np.isfinite(got[:, ~hole]).all()
    assert np.abs(got - expected(series, DAY))[:, ~hole].max() < 5e-3
    fine = [BANDS.index(band) for band in FINE]
    assert np.abs(got - expected(series, DAY))[fine][:, ~hole].max() < 1e-4
    other = build_series([given], tmp_path / "sre.vrt", theia="SRE")
    difference = other.read(other.grid.window, 0) - got
    np.testing.assert_allclose(difference[:, ~hole], 0.01, atol=2e-4)


def test_theia_that_lacks_an_image_or_is_no_sentinel_2(tmp_path):
    product = write_theia(tmp_path, DAY)
    next(product.glob("*_FRE_B11.tif")).unlink()
    with pytest.raises(SeriesError, match="lacks its FRE image of B11"):
        build_series([product], tmp_path / "series.vrt")
    build_series([product], tmp_path / "series.vrt", theia="SRE")
    metadata = next(product.glob("*_MTD_ALL.xml"))
    metadata.write_text(metadata.read_text().replace("SENTINEL2A</PLATFORM", "VENUS</PLATFORM"))
    with pytest.raises(SeriesError, match="is of VENUS"):
        build_series([product], tmp_path / "series.vrt", theia="SRE")


# ---- clouds ----


def cloudy_classes():
    scl = np.full((SIDE // 2, SIDE // 2), 4)
    scl[:3] = 9
    scl[3, :6] = 3
    scl[9:, 9:] = 11
    return scl


def test_masking_by_scl(tmp_path):
    scl = cloudy_classes()
    product = write_safe(tmp_path, DAY, scl=scl)
    clear = write_safe(tmp_path, LATER)
    open_series = build_series([product, clear], tmp_path / "open.vrt")
    assert np.isfinite(open_series.read(open_series.grid.window, 0)).all()  # off by default
    series = build_series([product, clear], tmp_path / "series.vrt", mask_clouds=True)
    got = series.read(series.grid.window, 0)
    bad = np.kron(np.isin(scl, (3, 9)), np.ones((2, 2), bool))
    assert (np.isnan(got) == bad).all()
    assert np.abs(got - expected(series, DAY))[:, ~bad].max() < 5e-3
    assert np.isfinite(series.read(series.grid.window, 1)).all()


def test_masking_by_clm_and_mg2(tmp_path):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:5] = 1 + 2 + 8  # cloud
    mask[5, :9] = 1 + 32  # its shadow
    mask[20:] = 16  # thin: no reason to leave a pixel out
    product = write_theia(tmp_path / "clm", DAY, clm=mask)
    series = build_series([product], tmp_path / "series.vrt", mask_clouds=True)
    assert (np.isnan(series.read(series.grid.window, 0)[0]) == (mask & 1 > 0)).all()
    plan = plan_series([product], tmp_path / "x.vrt", SeriesOptions(measured=True))
    assert plan.dates[0].fractions.cloud == pytest.approx(5 / SIDE)
    geophysical = np.zeros((SIDE, SIDE), np.uint8)
    geophysical[:5] = 2
    geophysical[5] = 8
    geophysical[6] = 1 + 4  # water, snow
    product = write_theia(tmp_path / "mg2", DAY, mg2=geophysical)
    series = build_series([product], tmp_path / "mg2.vrt", mask_clouds=True)
    bad = np.isnan(series.read(series.grid.window, 0)[0])
    assert bad[:6].all()
    assert not bad[6:].any()


def test_cloud_and_valid_fractions_and_limits(tmp_path):
    cloudy = write_safe(tmp_path, DAY, scl=cloudy_classes())
    holed = write_safe(tmp_path, LATER, hole=(slice(0, 6), slice(0, 12)))
    clear = write_safe(tmp_path, date(2020, 5, 5))
    given = [cloudy, holed, clear]
    output = tmp_path / "series.vrt"
    # Part of the tile, so that pixels count and not what the products state.
    extent = (CORNER[0], CORNER[1] - 200, CORNER[0] + 240, CORNER[1])
    options = {"extent": extent, "measured": True}
    plan = plan_series(given, output, SeriesOptions(**options))
    fractions = [item.fractions for item in plan.dates]
    assert [f.cloud for f in fractions] == pytest.approx([6 * 24 / 480, 0, 0])
    assert [f.valid for f in fractions] == pytest.approx([1, 1, 1 - 12 / 20])
    assert [f.how for f in fractions] == ["counted"] * 3
    strict = plan_series(given, output, SeriesOptions(max_cloud=0.2, min_valid=0.5, **options))
    assert [item.acquisition.day for item in strict.dates] == [date(2020, 5, 5)]
    assert strict.left_out == (
        (str(DAY), "30 % cloud, more than 20 %"),
        (str(LATER), "40 % valid, less than 50 %"),
    )
    whole = plan_series(given, output, SeriesOptions(measured=True))
    assert whole.dates[0].fractions.how == "stated by the product"
    assert whole.dates[0].fractions.cloud == pytest.approx(0.25)
    with pytest.raises(SeriesError, match="None of the 3 dates passes the limits"):
        plan_series(given, output, SeriesOptions(min_valid=1.0, max_cloud=-1, **options))


# ---- one file per date and band ----


@pytest.mark.parametrize("style", ["cog", "jp2"])
def test_one_file_per_date_and_band(tmp_path, style):
    days = (DAY, date(2019, 6, 3))
    for day in days:
        write_date_and_band_files(tmp_path / "in", day, style)
    write_image(tmp_path / "in" / "elevation.tif", np.ones((SIDE, SIDE), np.uint16))
    plan = plan_series([tmp_path / "in"], tmp_path / "series.vrt", SeriesOptions())
    assert [name for name, _ in plan.left_out] == ["elevation.tif"]
    series = plan.write(tmp_path / "series.vrt")
    assert series.dates == days
    assert series.bands_present == BANDS
    for day in days:
        near(series, day)
    masked = build_series([tmp_path / "in"], tmp_path / "masked.vrt", mask_clouds=True)
    assert np.isfinite(masked.read(masked.grid.window, 0)).all()  # SCL 5 everywhere


# ---- STAC ----


@pytest.mark.parametrize("style", ["eo:bands", "bands", "keys"])
@pytest.mark.parametrize("projected", [True, False], ids=["proj", "no proj"])
def test_stac_item_collection(tmp_path, style, projected):
    items = [
        stac_item(tmp_path, DAY, style=style, projected=projected, cloud=12.5),
        stac_item(tmp_path, LATER, style=style, projected=projected, offset=-1000),
    ]
    path = write_json(tmp_path / "search.json", {"type": "FeatureCollection", "features": items})
    plan = plan_series([path], tmp_path / "series.vrt", SeriesOptions(measured=True))
    assert plan.dates[0].fractions.cloud == pytest.approx(0.125)
    series = plan.write(tmp_path / "series.vrt")
    assert series.bands_present == BANDS
    for day in (DAY, LATER):
        near(series, day)


def test_stac_offset_that_earth_search_has_applied(tmp_path):
    items = [
        stac_item(tmp_path, DAY, offset=-1000, applied=True),
        stac_item(tmp_path, LATER, offset=-1000, applied=False),
    ]
    path = write_json(tmp_path / "search.json", {"type": "FeatureCollection", "features": items})
    series = build_series([path], tmp_path / "series.vrt")
    for day in (DAY, LATER):
        near(series, day)


def test_a_static_catalogue_and_its_folder(tmp_path):
    root = tmp_path / "catalogue"
    for day in (DAY, LATER):
        write_json(root / "2019" / f"{day}.json", stac_item(root / "2019", day))
    links = [{"rel": "item", "href": f"./{day}.json"} for day in (DAY, LATER)]
    collection = {"type": "Collection", "stac_version": "1.0.0", "links": links}
    write_json(root / "2019" / "collection.json", collection)
    links = [{"rel": "child", "href": "./2019/collection.json"}, {"rel": "root", "href": "x"}]
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "links": links}
    path = write_json(root / "catalog.json", catalogue)
    for given in (path, root, root / "2019" / f"{DAY}.json"):
        series = build_series([given], tmp_path / "series.vrt")
        assert series.dates == ((DAY,) if str(given).endswith("14.json") else (DAY, LATER))
        near(series, DAY)


def test_a_product_in_a_folder_of_its_own_name(tmp_path):
    """What many programs make of x.SAFE.zip."""
    product = write_safe(tmp_path / "unpacked", DAY)
    product.parent.rename(tmp_path / product.name)
    for given in (tmp_path, tmp_path / product.name):
        near(build_series([given], tmp_path / "series.vrt"), DAY)


def test_one_tile_and_day_of_two_providers_is_not_mixed(tmp_path):
    write_safe(tmp_path, DAY)
    write_theia(tmp_path, LATER)
    assert build_series([tmp_path], tmp_path / "s.vrt").dates == (DAY, LATER)
    write_theia(tmp_path, DAY)
    with pytest.raises(SeriesError, match=r"\(SAFE\) and .*\(Theia\) are of one tile and day"):
        build_series([tmp_path], tmp_path / "s.vrt")


@pytest.mark.parametrize("given", ["zip", "folder"])
def test_a_zip_of_several_products(tmp_path, given):
    path = tmp_path / "all of it.zip"
    write_safe(tmp_path / "a", DAY)
    write_theia(tmp_path / "b", LATER)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tmp_path.glob("[ab]/**/*")):
            archive.write(file, file.relative_to(tmp_path))
    for folder in "ab":
        shutil.rmtree(tmp_path / folder)
    series = build_series([path if given == "zip" else tmp_path], tmp_path / "series.vrt")
    assert series.dates == (DAY, LATER)
    for day in series.dates:
        near(series, day)


def test_a_catalogue_of_before_stac_1(tmp_path):
    write_json(tmp_path / "item.json", stac_item(tmp_path, DAY))
    links = [{"rel": "item", "href": "./item.json"}, "?"]
    catalogue = {"stac_version": "1.0.0-beta.2", "id": "x", "links": links}
    path = write_json(tmp_path / "catalog.json", catalogue)
    for given in (path, tmp_path):
        near(build_series([given], tmp_path / "series.vrt"), DAY)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proj:shape", [None, None]),
        ("proj:transform", [10, 0, None, 0, -10, None]),
        ("roles", 7),
        ("raster:bands", {"scale": 5}),
    ],
)
def test_fields_of_an_asset_that_say_nothing_are_read_from_its_file(tmp_path, key, value):
    item = stac_item(tmp_path, DAY)
    for name in ("asset_0", "asset_7"):
        item["assets"][name][key] = value
    near(build_series([write_json(tmp_path / "i.json", item)], tmp_path / "series.vrt"), DAY)


def test_remote_assets_are_described_without_the_network(tmp_path):
    item = stac_item(tmp_path, DAY)
    for asset in item["assets"].values():
        asset["href"] = asset["href"].replace("./", "https://no.such.host.invalid/bucket/")
    path = write_json(tmp_path / "item.json", item)
    plan = plan_series([path], tmp_path / "series.vrt", SeriesOptions())
    layer = plan.dates[0].acquisition.layers["B02"][0]
    assert layer.source.path.startswith("/vsicurl/https://no.such.host.invalid/bucket/")
    assert layer.source.grid.geotransform == (CORNER[0], 10, 0, CORNER[1], 0, -10)


@pytest.mark.parametrize(
    "href",
    [
        "../outside/B02.tif",
        "./a/../../outside/B02.tif",
        "/etc/passwd",
        "file:///etc/passwd",
        "/vsizip//etc/x.zip/B02.tif",
        "/vsisubfile/0_10,/etc/passwd",
        '<VRTDataset rasterXSize="1" rasterYSize="1"/>',
        "ftp://host/B02.tif",
        "vrt://B02.tif",
        "link/B02.tif",
    ],
)
def test_hostile_hrefs_are_refused(tmp_path, href):
    folder = tmp_path / "catalogue"
    item = stac_item(folder, DAY)
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    shutil.copy(next(folder.rglob("B02.tif")), tmp_path / "outside" / "B02.tif")
    next(iter(item["assets"].values()))["href"] = href
    path = write_json(folder / "item.json", item)
    with pytest.raises(SeriesError, match="not inside its own folder nor on a web server") as error:
        build_series([path], tmp_path / "series.vrt")
    assert "\n" not in str(error.value)


def test_an_asset_that_points_to_other_files_is_refused(tmp_path):
    item = stac_item(tmp_path, DAY)
    image = next(tmp_path.rglob("B02.tif"))
    image.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    path = write_json(tmp_path / "item.json", item)
    with pytest.raises(SeriesError, match=r"neither GeoTIFF nor JPEG 2000|cannot be opened"):
        build_series([path], tmp_path / "series.vrt")
    os.remove(image)
    with pytest.raises(SeriesError, match=r"B02\.tif, which is not there"):
        build_series([path], tmp_path / "series.vrt")


def test_json_that_is_no_stac(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SeriesError, match="is not JSON"):
        build_series([tmp_path / "a.json"], tmp_path / "series.vrt")
    write_json(tmp_path / "b.json", {"type": "FeatureCollection", "features": []})
    with pytest.raises(SeriesError, match="is no STAC item"):
        build_series([tmp_path / "b.json"], tmp_path / "series.vrt")
    item = stac_item(tmp_path, DAY)
    item["collection"] = "sentinel-2-l1c"
    with pytest.raises(SeriesError, match="is a Level-1C product"):
        build_series([write_json(tmp_path / "c.json", item)], tmp_path / "series.vrt")
    item["collection"] = ""
    both = [stac_item(tmp_path, LATER), {**item, "id": "LC08", "properties": {"platform": "l8"}}]
    path = write_json(tmp_path / "e.json", {"type": "FeatureCollection", "features": both})
    plan = plan_series([path], tmp_path / "series.vrt", SeriesOptions())
    assert [name for name, _ in plan.left_out] == ["LC08"]
    item["properties"]["datetime"] = None
    with pytest.raises(SeriesError, match="has no datetime"):
        build_series([write_json(tmp_path / "d.json", item)], tmp_path / "series.vrt")


def test_the_landscape_shows_a_tenth_of_a_pixel():
    """The truth that all of this is compared with is steep enough."""
    for band in BANDS:
        moved = truth(band, DAY, CORNER[0] + 1, CORNER[1]) - truth(band, DAY, *CORNER)
        assert abs(moved) > 1.01e-4


def test_mixed_kinds_make_one_series(tmp_path):
    safe = write_safe(tmp_path / "safe", DAY)
    theia = write_theia(tmp_path / "theia", date(2019, 5, 19))
    write_date_and_band_files(tmp_path / "files", date(2019, 5, 24))
    item = write_json(tmp_path / "i.json", stac_item(tmp_path, date(2019, 5, 29)))
    series = build_series([safe, theia, tmp_path / "files", item], tmp_path / "series.vrt")
    assert len(series.dates) == 4
    for day in series.dates:
        near(series, day)
    assert ImageSeries.open(tmp_path / "series.vrt").dates == series.dates
