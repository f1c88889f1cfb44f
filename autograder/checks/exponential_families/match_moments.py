"""Exercise 4: moment matching."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise

from .definitions import Array, Call, match_moments_of
from .inputs import means

match_moments = Exercise("match_moments", "Moment matching", match_moments_of)


def cloud(rng: np.random.Generator, n: int, d: int, centre: float = 2.0) -> Array:
    """Correlated points around a centre away from 0."""
    shape = rng.normal(0, 0.4, (d, d)) + np.eye(d) + 0.5
    return rng.normal(0, 1.5, (n, d)) @ shape + centre * means(rng, (d,))


@match_moments.check(3, "the mean of random data")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_part(attempt, [(cloud(rng, n, d),) for n, d in [(7, 2), (5, 3), (12, 4), (9, 2)]], 0)


@match_moments.check(6, "the covariance of random data")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_part(attempt, [(cloud(rng, n, d),) for n, d in [(7, 2), (5, 3), (12, 4), (9, 2)]], 1)


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
    compare_part(attempt, [(cloud(rng, 30, d, 1e8),) for d in (2, 3)], 1, rtol=1e-5)


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
