"""Series of an area as a QGIS algorithm: the user's network settings, layers, the same bits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

qgis_core = pytest.importorskip("qgis.core", reason="QGIS is not installed")

from alise_plugin.sits.area import transport
from tests.helpers.stac_server import COLLECTION, DAYS, bbox, stac_server, tile_item

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    with stac_server(tmp_path / "server") as running:
        for day in DAYS[:2]:
            tile_item(running, day, offset=1000)
        yield running


def parameters(server, folder, **more):
    west, south, east, north = bbox()
    box = (west + (east - west) * 0.3, west + (east - west) * 0.5)
    rows = (south + (north - south) * 0.3, south + (north - south) * 0.5)
    return {
        "AREA": f"{box[0]},{box[1]},{rows[0]},{rows[1]} [EPSG:4326]",
        "START": "2023-01-01",
        "END": "2023-12-31",
        "SERVICE": "other",
        "ADDRESS": server.api,
        "COLLECTION": COLLECTION,
        "FOLDER": str(folder / "images"),
        "OUTPUT": str(folder / "series.vrt"),
        **more,
    }


def test_qgis_sends_the_requests_and_the_bits_are_those_of_the_command_line(
    run, server, tmp_path, monkeypatch
):
    def not_this(request):
        raise AssertionError("QGIS sends the requests itself")

    monkeypatch.setattr(transport.urllib.request, "urlopen", not_this)
    results = run("alise:seriesofarea", parameters(server, tmp_path))
    monkeypatch.undo()
    assert results["COUNT"] == 2
    given = parameters(server, tmp_path, FOLDER=str(tmp_path / "b"), OUTPUT=str(tmp_path / "b.vrt"))
    west, east, south, north = given.pop("AREA").split(" ")[0].split(",")
    command = [sys.executable, "-m", "alise_plugin", "seriesofarea", "--quiet"]
    command += ["--area", west, south, east, north]
    for name, text in given.items():
        command += [f"--{name.lower()}", text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (
        gdal.Open(str(tmp_path / name)).ReadAsArray() for name in ("series.vrt", "b.vrt")
    )
    np.testing.assert_array_equal(first, second)


def test_an_area_in_metres_is_taken_to_degrees(run, server, tmp_path):
    box = "602000,602400,4996800,4997200 [EPSG:32631]"
    results = run("alise:seriesofarea", parameters(server, tmp_path, AREA=box))
    with_extent = gdal.Open(results["OUTPUT"])
    left, _, _, top, _, _ = with_extent.GetGeoTransform()
    assert (left, top) == (602000, 4997200)
    assert (with_extent.RasterXSize, with_extent.RasterYSize) == (40, 40)


def test_what_the_service_refuses_is_one_sentence(run, refused, server, tmp_path):
    with pytest.raises(refused, match="has no collection landsat"):
        run("alise:seriesofarea", parameters(server, tmp_path, COLLECTION="landsat"))
    nowhere = "http://127.0.0.1:9/v1"
    with pytest.raises(refused, match="does not answer"):
        run("alise:seriesofarea", parameters(server, tmp_path, ADDRESS=nowhere))


def basic_login(name, password):
    """A configuration in the store of QGIS; returns its id."""
    manager = qgis_core.QgsApplication.authManager()
    assert manager.setMasterPassword("master", True)
    login = qgis_core.QgsAuthMethodConfig("Basic")
    login.setName("of this test")
    login.setConfig("username", name)
    login.setConfig("password", password)
    assert manager.storeAuthenticationConfig(login)[0]
    return login.id()


def test_a_login_from_the_store_of_qgis(run, refused, server, tmp_path):
    server.trouble.login = "reader:geheim"
    with pytest.raises(refused, match="asks for a login"):
        run("alise:seriesofarea", parameters(server, tmp_path))
    with pytest.raises(refused, match="is no authentication configuration"):
        run("alise:seriesofarea", parameters(server, tmp_path, LOGIN="abc1234"))
    login = basic_login("reader", "geheim")
    results = run("alise:seriesofarea", parameters(server, tmp_path, LOGIN=login))
    assert results["COUNT"] == 2
    for path in tmp_path.rglob("*"):
        if path.is_file() and "server" not in path.parts:
            assert b"geheim" not in path.read_bytes(), path


def test_the_list_of_images_is_stac(run, server, tmp_path):
    results = run("alise:seriesofarea", parameters(server, tmp_path))
    listed = json.loads(Path(results["ITEMS"]).read_text())
    assert listed["type"] == "FeatureCollection"
    assert len(listed["features"]) == 2
