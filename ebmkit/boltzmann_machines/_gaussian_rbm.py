"""The restricted Boltzmann machine whose visible units are real."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit._checks import check_count, check_finite, takes_arrays
from ebmkit.boltzmann_machines._layers import Annealed, check_layer, declare_layers
from ebmkit.boltzmann_machines._sums import MOST_SUMMED_UNITS, log_sum_over_bits, softplus
from ebmkit.chance import bits, normal
from ebmkit.energy import EnergyModel


class GaussianRBM(EnergyModel):
    """Restricted Boltzmann machine with real visible units and bits hidden; its energy is F(v).

        E(v, h) = Σ_i (v_i - a_i)² / (2σ_i²) - b·h - (v/σ)·W h
        p(h_j = 1 | v) = σ(b_j + ((v/σ) W)_j),   v_i | h ~ N(a_i + σ_i (W h)_i, σ_i²)

    Parameters as in `RBM`, and `log_sigma (n_visible,)`, zero at first.
    Source: Welling, Rosen-Zvi & Hinton (2004); Hinton, "A practical guide" (2010), section 13.2.

    >>> import torch
    >>> from ebmkit import boltzmann_machines
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.GaussianRBM(2, 3, scale=0.0, generator=generator, dtype=torch.float64)
    >>> rbm.exact_log_partition().detach()  # with W = 0, a = b = 0 and σ = 1: log 2π + 3 log 2
    tensor(3.9173, dtype=torch.float64)
    """

    W: nn.Parameter
    a: nn.Parameter
    b: nn.Parameter
    base_a: Tensor
    base_b: Tensor

    def __init__(
        self,
        n_visible: int,
        n_hidden: int,
        *,
        scale: float = 0.01,
        generator: Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.event_shape = (n_visible,)
        declare_layers(self, n_visible, n_hidden, scale, dtype, device, generator=generator)
        self.log_sigma = nn.Parameter(torch.zeros_like(self.a.data))

    @takes_arrays
    def hidden_field(self, v: Tensor) -> Tensor:
        """b + (v/σ) W; `(..., n_visible)` to `(..., n_hidden)`."""
        check_layer(v, self.W, 0, "v")
        return functional.linear(v / self.log_sigma.exp(), self.W.T, self.b)

    def energy(self, v: Tensor) -> Tensor:
        """F(v) = Σ_i (v_i - a_i)²/(2σ_i²) - Σ_j softplus(b_j + ((v/σ) W)_j); shape `(...)`."""
        return self._quadratic(v, self.a) - softplus(self.hidden_field(v)).sum(-1)

    @takes_arrays
    def joint_energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) as above; `(..., n_visible)` and `(..., n_hidden)` to `(...)`."""
        check_layer(h, self.W, 1, "h")
        return self._quadratic(v, self.a) - (self.hidden_field(v) * h).sum(-1)

    @takes_arrays
    def hidden_probability(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v); `(..., n_visible)` to `(..., n_hidden)`."""
        return self.hidden_field(v).sigmoid()

    @takes_arrays
    def visible_mean(self, h: Tensor) -> Tensor:
        """E[v | h] = a + σ (W h); the variance is σ² whatever h; `(..., n_hidden)` to `(..., n_visible)`."""
        check_layer(h, self.W, 1, "h")
        return self.a + self.log_sigma.exp() * (h @ self.W.T)

    @takes_arrays
    @torch.no_grad()
    def sample_hidden(self, v: Tensor, *, generator: Generator) -> Tensor:
        """Draws h ~ p(h | v); `(..., n_visible)` to `(..., n_hidden)`. `ValueError` where v is not finite."""
        check_finite(v, "v")
        return self._draw_hidden(v, generator)

    @takes_arrays
    @torch.no_grad()
    def sample_visible(self, h: Tensor, *, generator: Generator) -> Tensor:
        """Draws v ~ p(v | h); `(..., n_hidden)` to `(..., n_visible)`."""
        mean = self.visible_mean(h)
        return mean + self.log_sigma.exp() * normal(mean, generator=generator)

    @takes_arrays
    def gibbs_step(self, v: Tensor, *, generator: Generator) -> Tensor:
        """One block Gibbs step v → h → v'; leaves p(v) invariant; the shape of v."""
        return self.sample_visible(self._draw_hidden(v, generator), generator=generator)

    def gibbs_step_given(self, v: Tensor, known: Tensor, *, generator: Generator) -> Tensor:
        """A `gibbs_step` of the units that are not `known` (bool, broadcast to v), given those that are.

        The result has the shape of v.
        """
        return torch.where(known, v, self.gibbs_step(v, generator=generator))

    def exact_log_partition(self) -> Tensor:
        """log Z = Σ_i log(σ_i √2π) + log Σ_h exp(b·h + (a/σ)·W h + |W h|²/2), a float64 scalar.

        Differentiable in the parameters. Raises `ValueError` with more than 25 hidden units.
        """
        n = self.W.shape[1]
        if n > MOST_SUMMED_UNITS:
            raise ValueError(
                f"the exact log Z sums over hidden units, at most {MOST_SUMMED_UNITS}, got {n};"
                ' use log_partition(model, method="ais")'
            )

        def term(h: Tensor, a: Tensor, W: Tensor, b: Tensor, log_sigma: Tensor) -> Tensor:
            push = h @ W.T
            return h @ b + push @ (a / log_sigma.exp()) + push.square().sum(-1) / 2

        parameters = [p.double() for p in (self.a, self.W, self.b, self.log_sigma)]
        return self._log_volume() + log_sum_over_bits(term, n, *parameters)

    @takes_arrays
    @torch.no_grad()
    def set_base_rates(self, data: Tensor) -> None:
        """Sets `base_a` to the mean of `data (n, n_visible)`, so that annealing starts where the data lie.

        Raises `ValueError` where there are no data, or some are not finite.
        """
        check_layer(data, self.W, 0, "data")
        if data.numel() == 0:
            raise ValueError(f"data must hold at least one row, got shape {tuple(data.shape)}")
        check_finite(data, "data")
        self.base_a.copy_(data.reshape(-1, data.shape[-1]).mean(0))

    def base_log_partition(self) -> Tensor:
        """log Z of the model annealing starts from: Σ_i log(σ_i √2π) + Σ_j softplus(base_b_j); shape `()`."""
        return self._log_volume() + softplus(self.base_b).sum()

    @torch.no_grad()
    def sample_base(self, n: int, *, generator: Generator) -> Tensor:
        """Exact draws from the model annealing starts from, N(base_a, σ²); `(n, n_visible)`."""
        check_count("n", n, 0)
        return self.base_a + self.log_sigma.exp() * normal(self.base_a.expand(n, -1), generator=generator)

    def annealed(self, beta: float) -> "Annealed":
        """p_β(v, h) ∝ exp(-Σ_i (v_i - m_i)²/(2σ_i²) + (1-β) base_b·h + β(b·h + (v/σ)·W h)).

        The mean m moves from `base_a` at `beta` 0 to `a` at 1, where p_β is this model.
        """
        return Annealed(self, beta)

    @torch.no_grad()
    def annealing_step(
        self, v: Tensor, before: float, after: float, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """The weight for moving v from β = `before` to `after`, then a Gibbs step at `after`: two products.

        Returns v' of v's shape and log p*_after(v) - log p*_before(v) of shape `(...)`.
        """
        input_ = self._input(v)
        log_weight = self._log_annealed(v, input_, after) - self._log_annealed(v, input_, before)
        return self._annealed_step(input_, after, generator), log_weight

    @torch.no_grad()
    def _draw_hidden(self, v: Tensor, generator: Generator) -> Tensor:
        return bits(self.hidden_probability(v), generator=generator)

    def _quadratic(self, v: Tensor, mean: Tensor) -> Tensor:
        check_layer(v, self.W, 0, "v")
        return ((v - mean) / self.log_sigma.exp()).square().sum(-1) / 2

    def _log_volume(self) -> Tensor:
        return self.log_sigma.double().sum() + len(self.a) * math.log(2 * math.pi) / 2

    def _input(self, v: Tensor) -> Tensor:
        check_layer(v, self.W, 0, "v")
        return (v / self.log_sigma.exp()) @ self.W

    def _log_annealed(self, v: Tensor, input_: Tensor, beta: float) -> Tensor:
        field = torch.lerp(self.base_b, self.b, beta) + beta * input_
        return softplus(field).sum(-1) - self._quadratic(v, torch.lerp(self.base_a, self.a, beta))

    def _annealed_step(self, input_: Tensor, beta: float, generator: Generator) -> Tensor:
        hidden = torch.lerp(self.base_b, self.b, beta) + beta * input_
        h = bits(hidden.sigmoid(), generator=generator)
        sigma = self.log_sigma.exp()
        mean = torch.lerp(self.base_a, self.a, beta) + beta * sigma * (h @ self.W.T)
        return mean + sigma * normal(mean, generator=generator)
