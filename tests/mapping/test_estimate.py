"""From measurements to a map of estimates: known values, what it depends on, what is refused."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from osgeo import gdal

from alise_plugin.errors import Cancelled, HeadError, LabelsError, OutputError, SeriesError
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.source import open_features
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.labels.layers import VectorValues
from alise_plugin.mapping.labels.on_grid import WarpedValues
from alise_plugin.mapping.labels.read import read_mask, read_raster_values, read_vector_values
from alise_plugin.mapping.learning.train_regression import train_regression
from alise_plugin.mapping.maps.estimate import estimate
from alise_plugin.mapping.rasters.style import ramp_style
from alise_plugin.mapping.samples.draw import draw_values
from alise_plugin.mapping.samples.samples import LabelledSource, SampleDesign
from alise_plugin.model.heads.value_head import ValueHead
from tests.helpers.fake_encoder import FakeEncoder
from tests.helpers.features import features_from, labelled_with, packed
from tests.helpers.labelled_region import moved, point, square, write_layer
from tests.helpers.measured_region import HEIGHT, WIDTH, measured_region
from tests.helpers.rasters import TRANSFORM, utm, write_raster

pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")


class Log(SilentFeedback):
    def __init__(self, stop_after=2.0):
        self.texts, self.done, self.stop_after = [], 0.0, stop_after

    def info(self, text):
        self.texts.append(text)

    def warning(self, text):
        self.info(text)

    def progress(self, fraction):
        assert fraction >= self.done - 1e-9
        self.done = fraction

    def cancelled(self):
        return self.done > self.stop_after


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    found = measured_region(folder / "data")
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(0, HEIGHT, 80), rng.integers(0, WIDTH, 80)
    places = sorted(set(zip(rows.tolist(), cols.tolist())))
    found.places = places
    found.points = write_layer(
        folder / "points.gpkg",
        [point(col, row) for row, col in places],
        biomass=[float(found.truth[place]) for place in places],
        text=[f"{found.truth[place]:.6f}" for place in places],
        kind=["forest" for _ in places],
    )
    found.head = str(folder / "head.onnx")
    found.result = train(found, found.points, found.head)
    return found


def train(place, path, head, field="biomass", source=None, **options):
    values = read_vector_values(path, field)
    pair = LabelledSource(source or place.series, values)
    return train_regression(
        labelled_with(FakeEncoder(), [pair]), head, field, **packed(options, design=True)
    )


def mapped(place, path, head=None, source=None, **options):
    result = estimate(
        features_from(source or place.series, FakeEncoder()),
        head or ValueHead(place.head),
        path,
        **packed(options),
    )
    return result, gdal.Open(str(path)).ReadAsArray()


def test_what_was_measured_in_points_is_mapped_everywhere(place, tmp_path):
    result = place.result
    assert result.samples == result.areas == result.groups == len(place.places)
    assert result.figures["R2"].value > 0.99
    assert abs(result.figures["bias"].value) < 0.1
    assert (result.low, result.high) == pytest.approx(
        (min(place.truth[p] for p in place.places), max(place.truth[p] for p in place.places))
    )
    found, values = mapped(place, tmp_path / "map.tif", extrapolate=True)
    assert values.dtype == np.float32
    assert np.abs(values - place.truth).max() < 0.1 * np.ptp(place.truth)
    assert np.corrcoef(values.ravel(), place.truth.ravel())[0, 1] > 0.995
    assert found.mean == pytest.approx(values.mean(dtype=np.float64))
    raster = gdal.Open(str(tmp_path / "map.tif"))
    assert raster.GetRasterBand(1).GetDescription() == "biomass"
    assert np.isnan(raster.GetRasterBand(1).GetNoDataValue())
    assert raster.GetMetadataItem("ALISE_VALUE") == "biomass"
    assert raster.GetMetadataItem("ALISE_HEAD") == "head.onnx"
    assert raster.GetMetadataItem("ALISE_MODEL_SHA256") == "0" * 64
    assert (tmp_path / "map.qml").exists()


def test_estimates_stay_within_what_was_learned_from(place, tmp_path):
    some = [p for p in place.places if place.truth[p] < np.median(place.truth)]
    low_only = write_layer(
        tmp_path / "low.gpkg",
        [point(col, row) for row, col in some],
        biomass=[float(place.truth[p]) for p in some],
    )
    head = tmp_path / "low.onnx"
    learned = train(place, low_only, head)
    log = Log()
    result, values = mapped(place, tmp_path / "map.tif", ValueHead(head), feedback=log)
    free, wild = mapped(place, tmp_path / "free.tif", ValueHead(head), extrapolate=True)
    assert values.max() == pytest.approx(learned.high)
    assert values.min() == pytest.approx(learned.low)
    assert wild.max() > learned.high
    outside = ((wild < np.float32(learned.low)) | (wild > np.float32(learned.high))).mean()
    assert result.beyond == pytest.approx(free.beyond)
    assert result.beyond == pytest.approx(outside, abs=1e-3)
    assert 0.2 < outside < 0.8
    inside = (wild > learned.low) & (wild < learned.high)
    np.testing.assert_array_equal(values[inside], wild[inside])
    assert any("set to the nearer end" in text for text in log.texts)


@settings(
    deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(side=st.sampled_from([16, 32, 48, 500]), memory=st.sampled_from([300, 2000]))
def test_the_map_depends_neither_on_tiles_nor_on_memory(place, tmp_path, side, memory):
    _, whole = mapped(place, tmp_path / "whole.tif")
    _, tiled = mapped(place, tmp_path / "tiled.tif", tile_size=side, memory_mb=memory)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


def test_the_training_depends_neither_on_tiles_nor_on_memory(place, tmp_path):
    again = train(place, place.points, tmp_path / "tiled.onnx", tile_size=16, memory_mb=300)
    assert again.figures["RMSE"].value == pytest.approx(
        place.result.figures["RMSE"].value, rel=1e-3
    )


def test_an_extent_and_a_mask(place, tmp_path):
    _, whole = mapped(place, tmp_path / "whole.tif")
    left, dx, _, top, _, dy = TRANSFORM
    box = (left + 20 * dx, top + 40 * dy, left + 50 * dx, top + 10 * dy)
    _, part = mapped(place, tmp_path / "part.tif", extent=box)
    np.testing.assert_allclose(part, whole[10:40, 20:50], atol=1e-4)
    mask = read_mask(write_layer(tmp_path / "mask.gpkg", [square(5, 8, 10, 12)]))
    result, masked = mapped(place, tmp_path / "masked.tif", mask=mask)
    inside = np.zeros_like(masked, bool)
    inside[8:20, 5:15] = True
    np.testing.assert_allclose(masked[inside], whole[inside], atol=1e-4)
    assert np.isnan(masked[~inside]).all()
    assert result.mean == pytest.approx(whole[inside].mean(), abs=1e-3)
    far = read_mask(write_layer(tmp_path / "far.gpkg", [square(500, 500, 10, 10)]))
    with pytest.raises(LabelsError, match=r"far\.gpkg and the area to map do not overlap"):
        mapped(place, tmp_path / "far.tif", mask=far)
    with pytest.raises(SeriesError):
        mapped(place, tmp_path / "far.tif", extent=(0, 0, 1, 1))
    assert not (tmp_path / "far.tif").exists()


def test_nothing_outside_a_mask_is_encoded(place, tmp_path):
    mask = read_mask(
        write_layer(tmp_path / "mask.gpkg", [square(5, 8, 10, 12), square(60, 50, 2, 2)])
    )
    encoder = FakeEncoder()
    result = estimate(
        features_from(place.series, encoder),
        ValueHead(place.head),
        tmp_path / "map.tif",
        budget=TileBudget(tile_size=16),
        mask=mask,
    )
    tiles = 2 * 1 + 1  # rows 8 to 19 and columns 5 to 14; rows 50 and 51, columns 60 and 61
    assert len(encoder.reads) == tiles * len(place.series.dates)
    raster = gdal.Open(str(tmp_path / "map.tif"))
    values = raster.ReadAsArray()
    assert np.count_nonzero(np.isfinite(values)) == 10 * 12 + 4
    assert result.mean == pytest.approx(np.nanmean(values.astype(np.float64)))


def test_an_embedding_raster_gives_the_same(place, tmp_path):
    embed(features_from(place.series, FakeEncoder()), tmp_path / "embedding.tif")
    source = open_features(str(tmp_path / "embedding.tif"), FakeEncoder)
    head = tmp_path / "head.onnx"
    train(place, place.points, head, source=source)
    _, of_raster = mapped(place, tmp_path / "a.tif", ValueHead(head), source)
    _, of_series = mapped(place, tmp_path / "b.tif")
    np.testing.assert_allclose(of_raster, of_series, atol=1e-2)


def test_polygons_have_one_value_for_all_of_their_pixels(place, tmp_path):
    cells = [(row, col) for row in range(0, HEIGHT - 6, 6) for col in range(0, WIDTH - 6, 6)]
    means = [float(place.truth[r : r + 5, c : c + 5].mean()) for r, c in cells]
    shapes = [square(col, row, 5, 5) for row, col in cells]
    turned, wgs84 = zip(*(moved(shape, 4326) for shape in shapes))
    path = write_layer(tmp_path / "fields.gpkg", turned, wgs84[0], **{"yield": means})
    result = train(
        place, path, tmp_path / "h.onnx", "yield", report=tmp_path / "r.html", per_area=9
    )
    assert result.areas == result.groups == len(cells)
    assert result.samples == 9 * len(cells)
    assert result.figures["R2"].value > 0.9
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for text in ("RMSE", "yield, measured", "Learning curve", "ridge regression", "fields.gpkg"):
        assert text in page


def test_a_raster_of_values_is_measured_too(place, tmp_path):
    # Four times finer, as a canopy model of a laser is: averages come back.
    rng = np.random.default_rng(3)
    fine = place.truth.repeat(4, 0).repeat(4, 1) + rng.normal(0, 0.5, (4 * HEIGHT, 4 * WIDTH))
    transform = (TRANSFORM[0], 2.5, 0, TRANSFORM[3], 0, -2.5)
    fine[:40] = -9999
    path = write_raster(
        tmp_path / "heights.tif", fine[None].astype(np.float32), transform=transform, nodata=-9999
    )
    values = read_raster_values(path)
    seen = WarpedValues(values, place.series.grid).read(place.series.grid.window)
    assert np.isnan(seen[:10]).all()
    expected = fine.reshape(HEIGHT, 4, WIDTH, 4).mean((1, 3))
    np.testing.assert_allclose(seen[10:], expected[10:], atol=1e-4)
    pair = LabelledSource(place.series, values)
    result = train_regression(
        labelled_with(FakeEncoder(), [pair]),
        tmp_path / "h.onnx",
        "heights",
        design=SampleDesign(per_area=5, block_size=100),
    )
    assert result.samples == result.areas == 5 * result.groups
    assert result.figures["R2"].value > 0.9


def test_scaled_and_coarse_rasters_are_read_as_they_are_meant(place, tmp_path):
    coarse = np.arange(1, 7 * 6 + 1, dtype=np.uint16).reshape(1, 6, 7)
    transform = (TRANSFORM[0], 100, 0, TRANSFORM[3], 0, -100)
    path = write_raster(
        tmp_path / "c.tif", coarse, transform=transform, scale=0.5, offset=-3, nodata=5
    )
    seen = WarpedValues(read_raster_values(path), place.series.grid).read(place.series.grid.window)
    expected = (coarse[0] * 0.5 - 3).repeat(10, 0).repeat(10, 1)
    expected[(coarse[0] == 5).repeat(10, 0).repeat(10, 1)] = np.nan
    np.testing.assert_allclose(seen, expected[:HEIGHT, :WIDTH])


def test_degrees_are_finer_or_coarser_than_metres_by_their_size_on_the_ground(place, tmp_path):
    # Stripes of 2.5 m, which only averages do away with.
    rows, cols = 4 * HEIGHT, 4 * WIDTH
    stripes = np.tile(np.array([0.0, 10.0], np.float32), (rows, cols // 2))
    transform = (TRANSFORM[0], 2.5, 0, TRANSFORM[3], 0, -2.5)
    path = write_raster(tmp_path / "metres.tif", stripes[None], transform=transform)
    turned = str(tmp_path / "degrees.tif")
    gdal.Warp(turned, path, dstSRS="EPSG:4326", resampleAlg="near", dstNodata=-1)
    for one in (path, turned):
        values = WarpedValues(read_raster_values(one), place.series.grid)
        inner = values.read(place.series.grid.window)[5:-5, 5:-5]
        assert np.isfinite(inner).all()
        assert np.abs(inner - 5).max() < 2
    # Pixels of 90 m are not mixed with their neighbours.
    numbers = np.arange(100, dtype=np.float32).reshape(10, 10) ** 2
    transform = (TRANSFORM[0] - 50, 90, 0, TRANSFORM[3] + 50, 0, -90)
    path = write_raster(tmp_path / "coarse.tif", numbers[None], transform=transform)
    turned = str(tmp_path / "coarse_degrees.tif")
    gdal.Warp(turned, path, dstSRS="EPSG:4326", resampleAlg="near", dstNodata=-1)
    for one in (path, turned):
        values = WarpedValues(read_raster_values(one), place.series.grid)
        assert np.isin(values.read(place.series.grid.window), numbers).all()


@pytest.mark.parametrize("times", [1, 4])
def test_other_bands_do_not_say_where_the_first_has_values(place, tmp_path, times):
    values = place.truth.repeat(times, 0).repeat(times, 1)
    values[: 7 * times] = -9999
    transform = (TRANSFORM[0], 10 / times, 0, TRANSFORM[3], 0, -10 / times)
    path = write_raster(
        tmp_path / "two.tif",
        np.stack([values, np.ones_like(values)]).astype(np.float32),
        transform=transform,
        nodata=-9999,
    )
    seen = WarpedValues(read_raster_values(path), place.series.grid).read(place.series.grid.window)
    assert np.isnan(seen[:7]).all()
    np.testing.assert_allclose(seen[7:], place.truth[7:], rtol=1e-6)


def test_points_that_disagree_on_one_pixel_are_left_out(place, tmp_path):
    path = write_layer(
        tmp_path / "twice.gpkg",
        [point(3, 4), point(3, 4), point(10, 10), point(20, 20), point(30, 30)],
        v=[1.0, 2.0, 3.0, 4.0, 5.0],
    )
    pair = LabelledSource(place.series, read_vector_values(path, "v"))
    drawn = draw_values(
        labelled_with(FakeEncoder(), [pair]),
        design=SampleDesign(),
        budget=TileBudget(),
        feedback=SilentFeedback(),
    )
    assert sorted(drawn.value) == [3, 4, 5]
    assert any("areas of two values" in note for note in drawn.warnings)


def test_numbers_as_text_and_empty_ones(place, tmp_path):
    as_text = read_vector_values(place.points, "text")
    as_number = read_vector_values(place.points, "biomass")
    np.testing.assert_allclose(as_text.values, as_number.values, atol=1e-6)
    some = write_layer(
        tmp_path / "some.gpkg", [point(1, 1), point(2, 2), point(3, 3)], v=[1.5, None, -2.0]
    )
    values = read_vector_values(some, "v")
    assert isinstance(values, VectorValues)
    assert list(values.values) == [1.5, -2.0]
    assert values.without_value == 1


def test_numbers_are_read_as_they_are_and_not_as_they_are_shown(tmp_path):
    path = tmp_path / "plots.csv"
    rows = ["1,1,0.123456", "2,2,nan", "3,3,1e-7", "4,4,"]
    path.write_text("\n".join(["x,y,v", *rows]))
    (tmp_path / "plots.csvt").write_text("CoordX,CoordY,Real(8.2)\n")
    (tmp_path / "plots.prj").write_text(utm().ExportToWkt())
    values = read_vector_values(str(path), "v")
    assert list(values.values) == [0.123456, 1e-7]
    assert values.without_value == 2


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("kind", r'holds "forest", which is no number'),
        ("nothing", r'has no field "nothing"; choose one of biomass, text, kind'),
    ],
)
def test_a_field_without_numbers_is_refused(place, field, says):
    with pytest.raises(LabelsError, match=says):
        read_vector_values(place.points, field)


def test_values_that_teach_nothing_are_refused(place, tmp_path):
    same = write_layer(tmp_path / "same.gpkg", [point(1, 1), point(30, 30)], v=[2.0, 2.0])
    with pytest.raises(LabelsError, match=r"Everywhere in series\.vrt was measured 2"):
        train(place, same, tmp_path / "h.onnx", "v")
    far = write_layer(tmp_path / "far.gpkg", [point(900, 900), point(901, 901)], v=[1.0, 2.0])
    with pytest.raises(LabelsError, match="do not overlap"):
        train(place, far, tmp_path / "h.onnx", "v")
    empty = write_layer(tmp_path / "none.gpkg", [point(1, 1)], v=[None])
    with pytest.raises(LabelsError, match="only NULL"):
        read_vector_values(empty, "v")
    assert not (tmp_path / "h.onnx").exists()


def test_a_nodata_value_that_no_one_stated_is_not_learned_from(place, tmp_path):
    heights = place.truth.astype(np.float32)
    heights[:5] = np.finfo(np.float32).min
    values = read_raster_values(write_raster(tmp_path / "heights.tif", heights[None]))
    pair = LabelledSource(place.series, values)
    with pytest.raises(LabelsError, match=r"measured -3\.4.*e\+38.*state it as nodata"):
        train_regression(
            labelled_with(FakeEncoder(), [pair]),
            tmp_path / "h.onnx",
            "heights",
            design=SampleDesign(block_size=50),
        )
    assert not (tmp_path / "h.onnx").exists()


def test_a_head_of_another_encoder_is_refused(place, tmp_path):
    other = FakeEncoder()
    other.package.sha256 = "1" * 64
    with pytest.raises(HeadError, match="was trained on features of the model fake"):
        estimate(features_from(place.series, other), ValueHead(place.head), tmp_path / "map.tif")
    assert os.listdir(tmp_path) == []


def test_no_input_is_written_over(place, tmp_path):
    with pytest.raises(OutputError):
        mapped(place, place.path)
    with pytest.raises(OutputError):
        mapped(place, place.head)
    assert ValueHead(place.head).description.name == "biomass"


def test_cancelled_runs_leave_nothing(place, tmp_path):
    for stop in (0.0, 0.3, 0.6):
        with pytest.raises(Cancelled):
            mapped(place, tmp_path / "map.tif", tile_size=16, feedback=Log(stop))
        with pytest.raises(Cancelled):
            train(place, place.points, tmp_path / "h.onnx", feedback=Log(stop), tile_size=16)
    assert os.listdir(tmp_path) == []


def test_two_years_train_one_head_and_a_field_of_both_is_one_group(place, tmp_path):
    values = read_vector_values(place.points, "biomass")
    pairs = [LabelledSource(place.series, values), LabelledSource(place.series, values)]
    drawn = draw_values(
        labelled_with(FakeEncoder(), pairs),
        design=SampleDesign(),
        budget=TileBudget(),
        feedback=SilentFeedback(),
    )
    assert len(drawn.value) == 2 * len(place.places)
    assert drawn.area.max() + 1 == 2 * len(place.places)
    assert drawn.group.max() + 1 == len(place.places)


def test_values_of_any_size_have_colours_apart():
    for low, high in ((1e-12, 3e-12), (-4.0, 1e7), (5.0, 5.0), (3e9, 3e9)):
        shown = [
            float(text.split('"')[0]) for text in ramp_style(1, low, high).split('item value="')[1:]
        ]
        assert len(set(shown)) == len(shown) == 7
        assert shown == sorted(shown)
        assert shown[0] == pytest.approx(low)


@pytest.mark.parametrize(
    ("declared", "holes", "kind"),
    [
        (None, [np.nan], np.float32),
        (-9999, [np.nan, -9999], np.float32),
        (None, [-9999], np.float32),
        (None, [-9999, np.nan], np.float32),
        (-32768, [-9999, -32768, np.nan], np.float32),
        (None, [-9999], np.int16),
        (-32768, [-9999, -32768], np.int16),
    ],
)
def test_all_that_stands_for_no_measurement_stays_out(place, tmp_path, declared, holes, kind):
    """Only one of two fine columns is a hole, so that what is averaged shows its values."""
    rows, cols = np.mgrid[: 2 * HEIGHT, : 2 * WIDTH]
    wanted = 5.0 + (rows // 8 + cols // 8) % 5
    values = wanted.astype(kind)
    for number, hole in enumerate(holes):
        values[10 * number : 10 * number + 6, 3] = hole
        wanted[10 * number : 10 * number + 6, 3] = wanted[10 * number : 10 * number + 6, 2]
        values[10 * number : 10 * number + 6, 8:12] = hole
        wanted[10 * number : 10 * number + 6, 8:12] = np.nan
    path = write_raster(
        tmp_path / "values.tif",
        values[None],
        transform=(TRANSFORM[0], 5, 0, TRANSFORM[3], 0, -5),
        nodata=declared,
    )
    warped = WarpedValues(read_raster_values(path), place.series.grid)
    wanted = wanted.reshape(HEIGHT, 2, WIDTH, 2).mean((1, 3))
    np.testing.assert_allclose(warped.read(place.series.grid.window), wanted)


def test_fields_measured_as_minus_9999_were_not_measured(tmp_path):
    areas = [square(5 * number, 3, 4, 4) for number in range(4)]
    measured = {"yield": [4.5, -9999.0, 6.0, 7.0]}
    path = write_layer(tmp_path / "fields.gpkg", areas, **measured)
    values = read_vector_values(path, "yield")
    assert list(values.values) == [4.5, 6, 7]
    assert (values.without_value, values.fill) == (1, -9999)
