"""The restricted Boltzmann machine over bits."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit._checks import check_count, check_finite, check_shares, takes_arrays
from ebmkit.boltzmann_machines._backend import RBMBackend
from ebmkit.boltzmann_machines._layers import Annealed, check_layer, declare_layers, log_odds_of_mean
from ebmkit.boltzmann_machines._sums import bipartite_log_partition, bit_states, product_of_bits, softplus
from ebmkit.chance import bits, logistic_bits
from ebmkit.energy import EnergyModel

_LEARNED_BY = (
    "energy",
    "hidden_field",
    "hidden_probability",
    "sample_hidden",
    "sample_visible",
    "_draw_hidden",
    "_draw_visible",
    "gibbs_step",
    "_input",
)


class RBM(EnergyModel):
    """Restricted Boltzmann machine over bits; its energy is the free energy F(v), so p(v) = exp(-F(v)) / Z.

        E(v, h) = -a·v - b·h - v·W h,   p(h_j = 1 | v) = σ(b_j + (v W)_j),   p(v_i = 1 | h) = σ(a_i + (W h)_i)

    Parameters `W (n_visible, n_hidden)`, `a (n_visible,)`, `b (n_hidden,)`; W starts at `scale` times
    standard normal draws (from `generator`, else from torch's own), the biases at zero.
    The buffers `base_a` and `base_b` are the biases of the model without edges that annealing starts from.
    Raises `ValueError` for a layer without units. Source: Smolensky (1986); Hinton (2002).

    >>> import torch
    >>> from ebmkit import boltzmann_machines, enumeration
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator, dtype=torch.float64)
    >>> v = rbm.gibbs_step(torch.zeros(5, 3, dtype=torch.float64), generator=generator)
    >>> v.shape, rbm.energy(v).shape
    (torch.Size([5, 3]), torch.Size([5]))
    >>> bool((rbm.exact_log_partition() - enumeration.log_partition(rbm)).abs() < 1e-12)
    True
    """

    values = (0.0, 1.0)
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

    @takes_arrays
    def hidden_field(self, v: Tensor) -> Tensor:
        """b + v W, the log-odds of the hidden units; `(..., n_visible)` to `(..., n_hidden)`."""
        check_layer(v, self.W, 0, "v")
        return functional.linear(v, self.W.T, self.b)

    @takes_arrays
    def visible_field(self, h: Tensor) -> Tensor:
        """a + W h, the log-odds of the visible units; `(..., n_hidden)` to `(..., n_visible)`."""
        check_layer(h, self.W, 1, "h")
        return functional.linear(h, self.W, self.a)

    def energy(self, v: Tensor) -> Tensor:
        """The free energy F(v) = -a·v - Σ_j softplus(b_j + (v W)_j); `(..., n_visible)` to `(...)`.

        Raises `ValueError` where v leaves [0, 1] or is nan.
        """
        check_shares(v, "v")
        return -softplus(self.hidden_field(v)).sum(-1) - v @ self.a

    @takes_arrays
    def joint_energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) = -a·v - b·h - v·W h; `(..., n_visible)` and `(..., n_hidden)` to `(...)`."""
        check_layer(h, self.W, 1, "h")
        return -(self.hidden_field(v) * h).sum(-1) - v @ self.a

    @takes_arrays
    def hidden_probability(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v) for every j; `(..., n_visible)` to `(..., n_hidden)`."""
        return self.hidden_field(v).sigmoid_()

    @takes_arrays
    def visible_probability(self, h: Tensor) -> Tensor:
        """p(v_i = 1 | h) for every i; `(..., n_hidden)` to `(..., n_visible)`."""
        return self.visible_field(h).sigmoid_()

    @takes_arrays
    @torch.no_grad()
    def sample_hidden(self, v: Tensor, *, generator: Generator) -> Tensor:
        """Draws h ~ p(h | v); `(..., n_visible)` to `(..., n_hidden)`. `ValueError` where v is not finite."""
        check_finite(v, "v")
        return self._draw_hidden(v, generator)

    @takes_arrays
    @torch.no_grad()
    def sample_visible(self, h: Tensor, *, generator: Generator) -> Tensor:
        """Draws v ~ p(v | h); `(..., n_hidden)` to `(..., n_visible)`. `ValueError` where h is not finite."""
        check_finite(h, "h")
        return self._draw_visible(h, generator)

    @torch.no_grad()
    def _draw_hidden(self, v: Tensor, generator: Generator) -> Tensor:
        return logistic_bits(self._input(v), self.b, generator=generator)

    @torch.no_grad()
    def _draw_visible(self, h: Tensor, generator: Generator) -> Tensor:
        check_layer(h, self.W, 1, "h")
        return logistic_bits(h @ self.W.T, self.a, generator=generator)

    @takes_arrays
    def gibbs_step(self, v: Tensor, *, generator: Generator) -> Tensor:
        """One block Gibbs step v → h → v'; leaves p(v) invariant and is reversible; the shape of v."""
        return self._draw_visible(self._draw_hidden(v, generator), generator)

    def gibbs_step_given(self, v: Tensor, known: Tensor, *, generator: Generator) -> Tensor:
        """A `gibbs_step` of the units that are not `known` (bool, broadcast to v), given those that are.

        The result has the shape of v.
        """
        return torch.where(known, v, self.gibbs_step(v, generator=generator))

    def transition_matrix(self) -> Tensor:
        """P[v, v'] = Σ_h p(h | v) p(v' | h) of `gibbs_step` over `bit_states(n_visible)`, float64.

        Raises `ValueError` with more than 12 units in a layer.

        The shape is `(2^n_visible, 2^n_visible)`.
        """
        if max(self.W.shape) > 12:
            raise ValueError(
                f"a transition matrix of {self.W.shape[0]} visible and {self.W.shape[1]} hidden units is too"
                " large; use at most 12 in each layer"
            )
        a, W, b = (p.detach().double() for p in (self.a, self.W, self.b))
        v, h = (bit_states(n, device=W.device) for n in W.shape)
        return product_of_bits(b + v @ W, h) @ product_of_bits(a + h @ W.T, v)

    def exact_log_partition(self) -> Tensor:
        """log Z = log Σ_h e^{b·h} Π_i (1 + e^{a_i + (W h)_i}), or the same over v where that side is smaller.

        A float64 scalar, differentiable in the parameters; memory does not grow with the number of units.
        Raises `ValueError` where both layers have more than 25 units.
        """
        return bipartite_log_partition(self.a, self.W, self.b)

    @takes_arrays
    @torch.no_grad()
    def set_base_rates(self, data: Tensor) -> None:
        """Sets `base_a` to the log-odds of each pixel in `data (n, n_visible)`, plus one on and one off.

        Annealing then starts from the best model without hidden units. Raises `ValueError` where there are no data
        or some leave [0, 1]. Source: Salakhutdinov & Murray (2008).
        """
        check_layer(data, self.W, 0, "data")
        self.base_a.copy_(log_odds_of_mean(data))

    def base_log_partition(self) -> Tensor:
        """log Z of the model annealing starts from: Σ_i softplus(base_a_i) + Σ_j softplus(base_b_j).

        The shape is `()`.
        """
        return softplus(self.base_a).sum() + softplus(self.base_b).sum()

    def sample_base(self, n: int, *, generator: Generator) -> Tensor:
        """Exact draws from the model annealing starts from; `(n, n_visible)`."""
        check_count("n", n, 0)
        return bits(self.base_a.sigmoid().expand(n, -1), generator=generator)

    def annealed(self, beta: float) -> "Annealed":
        """The model part of the way from the base-rate model (`beta` 0) to this one (`beta` 1).

        p_β(v, h) ∝ exp((1-β)(base_a·v + base_b·h) - β E(v, h)). Source: Salakhutdinov & Murray (2008).
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
        here, there = self._annealed_field(input_, before), self._annealed_field(input_, after)
        from_hidden = softplus(there).sub_(softplus(here)).sum(-1)
        log_weight = from_hidden + (after - before) * (v @ (self.a - self.base_a))
        return self._annealed_draw(there, after, generator), log_weight

    def backend(self) -> RBMBackend | None:
        """What `contrastive_divergence` learns with instead of autograd; None where a subclass differs.

        Its products follow from E(v, h): a subclass that brings another of these methods, or other parameters, is
        learned as any energy is.
        """
        ours = all(getattr(type(self), name) is getattr(RBM, name) for name in _LEARNED_BY)
        alike = {name for name, _ in self.named_parameters()} == {"W", "a", "b"}
        return RBMBackend(self) if ours and alike else None

    def _input(self, v: Tensor) -> Tensor:
        check_layer(v, self.W, 0, "v")
        return v @ self.W

    def _annealed_field(self, input_: Tensor, beta: float) -> Tensor:
        return torch.add(torch.lerp(self.base_b, self.b, beta), input_, alpha=beta)

    def _log_annealed(self, v: Tensor, input_: Tensor, beta: float) -> Tensor:
        field = self._annealed_field(input_, beta)
        return softplus(field).sum(-1) + v @ torch.lerp(self.base_a, self.a, beta)

    def _annealed_step(self, input_: Tensor, beta: float, generator: Generator) -> Tensor:
        return self._annealed_draw(self._annealed_field(input_, beta), beta, generator)

    def _annealed_draw(self, hidden: Tensor, beta: float, generator: Generator) -> Tensor:
        h = bits(hidden.sigmoid(), generator=generator)
        visible = torch.add(torch.lerp(self.base_a, self.a, beta), h @ self.W.T, alpha=beta)
        return bits(visible.sigmoid_(), generator=generator)
