"""Weights of annealed chains: their mean in log space, its error, and how many of them count."""

import math

import torch
from torch import Tensor

from ebmkit._checks import as_tensor
from ebmkit.energy import Estimate


def log_mean_weight(log_weights: Tensor) -> Estimate:
    """log (1/n Σ_i w_i) of `(n,)` log-weights, with the jackknife's standard error.

    The error is infinite where one weight is all there is. Raises `ValueError` for fewer than two weights,
    for weights that are `nan` or infinite, and where all are zero.

    >>> import torch
    >>> from ebmkit import annealing
    >>> estimate = annealing.log_mean_weight(torch.tensor([1.0, 3.0], dtype=torch.float64).log())
    >>> estimate.value.exp()
    tensor(2., dtype=torch.float64)
    """
    log_weights = _checked_weights(log_weights)
    n = len(log_weights)
    w = (log_weights - log_weights.max()).exp()
    value = log_weights.max() + w.mean().log()
    without = ((w.sum() - w).clamp(min=0.0) / (n - 1)).log()
    variance = (n - 1) / n * ((without - without.mean()) ** 2).sum()
    return Estimate(value, torch.where(without.isfinite().all(), variance.sqrt(), math.inf))


def weight_ess(log_weights: Tensor) -> Tensor:
    """Effective number of weights (Σ w)² / Σ w², between 1 and n; shape `()`.

    >>> import torch
    >>> from ebmkit import annealing
    >>> annealing.weight_ess(torch.zeros(10, dtype=torch.float64))
    tensor(10., dtype=torch.float64)
    >>> annealing.weight_ess(torch.tensor([0.0, -1e9], dtype=torch.float64))
    tensor(1., dtype=torch.float64)
    """
    log_weights = _checked_weights(log_weights)
    w = (log_weights - log_weights.max()).exp()
    return w.sum() ** 2 / (w**2).sum()


def _checked_weights(log_weights: Tensor) -> Tensor:
    log_weights = as_tensor(log_weights, name="log_weights")
    if log_weights.dim() != 1 or len(log_weights) < 2:
        raise ValueError(f"log_weights must have shape (n,) with n ≥ 2, got {tuple(log_weights.shape)}")
    bad = log_weights.isnan() | (log_weights == math.inf)
    if bool(bad.any()):
        raise ValueError(
            f"log-weights must not be nan or inf, got {log_weights[bad][0].item()} in {int(bad.sum())} of "
            f"{len(log_weights)} chains; an energy along the path is not finite"
        )
    if bool((log_weights == -math.inf).all()):
        raise ValueError("every weight is zero; the base never reaches where the model has mass")
    return log_weights.double()
