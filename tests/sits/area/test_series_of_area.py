"""From an area to a series, on a STAC API and files served on loopback."""

import json
import threading
import time
from datetime import date

import numpy as np
import pytest
from osgeo import gdal, ogr

from alise_plugin import AliseError, run
from alise_plugin.errors import Cancelled
from alise_plugin.sits.area import services
from alise_plugin.sits.area.services import Service
from tests.helpers.area import Log, area, get, pixels
from tests.helpers.stac_server import COLLECTION, DAYS, stac_server, tile_item


def test_the_series_is_that_of_the_same_files_on_disk(server, tmp_path):
    log = Log()
    results = get(server, tmp_path, log, REPORT=tmp_path / "report.html")
    local = {
        "type": "FeatureCollection",
        "features": json.loads(
            json.dumps(server.items).replace(f"{server.address}/files/", "files/")
        ),
    }
    (server.folder / "local.json").write_text(json.dumps(local))
    extent = {"extent": area(), "extent_crs": "EPSG:4326"}
    from alise_plugin import build_series

    build_series([server.folder / "local.json"], tmp_path / "local.vrt", **extent).close()
    (dates, found), (true_dates, truth) = pixels(results["OUTPUT"]), pixels(tmp_path / "local.vrt")
    assert dates == true_dates == tuple(DAYS)
    np.testing.assert_array_equal(found, truth)
    assert np.isfinite(found).all()
    # The log says what is coming before the first file is asked for.
    (first,) = [line for line in log.lines if "files to fetch" in line]
    assert "4 acquisitions on 4 days from 2023-04-01 to 2023-05-01" in first
    assert "44 files to fetch, at most 0." in first
    assert "MB, less than a minute; 0 files are there already." in first
    assert log.fractions == sorted(log.fractions)
    assert log.fractions[-1] == 1
    assert "2023-04-11" in (tmp_path / "report.html").read_text()


def test_few_requests_none_in_vain_and_hardly_a_byte_too_much(server, tmp_path):
    get(server, tmp_path)
    assert 404 not in server.statuses()
    # A HEAD, the header, and one for each row of blocks that the window touches.
    assert max(server.per_file().values()) <= 4
    assert np.mean(list(server.per_file().values())) <= 3.4


def test_every_file_is_a_cog_and_any_stac_reader_finds_it(server, tmp_path):
    results = get(server, tmp_path)
    listed = json.loads((tmp_path / "images" / "items.json").read_text())
    assert results["ITEMS"] == str(tmp_path / "images" / "items.json")
    assert [item["properties"]["datetime"][:10] for item in listed["features"]] == [
        str(day) for day in DAYS
    ]
    for item in listed["features"]:
        assert set(item["assets"]) == {
            *(["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL"])
        }
        for asset in item["assets"].values():
            copy = gdal.Open(str(tmp_path / "images" / asset["href"]))
            assert copy.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    # The folder is a data set of its own.
    run("buildtimeseries", FILES=[results["ITEMS"]], OUTPUT=tmp_path / "again.vrt")
    dates, _ = pixels(tmp_path / "again.vrt")
    assert dates == tuple(DAYS)


def test_a_later_end_fetches_only_what_is_new(server, tmp_path):
    get(server, tmp_path, END="2023-04-15")
    assert len(server.per_file()) == 22
    before = dict(server.per_file())
    log = Log()
    results = get(server, tmp_path, log)
    assert results["COUNT"] == 4
    assert {path: count for path, count in server.per_file().items() if path in before} == before
    assert any("22 files are there already" in line for line in log.lines)
    # The days that were asked for count, not those that the folder holds.
    assert get(server, tmp_path, START="2023-04-05", END="2023-04-25")["COUNT"] == 2


@pytest.mark.parametrize("trouble", [{"busy": 0.1}, {"broken": 0.1}])
def test_a_service_with_hiccups_gives_the_same_bits(server, tmp_path, trouble):
    get(server, tmp_path)
    for name, value in trouble.items():
        setattr(server.trouble, name, value)
    gdal.VSICurlClearCache()
    get(server, tmp_path, FOLDER=tmp_path / "other", name="other")
    for name in ("busy", "broken"):
        setattr(server.trouble, name, 0)
    np.testing.assert_array_equal(
        pixels(tmp_path / "series.vrt")[1], pixels(tmp_path / "other.vrt")[1]
    )


def test_a_service_that_is_gone_costs_nothing_that_was_there(server, tmp_path):
    get(server, tmp_path, END="2023-04-15")
    (tmp_path / "series.vrt").unlink()
    server.trouble.gone = True
    gdal.VSICurlClearCache()
    with pytest.raises(AliseError, match=r"cannot be read from the service .*run again to go on"):
        get(server, tmp_path)
    assert not (tmp_path / "series.vrt").exists()
    assert not list((tmp_path / "images").rglob("*partial*"))
    server.trouble.gone = False
    done = len([one for one in server.file_requests() if one[3] == 200])
    gdal.VSICurlClearCache()
    results = get(server, tmp_path)
    assert results["COUNT"] == 4
    after = [one for one in server.file_requests() if one[3] == 200][done:]
    assert not [one for one in after if "20230401" in one[1] or "20230411" in one[1]]


def test_tokens_are_renewed_and_stand_nowhere(server, tmp_path, monkeypatch):
    server.trouble.token_life = 1.0
    server.trouble.latency = 0.05
    signing = Service("Signing", server.api, COLLECTION, tokens=f"{server.address}/token")
    monkeypatch.setitem(services.SERVICES, "planetarycomputer", signing)
    log = Log()
    more = {"SERVICE": "planetarycomputer", "ADDRESS": "", "COLLECTION": ""}
    get(server, tmp_path, log, **more, REPORT=tmp_path / "report.html")
    # One serves all files until half of its life is over.
    assert 2 <= len(server.tokens) <= 10
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and "server" not in path.parts
    ]
    assert len(written) > 40
    for path in written:
        assert b"secret" not in path.read_bytes(), path
    assert not [line for line in log.lines + log.warnings if "secret" in line]
    with pytest.raises(AliseError, match="need a key or token at each reading"):
        get(server, tmp_path, **more, COPY=False, FOLDER=tmp_path / "remote")


def test_a_refusal_names_no_token(server, tmp_path, monkeypatch):
    server.trouble.token_life = -1.0
    signing = Service("Signing", server.api, COLLECTION, tokens=f"{server.address}/token")
    monkeypatch.setitem(services.SERVICES, "planetarycomputer", signing)
    with pytest.raises(AliseError, match="cannot be read from the service") as caught:
        get(server, tmp_path, SERVICE="planetarycomputer", ADDRESS="", COLLECTION="")
    assert "secret" not in str(caught.value)


def test_a_service_that_says_nothing_of_its_values_needs_no_question(tmp_path, monkeypatch):
    """DN as delivered: the baseline decides on the offset."""
    (tmp_path / "server").mkdir()

    def bare(item):
        for asset in item["assets"].values():
            del asset["raster:bands"]

    with stac_server(tmp_path / "server") as server:
        tile_item(server, DAYS[0], offset=1000, darker=0.05, baseline="05.09", changes=bare)
        tile_item(server, date(2021, 4, 11), offset=0, darker=0.05, baseline="03.01", changes=bare)
        plain = Service("Plain", server.api, COLLECTION, dn_as_delivered=True)
        monkeypatch.setitem(services.SERVICES, "earthsearch", plain)
        results = get(
            server, tmp_path, START="2021-01-01", SERVICE="earthsearch", ADDRESS="", COLLECTION=""
        )
    _, found = pixels(results["OUTPUT"])
    first, second = np.median(found, axis=(2, 3))
    assert np.abs(first - second).max() < 0.05


@pytest.mark.parametrize("by", ["POST", "GET"])
def test_pages_are_turned(server, tmp_path, by):
    server.trouble.page, server.trouble.next_by = 1, by
    assert get(server, tmp_path, BANDS=["B04", "B08", "B03", "B02"])["COUNT"] == 4
    searches = [one for one in server.requests if one[1] == "/v1/search"]
    assert [one[0] for one in searches[:2]] == ["POST", by]


def test_clouds_and_older_processings_are_left_out(server, tmp_path):
    tile_item(server, date(2023, 4, 16), cloud=80.0)
    older = json.loads(json.dumps(server.items[0]))
    older["id"] = older["id"].replace("_0_L2A", "_1_L2A")
    server.items.append(older)
    log = Log()
    results = get(server, tmp_path, log, MAX_CLOUD=50, BANDS=["B02", "B03", "B04", "B08"])
    assert results["COUNT"] == 4
    assert "1 older processings of a scene are left out." in log.lines
    assert "1 acquisitions with more cloud are left out." in log.lines
    assert results["BANDS_MISSING"]
    with pytest.raises(AliseError, match="more cloud than MAX_CLOUD"):
        get(server, tmp_path, MAX_CLOUD=1)


def test_the_area_around_polygons(server, tmp_path):
    west, south, east, north = area()
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(tmp_path / "fields.gpkg"))
    from tests.helpers.products import reference

    layer = source.CreateLayer("fields", reference(4326), ogr.wkbPolygon)
    middle = (west + east) / 2
    for first, last in ((west, middle), (middle, east)):
        feature = ogr.Feature(layer.GetLayerDefn())
        ring = f"{first} {south}, {last} {south}, {last} {north}, {first} {north}, {first} {south}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
        layer.CreateFeature(feature)
    del layer, source
    get(server, tmp_path)
    polygons = {"AREA": None, "POLYGONS": tmp_path / "fields.gpkg", "FOLDER": tmp_path / "b"}
    get(server, tmp_path, name="b", **polygons)
    np.testing.assert_array_equal(pixels(tmp_path / "series.vrt")[1], pixels(tmp_path / "b.vrt")[1])


def test_nothing_is_copied_where_that_is_asked_for(server, tmp_path):
    get(server, tmp_path)
    results = get(server, tmp_path, name="remote", FOLDER=tmp_path / "list", COPY=False)
    assert {path.name for path in (tmp_path / "list").iterdir()} == {"items.json", "area.json"}
    assert "/vsicurl/" in (tmp_path / "remote.vrt").read_text()
    np.testing.assert_array_equal(pixels(results["OUTPUT"])[1], pixels(tmp_path / "series.vrt")[1])


def test_cancel_ends_within_seconds_also_when_the_server_is_silent(server, tmp_path):
    server.trouble.silent = True
    log = Log()
    result = {}

    def work():
        try:
            get(server, tmp_path, log)
        except Cancelled as error:
            result["error"] = error

    thread = threading.Thread(target=work)
    thread.start()
    while not log.fractions:
        time.sleep(0.05)
    time.sleep(0.5)
    started = time.monotonic()
    log.cancel_at = -1.0
    thread.join(10)
    assert time.monotonic() - started < 5
    assert "error" in result
    assert not (tmp_path / "series.vrt").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"START": "2023-12-31", "END": "2023-01-01"}, "END 2023-01-01 lies before START"),
        ({"ADDRESS": "ftp://somewhere"}, "begins with https"),
        ({"COLLECTION": ""}, "needs the name of a collection"),
        ({"COLLECTION": "landsat"}, "has no collection landsat; it has sentinel-2-c1-l2a"),
        ({"START": "2022-05-20", "END": "2022-06-01"}, "; the nearest are of 2023-04-01"),
        ({"START": "2019-01-01", "END": "2019-02-01"}, "nor within a year of that"),
        ({"AREA": (0, 0, 0, 1)}, "empty, endless or turned round"),
        ({"AREA": (10, 95, 11, 96)}, "nowhere on the Earth"),
        ({"AREA": (20.0, 50.0, 20.1, 50.1)}, "has no acquisition of sentinel-2-c1-l2a there"),
        ({"BANDS": ["B01"]}, "BANDS names B01; choose among B02"),
        ({"LIMIT": 0.1}, r"more than the LIMIT of 0.1 MB.*an area of at most 0\.\d x 0\.\d km"),
        ({"SERVICE": "earthsearch"}, 'ADDRESS is for SERVICE "other"'),
        ({"AREA": None}, "No area was given"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(server, tmp_path, changed, sentence):
    before = set(tmp_path.iterdir())
    with pytest.raises(AliseError, match=sentence) as caught:
        get(server, tmp_path, **changed)
    assert str(caught.value).count("\n") == 0
    assert set(tmp_path.iterdir()) == before


def test_a_folder_of_another_area_is_left_alone(server, tmp_path):
    get(server, tmp_path, BANDS=["B02", "B03", "B04", "B08"])
    with pytest.raises(AliseError, match="holds windows of another area"):
        get(server, tmp_path, AREA=area((0.5, 0.5, 0.7, 0.7)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").touch()
    with pytest.raises(AliseError, match=r"holds other files \(thesis.doc\)"):
        get(server, tmp_path, FOLDER=tmp_path / "mine")


def test_an_address_that_is_no_stac_api(server, tmp_path):
    with pytest.raises(AliseError, match=r"refuses the request \(404: Not Found"):
        get(server, tmp_path, ADDRESS=f"{server.address}/nothing")
    server.trouble.login_page = True
    with pytest.raises(AliseError, match="answers with a web page instead of data"):
        get(server, tmp_path)


def test_an_address_that_does_not_resolve(tmp_path, monkeypatch):
    monkeypatch.setattr("alise_plugin.sits.area.transport._PAUSE", 0.0)
    address = "https://no-such-host.invalid/v1"
    with pytest.raises(AliseError, match=r"no-such-host\.invalid does not answer"):
        run(
            "seriesofarea",
            AREA=area(),
            START="2023-01-01",
            END="2023-02-01",
            SERVICE="other",
            ADDRESS=address,
            COLLECTION="x",
            OUTPUT=tmp_path / "s.vrt",
        )


def test_keys_that_are_missing_are_named(server, tmp_path, monkeypatch):
    locked = Service(
        "Locked", server.api, COLLECTION, key_variables={"MY_TEST_KEY": "AWS_ACCESS_KEY_ID"}
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setitem(services.SERVICES, "copernicus", locked)
    with pytest.raises(AliseError, match="environment variables MY_TEST_KEY"):
        get(server, tmp_path, SERVICE="copernicus", ADDRESS="", COLLECTION="")


def test_gdal_is_as_before_after_a_run(server, tmp_path):
    names = ("GDAL_HTTP_MAX_RETRY", "GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_HTTP_CONNECTTIMEOUT")
    before = [gdal.GetConfigOption(name) for name in names]
    get(server, tmp_path, BANDS=["B02", "B03", "B04", "B08"])
    assert [gdal.GetConfigOption(name) for name in names] == before
