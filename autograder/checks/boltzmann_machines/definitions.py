"""What the exercises ask for, as the references compute it."""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logsumexp

Array = np.ndarray
Call = tuple[object, ...]


def energies_of(v: Array, h: Array, a: Array, b: Array, W: Array) -> tuple[Array, Array]:
    """E(v, h) and F(v) of each row."""
    v, h = np.asarray(v, dtype=float), np.asarray(h, dtype=float)
    field = b + v @ W
    return -(v @ a) - np.einsum("bj,bj->b", h, field), -(v @ a) - np.logaddexp(0.0, field).sum(1)


def conditionals_of(v: Array, h: Array, a: Array, b: Array, W: Array) -> tuple[Array, Array]:
    """p(h = 1 | v) and p(v = 1 | h)."""
    return expit(b + np.asarray(v, dtype=float) @ W), expit(a + np.asarray(h, dtype=float) @ W.T)


def gibbs_step_of(v: Array, a: Array, b: Array, W: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """h ~ p(h | v), then new v ~ p(v | h)."""
    up = expit(b + np.asarray(v, dtype=float) @ W)
    h = (rng.random(up.shape) < up).astype(float)
    down = expit(a + h @ W.T)
    return h, (rng.random(down.shape) < down).astype(float)


def log_likelihood_of(data: Array, a: Array, b: Array, W: Array) -> float:
    """The mean of log p(v), the smaller layer enumerated."""
    _, free = energies_of(data, np.zeros((len(data), len(b))), a, b, W)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = all_bits(len(b))
    return float(-free.mean() - logsumexp(h @ b + np.logaddexp(0.0, a + h @ W.T).sum(1)))


def dbm_energy_of(layers: Sequence[Array], biases: Sequence[Array], weights: Sequence[Array]) -> Array:
    """E(x_0, …, x_L) of each row."""
    x = [np.asarray(layer, dtype=float) for layer in layers]
    total = np.zeros(len(x[0]))
    for l, bias in enumerate(biases):
        total -= x[l] @ bias
    for l, W in enumerate(weights):
        total -= np.einsum("bi,ij,bj->b", x[l], W, x[l + 1])
    return total


def mean_field_pass_of(
    means: Sequence[Array], biases: Sequence[Array], weights: Sequence[Array]
) -> tuple[Array, ...]:
    """The hidden means after one pass from the bottom up."""
    new = [np.asarray(mean, dtype=float) for mean in means]
    for l in range(1, len(new)):
        above = new[l + 1] @ weights[l].T if l + 1 < len(new) else 0.0
        new[l] = expit(biases[l] + new[l - 1] @ weights[l - 1] + above)
    return tuple(new[1:])


def all_bits(n: int) -> Array:
    """All states of n bits, (2^n, n)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n))).reshape(2**n, n)
