"""What reading says, and what it does not."""

import contextlib
import threading
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.sits.build import build_series
from alise_plugin.sits.rasters import block_cache
from tests.helpers.cubes import write_netcdf4
from tests.helpers.products import reference


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="done on Linux only")
def test_a_netcdf_read_in_another_thread_prints_nothing(tmp_path, capfd):
    """netCDF silences HDF5 only in the thread that used it first."""
    since = np.array([(date(2019, month, 1) - date(2019, 1, 1)).days for month in (1, 2)], "i8")
    values = np.random.default_rng(0).integers(1, 9000, (2, 8, 8)).astype("u2")
    wkt = reference(32631).ExportToWkt()
    path = write_netcdf4(
        tmp_path / "cube.nc",
        {band: (("time", "y", "x"), values) for band in ("B02", "B03", "B04", "B08")},
        {
            "time": (since, {"units": "days since 2019-01-01"}),
            "y": (5e6 - 10 * (np.arange(8) + 0.5), {}),
            "x": (6e5 + 10 * (np.arange(8) + 0.5), {}),
        },
        scalars={"crs": (np.int32(0), {"crs_wkt": wkt, "spatial_ref": wkt})},
        attributes={"grid_mapping": "crs"},
    )
    found = []
    series = build_series([path], tmp_path / "series.vrt")
    series.read_all(series.grid.window)  # here netCDF is used first, if not before
    series.close()

    def work():
        with series.reopen() as own:
            found.append(own.read_all(own.grid.window))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_allclose(found[0][:, 2], values * 1e-4, atol=1e-6)
    assert capfd.readouterr().err == ""


def test_runs_side_by_side_leave_the_cache_of_gdal_as_it_was():
    before = gdal.GetCacheMax()
    first, second = block_cache(50e6), block_cache(40e6)
    with contextlib.ExitStack() as later:
        with first:
            assert gdal.GetCacheMax() == 50_000_000
            later.enter_context(second)
            assert gdal.GetCacheMax() == 40_000_000
        assert gdal.GetCacheMax() == 40_000_000  # the first to begin ends first
    assert gdal.GetCacheMax() == before
