"""The tests' own instrument, tested: it must find every branch and weigh it right."""

import pytest
import torch

from ebmkit import chance
from ebmkit.testing import branches

STATES = torch.tensor([[0.0], [1.0], [2.0]])


def test_a_walk_with_two_kinds_of_choice_has_its_known_matrix(transition_matrix):
    def step(x, generator):
        stay = chance.bernoulli(torch.full((len(x),), 0.25), generator=generator)
        jump = chance.categorical(torch.tensor([0.0, 0.5, 0.5]).expand(len(x), 3), generator=generator)
        return torch.where(stay[:, None], x, (x + jump[:, None]) % 3)

    expected = torch.full((3, 3), 0.375, dtype=torch.float64).fill_diagonal_(0.25)
    torch.testing.assert_close(transition_matrix(step, STATES), expected, rtol=0, atol=1e-15)


def test_the_number_of_draws_may_depend_on_the_draws(transition_matrix):
    def count_heads(x, generator):
        going, heads = torch.ones(len(x), dtype=torch.bool), torch.zeros_like(x)
        for _ in range(2):
            going = going & chance.bernoulli(0.5 * going, generator=generator)
            if not going.any():
                break
            heads = heads + going[:, None]
        return heads

    expected = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).expand(3, 3)
    torch.testing.assert_close(transition_matrix(count_heads, STATES), expected, rtol=0, atol=0)


def test_branches_with_probability_zero_are_left_out():
    found = branches(
        lambda x, generator: (
            x + chance.bernoulli(torch.tensor([[0.0, 1.0, 0.5]]).expand(len(x), 3), generator=generator)
        ),
        STATES[:1],
    )
    assert found.outcome.tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]]
    assert found.probability.tolist() == [0.5, 0.5]


def test_a_draw_that_chains_share_is_refused(transition_matrix):
    with pytest.raises(AssertionError, match="does not lead with the 3 chains"):
        transition_matrix(
            lambda x, generator: x * chance.bernoulli(torch.tensor([0.5]), generator=generator), STATES
        )


def test_a_uniform_draw_is_refused(transition_matrix):
    with pytest.raises(AssertionError, match="cannot be enumerated"):
        transition_matrix(lambda x, generator: x + chance.uniform(x, generator=generator), STATES)


def test_the_law_of_one_step_sums_the_branches(outcome_probabilities):
    law = outcome_probabilities(
        lambda x, generator: chance.categorical(
            torch.tensor([[0.2, 0.3, 0.5]]).expand(len(x), 3), generator=generator
        )[:, None],
        STATES[0],
        STATES,
    )
    torch.testing.assert_close(law, torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64), rtol=0, atol=1e-7)
