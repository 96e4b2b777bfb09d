import os
import warnings

import numpy as np
import pytest
from osgeo import gdal

from alise_plugin.errors import Cancelled
from alise_plugin.feedback import SilentFeedback
from alise_plugin.mapping.features.embedding_raster import EmbeddingRaster
from alise_plugin.mapping.features.tiling import TileBudget
from alise_plugin.mapping.labels.read import read_vector_labels
from alise_plugin.mapping.learning.classifier import (
    CLASSIFIERS,
    fit,
    fit_and_choose,
    folds_of,
    validate,
)
from alise_plugin.mapping.learning.train_classifier import train_classifier
from alise_plugin.mapping.samples.samples import LabelledSource
from alise_plugin.mapping.scores.metrics import confusion, intervals, measures
from alise_plugin.model.heads.class_head import Head
from tests.helpers.features import labelled_with
from tests.helpers.labelled_region import TRANSFORM, square, utm, write_layer

pytest.importorskip("sklearn")
pytest.importorskip("onnxruntime")
SILENT = SilentFeedback()


def polygons(rng, classes=3, groups=10, pixels=5, features=8, apart=2.0, inside=0.2):
    """Pixels that scatter round their polygon's mean, which scatters round its class."""
    target = np.repeat(np.arange(classes), groups * pixels)
    group = np.repeat(np.arange(classes * groups), pixels)
    means = np.random.default_rng(0).normal(0, apart, (classes, features))
    of_group = rng.normal(0, 1, (classes * groups, features))
    x = means[target] + of_group[group] + rng.normal(0, inside, (len(target), features))
    return x.astype(np.float32), target, group


@pytest.mark.parametrize("classes", [2, 3])
def test_the_networks_are_what_scikit_learn_fits(rng, classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    x, target, group = polygons(rng, classes)
    standard = (x - x.mean(0)) / x.std(0)
    linear = LogisticRegression(C=0.1, max_iter=300).fit(standard, target)
    network = fit("linear", x, target, group, classes, 0.1, 0)
    np.testing.assert_allclose(network.probabilities(x), linear.predict_proba(standard), atol=1e-3)
    network = fit("mlp", x, target, group, classes, 1.0, 4)
    settings = {"alpha": 1e-2, "max_iter": 100, "n_iter_no_change": 5, "tol": 1e-3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hundred epochs, converged or not
        hidden = MLPClassifier((64,), random_state=4, **settings).fit(standard, target)
    np.testing.assert_allclose(network.probabilities(x), hidden.predict_proba(standard), atol=1e-3)


def test_pausing_to_ask_for_cancel_changes_little(rng, monkeypatch):
    from alise_plugin.mapping.learning import classifier as module

    x, target, group = polygons(rng)
    at_once = fit("linear", x, target, group, 3, 0.1, 0).probabilities(x)
    monkeypatch.setattr(module, "_LARGE", 0)
    monkeypatch.setattr(module, "_PAUSE", 5)
    in_pieces = fit("linear", x, target, group, 3, 0.1, 0).probabilities(x)
    np.testing.assert_allclose(in_pieces, at_once, atol=5e-3)


def test_a_prototype_is_the_nearest_class_mean(rng):
    x, target, group = polygons(rng, pixels=1, groups=3)
    network = fit("prototype", x, target, group, 3, 1.0, 0)
    fresh = polygons(rng, groups=40)[0]
    standard = (fresh - x.mean(0)) / x.std(0)
    means = np.stack([((x - x.mean(0)) / x.std(0))[target == kind].mean(0) for kind in range(3)])
    nearest = ((standard[:, None] - means[None]) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(network.probabilities(fresh).argmax(1), nearest)


def test_every_polygon_counts_once_in_a_prototype(rng):
    x, target, group = polygons(rng, groups=2, pixels=2)
    more = np.r_[np.arange(len(x)), np.repeat(0, 500)]  # one polygon with many more pixels
    plain, heavy = (
        fit("prototype", x[some], target[some], group[some], 3, 1.0, 0)
        for some in (slice(None), more)
    )
    ahead = [n.probabilities(x) * n.scale.mean() for n in (plain, heavy)]
    assert (ahead[0].argmax(1) == ahead[1].argmax(1)).mean() > 0.9


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_class_that_a_fold_lacks_is_never_predicted(rng, kind):
    x, target, group = polygons(rng)
    some = target != 1
    network = fit(kind, x[some], target[some], group[some], 3, 0.1, 0)
    chances = network.probabilities(x)
    assert chances.shape == (len(x), 3)
    assert (chances[:, 1] == 0).all()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)


def test_folds_keep_groups_whole_and_classes_spread(rng):
    target = np.repeat([0, 0, 0, 0, 0, 0, 1, 1, 2], 4)
    group = np.repeat(np.arange(9), 4)
    folds, alone = folds_of(target, group, 5, 0)
    assert alone == [2]
    for one in range(9):
        assert len(set(folds[group == one])) == 1
    assert set(folds[target == 2]) == {-1}  # never left out: there is no other
    assert len(set(folds[target == 1])) == 2
    assert len(set(folds[target == 0])) == 5
    mixed = rng.integers(0, 3, 400)
    blocks = rng.integers(0, 20, 400)
    folds, alone = folds_of(mixed, blocks, 5, 0)
    assert not alone
    assert all(len(set(folds[blocks == one])) == 1 for one in range(20))
    assert np.bincount(folds).min() > 0


def test_chance_labels_score_chance(rng):
    """Pixels of a polygon are all but equal: whoever splits polygons would score near 1."""
    x, _, group = polygons(rng, classes=2, groups=40, apart=0.0, inside=0.01)
    target = np.random.default_rng(7).integers(0, 2, 80)[group]
    found = validate("linear", x, target, group, 2, 0, SILENT)
    score = measures(confusion(target[found.sample], found.predicted, 2)).overall[0]
    assert 0.3 < score < 0.7
    assert sorted(found.sample) == list(range(len(x)))  # everything is left out once


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_validation_predicts_what_new_polygons_will_score(rng, kind):
    x, target, group = polygons(rng, groups=12, apart=0.7)
    found = validate(kind, x, target, group, 3, 0, SILENT)
    left_out = measures(confusion(target[found.sample], found.predicted, 3)).overall[2]
    fitted = fit_and_choose(kind, x, target, group, 3, 0, SILENT)
    fresh = polygons(rng, groups=200, apart=0.7)
    chances = fitted.network.probabilities(fresh[0])
    new = measures(confusion(fresh[1], chances.argmax(1), 3)).overall[2]
    assert left_out == pytest.approx(new, abs=0.12)
    assert [point[0] for point in found.curve] == [1, 2, 5]
    assert found.curve[0][1] < found.curve[-1][1] + 0.05


def test_measures_are_those_of_scikit_learn(rng):
    from sklearn import metrics

    truth, predicted = rng.integers(0, 4, (2, 300))
    found = measures(confusion(truth, predicted, 4))
    expected = [
        metrics.accuracy_score(truth, predicted),
        metrics.cohen_kappa_score(truth, predicted),
        metrics.f1_score(truth, predicted, average="macro"),
        metrics.jaccard_score(truth, predicted, average="macro"),
    ]
    np.testing.assert_allclose(found.overall, expected, atol=1e-12)
    np.testing.assert_allclose(
        found.precision, metrics.precision_score(truth, predicted, average=None)
    )
    np.testing.assert_allclose(found.recall, metrics.recall_score(truth, predicted, average=None))


def test_intervals_know_that_pixels_of_a_polygon_are_alike(rng):
    truth = np.repeat(rng.integers(0, 2, 30), 100)
    right = np.repeat(rng.random(30) < 0.8, 100)
    predicted = np.where(right, truth, 1 - truth)
    group = np.repeat(np.arange(30), 100)
    overall, by_class = intervals(truth, predicted, group, 2)
    wide = overall["overall accuracy"]
    narrow = intervals(truth, predicted, np.arange(3000), 2)[0]["overall accuracy"]
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)
    assert wide.low < wide.value < wide.high
    assert set(by_class[0]) == {"precision", "recall", "F1", "IoU"}


def embedding(path, features):
    """An embedding raster with these `(F, H, W)` values."""
    count, height, width = features.shape
    raster = gdal.GetDriverByName("GTiff").Create(str(path), width, height, count, gdal.GDT_Float32)
    raster.SetProjection(utm().ExportToWkt())
    raster.SetGeoTransform(TRANSFORM)
    raster.SetMetadata({"ALISE_MODEL": "fake", "ALISE_MODEL_SHA256": "c" * 64})
    raster.WriteArray(features)
    raster.FlushCache()
    raster = None
    return EmbeddingRaster(path)


def test_ten_thousand_polygons(rng, tmp_path):
    side = 500  # fields of 5 x 5 pixels
    kinds = rng.integers(0, 4, (100, 100))
    truth = kinds.repeat(5, 0).repeat(5, 1)
    means = rng.normal(0, 2, (6, 4))
    features = means[:, truth] + rng.normal(0, 1, (6, side, side))
    source = embedding(tmp_path / "embedding.tif", features.astype(np.float32))
    cells = [(row, col) for row in range(100) for col in range(100)]
    path = write_layer(
        tmp_path / "many.gpkg",
        [square(col * 5, row * 5, 5, 5) for row, col in cells],
        code=[int(kinds[cell]) for cell in cells],
    )
    pairs = [LabelledSource(source, read_vector_labels(path, "code"))]
    head = tmp_path / "head.onnx"
    result = train_classifier(
        labelled_with(None, pairs), head, budget=TileBudget(memory_mb=256), classifier="prototype"
    )
    assert result.groups == 10_000
    assert result.samples == 5 * 10_000
    assert any("room for 5 pixels" in note for note in result.warnings)
    assert result.overall["macro-F1"].value > 0.8
    assert Head(head).description.provenance["groups"]["0"] == int((kinds == 0).sum())


class Stopper(SilentFeedback):
    def __init__(self, moment):
        self.moment, self.fraction = moment, 0.0

    def progress(self, fraction):
        self.fraction = fraction

    def cancelled(self):
        return self.fraction >= self.moment


@pytest.mark.parametrize("moment", [0.0, 0.3, 0.75, 0.95])
def test_cancel_leaves_nothing(rng, tmp_path, moment):
    source = embedding(tmp_path / "e.tif", rng.normal(size=(4, 40, 40)).astype(np.float32))
    shapes = [square(col * 8, row * 8, 7, 7) for row in range(5) for col in range(5)]
    path = write_layer(tmp_path / "l.gpkg", shapes, code=[n % 2 for n in range(25)])
    before = sorted(os.listdir(tmp_path))
    pairs = [LabelledSource(source, read_vector_labels(path, "code"))]
    with pytest.raises(Cancelled):
        train_classifier(
            labelled_with(None, pairs),
            tmp_path / "head.onnx",
            budget=TileBudget(tile_size=16),
            report=tmp_path / "report.html",
            feedback=Stopper(moment),
        )
    assert sorted(os.listdir(tmp_path)) == before
