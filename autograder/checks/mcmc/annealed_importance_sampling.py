"""Exercise 6: annealed importance sampling."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count
from autograder.sandbox.worker import codec

from .definitions import Array, annealed_importance_sampling_of
from .inputs import FiniteSpace, with_correction

annealed_importance_sampling = Exercise(
    "annealed_importance_sampling", "Annealed importance sampling", annealed_importance_sampling_of
)

AIS_STATES = 4
AIS_DRAWS = 3000

RING = codec.Source(
    "lambda x, log_f, rng: (lambda y: np.where(rng.random(len(x)) < np.exp(np.minimum(0, log_f[y] - log_f[x])),"
    " y, x))((np.asarray(x) + rng.choice([-1, 1], len(x))) % len(log_f))"
)
"""Metropolis on a ring of states: propose a neighbour, accept by the ratio."""


class Annealing(NamedTuple):
    """A base, a target and a schedule on `AIS_STATES` states."""

    log_base: Array
    log_target: Array
    betas: Array

    def log_f(self, beta: float) -> Array:
        return np.asarray((1 - beta) * self.log_base + beta * self.log_target)

    def ring_matrix(self, beta: float) -> Array:
        """The transition matrix of `RING` at one temperature."""
        K = len(self.log_base)
        Q = (np.roll(np.eye(K), 1, axis=1) + np.roll(np.eye(K), -1, axis=1)) / 2
        return with_correction(FiniteSpace(self.log_f(beta), Q), 1.0)

    def weight_law(
        self, matrices: Sequence[Array], weigh_first: bool = True, start: Array | None = None
    ) -> tuple[Array, Array]:
        """All values that log w can take and their probabilities, over every path of states.

        `matrices` moves after each of the T weights, `Annealing.right` in a correct run. With
        `weigh_first=False` each move comes before its weight; `start` replaces the base as the law of x_0.
        """
        slope = self.log_target - self.log_base
        states, log_w = np.arange(len(slope)), np.zeros(len(slope))
        chance = np.exp(self.log_base) if start is None else start
        for step, P in zip(np.diff(self.betas), matrices):
            for action in ("weigh", "move") if weigh_first else ("move", "weigh"):
                if action == "weigh":
                    log_w = log_w + step * slope[states]
                else:
                    origins, ends = np.nonzero(P[states] > 0)
                    chance = chance[origins] * P[states[origins], ends]
                    log_w, states = log_w[origins], ends
        return log_w, chance

    @property
    def right(self) -> list[Array]:
        return [self.ring_matrix(beta) for beta in self.betas[1:]]

    @property
    def late(self) -> list[Array]:
        return [self.ring_matrix(beta) for beta in self.betas[:-1]]


def below(law: tuple[Array, Array], thresholds: Array) -> Array:
    """P(log w ≤ c) for every threshold c."""
    return np.array([law[1][law[0] <= c].sum() for c in thresholds])


def thresholds_of(law: tuple[Array, Array]) -> Array:
    """Values between those that log w can take, far from any, near every tenth of its law."""
    order = np.argsort(law[0])
    values, reached = law[0][order], np.cumsum(law[1][order])
    wide = np.flatnonzero(np.diff(values) > 1e-5)
    chosen = {int(wide[abs(reached[wide] - q).argmin()]) for q in np.linspace(0.1, 0.9, 9)}
    return np.array([(values[k] + values[k + 1]) / 2 for k in sorted(chosen)])


def astray(problem: Annealing) -> Iterator[tuple[Array, Array]]:
    """The laws of w for five ways to go astray.

    They move before they weigh, at the temperature before, or not at all, take the schedule for even, or start
    from a uniform draw.
    """
    yield problem.weight_law(problem.right, weigh_first=False)
    yield problem.weight_law(problem.late)
    yield problem.weight_law([np.eye(AIS_STATES)] * len(problem.right))
    even = problem._replace(betas=np.linspace(0.0, 1.0, len(problem.betas)))
    yield even.weight_law(even.right)
    yield problem.weight_law(problem.right, start=np.full(AIS_STATES, 1 / AIS_STATES))


def random_annealing(rng: np.random.Generator) -> Annealing:
    """A problem on which every way to go astray changes the law of w."""
    while True:
        log_base = np.log(rng.dirichlet(np.full(AIS_STATES, 2.0)) * 0.8 + 0.05)
        log_base -= logsumexp(log_base)
        betas = np.array([0.0, *np.sort(rng.uniform(0.15, 0.85, 2)), 1.0])
        problem = Annealing(log_base, rng.uniform(-4, 4, AIS_STATES), betas)
        if np.diff(betas).min() < 0.15:
            continue
        law = problem.weight_law(problem.right)
        thresholds = thresholds_of(law)
        right = below(law, thresholds)
        if all(abs(right - below(other, thresholds)).max() > 0.12 for other in astray(problem)):
            return problem


def weights_and_estimate(attempt: Attempt, value: object, n: int) -> tuple[Array, float]:
    attempt.expect(
        isinstance(value, tuple | list) and len(value) == 2, "return two things, the log-weights and log Ẑ"
    )
    weights = attempt.array(value[0], (n,), "the array of log-weights")  # type: ignore[index]
    estimate = attempt.array(value[1], (), "the estimate")  # type: ignore[index]
    return weights.astype(float), float(estimate.reshape(()))


@annealed_importance_sampling.check(4, "the target is a multiple of the base: every weight is that multiple")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for K, T, n, factor in [
        (1, 1, 1, 2.0),
        (3, 1, 5, -1500.0),
        (5, 4, 20, 1500.0),
        (2, 6, 1, 0.7),
        (4, 3, 9, -3.0),
    ]:
        log_base = np.log(rng.dirichlet(np.ones(K)) * 0.5 + 0.5 / K)
        betas = np.array([0.0, *np.sort(rng.uniform(0.1, 0.9, T - 1)), 1.0])
        calls.append((log_base, log_base + factor, betas, RING, n, attempt.draw_rng()))
    wrong = 0
    for value, call in zip(attempt.call_many(calls), calls):
        weights, _ = weights_and_estimate(attempt, value, call[4])
        wrong += not np.allclose(weights, call[1][0] - call[0][0], rtol=1e-6, atol=1e-6)
    attempt.expect(
        wrong == 0, f"{wrong} of {len(calls)} runs gave log-weights other than the log of the multiple"
    )


@annealed_importance_sampling.check(
    4, "the estimate is the log of the mean of the weights, also for huge ones"
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-100: 200 runs each begin in one of five states at random."""
    rng = attempt.rng
    calls = []
    for scale, n in [(2.0, 30), (2.0, 7), (2000.0, 25), (2000.0, 1), (1.0, 200)]:
        log_target = rng.uniform(-scale, scale, 5)
        calls.append(
            (np.full(5, -math.log(5)), log_target, np.array([0.0, 0.4, 1.0]), RING, n, attempt.draw_rng())
        )
    calls += [(c[0], c[1] + offset, *c[2:]) for c, offset in zip(calls[:2], (1500.0, -1500.0))]
    wrong, same = 0, True
    for value, call in zip(attempt.call_many(calls), calls):
        weights, estimate = weights_and_estimate(attempt, value, call[4])
        wrong += not np.isclose(estimate, logsumexp(weights) - math.log(call[4]), rtol=1e-6, atol=1e-6)
        same = same and np.ptp(weights) == 0
    attempt.expect(
        wrong == 0, f"{wrong} of {len(calls)} estimates are not the log of the mean of their weights"
    )
    attempt.expect(not same, "all runs have the same weight, whatever the target")


@annealed_importance_sampling.check(
    7, "the exact law of the weights, over all paths through four states", seconds=30
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): the runs are independent draws of an exact law.

    Power, measured: it caught all eight mistakes that change the weights on each of 63 seeds.
    """
    problem = random_annealing(attempt.rng)
    law = problem.weight_law(problem.right)
    thresholds = thresholds_of(law)

    def draw(n: int) -> list[Count]:
        value = attempt.call(*problem, RING, n, attempt.draw_rng())
        weights, _ = weights_and_estimate(attempt, value, n)
        return [
            Count(f"a log-weight below its {p:.0%} quantile", int((weights <= c).sum()), n, float(p))
            for c, p in zip(thresholds, below(law, thresholds))
        ]

    attempt.sequential(draw, AIS_DRAWS, "the weights do not have the law they should have")


@annealed_importance_sampling.mistake(
    "Average the weights, not their logarithms: log of the mean, by log-sum-exp."
)
def averages_the_log_weights(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, log_w.mean()


@annealed_importance_sampling.mistake(
    "That is the log of the sum of the weights. Subtract log n for the mean."
)
def sums_the_weights_without_dividing_by_n(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w)


@annealed_importance_sampling.mistake(
    "exp of a large log-weight is infinite, and of a small one zero. Use log-sum-exp."
)
def exponentiates_the_log_weights(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.log(np.mean(np.exp(log_w)))


@annealed_importance_sampling.mistake(
    "First weigh, then move: the weight belongs to the state before the step."
)
def moves_before_it_weighs(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "After weighing for β_k, move at β_k. Yours still moves at the temperature before."
)
def moves_at_the_temperature_before(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k - 1]) * log_base + betas[k - 1] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The chains never move: that is importance sampling from the base, and the schedule does nothing."
)
def never_moves_the_chains(log_base, log_target, betas, step, n, rng):
    x = rng.choice(len(log_base), n, p=np.exp(log_base))
    log_w = (log_target - log_base)[x]
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The base leaves the path as the target enters: log f_β has (1 - β) log p_0, so subtract log p_0."
)
def forgets_the_base_in_the_weight(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * log_target[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The runs start from p_0, not from a uniform draw: pass p=np.exp(log_base)."
)
def starts_from_the_uniform_law(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The increments have the wrong sign: the next temperature minus the one before."
)
def weighs_with_the_wrong_sign(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w -= (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The schedule is given and need not be even: use the differences of betas."
)
def takes_the_schedule_for_even(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    even = np.linspace(0, 1, len(betas))
    for k in range(1, len(betas)):
        log_w += (even[k] - even[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - even[k]) * log_base + even[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake("The runs are independent: draw n starting states, not one for all.")
def starts_all_runs_in_one_state(log_base, log_target, betas, step, n, rng):
    x = np.full(n, rng.choice(len(log_base), p=np.exp(log_base)))
    log_w = np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.alternative
def annealing_by_log_densities(log_base, log_target, betas, step, n, rng):

    import itertools

    path = [(1 - beta) * log_base + beta * log_target for beta in betas]
    x = np.searchsorted(np.cumsum(np.exp(log_base))[:-1], rng.random(n), side="right")
    total = 0
    for before, after in itertools.pairwise(path):
        total = total + after[x] - before[x]
        if after is not path[-1]:
            x = step(x, after, rng)
    largest = total.max()
    return total, largest + math.log(np.mean(np.exp(total - largest)))


@annealed_importance_sampling.alternative
def annealing_by_recorded_states(log_base, log_target, betas, step, n, rng):
    visited = [rng.choice(np.arange(len(log_base)), size=n, p=np.exp(log_base) / np.exp(log_base).sum())]
    for beta in betas[1:-1]:
        visited.append(step(visited[-1], log_base + beta * (log_target - log_base), rng))
    slopes = (log_target - log_base)[np.array(visited)]
    log_w = np.diff(betas) @ slopes
    return log_w.tolist(), float(np.logaddexp.reduce(log_w - np.log(n)))


@annealed_importance_sampling.alternative
def annealing_run_by_run_in_blocks(log_base, log_target, betas, step, n, rng):
    import torch

    log_w = []
    for first in range(0, n, 100):
        x = rng.choice(len(log_base), min(100, n - first), p=np.exp(log_base))
        here = np.zeros(len(x))
        for k in range(len(betas) - 1):
            f0 = (1 - betas[k]) * log_base + betas[k] * log_target
            f1 = (1 - betas[k + 1]) * log_base + betas[k + 1] * log_target
            for r in range(len(x)):
                here[r] += f1[x[r]] - f0[x[r]]
            x = step(x, f1, rng)
        log_w += list(here)

    values = torch.tensor(log_w, dtype=torch.float64)
    return values, torch.logsumexp(values, 0) - math.log(n)
