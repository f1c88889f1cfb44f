"""Maximum entropy: what it meets, what it cannot, and who is to blame."""

import math

import pytest
import torch
from family_cases import D, generator, t
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmkit import exponential_families as ef


def test_maximum_entropy_without_constraints_that_bind_is_uniform():
    faces = torch.arange(1.0, 7, dtype=D)[:, None]
    answer = ef.maximum_entropy(faces, t(3.5))
    torch.testing.assert_close(answer.probabilities, torch.full((6,), 1 / 6, dtype=D))
    assert answer.entropy.item() == pytest.approx(math.log(6))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_maximum_entropy_meets_feasible_moments_and_nothing_feasible_has_more_entropy(seed, k):
    g = generator(seed)
    features = torch.randn(12, k, generator=g, dtype=D)
    p = (2 * torch.randn(12, generator=g, dtype=D)).softmax(0)
    answer = ef.maximum_entropy(features, p @ features)
    torch.testing.assert_close(answer.probabilities @ features, p @ features, rtol=1e-10, atol=1e-10)
    q = answer.probabilities
    torch.testing.assert_close(q, (features @ answer.natural_parameters - answer.log_partition).exp())
    # Pythagoras: p meets the same moments, so H(q) - H(p) = KL(p ‖ q).
    entropy = -(p * p.log()).sum()
    torch.testing.assert_close(answer.entropy - entropy, (p * (p / q).log()).sum(), rtol=1e-8, atol=1e-9)


def test_maximum_entropy_with_redundant_features_agrees_with_the_minimal_ones():
    x = torch.arange(5, dtype=D)
    minimal = ef.maximum_entropy(x[:, None], t(1.3))
    redundant = ef.maximum_entropy(torch.stack([x, 2 * x, torch.ones(5, dtype=D)], -1), t(1.3, 2.6, 1))
    torch.testing.assert_close(minimal.probabilities, redundant.probabilities)


def test_redundant_moments_that_agree_up_to_float32_rounding_are_no_contradiction():
    x = torch.arange(5.0)
    redundant = ef.maximum_entropy(torch.stack([x, 2 * x, x / 3], -1), torch.tensor([1.3, 2.6, 1.3 / 3]))
    assert redundant.probabilities.dtype == torch.float32
    minimal = ef.maximum_entropy(x.double()[:, None], t(1.3))
    torch.testing.assert_close(redundant.probabilities.double(), minimal.probabilities, rtol=1e-5, atol=1e-5)


def test_constant_features_leave_the_uniform_distribution():
    answer = ef.maximum_entropy(torch.ones(4, 2, dtype=D), t(1, 1))
    assert answer.probabilities.tolist() == [0.25] * 4


def test_maximum_entropy_close_to_the_boundary_still_meets_the_moments():
    x = torch.arange(6, dtype=D)[:, None]
    answer = ef.maximum_entropy(x, t(1e-6))
    assert (answer.probabilities @ x).item() == pytest.approx(1e-6, rel=1e-6)


SQUARE = t(0, 0, 0, 1, 1, 0, 1, 1).reshape(4, 2)


@pytest.mark.parametrize(
    ("features", "moments", "message"),
    [
        (
            SQUARE,
            t(0.5, 1.2),
            r"moment 1 \(height\) = 1.2 is infeasible: its feature lies between 0.0 and 1.0",
        ),
        (SQUARE, t(0.0, 0.5), r"moment 0 \(width\) = 0.0 is on the boundary"),
        (SQUARE[:3], t(0.6, 0.6), r"moment \d \(\w+\) = 0.6 is infeasible together with the other"),
        (SQUARE[:3], t(0.5, 0.5), r"moment \d \(\w+\) = 0.5 is on the boundary given the other"),
        (SQUARE[[0, 3]], t(0.5, 0.4), r"moment \d \(\w+\) = 0.\d is infeasible together with the other"),
        (SQUARE, t(0.5), r"moments \(K,\)"),
        (SQUARE[:0], t(0.5, 0.5), "neither empty"),
        (SQUARE, t(0.5, math.nan), "must be finite"),
    ],
)
def test_infeasible_and_boundary_moments_are_named(features, moments, message):
    with pytest.raises(ValueError, match=message):
        ef.maximum_entropy(features, moments, names=["width", "height"][: len(moments)])
