"""Seasons as a raster: the numbers of the decoded curves, tiles, years, and what is refused."""

from datetime import date

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import AliseError, Cancelled, OutputError, SeriesError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.curves.indices import SpectralIndex
from alise_plugin.mapping.curves.phenology import PhenologyOptions, phenology
from alise_plugin.mapping.curves.seasons import METRICS, STEP, SeasonRules, find_seasons
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sentinel2 import REFERENCE_DATE
from tests.helpers.features import features_from
from tests.helpers.green_fields import PEAKS, every, fields


@pytest.fixture(scope="module")
def encoder():
    """The bundled model, whose curves are those of plants."""
    pytest.importorskip("onnxruntime")
    return load_encoder(device="cpu", threads=2)


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    folder = tmp_path_factory.mktemp("year") / "scenes"
    return fields(folder, every(10, date(2019, 1, 4), date(2019, 12, 28)))


def read(path):
    dataset = gdal.Open(str(path))
    names = [dataset.GetRasterBand(n + 1).GetDescription() for n in range(dataset.RasterCount)]
    return dict(zip(names, dataset.ReadAsArray()))


def test_seasons_are_those_of_the_decoded_curve_and_of_the_ground(year, encoder, tmp_path):
    result = phenology(features_from(year, encoder), tmp_path / "seasons.tif")
    found = read(tmp_path / "seasons.tif")
    assert list(found) == [f"{metric}_{number}" for number in (1, 2) for metric in METRICS]
    assert (result.start, result.end) == (year.dates[0], year.dates[-1])
    for half, peak in enumerate(PEAKS):
        part = (slice(4, None), slice(half * 24 + 4, half * 24 + 20))
        assert np.median(found["peak_1"][part]) == pytest.approx(peak, abs=8)
        # a Gauss curve of 45 days is at 25 % some 53 days from its peak, at 15 % some 62
        assert np.median(found["start_1"][part]) == pytest.approx(peak - 53, abs=14)
        assert np.median(found["end_1"][part]) == pytest.approx(peak + 62, abs=14)
        assert np.median(found["amplitude_1"][part]) > 0.3
    assert np.isnan(found["start_1"][:3, :3]).all()
    assert set(np.unique(found["quality_1"][4:])) <= {1, 2, 3, 4}
    assert np.nanmean(found["quality_1"]) > 3
    whole = year.read_all(year.grid.window)
    regular = np.arange(-(-year.days[0] // STEP), year.days[-1] // STEP + 1) * STEP
    curve = encoder.decode(encoder.encode(whole, year.days), regular)
    ndvi = SpectralIndex("NDVI")(np.moveaxis(curve, 1, -1))
    rules = SeasonRules(year.days[0], year.days[-1])
    expected = find_seasons(ndvi.reshape(len(regular), -1), regular.astype(np.float32), rules)
    new_year = (date(2019, 1, 1) - REFERENCE_DATE).days - 1
    start = expected[0, 0].reshape(found["start_1"].shape) - new_year
    assert np.nanmedian(np.abs(found["start_1"] - start)) < 0.05
    np.testing.assert_array_equal(np.isnan(found["start_1"]), np.isnan(start))


def test_the_map_depends_on_neither_tiles_nor_extent(year, encoder, tmp_path):
    source = features_from(year, encoder)
    phenology(source, tmp_path / "whole.tif")
    phenology(source, tmp_path / "tiles.tif", budget=TileBudget(tile_size=16))
    left, top = year.grid.geotransform[0], year.grid.geotransform[3]
    box = (left + 40, top - 320, left + 360, top - 80)
    phenology(source, tmp_path / "part.tif", extent=box)
    whole, tiles, part = (read(tmp_path / f"{name}.tif") for name in ("whole", "tiles", "part"))
    for name, values in whole.items():
        np.testing.assert_allclose(tiles[name], values, atol=0.05)
        np.testing.assert_allclose(part[name], values[8:32, 4:36], atol=0.05)


def test_days_may_hold_their_year_and_thresholds_be_values(year, encoder, tmp_path):
    source = features_from(year, encoder)
    phenology(source, tmp_path / "day.tif")
    phenology(source, tmp_path / "date.tif", PhenologyOptions(day_form="yyddd"))
    days, dates = read(tmp_path / "day.tif"), read(tmp_path / "date.tif")
    for name in ("start_1", "peak_1", "end_1"):
        inside = np.isfinite(days[name]) & (days[name] >= 1) & (days[name] <= 365)
        np.testing.assert_array_equal(dates[name][inside], 19_000 + np.rint(days[name][inside]))
    np.testing.assert_array_equal(dates["length_1"], days["length_1"])
    absolute = PhenologyOptions(relative=False, start_level=0.5, end_level=0.5)
    phenology(source, tmp_path / "absolute.tif", absolute)
    values = read(tmp_path / "absolute.tif")
    assert np.nanmedian(values["start_1"] - days["start_1"]) > 3
    none = phenology(source, tmp_path / "none.tif", PhenologyOptions(minimum_amplitude=2))
    assert none.with_season == 0


def test_of_many_years_one_has_to_be_chosen(encoder, tmp_path):
    series = fields(tmp_path / "years", every(12, date(2018, 1, 3), date(2020, 3, 1)), 16, 32)
    source = features_from(series, encoder)
    with pytest.raises(SeriesError, match="give START and END of the year"):
        phenology(source, tmp_path / "seasons.tif")
    options = PhenologyOptions(start=date(2019, 1, 1), end=date(2019, 12, 31), day_form="yyddd")
    phenology(source, tmp_path / "seasons.tif", options)
    peak = read(tmp_path / "seasons.tif")["peak_1"][4:]
    assert (np.floor(peak[np.isfinite(peak)] / 1000) == 19).all()
    assert np.median(peak[:, 4:12]) == pytest.approx(19_000 + PEAKS[0], abs=10)


def test_refusals_are_one_sentence_and_leave_nothing(year, encoder, tmp_path):
    source, path = features_from(year, encoder), tmp_path / "seasons.tif"
    new_year = date(2019, 1, 1)
    for options, says in (
        (PhenologyOptions(start=new_year), "Only one of START and END"),
        (PhenologyOptions(start=new_year, end=new_year), "no window of peaks"),
        (PhenologyOptions(start=new_year, end=date(2021, 1, 1)), "no window of peaks"),
        (PhenologyOptions(start=date(2015, 1, 1), end=date(2015, 9, 1)), "has no acquisition"),
    ):
        with pytest.raises(AliseError, match=says):
            phenology(source, path, options)
    with pytest.raises(OutputError, match="input"):
        phenology(source, year.path)

    class Stop(SilentFeedback):
        def cancelled(self):
            return True

    with pytest.raises(Cancelled):
        phenology(source, path, feedback=Stop())
    assert list(tmp_path.iterdir()) == []
