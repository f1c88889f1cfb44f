"""Volumes known in closed form, and sums of exponentials that do not overflow."""

import math

import torch
from torch import Tensor

from ebmkit._checks import (
    as_tensor,
    check_positive,
    is_definite,
)


def gaussian_log_partition(scale: Tensor) -> Tensor:
    """log ∫ exp(-(x - μ)² / 2σ²) dx = ½ log 2πσ², elementwise in the standard deviation `scale` > 0.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.gaussian_log_partition(torch.tensor(1.0))  # ½ log 2π
    tensor(0.9189)
    """
    scale = as_tensor(scale, name="scale")
    check_positive("scale", scale)
    return 0.5 * math.log(2 * math.pi) + scale.log()


def multivariate_gaussian_log_partition(precision: Tensor) -> Tensor:
    """log ∫ exp(-½ (x - μ)ᵀ Λ (x - μ)) dx = ½ (D log 2π - log det Λ), with Λ `(..., D, D)`; returns `(...)`.

    Raises `ValueError` where Λ is not symmetric and positive definite.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.multivariate_gaussian_log_partition(torch.eye(2))  # log 2π
    tensor(1.8379)
    """
    precision = as_tensor(precision, name="precision")
    if precision.dim() < 2 or precision.shape[-1] != precision.shape[-2] or 0 in precision.shape[-2:]:
        raise ValueError(f"precision must have shape (..., D, D), got {tuple(precision.shape)}")
    wrong = ~is_definite(precision)
    if bool(wrong.any()):
        raise ValueError(
            f"precision must be symmetric and positive definite, got {precision[wrong][0].tolist()}; if only the "
            "symmetry is missing, use (precision + precision.mT) / 2"
        )
    factor = torch.linalg.cholesky(precision)
    log_det: Tensor = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * (precision.shape[-1] * math.log(2 * math.pi) - log_det)


def exponential_log_partition(rate: Tensor) -> Tensor:
    """log ∫_0^∞ exp(-λx) dx = -log λ, elementwise in the `rate` λ > 0.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.exponential_log_partition(torch.tensor(2.0))  # -log 2
    tensor(-0.6931)
    """
    rate = as_tensor(rate, name="rate")
    check_positive("rate", rate)
    return -rate.log()


def log_sum_exp(x: Tensor, dim: int | tuple[int, ...] = -1, keepdim: bool = False) -> Tensor:
    """log Σ exp(x) over `dim` without overflow: m + log Σ exp(x - m) with m = max x.

    -∞ stands for a probability of zero and may fill the whole sum (the result is -∞).
    Raises `ValueError` where `dim` is empty.

    The result has the shape of x without the axes `dim`.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.log_sum_exp(torch.tensor([1000.0, 1000.0]))  # 1000 + log 2
    tensor(1000.6932)
    """
    x = as_tensor(x)
    dims = (dim,) if isinstance(dim, int) else dim
    if any(x.shape[d] == 0 for d in dims):
        raise ValueError(f"log_sum_exp needs at least one term along dim {dim}, got shape {tuple(x.shape)}")
    largest = x.detach().amax(dims, keepdim=True)
    largest = torch.where(largest.isfinite(), largest, torch.zeros_like(largest))
    total = (x - largest).exp().sum(dims, keepdim=True)
    nothing = total == 0  # whose logarithm has an infinite slope, although no term can change it
    total = torch.where(nothing, -math.inf, torch.where(nothing, 1.0, total).log() + largest)
    return total if keepdim else torch.squeeze(total, dims)
