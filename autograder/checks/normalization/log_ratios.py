"""Exercise 6: log-ratios without Z."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.draws import sign, uniform
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker.codec import Source

from .definitions import Array, Call, log_ratios_of

log_ratios = Exercise("log_ratios", "Log-ratios without Z", log_ratios_of)


def points(rng: np.random.Generator, size: tuple[int, ...]) -> tuple[Array, Array]:
    """Two arrays whose elements lie on different sides of one."""
    return sign(rng) * rng.uniform(0.1, 0.8, size), sign(rng) * rng.uniform(1.3, 2.5, size)


def ratio_calls(rng: np.random.Generator, slope: float) -> list[Call]:
    calls: list[Call] = []
    for size in [(5,), (2, 3), (1,), (2, 1, 3)]:
        f = Source("lambda x: d * x**2 + a * np.cos(x)", d=slope * uniform(rng, 0.8, 1.5), a=slope * 0.4)
        pair = points(rng, size)
        calls.append((f, *(pair if len(size) > 1 else pair[::-1])))
    return calls


@log_ratios.check(3, "the ratio for exp f, at random points")
def _(attempt: Attempt) -> None:
    compare_part(attempt, ratio_calls(attempt.rng, sign(attempt.rng)), 0)


@log_ratios.check(4, "the ratio for f², for functions of either sign and where f is zero")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = ratio_calls(rng, -1.0) + ratio_calls(rng, 1.0)
    root = uniform(rng, 0.5, 2.0)
    cut = Source("lambda x: c * (x - r)", c=uniform(rng, 1.0, 3.0), r=root)
    calls.append((cut, np.array([root, root, -1.0]), np.array([0.0, 5.0, 9.0])))
    compare_part(attempt, calls, 1)


@log_ratios.check(3, "functions in the thousands, functions as small as 1e-200, and empty arrays")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for size in (uniform(rng, 2e3, 9e3), -uniform(rng, 2e3, 9e3), 10.0 ** rng.uniform(-200, -180)):
        f = Source("lambda x: c * (1 + x**2)", c=float(size))
        calls.append((f, *points(rng, (4,))))
    attempt.compare([*calls, (Source("lambda x: 1 + x**2"), np.zeros((0, 2)), np.zeros((0, 2)))])


@log_ratios.mistake("Those are log p(y) / p(x): the two points are exchanged.")
def takes_the_ratios_the_wrong_way_round(f, x, y):
    return f(y) - f(x), 2 * np.log(abs(f(y))) - 2 * np.log(abs(f(x)))


@log_ratios.mistake("exp f overflows. The log of a ratio is a difference: f(x) - f(y).")
def exponentiates_before_it_takes_the_log(f, x, y):
    return np.log(np.exp(f(x)) / np.exp(f(y))), 2 * np.log(abs(f(x))) - 2 * np.log(abs(f(y)))


@log_ratios.mistake("f can be negative and its log NaN. log f² is 2 log |f|.")
def takes_the_log_of_negative_values(f, x, y):
    return f(x) - f(y), 2 * np.log(f(x)) - 2 * np.log(f(y))


@log_ratios.mistake("f² underflows before the log brings it back: log f² is 2 log |f|.")
def squares_before_it_takes_the_log(f, x, y):
    return f(x) - f(y), np.log(f(x) ** 2) - np.log(f(y) ** 2)


@log_ratios.mistake("The square is missing: log f² is twice log |f|.")
def forgets_the_square(f, x, y):
    return f(x) - f(y), np.log(abs(f(x))) - np.log(abs(f(y)))


@log_ratios.mistake("Those are the ratios themselves; their logarithms are asked for.")
def returns_ratios_without_the_log(f, x, y):
    return np.exp(f(x) - f(y)), (f(x) / f(y)) ** 2


@log_ratios.mistake("Low energy is probable, but here f is the negative of an energy: p grows with exp(+f).")
def takes_f_for_an_energy_in_the_ratio(f, x, y):
    return f(y) - f(x), 2 * np.log(abs(f(x))) - 2 * np.log(abs(f(y)))


@log_ratios.mistake(
    "The square of a difference is not the log-ratio of squares: 2 log |f(x)| - 2 log |f(y)|."
)
def subtracts_the_squares(f, x, y):
    return f(x) - f(y), f(x) ** 2 - f(y) ** 2


@log_ratios.alternative
def ratios_by_loops(f, x, y):
    by_exp, by_square = np.zeros(x.shape), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        a, b = float(f(x[index])), float(f(y[index]))
        by_exp[index] = a - b
        by_square[index] = 2 * (math.log(abs(a)) - math.log(abs(b))) if a != 0 else -math.inf
    return by_exp, by_square


@log_ratios.alternative
def ratios_by_one_quotient(f, x, y):
    a, b = f(x), f(y)
    return np.subtract(a, b), 2 * np.log(np.abs(a / b))


@log_ratios.alternative
def ratios_by_torch(f, x, y):
    a, b = torch.from_numpy(f(x)), torch.from_numpy(f(y))
    return a - b, (a.abs().log() - b.abs().log()) * 2
