"""Real series: one embedding, whatever form their files have."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from alise_plugin.model.encoder import load_encoder
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.build import build_series
from tests.helpers.cubes import write_netcdf4, write_zarr
from tests.helpers.products import reference, write_image
from tests.helpers.real_series import real_series

ROOT = Path(__file__).resolve().parents[2]
CORNER, DATES = (600000.0, 5600000.0), 7


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("onnxruntime")
    return load_encoder(ROOT / "models" / "alise-s2", "cpu", 1)


def forms(folder, values, days):
    """The same DN (T, 10, H, W) as a stack, as one file per date, and as cubes."""
    place = {"corner": CORNER, "epsg": 32632, "nodata": 0}
    height, width = values.shape[2:]
    names = [f"{day} {band}" for day in days for band in BANDS]
    stack = values.reshape(-1, height, width)
    yield [write_image(folder / "stack.tif", stack, descriptions=names, **place)]
    yield [write_image(folder / f"S2_{d:%Y%m%d}.tif", v, **place) for d, v in zip(days, values)]
    wkt = reference(32632).ExportToWkt()
    since = np.array([(day - date(2017, 1, 1)).days for day in days], "i8")
    cube = (
        {b: (("time", "y", "x"), values[:, plane]) for plane, b in enumerate(BANDS)},
        {
            "time": (since, {"units": "days since 2017-01-01"}),
            "y": (CORNER[1] - 10 * (np.arange(height) + 0.5), {}),
            "x": (CORNER[0] + 10 * (np.arange(width) + 0.5), {}),
        },
    )
    more = {
        "scalars": {"crs": (np.int32(0), {"crs_wkt": wkt, "spatial_ref": wkt})},
        "attributes": {"grid_mapping": "crs"},
    }
    yield [write_netcdf4(folder / "cube.nc", *cube, **more)]
    yield [write_zarr(folder / "cube.zarr", *cube, **more)]


@pytest.mark.parametrize(("site", "step"), [("belgian_fields", 10), ("bavarian_field", 2)])
def test_stack_files_and_cubes_give_one_embedding(tmp_path, encoder, site, step):
    real = real_series(site, step)
    values, days, truth = real.dn[:DATES], real.days[:DATES], real.reflectance[:DATES]
    embeddings = []
    for number, inputs in enumerate(forms(tmp_path, values, days)):
        series = build_series(inputs, tmp_path / f"{number}.vrt")
        assert series.dates == tuple(days)
        reflectance = series.read_all(series.grid.window)
        np.testing.assert_allclose(reflectance, truth, atol=1e-6)
        embeddings.append(encoder.encode(reflectance, series.days))
    assert len(embeddings) == 4
    assert np.isfinite(embeddings[0]).any()
    for other in embeddings[1:]:
        np.testing.assert_array_equal(other, embeddings[0])
