"""Curves of pixels: the numbers of Reconstruct, what was observed, indices, and refusals."""

from datetime import date

import numpy as np
import pytest

from alise_plugin.errors import AliseError, Cancelled, LabelsError, SeriesError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.curves.extract import CurveOptions, extract_curves
from alise_plugin.mapping.curves.indices import INDICES, SpectralIndex, indices_of
from alise_plugin.mapping.curves.pixel_curves import departure
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.labels.read import read_examples
from alise_plugin.mapping.maps.reconstruct import reconstruct
from alise_plugin.model.encoder import load_encoder
from alise_plugin.sentinel2 import BANDS
from alise_plugin.sits.series import ImageSeries
from tests.helpers.features import features_from
from tests.helpers.labelled_region import moved, point, square, write_layer


@pytest.fixture(scope="module")
def encoder(tiny_package):
    pytest.importorskip("onnxruntime")
    return load_encoder(tiny_package, "cpu", 2)


BETWEEN = date(2019, 2, 3)
BANDS_ALONE = CurveOptions(indices_of(", ".join(BANDS)), dates=[BETWEEN])


def places(folder, geometries, crs=None):
    return read_examples(write_layer(folder / "places.gpkg", geometries, crs))


def test_the_numbers_are_those_of_reconstruct_and_of_the_series(series, encoder, tmp_path):
    """In the CRS of the layer, whatever the tiles; one point lies where nothing was ever seen."""
    both = [moved(point(col, row), 4326) for col, row in ((12, 3), (60, 50), (4, 4))]
    layer = places(tmp_path, [geometry for geometry, _ in both], both[0][1])
    reconstruct(
        features_from(series, encoder), tmp_path / "images.tif", dates=[*series.dates, BETWEEN]
    )
    with ImageSeries.open(tmp_path / "images.tif") as made:
        shown, expected = made.dates, made.read_all(made.grid.window)
    observed = series.read_all(series.grid.window)
    for tile_size in (None, 16):
        found = extract_curves(
            features_from(series, encoder),
            layer,
            BANDS_ALONE,
            budget=TileBudget(tile_size=tile_size),
        )
        assert found.curves.dates == shown
        assert found.chosen.area.tolist() == [0, 1, 2]
        assert found.warnings == ["1 pixels have no value in any date: their curves are empty."]
        for pixel, (col, row) in enumerate(((12, 3), (60, 50))):
            curve = np.clip(found.curves.reconstructed[pixel], -0.2, None)
            np.testing.assert_allclose(curve, expected[:, :, row, col], atol=2e-4)
            seen = [shown.index(day) for day in series.dates]
            np.testing.assert_array_equal(
                found.curves.observed[pixel, seen], observed[:, :, row, col]
            )
            assert np.isnan(found.curves.observed[pixel, shown.index(BETWEEN)]).all()
        assert np.isnan(found.curves.reconstructed[2]).all()


def test_the_table_has_a_row_for_each_pixel_index_and_day(series, encoder, tmp_path):
    layer = places(tmp_path, [square(20, 10, 3, 2), point(60, 50)])
    options = CurveOptions(indices_of("B04, ndvi"), every=7, per_area=4)
    found = extract_curves(features_from(series, encoder), layer, options)
    rows = list(found.rows())
    span = (series.dates[-1] - series.dates[0]).days
    days = {series.dates[0].toordinal() + n for n in range(0, span + 1, 7)}
    days |= {day.toordinal() for day in series.dates}
    assert len(rows) == (4 + 1) * 2 * len(days)
    assert [row[0] for row in rows].count(2) == 2 * len(days)
    first, x, y = rows[0][0], rows[0][2], rows[0][3]
    left, top = series.grid.geotransform[0], series.grid.geotransform[3]
    assert (first, (x - left) / 10 % 1, (top - y) / 10 % 1) == (1, 0.5, 0.5)
    by_key = {(row[1], row[4], row[5]): row[6:] for row in rows}
    acquired = {day.isoformat() for day in series.dates}
    for (pixel, day, name), (observed, expected, state) in by_key.items():
        assert expected is not None or name == "NDVI"
        assert (observed is not None) == (state != "")
        assert state in ("", "clear", "unlike")
        assert day in acquired or not state
        assert pixel <= 5


def test_an_embedding_raster_has_curves_and_no_observations(series, encoder, tmp_path):
    embed(features_from(series, encoder), tmp_path / "vectors.tif")
    raster = features_from(EmbeddingRaster(tmp_path / "vectors.tif"), encoder)
    layer = places(tmp_path, [point(30, 30)])
    with pytest.raises(SeriesError, match="holds no acquisitions: give EVERY"):
        extract_curves(raster, layer, CurveOptions(indices_of("B08")))
    days = CurveOptions(indices_of("B08"), dates=[BETWEEN])
    found = extract_curves(raster, layer, days).curves
    assert found.dates == (BETWEEN,)
    assert not found.seen.any()
    same = extract_curves(features_from(series, encoder), layer, days).curves
    (place,) = (number for number, day in enumerate(same.dates) if day == BETWEEN)
    np.testing.assert_allclose(found.reconstructed[0, 0], same.reconstructed[0, place], atol=1e-3)


def test_a_cloud_a_shadow_and_snow_are_unlike_the_curve_and_noise_is_not():
    field = np.array([0.03, 0.06, 0.04, 0.09, 0.28, 0.35, 0.38, 0.4, 0.2, 0.1])
    assert departure(field * 1.08 + 0.004, field) < 1
    for strange in (field + 0.3, field * 0.35, np.array([0.8] * 8 + [0.1, 0.1])):
        assert departure(strange, field) > 2
    assert np.isnan(departure(np.full(10, np.nan), field))
    some = np.where(np.arange(10) < 4, field + 0.3, np.nan)  # a series of four bands
    assert departure(some, field) > 2


@pytest.mark.parametrize("name", INDICES)
def test_indices_lie_where_their_papers_say(name):
    leaves = np.array([0.03, 0.06, 0.04, 0.09, 0.28, 0.35, 0.38, 0.4, 0.2, 0.1], np.float32)
    soil = np.linspace(0.08, 0.3, 10).astype(np.float32)
    green, bare = SpectralIndex(name)(np.stack([leaves, soil]))
    assert -1 <= bare <= 1
    assert green < bare if name == "NDWI" else green > bare


def test_a_formula_is_what_it_says_and_nothing_else():
    values = np.arange(1, 11, dtype=np.float32) / 10
    assert SpectralIndex("2*(b03 + -B02)/b04")(values) == pytest.approx(2 * 0.1 / 0.3)
    assert SpectralIndex("1")(np.stack([values] * 3)).tolist() == [1, 1, 1]
    assert np.isnan(SpectralIndex("B02 / (B03 - B03)")(values))
    assert [index.name for index in indices_of("ndvi, NDVI,b08")] == ["NDVI", "B08"]
    for wrong in ("B01", "NDXI", "B02 +", "__import__('os')", "B02 ** 9", "B02.real", "'B02'"):
        with pytest.raises(AliseError, match="is neither a band, an index"):
            SpectralIndex(wrong)
    with pytest.raises(AliseError, match="No index is given"):
        indices_of(" , ")


def test_refusals_are_one_sentence(series, encoder, tmp_path):
    source = features_from(series, encoder)
    with pytest.raises(LabelsError, match="do not overlap"):
        extract_curves(source, places(tmp_path, [point(900, 900)]), BANDS_ALONE)

    class Stop(SilentFeedback):
        def cancelled(self):
            return True

    (tmp_path / "places.gpkg").unlink()
    with pytest.raises(Cancelled):
        extract_curves(source, places(tmp_path, [point(30, 30)]), BANDS_ALONE, feedback=Stop())
