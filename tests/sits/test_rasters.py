"""What reading says, and what it does not."""

import threading
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from cubes_for_tests import write_netcdf4
from products_for_tests import reference

from alise_plugin.sits.build import build_series


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
