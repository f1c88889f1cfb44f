"""Exercise 1: a stable log-sum-exp."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise

from .definitions import log_sum_exp_of

log_sum_exp = Exercise("log_sum_exp", "A stable log-sum-exp", log_sum_exp_of)


@log_sum_exp.check(6, "random arrays with one, two and three axes")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    shapes = [(4,), (7,), (3, 5), (5, 3), (6, 2), (2, 3, 4), (3, 2, 5)]
    attempt.compare([(rng.normal(0, 2, s),) for s in shapes])


@log_sum_exp.check(5, "entries in the thousands, rows of different sizes, and rows that span a wide range")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(rng.normal(0, 2, (4, 3)) + centre,) for centre in (3000.0, -3000.0, uniform(rng, 800, 2000))]
    ladder = np.array([-4000.0, -1000.0, 0.0, 1500.0, 5000.0])[:, None]
    calls += [(rng.normal(0, 2, (5, 6)) + rng.permutation(ladder),)]
    calls += [(np.append(rng.normal(0, 1, 6), uniform(rng, 1500, 3000)),) for _ in range(2)]
    attempt.compare(calls)


@log_sum_exp.check(4, "terms of zero, a single term, ties, an empty batch, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    holes = rng.normal(0, 2, (4, 5))
    holes[0, int(rng.integers(5))] = holes[1, :4] = holes[2] = -np.inf
    attempt.compare([(holes,), (np.full(3, -np.inf),), (rng.normal(0, 2, 1),), (rng.normal(0, 2, (4, 1)),)])
    attempt.compare([(np.full((2, 6), uniform(rng, -5, 5)),), (np.zeros((0, 3)),)])
    small = rng.normal(0, 2, (3, 4)).astype(np.float32)
    attempt.compare([(small + np.float32(300),), (small - np.float32(300),)], rtol=1e-5, atol=1e-4)


@log_sum_exp.mistake("exp overflows above 709 and is 0 below -745: subtract the largest entry before exp.")
def exponentiates_the_entries_as_they_are(a):
    return np.log(np.exp(a).sum(-1))


@log_sum_exp.mistake("The maximum that was subtracted inside the exponential must be added after the log.")
def forgets_to_add_the_maximum_back(a):
    largest = a.max(-1, keepdims=True, initial=-np.inf)
    return np.log(np.exp(a - np.where(np.isfinite(largest), largest, 0)).sum(-1))


@log_sum_exp.mistake("The sum runs over the last axis only: each row has a result of its own.")
def sums_over_all_axes(a):
    return np.logaddexp.reduce(np.append(a.ravel(), -np.inf))


@log_sum_exp.mistake("The sum runs over the last axis, not over the first.")
def sums_over_the_first_axis(a):
    return np.logaddexp.reduce(a, axis=0)


@log_sum_exp.mistake(
    "The maximum of the whole array is too large for the smaller rows: their terms underflow. Take each row's own."
)
def subtracts_one_maximum_for_all_rows(a):
    largest = a.max(initial=-1e300)
    largest = largest if largest > -1e300 else 0.0
    return np.log(np.exp(a - largest).sum(-1)) + largest


@log_sum_exp.mistake(
    "Subtract the largest entry, not the mean: one entry far above the mean still overflows."
)
def subtracts_the_mean(a):
    middle = a.mean(-1, keepdims=True)
    middle = np.where(np.isfinite(middle), middle, 0)
    return np.log(np.exp(a - middle).sum(-1)) + middle[..., 0]


@log_sum_exp.mistake(
    "Where all entries are -inf the maximum is -inf, and -inf - (-inf) is NaN. Subtract 0 in such rows."
)
def subtracts_infinity_from_infinity(a):
    largest = a.max(-1, keepdims=True, initial=-np.inf)
    return np.log(np.exp(a - largest).sum(-1)) + largest[..., 0]


@log_sum_exp.mistake("The sum is asked for, not the mean: the result is too small by log n.")
def averages_the_terms(a):
    return np.logaddexp.reduce(a, axis=-1) - np.log(a.shape[-1])


@log_sum_exp.mistake("The largest entry alone is not the sum: n equal terms give log n more.")
def takes_the_maximum_for_the_sum(a):
    return a.max(-1, initial=-np.inf)


@log_sum_exp.alternative
def sum_by_logaddexp(a):
    return np.logaddexp.reduce(a, axis=-1)


@log_sum_exp.alternative
def sum_by_loops(a):
    results = []
    for row in a.reshape(-1, a.shape[-1]).tolist():
        largest = max(row)
        if largest == -math.inf:
            results.append(largest)
        else:
            results.append(largest + math.log(sum(math.exp(value - largest) for value in row)))
    return np.array(results).reshape(a.shape[:-1])


@log_sum_exp.alternative
def sum_by_sorting(a):
    ordered = np.sort(a.astype(float), axis=-1)
    top, rest = ordered[..., -1], ordered[..., :-1]
    with np.errstate(invalid="ignore"):
        ratios = np.nan_to_num(np.exp(rest - top[..., None]), nan=0.0)
    return top + np.log1p(ratios.sum(-1))


@log_sum_exp.alternative
def sum_by_torch(a):
    return torch.logsumexp(torch.from_numpy(a), dim=-1)
