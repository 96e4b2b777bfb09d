"""Where training starts: seasons in the attention, pixels in the kernels."""

import math

import pytest
import torch

from training.models.alise import Alise, AliseConfig
from training.models.day_encoding import YEAR_DAYS, DayEncoding
from training.models.initial import begin_with_seasons
from training.models.unet import concentrate


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Alise(AliseConfig.from_dict({"preset": "bundled", "dropout": 0.0})).eval()


def test_half_of_the_year_encoding_repeats_every_year():
    encoding = DayEncoding(64, 1000.0, "year")
    a, b = encoding(torch.tensor([1000.0, 1000.0 + 4 * YEAR_DAYS]))
    torch.testing.assert_close(a[:32], b[:32], atol=1e-3, rtol=0)
    assert (a[32:] - b[32:]).abs().max() > 0.5


def test_the_papers_encoding_is_as_written():
    encoding = DayEncoding(64, 1000.0)
    out = encoding(torch.tensor([7.0]))[0]
    assert out[0] == pytest.approx(math.sin(7.0))
    assert out[1] == pytest.approx(math.cos(7.0))
    assert out[6] == pytest.approx(math.sin(7.0 / 1000 ** (6 / 64)))


def test_each_query_begins_with_a_season_of_its_own(model):
    begin_with_seasons(model)
    days = torch.arange(0.0, 360.0, 6.0)
    # Dates that differ in nothing but their day.
    encoded = model.temporal.day_encoding(days)
    projector = model.temporal.projector
    key = projector.key(encoded).unflatten(-1, (projector.heads, -1)).transpose(0, 1)
    scores = projector.query @ key.transpose(1, 2)
    best = days[scores.argmax(-1)]
    wanted = torch.arange(10) / 10 * YEAR_DAYS
    apart = (best - wanted).abs()
    assert torch.minimum(apart, YEAR_DAYS - apart).max() < 15


def test_the_first_prediction_is_the_median_of_every_band(model):
    begin_with_seasons(model)
    out = model.decoder(torch.randn(3, 10, 64), torch.tensor([100.0, 2000.0]))
    assert out.abs().max() == 0.0


def test_a_model_without_the_year_has_no_seasons():
    model = Alise(AliseConfig.from_dict({"preset": "malice"}))
    with pytest.raises(ValueError, match="year"):
        begin_with_seasons(model)


def test_concentrated_kernels_answer_constant_images_as_in_pixel_mode(model):
    pixels = torch.randn(4, 10)
    with torch.no_grad():
        before = model.spatial.forward_pixels(pixels)
        concentrate(model.spatial)
        after = model.spatial.forward_pixels(pixels)
        image = model.spatial(pixels[:, :, None, None].expand(-1, -1, 16, 24))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        image, before[:, :, None, None].expand_as(image), atol=1e-4, rtol=1e-4
    )
