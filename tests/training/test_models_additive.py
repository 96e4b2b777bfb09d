"""The additive encoder: a series is the sum of its acquisitions, in any order and grouping."""

import pytest

torch = pytest.importorskip("torch")

from training.models.additive import MASKED_SCORE, Sums
from training.models.alise import PRESETS, Alise, receptive_halo

PIXELS, DATES = 7, 12


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = Alise(PRESETS["additive"]).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        network.temporal.projector.query *= 20  # scores far apart, as training makes them
    return network


@pytest.fixture
def series():
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(PIXELS, DATES, 10, generator=generator)
    days = (torch.rand(DATES, generator=generator) * 700 + 1500).round()
    valid = torch.rand(PIXELS, DATES, generator=generator) > 0.3
    valid[:, 0] = True
    return image, days, valid


def terms(model, image, days, valid):
    with torch.no_grad():
        return model.temporal.terms(model.spatial.forward_pixels(image), days, valid)


def vectors(model, sums):
    with torch.no_grad():
        return model.temporal.finish(sums)


def whole(model, image, days, valid):
    with torch.no_grad():
        return model.temporal(model.spatial.forward_pixels(image), days, valid)


def test_it_is_small_and_sees_a_pixel_alone(model):
    assert 90_000 < model.encoder_parameters() < 100_000
    assert model.config.stride == 1
    assert receptive_halo(model.config) == 0
    image = torch.randn(1, 3, 10, 4, 5)
    days, observed = torch.tensor([[100.0, 200.0, 300.0]]), torch.ones(1, 3, 4, 5, dtype=torch.bool)
    with torch.no_grad():
        aligned = model(image, days, observed)
        alone = model(image[..., 2:3, 3:4], days, observed[..., 2:3, 3:4])
    assert aligned.shape == (1, 10, 64, 4, 5)
    torch.testing.assert_close(aligned[..., 2:3, 3:4], alone, atol=1e-5, rtol=0)


def test_the_order_of_the_dates_does_not_matter(model, series):
    image, days, valid = series
    order = torch.randperm(DATES, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        whole(model, image[:, order], days[order], valid[:, order]),
        whole(model, image, days, valid),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.parametrize("grouping", [[1] * DATES, [5, 7], [11, 1], [3, 4, 5]])
def test_sums_of_parts_in_any_order_are_the_sum_of_the_whole(model, series, grouping):
    image, days, valid = series
    parts = [
        terms(model, *part)
        for part in zip(image.split(grouping, 1), days.split(grouping), valid.split(grouping, 1))
    ]
    for shuffled in (parts, parts[::-1], parts[1:] + parts[:1]):
        total: Sums = shuffled[0]
        for part in shuffled[1:]:
            total = total + part
        torch.testing.assert_close(
            vectors(model, total), whole(model, image, days, valid), atol=1e-4, rtol=0
        )


def test_dates_without_values_change_nothing(model, series):
    image, days, valid = series
    plain = whole(model, image, days, valid)
    empty = torch.full((PIXELS, 2, 10), float("nan"))
    none = torch.zeros(PIXELS, 2, dtype=torch.bool)
    more = torch.cat([days, torch.tensor([900.0, 4000.0])])
    with_empty = whole(model, torch.cat([image, empty], 1), more, torch.cat([valid, none], 1))
    torch.testing.assert_close(with_empty, plain, atol=1e-5, rtol=0)
    of_empty = terms(model, empty, more[-2:], none)
    assert (of_empty.maximum == MASKED_SCORE).all()
    for total in (of_empty + terms(model, *series), terms(model, *series) + of_empty):
        torch.testing.assert_close(vectors(model, total), plain, atol=1e-5, rtol=0)
    assert vectors(model, of_empty + of_empty).isfinite().all()


def test_a_band_that_is_missing_is_not_the_median(model):
    image = torch.full((1, 10), 0.3)
    image[0, 3] = 0.0
    near = image.clone()
    near[0, 3] = 1e-4
    with torch.no_grad():
        missing, median = (model.spatial.forward_pixels(pixels) for pixels in (image, near))
    assert (missing - median).abs().max() > 1e-2


def test_scores_of_any_size_stay_in_range(model, series):
    image, days, valid = series
    with torch.no_grad():
        model.temporal.projector.query *= 100
        try:
            sums = terms(model, image, days, valid)
            later = terms(model, -image, days, valid)
            assert vectors(model, sums + later).isfinite().all()
        finally:
            model.temporal.projector.query /= 100
