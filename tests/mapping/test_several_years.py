"""Who makes vectors of several years at once is told that one year says more."""

from datetime import date

import pytest

from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.sits.build import build_series
from tests.helpers.features import features_from
from tests.helpers.rasters import digital_numbers, write_raster


class Heard:
    def __init__(self):
        self.lines = []

    def progress(self, fraction):
        pass

    def cancelled(self):
        return False

    def info(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.info(text)


def series_until(folder, last, rng):
    dates = (date(2018, 1, 10), date(2018, 8, 1), last)
    paths = [
        write_raster(folder / f"S2_{day:%Y%m%d}.tif", digital_numbers(rng, 10, 20, 20))
        for day in dates
    ]
    return build_series(paths, folder / "s.vrt", scale=1e-4, offset=0.0)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (date(2019, 7, 1), []),
        (
            date(2020, 1, 10),
            [
                "s.vrt covers 2.0 years. Vectors of a single year tell more of it: for a map of "
                "one year, build a series of its dates."
            ],
        ),
    ],
)
def test_the_log_says_so_once(encoder, tmp_path, rng, last, said):
    series = series_until(tmp_path, last, rng)
    heard = Heard()
    embed(features_from(series, encoder), tmp_path / "e.tif", feedback=heard)
    assert [line for line in heard.lines if "years" in line] == said
    heard = Heard()
    features = features_from(series, encoder)
    _, tiles = features.tiles(series.grid.window, TileBudget())
    assert len(list(features.read_tiles(tiles, heard))) == 1
    assert heard.lines == said
