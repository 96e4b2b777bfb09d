from dataclasses import replace

import numpy as np
import pytest

from alise_plugin.mapping.rasters.natural_color import write_series_style
from alise_plugin.sits.build import SeriesOptions, plan_series
from alise_plugin.sits.measure import Fractions
from tests.helpers.rasters import dated_rasters, write_raster


@pytest.fixture
def plan(tmp_path, rng):
    """Four dates; the third is the darkest in blue, but shows half of the ground only."""
    paths, _, values = dated_rasters(tmp_path, rng, 4, height=70, width=83)
    for image, blue in zip(values, (6000, 900, 500, 7000)):
        image[:] = 3000
        image[0] = blue
    values[2][:, :, 40:] = 0
    for path, image in zip(paths, values):
        write_raster(path, image)
    return plan_series(paths, tmp_path / "series.vrt", SeriesOptions())


def shown(plan, tmp_path):
    """Number of the date whose bands the style shows."""
    with plan.write(tmp_path / "series.vrt") as series:
        write_series_style(series, plan)
    style = (tmp_path / "series.qml").read_text()
    (number,) = (n for n in range(4) if f'redBand="{10 * n + 3}" greenBand="{10 * n + 2}"' in style)
    assert f'blueBand="{10 * number + 1}"' in style
    return number


def test_where_nobody_states_clouds_the_pixels_tell(plan, tmp_path):
    assert shown(plan, tmp_path) == 1


def test_what_products_state_of_clouds_counts(plan, tmp_path):
    clouds = (0.9, None, 0.6, 0.2)
    dates = [replace(d, fractions=Fractions(1.0, c)) for d, c in zip(plan.dates, clouds)]
    assert shown(replace(plan, dates=tuple(dates)), tmp_path) == 3


def test_a_series_without_any_value_has_a_style(plan, tmp_path):
    for path in tmp_path.glob("*.tif"):
        write_raster(path, np.zeros((10, 70, 83), np.uint16))
    assert shown(plan, tmp_path) == 0
