"""Metropolis–Hastings: exact transition matrices, also of lopsided proposals."""

import math

import pytest
import torch
from kernel_cases import DISCRETE_MODELS, assert_invariant, assert_irreducible, flip, seeded, step
from toy_models import Table

from ebmkit import enumeration
from ebmkit.mcmc import (
    MetropolisHastings,
)


def _assert_reversible(matrix, probabilities):
    flow = probabilities[:, None] * matrix
    torch.testing.assert_close(flow, flow.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", DISCRETE_MODELS, ids=lambda m: f"{type(m).__name__}{m.event_shape}")
def test_metropolis_with_flips_is_reversible(model, transition_matrix):
    matrix = transition_matrix(step(flip(model)), enumeration.states(model))
    assert_invariant(matrix, enumeration.probabilities(model).detach())
    _assert_reversible(matrix, enumeration.probabilities(model).detach())
    assert_irreducible(matrix @ matrix + matrix)


def test_hastings_correction_repairs_a_lopsided_proposal(transition_matrix):
    from ebmkit import chance

    model = Table((1,), (0.0, 1.0, 2.0), seed=5)
    q = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.7, 0.3, 0.0]], dtype=torch.float64)

    def lopsided(x, generator):
        here = x[..., 0].long()
        there = chance.categorical(q[here], generator=generator)
        return there[..., None].to(x.dtype), q[there, here].log() - q[here, there].log()

    matrix = transition_matrix(step(MetropolisHastings(model, lopsided)), enumeration.states(model))
    _assert_reversible(matrix, enumeration.probabilities(model))
    assert_irreducible(matrix)


def test_a_proposal_with_no_way_back_is_rejected_without_a_divergence():
    model = Table((1,), (0.0, 1.0))
    kernel = MetropolisHastings(model, lambda x, *, generator: (1 - x, torch.tensor(-math.inf)))
    state, info = kernel.step(kernel.init(torch.zeros(4, 1)), generator=seeded())
    assert torch.equal(state.position, torch.zeros(4, 1))
    assert not info.divergent.any()
