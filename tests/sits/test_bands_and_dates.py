from datetime import date

import numpy as np
import pytest

from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.acquisitions import days_since_reference, parse_date
from alise_plugin.sits.bands import canonical_band


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B2", "B02"),
        ("b02", "B02"),
        ("B8a", "B8A"),
        ("B08_10m", "B08"),
        ("T31TCJ_20190514T105031_B12_20m.jp2", "B12"),
        ("2019-05-14 B02", "B02"),
        ("SENTINEL2B_20190514-105855-394_L2A_T31TCJ_C_V2-2_FRE_B11.tif", "B11"),
        ("B5, central wavelength 705 nm", "B05"),
        ("B1", None),
        ("B10", None),
        ("B13", None),
        ("B021", None),
        ("SCL", None),
        ("B2 minus B3", None),
        ("", None),
        (None, None),
    ],
)
def test_band_names(text, band):
    assert canonical_band(text) == band


def test_every_band_is_its_own_name():
    assert [canonical_band(band) for band in BANDS] == list(BANDS)


@pytest.mark.parametrize(
    "text",
    [
        "2019-05-14",
        "2019-05-14T10:50:31Z",
        "2019:05:14 10:50:31",
        "20190514",
        "20190514T105031",
        "field_2019_05_14.tif",
        "S2A_MSIL2A_20190514T105031_N0212_R051_T31TCJ_20190516T135205.SAFE",
        "SENTINEL2A_20190514-105855-394_L2A_T31TCJ_C_V2-2",
        "2019-05-14 B02",
        "20200103_S2A_MSIL2A_20190514T105621_N0212_R094_T31TFJ_20190514T134242.tif",
        "s2a_msil2a_20190514t105621_n0212_r094_t31tfj_20190516t134242_B04.tif",
        "S2A_MSIL2A_20190514T105621_20200103.tif",
        "20200103_T31TCJ_20190514T105031_B02_10m.jp2",
        "20190514T105031_20190516T105555_T31TCJ_B2",
        "SENTINEL2A_20190514-105855-394_L2A_T31TCJ_C_V2-2_20200103.tif",
    ],
)
def test_dates_found(text):
    assert parse_date(text) == date(2019, 5, 14)


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        "stack.tif",
        "20190230",
        "120190514",
        "2019-0514",
        "20190514_20190601.tif",
        "S2_median_20190501_20190531.tif",
        "S2A_median_20190501_20190531.tif",
        "S2A_proc20200103_20190514.tif",
        "S2A_L2A_20190514T105031_N0212_R051_T31TCJ_20190516T135205.tif",
        "SENTINEL2A_20190501_20190531.tif",
    ],
)
def test_no_date_is_made_up(text):
    assert parse_date(text) is None


def test_days_are_counted_from_the_papers_day():
    days = days_since_reference([date(2014, 3, 3), date(2014, 3, 2), date(2019, 5, 14)])
    assert days.dtype == np.float32
    assert days.tolist() == [0, -1, 1898]
