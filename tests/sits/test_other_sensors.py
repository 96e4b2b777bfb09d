"""Images of other sensors are left out of a search and named; nothing is taken for Sentinel-2."""

import json

import numpy as np
import pytest

from alise_plugin.errors import SeriesError
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import SeriesOptions, build_series, plan_series
from alise_plugin.sits.other_sensors import other_sensor
from tests.helpers.rasters import days, land, write_raster

OPTIONS = SeriesOptions(scale=1e-4, offset=0.0)


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        ("HLS.L30.T31TGJ.2019140T101021.v2.0.B05.tif", "HLS L30 (Landsat)"),
        ("20190514_LEVEL2_LND08_BOA.tif", "Landsat (FORCE)"),
        ("20190514_LEVEL2_LND09_BOA.tif", "Landsat (FORCE)"),
        ("LC08_L2SP_197030_20190514_20200828_02_T1_SR_B5.TIF", "Landsat"),
        ("LC81970302019134LGN00_B5.TIF", "Landsat"),
        ("20190514_101021_1003_3B_AnalyticMS_SR_8b_clip.tif", "Planet"),
        ("S1A_IW_GRDH_1SDV_20190514T054321.tif", "Sentinel-1"),
        ("HLS.S30.T31TGJ.2019134T105031.v2.0.B05.tif", None),
        ("20190514_LEVEL2_SEN2A_BOA.tif", None),
        ("20190514_LEVEL2_SEN2B_BOA.tif", None),
        ("S2A_MSIL2A_20190514T105031_N0212_R051_T31TCJ_20190516T135205_B02.tif", None),
        ("SENTINEL2A_20190514-105855-394_L2A_T31TCJ_C_V2-2_FRE_B2.tif", None),
        ("T31TGJ_20190514T105031_B02_10m.jp2", None),
        ("LC_map_20190514.tif", None),
    ],
)
def test_names_tell_the_sensor(name, sensor):
    assert other_sensor(f"/data/{name}", {}) == sensor


@pytest.mark.parametrize(
    ("metadata", "is_other"),
    [
        ({"SPACECRAFT_NAME": "Sentinel-2A"}, False),
        ({"DATATAKE_1_SPACECRAFT_NAME": "Sentinel-2B"}, False),
        ({"SPACECRAFT_ID": "LANDSAT_8"}, True),
        ({"PLATFORM": "landsat-9", "SENSOR": "OLI_TIRS"}, True),
        ({"SENSOR": "MSI"}, False),
        ({"SATELLITE": "PlanetScope"}, True),
        ({"AREA_OR_POINT": "Area", "TIFFTAG_SOFTWARE": "Landsat tools"}, False),
    ],
)
def test_metadata_tell_the_sensor(metadata, is_other):
    assert (other_sensor("/data/20190514.tif", metadata) is not None) == is_other


def test_planetscope_with_eight_bands_is_left_out(tmp_path, rng):
    names = ("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir")
    write_raster(tmp_path / "20190514_8b.tif", land(rng, BANDS[:8]), descriptions=names)
    day = days(1)[0]
    write_raster(tmp_path / f"S2_{day:%Y%m%d}.tif", land(rng))
    plan = plan_series([str(tmp_path)], tmp_path / "series.vrt", OPTIONS)
    assert [name for name, _ in plan.left_out] == ["20190514_8b.tif"]
    assert "PlanetScope" in plan.left_out[0][1]
    with pytest.raises(SeriesError, match="is of PlanetScope"):
        build_series([str(tmp_path / "20190514_8b.tif")], tmp_path / "other.vrt")


def stac_item(folder, identifier, day, image, **stated):
    """One item with a local GeoTIFF for each band."""
    assets = {}
    for band, values in zip(BANDS, image):
        path = folder / f"{identifier}_{band}.tif"
        write_raster(path, values[None], descriptions=(band,), nodata=0)
        assets[band] = {"href": path.name, "type": "image/tiff; application=geotiff"}
        assets[band]["raster:bands"] = [{"scale": 1e-4, "offset": 0.0, "nodata": 0}]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": identifier,
        "geometry": None,
        "collection": stated.pop("collection", "images"),
        "properties": {"datetime": f"{day}T10:50:31Z", **stated},
        "links": [],
        "assets": assets,
    }


@pytest.mark.parametrize(
    ("identifier", "stated", "is_taken"),
    [
        ("one", {"platform": "sentinel-2a"}, True),
        ("one", {"constellation": "sentinel-2"}, True),
        ("one", {"collection": "sentinel-2-l2a"}, True),
        ("one", {"s2:mgrs_tile": "31TGJ"}, True),
        ("S2B_31TGJ_20190514_0_L2A", {}, True),
        ("one", {}, False),
        ("one", {"platform": "landsat-8", "collection": "HLSL30.v2.0"}, False),
        ("one", {"collection": "landsat-c2-l2"}, False),
    ],
)
def test_a_stac_item_has_to_say_that_it_is_sentinel_2(tmp_path, rng, identifier, stated, is_taken):
    first, second = days(2)
    known = stac_item(tmp_path, "known", first, land(rng), platform="sentinel-2b")
    item = stac_item(tmp_path, identifier, second, land(rng), **dict(stated))
    collection = {"type": "FeatureCollection", "features": [known, item]}
    (tmp_path / "items.json").write_text(json.dumps(collection))
    plan = plan_series([str(tmp_path / "items.json")], tmp_path / "series.vrt", SeriesOptions())
    assert len(plan.dates) == 1 + is_taken
    assert [name for name, _ in plan.left_out] == ([] if is_taken else [identifier])


def test_hls_of_both_sensors_gives_sentinel_2_alone(tmp_path, rng):
    first, second = days(2)
    images = {}
    for kind, day in (("S30", first), ("L30", second)):
        stem = f"HLS.{kind}.T31TGJ.{day:%Y%j}T105031.v2.0"
        images[kind] = land(rng)
        for band, values in zip(BANDS, images[kind]):
            metadata = {"SENSING_TIME": f"{day}T10:50:31Z"}
            path = tmp_path / f"{stem}.{band}.tif"
            write_raster(path, values[None].astype(np.int16), metadata=metadata, nodata=-9999)
    plan = plan_series([str(tmp_path)], tmp_path / "series.vrt", OPTIONS)
    with plan.write(tmp_path / "series.vrt") as series:
        assert series.dates == (first,)
        got = series.read_all(series.grid.window)[0]
    np.testing.assert_allclose(got, images["S30"] * 1e-4, atol=2e-7)
    assert len(plan.left_out) == len(BANDS)
    assert all("HLS L30" in reason for _, reason in plan.left_out)
