"""Pixels without a value that the file does not declare, or declares otherwise."""

from datetime import date

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from alise_plugin.sits.no_value import undeclared_fill
from tests.helpers.products import expected, write_theia
from tests.helpers.rasters import TRANSFORM, digital_numbers, land, write_raster

HOLE = (slice(None), slice(None), slice(0, 5))


@pytest.mark.parametrize(
    ("kind", "hole", "nodata"),
    [
        (np.int16, -9999, None),
        (np.int16, 0, -9999),
        (np.int16, -10000, -32768),
        (np.uint16, 65535, None),
        (np.uint16, 65535, 0),
        (np.float32, 0, None),
        (np.float32, -9999, None),
        (np.float32, 0, -9999),
    ],
)
def test_pixels_without_a_value_never_become_reflectance(tmp_path, rng, kind, hole, nodata):
    values = digital_numbers(rng).astype(kind)
    wanted = values * np.float32(1e-4)
    if kind is np.float32:
        values = wanted.copy()
    values[HOLE], wanted[HOLE] = hole, np.nan
    path = write_raster(tmp_path / "20190514.tif", values, nodata=nodata)
    plan = plan_series([path], tmp_path / "s.vrt", SeriesOptions(measured=True))
    assert plan.dates[0].fractions.valid == pytest.approx(10 / 15)
    series = plan.write(tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got, wanted, atol=2e-7)


def test_black_in_some_bands_is_a_value(tmp_path, rng):
    """Over water a correction may give 0, or a little less, in the infrared."""
    values = digital_numbers(rng).astype(np.int16)
    values[6:, 2:4] = 0
    values[9, 4] = -300
    path = write_raster(tmp_path / "20190514.tif", values, nodata=-9999)
    series = plan_series([path], tmp_path / "s.vrt", SeriesOptions()).write(tmp_path / "s.vrt")
    np.testing.assert_allclose(series.read(series.grid.window, 0), values * 1e-4, atol=2e-7)


@pytest.mark.parametrize(
    ("kind", "hole"),
    [
        (np.int16, -9999),
        (np.int16, -32768),
        (np.uint16, 65535),
        (np.float32, -9999),
        (np.float32, -1),
        (np.float32, 0),
        (np.float32, np.finfo(np.float32).min),
    ],
)
@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:3035"])
def test_what_no_file_declares_does_not_bleed_where_it_is_resampled(tmp_path, rng, kind, hole, crs):
    names = ["B02", "B03", "B04", "B08"]
    fine = digital_numbers(rng, 4, 24, 24)
    write_raster(tmp_path / "20190514_10m.tif", fine, descriptions=names, nodata=0)
    rows, cols = np.mgrid[:12, :12]
    coarse = np.stack([3000 + 40 * rows + 25 * cols] * 2).astype(kind)
    if kind is not np.uint16:
        coarse[0, 0, 0] = -500  # a little below black is a value
    if kind is np.float32:
        coarse /= 10000
    coarse[:, 4:8, 4:8] = hole
    double = (TRANSFORM[0], 20.0, 0.0, TRANSFORM[3], 0.0, -20.0)
    path = tmp_path / "20190514_20m.tif"
    write_raster(path, coarse, descriptions=["B11", "B12"], transform=double)
    series = build_series([tmp_path], tmp_path / "s.vrt", crs=crs, resolution=10)
    got = series.read(series.grid.window, 0)[8:]
    assert np.nanmin(got) > -0.15
    assert np.nanmax(got) < 0.40  # of 0.3715, and the ringing of a cubic kernel
    if crs == "EPSG:32631":
        assert np.isnan(got[:, 9:15, 9:15]).all()
        assert np.isfinite(got[:, :5]).all()


@pytest.mark.parametrize(
    ("kind", "hole"),
    [(np.int16, -9999), (np.uint16, 65535), (np.uint16, 0), (np.float32, -9999), (np.float32, 0)],
)
def test_what_no_file_declares_hides_no_other_image_of_the_day(tmp_path, rng, kind, hole):
    values = digital_numbers(rng).astype(kind)
    if kind is np.float32:
        values /= 10000
    for tile, hidden in (("T31TCJ", slice(0, 5)), ("T31TDJ", slice(5, None))):
        part = values.copy()
        part[..., hidden] = hole
        write_raster(tmp_path / f"{tile}_20190514T105031.tif", part)
    series = build_series([tmp_path], tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got, values * (1 if kind is np.float32 else 1e-4), atol=2e-7)


@pytest.mark.parametrize("kind", ["internal", "msk", "alpha", "alpha bytes"])
@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:3035"])
def test_masks_of_a_file_are_honoured(tmp_path, rng, kind, crs):
    """Bright values lie under the mask, which neither are read nor bleed where resampled."""
    rows, cols = np.mgrid[:24, :24]
    truth = np.stack([2000 + 100 * band + 10 * rows + 5 * cols for band in range(10)])
    hidden = np.zeros((24, 24), bool)
    hidden[6:12, 6:12] = True
    values = np.where(hidden, 12000, truth).astype(np.uint16)
    path = str(tmp_path / "20190514.tif")
    if kind.startswith("alpha"):
        alpha = np.where(hidden, 0, 255 if kind == "alpha bytes" else 65535).astype(np.uint16)
        write_raster(path, np.concatenate([values, alpha[None]]), descriptions=BANDS)
        dataset = gdal.Open(path, gdal.GA_Update)
        dataset.GetRasterBand(11).SetColorInterpretation(gdal.GCI_AlphaBand)
    else:
        write_raster(path, values)
        dataset = gdal.Open(path, gdal.GA_Update)
        gdal.SetConfigOption("GDAL_TIFF_INTERNAL_MASK", "YES" if kind == "internal" else "NO")
        try:
            dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
            mask = np.where(hidden, 0, 255).astype(np.uint8)
            dataset.GetRasterBand(1).GetMaskBand().WriteRaster(0, 0, 24, 24, mask.tobytes())
        finally:
            gdal.SetConfigOption("GDAL_TIFF_INTERNAL_MASK", None)
    del dataset
    series = build_series([path], tmp_path / "s.vrt", crs=crs, resolution=10)
    got = series.read(series.grid.window, 0)
    if crs == "EPSG:32631":
        wanted = np.where(hidden, np.nan, truth * 1e-4)
        np.testing.assert_allclose(got, wanted, atol=2e-7)
    else:
        assert np.nanmin(got) > 0.15
        assert np.nanmax(got) < 0.35
        inner = got[
            :, got.shape[1] // 4 : -got.shape[1] // 4, got.shape[2] // 4 : -got.shape[2] // 4
        ]
        assert 10 < np.isnan(inner[0]).sum() < 60
        assert np.isfinite(inner[0]).sum() > 30


@pytest.mark.parametrize(
    ("kind", "wild"), [(np.uint16, 65530), (np.uint16, 32767), (np.int16, 32767)]
)
@pytest.mark.parametrize("size", [10.0, 20.0])
def test_a_few_pixels_of_impossible_brightness_have_no_value(tmp_path, rng, kind, wild, size):
    names = ["B02", "B03", "B04", "B08"]
    fine = digital_numbers(rng, 4, 24, 24)
    write_raster(tmp_path / "20190514_10m.tif", fine, descriptions=names, nodata=0)
    side = int(240 / size)
    values = np.full((2, side, side), 3000, kind)
    values[:, 5, 5] = wild
    place = (TRANSFORM[0], size, 0.0, TRANSFORM[3], 0.0, -size)
    path = tmp_path / "20190514_other.tif"
    write_raster(path, values, descriptions=["B11", "B12"], transform=place, nodata=0)
    series = build_series([tmp_path], tmp_path / "s.vrt", resolution=10)
    got = series.read(series.grid.window, 0)[8:]
    assert np.nanmax(got) == pytest.approx(0.3, abs=2e-4)
    assert np.nanmin(got) == pytest.approx(0.3, abs=2e-4)
    # At 20 m the kernel takes the place of one pixel from those around it.
    assert np.isnan(got).sum() == (2 if size == 10 else 0)


@pytest.mark.parametrize(
    ("kind", "nodata"), [(np.float32, None), (np.float32, -9999), (np.int16, -9999)]
)
@pytest.mark.parametrize("coarse", [["B11"], ["B02", "B11"]])
def test_zeros_outside_the_swath_are_no_values_in_any_resolution(
    tmp_path, rng, kind, nodata, coarse
):
    """The left half is 0 in all files, whatever they declare."""
    factor = 1e-4 if kind is np.float32 else 1
    for band in ("B02", "B03", "B04", "B08", "B11"):
        size = 20 if band in coarse else 10
        side = 640 // size
        values = np.full((1, side, side), 2000 * factor, kind)
        values[..., : side // 2] = 0
        place = (TRANSFORM[0], float(size), 0.0, TRANSFORM[3], 0.0, -float(size))
        write_raster(tmp_path / f"20190514_{band}.tif", values, transform=place, nodata=nodata)
    series = build_series([tmp_path], tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)[[0, 1, 2, 6, 8]]
    assert np.isnan(got[..., :31]).all()
    assert not (got[..., 31] < 0.19).any()
    # GDAL lets NaN empty all pixels of a kernel: three at 10 m.
    rim = 35 if nodata is None else 32
    np.testing.assert_allclose(got[..., rim:], 0.2, atol=1e-4)


def test_black_water_is_a_value_in_every_resolution(tmp_path):
    """0 in the infrared of a lake is no hole: there the other bands hold something."""
    for band in ("B02", "B03", "B04", "B08", "B11"):
        size = 20 if band == "B11" else 10
        side = 640 // size
        values = np.full((1, side, side), 2000, np.int16)
        if band in ("B08", "B11"):
            values[..., : side // 2] = 0
        place = (TRANSFORM[0], float(size), 0.0, TRANSFORM[3], 0.0, -float(size))
        write_raster(tmp_path / f"20190514_{band}.tif", values, transform=place, nodata=-9999)
    series = build_series([tmp_path], tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)[[0, 1, 2, 6, 8]]
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[:, :, :28].mean((1, 2)), [0.2, 0.2, 0.2, 0, 0], atol=1e-3)


def test_zeros_of_maja_beside_its_stated_nodata_leave_no_rim(tmp_path):
    day = date(2019, 5, 14)
    product = write_theia(tmp_path, day, hole=np.s_[:, :9])
    for path in product.glob("*.tif"):
        dataset = gdal.Open(str(path), gdal.GA_Update)
        band = dataset.GetRasterBand(1)
        size = (band.XSize, band.YSize)
        raw = np.frombuffer(band.ReadRaster(buf_type=gdal.GDT_Int16), np.int16)
        raw = np.where(raw == -10000, 0, raw).astype(np.int16)
        band.WriteRaster(0, 0, *size, raw.tobytes())
        del band, dataset
    plan = plan_series([product], tmp_path / "s.vrt", SeriesOptions())
    assert any("0 stands for no value" in text for text in plan.notes)
    series = plan.write(tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)
    assert np.isnan(got[..., :17]).all()
    wanted = expected(series, day)
    inner = (slice(None), slice(4, -4), slice(22, -4))
    np.testing.assert_allclose(got[inner], wanted[inner], atol=2e-4)
    rim = np.abs(got[..., 17:22] - wanted[..., 17:22])
    assert np.nanmax(rim) < 0.02


@pytest.mark.parametrize(
    ("values", "fill"),
    [
        ([-9999, 1, 2, 30], -9999),
        ([-9999, 0, 12000], -9999),
        ([-9999, -12, 4, 30], -9999),
        ([-9999, -9000, 4, 30], None),
        ([-999, -950, -3], None),
        ([-5, 1, 2], None),
        ([np.nan, 1, 2], None),
        ([], None),
    ],
)
def test_a_value_stands_for_none_only_where_that_is_plain(values, fill):
    assert undeclared_fill(np.array(values, float)) == fill


def test_a_few_pixels_of_scaled_fill_do_not_make_reflectance_something_else(tmp_path, rng):
    """Floating point in which 65535 and 32767 were scaled with all the rest."""
    values = rng.uniform(0.02, 0.4, (10, 48, 48)).astype(np.float32)
    wanted = values.copy()
    for spot, fill in ((5, 6.5535), (24, 3.2767)):
        values[:, spot, spot], wanted[:, spot, spot] = fill, np.nan
    path = write_raster(tmp_path / "20190514.tif", values)
    series = build_series([path], tmp_path / "s.vrt")
    np.testing.assert_allclose(series.read(series.grid.window, 0), wanted)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
@pytest.mark.parametrize("nodata", [None, 0, -9999])
def test_masked_pixels_do_not_bleed_into_a_finer_series(tmp_path, kind, nodata):
    factor = 1e-4 if kind is np.float32 else 1
    values = np.full((10, 24, 24), 2000 * factor, kind)
    values[:, 6:12, 6:12] = 12000 * factor
    path = write_raster(tmp_path / "20190514.tif", values, nodata=nodata)
    dataset = gdal.Open(path, gdal.GA_Update)
    dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
    mask = np.full((24, 24), 255, np.uint8)
    mask[6:12, 6:12] = 0
    dataset.GetRasterBand(1).GetMaskBand().WriteRaster(0, 0, 24, 24, mask.tobytes())
    del dataset
    series = build_series([path], tmp_path / "s.vrt", resolution=5)
    got = series.read(series.grid.window, 0)
    assert np.isnan(got[:, 14:22, 14:22]).all()
    np.testing.assert_allclose(got[np.isfinite(got)], 0.2, atol=2e-4)


@pytest.mark.parametrize("mixed", [False, True], ids=["10 m", "10 and 20 m"])
@pytest.mark.parametrize(
    ("fill", "kind"),
    [
        *((fill, np.float32) for fill in (1e20, 3.4e38, 65535, 32767, 255, -1, -9999)),
        *((fill, np.int16) for fill in (-1, 32767, -9999)),
        *((fill, np.uint16) for fill in (65534, 20000)),
    ],
)
def test_an_undeclared_fill_outside_the_swath(tmp_path, rng, fill, kind, mixed):
    """Half an image holds one value in all bands that no ground has: it is no value, and said."""
    values = land(rng, BANDS, 40, 40).astype(np.float64)
    whole = kind is not np.float32
    for number, band in enumerate(BANDS):
        coarse = mixed and band in ("B05", "B06", "B07", "B8A", "B11", "B12")
        image = values[number, ::2, ::2] if coarse else values[number]
        image = np.rint(image) if whole else image * 1e-4
        image[:, : image.shape[1] // 2] = fill
        step = 20.0 if coarse else 10.0
        write_raster(
            tmp_path / f"20190514_{band}.tif",
            image[None].astype(kind),
            descriptions=[band],
            transform=(6e5, step, 0.0, 5e6, 0.0, -step),
        )
    plan = plan_series([tmp_path], tmp_path / "series.vrt", SeriesOptions())
    assert any(text.startswith(f"{fill:g} stands for no value") for text in plan.notes)
    series = plan.write(tmp_path / "series.vrt")
    got = series.read(series.grid.window, 0)
    assert np.isnan(got[:, :, :19]).all()
    fine = [0, 1, 2, 6] if mixed else range(10)
    for number in fine:
        np.testing.assert_allclose(got[number, :, 20:], values[number, :, 20:] * 1e-4, atol=1e-4)
    assert np.nanmax(got) < 1


def test_a_cloud_of_one_value_is_no_fill(tmp_path, rng):
    """Exports that end at a reflectance of 1 have clouds of one value in all bands."""
    values = land(rng, BANDS, 40, 40).astype(np.uint16)
    values[:, :, :20] = 10000
    write_raster(tmp_path / "20190514.tif", values)
    series = build_series([tmp_path], tmp_path / "series.vrt")
    np.testing.assert_allclose(series.read(series.grid.window, 0), values * 1e-4, atol=1e-6)


def test_a_fill_in_one_part_of_a_day(tmp_path, rng):
    """Two parts of a mosaic: the fill of the second is found beside a first that has none."""
    for number, column in enumerate((0, 40)):
        values = land(rng, BANDS, 40, 40).astype(np.int16)
        if number:
            values[:, :, 20:] = -1
        transform = (6e5 + 10.0 * column, 10.0, 0.0, 5e6, 0.0, -10.0)
        (tmp_path / str(number)).mkdir()
        write_raster(tmp_path / str(number) / "20190514.tif", values, transform=transform)
    series = build_series([tmp_path], tmp_path / "series.vrt")
    valid = np.isfinite(series.read(series.grid.window, 0))
    assert valid[:, :, :60].all()
    assert not valid[:, :, 60:].any()


def test_undescribed_bands_with_an_undeclared_fill_are_found(tmp_path, rng):
    values = land(rng, BANDS, 40, 40).astype(np.float32) * np.float32(1e-4)
    values[:, :, 20:] = -9999
    write_raster(tmp_path / "20190514.tif", values, descriptions=())
    series = build_series([tmp_path], tmp_path / "series.vrt")
    got = series.read(series.grid.window, 0)
    np.testing.assert_allclose(got[:, :, :20], values[:, :, :20], atol=1e-6)
    assert np.isnan(got[:, :, 20:]).all()
