"""Annealed importance sampling finds the exact log Z of every machine."""

import pytest
import torch
from machine_cases import dbm, rbm

from ebmkit.annealing import annealed_importance_sampling


@pytest.mark.parametrize("make", [lambda: rbm(6, 5), lambda: dbm((4, 3, 3))])
def test_annealed_importance_sampling_finds_the_exact_log_partition(make):
    model = make()
    # E[weight] is Z exactly; 400 chains and 200 temperatures leave a log-weight spread below 0.4, so an error
    # of 0.2 is ten standard errors.
    estimate = annealed_importance_sampling(
        model, betas=200, n_chains=400, generator=torch.Generator().manual_seed(0)
    )
    assert estimate.error < 0.02
    assert abs(estimate.value - model.exact_log_partition()) < 0.2
