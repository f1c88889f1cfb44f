"""Densities that are normalized because each coordinate has a normalized conditional."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit import chance
from ebmkit._checks import SampleShape, as_shape, as_tensor, check_bits, check_count, check_event
from ebmkit.energy import EnergyModel


class AutoregressiveBernoulli(EnergyModel):
    """A product of logistic conditionals over bits, normalized for any parameters (Z = 1).

        p(x) = Π_i p(x_i | x_1 … x_{i-1}),   p(x_i = 1 | x_{<i}) = σ(b_i + Σ_{j<i} W_ij x_j)

    `x` has shape `(..., n)` with values 0 and 1. Source: Frey, Hinton & Dayan (1996), logistic belief nets.

    >>> import torch
    >>> from ebmkit import enumeration, normalization
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = normalization.AutoregressiveBernoulli(3, generator=generator)
    >>> bool(enumeration.log_partition(model).abs() < 1e-12)  # normalized
    True
    """

    values = (0.0, 1.0)

    def __init__(
        self, n: int, scale: float = 0.1, dtype: torch.dtype = torch.float64, *, generator: Generator
    ) -> None:
        super().__init__()
        check_count("n", n, 1)
        self.event_shape = (n,)
        self.weight = nn.Parameter(scale * chance.normal(torch.empty(n, n, dtype=dtype), generator=generator))
        self.bias = nn.Parameter(torch.zeros(n, dtype=dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exact; `(..., n)` to `(...)`. Raises `ValueError` where x is not made of bits."""
        check_event(x, self.event_shape, like=self.weight)
        check_bits(x)
        logits = x @ self.weight.tril(-1).T + self.bias
        return bernoulli_log_prob(x, logits).sum(-1)

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x): a normalized model is an energy with Z = 1. `(..., *event_shape)` to `(...)`."""
        return -self.log_prob(x)

    def exact_log_partition(self) -> Tensor:
        """log Z = 0, whatever the parameters; shape `()`."""
        return torch.zeros((), dtype=self.bias.dtype, device=self.bias.device)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact, independent samples `(*sample_shape, n)`, one coordinate after the other."""
        x = torch.zeros(
            *as_shape(sample_shape), *self.event_shape, dtype=self.bias.dtype, device=self.bias.device
        )
        weight = self.weight.tril(-1)
        for i in range(self.event_shape[0]):
            probability = torch.sigmoid(x @ weight[i] + self.bias[i])
            x[..., i] = chance.bernoulli(probability, generator=generator).to(x)
        return x


def bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) of bits with P(x = 1) = σ(logits), elementwise and without overflow.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.bernoulli_log_prob(torch.tensor(1.0), torch.tensor(0.0))  # -log 2
    tensor(-0.6931)
    """
    logits = as_tensor(logits, name="logits")
    x = as_tensor(x, logits)
    return -functional.binary_cross_entropy_with_logits(logits, x.to(logits), reduction="none")
