"""The pretext task against values worked out by hand."""

import pytest

torch = pytest.importorskip("torch")

from alise_plugin.sentinel2 import BANDS
from training.pretext.losses import (
    covariance_loss,
    cross_reconstruction_loss,
    invariance_loss,
    reconstruction_loss,
)
from training.pretext.normalise import MISSING_VALUE, normalise, normalise_target
from training.pretext.views import (
    BAND_SETS,
    drop_bands,
    drop_dates,
    hide_gaps,
    interleaved_views,
)


def image_of(value):
    return torch.full((1, 1, 10, 1, 1), value)


@pytest.mark.parametrize(
    ("reflectance", "expected"),
    [
        (0.2885, 0.0),
        (0.3, 0.0260830),  # (0.3 - 0.2885) / (0.5478 - 0.1069)
        (1.4, 0.5881152),  # clipped to q95: (0.5478 - 0.2885) / (0.5478 - 0.1069)
        (-0.1, -0.4118848),  # clipped to q05: (0.1069 - 0.2885) / (0.5478 - 0.1069)
    ],
)
def test_normalisation_clips_centres_and_scales(reflectance, expected):
    b08 = BANDS.index("B08")
    assert normalise(image_of(reflectance))[0, 0, b08].item() == pytest.approx(expected, abs=1e-6)


def test_missing_values_become_the_median():
    assert torch.equal(normalise(image_of(torch.nan)), image_of(MISSING_VALUE))
    assert torch.equal(normalise_target(image_of(torch.nan)), image_of(MISSING_VALUE))


def test_targets_keep_dark_water_and_the_brightest_canopy_but_no_cloud():
    b08 = BANDS.index("B08")

    def of(value):
        return normalise_target(image_of(value))[0, 0, b08].item() * (0.5478 - 0.1069) + 0.2885

    assert of(0.01) == pytest.approx(0.01, abs=1e-6)
    assert of(0.65) == pytest.approx(0.65, abs=1e-6)
    assert of(1.2) == pytest.approx(0.7, abs=1e-6)


@pytest.mark.parametrize(
    ("t_w", "view_a", "view_b"),
    [
        (1, [0, 2, 4, 6, 8], [1, 3, 5, 7, 9]),
        (2, [0, 1, 4, 5], [2, 3, 6, 7]),  # dates 8 and 9 make no whole pair of windows
        (5, [0, 1, 2, 3, 4], [5, 6, 7, 8, 9]),
    ],
)
def test_views_interleave_windows_of_t_w_dates(t_w, view_a, view_b):
    assert [places.tolist() for places in interleaved_views(10, t_w)] == [view_a, view_b]


def test_too_few_dates_for_two_views_are_refused():
    with pytest.raises(ValueError, match="3 dates"):
        interleaved_views(3, 2)


def test_dropped_dates_are_a_share_of_the_observed_ones():
    torch.manual_seed(0)
    observed = torch.rand(2000, 40, 1, 1) > 0.1
    kept = drop_dates(observed, most=0.6)
    assert not (kept & ~observed).any()
    assert (kept.sum() / observed.sum()).item() == pytest.approx(0.7, abs=0.02)
    assert torch.equal(drop_dates(observed, most=0.0), observed)


def test_dropping_dates_leaves_two_where_there_are_two():
    observed = torch.zeros(100, 8, 2, 2, dtype=torch.bool)
    observed[:, 3:6, 0, 0] = True
    observed[0] = False
    left = drop_dates(observed, most=1.0).flatten(2).any(2).sum(1)
    assert left[0] == 0
    assert (left[1:] >= 2).all()


def test_a_gap_hides_all_dates_of_one_spell():
    torch.manual_seed(0)
    days = (1000 + 400 * torch.rand(500, 40)).sort(1).values
    observed = torch.rand(500, 40, 1, 1) > 0.1
    left = hide_gaps(observed, days, share=0.5, longest=120.0)
    assert not (left & ~observed).any()
    spells = []
    for before, after, when in zip(observed[..., 0, 0], left[..., 0, 0], days):
        gone = before & ~after
        if gone.any():
            first, last = when[gone].min(), when[gone].max()
            assert last - first <= 120
            assert not after[(when >= first) & (when <= last)].any()
            spells.append(gone.sum())
    assert len(spells) == pytest.approx(250, abs=50)
    assert max(spells) > 6
    assert torch.equal(hide_gaps(observed, days, 0.0, 120.0), observed)


def test_a_gap_that_would_leave_less_than_two_dates_is_none():
    torch.manual_seed(0)
    observed = torch.ones(200, 4, 2, 2, dtype=torch.bool)
    days = torch.tensor([[0.0, 5.0, 10.0, 15.0]]).expand(200, 4)
    left = hide_gaps(observed, days, share=1.0, longest=60.0).flatten(2).any(2).sum(1)
    assert set(left.tolist()) == {2, 3, 4}


def test_dropped_bands_are_one_of_the_sets_or_drawn_at_random():
    torch.manual_seed(0)
    kept = drop_bands(torch.ones(4000, 1, 10, 1, 1), 0.5, MISSING_VALUE)[:, 0, :, 0, 0] != 0
    sets = torch.tensor([[band in named for band in BANDS] for named in BAND_SETS])
    for named in sets:
        # Half of the series lose bands, 0.7 of them by a set, one set in three each time.
        share = (kept == named).all(dim=1).float().mean().item()
        assert share == pytest.approx(0.5 * 0.7 / 3, abs=0.03)
    assert kept.all(dim=1).float().mean() >= 0.48
    assert kept.any(dim=1).all()


def test_a_dropped_band_is_missing_at_every_date_and_place():
    torch.manual_seed(0)
    image = drop_bands(torch.ones(50, 4, 10, 2, 2), 1.0, MISSING_VALUE)
    assert torch.equal(image, image[:, :1, :, :1, :1].expand_as(image))
    assert (image == MISSING_VALUE).any()
    assert torch.equal(drop_bands(image, 0.0, MISSING_VALUE), image)


def test_reconstruction_loss_of_equation_11():
    truth = torch.zeros(2, 3, 2)  # 2 pixels, 3 dates, 2 bands
    predicted = torch.tensor(
        [[[1.0, 2.0], [6.0, 0.0], [torch.nan] * 2], [[3.0, 4.0], [9.0, 9.0], [5.0, 5.0]]]
    )
    valid = torch.tensor([[[1, 1], [1, 0], [0, 0]], [[1, 1], [0, 0], [0, 0]]], dtype=torch.bool)
    # Date 0: (1 + 4 + 9 + 16) / 4; date 1: 36 / 1; date 2 has no clear value.
    assert reconstruction_loss(predicted, truth, valid).item() == pytest.approx((7.5 + 36) / 2)


def test_large_errors_grow_linearly_where_asked_for():
    truth, valid = torch.zeros(1, 3, 1), torch.ones(1, 3, 1, dtype=torch.bool)
    predicted = torch.tensor([[[0.1], [-0.5], [2.0]]], requires_grad=True)
    loss = reconstruction_loss(predicted, truth, valid, linear_from=0.5)
    loss.backward()
    # Huber: 2 d |e| - d^2 beyond d, the square within; each date counts alike.
    assert loss.item() == pytest.approx((0.01 + 0.25 + (2 * 0.5 * 2 - 0.25)) / 3)
    assert predicted.grad.flatten().tolist() == pytest.approx([0.2 / 3, -1 / 3, 1 / 3])


def test_nothing_valid_costs_nothing_and_gives_no_nan_gradient():
    predicted = torch.full((1, 2, 10), 5.0, requires_grad=True)
    truth = torch.full_like(predicted, torch.nan)
    loss = reconstruction_loss(predicted, truth, torch.zeros(1, 2, 10, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(predicted.grad, torch.zeros_like(predicted))


def test_cross_reconstruction_is_the_mean_of_both_views():
    loss = cross_reconstruction_loss(torch.tensor(1.0), torch.tensor(9.0))
    assert loss.item() == 5  # Eq. 10


def test_invariance_loss_of_equation_5():
    embedded_a = torch.zeros(4, 2)
    embedded_b = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert invariance_loss(embedded_a, embedded_b).item() == pytest.approx((25 + 0 + 1 + 1) / 4)
    assert invariance_loss(embedded_a[:0], embedded_b[:0]).item() == 0


def test_covariance_loss_of_equation_6():
    # Centred: (-1, -2), (0, 0), (1, 2). The covariance, 4 / 2 = 2, stands twice off the diagonal.
    embedded = torch.tensor([[4.0, 6.0], [5.0, 8.0], [6.0, 10.0]])
    assert covariance_loss(embedded).item() == pytest.approx((2**2 + 2**2) / 2)
    assert covariance_loss(embedded[:1]).item() == 0
