"""The sequential test keeps its bound: exactly where all outcomes can be listed, by simulation elsewhere."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from autograder.exercises.sequential import GROWTH, Count, Decision, sequential_test


def count(hits: int, draws: int, probability: float) -> Count:
    return Count("heads", hits, draws, probability)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (7, 0.5), (12, 0.04), (30, 0.77)])
def test_p_values_are_super_uniform(n, p):
    hits = np.arange(n + 1)
    weights = binom.pmf(hits, n, p)
    p_values = np.array([count(int(k), n, p).p_value for k in hits])
    for u in p_values:
        assert weights[p_values <= u].sum() <= u * (1 + 1e-9)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_an_impossible_outcome_has_p_value_zero(p):
    assert count(round(p) * 5, 5, p).p_value == 1.0
    assert count(3, 5, p).p_value == 0.0


def exact_failure_probability(n: int, probability: float, alpha: float, stages: int) -> float:
    """P(the test fails draws that follow their law), summed over every sequence of outcomes."""
    sizes = [n] + [GROWTH * n] * (stages - 1)
    total = 0.0
    for outcome in itertools.product(*(range(size + 1) for size in sizes)):
        script = iter(zip(outcome, sizes))

        def draw(size, script=script):
            hits, expected_size = next(script)
            assert size == expected_size
            return [count(hits, size, probability)]

        decision = sequential_test(draw, n, alpha, stages)
        if not decision.passed:
            # Stages that were not reached sum to one, so count each reached prefix once.
            if any(outcome[decision.stage :]):
                continue
            reached = zip(outcome[: decision.stage], sizes)
            total += float(np.prod([binom.pmf(hits, size, probability) for hits, size in reached]))
    return total


@pytest.mark.parametrize(
    ("n", "probability", "alpha", "stages"),
    [(8, 0.5, 0.5, 2), (8, 0.3, 0.2, 2), (12, 0.5, 0.05, 2), (12, 0.1, 0.05, 2), (4, 0.5, 0.5, 3)],
)
def test_correct_code_fails_with_probability_at_most_alpha_in_exact_small_cases(
    n, probability, alpha, stages
):
    assert 0 < exact_failure_probability(n, probability, alpha, stages) <= alpha


def test_the_bound_holds_for_dependent_features_by_simulation():
    """With bound 0.2 at most 0.3 of 800 runs may fail: P(Binomial(800, 0.2) > 240) < 1e-10."""
    rng = np.random.default_rng(5)

    def draw(n):
        heads = rng.random(n) < 0.3
        other = np.where(rng.random(n) < 0.8, heads, rng.random(n) < 0.3)
        return [
            count(int(heads.sum()), n, 0.3),
            count(int(other.sum()), n, 0.3),
            count(int((~heads).sum()), n, 0.7),
        ]

    failures = sum(not sequential_test(draw, 20, alpha=0.2).passed for _ in range(800))
    assert failures <= 240


def test_a_biased_draw_fails():
    """A share of 0.6 against 0.5 in 3,000 draws is 11 standard deviations; passing has probability < 1e-6."""
    rng = np.random.default_rng(6)
    decision = sequential_test(lambda n: [count(int(rng.binomial(n, 0.6)), n, 0.5)], 3000)
    assert not decision.passed
    assert decision.counts == (decision.worst,)


def test_an_unclear_stage_asks_for_more_draws():
    sizes = []

    def draw(n):
        sizes.append(n)
        unclear = len(sizes) == 1
        return [count(n // 2 + (round(2.2 * n**0.5) if unclear else 0), n, 0.5)]

    decision = sequential_test(draw, 1000)
    assert decision.passed
    assert sizes == [1000, GROWTH * 1000]
    assert decision.stage == 2


def test_the_worst_count_is_the_least_probable_one():
    decision = Decision(False, 1, (count(50, 100, 0.5), count(90, 100, 0.5), count(60, 100, 0.5)))
    assert decision.worst.hits == 90
