"""What the exercises ask for, as the references compute it."""

from __future__ import annotations

import itertools

import numpy as np
import torch

Array = np.ndarray
Gradient = tuple[Array, Array, Array]


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def bit_states(n: int) -> Array:
    """All vectors of n bits, (2^n, n)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def minus_free_energy(v: Array, a: Array, b: Array, W: Array) -> Array:
    return v @ a + np.logaddexp(0.0, b + v @ W).sum(-1)


def log_likelihood_of(data: Array, a: Array, b: Array, W: Array) -> float:
    """The exact mean log-likelihood of the rows of `data`."""
    log_z = np.logaddexp.reduce(minus_free_energy(bit_states(len(a)), a, b, W))
    return float(minus_free_energy(data, a, b, W).mean() - log_z)


def statistics(v: Array, b: Array, W: Array, weights: Array | None = None) -> Gradient:
    """The weighted means of v, p(h | v) and v p(h | v)ᵀ; all rows count alike if no weights are given."""
    v = np.asarray(v, dtype=float)
    w = np.full(len(v), 1 / len(v)) if weights is None else weights
    p = sigmoid(b + v @ W)
    return w @ v, w @ p, (v * w[:, None]).T @ p


def contrast(positive: Gradient, negative: Gradient) -> Gradient:
    a, b, W = (p - n for p, n in zip(positive, negative))
    return a, b, W


def exact_gradient_of(data: Array, a: Array, b: Array, W: Array) -> Gradient:
    """The gradient of the mean log-likelihood, by enumeration."""
    states = bit_states(len(a))
    log_weights = minus_free_energy(states, a, b, W)
    p = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    return contrast(statistics(data, b, W), statistics(states, b, W, p))


def gibbs_of(v: Array, a: Array, b: Array, W: Array, rng: np.random.Generator) -> Array:
    """One block Gibbs step v → h → v'."""
    p = sigmoid(b + v @ W)
    h = (rng.random(p.shape) < p).astype(float)
    p = sigmoid(a + h @ W.T)
    return (rng.random(p.shape) < p).astype(float)


def cd_gradient_of(data: Array, a: Array, b: Array, W: Array, k: int, rng: np.random.Generator) -> Gradient:
    """The contrast of the data and of where k Gibbs steps lead from it."""
    v = data
    for _ in range(k):
        v = gibbs_of(v, a, b, W, rng)
    return contrast(statistics(data, b, W), statistics(v, b, W))


def pcd_step_of(
    data: Array, chains: Array, a: Array, b: Array, W: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """The contrast of the data and of the chains after one more step, and the chains."""
    chains = gibbs_of(chains, a, b, W, rng)
    return *contrast(statistics(data, b, W), statistics(chains, b, W)), chains


def train_of(data: Array, n_hidden: int, rng: np.random.Generator) -> Gradient:
    """Parameters after gradient ascent on the exact likelihood, with momentum."""
    n = data.shape[1]
    theta = [np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))]
    velocity: list[Array] = [np.zeros_like(t) for t in theta]
    states = bit_states(n)
    for _ in range(300):
        a, b, W = theta
        fields = b + states @ W
        log_weights = states @ a + np.logaddexp(0.0, fields).sum(1)
        p = np.exp(log_weights - log_weights.max())
        p /= p.sum()
        hidden = sigmoid(fields)
        negative = p @ states, p @ hidden, (states * p[:, None]).T @ hidden
        gradient = contrast(statistics(data, b, W), negative)
        velocity = [0.9 * u + 0.4 * g for u, g in zip(velocity, gradient)]
        theta = [t + u for t, u in zip(theta, velocity)]
    return theta[0], theta[1], theta[2]


def contrastive_loss_of(
    energy: object, parameters: list[torch.Tensor], data: torch.Tensor, negatives: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The loss and its gradients by the parameters."""
    assert callable(energy)
    leaves = [p.detach().clone().requires_grad_() for p in parameters]
    positive, negative = energy(leaves, data), energy(leaves, negatives)
    penalty = positive.square().mean() + negative.square().mean()
    loss = positive.mean() - negative.mean() + alpha * penalty
    return loss.detach(), torch.autograd.grad(loss, leaves)
