"""Gibbs sampling: exact transition matrices, of the sweep and of a model's own step."""

import math

import pytest
import torch
from kernel_cases import DISCRETE_MODELS, assert_invariant, assert_irreducible, flip, step
from toy_models import BlockGibbsPair, Boltzmann, Table

from ebmkit import enumeration
from ebmkit.mcmc import (
    Gibbs,
)


@pytest.mark.parametrize("model", DISCRETE_MODELS, ids=lambda m: f"{type(m).__name__}{m.event_shape}")
def test_gibbs_leaves_the_distribution_invariant(model, transition_matrix):
    matrix = transition_matrix(step(Gibbs(model)), enumeration.states(model))
    assert_invariant(matrix, enumeration.probabilities(model).detach())
    assert_irreducible(matrix)


def test_the_model_s_own_gibbs_step_is_what_runs(transition_matrix):
    model = BlockGibbsPair()
    own, general = (
        transition_matrix(step, enumeration.states(model))
        for step in (step(Gibbs(model)), step(Gibbs(_without_gibbs_step(model))))
    )
    assert_invariant(own, enumeration.probabilities(model).detach())
    torch.testing.assert_close(own, general, rtol=0, atol=1e-12)


def _without_gibbs_step(model):
    plain = Boltzmann(2)
    plain.load_state_dict(model.state_dict())
    return plain


def test_gibbs_on_one_coordinate_draws_from_the_distribution_itself(transition_matrix):
    model = Table((1,), (0.0, 1.0, 2.0))
    matrix = transition_matrix(step(Gibbs(model)), enumeration.states(model))
    p = enumeration.probabilities(model)
    torch.testing.assert_close(matrix, p.expand(3, 3), rtol=0, atol=1e-14)


def test_forbidden_states_are_never_entered(transition_matrix):
    model = Table((2,), (0.0, 1.0, 2.0))
    model.table[[1, 5]] = math.inf
    states = enumeration.states(model)
    allowed = model.energy(states).isfinite()
    p = enumeration.probabilities(model)[allowed]
    for kernel in (Gibbs(model), flip(model)):
        assert_invariant(transition_matrix(step(kernel), states[allowed]), p)
