"""Charts of the reports: dots where their numbers are, ends that can be read, names as they are."""

import re

import numpy as np
import pytest

from alise_plugin.mapping.scores.charts import scatter_chart


def dots(chart):
    found = re.findall(r'<circle cx="([^"]*)" cy="([^"]*)"', chart)
    return np.array(found, float)


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-12, 0), (-1e9, 3e9), (0.01, 5000)])
def test_dots_fill_the_plot_whatever_the_unit(scale, offset):
    measured, estimated = np.array([0, 1, 2, 4.0]), np.array([1, 1, 4, 0.0])
    chart = scatter_chart(offset + scale * measured, offset + scale * estimated, "x", "")
    x, y = dots(chart).T
    across = (x - x.min()) / np.ptp(x)
    up = (y.max() - y) / np.ptp(y)
    both = (measured / 4, estimated / 4) if scale > 0 else (1 - measured / 4, 1 - estimated / 4)
    np.testing.assert_allclose((across, up), both, atol=0.002)
    assert np.ptp(x) == pytest.approx(np.ptp(y))
    assert np.ptp(x) > 200
    ticks = re.findall(r'text-anchor="end">([^<]*)<', chart)
    assert len(set(ticks)) == 5


def test_ticks_are_plain_numbers():
    chart = scatter_chart(np.array([4000.0, 9000]), np.array([5000.0, 6000]), "kg/ha", "")
    ticks = re.findall(r'text-anchor="end">([^<]*)<', chart)
    assert ticks == ["4000", "5250", "6500", "7750", "9000"]


def test_a_name_is_text_and_short():
    chart = scatter_chart(np.arange(3.0), np.ones(3), "<b>&" + "y" * 300, "")
    assert "<b>" not in chart
    assert "&lt;b&gt;&amp;" in chart
    assert "y" * 30 not in chart


def test_of_many_dots_some_are_drawn_each_in_its_place():
    measured = np.random.default_rng(0).normal(size=5000)
    x, y = dots(scatter_chart(measured, measured, "x", "")).T
    assert 1000 < len(x) < 5000
    np.testing.assert_allclose(x - x.min(), y.max() - y, atol=0.11)
