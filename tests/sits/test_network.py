"""GDAL's settings for the network: only where a raster lies there, and only for a while."""

import threading

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin import AliseError, open_series
from alise_plugin.sits.network import network_settings, reading
from alise_plugin.sits.rasters import open_raster
from tests.helpers.area import get, pixels
from tests.helpers.stac_server import DAYS, stac_server, tile_item

READDIR, RETRY = "GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_HTTP_MAX_RETRY"
FEW = ["B02", "B03", "B04", "B08"]


def options():
    return gdal.GetConfigOption(READDIR), gdal.GetConfigOption(RETRY)


def vrt(path, *sources):
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}"><SimpleSource><SourceFilename '
        f'relativeToVRT="{int(not name.startswith("/"))}">{name}</SourceFilename></SimpleSource>'
        "</VRTRasterBand>"
        for number, name in enumerate(sources, 1)
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'<VRTDataset rasterXSize="1" rasterYSize="1">{bands}</VRTDataset>')
    return str(path)


@pytest.fixture
def remote(tmp_path):
    (tmp_path / "server").mkdir()
    with stac_server(tmp_path / "server") as server:
        for day in DAYS:
            tile_item(server, day, offset=1000)
        yield server


def test_settings_are_of_the_block_and_of_the_thread():
    before = options()
    seen = []
    with network_settings({"AWS_SECRET_ACCESS_KEY": "secret"}):
        assert options() == ("EMPTY_DIR", "4")
        other = threading.Thread(
            target=lambda: seen.extend([options(), gdal.GetConfigOption("AWS_SECRET_ACCESS_KEY")])
        )
        other.start()
        other.join()
    assert seen == [before, None]
    assert options() == before
    assert gdal.GetConfigOption("AWS_SECRET_ACCESS_KEY") is None


def test_what_the_user_set_stays():
    gdal.SetConfigOption(RETRY, "1")
    try:
        with network_settings():
            assert options() == ("EMPTY_DIR", "1")
    finally:
        gdal.SetConfigOption(RETRY, None)


def test_only_rasters_of_the_network_get_them(tmp_path):
    local = vrt(tmp_path / "local.vrt", "a.tif")
    direct = vrt(tmp_path / "direct.vrt", "/vsicurl/https://host/a.tif")
    vrt(tmp_path / "parts" / "helper.vrt", "/vsis3/bucket/a.tif")
    through = vrt(tmp_path / "through.vrt", "parts/helper.vrt")
    mixed = vrt(tmp_path / "mixed.vrt", "a.tif", "/vsicurl/https://host/a.tif")
    expected = {
        local: (None, None),
        str(tmp_path / "a.tif"): (None, None),
        "/vsicurl/https://host/a.tif": ("EMPTY_DIR", "4"),
        direct: ("EMPTY_DIR", "4"),
        through: ("EMPTY_DIR", "4"),
        mixed: (None, "4"),  # what lies beside a local file counts
    }
    for name, settings in expected.items():
        with reading(name):
            assert options() == settings, name
    memory = "/vsimem/of_this_test.vrt"
    gdal.FileFromMemBuffer(memory, (tmp_path / "direct.vrt").read_bytes())
    with reading(memory):
        assert options() == ("EMPTY_DIR", "4")
    gdal.Unlink(memory)


def test_a_series_on_the_network_asks_for_nothing_in_vain(remote, tmp_path):
    get(remote, tmp_path, COPY=False, REPORT=tmp_path / "report.html")
    assert 404 not in remote.statuses()
    remote.requests.clear()
    gdal.VSICurlClearCache()
    dates, _ = pixels(tmp_path / "series.vrt")
    assert dates == tuple(DAYS)
    assert 404 not in remote.statuses()
    assert len(remote.per_file()) == 40
    assert np.mean(list(remote.per_file().values())) <= 3.4


def test_bands_on_the_network_are_read_side_by_side(remote, tmp_path):
    get(remote, tmp_path)
    get(remote, tmp_path, COPY=False, name="remote", FOLDER=tmp_path / "list")
    gdal.VSICurlClearCache()
    remote.most_at_once = 0
    remote.trouble.latency = 0.02
    with (
        open_series(tmp_path / "remote.vrt") as series,
        open_series(tmp_path / "series.vrt") as own,
    ):
        for number in range(len(DAYS)):
            window = series.grid.window
            np.testing.assert_array_equal(series.read(window, number), own.read(window, number))
    assert remote.most_at_once >= 4


def test_a_server_that_is_gone_is_one_sentence(remote, tmp_path):
    get(remote, tmp_path, COPY=False, BANDS=FEW)
    gdal.VSICurlClearCache()
    remote.trouble.gone = True
    gdal.SetConfigOption("GDAL_HTTP_RETRY_DELAY", "0.01")
    try:
        series = open_series(tmp_path / "series.vrt")
        with series, pytest.raises(AliseError, match=r"series\.vrt cannot be read"):
            series.read(series.grid.window, 0)
        name = f"/vsicurl/{remote.address}/files/a.tif?sig=secret"
        with pytest.raises(AliseError, match="cannot be opened as a raster") as caught:
            open_raster(name)
    finally:
        gdal.SetConfigOption("GDAL_HTTP_RETRY_DELAY", None)
    assert "secret" not in str(caught.value)
