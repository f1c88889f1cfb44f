"""Schedules and counts that make no sense are refused."""

import math

import pytest
import torch
from annealing_cases import seeded
from toy_models import Boltzmann

from ebmkit.annealing import (
    annealed_importance_sampling,
    bridge_sampling,
    reverse_anneal,
    thermodynamic_integration,
)


@pytest.mark.parametrize(
    ("betas", "complaint"),
    [
        (0, "betas must be at least 1"),
        ([0.0], "run from 0 to 1"),
        ([0.1, 1.0], "run from 0 to 1"),
        ([0.0, 0.9], "run from 0 to 1"),
        (torch.tensor([0.0, 0.5, 0.5, 1.0]), "increase strictly"),
        ([0.0, math.nan, 1.0], "increase strictly"),
    ],
    ids=str,
)
def test_a_schedule_that_is_none_is_refused(betas, complaint):
    for estimate in (annealed_importance_sampling, bridge_sampling):
        with pytest.raises(ValueError, match=complaint):
            estimate(Boltzmann(2), generator=seeded(), betas=betas)


def test_counts_out_of_range_are_refused():
    model = Boltzmann(2)
    for estimate in (annealed_importance_sampling, thermodynamic_integration, bridge_sampling):
        with pytest.raises(ValueError, match="n_chains must be at least 2, got 1"):
            estimate(model, generator=seeded(), n_chains=1)
    with pytest.raises(ValueError, match="number of samples must be at least 2, got 1"):
        reverse_anneal(model, torch.ones(1, 2, dtype=torch.float64), generator=seeded())
    with pytest.raises(ValueError, match="number of temperatures must be at least 1, got 0"):
        thermodynamic_integration(model, generator=seeded(), n_nodes=0)
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        bridge_sampling(model, generator=seeded(), n_steps=0)
