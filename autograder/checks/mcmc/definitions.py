"""What the exercises ask for, as the references compute it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import logsumexp

Array = np.ndarray


def metropolis_hastings_of(
    x: Array,
    log_density: Callable[[Array], Array],
    propose: Callable[[Array, np.random.Generator], Array],
    log_proposal: Callable[[Array, Array], Array],
    rng: np.random.Generator,
) -> Array:
    """The chains (B, d) after one step."""
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) + log_proposal(x, proposal) - log_density(x) - log_proposal(proposal, x)
    accepted = rng.random(len(x)) < np.exp(np.minimum(log_ratio, 0.0))
    return np.where(accepted[:, None], proposal, x)


def transition_matrix_of(log_p: Array, Q: Array) -> tuple[Array, Array]:
    """P and the flow p_i P_ij."""
    K = len(log_p)
    P = np.zeros((K, K))
    for i in range(K):
        for j in range(K):
            if i != j and Q[i, j] > 0 and Q[j, i] > 0:
                log_ratio = log_p[j] - log_p[i] + math.log(Q[j, i]) - math.log(Q[i, j])
                P[i, j] = Q[i, j] * math.exp(min(0.0, log_ratio))
        P[i, i] = 1 - P[i].sum()
    return P, np.exp(log_p - logsumexp(log_p))[:, None] * P


def gaussian_gibbs_of(x: Array, mean: Array, precision: Array, rng: np.random.Generator) -> Array:
    """The chains (B, d) after one sweep in the order of the coordinates."""
    new = np.array(x, dtype=float)
    for i in range(len(mean)):
        new[:, i] = conditional_mean(new, i, mean, precision)
        new[:, i] += rng.standard_normal(len(new)) / math.sqrt(precision[i, i])
    return new


def conditional_mean(x: Array, i: int, mean: Array, precision: Array) -> Array:
    """E[x_i | the others] of each row."""
    weights = np.delete(precision[i], i) / precision[i, i]
    away: Array = np.delete(x - mean, i, axis=1)
    return np.asarray(mean[i] - away @ weights)


def langevin_of(
    x: torch.Tensor,
    energy: Callable[[torch.Tensor], torch.Tensor],
    step_size: float,
    adjusted: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """The chains (B, d) after one step."""
    noise = torch.empty_like(x).normal_(generator=generator)
    proposal = x - step_size * gradient_of(energy, x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = x - proposal + step_size * gradient_of(energy, proposal)
    log_q = noise.square().sum(-1) / 2 - back.square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) + log_q
    uniform = torch.empty_like(log_ratio).uniform_(generator=generator)
    return torch.where((uniform < log_ratio.exp())[:, None], proposal, x)


def gradient_of(energy: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    leaf = x.detach().clone().requires_grad_(True)
    return torch.autograd.grad(energy(leaf).sum(), leaf)[0]


def effective_sample_size_of(x: Array) -> float:
    """n / τ, cut by Geyer's initial positive sequence, at most n."""
    n = len(x)
    away = np.asarray(x, dtype=np.float64) - np.mean(x, dtype=np.float64)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    tau = -1.0
    for k in range(n // 2):
        pair = rho[2 * k] + rho[2 * k + 1]
        if pair <= 0:
            break
        tau += 2 * pair
    return n / max(tau, 1.0)


Step = Callable[[Array, Array, np.random.Generator], Array]


def annealed_importance_sampling_of(
    log_base: Array, log_target: Array, betas: Array, step: Step, n: int, rng: np.random.Generator
) -> tuple[Array, float]:
    """The log-weights (n,) and the log of their mean."""
    x = rng.choice(len(log_base), n, p=np.exp(log_base))
    log_weights = np.zeros(n)
    for k in range(1, len(betas)):
        log_weights += (betas[k] - betas[k - 1]) * (log_target[x] - log_base[x])
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_weights, float(logsumexp(log_weights) - math.log(n))
