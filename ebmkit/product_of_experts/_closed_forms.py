"""Products and mixtures whose normalizers are known."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import as_tensor, check_finite, is_definite
from ebmkit.normalization import log_sum_exp


class GaussianProduct(NamedTuple):
    """Π_m N(x; μ_m, Σ_m)^w_m = Z N(x; mean, covariance), with `log_partition` = log Z.

    `covariance` is the variance where x is a number.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> both = product_of_experts.product_of_gaussians(torch.tensor([0.0, 2.0]), torch.ones(2))
    >>> both.mean, both.covariance
    (tensor(1.0000), tensor(0.5000))
    """

    mean: Tensor
    covariance: Tensor
    log_partition: Tensor


def product_of_gaussians(means: Tensor, variances: Tensor, weights: Tensor | None = None) -> GaussianProduct:
    """The product of M Gaussians of one variable: precisions add, and weigh the means.

        λ = Σ_m w_m / v_m,   μ = λ⁻¹ Σ_m w_m μ_m / v_m

    `means`, `variances` and `weights` are `(..., M)`; the results `(...)`. Raises `ValueError` where a variance
    is not positive or the precisions (with weights below zero) do not add to a positive one.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> both = product_of_experts.product_of_gaussians(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
    >>> both.mean, both.covariance
    (tensor(1.0000), tensor(0.5000))
    """
    means, variances = as_tensor(means, name="means"), as_tensor(variances, name="variances")
    if means.shape[-1:] != variances.shape[-1:]:
        raise ValueError(
            f"means and variances must end in the same number of experts, got {tuple(means.shape)} and "
            f"{tuple(variances.shape)}"
        )
    covariances = variances[..., None, None]
    mean, covariance, log_partition = product_of_multivariate_gaussians(
        means[..., None], covariances, weights
    )
    return GaussianProduct(mean.squeeze(-1), covariance[..., 0, 0], log_partition)


def product_of_multivariate_gaussians(
    means: Tensor, covariances: Tensor, weights: Tensor | None = None
) -> GaussianProduct:
    """The product of M Gaussians in D dimensions.

        Λ = Σ_m w_m Λ_m,   μ = Λ⁻¹ Σ_m w_m Λ_m μ_m,   Λ_m = Σ_m⁻¹
        log Z = Σ_m w_m log N(μ; μ_m, Σ_m) + ½ log det 2πΛ⁻¹

    `means` `(..., M, D)`, `covariances` `(..., M, D, D)`, `weights` `(..., M)`; the results `(..., D)`,
    `(..., D, D)` and `(...)`. Raises `ValueError` as `product_of_gaussians`. Source: Hinton (2002).

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> means, covariances = torch.tensor([[0.0, 0.0], [2.0, 4.0]]), torch.eye(2).expand(2, 2, 2)
    >>> product_of_experts.product_of_multivariate_gaussians(means, covariances).mean
    tensor([1.0000, 2.0000])
    """
    means, covariances = as_tensor(means, name="means"), as_tensor(covariances, name="covariances")
    if means.dim() < 2 or means.shape[-2] == 0 or covariances.shape[-2:] != (means.shape[-1],) * 2:
        raise ValueError(
            "means must be (..., M, D) with M ≥ 1 and covariances (..., M, D, D), "
            f"got {tuple(means.shape)} and {tuple(covariances.shape)}"
        )
    check_finite(means, "means")
    w = _weights(weights, means[..., 0])
    check_finite(w, "weights")
    wrong = ~is_definite(covariances)
    if bool(wrong.any()):
        raise ValueError(
            "every variance or covariance must be symmetric and positive definite, got "
            f"{covariances[wrong].flatten()[:4].tolist()}"
        )
    factors: Tensor = torch.linalg.cholesky(covariances)
    precisions = w[..., None, None] * torch.cholesky_inverse(factors)
    precision = cholesky(precisions.sum(-3), "the weighted precisions must add to a positive definite one")
    covariance = torch.cholesky_inverse(precision)
    mean = (covariance @ (precisions @ means.unsqueeze(-1)).sum(-3)).squeeze(-1)
    distance = means - mean.unsqueeze(-2)
    spread = (distance * (precisions @ distance.unsqueeze(-1)).squeeze(-1)).sum((-1, -2))
    constant = means.shape[-1] * math.log(2 * math.pi)
    heights = (w * (-_half_log_det(factors) - 0.5 * constant)).sum(-1)
    return GaussianProduct(
        mean, covariance, heights - 0.5 * spread + 0.5 * constant - _half_log_det(precision)
    )


class CategoricalProduct(NamedTuple):
    """Π_m p_m(k)^w_m = Z p(k), with `log_prob` = log p, `(..., K)`, and `log_partition` = log Z, `(...)`.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> half = torch.full((2, 2), 0.5, dtype=torch.float64).log()
    >>> product_of_experts.product_of_categoricals(half).log_prob.exp()
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    log_prob: Tensor
    log_partition: Tensor


def product_of_categoricals(log_probs: Tensor, weights: Tensor | None = None) -> CategoricalProduct:
    """The product of M categoricals, exactly: multiply, then divide by the sum over K categories.

    `log_probs` `(..., M, K)`, -∞ for probability zero; `weights` `(..., M)`, not below zero. Raises `ValueError`
    where no category is allowed by all experts.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> sure = torch.tensor([[0.9, 0.1], [0.9, 0.1]], dtype=torch.float64).log()
    >>> product_of_experts.product_of_categoricals(sure).log_prob.exp()
    tensor([0.9878, 0.0122], dtype=torch.float64)
    """
    log_probs = _log_probs(log_probs)
    w = _weights(weights, log_probs[..., 0])
    if not bool((w >= 0).all() & w.isfinite().all()):
        raise ValueError(f"weights must be finite and not negative, got {w.flatten()[:4].tolist()}")
    off = (w == 0).unsqueeze(-1)
    total = torch.where(off, torch.zeros_like(log_probs), w.unsqueeze(-1) * log_probs).sum(-2)
    log_partition = log_sum_exp(total)
    if bool((log_partition == -math.inf).any()):
        raise ValueError("no category is allowed by every expert, so the product cannot be normalized")
    return CategoricalProduct(total - log_partition.unsqueeze(-1), log_partition)


def mixture_of_categoricals(log_probs: Tensor, weights: Tensor | None = None) -> Tensor:
    """log Σ_m w_m p_m(k), `(..., K)`, with `log_probs` `(..., M, K)`; weights are divided by their sum.

    Raises `ValueError` for weights below 0, or all 0.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> both = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64).log()
    >>> product_of_experts.mixture_of_categoricals(both).exp()
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    log_probs = _log_probs(log_probs)
    w = _weights(weights, log_probs[..., 0])
    if not bool((w >= 0).all() & (w.sum(-1) > 0).all() & w.isfinite().all()):
        raise ValueError(f"weights must not be negative nor all zero, got {w.flatten()[:4].tolist()}")
    return log_sum_exp(log_probs + (w / w.sum(-1, keepdim=True)).log().unsqueeze(-1), -2)


def _weights(weights: Tensor | None, like: Tensor) -> Tensor:
    """The weights `(..., M)` in the dtype of `like`, or as many ones; raises for another number of experts."""
    if weights is None:
        return torch.ones_like(like)
    w = as_tensor(weights, name="weights").to(like)
    if w.dim() == 0 or w.shape[-1] != like.shape[-1]:
        raise ValueError(
            f"weights must be (..., {like.shape[-1]}), one for each expert, got {tuple(w.shape)}"
        )
    return w


def _log_probs(log_probs: Tensor) -> Tensor:
    """What is given as a tensor `(..., M, K)`; raises where it is not that, and where a number is nan or +∞."""
    log_probs = as_tensor(log_probs, name="log_probs")
    if log_probs.dim() < 2 or 0 in log_probs.shape[-2:]:
        raise ValueError(f"log_probs must be (..., M, K), neither empty, got {tuple(log_probs.shape)}")
    if bool((log_probs.isnan() | (log_probs == math.inf)).any()):
        raise ValueError("log_probs must be numbers or -inf, got nan or inf")
    return log_probs


def cholesky(matrix: Tensor, requirement: str) -> Tensor:
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(matrix)
    if bool((info != 0).any()) or not bool(matrix.isfinite().all()):
        raise ValueError(
            f"{requirement}, got {matrix[info != 0].flatten()[:4].tolist() or matrix.flatten()[:4]}"
        )
    return factor


def _half_log_det(factor: Tensor) -> Tensor:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
