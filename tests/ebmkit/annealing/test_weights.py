"""Means of weights in log space, their jackknife error and how many of them count."""

import math

import pytest
import torch
from annealing_cases import seeded

from ebmkit.annealing import (
    log_mean_weight,
    weight_ess,
)


def test_the_mean_weight_is_taken_without_overflow():
    log_weights = torch.randn(50, generator=seeded(), dtype=torch.float64)
    value, error, _ = log_mean_weight(log_weights)
    torch.testing.assert_close(value, log_weights.exp().mean().log())
    shifted = log_mean_weight(log_weights + 5000)
    torch.testing.assert_close(shifted.value, value + 5000)
    torch.testing.assert_close(shifted.error, error)


def test_the_jackknife_agrees_with_the_delta_method_where_weights_are_even():
    log_weights = 0.05 * torch.randn(2000, generator=seeded(), dtype=torch.float64)
    w = log_weights.exp()
    torch.testing.assert_close(
        log_mean_weight(log_weights).error, w.std() / w.mean() / math.sqrt(2000), rtol=1e-3, atol=0
    )


def test_the_jackknife_is_what_leaving_each_weight_out_gives():
    log_weights = torch.randn(7, generator=seeded(), dtype=torch.float64)
    without = torch.stack(
        [torch.cat([log_weights[:i], log_weights[i + 1 :]]).exp().mean().log() for i in range(7)]
    )
    expected = (6 / 7 * ((without - without.mean()) ** 2).sum()).sqrt()
    torch.testing.assert_close(log_mean_weight(log_weights).error, expected)


def test_one_weight_that_is_all_has_no_error_to_trust():
    log_weights = torch.tensor([0.0, -math.inf, -math.inf])
    value, error, _ = log_mean_weight(log_weights)
    assert value.item() == pytest.approx(-math.log(3))
    assert error == math.inf
    assert weight_ess(log_weights) == 1


def test_even_weights_all_count():
    assert weight_ess(torch.full((8,), -3.0)).item() == pytest.approx(8)


@pytest.mark.parametrize(
    ("log_weights", "complaint"),
    [
        (torch.zeros(1), "n ≥ 2"),
        (torch.zeros(2, 2), "n ≥ 2"),
        (torch.tensor([0.0, math.nan]), "must not be nan or inf, got nan in 1 of 2 chains"),
        (torch.tensor([0.0, math.inf]), "must not be nan or inf, got inf in 1 of 2 chains"),
        (torch.tensor([-math.inf, -math.inf]), "every weight is zero"),
    ],
)
def test_weights_that_estimate_nothing_are_refused(log_weights, complaint):
    for judge in (log_mean_weight, weight_ess):
        with pytest.raises(ValueError, match=complaint):
            judge(log_weights)
