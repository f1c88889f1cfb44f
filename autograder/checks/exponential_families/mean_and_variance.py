"""Exercise 2: and back."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise

from .definitions import Call, mean_and_variance_of, natural_parameters_of
from .inputs import gaussians, means, variances

mean_and_variance = Exercise("mean_and_variance", "And back: mean and variance", mean_and_variance_of)


def thetas(rng: np.random.Generator) -> list[Call]:
    return [(natural_parameters_of(m, v),) for m, v in gaussians(rng)]


@mean_and_variance.check(3, "the mean for random natural parameters")
def _(attempt: Attempt) -> None:
    compare_part(attempt, thetas(attempt.rng), 0)


@mean_and_variance.check(4, "the variance for random natural parameters")
def _(attempt: Attempt) -> None:
    compare_part(attempt, thetas(attempt.rng), 1)


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
