"""Hidden checks of the exponential families assignment: natural parameters, log Z, moments, entropy, curvature.

    p(x | θ) = exp(θ·t(x) - A(θ)),   ∇A(θ) = E[t(x)],   ∇²A(θ) = Cov[t(x)]

Every answer has one value, so all checks compare numbers; none needs a statistical test. Where an answer is a
pair, each half has a check of its own. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq

from autograder.checks.normalization import between, compare_half, sign
from autograder.exercises.attempt import Attempt, Wrong
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.values import close, shape_complaint
from autograder.sandbox.worker.codec import Source, Tensor

Array = np.ndarray
Call = tuple[Any, ...]


# --- The definitions


def natural_parameters_of(mean: Array, variance: Array) -> Array:
    """(m / v, -1 / 2v) along a new last axis."""
    theta = np.empty((*np.shape(mean), 2))
    theta[..., 0] = np.divide(mean, variance)
    theta[..., 1] = np.divide(-0.5, variance)
    return theta


def mean_and_variance_of(theta: Array) -> tuple[Array, Array]:
    """-θ₁ / 2θ₂ and -1 / 2θ₂."""
    return -theta[..., 0] / (2 * theta[..., 1]), -1 / (2 * theta[..., 1])


def log_partition_and_means_of(
    theta: torch.Tensor, statistics: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """log Σ_i exp(θ·t_i), and the mean of t under p_i ∝ exp(θ·t_i)."""
    scores = theta @ statistics.T
    return scores.logsumexp(1), scores.softmax(1) @ statistics


def match_moments_of(x: Array) -> tuple[Array, Array]:
    """Mean and covariance of the data, divided by n."""
    mean = x.mean(0, dtype=float)
    centred = x - mean
    return mean, np.einsum("ni,nj->ij", centred, centred) / len(x)


def maximum_entropy_of(values: Array, mean: float) -> Array:
    """p ∝ exp(θx) with the given mean; θ by Brent's method, in units of the range."""
    x = (np.asarray(values, dtype=float) - mean) / np.ptp(values)

    def tilted(theta: float) -> Array:
        p = np.exp(theta * x - np.max(theta * x))
        return np.asarray(p / p.sum())

    reach = 1.0
    while tilted(-reach) @ x > 0 or tilted(reach) @ x < 0:
        reach *= 2
    return tilted(brentq(lambda theta: tilted(theta) @ x, -reach, reach, xtol=1e-13))


def fisher_information_of(
    log_partition: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
) -> torch.Tensor:
    """The Hessian of A."""
    hessian: torch.Tensor = torch.autograd.functional.hessian(log_partition, theta)
    return hessian


# --- Exercise 1: natural parameters of a Gaussian

natural_parameters = Exercise("natural_parameters", "Natural parameters of a Gaussian", natural_parameters_of)


def variances(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Variances away from 1 and from 1/2, where mistakes hide."""
    return np.where(rng.random(size) < 0.5, rng.uniform(0.1, 0.4, size), rng.uniform(1.6, 5.0, size))


def means(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    return rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 3.0, size)


def gaussians(rng: np.random.Generator) -> list[Call]:
    return [(means(rng, s), variances(rng, s)) for s in [(5,), (3,), (4, 3), (1,), (3, 1, 2)]]


def compare_column(attempt: Attempt, calls: list[Call], column: int) -> None:
    """One entry of θ must agree with the reference everywhere."""
    wrong = 0
    for value, args in zip(attempt.call_many(calls), calls):
        expected = natural_parameters_of(*args)
        if complaint := shape_complaint(value, expected):
            raise Wrong(complaint)
        found = attempt.array(value, expected.shape)
        wrong += not close(found[..., column], expected[..., column], 1e-6, 0.0)
    attempt.expect(
        not wrong, f"θ{'₁₂'[column]} is not that of the Gaussian for {wrong} of {len(calls)} inputs"
    )


@natural_parameters.check(3, "θ₁ for random means and variances")
def _(attempt: Attempt) -> None:
    compare_column(attempt, gaussians(attempt.rng), 0)


@natural_parameters.check(4, "θ₂ for random means and variances")
def _(attempt: Attempt) -> None:
    compare_column(attempt, gaussians(attempt.rng), 1)


@natural_parameters.check(
    3, "narrow and wide Gaussians, single numbers, whole numbers, an empty batch, float32"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    single = means(rng, (3,)).astype(np.float32), variances(rng, (3,)).astype(np.float32)
    attempt.compare([single], rtol=1e-5)
    calls: list[Call] = [(means(rng, (3,)), 10.0 ** rng.uniform(*range_, 3)) for range_ in [(-5, -3), (3, 5)]]
    calls += [(float(means(rng, ())), float(variances(rng, ()))), (np.zeros((0, 3)), np.zeros((0, 3)))]
    calls += [(rng.integers(1, 9, (2, 3)), rng.integers(2, 9, (2, 3)))]
    attempt.compare(calls, atol=0.0)


@natural_parameters.mistake("θ₂ is negative: a Gaussian falls to both sides.")
def forgets_the_minus_sign(mean, variance):
    return np.stack([np.divide(mean, variance), np.divide(0.5, variance)], -1)


@natural_parameters.mistake("The factor one half in the exponent belongs to θ₂: -1 / (2v).")
def forgets_the_one_half(mean, variance):
    return np.stack([np.divide(mean, variance), np.divide(-1.0, variance)], -1)


@natural_parameters.mistake("The mean itself is no natural parameter: the term with x is m x / v.")
def returns_the_mean_as_first_parameter(mean, variance):
    return np.stack([np.multiply(mean, 1.0), np.divide(-0.5, variance)], -1)


@natural_parameters.mistake("v is the variance already; squaring it takes it for the standard deviation.")
def squares_the_variance(mean, variance):
    v = np.multiply(variance, 1.0) ** 2
    return np.stack([np.divide(mean, v), np.divide(-0.5, v)], -1)


@natural_parameters.mistake("Twice the product: expanding the square gives 2 m x / (2v), which is m x / v.")
def halves_the_first_parameter(mean, variance):
    return np.stack([np.divide(mean, 2.0 * np.asarray(variance)), np.divide(-0.5, variance)], -1)


@natural_parameters.mistake("θ₁ belongs to x and comes first, θ₂ belongs to x².")
def returns_the_parameters_in_the_other_order(mean, variance):
    return np.stack([np.divide(-0.5, variance), np.divide(mean, variance)], -1)


@natural_parameters.mistake("The two parameters stand along the last axis: use np.stack(..., axis=-1).")
def stacks_along_the_first_axis(mean, variance):
    return np.stack([np.divide(mean, variance), np.divide(-0.5, variance)])


@natural_parameters.mistake("Divide by the variance, not by its square root.")
def divides_by_the_standard_deviation(mean, variance):
    return np.stack([np.divide(mean, np.sqrt(variance)), np.divide(-0.5, np.sqrt(variance))], -1)


@natural_parameters.alternative
def natural_by_loops(mean, variance):
    mean, variance = np.asarray(mean), np.asarray(variance)
    theta = np.zeros((*mean.shape, 2))
    for index in np.ndindex(mean.shape):
        theta[index] = mean[index] / variance[index], -1 / (2 * variance[index])
    return theta


@natural_parameters.alternative
def natural_by_the_precision(mean, variance):
    precision = 1.0 / np.asarray(variance)
    return precision[..., None] * np.concatenate(
        [np.asarray(mean)[..., None], np.full((*np.shape(mean), 1), -0.5)], axis=-1
    )


@natural_parameters.alternative
def natural_by_torch(mean, variance):
    mean, variance = torch.as_tensor(np.asarray(mean)), torch.as_tensor(np.asarray(variance))
    return torch.stack((mean / variance, -0.5 / variance), dim=-1)


# --- Exercise 2: and back

mean_and_variance = Exercise("mean_and_variance", "And back: mean and variance", mean_and_variance_of)


def thetas(rng: np.random.Generator) -> list[Call]:
    return [(natural_parameters_of(m, v),) for m, v in gaussians(rng)]


@mean_and_variance.check(3, "the mean for random natural parameters")
def _(attempt: Attempt) -> None:
    compare_half(attempt, thetas(attempt.rng), 0)


@mean_and_variance.check(4, "the variance for random natural parameters")
def _(attempt: Attempt) -> None:
    compare_half(attempt, thetas(attempt.rng), 1)


@mean_and_variance.check(3, "narrow and wide Gaussians, a single one, an empty batch, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare(
        [(natural_parameters_of(means(rng, (3,)), variances(rng, (3,))).astype(np.float32),)], 1e-5
    )
    calls: list[Call] = [
        (natural_parameters_of(means(rng, (3,)), 10.0 ** rng.uniform(*range_, 3)),)
        for range_ in [(-5, -3), (3, 5)]
    ]
    calls += [(natural_parameters_of(means(rng, ()), variances(rng, ())),), (np.zeros((0, 3, 2)),)]
    attempt.compare(calls, atol=0.0)


@mean_and_variance.mistake("θ₁ is m / v, not m: multiply it by the variance.")
def takes_the_first_parameter_for_the_mean(theta):
    return theta[..., 0], -0.5 / theta[..., 1]


@mean_and_variance.mistake("θ₂ is -1 / (2v): the factor 2 is missing, here and then in the mean.")
def forgets_the_factor_two(theta):
    return -theta[..., 0] / theta[..., 1], -1 / theta[..., 1]


@mean_and_variance.mistake("A variance is positive; θ₂ is negative.")
def returns_a_negative_variance(theta):
    return -theta[..., 0] / (2 * theta[..., 1]), 0.5 / theta[..., 1]


@mean_and_variance.mistake("The sign of the mean: m = θ₁ v, and v is positive.")
def returns_the_mean_with_the_wrong_sign(theta):
    return theta[..., 0] / (2 * theta[..., 1]), -0.5 / theta[..., 1]


@mean_and_variance.mistake("That is the standard deviation; its square, the variance, is asked for.")
def returns_the_standard_deviation(theta):
    variance = -0.5 / theta[..., 1]
    return theta[..., 0] * variance, np.sqrt(variance)


@mean_and_variance.mistake("That is the precision 1 / v; the variance is asked for.")
def returns_the_precision(theta):
    return -theta[..., 0] / (2 * theta[..., 1]), -2 * theta[..., 1]


@mean_and_variance.mistake("The two values of the pair are exchanged: the mean comes first.")
def returns_the_pair_in_the_other_order(theta):
    return -0.5 / theta[..., 1], -theta[..., 0] / (2 * theta[..., 1])


@mean_and_variance.mistake("Multiply θ₁ by the variance; dividing by it divides by v twice.")
def divides_the_first_parameter_by_the_variance(theta):
    variance = -0.5 / theta[..., 1]
    return theta[..., 0] / variance, variance


@mean_and_variance.alternative
def moments_by_loops(theta):
    mean, variance = np.zeros(theta.shape[:-1]), np.zeros(theta.shape[:-1])
    for index in np.ndindex(theta.shape[:-1]):
        first, second = (float(t) for t in theta[index])
        variance[index] = -1 / (2 * second)
        mean[index] = first * variance[index]
    return mean, variance


@mean_and_variance.alternative
def moments_by_the_vertex_of_the_parabola(theta):
    first, second = np.moveaxis(theta, -1, 0)
    return first / (-2 * second), (-2 * second) ** -1.0


@mean_and_variance.alternative
def moments_by_autograd(theta):
    t = torch.tensor(theta, requires_grad=True)
    log_partition = -(t[..., 0] ** 2) / (4 * t[..., 1]) + 0.5 * torch.log(-math.pi / t[..., 1])
    (gradient,) = torch.autograd.grad(log_partition.sum(), t, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient[..., 0].sum(), t)
    return gradient[..., 0].detach(), curvature[..., 0]


# --- Exercise 3: log-partition and its gradient

log_partition_and_means = Exercise(
    "log_partition_and_means", "Log-partition and its gradient", log_partition_and_means_of
)


def family(
    rng: np.random.Generator, b: int, n: int, k: int, size: float = 1.0, dtype: type = np.float64
) -> Call:
    """B parameters and the statistics of n states, with means far from 0."""
    statistics = rng.normal(0, 1, (n, k)) + rng.choice([-1.5, 1.5], k)
    return Tensor((size * rng.normal(0, 1, (b, k))).astype(dtype)), Tensor(statistics.astype(dtype))


def families(rng: np.random.Generator) -> list[Call]:
    return [family(rng, b, n, k) for b, n, k in [(2, 4, 3), (3, 6, 2), (4, 3, 4), (2, 5, 1)]]


@log_partition_and_means.check(6, "the log-partition function of random families")
def _(attempt: Attempt) -> None:
    compare_half(attempt, families(attempt.rng), 0)


@log_partition_and_means.check(6, "the means of random families")
def _(attempt: Attempt) -> None:
    compare_half(attempt, families(attempt.rng), 1)


@log_partition_and_means.check(4, "parameters for which exponentials overflow")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([family(rng, 4, 5, 3, between(rng, 1500, 3000)) for _ in range(4)], atol=1e-7)


@log_partition_and_means.check(4, "a single state, equal states, one statistic, an empty batch, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    theta, _ = family(rng, 3, 1, 2)
    equal = Tensor(np.tile(means(rng, (2,)), (5, 1)))
    attempt.compare([family(rng, 2, 1, 3), (theta, equal), family(rng, 1, 4, 1), family(rng, 0, 4, 2)])
    attempt.compare([family(rng, 3, 5, 2, 1.0, np.float32) for _ in range(2)], rtol=1e-4, atol=1e-4)


@log_partition_and_means.mistake(
    "exp overflows above 709: use torch.logsumexp, or subtract the maximum first."
)
def exponentiates_without_care(theta, statistics):
    weights = torch.exp(theta @ statistics.T)
    return weights.sum(1).log(), weights @ statistics / weights.sum(1, keepdim=True)


@log_partition_and_means.mistake("That is Z and its gradient; A is the logarithm of Z.")
def forgets_the_logarithm(theta, statistics):
    weights = torch.exp(theta @ statistics.T)
    return weights.sum(1), weights @ statistics


@log_partition_and_means.mistake("The means are not divided by Z: the weights must add up to one.")
def forgets_to_normalize_the_means(theta, statistics):
    scores = theta @ statistics.T
    return scores.logsumexp(1), scores.exp() @ statistics


@log_partition_and_means.mistake(
    "States are not equally probable: weigh each statistic with its probability."
)
def averages_the_statistics_without_weights(theta, statistics):
    return (theta @ statistics.T).logsumexp(1), statistics.mean(0).expand(len(theta), -1)


@log_partition_and_means.mistake("Z is the sum over the states, not their mean: A is too small by log n.")
def averages_the_terms_of_z(theta, statistics):
    scores = theta @ statistics.T
    return scores.logsumexp(1) - math.log(len(statistics)), scores.softmax(1) @ statistics


@log_partition_and_means.mistake("There is no minus sign before θ·t: an energy has one, the family has none.")
def takes_the_statistics_for_an_energy(theta, statistics):
    scores = -theta @ statistics.T
    return scores.logsumexp(1), scores.softmax(1) @ statistics


@log_partition_and_means.mistake(
    "Each row of theta has its own means; here they were added up over the batch."
)
def adds_the_gradients_of_the_batch(theta, statistics):
    scores = theta @ statistics.T
    total = (scores.softmax(1) @ statistics).sum(0)
    return scores.logsumexp(1), total.expand(len(theta), -1)


@log_partition_and_means.mistake(
    "The mean is an average over all states, not the statistic of the likeliest."
)
def takes_the_likeliest_state_for_the_mean(theta, statistics):
    scores = theta @ statistics.T
    return scores.logsumexp(1), statistics[scores.argmax(1)]


@log_partition_and_means.mistake(
    "The maximum that was subtracted in the exponent must be added after the log."
)
def forgets_to_add_the_maximum_back(theta, statistics):
    scores = theta @ statistics.T
    return (scores - scores.amax(1, keepdim=True)).exp().sum(1).log(), scores.softmax(1) @ statistics


@log_partition_and_means.alternative
def means_by_softmax(theta, statistics):
    scores = theta @ statistics.T
    largest = scores.max(dim=1, keepdim=True).values
    weights = torch.exp(scores - largest)
    z = weights.sum(1)
    return torch.log(z) + largest[:, 0], (weights / z[:, None]) @ statistics


@log_partition_and_means.alternative
def means_by_loops(theta, statistics):
    values, gradients = [], []
    for row in theta.tolist():
        exponents = [sum(a * b for a, b in zip(row, t)) for t in statistics.tolist()]
        top = max(exponents)
        weights = [math.exp(e - top) for e in exponents]
        values.append(top + math.log(sum(weights)))
        total = [sum(w * t for w, t in zip(weights, column)) for column in statistics.T.tolist()]
        gradients.append([entry / sum(weights) for entry in total])
    shape = len(theta), statistics.shape[1]
    return torch.tensor(values).reshape(shape[0]), torch.tensor(gradients, dtype=torch.float64).reshape(shape)


@log_partition_and_means.alternative
def means_by_backward(theta, statistics):
    theta = torch.nn.Parameter(theta.clone())
    value = torch.zeros(len(theta), dtype=theta.dtype) - math.inf
    for t in statistics:
        value = torch.logaddexp(value, theta @ t)
    value.sum().backward()
    return value, theta.grad


@log_partition_and_means.alternative
def means_by_a_categorical_distribution(theta, statistics):
    logits = torch.einsum("bk,nk->bn", theta, statistics)
    probability = torch.nn.functional.softmax(logits, dim=-1)
    log_probability = torch.nn.functional.log_softmax(logits, dim=-1)
    return logits[:, 0] - log_probability[:, 0], torch.einsum("bn,nk->bk", probability, statistics)


# --- Exercise 4: moment matching

match_moments = Exercise("match_moments", "Moment matching", match_moments_of)


def cloud(rng: np.random.Generator, n: int, d: int, centre: float = 2.0) -> Array:
    """Correlated points around a centre away from 0."""
    shape = rng.normal(0, 0.4, (d, d)) + np.eye(d) + 0.5
    return rng.normal(0, 1.5, (n, d)) @ shape + centre * means(rng, (d,))


@match_moments.check(3, "the mean of random data")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_half(attempt, [(cloud(rng, n, d),) for n, d in [(7, 2), (5, 3), (12, 4), (9, 2)]], 0)


@match_moments.check(6, "the covariance of random data")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_half(attempt, [(cloud(rng, n, d),) for n, d in [(7, 2), (5, 3), (12, 4), (9, 2)]], 1)


@match_moments.check(
    3, "one dimension, one point, equal points, fewer points than dimensions, whole numbers, float32"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [(cloud(rng, 6, 1),), (cloud(rng, 1, 3),), (cloud(rng, 1, 1),), (cloud(rng, 3, 5),)]
    calls += [(np.tile(means(rng, (2,)), (4, 1)),), (rng.integers(-5, 6, (8, 2)),)]
    attempt.compare(calls)
    attempt.compare([(cloud(rng, 9, 3).astype(np.float32),)], rtol=1e-4, atol=1e-4)


@match_moments.check(3, "data far from zero, a hundred million times their spread")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_half(attempt, [(cloud(rng, 30, d, 1e8),) for d in (2, 3)], 1, 1e-5)


@match_moments.mistake("The likeliest covariance divides by n; n - 1 is for an unbiased estimate.")
def divides_by_n_minus_one(x):
    with np.errstate(all="ignore"):
        centred = x - x.mean(0)
        return x.mean(0), np.true_divide(centred.T @ centred, len(x) - 1)


@match_moments.mistake("The mean is not subtracted: that is the second moment, not the covariance.")
def forgets_to_subtract_the_mean(x):
    return x.mean(0), x.T @ x / len(x)


@match_moments.mistake("The coordinates vary together: the covariances off the diagonal are missing.")
def keeps_the_variances_only(x):
    return x.mean(0), np.diag(x.var(0))


@match_moments.mistake("Those are correlations; covariances keep the size of the spread.")
def returns_correlations(x):
    centred = x - x.mean(0)
    covariance = centred.T @ centred / len(x)
    deviation = np.sqrt(np.diag(covariance))
    size = np.outer(deviation, deviation)
    return x.mean(0), np.divide(covariance, size, out=np.zeros_like(covariance), where=size > 0)


@match_moments.mistake(
    "Far from zero the two moments are huge and their difference is lost. Subtract the mean before you square."
)
def subtracts_two_huge_moments(x):
    mean = x.mean(0)
    return mean, x.T @ x / len(x) - np.outer(mean, mean)


@match_moments.mistake("The sums are not divided by n: a moment is an average.")
def forgets_to_divide_by_n(x):
    centred = x - x.mean(0)
    return x.sum(0), centred.T @ centred


@match_moments.mistake("The Gaussian matches the mean of the data, not their median.")
def takes_the_median_for_the_mean(x):
    middle = np.median(x, axis=0)
    return middle, (x - middle).T @ (x - middle) / len(x)


@match_moments.mistake("Each coordinate has a mean of its own: average over the rows, axis 0.")
def takes_one_mean_for_all_coordinates(x):
    centred = x - x.mean()
    return np.full(x.shape[1], x.mean()), centred.T @ centred / len(x)


@match_moments.alternative
def moments_by_np_cov(x):
    return np.mean(x, axis=0), np.atleast_2d(np.cov(x.T, bias=True))


@match_moments.alternative
def moments_by_plain_loops(x):
    n, d = x.shape
    rows = x.astype(float).tolist()
    mean = [math.fsum(row[i] for row in rows) / n for i in range(d)]
    covariance = np.zeros((d, d))
    for i in range(d):
        for j in range(i, d):
            total = math.fsum((row[i] - mean[i]) * (row[j] - mean[j]) for row in rows)
            covariance[i, j] = covariance[j, i] = total / n
    return np.array(mean), covariance


@match_moments.alternative
def moments_one_point_at_a_time(x):
    mean, scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
    for count, point in enumerate(x, start=1):
        before = point - mean
        mean = mean + before / count
        scatter += np.outer(before, point - mean)
    return mean, scatter / len(x)


@match_moments.alternative
def moments_by_torch(x):
    x = torch.from_numpy(x).double()
    return x.mean(0), torch.cov(x.T, correction=0).reshape(x.shape[1], x.shape[1])


# --- Exercise 5: maximum entropy, the biased die

maximum_entropy = Exercise("maximum_entropy", "Maximum entropy: the biased die", maximum_entropy_of)

ERROR = 2e-6
"""Twice the error that the exercise allows, because the reference and its inputs are rounded too."""


def compare_laws(attempt: Attempt, calls: list[Call]) -> None:
    attempt.compare(calls, rtol=0.0, atol=ERROR)


def inside(rng: np.random.Generator, values: Array, edge: float = 0.15) -> float:
    """A mean between the extremes, not near the middle, where the answer is uniform."""
    share = between(rng, edge, 0.38)
    return float(values.min() + np.ptp(values) * (share if rng.random() < 0.5 else 1 - share))


def spread(rng: np.random.Generator, n: int) -> Array:
    """Values without order, at least a tenth apart, at no whole numbers."""
    return rng.permutation(np.cumsum(rng.uniform(0.1, 1.5, n)) - between(rng, 1.0, 4.0))


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


@maximum_entropy.check(4, "means close to the smallest or largest value, and values close together")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for gap in (between(rng, 0.003, 0.006), 1 - between(rng, 0.003, 0.006)):
        values = rng.permutation(np.arange(1, 7)) * 1.0
        calls.append((values, float(1 + 5 * gap)))
    close_together = between(rng, 1.0, 2.0) + 0.01 * np.arange(1, 6)
    compare_laws(attempt, [*calls, (close_together, inside(rng, close_together))])


@maximum_entropy.check(3, "values in the thousands, close together and far apart")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sets = [base + np.arange(6.0) for base in (3000.0, -3000.0)] + [rng.permutation(np.arange(5) * 1500.0)]
    compare_laws(attempt, [(values, inside(rng, values)) for values in sets])


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


# --- Exercise 6: log Z is convex

fisher_information = Exercise("fisher_information", "log Z is convex: its Hessian", fisher_information_of)


def finite_family(rng: np.random.Generator, n: int, k: int, dtype: type = np.float64) -> Call:
    """A(θ) = log Σ exp(θ·t_i), with correlated statistics and means away from 0."""
    statistics = rng.normal(0, 1, (n, k)) @ (np.eye(k) + 0.4) + rng.choice([-1.0, 1.0], k)
    theta = rng.normal(0, 0.4, k)
    log_partition = Source("lambda t: torch.logsumexp(T @ t, 0)", T=Tensor(statistics.astype(dtype)))
    return log_partition, Tensor(theta.astype(dtype))


@fisher_information.check(
    4, "families with one parameter: a coin, counts, waiting times, finitely many states"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    coin = "lambda t: torch.nn.functional.softplus(t).sum()"
    calls: list[Call] = [(Source(coin), Tensor(rng.normal(0, 1.5, 1)))]
    calls += [(Source("lambda t: t.exp().sum()"), Tensor(rng.uniform(0.3, 2.0, 1) * sign(rng)))]
    calls += [(Source("lambda t: -torch.log(-t[0])"), Tensor(-rng.uniform(0.3, 0.8, 1)))]
    attempt.compare([*calls, finite_family(rng, 6, 1)])


GAUSSIAN = "lambda t: -(t[0] ** 2) / (4 * t[1]) + 0.5 * torch.log(-math.pi / t[1])"
GAMMA = "lambda t: torch.lgamma(t[0] + 1) - (t[0] + 1) * torch.log(-t[1])"
COUNTS = "lambda t: torch.exp(t).sum() + torch.exp(t.sum())"


@fisher_information.check(
    7, "families with several parameters: Gaussian, gamma, counts, finitely many states"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    gaussian = natural_parameters_of(means(rng, ()), variances(rng, ()))
    gamma = np.array([between(rng, 0.5, 3.0), -between(rng, 0.5, 2.0)])
    calls: list[Call] = [(Source(GAUSSIAN), Tensor(gaussian)), (Source(GAMMA), Tensor(gamma))]
    calls += [(Source(COUNTS), Tensor(rng.uniform(0.2, 0.9, 3) * sign(rng)))]
    attempt.compare(calls + [finite_family(rng, n, k) for n, k in [(4, 2), (6, 3), (9, 4)]])


@fisher_information.check(4, "functions that are linear in some or all parameters, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    slopes, theta = Tensor(means(rng, (3,))), Tensor(rng.normal(0, 1, 3))
    partly = Source("lambda t: c @ t + torch.nn.functional.softplus(t[1])", c=slopes)
    entirely = Source("lambda t: c @ t", c=slopes)
    attempt.compare([(partly, theta), (entirely, theta)])
    attempt.compare([finite_family(rng, 5, 3, np.float32)], rtol=1e-3, atol=1e-3)


@fisher_information.mistake("The statistics vary together: the mixed second derivatives are missing.")
def keeps_only_the_diagonal(log_partition, theta):
    return torch.diag(torch.autograd.functional.hessian(log_partition, theta).diagonal())


@fisher_information.mistake("The gradient's products are the means' products, not the covariance.")
def multiplies_the_gradient_with_itself(log_partition, theta):
    gradient = torch.autograd.functional.jacobian(log_partition, theta)
    return torch.outer(gradient, gradient)


@fisher_information.mistake("That is the second moment E[t tᵀ]: subtract the product of the means.")
def returns_the_second_moment(log_partition, theta):
    gradient = torch.autograd.functional.jacobian(log_partition, theta)
    return torch.autograd.functional.hessian(log_partition, theta) + torch.outer(gradient, gradient)


@fisher_information.mistake(
    "The gradient of the gradient's sum adds up each row of the Hessian. Differentiate one entry at a time."
)
def differentiates_the_sum_of_the_gradient(log_partition, theta):
    return torch.diag(torch.autograd.functional.hessian(log_partition, theta).sum(0))


@fisher_information.mistake("The sign: A is convex, its Hessian has no negative eigenvalue.")
def returns_the_negative_hessian(log_partition, theta):
    return -torch.autograd.functional.hessian(log_partition, theta)


@fisher_information.mistake("That is the inverse of the information: how well θ can be known, not ∇²A.")
def returns_the_inverse(log_partition, theta):
    return torch.linalg.pinv(torch.autograd.functional.hessian(log_partition, theta))


@fisher_information.mistake("A is log Z already: differentiate it as it is, without exp.")
def differentiates_z_in_place_of_its_log(log_partition, theta):
    return torch.autograd.functional.hessian(lambda t: torch.exp(log_partition(t)), theta)


@fisher_information.mistake("Differences with a wide step are not derivatives. Let autograd differentiate.")
def takes_differences_with_a_wide_step(log_partition, theta):
    step = 0.01 * torch.eye(len(theta), dtype=theta.dtype)
    rows = [
        torch.autograd.functional.jacobian(log_partition, theta + s)
        - torch.autograd.functional.jacobian(log_partition, theta)
        for s in step
    ]
    return torch.stack(rows) / 0.01


@fisher_information.alternative
def hessian_by_two_gradients(log_partition, theta):
    theta = theta.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(log_partition(theta), theta, create_graph=True)
    rows = []
    for entry in gradient:
        if entry.requires_grad:
            (row,) = torch.autograd.grad(entry, theta, retain_graph=True, allow_unused=True)
            rows.append(torch.zeros_like(theta) if row is None else row)
        else:
            rows.append(torch.zeros_like(theta))
    return torch.stack(rows)


@fisher_information.alternative
def hessian_by_torch_func(log_partition, theta):
    return torch.func.hessian(log_partition)(theta)


@fisher_information.alternative
def hessian_by_jacobian_of_the_gradient(log_partition, theta):
    def gradient(t):
        return torch.autograd.functional.jacobian(log_partition, t, create_graph=True)

    return torch.autograd.functional.jacobian(gradient, theta)


@fisher_information.alternative
def hessian_by_products_with_unit_vectors(log_partition, theta):
    columns = [
        torch.autograd.functional.hvp(log_partition, theta, unit)[1]
        for unit in torch.eye(len(theta)).to(theta)
    ]
    return torch.stack(columns, dim=1)


assignment = Assignment(
    "exponential_families",
    (
        natural_parameters,
        mean_and_variance,
        log_partition_and_means,
        match_moments,
        maximum_entropy,
        fisher_information,
    ),
    imports=("matplotlib.pyplot", "torch"),
)
