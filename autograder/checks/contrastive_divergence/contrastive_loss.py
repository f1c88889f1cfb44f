"""Exercise 5: a neural energy."""

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker import codec

from .definitions import contrastive_loss_of

contrastive_loss = Exercise("contrastive_loss", "A neural energy", contrastive_loss_of)

NETWORK = "lambda p, x: (torch.tanh(x @ p[0] + p[1]) @ p[2])"
FLOAT32 = 1e-3, 1e-4
"""Tolerances by what single precision can do: who calculates in it is right."""

DEEP = "lambda p, x: torch.nn.functional.silu(torch.sin(x @ p[0]) @ p[1] + p[2]).sum(-1) * p[3]"


def tensor(rng: np.random.Generator, *size: int, dtype: type = np.float64) -> codec.Tensor:
    return codec.Tensor(np.asarray(rng.normal(size=size)).astype(dtype))


def network(
    rng: np.random.Generator, width: int = 6, dtype: type = np.float64
) -> tuple[codec.Source, list[codec.Tensor]]:
    sizes = (2, width), (width,), (width,)
    return codec.Source(NETWORK), [tensor(rng, *size, dtype=dtype) for size in sizes]


def points(rng: np.random.Generator, n: int, dtype: type = np.float64) -> codec.Tensor:
    return codec.Tensor(rng.normal(0, 2, (n, 2)).astype(dtype))


@contrastive_loss.check(6, "a small network, without the penalty; as many negatives as data, and more")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(*network(rng), points(rng, B), points(rng, C), 0.0) for B, C in [(8, 8), (5, 12), (9, 4)]]
    attempt.compare(calls, *FLOAT32)


@contrastive_loss.check(5, "with the penalty")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(8, 8), (5, 12), (9, 4)]
    attempt.compare(
        [(*network(rng), points(rng, B), points(rng, C), float(rng.uniform(0.1, 2.0))) for B, C in sizes],
        *FLOAT32,
    )


@contrastive_loss.check(4, "another network, one point in a batch, float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    deep = [tensor(rng, 2, 5), tensor(rng, 5, 3), tensor(rng, 3), tensor(rng)]
    calls = [
        (codec.Source(DEEP), deep, points(rng, B), points(rng, C), 0.3) for B, C in [(6, 7), (1, 1), (1, 9)]
    ]
    attempt.compare(calls, *FLOAT32)
    single = (*network(rng, dtype=np.float32), points(rng, 6, np.float32), points(rng, 9, np.float32), 0.2)
    attempt.compare([single], *FLOAT32)


@contrastive_loss.mistake(
    "The sign is turned round: low energy for the data, so mean E(data) - mean E(negatives)."
)
def raises_the_energy_of_the_data(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data), energy(theta, negatives)
    loss = f.mean() - e.mean() + alpha * ((e**2).mean() + (f**2).mean())
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("The negatives are missing: without them the energy falls everywhere.")
def forgets_the_negatives(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e = energy(theta, data)
    loss = e.mean() + alpha * (e**2).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("Means are asked for, not sums: the batches can be of different sizes.")
def sums_over_the_batches(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data), energy(theta, negatives)
    loss = e.sum() - f.sum() + alpha * ((e**2).sum() + (f**2).sum())
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("The penalty α (mean E(data)² + mean E(negatives)²) is missing.")
def leaves_out_the_penalty(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    loss = energy(theta, data).mean() - energy(theta, negatives).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("The penalty squares each energy and then takes the mean, not the other way round.")
def squares_the_mean_energies(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data).mean(), energy(theta, negatives).mean()
    loss = e - f + alpha * (e**2 + f**2)
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake(
    "The penalty keeps all energies small; it is added for the negatives, too, not subtracted."
)
def subtracts_the_penalty_of_the_negatives(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data), energy(theta, negatives)
    loss = (e + alpha * e**2).mean() - (f + alpha * f**2).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake(
    "The gradients by the parameters are zero: the loss was detached before it was differentiated."
)
def returns_gradients_of_zero(energy, parameters, data, negatives, alpha):
    e, f = energy(parameters, data), energy(parameters, negatives)
    loss = e.mean() - f.mean() + alpha * ((e**2).mean() + (f**2).mean())
    return loss, tuple(torch.zeros_like(p) for p in parameters)


@contrastive_loss.alternative
def loss_by_backward(energy, parameters, data, negatives, alpha):
    theta = [p.detach().clone() for p in parameters]
    for p in theta:
        p.requires_grad_(True)
    e, f = energy(theta, data), energy(theta, negatives)
    loss = (e + alpha * e * e).mean() - (f - alpha * f * f).mean()
    loss.backward()
    return loss.item(), tuple(p.grad for p in theta)


@contrastive_loss.alternative
def loss_with_signed_weights(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e = energy(theta, torch.cat([data, negatives]))
    B, C = len(data), len(negatives)
    size = torch.cat([torch.full((B,), 1 / B, dtype=e.dtype), torch.full((C,), 1 / C, dtype=e.dtype)])
    sign = torch.cat([torch.ones(B), -torch.ones(C)]).to(e.dtype)
    loss = (size * (sign * e + alpha * e.square())).sum()
    return loss.detach(), list(torch.autograd.grad(loss, theta))


@contrastive_loss.alternative
def loss_by_functional_gradients(energy, parameters, data, negatives, alpha):
    def loss(theta):
        e, f = energy(theta, data), energy(theta, negatives)
        return e.mean() - f.mean() + alpha * (e.pow(2).mean() + f.pow(2).mean())

    gradients, value = torch.func.grad_and_value(loss)(list(parameters))
    return value, tuple(gradients)


@contrastive_loss.alternative
def loss_point_by_point(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    loss = 0.0
    for x in data:
        e = energy(theta, x[None])[0]
        loss = loss + (e + alpha * e**2) / len(data)
    for x in negatives:
        e = energy(theta, x[None])[0]
        loss = loss + (alpha * e**2 - e) / len(negatives)
    return loss.detach(), torch.autograd.grad(loss, theta)
