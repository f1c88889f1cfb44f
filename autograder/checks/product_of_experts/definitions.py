"""What the exercises ask for, as the references compute it."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import logsumexp

Array = np.ndarray


def product_of_gaussians_of(means: Array, variances: Array) -> tuple[Array, Array, Array]:
    """Mean, variance and log Z of the product, from (..., M) to (...)."""
    means, variances = np.asarray(means, dtype=float), np.asarray(variances, dtype=float)
    variance = 1 / (1 / variances).sum(-1)
    mean = variance * (means / variances).sum(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, variance, heights.sum(-1) + 0.5 * np.log(2 * np.pi * variance)


def and_or_of(log_p: Array) -> tuple[Array, Array]:
    """The probabilities (K,) of the product and of the mixture of M categoricals (M, K)."""
    total = np.asarray(log_p, dtype=float).sum(0)
    return np.exp(total - logsumexp(total)), np.exp(np.asarray(log_p, dtype=float)).mean(0)


def log_product_of(experts: Sequence[Callable[[Array], Array]], weights: Array, x: Array) -> Array:
    """Σ_m w_m log f_m(x), (n,)."""
    total = np.zeros(len(x))
    for expert, weight in zip(experts, weights):
        if weight != 0:
            total += weight * expert(x)
    return total


def sample_product_of(
    propose: Callable[[int, np.random.Generator], Array],
    log_others: Callable[[Array], Array],
    n: int,
    rng: np.random.Generator,
) -> Array:
    """`n` draws of p_1(x) exp(log_others(x)) / Z, by rejection."""
    kept: list[Array] = []
    while sum(map(len, kept)) < n:
        x = propose(2 * n, rng)
        kept.append(x[rng.random(len(x)) < np.exp(log_others(x))])
    return np.concatenate(kept)[:n]


def weight_gradient_of(log_p: Array, weights: Array, data: Array) -> tuple[Array, Array]:
    """The mean log-likelihood of the data, and its gradient (M,)."""
    total = weights @ log_p
    log_prob = total - logsumexp(total)
    return log_prob[data].mean(), log_p[:, data].mean(1) - log_p @ np.exp(log_prob)
