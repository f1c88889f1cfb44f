"""Small models with known answers that the tests of samplers and of log Z share."""

import math

import torch
from torch import Tensor

from ebmkit.energy import EnergyModel


class Table(EnergyModel):
    """Any distribution over a few states: a random energy for each, no structure to help a sampler."""

    def __init__(self, event_shape: tuple[int, ...], values: tuple[float, ...], seed: int = 0) -> None:
        super().__init__()
        self.event_shape, self.values = event_shape, values
        generator = torch.Generator().manual_seed(seed)
        n_states = len(values) ** math.prod(event_shape)
        self.table = 1.5 * torch.randn(n_states, generator=generator, dtype=torch.float64)

    def energy(self, x: Tensor) -> Tensor:
        flat = x.reshape(*x.shape[: x.dim() - len(self.event_shape)], -1)
        digits = (flat[..., None] == torch.tensor(self.values, dtype=x.dtype)).long().argmax(-1)
        powers = len(self.values) ** torch.arange(flat.shape[-1])
        return self.table[(digits * powers).sum(-1)]


class Boltzmann(EnergyModel):
    """A fully connected machine of spins, E(s) = -½ sᵀJs - h·s, with random couplings and fields."""

    values = (-1.0, 1.0)

    def __init__(self, n: int, seed: int = 0, scale: float = 0.5) -> None:
        super().__init__()
        self.event_shape = (n,)
        generator = torch.Generator().manual_seed(seed)
        upper = torch.randn(n, n, generator=generator, dtype=torch.float64).triu(1)
        self.J = torch.nn.Parameter(scale * (upper + upper.T))
        self.h = torch.nn.Parameter(0.3 * torch.randn(n, generator=generator, dtype=torch.float64))

    def energy(self, x: Tensor) -> Tensor:
        return -0.5 * ((x @ self.J.to(x.dtype)) * x).sum(-1) - x @ self.h.to(x.dtype)


class BlockGibbsPair(Boltzmann):
    """Two spins that bring their own Gibbs step."""

    def __init__(self) -> None:
        super().__init__(2)

    def gibbs_step(self, x: Tensor, generator: torch.Generator) -> Tensor:
        from ebmkit import chance

        for i, j in ((0, 1), (1, 0)):
            up = torch.sigmoid(2 * (self.J[i, j] * x[..., j] + self.h[i]))
            spin = 2.0 * chance.bernoulli(up, generator=generator).to(x.dtype) - 1
            x = torch.stack([spin, x[..., j]] if i == 0 else [x[..., j], spin], -1)
        return x


class Gaussian(EnergyModel):
    """E(x) = ½ (x - mean)ᵀ Λ (x - mean); log Z = ½ log det(2π Λ⁻¹)."""

    def __init__(self, mean: Tensor, precision: Tensor) -> None:
        super().__init__()
        self.event_shape = (len(mean),)
        self.mean, self.precision = torch.nn.Parameter(mean), torch.nn.Parameter(precision)

    def energy(self, x: Tensor) -> Tensor:
        centred = x - self.mean.to(x.dtype)
        return 0.5 * ((centred @ self.precision.to(x.dtype)) * centred).sum(-1)

    def exact_log_partition(self) -> Tensor:
        return 0.5 * (len(self.mean) * math.log(2 * math.pi) - torch.logdet(self.precision)).detach()

    def sample(self, sample_shape: int | tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        shape = sample_shape if isinstance(sample_shape, tuple) else (sample_shape,)
        noise = self.mean.new_empty(*shape, len(self.mean)).normal_(generator=generator)
        factor = torch.linalg.cholesky(torch.linalg.inv(self.precision))
        return (self.mean + noise @ factor.T).detach()


def correlated_gaussian() -> Gaussian:
    """Two dimensions, means 1 and -2, variances 1 and 2, correlation about 0.57."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 2.0]], dtype=torch.float64)
    return Gaussian(torch.tensor([1.0, -2.0], dtype=torch.float64), torch.linalg.inv(covariance))


class Quartic(EnergyModel):
    """A lopsided double well on the line, E(x) = x⁴/4 - x²/2 + x/4; no sampler is exact on it by accident."""

    event_shape = ()

    def energy(self, x: Tensor) -> Tensor:
        return x**4 / 4 - x**2 / 2 + x / 4
