"""The offset of 1000 that products since 2022 hold, and older ones that were processed again."""

from datetime import date

import numpy as np
import pytest

from alise_plugin.errors import SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from tests.helpers.products import CORNER, SIDE, dn, expected, write_safe
from tests.helpers.rasters import digital_numbers, write_raster

DAY = date(2019, 5, 14)


@pytest.mark.parametrize("given", ["images", "IMG_DATA", "granule"])
def test_images_inside_a_safe_are_read_as_its_metadata_state(tmp_path, given):
    """A product of 2019 in Collection 1: neither day nor name of an image tell of its offset."""
    product = write_safe(tmp_path, DAY, baseline="05.00", offset=-1000, side=2 * SIDE)
    data = next(product.glob("GRANULE/*/IMG_DATA"))
    inputs = {
        "images": sorted(data.rglob("*_B*.jp2")),
        "IMG_DATA": [data],
        "granule": [data.parent],
    }
    plan = plan_series(inputs[given], tmp_path / "s.vrt", SeriesOptions())
    assert any("baseline 05.00, BOA_ADD_OFFSET -1000" in text for text in plan.notes)
    series = plan.write(tmp_path / "s.vrt")
    got = series.read(series.grid.window, 0)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(got[inner], expected(series, DAY)[inner], atol=1.01e-4)


def test_images_of_a_reprocessed_product_win_over_those_of_the_older(tmp_path):
    old = write_safe(tmp_path / "old", DAY)
    new = write_safe(
        tmp_path / "new", DAY, baseline="05.00", offset=-1000, processed="20230516T135205"
    )
    inputs = [image for product in (old, new) for image in sorted(product.rglob("*_B*_*m.jp2"))]
    plan = plan_series(inputs, tmp_path / "s.vrt", SeriesOptions())
    layers = plan.dates[0].acquisition.layers
    assert all(str(new) in layer.source.path for band in BANDS for layer in layers[band])


def test_a_few_dark_pixels_prove_nothing(tmp_path, rng):
    values = np.maximum(digital_numbers(rng, height=64, width=64), 100) + 1000
    values[:, 30:32, 30:32] = 700
    path = write_raster(tmp_path / "20230514.tif", values)
    with pytest.raises(SeriesError, match="give the offset"):
        build_series([path], tmp_path / "s.vrt")


def older_image(kind):
    """DN of an image of 2019 on ground of one kind."""
    place = {"corner": CORNER, "side": SIDE}
    image = np.stack([dn(band, date(2019, 5, 2), **place) for band in BANDS]) // 3
    if kind == "sand":
        image += np.array([900, 1500, 2300, 3000, 3000, 3200, 3400, 3500, 4500, 4000])[
            :, None, None
        ]
    if kind == "cloud":
        image += 5000
    if kind == "offset":
        image += 1000
    return image.astype(np.uint16)


@pytest.mark.parametrize("kind", ["land", "sand", "cloud", "offset"])
@pytest.mark.parametrize("dtype", ["DN", "reflectance"])
def test_older_images_that_may_hold_it_make_a_warning(tmp_path, kind, dtype):
    values = older_image(kind)
    if dtype == "reflectance":
        values = values.astype(np.float32) * np.float32(1e-4)
    for day in ("20190502", "20190602"):
        write_raster(tmp_path / f"{day}.tif", values)
    plan = plan_series([tmp_path], tmp_path / "s.vrt", SeriesOptions())
    assert len(plan.warnings) == (kind == "offset")
    assert all("offset of -0.1" in text for text in plan.warnings)
    given = plan_series([tmp_path], tmp_path / "s.vrt", SeriesOptions(offset=-0.1))
    # Land without the offset goes far below 0, and so is the offset that was given too much.
    assert ["give OFFSET 0" in text for text in given.warnings] == [True] * (kind == "land")


@pytest.mark.parametrize("year", [2019, 2023])
def test_a_hazy_date_among_clear_ones_is_only_noted(tmp_path, year):
    for month, kind in ((4, "land"), (5, "land"), (6, "offset")):
        write_raster(tmp_path / f"{year}{month:02d}02.tif", older_image(kind))
    plan = plan_series([tmp_path], tmp_path / "s.vrt", SeriesOptions())
    assert not plan.warnings
    assert any(f"{year}0602.tif begin at" in text for text in plan.notes)
