"""Exercise 1: natural parameters of a Gaussian."""

import numpy as np
import torch

from autograder.exercises.attempt import Attempt, Wrong
from autograder.exercises.exercise import Exercise
from autograder.exercises.values import close, shape_complaint

from .definitions import Call, natural_parameters_of
from .inputs import gaussians, means, variances

natural_parameters = Exercise("natural_parameters", "Natural parameters of a Gaussian", natural_parameters_of)


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
