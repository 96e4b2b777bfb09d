"""Lists of acquisitions that no program should believe: what they do wrong, and what is said."""

import json
import re
from datetime import date

import pytest
from osgeo import gdal

from alise_plugin import AliseError
from alise_plugin.sits.area.transport import Request, fetch_json
from alise_plugin.sits.network import without_secrets
from tests.helpers.area import Log, get
from tests.helpers.stac_server import DAYS, tile_item

FEW = ["B02", "B03", "B04", "B08"]


def rename(item, name):
    item["id"] = name
    item["properties"]["s2:product_uri"] = "S2A_MSIL2A_20230401T105031_N0509_R051_T31TCJ_x.SAFE"


@pytest.mark.parametrize("name", ["..", "../../up", "a/b", "/etc", "C:\\x", "é" * 300])
def test_the_name_of_an_acquisition_leads_out_of_no_folder(server, tmp_path, name):
    rename(server.items[0], name)
    before = {path for path in tmp_path.iterdir()}
    results = get(server, tmp_path, BANDS=FEW)
    assert results["COUNT"] == 4
    made = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert made == {"images", "series.vrt", "series.qml", "series_parts"} & made
    inside = [path for path in (tmp_path / "images").iterdir() if path.is_dir()]
    assert len(inside) == 4
    assert all(len(list(folder.glob("*.tif"))) == 4 for folder in inside)


@pytest.mark.parametrize("href", ["file:///etc/passwd", "/vsizip/x.zip/B02.tif", "<VRTDataset/>"])
def test_a_file_of_this_machine_is_never_opened(server, tmp_path, href):
    secret = tmp_path / "secret.tif"
    gdal.GetDriverByName("GTiff").Create(str(secret), 4, 4, 1)
    for item in server.items:
        for key in ("b02", "b03"):
            item["assets"][key]["href"] = href if key == "b02" else str(secret)
    # What has no address on the web is asked of the service, which does not have it, or left out.
    with pytest.raises(AliseError, match=r"cannot be read from the service|at least four"):
        get(server, tmp_path, BANDS=FEW)
    assert not list((tmp_path / "images").rglob("B0[23].tif"))


def test_relative_addresses_start_from_the_item(server, tmp_path):
    for item in server.items:
        item["links"] = [{"rel": "self", "href": f"{server.address}/files/tiles/item.json"}]
        for asset in item["assets"].values():
            asset["href"] = "./" + asset["href"].split("/files/tiles/")[1]
    assert get(server, tmp_path, BANDS=FEW)["COUNT"] == 4


def test_a_next_page_on_this_machine_is_not_read(tmp_path):
    with pytest.raises(AliseError, match="is no address on the web; do not trust it"):
        fetch_json(Request((tmp_path / "x.json").as_uri()), lambda: None)


def test_items_without_a_day_and_of_other_satellites_are_left_out(server, tmp_path):
    for position, change in enumerate(({"constellation": "landsat", "platform": "landsat-8"}, {})):
        other = json.loads(json.dumps(server.items[1]))
        other["id"] = f"other{position}"
        other["properties"].update(change)
        if not change:
            # The server of this test sorts by it, so that it is a text that names no day.
            other["properties"]["datetime"] = "2023-11-99"
        server.items.append(other)
    log = Log()
    assert get(server, tmp_path, log, BANDS=FEW)["COUNT"] == 4
    assert "2 acquisitions of other satellites or without a day are left out." in log.lines


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"constellation": "landsat"}, "is not of Sentinel-2; choose its Sentinel-2 L2A"),
        (
            {"s2:product_uri": "S2A_MSIL1C_20230401T105031_N0509_R051_T31TCJ_20230401T140000.SAFE"},
            "Level-1C product",
        ),
    ],
)
def test_a_collection_of_something_else_costs_no_byte(server, tmp_path, change, sentence):
    for item in server.items:
        item["properties"].update(change)
    with pytest.raises(AliseError, match=sentence):
        get(server, tmp_path)
    assert not server.file_requests()


def test_scenes_of_an_earlier_run_with_more_cloud_stay_out_of_the_series(server, tmp_path):
    tile_item(server, date(2023, 4, 16), cloud=80.0)
    assert get(server, tmp_path, BANDS=FEW)["COUNT"] == 5
    results = get(server, tmp_path, BANDS=FEW, MAX_CLOUD=50)
    assert "2023-04-16" not in results["DATES"]
    assert results["COUNT"] == len(DAYS)


def test_an_answer_that_is_broken_off_is_asked_again(server, tmp_path):
    server.trouble.cut_answers = 2
    assert get(server, tmp_path, BANDS=FEW)["COUNT"] == 4
    searches = [one for one in server.requests if one[1].startswith("/v1/")]
    assert len(searches) == 2 + 2


def test_values_stated_once_for_an_asset_come_with_its_copy(server, tmp_path):
    """As the Copernicus Data Space writes them: raster:scale and raster:offset of the asset."""
    for item in server.items:
        for asset in item["assets"].values():
            (values,) = asset.pop("raster:bands")
            names = {"scale": "raster:scale", "offset": "raster:offset"}
            asset.update({names.get(name, name): value for name, value in values.items()})
        item["properties"]["processing:version"] = "05.09"
        del item["properties"]["s2:processing_baseline"]
    results = get(server, tmp_path, BANDS=FEW)
    assert not re.search("offset", results["WARNINGS"])
    listed = json.loads((tmp_path / "images" / "items.json").read_text())
    (values,) = listed["features"][0]["assets"]["B02"]["raster:bands"]
    assert values["scale"] == 1e-4
    assert values["offset"] == -0.1


@pytest.mark.parametrize(
    "address", ["https://me:word@stac.example.org/v1", "https://stac.example.org/v1?key=abc"]
)
def test_an_address_with_a_key_is_refused_before_it_is_written(server, tmp_path, address):
    with pytest.raises(AliseError, match="holds a password or a key") as caught:
        get(server, tmp_path, ADDRESS=address)
    assert "word" not in str(caught.value).replace("password", "")
    assert "abc" not in str(caught.value)


def test_signed_addresses_are_not_listed(server, tmp_path):
    for item in server.items:
        for asset in item["assets"].values():
            asset["href"] += "?sig=secret"
    with pytest.raises(AliseError, match="hold keys that end, which a series cannot hold"):
        get(server, tmp_path, COPY=False)
    assert not (tmp_path / "images").exists()
    # Copied they are, and the copies know nothing of the keys.
    get(server, tmp_path, BANDS=FEW)
    for path in (tmp_path / "images").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()


def test_messages_hold_no_key():
    text = "/vsicurl/https://me:word@host/a.tif?sv=1&sig=a%2Fb&x='c' band 1: failed"
    assert without_secrets(text) == "/vsicurl/https://host/a.tif?...'c' band 1: failed"
