"""The paper's protocol of training and testing, on sets whose answer is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, jaccard_score

from alise_plugin.errors import HeadError
from alise_plugin.model.encoder import Encoder
from alise_plugin.model.heads.class_head import Head
from alise_plugin.model.identity import FeatureIdentity
from alise_plugin.model.package import load_package
from tests.helpers.labelled_sets import write_pastis
from training.__main__ import main
from training.models.alise import Alise, AliseConfig
from training.models.checkpoint import load_alise, save_alise
from training.models.ubarn import UBarn, save_ubarn
from training.pretrain.config import ConfigError
from training.segmentation.batches import FeatureBatches, ImageBatches, cropped
from training.segmentation.command import (
    SegmentationConfig,
    figures,
    open_set,
    summary,
)
from training.segmentation.metrics import confusion_matrix, scores
from training.segmentation.networks import (
    AliseSegmenter,
    UBarnSegmenter,
    linear_head,
    segmenter,
    trainable,
)
from training.segmentation.probe import write_probe
from training.segmentation.protocol import (
    Protocol,
    Trained,
    chances,
    experiments,
    run_experiment,
)
from training.segmentation.series import (
    LabelledDataError,
    LabelledSeries,
    Split,
    named_classes,
)

PROJECT = Path(__file__).resolve().parents[2]
CONFIGS = PROJECT / "training" / "configs" / "segmentation"
SMALL = AliseConfig(encoder_widths=(8, 8, 8, 8), decoder_widths=(8, 8, 8, 8), layers=1, dropout=0.0)


class Levels:
    """Two classes that differ in brightness, background between them, other lengths each."""

    classes = named_classes({4: "dark", 9: "bright"})

    def __init__(self, count=10, size=16):
        rng = np.random.default_rng(0)
        self.series = []
        for number in range(count):
            dates = 5 + number % 3
            labels = np.full((size, size), 4)
            labels[:, size // 2 :] = 9
            labels[: size // 4] = 0
            level = np.where(labels == 9, 0.35, 0.05) + 0.2 * (labels == 0)
            image = np.broadcast_to(level, (dates, 10, size, size))
            noisy = (image + rng.normal(0, 0.01, image.shape)).astype(np.float32)
            days = (1800 + 20 * np.arange(dates)).astype(np.float32)
            self.series.append(LabelledSeries(str(number), noisy, days, labels))

    def __len__(self):
        return len(self.series)

    def read(self, index):
        return self.series[index]

    def labels(self, index):
        return self.series[index].labels

    def splits(self):
        return [Split((0, 1, 2, 3), (4, 5), (6, 7)), Split((4, 5, 6, 7), (8,), (9,))]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def levels():
    return Levels()


def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400)
    predicted = np.where(rng.random(400) < 0.6, truth, rng.integers(0, 5, 400))
    found = scores(confusion_matrix(truth, predicted, 5))
    assert found.f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert found.kappa == pytest.approx(cohen_kappa_score(truth, predicted))
    assert found.iou == pytest.approx(jaccard_score(truth, predicted, average="macro"))


def test_classes_that_do_not_occur_and_ignored_pixels_do_not_count():
    truth = np.array([0, 0, 1, 1, -1, -1])
    predicted = np.array([0, 0, 1, 2, 0, 2])
    matrix = confusion_matrix(truth, predicted, 4)
    assert matrix.sum() == 4
    found = scores(matrix)
    assert np.isnan(found.f1_by_class[2:]).all()
    assert found.f1 == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(scores(np.zeros((3, 3), int)).f1)


class Fields(Levels):
    """Forty series of which one in ten holds a field of the scarce class; the last has no label."""

    def __init__(self, splits=5):
        self.count = splits

    def labels(self, index):
        labels = np.full((4, 4), 4)
        labels[0, : 4 if index % 10 == 0 else 0] = 9
        return labels * (index < 39)

    def splits(self):
        return [Split(tuple(range(40)), (40,), (41,))] * self.count


def test_series_of_scarce_classes_are_likelier_among_the_few():
    """Eq. 5 of U-BARN: a field of 16 of the scarce class, of four of them, and 608 of the other."""
    found = chances(Fields(), tuple(range(40)))
    scarce, common = (4 / 16 + 12 / 608) / 16, 16 / 608 / 16
    assert found.sum() == pytest.approx(1)
    assert found[39] == 0
    assert found[10] / found[11] == pytest.approx(scarce / common)
    drawn = [split.train for _, split in experiments(Fields(), Protocol(few=4, draws=200))]
    held = np.mean([any(place % 10 == 0 for place in train) for train in drawn])
    assert held > 0.75  # of four drawn evenly, a third would hold one
    assert 39 not in np.concatenate(drawn)
    without = Fields()
    without.labels = lambda index: np.zeros((4, 4), int)
    with pytest.raises(LabelledDataError, match="No pixel of the training"):
        list(experiments(without, Protocol(few=4)))


def test_figures_of_a_single_class_are_no_nan(levels):
    matrix = np.array([[5, 0], [0, 0]])
    run = Trained(linear_head(4, 2), scores(matrix), matrix, 1)
    assert np.isnan(run.scores.kappa)
    written = json.loads(json.dumps(figures([run]), allow_nan=False))
    assert written[0]["kappa"] is None
    assert written[0]["f1_by_class"] == [1.0, None]
    assert "nan" not in summary([run, run], levels)


def test_few_series_are_drawn_again_and_again_from_each_split():
    found = list(experiments(Fields(), Protocol(few=30, draws=5)))
    assert len(found) == 25
    assert len({seed for seed, _ in found}) == 25
    assert {len(split.train) for _, split in found} == {30}
    assert len({split.train for _, split in found}) == 25


def test_a_split_without_series_is_refused():
    data = Levels()
    data.splits = lambda: [Split((0,), (), (1,))]
    with pytest.raises(LabelledDataError, match="no validation series"):
        list(experiments(data, Protocol()))


def test_crops_lie_anywhere_when_training_and_in_the_centre_else(levels):
    size = 12
    labels = np.arange(size * size).reshape(size, size)
    series = LabelledSeries("x", np.zeros((1, 10, size, size), np.float32), np.zeros(1), labels)
    assert cropped(series, 4).labels[0, 0] == 4 * size + 4
    assert cropped(series, 4).reflectance.shape == (1, 10, 4, 4)
    rng = np.random.default_rng(0)
    assert len({int(cropped(series, 4, rng).labels[0, 0]) for _ in range(30)}) > 15
    assert cropped(series, 64).labels.shape == (size, size)


def test_padding_dates_do_not_change_the_answer(levels):
    torch.manual_seed(0)
    for network in (AliseSegmenter(Alise(SMALL), 2), UBarnSegmenter(UBarn(SMALL), 2)):
        network.eval()
        together = next(iter(ImageBatches(levels, 64, 3)((0, 1, 2), None)))
        assert together.inputs[0].shape[1] == 7
        alone = [next(iter(ImageBatches(levels, 64, 1)((place,), None))) for place in range(3)]
        with torch.no_grad():
            expected = torch.cat([network(*batch.inputs) for batch in alone])
            found = network(*together.inputs)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert len(found) == len(together.target) == 3 * 12 * 16


def test_a_pixel_that_no_date_shows_is_not_asked_for(levels):
    series = levels.read(0)
    hidden = series.reflectance.copy()
    hidden[:, :, 8:12, 2:4] = np.nan
    data = Levels()
    data.series = [replace(series, reflectance=hidden)]
    batch = next(iter(ImageBatches(data, 64, 1)((0,), None)))
    assert len(batch.target) == 12 * 16 - 8


@pytest.fixture(scope="module")
def package():
    return load_package(PROJECT / "models" / "alise-s2")


QUICK = Protocol(learning_rate=5e-3, epochs=12, batch_size=2)


def test_a_probe_tells_bright_from_dark_and_exports_as_a_head(levels, package, tmp_path):
    batches = FeatureBatches(levels, Encoder(package, device="cpu", threads=1), 64, 2)
    split = levels.splits()[0]
    trained = run_experiment(
        lambda: linear_head(package.n_features, 2), batches, split, 2, QUICK, seed=1
    )
    assert trained.scores.f1 > 0.99
    assert trained.confusion.sum() == 2 * 12 * 16
    path = tmp_path / "out" / "head.onnx"
    write_probe(path, trained, levels, package, labels="levels")
    head = Head(path)
    assert [(one.code, one.name) for one in head.classes] == [(4, "dark"), (9, "bright")]
    head.require(FeatureIdentity(package.sha256, package.model_id, package.n_features))
    with pytest.raises(HeadError):
        head.require(FeatureIdentity("0" * 64, "another", package.n_features))
    assert head.description.provenance["test scores"]["f1"] == trained.scores.f1
    series = levels.read(7)
    vectors = Encoder(package, device="cpu", threads=1).encode(series.reflectance, series.days)
    found = head.probabilities(vectors.reshape(640, *series.labels.shape))
    rows = torch.from_numpy(vectors.reshape(640, -1).T.copy())
    with torch.no_grad():
        expected = trained.network(rows).softmax(1).T.reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    codes = np.array([one.code for one in head.classes])[found.argmax(0)]
    assert (codes == series.labels)[4:].mean() > 0.99


def test_features_of_a_frozen_encoder_are_made_once(levels, package):
    encoder = Encoder(package, device="cpu", threads=1)
    calls = []
    original = encoder.encode
    encoder.encode = lambda *a, **k: calls.append(1) or original(*a, **k)
    batches = FeatureBatches(levels, encoder, 64, 2)
    for _ in range(3):
        list(batches((0, 1), np.random.default_rng(0)))
    assert len(calls) == 2
    moving = FeatureBatches(levels, encoder, 8, 2)
    for _ in range(3):
        list(moving((0, 1), np.random.default_rng(0)))
    assert len(calls) == 2 + 6


@pytest.mark.parametrize("kind", [Alise, UBarn])
def test_an_encoder_learns_along(levels, kind):
    torch.manual_seed(0)
    before = {name: value.clone() for name, value in kind(SMALL).state_dict().items()}

    def make():
        network = kind(SMALL)
        network.load_state_dict(before)
        return segmenter(network, 2)

    losses = []
    trained = run_experiment(
        make,
        ImageBatches(levels, 64, 2),
        levels.splits()[0],
        2,
        QUICK,
        seed=0,
        report=losses.append,
    )
    assert trained.scores.f1 > 0.95
    encoder = trained.network.alise if kind is Alise else trained.network.ubarn
    moved = [n for n, v in encoder.named_parameters() if not torch.equal(v, before[n])]
    assert any(name.startswith("spatial") for name in moved)
    assert not any(name.startswith("decoder") for name in moved)


def test_a_frozen_ubarn_stays_as_it_is(levels):
    network = UBarnSegmenter(UBarn(SMALL), 2, frozen=True)
    before = {name: value.clone() for name, value in network.ubarn.state_dict().items()}
    batches = ImageBatches(levels, 64, 2)
    trained = run_experiment(lambda: network, batches, levels.splits()[0], 2, QUICK, seed=0)
    after = trained.network.ubarn.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert trainable(network) == sum(p.numel() for p in network.head.parameters())


def test_the_rate_falls_on_a_plateau_and_training_ends(levels, package):
    batches = FeatureBatches(levels, Encoder(package, device="cpu", threads=1), 64, 2)
    # Nothing can get better at a rate of almost nothing: one fall, then the end.
    protocol = Protocol(learning_rate=1e-5, patience=0, decay=0.05, epochs=500, smallest_rate=9e-6)
    wrong = Split((0,), (0,), (0,))
    trained = run_experiment(
        lambda: linear_head(640, 2), batches, wrong, 2, replace(protocol, epochs=60), seed=0
    )
    assert trained.epochs == 60  # it still improves
    flat = Levels()
    flat.series = [replace(one, reflectance=one.reflectance * 0) for one in flat.series]
    same = FeatureBatches(flat, Encoder(package, device="cpu", threads=1), 64, 2)
    trained = run_experiment(
        lambda: linear_head(640, 2), same, wrong, 2, replace(protocol, learning_rate=0.5), seed=0
    )
    assert trained.epochs < 500


def test_a_set_without_any_learned_label_is_refused(levels, package):
    data = Levels()
    data.series = [replace(one, labels=one.labels * 0) for one in data.series]
    batches = FeatureBatches(data, Encoder(package, threads=1), 64, 2)
    with pytest.raises(LabelledDataError, match="No pixel"):
        run_experiment(lambda: linear_head(640, 2), batches, data.splits()[0], 2, QUICK, seed=0)
    data, split = Levels(), levels.splits()[0]
    for place in split.test:
        data.series[place] = replace(data.series[place], labels=data.series[place].labels * 0)
    batches = FeatureBatches(data, Encoder(package, threads=1), 64, 2)
    with pytest.raises(LabelledDataError, match="No pixel of the test series"):
        run_experiment(lambda: linear_head(640, 2), batches, split, 2, QUICK, seed=0)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_that_come_with_the_project_are_the_papers(path):
    protocol = SegmentationConfig.read(path).protocol
    assert protocol.learning_rate == 1e-4
    assert (protocol.patience, protocol.decay, protocol.crop) == (10, 0.05, 64)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1", "no options"),
        ("dataset: {name: cifar}", "pastis"),
        ("dataset: pastis", "pastis"),
        ("protocol: {}", "dataset"),
        ("dataset: {name: simulated}\nprotocol: {rate: 1}", "rate"),
        ("dataset: {name: simulated}\nepochs: 3", "epochs"),
        ("dataset: {name: simulated}\nprotocol: {learning_rate: 1e-4}", "learning_rate is '1e-4'"),
        ("dataset: {name: simulated}\nprotocol: {batch_size: 0}", "batch_size is 0"),
        ("dataset: {name: simulated}\nprotocol: {decay: 1.0}", "decay is 1"),
        ("dataset: {name: simulated}\nprotocol: {few: 2.5}", "few is 2.5; write a whole number"),
        ("a: [", "YAML"),
    ],
)
def test_a_wrong_configuration_is_said_in_one_sentence(tmp_path, text, says):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        SegmentationConfig.read(path)


def test_a_set_needs_its_folder_and_known_options(tmp_path):
    with pytest.raises(ConfigError, match="--data"):
        open_set({"name": "pastis"}, None)
    for strange in ("fold", "folder"):
        with pytest.raises(ConfigError, match=f"no option {strange}"):
            open_set({"name": "pastis", strange: "here"}, tmp_path)
    with pytest.raises(ConfigError, match="dataset: year is '2019'; write a whole number"):
        open_set({"name": "pastis", "year": "2019"}, tmp_path)
    for strange in ({"series": 0}, {"size": 15}, {"most_dates": 0}):
        with pytest.raises(LabelledDataError, match="write 1 or more"):
            open_set({"name": "simulated", **strange}, None)


@pytest.fixture
def small_pastis(tmp_path):
    write_pastis(tmp_path / "PASTIS", size=24)
    config = tmp_path / "config.yaml"
    config.write_text("dataset: {name: pastis}\nprotocol: {epochs: 2, crop: 16}\n")
    return config, tmp_path / "PASTIS"


def test_the_three_commands_run_the_protocol(small_pastis, tiny_package, tmp_path, capsys):
    config, data = small_pastis
    common = ["--config", str(config), "--data", str(data), "--threads", "1", "--quiet"]
    out = tmp_path / "probe"
    assert main(["probe", *common, "--model", tiny_package, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "5 experiments, 10 series, 18 classes, 11538 parameters" in printed
    assert "| macro-F1 |" in printed
    assert "F1 Corn" in printed
    assert "F1 Beet" not in printed
    assert len(list(out.glob("head_*.onnx"))) == 5
    assert (out / "scores.json").stat().st_size > 1000
    save_alise(tmp_path / "alise.pt", Alise(SMALL))
    save_ubarn(tmp_path / "ubarn.pt", UBarn(SMALL))
    once = [*common, "--splits", "1"]
    for name in ("alise", "ubarn"):
        kept = tmp_path / name
        arguments = ["--checkpoint", str(tmp_path / f"{name}.pt"), "--out", str(kept)]
        assert main(["finetune", *once, *arguments]) == 0
        assert (kept / "encoder_1.pt").exists()
    assert load_alise(tmp_path / "alise" / "encoder_1.pt")[0].config == SMALL
    assert main(["probe", *once, "--ubarn", str(tmp_path / "ubarn.pt")]) == 0
    assert main(["supervise", *once, "--epochs", "1"]) == 0
    assert "fully supervised" in capsys.readouterr().out


def test_a_file_that_is_no_model_is_refused(small_pastis, tmp_path, capsys):
    config, data = small_pastis
    (tmp_path / "thesis.pt").write_text("four years")
    common = ["--config", str(config), "--data", str(data)]
    assert main(["finetune", *common, "--checkpoint", str(tmp_path / "thesis.pt")]) == 2
    assert "not a model file" in capsys.readouterr().err
    save_alise(tmp_path / "alise.pt", Alise(SMALL))
    assert main(["probe", *common, "--ubarn", str(tmp_path / "alise.pt")]) == 2
    assert "--model" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["probe", *common, "--splits", "0"])
    # Before anything is trained, not after.
    assert main(["supervise", *common, "--out", str(tmp_path / "thesis.pt")]) == 2
    assert "cannot be made" in capsys.readouterr().err
