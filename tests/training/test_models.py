"""The networks: what the publications state, and the properties that a map relies on."""

import errno

import pytest

torch = pytest.importorskip("torch")

from alise_plugin.errors import OutputError
from training.__main__ import main
from training.models.alise import PRESETS, Alise, AliseConfig, receptive_halo
from training.models.checkpoint import ModelFileError, load_alise, save_alise
from training.models.day_encoding import DayEncoding
from training.models.temporal_projector import TemporalProjector
from training.models.transformer import TransformerLayer, attendable
from training.models.ubarn import load_ubarn
from training.models.unet import (
    BatchNorm,
    Norms,
    UNet,
    convolve_constant,
    receptive_radius,
)
from training.segmentation.networks import load_encoder


def small_alise(seed=0, **changes):
    torch.manual_seed(seed)
    model = Alise(AliseConfig.from_dict(changes)).double()
    # Running statistics other than 0 and 1, so that normalisation layers count.
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def random_series(batch=2, dates=6, size=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, dates, 10, size, size, generator=generator, dtype=torch.float64)
    days = (torch.rand(batch, dates, generator=generator) * 700 + 1500).round()
    observed = torch.rand(batch, dates, size, size, generator=generator) > 0.2
    observed[:, 0] = True
    return image, days, observed


@pytest.mark.parametrize(
    ("preset", "millions"), [("alise", 1.11), ("malice", 0.83), ("alise_minimal", 1.08)]
)
def test_presets_have_the_published_number_of_encoder_parameters(preset, millions):
    assert round(Alise(PRESETS[preset]).encoder_parameters() / 1e6, 2) == millions


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_maps_a_series_to_ten_aligned_vectors(preset):
    image, days, observed = random_series(batch=1, dates=3, size=16)
    aligned = small_alise(preset=preset)(image, days, observed)
    assert aligned.shape == (1, 10, 64, 16, 16)
    assert aligned.isfinite().all()


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match="depth"):
        AliseConfig.from_dict({"depth": 3})
    with pytest.raises(ValueError, match="preset 'x'"):
        AliseConfig.from_dict({"preset": "x"})
    with pytest.raises(ValueError, match="'layer'"):
        Alise(AliseConfig(encoder_norm="layer"))


def test_day_encoding_is_sine_and_cosine_of_the_day():
    encoded = DayEncoding(64, 1000.0)(torch.tensor([0.0, 10.0]))
    assert torch.equal(encoded[0, 0::2], torch.zeros(32))
    assert torch.equal(encoded[0, 1::2], torch.ones(32))
    assert encoded[1, 0] == pytest.approx(-0.5440211)  # sin 10
    assert encoded[1, 33] == pytest.approx(0.9504153, abs=1e-6)  # cos(10 / 1000^0.5)


def test_transformer_layer_equals_the_one_of_pytorch():
    torch.manual_seed(0)
    ours = TransformerLayer(64, 4, 128, 0.1).eval()
    theirs = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.self_attn.out_proj.load_state_dict(ours.out.state_dict())
    for name in ("linear1", "linear2", "norm1", "norm2"):
        getattr(theirs, name).load_state_dict(getattr(ours, name).state_dict())
    x, valid = torch.randn(3, 7, 64), torch.rand(3, 7) > 0.3
    valid[:, 0] = True
    expected = theirs(x, src_key_padding_mask=~valid)
    assert torch.allclose(ours(x, attendable(valid))[valid], expected[valid], atol=1e-5)


def test_temporal_projector_follows_equation_1():
    torch.manual_seed(0)
    projector = TemporalProjector(d_model=8, n_queries=3, heads=2, d_key=4)
    encoded, valid = torch.randn(1, 5, 8), torch.tensor([[True, True, False, True, True]])
    aligned = projector(encoded, attendable(valid))[0]
    seen = encoded[0, valid[0]]
    for head in range(2):
        key = seen @ projector.key.weight[4 * head : 4 * head + 4].T
        weights = (projector.query[head] @ key.T / 2).softmax(dim=-1)
        expected = weights @ seen[:, 4 * head : 4 * head + 4]
        assert torch.allclose(aligned[:, 4 * head : 4 * head + 4], expected, atol=1e-6)


def test_queries_are_drawn_with_the_published_deviation():
    torch.manual_seed(0)
    query = TemporalProjector(64, 1000, 2, 16).query
    assert query.std().item() == pytest.approx((2 / 16) ** 0.5, rel=0.02)


def test_decoder_follows_equations_8_and_9():
    decoder = small_alise().decoder
    aligned = torch.randn(2, 10, 64, dtype=torch.float64)
    days = torch.tensor([[1000.0, 1010.0], [1100.0, 1200.0]])
    query = (decoder.mask_token + decoder.day_encoding(days)) @ decoder.query.weight.T
    key = aligned @ decoder.key.weight.T
    weights = (query @ key.transpose(1, 2) / 8).softmax(dim=-1)
    expected = weights @ aligned @ decoder.bands.weight.T + decoder.bands.bias
    assert torch.allclose(decoder(aligned, days), expected)
    # Days that all pixels share may be given once.
    assert torch.allclose(decoder(aligned, days[0])[0], expected[0])


@pytest.mark.parametrize("size", [1, 16])
def test_order_of_the_dates_does_not_matter(size):
    model = small_alise()
    image, days, observed = random_series(size=size)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = model(image[:, order], days[:, order], observed[:, order])
    assert torch.allclose(model(image, days, observed), shuffled, atol=1e-9)


@pytest.mark.parametrize("size", [1, 16])
def test_a_date_without_observation_changes_nothing(size):
    model = small_alise()
    image, days, observed = random_series(size=size)
    longer = (
        torch.cat([image, image[:, :1] * 100], dim=1),
        torch.cat([days, days[:, :1] + 7], dim=1),
        torch.cat([observed, torch.zeros_like(observed[:, :1])], dim=1),
    )
    assert torch.allclose(model(image, days, observed), model(*longer), atol=1e-9)


def test_values_at_invalid_dates_are_not_seen_even_nan():
    temporal = small_alise().temporal
    features = torch.randn(4, 5, 64, dtype=torch.float64)
    days, valid = torch.arange(5.0) * 10 + 1500, torch.rand(4, 5) > 0.4
    valid[:, 1] = True
    expected = temporal(features, days, valid)
    assert torch.equal(
        temporal(features.masked_fill(~valid[..., None], torch.nan), days, valid), expected
    )


def test_a_pixel_without_any_date_stays_finite_and_so_do_the_gradients():
    model = small_alise().train()
    image, days, observed = random_series()
    observed[1] = False
    aligned = model(image, days, observed)
    assert aligned.isfinite().all()
    aligned.square().sum().backward()
    encoder = [*model.spatial.parameters(), *model.temporal.parameters()]
    assert all(parameter.grad.isfinite().all() for parameter in encoder)


def test_a_batch_without_any_observation_stays_finite():
    model = small_alise()
    image, days, observed = random_series(size=16)
    assert model(image, days, torch.zeros_like(observed)).isfinite().all()


def constant_image(pixels, size=16):
    return pixels[:, :, None, None].expand(-1, -1, size, size)


@pytest.mark.parametrize("preset", ["bundled", "alise"])
def test_pixel_mode_of_the_way_down_is_that_of_a_constant_image(preset):
    unet = small_alise(preset=preset).spatial
    pixels = torch.rand(5, 10, dtype=torch.float64)
    image, expected = constant_image(pixels), pixels
    for block in (unet.input_block, *unet.down_blocks):
        image, expected = block(image), block.forward_pixels(expected)
        assert torch.allclose(image, constant_image(expected, image.shape[-1]))


def test_pixel_mode_is_that_of_a_constant_image_once_transposed_kernels_are_flat():
    unet = small_alise().spatial
    with torch.no_grad():
        for block in unet.up_blocks:
            weight = block.up.conv.weight
            weight.copy_(weight.mean(dim=(2, 3), keepdim=True).expand_as(weight))
    pixels = torch.rand(5, 10, dtype=torch.float64)
    expected = constant_image(unet.forward_pixels(pixels))
    assert torch.allclose(unet(constant_image(pixels)), expected)


def test_pixel_mode_is_near_the_mean_over_a_constant_image():
    unet = small_alise().spatial
    pixels = torch.rand(50, 10, dtype=torch.float64)
    mean = unet(constant_image(pixels)).mean(dim=(2, 3))
    error = (unet.forward_pixels(pixels) - mean).square().mean().sqrt()
    assert error < 0.5 * (mean - mean.mean(dim=0)).square().mean().sqrt()


def test_the_pattern_of_a_transposed_convolution_is_replaced_by_its_mean():
    up = small_alise().spatial.up_blocks[0].up
    pixels = torch.rand(3, 128, dtype=torch.float64)
    mean = up.conv(constant_image(pixels, 4)).mean(dim=(2, 3))
    assert torch.allclose(convolve_constant(up.conv, pixels), mean)


def test_the_halo_covers_the_receptive_field_and_no_less():
    """Derived halo against what really moves when one pixel changes."""
    config = AliseConfig(encoder_widths=(8, 8, 8, 8), decoder_widths=(8, 8, 8, 8))
    torch.manual_seed(1)
    unet = UNet(10, config.encoder_widths, config.decoder_widths, 8, config.strided, Norms())
    unet.double().eval()
    radius, size = receptive_radius(3, config.strided), 160
    assert receptive_halo(config) == 56
    assert radius <= 56
    reach = 0
    # The reach depends on the position in the cells of the deepest level: try all eight.
    for column in range(72, 80):
        image = torch.rand(1, 10, 8, size, dtype=torch.float64)
        image = image.repeat(1, 1, 2, 1)  # 16 rows: enough for the reflection, cheap
        changed = image.clone()
        changed[..., column] += 10
        moved = (unet(changed) - unet(image)).abs().amax(dim=(0, 1, 2)) > 0
        columns = moved.nonzero().flatten()
        assert columns.min() >= column - radius
        assert columns.max() <= column + radius
        reach = max(reach, int(column - columns.min()), int(columns.max() - column))
    assert reach == radius


def test_no_halo_can_be_given_with_group_normalisation():
    with pytest.raises(ValueError, match="whole tile"):
        receptive_halo(PRESETS["alise"])


def test_a_saved_model_comes_back_with_its_facts(tmp_path):
    model = small_alise(layers=1, strided=[4, 2, 1]).float()
    save_alise(tmp_path / "model.pt", model, validation_loss=0.25)
    again, facts = load_alise(tmp_path / "model.pt")
    assert again.config == model.config
    assert facts == {"validation_loss": 0.25}
    image, days, observed = random_series()
    assert torch.equal(model(image.float(), days, observed), again(image.float(), days, observed))


@pytest.fixture
def other_files(tmp_path):
    """What is given in the place of a model file, by mistake or after a full disk."""
    save_alise(tmp_path / "whole.pt", small_alise(layers=1))
    whole = (tmp_path / "whole.pt").read_bytes()
    contents = {
        "text": b"hello world", "empty": b"", "half": whole[: len(whole) // 2], "start": whole[:900]
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"state_dict": {}}, tmp_path / "checkpoint")
    torch.save(torch.zeros(2), tmp_path / "tensor")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "name", ["text", "empty", "half", "start", "checkpoint", "tensor", "folder", "absent"]
)
def test_another_file_is_not_taken_for_a_model(other_files, capsys, name):
    path = other_files / name
    for load in (load_alise, load_ubarn, load_encoder):
        with pytest.raises(ModelFileError, match=f"{name} is not a model file"):
            load(path)
    out = ["--out", str(other_files / "out")]
    assert main(["export", "--checkpoint", str(path), *out, "--name", "x"]) == 2
    assert main(["average", str(other_files / "whole.pt"), str(path), *out]) == 2
    assert capsys.readouterr().err.count("is not a model file") == 2


@pytest.mark.parametrize("change", [{"colour": 1}, {"layers": 2}, {"heads": 3}])
def test_a_model_file_of_another_version_is_refused(tmp_path, change):
    save_alise(tmp_path / "model.pt", small_alise(layers=1))
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    content["config"].update(change)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match=r"model\.pt is not a model file of this version"):
        load_alise(tmp_path / "model.pt")


def test_a_model_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "runs" / "model.pt"
    save_alise(path, small_alise(layers=1), steps=1)

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OutputError, match="No space"):
        save_alise(path, small_alise(layers=1), steps=2)
    assert load_alise(path)[1] == {"steps": 1}
    assert [one.name for one in path.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("count", [2, 300, 50000])
def test_batch_statistics_of_pixels_are_near_those_of_all_of_them(count):
    torch.manual_seed(0)
    pixels = torch.randn(count, 4) * 3 + 1
    ours, theirs = BatchNorm(4), torch.nn.BatchNorm1d(4)
    near = 1e-5 if count < 4000 else 0.1
    assert torch.allclose(ours(pixels), theirs(pixels), atol=near)
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=near)
    assert torch.allclose(ours.eval()(pixels), ours(pixels[:, :, None, None])[:, :, 0, 0])
