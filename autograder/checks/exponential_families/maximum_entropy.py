"""Exercise 5: maximum entropy, the biased die."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise

from .definitions import Array, Call, maximum_entropy_of

maximum_entropy = Exercise("maximum_entropy", "Maximum entropy: the biased die", maximum_entropy_of)

ERROR = 2e-6
"""Twice the error that the exercise allows, because the reference and its inputs are rounded too."""


def compare_laws(attempt: Attempt, calls: list[Call]) -> None:
    attempt.compare(calls, rtol=0.0, atol=ERROR)


def inside(rng: np.random.Generator, values: Array, edge: float = 0.15) -> float:
    """A mean between the extremes, not near the middle, where the answer is uniform."""
    share = uniform(rng, edge, 0.38)
    return float(values.min() + np.ptp(values) * (share if rng.random() < 0.5 else 1 - share))


def spread(rng: np.random.Generator, n: int) -> Array:
    """Values without order, at least a tenth apart, at no whole numbers."""
    return rng.permutation(np.cumsum(rng.uniform(0.1, 1.5, n)) - uniform(rng, 1.0, 4.0))


@maximum_entropy.check(8, "dice with three to nine faces and a mean that is not in the middle")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    dice = [np.arange(1, n + 1) for n in (3, 4, 6, 6, 9)]
    compare_laws(attempt, [(die, inside(rng, die)) for die in dice])


@maximum_entropy.check(5, "two values, values without order, and equal values")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sets = [spread(rng, 2), spread(rng, 5), spread(rng, 7), np.repeat(spread(rng, 3), [1, 3, 2])]
    compare_laws(attempt, [(values, inside(rng, values)) for values in sets])


@maximum_entropy.check(
    4,
    "means close to the smallest or largest value, and values so close that θ is in the hundreds",
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for gap in (uniform(rng, 0.003, 0.006), 1 - uniform(rng, 0.003, 0.006)):
        values = rng.permutation(np.arange(1, 7)) * 1.0
        calls.append((values, float(1 + 5 * gap)))
    close_together = uniform(rng, 1.0, 2.0) + 0.01 * np.arange(1, 6)
    calls.append((close_together, inside(rng, close_together)))
    closer, share = 0.004 * rng.permutation(np.arange(1.0, 6.0)), uniform(rng, 0.008, 0.012)
    calls += [(closer, float(0.004 + 0.016 * part)) for part in (share, 1 - share)]
    calls += [
        (rng.permutation(np.repeat([0.0, 1.0], n)), part) for n, part in (([9, 1], 0.99), ([1, 9], 0.01))
    ]
    compare_laws(attempt, calls)


@maximum_entropy.check(3, "values in the thousands, close together and far apart")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sets = [base + np.arange(6.0) for base in (3000.0, -3000.0)]
    calls = [(values, inside(rng, values)) for values in sets]
    far_apart = 1500.0 * np.array([2, 0, 4, 1, 3])  # neither the first nor the last is an extreme
    share = uniform(rng, 0.15, 0.38)
    compare_laws(attempt, [*calls, *((far_apart, 6000.0 * part) for part in (share, 1 - share))])


@maximum_entropy.mistake("The uniform distribution has the largest entropy of all, but not the given mean.")
def ignores_the_mean(values, mean):
    return np.full(len(values), 1 / len(values))


@maximum_entropy.mistake("A linear tilt has the right mean, but p must be proportional to exp(θx).")
def tilts_in_a_straight_line(values, mean):
    x = values - np.mean(values)
    return (1 + (mean - np.mean(values)) / np.mean(x**2) * x) / len(values)


@maximum_entropy.mistake(
    "Two values alone can have the right mean, but the entropy is larger with all of them."
)
def puts_all_mass_on_the_two_extremes(values, mean):
    p = np.zeros(len(values))
    low, high = np.argmin(values), np.argmax(values)
    p[high] = (mean - values[low]) / (values[high] - values[low])
    p[low] = 1 - p[high]
    return p


@maximum_entropy.mistake("A bell around the mean assumes a variance that nobody told you.")
def draws_a_bell_around_the_mean(values, mean):
    weights = np.exp(-((values - mean) ** 2) / (2 * np.var(values)))
    return weights / weights.sum()


@maximum_entropy.mistake("The tilt goes the wrong way: a mean above the middle favours the larger values.")
def tilts_the_wrong_way(values, mean):
    x = (values - mean) / np.ptp(values)
    low, high = -1e4, 1e4
    for _ in range(200):
        theta = (low + high) / 2
        weights = np.exp(theta * x - (theta * x).max())
        low, high = (theta, high) if weights @ x < 0 else (low, theta)
    weights = np.exp(-theta * x - (-theta * x).max())
    return weights / weights.sum()


@maximum_entropy.mistake("exp(θx) overflows for large values: subtract the largest exponent first.")
def exponentiates_large_values(values, mean):
    low, high = -60.0, 60.0
    for _ in range(100):
        theta = (low + high) / 2
        weights = np.exp(theta * values)
        low, high = (theta, high) if weights @ values < mean * weights.sum() else (low, theta)
    return weights / weights.sum()


@maximum_entropy.mistake("The search ended at the border of a short interval: the right θ can be far from 0.")
def searches_between_minus_one_and_one(values, mean):
    low, high = -1.0, 1.0
    for _ in range(100):
        theta = (low + high) / 2
        exponents = theta * values
        p = np.exp(exponents - exponents.max())
        p /= p.sum()
        low, high = (theta, high) if p @ values < mean else (low, theta)
    return p


@maximum_entropy.mistake("The search stops too early: go on until the mean is right to many digits.")
def stops_after_ten_halvings(values, mean):
    x = (values - mean) / np.ptp(values)
    low, high = -64.0, 64.0
    for _ in range(10):
        theta = (low + high) / 2
        p = np.exp(theta * x - (theta * x).max())
        p /= p.sum()
        low, high = (theta, high) if p @ x < 0 else (low, theta)
    return p


@maximum_entropy.mistake("The values are those that are given, not 1, 2, 3 and so on.")
def takes_the_values_for_a_die(values, mean):
    faces = np.arange(1, len(values) + 1)
    x = faces - min(max(mean, 1.001), len(values) - 0.001)
    low, high = -60.0, 60.0
    for _ in range(100):
        theta = (low + high) / 2
        p = np.exp(theta * x - (theta * x).max())
        p /= p.sum()
        low, high = (theta, high) if p @ x < 0 else (low, theta)
    return p


@maximum_entropy.alternative
def entropy_by_newton(values, mean):
    x = (values - mean) / np.ptp(values)
    theta = 0.0

    def dual(t):
        return np.logaddexp.reduce(t * x)

    for _ in range(200):
        p = np.exp(theta * x - dual(theta))
        slope, curvature = p @ x, p @ x**2 - (p @ x) ** 2
        step = -slope / curvature
        while dual(theta + step) > dual(theta) + 1e-15 and abs(step) > 1e-14:
            step /= 2
        theta += step
        if abs(step) < 1e-13 * (1 + abs(theta)):
            break
    return np.exp(theta * x - dual(theta))


@maximum_entropy.alternative
def entropy_by_a_scalar_minimizer(values, mean):
    from scipy.optimize import root_scalar

    scale = max(values) - min(values)
    x = [(v - mean) / scale for v in values.tolist()]

    def weights(theta):
        top = max(theta * a for a in x)
        return [math.exp(theta * a - top) for a in x]

    def balance(theta):
        w = weights(theta)
        return sum(a * b for a, b in zip(w, x)) / sum(w)

    theta = root_scalar(balance, bracket=(-5000.0, 5000.0), xtol=1e-12).root
    w = weights(theta)
    return np.array(w) / sum(w)


@maximum_entropy.alternative
def entropy_by_autograd_and_bisection(values, mean):
    x = torch.from_numpy(np.asarray(values, dtype=float))
    x = (x - mean) / (x.max() - x.min())
    low, high = -1e4, 1e4
    for _ in range(60):
        theta = torch.tensor((low + high) / 2, dtype=torch.float64, requires_grad=True)
        torch.logsumexp(theta * x, 0).backward()
        low, high = (theta.item(), high) if theta.grad < 0 else (low, theta.item())
    return torch.softmax((low + high) / 2 * x, 0).numpy()


@maximum_entropy.alternative
def entropy_by_the_root_of_a_weight(values, mean):
    x = np.asarray(values, dtype=float) - mean
    unit = np.abs(x).max()
    below, above = 0.0, 1.0  # r in (0, 1) stands for θ = log(r / (1 - r)) / unit · 8
    for _ in range(120):
        r = (below + above) / 2
        if r in (0.0, 1.0):
            break
        exponents = 8 * math.log(r / (1 - r)) * x / unit
        p = np.exp(exponents - exponents.max())
        p = p / p.sum()
        if (p * x).sum() < 0:
            below = r
        else:
            above = r
    return p
