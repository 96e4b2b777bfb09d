import os
from types import SimpleNamespace

import numpy as np
import pytest
from osgeo import ogr

from alise_plugin.errors import Cancelled, LabelsError, SeriesError
from alise_plugin.mapping.accuracy.assess import assess_accuracy
from alise_plugin.mapping.accuracy.class_map import ClassMap
from alise_plugin.mapping.accuracy.sample_design import draw_sample
from alise_plugin.mapping.labels.layers import Legend
from alise_plugin.mapping.labels.read import read_vector_labels
from alise_plugin.mapping.scores.estimators import (
    DesignSample,
    allocate,
    design_estimate,
    sample_size,
    stratified_estimate,
)
from alise_plugin.sits.pixel_area import PixelAreas
from benchmarks.accuracy import TRUTH, two_maps
from tests.helpers.labelled_region import (
    CLASSES,
    CODES,
    map_codes,
    moved,
    point,
    region,
    square,
    write_class_raster,
    write_layer,
)

# Olofsson et al. 2014, section 5 (Table 8 and the text): deforestation, forest gain, stable forest,
# stable non-forest; map in rows, reference in columns; mapped pixels of 30 m.
OLOFSSON = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = 0.09 * PIXELS


def half(interval):
    return (interval.high - interval.low) / 2


def test_the_worked_example_of_olofsson_2014():
    found = stratified_estimate(OLOFSSON, HECTARES)
    assert round(found.overall.value, 2) == 0.95
    assert round(half(found.overall), 2) == 0.02
    assert [round(i.value, 2) for i in found.users] == [0.88, 0.73, 0.93, 0.96]
    assert [round(half(i), 2) for i in found.users] == [0.07, 0.10, 0.04, 0.02]
    assert [round(i.value, 2) for i in found.producers] == [0.75, 0.85, 0.93, 0.96]
    areas = [(round(i.value), round(half(i))) for i in found.areas]
    assert areas == [(21158, 6158), (11686, 3756), (285770, 15510), (581386, 16282)]
    assert found.shares.sum() == pytest.approx(1)


def test_accuracies_published_in_olofsson_2013():
    counts = np.array([[97, 0, 3], [3, 279, 18], [2, 1, 97]])
    found = stratified_estimate(counts, np.array([22353, 1122543, 610228]))
    assert [round(i.value, 2) for i in found.users] == [0.97, 0.93, 0.97]
    assert [round(i.value, 2) for i in found.producers][:2] == [0.48, 0.99]


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    shares = np.array([[0.1, 0.02, 0.03], [0.02, 0.25, 0.03], [0.05, 0.05, 0.45]])
    mapped = shares.sum(1)
    hits = np.zeros((400, 7))
    truths = [*shares.sum(0), np.trace(shares), *(np.diagonal(shares) / shares.sum(0))]
    for row in hits:
        counts = np.array([rng.multinomial(300, line / line.sum()) for line in shares])
        found = stratified_estimate(counts, mapped)
        figures = [*found.areas, found.overall, *found.producers]
        row[:] = [one.low <= truth <= one.high for one, truth in zip(figures, truths)]
    assert (np.abs(hits.mean(0) - 0.95) < 0.035).all()


def test_a_sample_of_one_map_judges_another():
    """Stehman 2014; the classes of map B as strata would be biased and sure of it."""
    rng = np.random.default_rng(0)
    held, wrong, found = np.zeros((400, 4)), [], []
    for row in held:
        sample, mapped = two_maps(rng, 250)
        estimate = design_estimate(sample)
        figures = (estimate.overall, estimate.areas[1], estimate.users[1], estimate.producers[1])
        row[:] = [one.low <= truth <= one.high for one, truth in zip(figures, TRUTH)]
        found.append(estimate.areas[1].value)
        counts = np.bincount(sample.shown * 2 + sample.reference, minlength=4).reshape(2, 2)
        wrong.append(stratified_estimate(counts, mapped).areas[1].value)
    assert abs(np.mean(found) / TRUTH[1] - 1) < 0.02
    assert (np.abs(held.mean(0) - 0.95) < 0.035).all()
    assert np.mean(wrong) > 1.2 * TRUTH[1]


def test_strata_that_are_the_classes_give_the_figures_of_olofsson():
    shown, reference = np.nonzero(OLOFSSON)
    times = OLOFSSON[shown, reference]
    shown, reference = shown.repeat(times), reference.repeat(times)
    ours = design_estimate(DesignSample(shown, HECTARES, shown, reference, 4))
    theirs = stratified_estimate(OLOFSSON, HECTARES)
    np.testing.assert_allclose(ours.shares, theirs.shares)
    for one, other in zip(
        [ours.overall, *ours.users, *ours.producers, *ours.areas],
        [theirs.overall, *theirs.users, *theirs.producers, *theirs.areas],
    ):
        assert one.value == pytest.approx(other.value)
        assert half(one) == pytest.approx(half(other), rel=2e-2)


def test_strata_that_say_nothing():
    found = stratified_estimate(np.array([[8, 2, 0], [0, 0, 0], [0, 0, 1]]), np.array([5.0, 2, 3]))
    assert found.areas[0].value + found.areas[2].value + found.areas[1].value == pytest.approx(8)
    assert np.isnan(found.users[1].value)
    assert np.isnan(found.areas[2].low)  # one point has no spread


def test_sizes_of_samples():
    # Olofsson 2014, section 5.1.1: expected user's accuracies 0.7, 0.6, 0.9 and 0.95 need 641
    # points; with one accuracy for all, the formula is (S / SE)^2.
    assert sample_size(HECTARES, 0.9, 0.01) == 900
    assert allocate(PIXELS, 641, 0).tolist() == [13, 10, 205, 413]
    points = allocate(PIXELS, 640, 75)
    assert points[:2].tolist() == [75, 75]
    assert points.sum() == 640
    assert points[3] / points[2] == pytest.approx(6.45 / 3.2, abs=0.05)
    assert allocate(np.array([10, 0, 1000]), 100, 50).tolist() == [10, 0, 90]
    assert allocate(np.array([500, 500]), 10, 50).tolist() == [50, 50]
    assert allocate(np.array([100, 100, 101]), 2, 0).sum() == 2
    assert allocate(np.array([100, 100, 101]), 1, 0).tolist() == [0, 0, 1]
    assert allocate(np.array([3, 7]), 50, 0).tolist() == [3, 7]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A map with known errors: every seventh pixel of maize is called wheat."""
    folder = tmp_path_factory.mktemp("accuracy")
    found = region(folder / "data", dates=1)
    codes = np.array(CODES)[found.truth]
    wrong = (codes == CODES[1]) & (np.arange(codes.size).reshape(codes.shape) % 7 == 0)
    codes[wrong] = CODES[0]
    codes[:, -3:] = 0
    found.codes = codes
    found.map_path = write_class_raster(folder / "map.tif", codes, found.path)
    return found


def labels_at(place, path, cells, truth):
    places = [point(int(col), int(row)) for row, col in cells]
    return read_vector_labels(write_layer(path, places, truth=truth), "truth")


def test_a_drawn_sample_judges_the_map(place, tmp_path):
    drawn = draw_sample(ClassMap(place.map_path), size=300, minimum=60, seed=4)
    left, _, _, top, _, _ = place.series.grid.geotransform
    cells = [(int((top - p.y) // 10), int((p.x - left) // 10)) for p in drawn]
    assert (
        len(set(cells))
        == len(drawn)
        == sum({p.item.code: p.stratum_points for p in drawn}.values())
    )
    assert [place.codes[cell] for cell in cells] == [p.item.code for p in drawn]
    first = [p.item.code for p in drawn[:60]]
    assert len(set(first)) == 3  # in random order
    truth = [int(np.array(CODES)[place.truth[cell]]) for cell in cells]
    result = assess_accuracy(
        ClassMap(place.map_path), labels_at(place, tmp_path / "r.gpkg", cells, truth)
    )
    mapped = place.codes > 0
    areas = PixelAreas(place.series.grid).of(place.series.grid.window)
    for item, area in zip(result.classes, result.estimate.areas):
        exact = areas[mapped & (np.array(CODES)[place.truth] == item.code)].sum()
        assert area.low - 1e-3 <= exact <= area.high + 1e-3
        assert area.high - area.low < 0.35 * exact
    exact = (place.codes == np.array(CODES)[place.truth])[mapped].mean()
    overall = result.overall["overall accuracy"]
    assert overall.low < exact < overall.high
    assert overall.value == result.estimate.overall.value
    assert not result.warnings


def test_the_points_of_rare_classes_do_not_come_last(place, tmp_path):
    codes = np.full((80, 90), 1)
    codes[:8, :10] = 2
    path = write_class_raster(tmp_path / "map.tif", codes, place.path)
    drawn = [point.item.code for point in draw_sample(ClassMap(path), size=100, minimum=50)]
    assert drawn.count(2) == 50
    assert 15 < drawn[:50].count(2) < 35


def test_a_class_of_one_pixel_does_not_take_the_intervals_away(place, tmp_path):
    codes = np.full((80, 90), 1)
    codes[40:], codes[3, 5] = 2, 3
    path = write_class_raster(tmp_path / "map.tif", codes, place.path)
    drawn = draw_sample(ClassMap(path), size=100)
    places = [ogr.CreateGeometryFromWkt(f"POINT ({p.x} {p.y})") for p in drawn]
    truth = [3 - p.item.code if number % 9 == 1 else p.item.code for number, p in enumerate(drawn)]
    reference = write_layer(tmp_path / "r.gpkg", places, truth=[max(1, code) for code in truth])
    result = assess_accuracy(ClassMap(path), read_vector_labels(reference, "truth"))
    assert not result.warnings
    assert 0 < result.overall["overall accuracy"].low < result.overall["overall accuracy"].high < 1
    assert all(np.isfinite(area.low) for area in result.estimate.areas)
    assert np.isfinite(result.estimate.users[2].low)


def test_the_sample_does_not_depend_on_windows(place, monkeypatch):
    from alise_plugin.mapping.accuracy import class_map

    before = draw_sample(ClassMap(place.map_path), size=100, seed=1)
    monkeypatch.setattr(class_map, "_SIDE", 23)
    after = draw_sample(ClassMap(place.map_path), size=100, seed=1)
    assert [(p.x, p.y, p.item) for p in after] == [(p.x, p.y, p.item) for p in before]
    other = draw_sample(ClassMap(place.map_path), size=100, seed=2)
    assert [(p.x, p.y) for p in other] != [(p.x, p.y) for p in before]


def test_polygons_are_resampled_whole(place, tmp_path):
    truth = [CLASSES[kind] for kind in place.kinds]
    path = write_layer(tmp_path / "r.gpkg", place.polygons, truth=truth)
    legend = Legend(dict(zip(CODES, CLASSES)))
    reference = read_vector_labels(path, "truth")
    report = tmp_path / "report.html"
    result = assess_accuracy(ClassMap(place.map_path, legend), reference, report=report)
    assert result.labels == sum(
        (place.codes[r * 10 + 1 : r * 10 + 9, c * 10 + 1 : c * 10 + 9] > 0).sum()
        for r, c in place.cells
    )
    assert "random" in result.warnings[-1]
    assert result.estimate.producers[1].value == pytest.approx(6 / 7, abs=0.03)
    page = report.read_text(encoding="utf-8")
    assert "forêt &quot;noire&quot;" in page
    assert "Olofsson" in page


def test_other_crs_nulls_and_places_outside(place, tmp_path):
    pairs = [moved(point(col * 10 + 4, row * 10 + 4), 4326) for row, col in place.cells]
    truth = [CODES[kind] for kind in place.kinds]
    truth[0] = None
    geometries = [pair[0] for pair in pairs] + [point(5000, 5000)]
    geometries[-1] = moved(geometries[-1], 4326)[0]
    path = write_layer(tmp_path / "r.gpkg", geometries, pairs[0][1], truth=[*truth, CODES[0]])
    result = assess_accuracy(ClassMap(place.map_path), read_vector_labels(path, "truth"))
    assert result.labels == 71
    assert "1 of 72 labels are left out: they lie outside" in result.warnings[0]
    assert "1 features have no class" in result.warnings[1]


def test_what_the_map_lacks_can_only_be_missed(place, tmp_path):
    cells = [(row * 10 + 4, col * 10 + 4) for row, col in place.cells]
    truth = [99 if kind == 2 else CODES[kind] for kind in place.kinds]
    result = assess_accuracy(
        ClassMap(place.map_path), labels_at(place, tmp_path / "r.gpkg", cells, truth)
    )
    found = {item.code: number for number, item in enumerate(result.classes)}
    assert result.estimate.producers[found[99]].value == 0
    assert np.isnan(result.estimate.users[found[99]].value)
    assert result.estimate.areas[found[99]].value > 0
    assert f'no "99", the true class of {place.kinds.count(2)} labels' in result.warnings[0]


def test_names_and_codes_of_classes_that_the_map_lacks(place, tmp_path):
    legend = Legend({**dict(zip(CODES, CLASSES)), 13: "lake ", 70: "snow"})
    cells = [(row * 10 + 4, col * 10 + 4) for row, col in place.cells]
    truth = [CLASSES[kind] for kind in place.kinds]
    truth[:5] = ["lake", "70", "41", "wheat?", "²"]
    result = assess_accuracy(
        ClassMap(place.map_path, legend), labels_at(place, tmp_path / "r.gpkg", cells, truth)
    )
    missed = {item.code: item.name for item in result.classes if item.code not in CODES}
    assert missed == {13: "lake", 41: "41", 70: "snow", 71: "wheat?", 72: "²"}
    assert sum("The map has no" in note for note in result.warnings) == 5


def test_a_name_of_two_classes_is_not_guessed(place, tmp_path):
    legend = Legend({CODES[0]: "wheat", CODES[1]: "wheat"})
    reference = labels_at(place, tmp_path / "r.gpkg", [(4, 4)], ["wheat"])
    with pytest.raises(LabelsError, match="name of the classes 11 and 12"):
        assess_accuracy(ClassMap(place.map_path, legend), reference)


def test_pixels_of_two_reference_classes_are_left_out(place, tmp_path):
    shapes = [square(0, 0, 9, 9), square(5, 0, 9, 9), square(40, 40, 9, 9), square(42, 42, 3, 3)]
    truth = [CODES[0], CODES[1], CODES[2], CODES[2]]
    path = write_layer(tmp_path / "r.gpkg", shapes, truth=truth)
    result = assess_accuracy(ClassMap(place.map_path), read_vector_labels(path, "truth"))
    assert result.labels == 2 * 5 * 9 + 81
    assert result.warnings[0] == "36 pixels lie in areas of two classes and are left out."
    stacked = [square(0, 0, 9, 9)] * 3 + [square(40, 40, 9, 9)]
    path = write_layer(tmp_path / "s.gpkg", stacked, truth=[11, 12, 11, 40])
    assert assess_accuracy(ClassMap(place.map_path), read_vector_labels(path, "truth")).labels == 81


def test_a_class_without_a_label_is_named(place, tmp_path):
    middle = [(row * 10 + 4, col * 10 + 4) for row, col in place.cells]
    cells = [cell for cell in middle if place.codes[cell] == CODES[1]]
    cells += [cell for cell in middle if place.codes[cell] == CODES[2]][:1]
    truth = [int(place.codes[cell]) for cell in cells]
    result = assess_accuracy(
        ClassMap(place.map_path),
        labels_at(place, tmp_path / "r.gpkg", cells, truth),
        report=tmp_path / "r.html",
    )
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "nan" not in page
    assert f"{len(cells)} labelled pixels of r.gpkg" in page
    without = [item for item, row in zip(result.classes, result.counts) if not row.sum()]
    assert [item.code for item in without] == [CODES[0]]
    assert 'No label lies in the mapped class "11"' in result.warnings[0]


def test_mistakes_are_said(place, tmp_path):
    class_map = ClassMap(place.map_path)
    far = write_layer(tmp_path / "far.gpkg", [square(9000, 0, 5, 5)], truth=[11])
    with pytest.raises(LabelsError, match="do not overlap"):
        assess_accuracy(class_map, read_vector_labels(far, "truth"))
    other = write_layer(tmp_path / "other.gpkg", [point(5, 5)], truth=["lake"])
    with pytest.raises(LabelsError, match="no class in common"):
        assess_accuracy(class_map, read_vector_labels(other, "truth"))
    many = write_class_raster(tmp_path / "many.tif", np.arange(4800).reshape(80, 60), place.path)
    with pytest.raises(SeriesError, match="no class map"):
        ClassMap(many)
    empty = write_class_raster(tmp_path / "empty.tif", np.zeros((80, 60), int), place.path)
    with pytest.raises(SeriesError, match="no class, only nodata"):
        ClassMap(empty)
    stop = SimpleNamespace(progress=lambda f: None, cancelled=lambda: True, info=print)
    with pytest.raises(Cancelled):
        draw_sample(class_map, feedback=stop)
    with pytest.raises(Cancelled):
        ClassMap(place.map_path, feedback=stop)
    assert sorted(os.listdir(tmp_path)) == ["empty.tif", "far.gpkg", "many.tif", "other.gpkg"]
    assert map_codes(place.map_path).shape == (80, 90)


def test_the_strata_of_a_drawn_sample_count_for_another_map(place, tmp_path):
    """Drawn from one map, filled in, and used for a map with other classes: as a user does it."""
    from alise_plugin import run

    rng = np.random.default_rng(1)
    truth = np.array(CODES)[place.truth]
    maps = []
    for number, errors in enumerate((0.1, 0.4)):
        wrong = rng.random(truth.shape) < errors
        codes = np.where(wrong & (truth == CODES[1]), CODES[0], truth)
        like = place.series.path
        maps.append(write_class_raster(tmp_path / f"{number}.tif", codes, like))
    sample = str(tmp_path / "sample.gpkg")
    run("drawsample", INPUT=maps[0], SIZE=600, MINIMUM=100, OUTPUT=sample)
    source = ogr.Open(sample, 1)
    layer = source.GetLayer(0)
    left, _, _, top, _, _ = place.series.grid.geotransform
    for feature in layer:
        shape = feature.GetGeometryRef()
        row, col = int((top - shape.GetY()) // 10), int((shape.GetX() - left) // 10)
        feature.SetField("reference", str(truth[row, col]))
        layer.SetFeature(feature)
    del layer, source
    areas = {}
    for number in (0, 1):
        table = tmp_path / f"areas{number}.csv"
        run("assessaccuracy", INPUT=maps[number], REFERENCE=sample, FIELD="reference", AREAS=table)
        rows = [line.split(",") for line in table.read_text().splitlines()]
        areas[number] = {row[0]: dict(zip(rows[0], row)) for row in rows[1:]}
    exact = float((truth == CODES[1]).sum() * 100)
    for number in (0, 1):
        found = areas[number][str(CODES[1])]
        assert float(found["adjusted_low"]) < exact * 1.01
        assert float(found["adjusted_high"]) > exact * 0.99
    # One sample gives one true area, whichever map it judges.
    one, other = (float(areas[number][str(CODES[1])]["adjusted_m2"]) for number in (0, 1))
    assert one == pytest.approx(other, rel=1e-3)


def test_labels_without_strata_are_taken_as_drawn_from_the_map(place, tmp_path, capsys):
    from alise_plugin import run

    class Log:
        def __init__(self):
            self.warnings = []

        def progress(self, fraction):
            pass

        def cancelled(self):
            return False

        def info(self, text):
            pass

        def warning(self, text):
            self.warnings.append(text)

    truth = np.array(CODES)[place.truth]
    raster = write_class_raster(tmp_path / "map.tif", truth, place.series.path)
    points = [point(col, 5 * row) for row in range(8) for col in range(0, 80, 3)]
    values = [int(truth[5 * row, col]) for row in range(8) for col in range(0, 80, 3)]
    strata = [float(value) for value in values]
    strata[3] = None
    layer = write_layer(
        tmp_path / "points.gpkg",
        points,
        true=values,
        stratum=strata,
        stratum_m2=[5.0] * len(values),
    )
    log = Log()
    run("assessaccuracy", feedback=log, INPUT=raster, REFERENCE=layer, FIELD="true")
    assert any("1 labels of points.gpkg have no stratum or stratum_m2" in t for t in log.warnings)
