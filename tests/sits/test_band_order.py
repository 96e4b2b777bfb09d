"""Bands that nothing describes: by the files of a VRT, by their spectra, or a question."""

import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osgeo import gdal

from alise_plugin.errors import SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.band_order import choose_order, known_orders, without_offset
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from tests.helpers.rasters import ALL_BANDS, days, land, write_raster

L2A = tuple(band for band in ALL_BANDS if band != "B10")
ORDERS = [(count, order) for count in (10, 12) for order in known_orders(count)]


def reflectance(series):
    return series.read_all(series.grid.window)


@pytest.mark.parametrize(("count", "order"), ORDERS, ids=lambda one: getattr(one, "words", one))
def test_every_order_that_programs_write_is_found(tmp_path, rng, count, order):
    dates = days(3)
    usual = BANDS if count == 10 else L2A
    images = [land(rng, usual, 24, 24) for _ in dates]
    for day, image in zip(dates, images):
        stored = image[[usual.index(band) for band in order.bands]]
        write_raster(tmp_path / f"S2_{day:%Y%m%d}.tif", stored, descriptions=())
    series = build_series([str(tmp_path)], tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    truth = np.stack(images)[:, [usual.index(band) for band in BANDS]] * 1e-4
    np.testing.assert_allclose(reflectance(series), truth, atol=2e-7)


@given(
    order=st.sampled_from([order for _, order in ORDERS]),
    seed=st.integers(0, 2**16),
    offset=st.sampled_from([0, 1000]),
    haze=st.floats(0, 300),
)
@settings(max_examples=60, deadline=None)
def test_neither_offset_nor_haze_exchanges_bands(order, seed, offset, haze):
    image = land(np.random.default_rng(seed), order.bands, 20, 20).astype(np.float32)
    for band, weight in (("B02", 1.0), ("B03", 0.6), ("B04", 0.4)):
        image[order.bands.index(band)] += weight * haze
    try:
        found = choose_order("image", without_offset(image.reshape(len(order.bands), -1) + offset))
    except SeriesError:
        assert haze > 100  # asking is right where haze hides the land
    else:
        assert found.bands == order.bands


@given(seed=st.integers(0, 2**16), exchange=st.permutations(range(3, 10)))
@settings(max_examples=80, deadline=None)
def test_an_unknown_order_is_never_taken_for_a_known_one(seed, exchange):
    """Whatever becomes of red edge, infrared and shortwave: the truth, or a question."""
    bands = tuple(BANDS[:3]) + tuple(BANDS[place] for place in exchange)
    image = land(np.random.default_rng(seed), bands, 20, 20)
    known = {order.bands for order in known_orders(10)}
    try:
        found = choose_order("image", without_offset(image.reshape(10, -1).astype(np.float32)))
    except SeriesError:
        return
    if bands in known:
        assert found.bands == bands
        return
    # Neighbours of one plateau may be exchanged: their reflectance is the same to a few per cent.
    # So may B05 and B12, which are as bright over crops, and which no program exchanges alone.
    alike = [{"B07", "B08", "B8A"}, {"B06", "B07"}, {"B05", "B12"}]
    for place, band in enumerate(found.bands):
        assert band == bands[place] or any({band, bands[place]} <= group for group in alike)


def test_a_picture_order_is_asked_about(tmp_path, rng):
    order = ("B04", "B03", "B02", *BANDS[3:])
    path = write_raster(tmp_path / "S2_20190514.tif", land(rng, order, 24, 24), descriptions=())
    with pytest.raises(SeriesError, match="give BAND_ORDER"):
        build_series([path], tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    series = build_series(
        [path], tmp_path / "series.vrt", scale=1e-4, offset=0.0, band_order=list(order)
    )
    assert series.bands_present == BANDS


def test_an_image_without_land_is_asked_about_unless_others_show_it(tmp_path, rng):
    cloud = np.full((10, 24, 24), 6000, np.uint16)
    alone = write_raster(tmp_path / "S2_20190514.tif", cloud, descriptions=())
    with pytest.raises(SeriesError, match=r"S2_20190514\.tif names none of its 10 bands"):
        build_series([alone], tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    clear = write_raster(tmp_path / "S2_20190604.tif", land(rng, BANDS, 24, 24), descriptions=())
    plan = plan_series(
        [alone, clear], tmp_path / "series.vrt", SeriesOptions(scale=1e-4, offset=0.0)
    )
    assert len(plan.dates) == 2


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("day_in_name", [True, False])
def test_names_of_the_files_of_a_vrt_tell_its_bands(tmp_path, rng, nested, day_in_name):
    """`gdalbuildvrt -separate` over sorted names puts B8A last and describes nothing."""
    image = land(rng, BANDS, 24, 24)
    files = []
    for band, values in zip(BANDS, image):
        stem = f"T31TGJ_20190514T105031_{band}_10m" if day_in_name else f"clip_{band}"
        files.append(write_raster(tmp_path / f"{stem}.tif", values[None], descriptions=("x",)))
    (tmp_path / "stacks").mkdir()
    path = str(tmp_path / "stacks" / "20190514.vrt")
    subprocess.run(["gdalbuildvrt", "-q", "-separate", path, *sorted(files)], check=True)
    if nested:
        inner, path = path, str(tmp_path / "stacks" / "S2_20190514.vrt")
        gdal.BuildVRT(path, [inner]).FlushCache()
    series = build_series([path], tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    np.testing.assert_allclose(reflectance(series)[0], image * 1e-4, atol=2e-7)


def test_a_cirrus_band_with_values_is_level_1c(tmp_path, rng):
    names = [name.replace("B0", "B") for name in ALL_BANDS]
    path = write_raster(tmp_path / "S2_20190514.tif", land(rng, ALL_BANDS), descriptions=names)
    with pytest.raises(SeriesError, match="has the cirrus band B10, as Level-1C"):
        build_series([path], tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    image = land(rng, ALL_BANDS)
    image[ALL_BANDS.index("B10")] = 0  # as exports fill what Level-2A does not have
    path = write_raster(tmp_path / "S2_20190614.tif", image, descriptions=names)
    series = build_series([path], tmp_path / "series.vrt", scale=1e-4, offset=0.0)
    assert series.bands_present == BANDS


def test_an_index_over_time_is_no_image(tmp_path, rng):
    """Twelve months of one index: February is not B02."""
    names = [f"2019-{month:02d}-15" for month in range(1, 13)]
    values = rng.random((12, 20, 20)).astype(np.float32)
    path = write_raster(tmp_path / "ndvi_2019.tif", values, descriptions=names)
    with pytest.raises(SeriesError, match="stack of one band or index over time"):
        build_series([path], tmp_path / "series.vrt", scale=1.0, offset=0.0)
