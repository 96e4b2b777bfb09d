import os

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import OutputError
from alise_plugin.mapping.embedding.embed import embed
from scripts.principal_components import principal_components_png
from tests.helpers.features import features_from


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_picture(series, encoder, tmp_path, form):
    embed(features_from(series, encoder), tmp_path / "map.tif", format=form)
    png = tmp_path / "map.png"
    shares = principal_components_png(tmp_path / "map.tif", png)
    assert shares.shape == (3,)
    assert 0.9 < shares.sum() <= 1.000001
    assert list(shares) == sorted(shares, reverse=True)
    picture = gdal.Open(str(png)).ReadAsArray()
    assert picture.shape == (4, 70, 83)
    assert (picture[3, :, :10] == 0).all()
    assert (picture[3, :, 10:] == 255).all()
    colours = picture[:3, :, 10:]
    assert (np.ptp(colours.reshape(3, -1), axis=1) == 255).all()
    assert ((colours == 0).mean((1, 2)) < 0.05).all()  # the 2 % stretch
    assert sorted(os.listdir(tmp_path)) == ["map.png", "map.tif", "scenes"]


def test_strips_do_not_show(series, encoder, tmp_path, monkeypatch):
    embed(features_from(series, encoder), tmp_path / "map.tif")
    principal_components_png(tmp_path / "map.tif", tmp_path / "one.png")
    monkeypatch.setattr("scripts.principal_components._STRIP_BYTES", 83 * 6 * 4 * 9)
    principal_components_png(tmp_path / "map.tif", tmp_path / "many.png")
    one, many = (
        gdal.Open(str(tmp_path / name)).ReadAsArray().astype(int)
        for name in ("one.png", "many.png")
    )
    assert np.abs(one - many).max() <= 40  # other sampled pixels, the same picture
    assert np.abs(one - many).mean() < 4


def test_a_picture_that_cannot_be_written(series, encoder, tmp_path):
    embed(features_from(series, encoder), tmp_path / "map.tif")
    with pytest.raises(OutputError, match="cannot be written"):
        principal_components_png(tmp_path / "map.tif", tmp_path / "nowhere" / "map.png")
