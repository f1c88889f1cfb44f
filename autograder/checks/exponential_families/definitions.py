"""What the exercises ask for, as the references compute it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq

Array = np.ndarray
Call = tuple[Any, ...]


def natural_parameters_of(mean: Array, variance: Array) -> Array:
    """(m / v, -1 / 2v) along a new last axis."""
    theta = np.empty((*np.shape(mean), 2))
    theta[..., 0] = np.divide(mean, variance)
    theta[..., 1] = np.divide(-0.5, variance)
    return theta


def mean_and_variance_of(theta: Array) -> tuple[Array, Array]:
    """-θ₁ / 2θ₂ and -1 / 2θ₂."""
    return -theta[..., 0] / (2 * theta[..., 1]), -1 / (2 * theta[..., 1])


def log_partition_and_means_of(
    theta: torch.Tensor, statistics: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """log Σ_i exp(θ·t_i), and the mean of t under p_i ∝ exp(θ·t_i)."""
    scores = theta @ statistics.T
    return scores.logsumexp(1), scores.softmax(1) @ statistics


def match_moments_of(x: Array) -> tuple[Array, Array]:
    """Mean and covariance of the data, divided by n."""
    mean = x.mean(0, dtype=float)
    centred = x - mean
    return mean, np.einsum("ni,nj->ij", centred, centred) / len(x)


def maximum_entropy_of(values: Array, mean: float) -> Array:
    """p ∝ exp(θx) with the given mean; θ by Brent's method, in units of the range."""
    x = (np.asarray(values, dtype=float) - mean) / np.ptp(values)

    def tilted(theta: float) -> Array:
        p = np.exp(theta * x - np.max(theta * x))
        return np.asarray(p / p.sum())

    reach = 1.0
    while tilted(-reach) @ x > 0 or tilted(reach) @ x < 0:
        reach *= 2
    return tilted(brentq(lambda theta: tilted(theta) @ x, -reach, reach, xtol=1e-13))


def fisher_information_of(
    log_partition: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
) -> torch.Tensor:
    """The Hessian of A."""
    hessian: torch.Tensor = torch.autograd.functional.hessian(log_partition, theta)
    return hessian
