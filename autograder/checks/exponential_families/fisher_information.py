"""Exercise 6: log Z is convex."""

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import sign, uniform
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker.codec import Source, Tensor

from .definitions import Call, fisher_information_of, natural_parameters_of
from .inputs import means, variances

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
    gamma = np.array([uniform(rng, 0.5, 3.0), -uniform(rng, 0.5, 2.0)])
    left = natural_parameters_of(
        np.asarray(-uniform(rng, 0.5, 2.0)), variances(rng, ())
    )  # a negative covariance
    calls: list[Call] = [(Source(GAUSSIAN), Tensor(gaussian)), (Source(GAMMA), Tensor(gamma))]
    calls += [(Source(GAUSSIAN), Tensor(np.asarray(left)))]
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
