"""The Gaussian of several variables, by its precision matrix."""

import math

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import (
    SampleShape,
    check_count,
    is_definite,
)
from ebmkit.exponential_families._family import ExponentialFamily, expanded, real


class MultivariateGaussian(ExponentialFamily):
    """x in R^D: θ·t(x) = ηᵀx - ½ xᵀΛx, A = ½ ηᵀΛ⁻¹η + ½ log det 2πΛ⁻¹, with precision Λ and η = Λ m.

    t(x) is x, then x_i x_j for i ≤ j row by row; θ is η, then -½Λ_ii and -Λ_ij: no entry twice, so that θ is
    unique. K = D + D(D+1)/2.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> family = exponential_families.MultivariateGaussian(2)
    >>> theta = family.natural(torch.zeros(2), torch.eye(2))
    >>> family.log_prob(torch.zeros(2), theta)  # -log 2π
    tensor(-1.8379)
    """

    natural_domain = "the precision matrix in θ must be positive definite"
    mean_domain = "the covariance in μ must be positive definite (more data than dimensions are needed)"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension = check_count("the dimension", dimension, 1)
        self.event_shape = (dimension,)
        self.n_parameters = dimension + dimension * (dimension + 1) // 2

    def natural(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """θ from m, `(..., D)`, and the covariance, `(..., D, D)`; `ValueError` unless that is definite."""
        if not bool(is_definite(covariance).all()):
            raise ValueError("covariance must be symmetric positive definite")
        precision = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
        eta = (precision @ mean.unsqueeze(-1)).squeeze(-1)
        diagonal = torch.diag_embed(precision.diagonal(dim1=-2, dim2=-1))
        return self._pack(eta, 0.5 * diagonal - precision)

    def standard(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean `(..., D)` and covariance `(..., D, D)`."""
        eta, precision = self._unpack(theta)
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        return (covariance @ eta.unsqueeze(-1)).squeeze(-1), covariance

    def sufficient_statistics(self, x: Tensor) -> Tensor:
        x = real(x)
        return self._pack(x, x.unsqueeze(-1) * x.unsqueeze(-2))

    def log_partition(self, theta: Tensor) -> Tensor:
        eta, precision = self._unpack(theta)
        factor, info = torch.linalg.cholesky_ex(precision)
        half: Tensor = torch.linalg.solve_triangular(factor, eta.unsqueeze(-1), upper=False).squeeze(-1)
        log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        value = 0.5 * ((half**2).sum(-1) + self.dimension * math.log(2 * math.pi) - log_det)
        return torch.where(info == 0, value, torch.full_like(value, math.inf))

    def natural_parameters(self, mean: Tensor) -> Tensor:
        self._check_mean(mean)
        return self.natural(mean[..., : self.dimension], self._covariance(mean))

    def _log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        """-½ |Lᵀ(x - m)|² + log det L - ½ D log 2π with Λ = L Lᵀ: θ·t(x) and A(θ) would cancel far from 0."""
        _, precision = self._unpack(theta)
        mean, _ = self.standard(theta)
        factor: Tensor = torch.linalg.cholesky(precision)
        inside = self.in_support(x)
        distance = torch.where(inside.unsqueeze(-1), real(x), torch.zeros_like(real(x))) - mean
        square = ((factor.mT @ distance.unsqueeze(-1)).squeeze(-1) ** 2).sum(-1)
        value = _half_log_det(factor) - 0.5 * (square + self.dimension * math.log(2 * math.pi))
        return torch.where(inside, value, -math.inf)

    def _divergence(self, theta: Tensor, other: Tensor) -> Tensor:
        """½ (tr Λ'Σ - D - log det Λ'Σ + (m - m')ᵀ Λ' (m - m'))."""
        (mean, covariance), (mean_, _) = self.standard(theta), self.standard(other)
        factor_: Tensor = torch.linalg.cholesky(self._unpack(other)[1])
        factor: Tensor = torch.linalg.cholesky(covariance)
        spread = ((factor_.mT @ factor) ** 2).sum((-1, -2)) - self.dimension
        shift = ((factor_.mT @ (mean - mean_).unsqueeze(-1)).squeeze(-1) ** 2).sum(-1)
        return 0.5 * (spread + shift) - _half_log_det(factor) - _half_log_det(factor_)

    def _fit(self, x: Tensor) -> Tensor:
        """Mean and covariance in two passes: E[xxᵀ] - E[x]E[x]ᵀ would cancel."""
        x = real(x)
        mean = x.mean(0)
        centred = x - mean
        covariance = (centred.unsqueeze(-1) * centred.unsqueeze(-2)).mean(0)
        smallest: Tensor = torch.linalg.eigvalsh(covariance)[..., 0]
        size = covariance.diagonal(dim1=-2, dim2=-1).sum(-1) + torch.finfo(x.dtype).eps * (mean**2).sum(-1)
        if not bool((smallest > 4 * torch.finfo(x.dtype).eps * size).all()):
            raise ValueError(f"{type(self).__name__}: {self.mean_domain}, got {covariance.tolist()}")
        return self.natural(mean, covariance)

    def in_natural_domain(self, theta: Tensor) -> Tensor:
        return theta.isfinite().all(-1) & is_definite(self._unpack(theta)[1])

    def in_mean_domain(self, mean: Tensor) -> Tensor:
        second = self._symmetric(mean)
        smallest: Tensor = torch.linalg.eigvalsh(self._covariance(mean).nan_to_num())[..., 0]
        resolution = 4 * torch.finfo(mean.dtype).eps * second.diagonal(dim1=-2, dim2=-1).sum(-1).abs()
        return mean.isfinite().all(-1) & (smallest > resolution)

    def in_support(self, x: Tensor) -> Tensor:
        return x.isfinite().all(-1)

    def sample(self, theta: Tensor, sample_shape: SampleShape = (), *, generator: Generator) -> Tensor:
        mean, covariance = self.standard(expanded(self, theta, sample_shape))
        factor: Tensor = torch.linalg.cholesky(covariance)
        return mean + (factor @ chance.normal(mean, generator=generator).unsqueeze(-1)).squeeze(-1)

    def _upper(self, like: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = torch.triu_indices(self.dimension, self.dimension, device=like.device)
        return rows, columns

    def _pack(self, vector: Tensor, matrix: Tensor) -> Tensor:
        rows, columns = self._upper(vector)
        return torch.cat([vector, matrix[..., rows, columns]], -1)

    def _symmetric(self, packed: Tensor) -> Tensor:
        """The symmetric matrix whose upper triangle follows the first D entries."""
        rows, columns = self._upper(packed)
        position = torch.empty(self.dimension, self.dimension, dtype=torch.int64, device=packed.device)
        position[rows, columns] = torch.arange(self.dimension, self.n_parameters, device=packed.device)
        position[columns, rows] = position[rows, columns]
        return packed[..., position]

    def _unpack(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """η and Λ."""
        matrix = self._symmetric(theta)
        return theta[..., : self.dimension], -matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))

    def _covariance(self, mean: Tensor) -> Tensor:
        m = mean[..., : self.dimension]
        return self._symmetric(mean) - m.unsqueeze(-1) * m.unsqueeze(-2)


def _half_log_det(factor: Tensor) -> Tensor:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
