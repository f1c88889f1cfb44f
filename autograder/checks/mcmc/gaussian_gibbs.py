"""Exercise 3: Gibbs sampling of a correlated Gaussian."""

import math
from collections.abc import Callable

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Evidence

from .definitions import Array, conditional_mean, gaussian_gibbs_of
from .inputs import noise_counts

gaussian_gibbs = Exercise("gaussian_gibbs", "Gibbs sampling of a correlated Gaussian", gaussian_gibbs_of)

GIBBS_DRAWS = 5400
"""So that noise 3 % too large or too small is caught with probability 0.99: z = 5.3 among 18 features."""


def correlated_precision(rng: np.random.Generator, d: int) -> Array:
    """A precision whose entries all matter: every pair is correlated, and no diagonal entry is near 1."""
    signs, scale = rng.choice([-1.0, 1.0], d), np.sqrt(rng.uniform(2.5, 5.0, d))
    correlation = uniform(rng, 0.65, 0.8)
    R = correlation * np.outer(signs, signs) + (1 - correlation) * np.eye(d)
    return np.asarray(np.outer(scale, scale) * R)


def far_mean(rng: np.random.Generator, d: int) -> Array:
    return rng.choice([-1.0, 1.0], d) * rng.uniform(2.0, 5.0, d)


def sweep_noise(before: Array, after: Array, mean: Array, precision: Array) -> Array:
    """The standard normal noise (B, d) that a correct sweep from `before` to `after` must have drawn."""
    current, noise = before.copy(), np.empty_like(after)
    for i in range(len(mean)):
        noise[:, i] = (after[:, i] - conditional_mean(current, i, mean, precision)) * math.sqrt(
            precision[i, i]
        )
        current[:, i] = after[:, i]
    return noise


@gaussian_gibbs.check(5, "enormous precision: with hardly any noise the sweep follows the conditional means")
def _(attempt: Attempt) -> None:
    """The noise is 1e-6 and the tolerance 1e-3: wrong for correct code with probability below 1e-300."""
    rng, attempt.noise = attempt.rng, 1e-4
    calls = []
    for B, d in [(1, 1), (1, 2), (2, 2), (5, 3), (3, 5), (8, 4)]:
        precision = 1e12 * correlated_precision(rng, d)
        calls.append((rng.uniform(-3, 3, (B, d)), far_mean(rng, d), precision, attempt.draw_rng()))
    wrong = []
    for value, call in zip(attempt.call_many(calls), calls):
        found = attempt.array(value, call[0].shape)
        wrong.append(not np.allclose(found, gaussian_gibbs_of(*call[:3], rng), rtol=0, atol=1e-3))
    attempt.refuse(
        wrong,
        "sweeps with hardly any noise do not end at the conditional means, each given the new values of the "
        "coordinates before it",
    )


def sweep_law(attempt: Attempt, d: int, precision: Array) -> Callable[[int], list[Evidence]]:
    mean = far_mean(attempt.rng, d)

    def draw(n: int) -> list[Evidence]:
        before = mean + 2.0 * attempt.rng.standard_normal((n, d))
        after = attempt.array(attempt.call(before, mean, precision, attempt.draw_rng()), (n, d))
        return noise_counts(sweep_noise(before, after.astype(float), mean, precision))

    return draw


@gaussian_gibbs.check(7, "correlated Gaussians in three dimensions: the exact law of one sweep", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): given the start, the sweep's noise is N(0, I)."""
    precision = correlated_precision(attempt.rng, 3)
    attempt.sequential(
        sweep_law(attempt, 3, precision), GIBBS_DRAWS, "a sweep does not follow the conditionals"
    )


@gaussian_gibbs.check(3, "one coordinate, and coordinates that do not depend on each other", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): two tests at half of it."""
    for d in (1, 2):
        precision = np.diag(attempt.rng.uniform(3.0, 6.0, d))
        draw = sweep_law(attempt, d, precision)
        attempt.sequential(draw, 1500, "independent coordinates do not follow their law", alpha=5e-10)


@gaussian_gibbs.mistake("1 / Λ_ii is a variance. The noise is scaled by its square root.")
def scales_the_noise_by_the_variance(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal(len(x)) / precision[i, i]
    return z + mean


@gaussian_gibbs.mistake("The sum and the result are relative to the mean: use x_j - μ_j, and add μ_i.")
def forgets_the_mean(x, mean, precision, rng):
    z = np.array(x, dtype=float)
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return z


@gaussian_gibbs.mistake("All coordinates changed at once. Each must see the new values of those before it.")
def changes_all_coordinates_at_once(x, mean, precision, rng):
    z = x - mean
    diagonal = np.diag(precision)
    rest = z @ precision - z * diagonal
    return mean - rest / diagonal + rng.standard_normal(x.shape) / np.sqrt(diagonal)


@gaussian_gibbs.mistake("The conditional mean carries a minus sign: the sum is subtracted.")
def adds_the_pull_of_the_others(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = rest / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return z + mean


@gaussian_gibbs.mistake("The sum leaves out j = i: the old value of the coordinate itself must not matter.")
def counts_the_coordinate_itself(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        z[:, i] = -(z @ precision[i]) / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(
            precision[i, i]
        )
    return z + mean


@gaussian_gibbs.mistake("The conditional variance is 1 / Λ_ii, smaller than the marginal variance (Λ⁻¹)_ii.")
def uses_the_marginal_variance(x, mean, precision, rng):
    z = x - mean
    scale = np.sqrt(np.diag(np.linalg.inv(precision)))
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + scale[i] * rng.standard_normal(len(x))
    return z + mean


@gaussian_gibbs.mistake("That treats Λ as a covariance. It is a precision, the inverse of one.")
def takes_the_precision_for_a_covariance(x, mean, precision, rng):
    inverse = np.linalg.inv(precision)
    z = x - mean
    for i in range(len(mean)):
        rest = z @ inverse[i] - z[:, i] * inverse[i, i]
        z[:, i] = -rest / inverse[i, i] + rng.standard_normal(len(x)) / np.sqrt(inverse[i, i])
    return z + mean


@gaussian_gibbs.mistake("Each chain needs noise of its own: rng.standard_normal(B), not one number.")
def shares_the_noise_among_the_chains(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal() / np.sqrt(precision[i, i])
    return z + mean


@gaussian_gibbs.mistake("The noise is missing: that is the conditional mean, not a draw.")
def returns_the_conditional_mean(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        z[:, i] = -(z @ precision[i] - z[:, i] * precision[i, i]) / precision[i, i]
    return z + mean


@gaussian_gibbs.mistake("A sweep goes from coordinate 0 up: yours starts at the last one.")
def sweeps_backwards(x, mean, precision, rng):
    z = x - mean
    for i in reversed(range(len(mean))):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return z + mean


@gaussian_gibbs.mistake("The variance is 1 / Λ_ii: divide the noise by the root of the precision.")
def multiplies_the_noise_by_the_root_of_the_precision(x, mean, precision, rng):
    new = np.array(x, dtype=float)
    for i in range(len(mean)):
        away = new - mean
        away[:, i] = 0
        new[:, i] = mean[i] - away @ precision[i] / precision[i, i]
        new[:, i] += rng.standard_normal(len(x)) * np.sqrt(precision[i, i])
    return new


@gaussian_gibbs.alternative
def sweep_by_loops(x, mean, precision, rng):
    new = [[float(v) for v in row] for row in x]
    d = len(mean)
    for row in new:
        for i in range(d):
            pull = sum(precision[i, j] * (row[j] - mean[j]) for j in range(d) if j != i)
            row[i] = rng.normal(mean[i] - pull / precision[i, i], 1 / math.sqrt(precision[i, i]))
    return np.array(new)


@gaussian_gibbs.alternative
def sweep_by_the_formula_with_masks(x, mean, precision, rng):
    new = x.copy()
    for i in range(x.shape[1]):
        others = np.arange(x.shape[1]) != i
        centre = mean[i] - (new[:, others] - mean[others]) @ precision[i, others] / precision[i, i]
        new[:, i] = rng.normal(centre, precision[i, i] ** -0.5)
    return new


@gaussian_gibbs.alternative
def sweep_by_gauss_seidel(x, mean, precision, rng):
    lower, upper = np.tril(precision), np.triu(precision, 1)
    noise = rng.standard_normal(x.shape) * np.sqrt(np.diag(precision))
    return mean + np.linalg.solve(lower, (noise - (x - mean) @ upper.T).T).T


@gaussian_gibbs.alternative
def sweep_by_regression_on_the_covariance(x, mean, precision, rng):
    covariance = np.linalg.inv(precision)
    new = np.array(x)
    for i in range(len(mean)):
        rest = [j for j in range(len(mean)) if j != i]
        S = covariance[np.ix_(rest, rest)]
        weights = np.linalg.solve(S, covariance[rest, i]) if rest else np.zeros(0)
        variance = covariance[i, i] - weights @ covariance[rest, i]
        centre = mean[i] + (new[:, rest] - mean[rest]) @ weights
        new[:, i] = centre + np.sqrt(variance) * rng.standard_normal(len(x))
    return new
