"""The deep Boltzmann machine."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from ebmkit._checks import (
    as_tensor,
    check_at_least_zero,
    check_count,
    check_shares,
    check_whole,
    takes_arrays,
)
from ebmkit.boltzmann_machines._layers import Annealed, check_layer, log_odds_of_mean, normal_weights
from ebmkit.boltzmann_machines._rbm import RBM
from ebmkit.boltzmann_machines._sums import bipartite_log_partition, bit_states, softplus
from ebmkit.chance import bits
from ebmkit.energy import EnergyModel

_ELEMENTS_AT_ONCE = 2**22


class DBM(EnergyModel):
    """Deep Boltzmann machine: layers x_0 (visible), x_1, …, x_L of bits, edges between neighbours only.

        E(x) = -Σ_l b_l·x_l - Σ_l x_l·W_l x_{l+1}
        p(x_l = 1 | rest) = σ(b_l + x_{l-1} W_{l-1} + W_l x_{l+1})

    One x holds all layers end to end, `(..., sum(sizes))`; `split` and `join` go between x and its layers,
    and `energy(x)` is the joint energy.
    Parameters `weights[l] (sizes[l], sizes[l+1])` and `biases[l] (sizes[l],)`, started as in `RBM`.
    Raises `ValueError` for fewer than two layers or an empty one. Source: Salakhutdinov & Hinton (2009).

    >>> import torch
    >>> from ebmkit import boltzmann_machines
    >>> generator = torch.Generator().manual_seed(0)
    >>> dbm = boltzmann_machines.DBM((3, 2, 2), scale=0.0, generator=generator, dtype=torch.float64)
    >>> dbm.exact_log_partition().detach()  # with all parameters 0: 7 log 2
    tensor(4.8520, dtype=torch.float64)
    """

    values = (0.0, 1.0)
    base_a: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        scale: float = 0.01,
        generator: Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(check_whole("each of sizes", n) for n in sizes) < 1:
            raise ValueError(f"a DBM needs two layers or more with a unit in each, got sizes {list(sizes)}")
        self.sizes = tuple(sizes)
        self.event_shape = (sum(sizes),)
        self.weights = nn.ParameterList(
            normal_weights(n, m, scale, dtype, device, generator=generator) for n, m in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(n, dtype=dtype, device=device) for n in sizes)
        self.register_buffer("base_a", torch.zeros(sizes[0], dtype=dtype, device=device))

    @property
    def visible_shape(self) -> tuple[int, ...]:
        """The shape of one example of the data: the visible layer alone."""
        return self.sizes[:1]

    @takes_arrays
    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """The layers of x, `(..., sum(sizes))` to one `(..., sizes[l])` for each layer.

        Raises `ValueError` unless the last axis has all units.
        """
        if x.shape[-1:] != self.event_shape:
            raise ValueError(
                f"x must end in an axis of {self.event_shape[0]} units, all layers end to end, got shape"
                f" {tuple(x.shape)}; complete(v) makes an x of visible units alone"
            )
        return torch.split(x, list(self.sizes), -1)

    def join(self, layers: Sequence[Tensor]) -> Tensor:
        """The x whose layers these are, the inverse of `split`; `ValueError` for other layers than the model's.

        The result is `(..., sum(sizes))`.
        """
        parts = tuple(as_tensor(layer, self.base_a, "a layer") for layer in layers)
        found = tuple(layer.shape[-1] if layer.dim() else 0 for layer in parts)
        if found != self.sizes:
            raise ValueError(f"layers must have sizes {self.sizes}, got {found}")
        return torch.cat(parts, -1)

    def energy(self, x: Tensor) -> Tensor:
        """The joint energy E(x) of all layers; `(..., sum(sizes))` to `(...)`.

        It is linear in each layer, so at the means of independent units it is the expected energy.
        """
        check_shares(x)
        layers = self.split(x)
        check_layer(layers[0], self.weights[0], 0, "x")
        energy: Tensor = -(layers[0] @ self.biases[0])
        for low, W, high, b in zip(layers, self.weights, layers[1:], list(self.biases)[1:]):
            energy = energy - ((low @ W + b) * high).sum(-1)
        return energy

    def conditional(self, layers: Sequence[Tensor], l: int) -> Tensor:
        """p(x_l = 1 | the other layers), of the shape of layer l; only its neighbours matter."""
        field: Tensor = self.biases[l]
        if l > 0:
            field = field + layers[l - 1] @ self.weights[l - 1]
        if l + 1 < len(self.sizes):
            field = field + layers[l + 1] @ self.weights[l].T
        return field.sigmoid()

    @takes_arrays
    @torch.no_grad()
    def gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        """Draws all odd layers given the even ones, then all even given the odd; leaves p(x) invariant.

        The result has the shape of x.
        """
        layers = list(self.split(x))
        for l in _odd_then_even(len(layers)):
            layers[l] = bits(self.conditional(layers, l), generator=generator)
        return self.join(layers)

    @torch.no_grad()
    def gibbs_step_given(self, x: Tensor, known: Tensor, *, generator: Generator) -> Tensor:
        """A `gibbs_step` of the units that are not `known` (bool, broadcast to x), given those that are.

        The result has the shape of x.
        """
        layers, held = list(self.split(x)), self.split(known.expand(x.shape))
        for l in _odd_then_even(len(layers)):
            layers[l] = torch.where(
                held[l], layers[l], bits(self.conditional(layers, l), generator=generator)
            )
        return self.join(layers)

    @takes_arrays
    @torch.no_grad()
    def mean_field(self, v: Tensor, n_steps: int = 100, tolerance: float = 1e-6) -> Tensor:
        """The hidden units' means μ under the factorised q nearest to p(h | v), as an x with v in front.

        Each step sets μ_l = p(x_l = 1 | μ of the others), odd layers and then even ones: coordinate ascent of
        the variational bound, until no mean moves by more than `tolerance`.
        `(..., sizes[0])` to `(..., sum(sizes))`.
        """
        check_layer(v, self.weights[0], 0, "v")
        check_count("n_steps", n_steps, 0)
        check_at_least_zero("tolerance", tolerance)
        layers = [v, *(v.new_full((*v.shape[:-1], n), 0.5) for n in self.sizes[1:])]
        for _ in range(n_steps):
            before = layers[1:]
            for l in _odd_then_even(len(layers)):
                if l > 0:
                    layers[l] = self.conditional(layers, l)
            moved = [(now - then).abs().amax() for now, then in zip(layers[1:], before) if now.numel()]
            if max(moved, default=v.new_zeros(())) <= tolerance:
                break
        return self.join(layers)

    @takes_arrays
    def complete(self, v: Tensor) -> Tensor:
        """The x that stands for data v while learning: its hidden units at their mean-field means.

        `(..., sizes[0])` to `(..., sum(sizes))`.
        """
        return self.mean_field(v, n_steps=25, tolerance=1e-4)

    @takes_arrays
    def mean_field_free_energy(self, v: Tensor) -> Tensor:
        """E_q[E(v, h)] - H(q) at the mean-field q, an upper bound on the free energy F(v); `(...)`."""
        x = self.mean_field(v)
        means = x[..., self.sizes[0] :]
        return self.energy(x) + (torch.xlogy(means, means) + torch.xlogy(1 - means, 1 - means)).sum(-1)

    @takes_arrays
    def variational_bound(self, v: Tensor, log_partition: Tensor | float) -> Tensor:
        """A lower bound on log p(v): -E_q[E(v, h)] + H(q) - log Z; `(..., sizes[0])` to `(...)`."""
        return -self.mean_field_free_energy(v) - log_partition

    @takes_arrays
    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log Σ_h exp(-E(v, h)), exact; `(..., sizes[0])` to `(...)`, differentiable.

        Sums the hidden layers of one parity by enumeration and the others in closed form. Raises `ValueError`
        where both have more than 16 units; `mean_field_free_energy` bounds it then.
        """
        check_layer(v, self.weights[0], 0, "v")
        odd = range(1, len(self.sizes), 2)
        even = range(2, len(self.sizes), 2)
        W, b_odd, b_even = self._block_weights(odd, even), self._block_biases(odd), self._block_biases(even)
        n_odd, n_even = W.shape
        if min(n_odd, n_even) > 16:
            raise ValueError(
                f"the exact free energy enumerates at most 16 hidden units, got {n_odd} in the odd layers and"
                f" {n_even} in the even ones; use mean_field_free_energy"
            )
        from_data = v @ self.weights[0]
        push = torch.cat([from_data, from_data.new_zeros(*v.shape[:-1], n_odd - self.sizes[1])], -1) + b_odd

        def sum_out_odd(even: Tensor) -> Tensor:
            return even @ b_even + softplus(push[..., None, :] + even @ W.T).sum(-1)

        def sum_out_even(odd: Tensor) -> Tensor:
            return push @ odd.T + softplus(b_even + odd @ W).sum(-1)

        n_summed, log_terms = (n_even, sum_out_odd) if n_even <= n_odd else (n_odd, sum_out_even)
        states = bit_states(n_summed, device=v.device).to(v.dtype)
        at_once = max(1, _ELEMENTS_AT_ONCE // max(1, push.numel()))
        parts = [torch.logsumexp(log_terms(block), -1) for block in torch.split(states, at_once)]
        visible_bias: Tensor = self.biases[0]
        return -torch.logsumexp(torch.stack(parts), 0) - v @ visible_bias

    def exact_log_partition(self) -> Tensor:
        """log Z, the layers of one parity enumerated and the others summed in closed form; a float64 scalar.

        Differentiable in the parameters. Raises `ValueError` where both parities have more than 25 units.
        """
        even, odd = range(0, len(self.sizes), 2), range(1, len(self.sizes), 2)
        return bipartite_log_partition(
            self._block_biases(odd), self._block_weights(odd, even), self._block_biases(even)
        )

    @torch.no_grad()
    def bipartite(self) -> RBM:
        """This model as an RBM: its visible units are the odd layers, its hidden units the even ones.

        The two have the same log Z, and its free energy has summed the even layers away, which is where
        annealed importance sampling does best.
        Source: Salakhutdinov & Hinton (2009), section 3.2.
        """
        even, odd = range(0, len(self.sizes), 2), range(1, len(self.sizes), 2)
        W = self._block_weights(odd, even)
        rbm = RBM(*W.shape, scale=0.0, dtype=W.dtype, device=W.device)
        for parameter, value in (
            (rbm.W, W),
            (rbm.a, self._block_biases(odd)),
            (rbm.b, self._block_biases(even)),
        ):
            parameter.copy_(value)
        rbm.base_b[: self.sizes[0]] = self.base_a
        return rbm

    @takes_arrays
    @torch.no_grad()
    def set_base_rates(self, data: Tensor) -> None:
        """Sets `base_a` to the log-odds of each pixel in `data (n, sizes[0])`, as an RBM does."""
        check_layer(data, self.weights[0], 0, "data")
        self.base_a.copy_(log_odds_of_mean(data))

    def annealed(self, beta: float) -> "Annealed":
        """`bipartite().annealed(beta)`: annealing a DBM walks over its odd layers, even ones summed out.

        This and the next three make a DBM its own annealing path; a long schedule takes `bipartite()` once.
        """
        return self.bipartite().annealed(beta)

    def base_log_partition(self) -> Tensor:
        """log Z of the model annealing starts from: Σ_i softplus(base_a_i) + n_hidden log 2; shape `()`."""
        return self.bipartite().base_log_partition()

    def sample_base(self, n: int, *, generator: Generator) -> Tensor:
        """Exact draws of the odd layers from the model annealing starts from; `(n, n_odd)`."""
        return self.bipartite().sample_base(n, generator=generator)

    def annealing_step(
        self, x: Tensor, before: float, after: float, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """`bipartite().annealing_step(...)` of odd layers x, `(..., n_odd)`."""
        return self.bipartite().annealing_step(x, before, after, generator=generator)

    def _block_weights(self, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
        blocks = [torch.cat([self._edge(r, c) for c in columns], -1) for r in rows if columns]
        height = sum(self.sizes[r] for r in rows)
        return torch.cat(blocks) if blocks else self.weights[0].new_zeros(height, 0)

    def _edge(self, l: int, m: int) -> Tensor:
        first: Tensor = self.weights[min(l, m)] if abs(l - m) == 1 else self.weights[0]
        if abs(l - m) != 1:
            return first.new_zeros(self.sizes[l], self.sizes[m])
        return first if l < m else first.T

    def _block_biases(self, layers: Sequence[int]) -> Tensor:
        biases: list[Tensor] = [self.biases[l] for l in layers]
        return torch.cat(biases) if biases else torch.zeros_like(self.biases[0][:0])


def _odd_then_even(n_layers: int) -> list[int]:
    return [*range(1, n_layers, 2), *range(0, n_layers, 2)]
