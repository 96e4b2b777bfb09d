"""Services that ask for a login: who gets it, and where it never stands."""

from urllib.parse import urlsplit

import pytest
from osgeo import gdal

from alise_plugin import AliseError
from alise_plugin.sits.area.services import SERVICES, service_of
from alise_plugin.sits.area.transport import Login
from tests.helpers.area import Log, get

FEW = ["B02", "B03", "B04", "B08"]


@pytest.fixture
def locked(server, monkeypatch):
    server.trouble.login = "reader:geheim"
    monkeypatch.setenv("TEST_LOGIN", "reader:geheim")
    return server


def test_search_pages_and_files_of_the_service_get_the_login(locked, tmp_path):
    locked.trouble.page = 1
    log = Log()
    results = get(locked, tmp_path, log, BANDS=FEW, LOGIN="TEST_LOGIN")
    assert results["COUNT"] == 4
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and "server" not in path.parts
    ]
    assert written
    assert not [path for path in written if b"geheim" in path.read_bytes()]
    assert not [line for line in log.lines + log.warnings if "geheim" in line]
    assert gdal.GetConfigOption("GDAL_HTTP_USERPWD") is None


def test_another_server_gets_no_login(locked, tmp_path):
    locked.trouble.login = None
    for item in locked.items:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace("127.0.0.1", "localhost")
    get(locked, tmp_path, BANDS=FEW, LOGIN="TEST_LOGIN")
    of_the_list = [given for host, path, given in locked.given if path.startswith("/v1")]
    of_the_files = {given for host, _, given in locked.given if host.startswith("localhost")}
    assert all(of_the_list)
    assert of_the_files == {None}


def test_a_wrong_login_is_one_sentence(locked, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_LOGIN", "reader:falsch")
    with pytest.raises(AliseError, match=r"refuses the request \(401\): it asks for a login") as no:
        get(locked, tmp_path, LOGIN="TEST_LOGIN")
    assert "falsch" not in str(no.value)
    with pytest.raises(AliseError, match="names no environment variable that holds user:password"):
        get(locked, tmp_path, LOGIN="reader:geheim")
    monkeypatch.setenv("TEST_LOGIN", "reader:geheim")
    with pytest.raises(AliseError, match="need a key or token at each reading"):
        get(locked, tmp_path, LOGIN="TEST_LOGIN", COPY=False)


def test_a_login_for_a_service_without_is_refused():
    with pytest.raises(AliseError, match="Earth Search asks for no login"):
        service_of("earthsearch", "", "", Login("a", "b"))


def test_keys_of_the_bucket_come_from_the_login_and_go_there_only(monkeypatch):
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "from the environment")
    service = service_of("copernicus", "", "", Login("access", "secret"))
    options = service.options_of("s3://eodata/Sentinel-2/a.jp2")
    assert options["AWS_ACCESS_KEY_ID"] == "access"
    assert options["AWS_SECRET_ACCESS_KEY"] == "secret"
    assert service.request(f"{service.address}/search", {}).login is None
    assert "secret" not in repr(service)
    assert urlsplit(SERVICES["copernicus"].address).netloc not in options["AWS_S3_ENDPOINT"]
