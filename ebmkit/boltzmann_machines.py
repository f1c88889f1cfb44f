"""Boltzmann machines: layers of units with no edge inside a layer, so that a whole layer is drawn at once.

    E(v, h) = -a·v - b·h - v·W h,   F(v) = -log Σ_h exp(-E(v, h)) = -a·v - Σ_j softplus(b_j + (v W)_j)

Source: lecture 11, "Restricted and deep Boltzmann machines"; Salakhutdinov & Hinton (AISTATS 2009).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebmkit.chance import Generator, bits, logistic_bits, normal
from ebmkit.energy import EnergyModel, check_kind

_MOST_SUMMED_UNITS = 25
_STATES_AT_ONCE = 2**12
_ELEMENTS_AT_ONCE = 2**22
_WORTH_COMPILING = 2**24


class RBM(EnergyModel):
    """Restricted Boltzmann machine over bits; its energy is the free energy F(v), so p(v) = exp(-F(v)) / Z.

        E(v, h) = -a·v - b·h - v·W h,   p(h_j = 1 | v) = σ(b_j + (v W)_j),   p(v_i = 1 | h) = σ(a_i + (W h)_i)

    Parameters `W (n_visible, n_hidden)`, `a (n_visible,)`, `b (n_hidden,)`; W starts at `scale` times
    standard normal draws (from `generator`, else from torch's own), the biases at zero.
    The buffers `base_a` and `base_b` are the biases of the model without edges that annealing starts from.
    Raises `ValueError` for a layer without units. Source: Smolensky (1986); Hinton (2002).
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
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.event_shape = (n_visible,)
        _declare_layers(self, n_visible, n_hidden, scale, generator, dtype, device)

    def hidden_field(self, v: Tensor) -> Tensor:
        """b + v W, the log-odds of the hidden units; `(..., n_visible)` to `(..., n_hidden)`."""
        _check_layer(v, self.W, 0, "v")
        return functional.linear(v, self.W.T, self.b)

    def visible_field(self, h: Tensor) -> Tensor:
        """a + W h, the log-odds of the visible units; `(..., n_hidden)` to `(..., n_visible)`."""
        _check_layer(h, self.W, 1, "h")
        return functional.linear(h, self.W, self.a)

    def energy(self, v: Tensor) -> Tensor:
        """The free energy F(v) = -a·v - Σ_j softplus(b_j + (v W)_j); `(..., n_visible)` to `(...)`."""
        return -_softplus(self.hidden_field(v)).sum(-1) - v @ self.a

    def joint_energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) = -a·v - b·h - v·W h; `(..., n_visible)` and `(..., n_hidden)` to `(...)`."""
        _check_layer(h, self.W, 1, "h")
        return -(self.hidden_field(v) * h).sum(-1) - v @ self.a

    def hidden_probability(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v) for every j; `(..., n_visible)` to `(..., n_hidden)`."""
        return self.hidden_field(v).sigmoid_()

    def visible_probability(self, h: Tensor) -> Tensor:
        """p(v_i = 1 | h) for every i; `(..., n_hidden)` to `(..., n_visible)`."""
        return self.visible_field(h).sigmoid_()

    @torch.no_grad()
    def sample_hidden(self, v: Tensor, generator: Generator) -> Tensor:
        """Draws h ~ p(h | v); `(..., n_visible)` to `(..., n_hidden)`."""
        return logistic_bits(self._input(v), self.b, generator)

    @torch.no_grad()
    def sample_visible(self, h: Tensor, generator: Generator) -> Tensor:
        """Draws v ~ p(v | h); `(..., n_hidden)` to `(..., n_visible)`."""
        _check_layer(h, self.W, 1, "h")
        return logistic_bits(h @ self.W.T, self.a, generator)

    def gibbs_step(self, v: Tensor, generator: Generator) -> Tensor:
        """One block Gibbs step v → h → v'; leaves p(v) invariant and is reversible; the shape of v."""
        return self.sample_visible(self.sample_hidden(v, generator), generator)

    def transition_matrix(self) -> Tensor:
        """P[v, v'] = Σ_h p(h | v) p(v' | h) of `gibbs_step` over `bit_states(n_visible)`, float64.

        Raises `ValueError` with more than 12 units in a layer.
        """
        if max(self.W.shape) > 12:
            raise ValueError(
                f"a transition matrix of {self.W.shape[0]} visible and {self.W.shape[1]} hidden units is too"
                " large; use at most 12 in each layer"
            )
        a, W, b = (p.detach().double() for p in (self.a, self.W, self.b))
        v, h = (bit_states(n, device=W.device) for n in W.shape)
        return _product_of_bits(b + v @ W, h) @ _product_of_bits(a + h @ W.T, v)

    def exact_log_partition(self) -> Tensor:
        """log Z = log Σ_h e^{b·h} Π_i (1 + e^{a_i + (W h)_i}), or the same over v where that side is smaller.

        A float64 scalar, differentiable in the parameters; memory does not grow with the number of units.
        Raises `ValueError` where both layers have more than 25 units.
        """
        return _bipartite_log_partition(self.a, self.W, self.b)

    @torch.no_grad()
    def set_base_rates(self, data: Tensor) -> None:
        """Sets `base_a` to the log-odds of each pixel in `data (n, n_visible)`, plus one on and one off.

        Annealing then starts from the best model without hidden units. Source: Salakhutdinov & Murray (2008).
        """
        _check_layer(data, self.W, 0, "data")
        self.base_a.copy_(_log_odds_of_mean(data))

    def base_log_partition(self) -> Tensor:
        """log Z of the model annealing starts from: Σ_i softplus(base_a_i) + Σ_j softplus(base_b_j)."""
        return _softplus(self.base_a).sum() + _softplus(self.base_b).sum()

    def sample_base(self, n: int, generator: Generator) -> Tensor:
        """Exact draws from the model annealing starts from; `(n, n_visible)`."""
        return bits(self.base_a.sigmoid().expand(n, -1), generator)

    def annealed(self, beta: float) -> "Annealed":
        """The model part of the way from the base-rate model (`beta` 0) to this one (`beta` 1).

        p_β(v, h) ∝ exp((1-β)(base_a·v + base_b·h) - β E(v, h)). Source: Salakhutdinov & Murray (2008).
        """
        return Annealed(self, beta)

    @torch.no_grad()
    def annealing_step(
        self, v: Tensor, before: float, after: float, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """The weight for moving v from β = `before` to `after`, then a Gibbs step at `after`: two products.

        Returns v' of v's shape and log p*_after(v) - log p*_before(v) of shape `(...)`.
        """
        input_ = self._input(v)
        here, there = self._annealed_field(input_, before), self._annealed_field(input_, after)
        from_hidden = _softplus(there).sub_(_softplus(here)).sum(-1)
        log_weight = from_hidden + (after - before) * (v @ (self.a - self.base_a))
        return self._annealed_draw(there, after, generator), log_weight

    def _input(self, v: Tensor) -> Tensor:
        _check_layer(v, self.W, 0, "v")
        return v @ self.W

    def _annealed_field(self, input_: Tensor, beta: float) -> Tensor:
        return torch.add(torch.lerp(self.base_b, self.b, beta), input_, alpha=beta)

    def _log_annealed(self, v: Tensor, input_: Tensor, beta: float) -> Tensor:
        field = self._annealed_field(input_, beta)
        return _softplus(field).sum(-1) + v @ torch.lerp(self.base_a, self.a, beta)

    def _annealed_step(self, input_: Tensor, beta: float, generator: Generator) -> Tensor:
        return self._annealed_draw(self._annealed_field(input_, beta), beta, generator)

    def _annealed_draw(self, hidden: Tensor, beta: float, generator: Generator) -> Tensor:
        h = bits(hidden.sigmoid(), generator)
        visible = torch.add(torch.lerp(self.base_a, self.a, beta), h @ self.W.T, alpha=beta)
        return bits(visible.sigmoid_(), generator)


class GaussianRBM(EnergyModel):
    """Restricted Boltzmann machine with real visible units and bits hidden; its energy is F(v).

        E(v, h) = Σ_i (v_i - a_i)² / (2σ_i²) - b·h - (v/σ)·W h
        p(h_j = 1 | v) = σ(b_j + ((v/σ) W)_j),   v_i | h ~ N(a_i + σ_i (W h)_i, σ_i²)

    Parameters as in `RBM`, and `log_sigma (n_visible,)`, zero at first.
    Source: Welling, Rosen-Zvi & Hinton (2004); Hinton, "A practical guide" (2010), section 13.2.
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
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.event_shape = (n_visible,)
        _declare_layers(self, n_visible, n_hidden, scale, generator, dtype, device)
        self.log_sigma = nn.Parameter(torch.zeros_like(self.a.data))

    def hidden_field(self, v: Tensor) -> Tensor:
        """b + (v/σ) W; `(..., n_visible)` to `(..., n_hidden)`."""
        _check_layer(v, self.W, 0, "v")
        return functional.linear(v / self.log_sigma.exp(), self.W.T, self.b)

    def energy(self, v: Tensor) -> Tensor:
        """F(v) = Σ_i (v_i - a_i)²/(2σ_i²) - Σ_j softplus(b_j + ((v/σ) W)_j); shape `(...)`."""
        return self._quadratic(v, self.a) - _softplus(self.hidden_field(v)).sum(-1)

    def joint_energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) as above; `(..., n_visible)` and `(..., n_hidden)` to `(...)`."""
        _check_layer(h, self.W, 1, "h")
        return self._quadratic(v, self.a) - (self.hidden_field(v) * h).sum(-1)

    def hidden_probability(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v); `(..., n_visible)` to `(..., n_hidden)`."""
        return self.hidden_field(v).sigmoid()

    def visible_mean(self, h: Tensor) -> Tensor:
        """E[v | h] = a + σ (W h); the variance is σ² whatever h; `(..., n_hidden)` to `(..., n_visible)`."""
        _check_layer(h, self.W, 1, "h")
        return self.a + self.log_sigma.exp() * (h @ self.W.T)

    @torch.no_grad()
    def sample_hidden(self, v: Tensor, generator: Generator) -> Tensor:
        """Draws h ~ p(h | v); `(..., n_visible)` to `(..., n_hidden)`."""
        return bits(self.hidden_probability(v), generator)

    @torch.no_grad()
    def sample_visible(self, h: Tensor, generator: Generator) -> Tensor:
        """Draws v ~ p(v | h); `(..., n_hidden)` to `(..., n_visible)`."""
        mean = self.visible_mean(h)
        return mean + self.log_sigma.exp() * normal(mean, generator)

    def gibbs_step(self, v: Tensor, generator: Generator) -> Tensor:
        """One block Gibbs step v → h → v'; leaves p(v) invariant; the shape of v."""
        return self.sample_visible(self.sample_hidden(v, generator), generator)

    def exact_log_partition(self) -> Tensor:
        """log Z = Σ_i log(σ_i √2π) + log Σ_h exp(b·h + (a/σ)·W h + |W h|²/2), a float64 scalar.

        Differentiable in the parameters. Raises `ValueError` with more than 25 hidden units.
        """
        n = self.W.shape[1]
        if n > _MOST_SUMMED_UNITS:
            raise ValueError(
                f"the exact log Z sums over hidden units, at most {_MOST_SUMMED_UNITS}, got {n};"
                ' use log_partition(model, method="ais")'
            )

        def term(h: Tensor, a: Tensor, W: Tensor, b: Tensor, log_sigma: Tensor) -> Tensor:
            push = h @ W.T
            return h @ b + push @ (a / log_sigma.exp()) + push.square().sum(-1) / 2

        parameters = [p.double() for p in (self.a, self.W, self.b, self.log_sigma)]
        return self._log_volume() + _log_sum_over_bits(term, n, *parameters)

    @torch.no_grad()
    def set_base_rates(self, data: Tensor) -> None:
        """Sets `base_a` to the mean of `data (n, n_visible)`, so that annealing starts where the data lie.

        Raises `ValueError` where there are no data, or some are not finite.
        """
        _check_layer(data, self.W, 0, "data")
        if data.numel() == 0 or not bool(data.isfinite().all()):
            raise ValueError(f"data must be finite and at least one row, got shape {tuple(data.shape)}")
        self.base_a.copy_(data.reshape(-1, data.shape[-1]).mean(0))

    def base_log_partition(self) -> Tensor:
        """log Z of the model annealing starts from: Σ_i log(σ_i √2π) + Σ_j softplus(base_b_j)."""
        return self._log_volume() + _softplus(self.base_b).sum()

    @torch.no_grad()
    def sample_base(self, n: int, generator: Generator) -> Tensor:
        """Exact draws from the model annealing starts from, N(base_a, σ²); `(n, n_visible)`."""
        return self.base_a + self.log_sigma.exp() * normal(self.base_a.expand(n, -1), generator)

    def annealed(self, beta: float) -> "Annealed":
        """p_β(v, h) ∝ exp(-Σ_i (v_i - m_i)²/(2σ_i²) + (1-β) base_b·h + β(b·h + (v/σ)·W h)).

        The mean m moves from `base_a` at `beta` 0 to `a` at 1, where p_β is this model.
        """
        return Annealed(self, beta)

    @torch.no_grad()
    def annealing_step(
        self, v: Tensor, before: float, after: float, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """The weight for moving v from β = `before` to `after`, then a Gibbs step at `after`: two products.

        Returns v' of v's shape and log p*_after(v) - log p*_before(v) of shape `(...)`.
        """
        input_ = self._input(v)
        log_weight = self._log_annealed(v, input_, after) - self._log_annealed(v, input_, before)
        return self._annealed_step(input_, after, generator), log_weight

    def _quadratic(self, v: Tensor, mean: Tensor) -> Tensor:
        _check_layer(v, self.W, 0, "v")
        return ((v - mean) / self.log_sigma.exp()).square().sum(-1) / 2

    def _log_volume(self) -> Tensor:
        return self.log_sigma.double().sum() + len(self.a) * math.log(2 * math.pi) / 2

    def _input(self, v: Tensor) -> Tensor:
        _check_layer(v, self.W, 0, "v")
        return (v / self.log_sigma.exp()) @ self.W

    def _log_annealed(self, v: Tensor, input_: Tensor, beta: float) -> Tensor:
        field = torch.lerp(self.base_b, self.b, beta) + beta * input_
        return _softplus(field).sum(-1) - self._quadratic(v, torch.lerp(self.base_a, self.a, beta))

    def _annealed_step(self, input_: Tensor, beta: float, generator: Generator) -> Tensor:
        hidden = torch.lerp(self.base_b, self.b, beta) + beta * input_
        h = bits(hidden.sigmoid(), generator)
        sigma = self.log_sigma.exp()
        mean = torch.lerp(self.base_a, self.a, beta) + beta * sigma * (h @ self.W.T)
        return mean + sigma * normal(mean, generator)


class DBM(EnergyModel):
    """Deep Boltzmann machine: layers x_0 (visible), x_1, …, x_L of bits, edges between neighbours only.

        E(x) = -Σ_l b_l·x_l - Σ_l x_l·W_l x_{l+1}
        p(x_l = 1 | rest) = σ(b_l + x_{l-1} W_{l-1} + W_l x_{l+1})

    One x holds all layers end to end, `(..., sum(sizes))`; `split` and `join` go between x and its layers,
    and `energy(x)` is the joint energy.
    Parameters `weights[l] (sizes[l], sizes[l+1])` and `biases[l] (sizes[l],)`, started as in `RBM`.
    Raises `ValueError` for fewer than two layers or an empty one. Source: Salakhutdinov & Hinton (2009).
    """

    values = (0.0, 1.0)
    base_a: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        scale: float = 0.01,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"a DBM needs two layers or more with a unit in each, got sizes {list(sizes)}")
        self.sizes = tuple(sizes)
        self.event_shape = (sum(sizes),)
        self.weights = nn.ParameterList(
            _normal_weights(n, m, scale, generator, dtype, device) for n, m in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(n, dtype=dtype, device=device) for n in sizes)
        self.register_buffer("base_a", torch.zeros(sizes[0], dtype=dtype, device=device))

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """The layers of x, `(..., sum(sizes))` to one `(..., sizes[l])` for each layer."""
        if x.shape[-1:] != self.event_shape:
            raise ValueError(
                f"x must end in an axis of {self.event_shape[0]} units, all layers end to end, got shape"
                f" {tuple(x.shape)}; complete(v) makes an x of visible units alone"
            )
        return torch.split(x, list(self.sizes), -1)

    def join(self, layers: Sequence[Tensor]) -> Tensor:
        """The x whose layers these are, the inverse of `split`."""
        return torch.cat(tuple(layers), -1)

    def energy(self, x: Tensor) -> Tensor:
        """The joint energy E(x) of all layers; `(..., sum(sizes))` to `(...)`.

        It is linear in each layer, so at the means of independent units it is the expected energy.
        """
        layers = self.split(x)
        _check_layer(layers[0], self.weights[0], 0, "x")
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

    @torch.no_grad()
    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """Draws all odd layers given the even ones, then all even given the odd; leaves p(x) invariant."""
        layers = list(self.split(x))
        for l in _odd_then_even(len(layers)):
            layers[l] = bits(self.conditional(layers, l), generator)
        return self.join(layers)

    @torch.no_grad()
    def mean_field(self, v: Tensor, n_steps: int = 100, tolerance: float = 1e-6) -> Tensor:
        """The hidden units' means μ under the factorised q nearest to p(h | v), as an x with v in front.

        Each step sets μ_l = p(x_l = 1 | μ of the others), odd layers and then even ones: coordinate ascent of
        the variational bound, until no mean moves by more than `tolerance`.
        `(..., sizes[0])` to `(..., sum(sizes))`.
        """
        _check_layer(v, self.weights[0], 0, "v")
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

    def complete(self, v: Tensor) -> Tensor:
        """The x that stands for data v while learning: its hidden units at their mean-field means."""
        return self.mean_field(v, n_steps=25, tolerance=1e-4)

    def mean_field_free_energy(self, v: Tensor) -> Tensor:
        """E_q[E(v, h)] - H(q) at the mean-field q, an upper bound on the free energy F(v); `(...)`."""
        x = self.mean_field(v)
        means = x[..., self.sizes[0] :]
        return self.energy(x) + (torch.xlogy(means, means) + torch.xlogy(1 - means, 1 - means)).sum(-1)

    def variational_bound(self, v: Tensor, log_partition: Tensor | float) -> Tensor:
        """A lower bound on log p(v): -E_q[E(v, h)] + H(q) - log Z; `(..., sizes[0])` to `(...)`."""
        return -self.mean_field_free_energy(v) - log_partition

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log Σ_h exp(-E(v, h)), exact; `(..., sizes[0])` to `(...)`, differentiable.

        Sums the hidden layers of one parity by enumeration and the others in closed form. Raises `ValueError`
        where both have more than 16 units; `mean_field_free_energy` bounds it then.
        """
        _check_layer(v, self.weights[0], 0, "v")
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
            return even @ b_even + _softplus(push[..., None, :] + even @ W.T).sum(-1)

        def sum_out_even(odd: Tensor) -> Tensor:
            return push @ odd.T + _softplus(b_even + odd @ W).sum(-1)

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
        return _bipartite_log_partition(
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

    @torch.no_grad()
    def set_base_rates(self, data: Tensor) -> None:
        """Sets `base_a` to the log-odds of each pixel in `data (n, sizes[0])`, as an RBM does."""
        _check_layer(data, self.weights[0], 0, "data")
        self.base_a.copy_(_log_odds_of_mean(data))

    def annealed(self, beta: float) -> "Annealed":
        """`bipartite().annealed(beta)`: annealing a DBM walks over its odd layers, even ones summed out.

        This and the next three make a DBM its own annealing path; a long schedule takes `bipartite()` once.
        """
        return self.bipartite().annealed(beta)

    def base_log_partition(self) -> Tensor:
        """log Z of the model annealing starts from: Σ_i softplus(base_a_i) + n_hidden log 2."""
        return self.bipartite().base_log_partition()

    def sample_base(self, n: int, generator: Generator) -> Tensor:
        """Exact draws of the odd layers from the model annealing starts from; `(n, n_odd)`."""
        return self.bipartite().sample_base(n, generator)

    def annealing_step(
        self, x: Tensor, before: float, after: float, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """`bipartite().annealing_step(...)` of odd layers x, `(..., n_odd)`."""
        return self.bipartite().annealing_step(x, before, after, generator)

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


class Annealed(EnergyModel):
    """A machine part of the way from its base-rate model, `beta` 0, to itself, `beta` 1; see its `annealed`.

    Raises `ValueError` for `beta` outside [0, 1].
    """

    def __init__(self, model: RBM | GaussianRBM, beta: float) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], from base to model, got {beta}")
        self.model, self.beta = model, beta
        self.event_shape, self.values = model.event_shape, model.values

    def energy(self, x: Tensor) -> Tensor:
        """-log of the unnormalized p_β(x), hidden units summed out; `(..., n_visible)` to `(...)`."""
        return -self.model._log_annealed(x, self.model._input(x), self.beta)

    @torch.no_grad()
    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """One block Gibbs step that leaves p_β invariant; the shape of x."""
        return self.model._annealed_step(self.model._input(x), self.beta, generator)


class Clamped(EnergyModel):
    """A Boltzmann machine with some units held fast: p(x) conditioned on x = `values` wherever `known`.

    `values` and the bool tensor `known` have the shape of one x or broadcast with a batch of them.
    Its `gibbs_step` keeps the known units and leaves the conditional distribution of the others invariant.
    Raises `ValueError` for units of a DBM's odd layers: those are drawn first, only even ones can be held.
    """

    fixed: Tensor
    known: Tensor

    def __init__(self, model: RBM | GaussianRBM | DBM, values: Tensor, known: Tensor) -> None:
        super().__init__()
        if known.dtype != torch.bool:
            raise TypeError(f"known must be a bool tensor, got {known.dtype}; use known.bool()")
        if isinstance(model, DBM) and any(part.any() for part in model.split(known)[1::2]):
            raise ValueError(
                "known holds units of an odd layer; only even layers, 0 is the visible one, can be held"
            )
        self.model, self.event_shape, self.values = model, model.event_shape, model.values
        self.register_buffer("fixed", values)
        self.register_buffer("known", known)

    def energy(self, x: Tensor) -> Tensor:
        """The machine's energy with the known units put in place; `(..., *event_shape)` to `(...)`."""
        return self.model.energy(self.hold(x))

    def hold(self, x: Tensor) -> Tensor:
        """x with the known units put in place."""
        return torch.where(self.known, self.fixed.to(x), x)

    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """One block Gibbs step of the unknown units given the known ones; the shape of x."""
        return self.hold(self.model.gibbs_step(self.hold(x), generator))


def inpaint(
    model: RBM | GaussianRBM | DBM, v: Tensor, known: Tensor, n_steps: int, generator: Generator
) -> Tensor:
    """Fills the unknown visible units of v by `n_steps` of Gibbs sampling with the known ones clamped.

    `v (..., n_visible)`, with any start where `known` (bool, broadcastable to v) is False; returns v's shape.
    Raises `ValueError` where `n_steps` is negative.
    """
    if n_steps < 0:
        raise ValueError(f"n_steps must be at least 0, got {n_steps}")
    if not isinstance(model, DBM):
        clamped, x = Clamped(model, v, known), v
    else:
        x = model.complete(v)
        hidden = torch.zeros(*v.shape[:-1], x.shape[-1] - v.shape[-1], dtype=torch.bool, device=v.device)
        clamped = Clamped(model, x, torch.cat([known.expand(v.shape), hidden], -1))
    for _ in range(n_steps):
        x = clamped.gibbs_step(x, generator)
    return x[..., : v.shape[-1]]


def classify(free_energy: Callable[[Tensor], Tensor], x: Tensor, n_classes: int) -> Tensor:
    """log p(y | x) of a machine over (pixels, one-hot label), clamping the label units to each class in turn.

        log p(y | x) = -F(x, y) - log Σ_y' exp(-F(x, y'))

    `x (..., n_pixels)` to `(..., n_classes)`; exact with `free_energy=rbm.energy`, Z cancels; a DBM offers
    `dbm.mean_field_free_energy`. Source: Larochelle & Bengio (2008).
    """
    labels = torch.eye(n_classes, dtype=x.dtype, device=x.device).expand(*x.shape[:-1], -1, -1)
    pixels = x[..., None, :].expand(*x.shape[:-1], n_classes, -1)
    return (-free_energy(torch.cat([pixels, labels], -1))).log_softmax(-1)


def bit_states(n: int, device: torch.device | None = None) -> Tensor:
    """All 2^n vectors of n bits in counting order, the last unit fastest; `(2^n, n)`, float64."""
    return _bits(torch.arange(2**n, device=device), n)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x) to full precision; torch's default turns linear at 20, where e^-20 is still 2e-9."""
    return functional.softplus(x, threshold=40.0)


def _bits(index: Tensor, n: int) -> Tensor:
    return (index[:, None] >> torch.arange(n - 1, -1, -1, device=index.device) & 1).double()


def _product_of_bits(field: Tensor, states: Tensor) -> Tensor:
    """p(x) = Π_i σ(field_i)^{x_i} σ(-field_i)^{1-x_i} for all rows of `field` and all rows x of `states`."""
    on, off = functional.logsigmoid(field), functional.logsigmoid(-field)
    return (on @ states.T + off @ (1 - states).T).exp()


def _log_odds_of_mean(data: Tensor) -> Tensor:
    """log (ones + 1) / (zeros + 1) for each unit: finite where a unit never changes."""
    rows = data.reshape(-1, data.shape[-1])
    ones = rows.sum(0)
    return ((ones + 1) / (len(rows) - ones + 1)).log()


def _odd_then_even(n_layers: int) -> list[int]:
    return [*range(1, n_layers, 2), *range(0, n_layers, 2)]


def _normal_weights(
    n: int,
    m: int,
    scale: float,
    generator: Generator,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> nn.Parameter:
    source = torch.default_generator if generator is None else generator
    place = getattr(source, "device", None)
    return nn.Parameter((scale * normal(torch.empty(n, m, dtype=dtype, device=place), source)).to(device))


def _declare_layers(
    model: RBM | GaussianRBM,
    n_visible: int,
    n_hidden: int,
    scale: float,
    generator: Generator,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> None:
    if min(n_visible, n_hidden) < 1:
        raise ValueError(f"each layer needs a unit, got n_visible={n_visible} and n_hidden={n_hidden}")
    model.W = _normal_weights(n_visible, n_hidden, scale, generator, dtype, device)
    model.a = nn.Parameter(model.W.new_zeros(n_visible))
    model.b = nn.Parameter(model.W.new_zeros(n_hidden))
    model.register_buffer("base_a", model.W.new_zeros(n_visible))
    model.register_buffer("base_b", model.W.new_zeros(n_hidden))


def _check_layer(x: Tensor, W: Tensor, axis: int, name: str) -> None:
    if x.shape[-1:] != W.shape[axis : axis + 1]:
        raise ValueError(f"{name} must end in an axis of {W.shape[axis]} units, got shape {tuple(x.shape)}")
    check_kind(x, W, name)


def _bipartite_log_partition(a: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """log Σ_{v,h} exp(a·v + b·h + v·W h), the smaller side enumerated, the larger in closed form."""
    if W.shape[1] > W.shape[0]:
        a, W, b = b, W.T, a
    n = W.shape[1]
    if n > _MOST_SUMMED_UNITS:
        raise ValueError(
            f"the exact log Z enumerates the smaller side, at most {_MOST_SUMMED_UNITS} units, got {n};"
            ' use log_partition(model, method="ais")'
        )
    a, W, b = a.double(), W.double(), b.double()
    return _log_sum_over_bits(_closed_form_term, n, a, W, b, value=_log_sum_by_products(a, W, b))


def _closed_form_term(h: Tensor, a: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return h @ b + _softplus(functional.linear(h, W, a)).sum(-1)


def _log_sum_by_products(a: Tensor, W: Tensor, b: Tensor) -> float | None:
    """The compiled sum where it pays and can be had; None leaves it to torch."""
    if a.device.type != "cpu" or len(a) << W.shape[1] < _WORTH_COMPILING:
        return None
    try:
        from ebmkit._product_expansion import log_sum
    except ImportError:
        return None
    threads = torch.get_num_threads()
    try:
        return log_sum(*(p.detach().numpy() for p in (a, W, b)))
    finally:
        torch.set_num_threads(threads)  # numba's OpenMP has just set its own number for the whole process


def _log_sum_over_bits(
    term: Callable[..., Tensor], n: int, *parameters: Tensor, value: float | None = None
) -> Tensor:
    """log Σ_h exp(term(h, *parameters)) over all h of n bits, in constant memory; `value` if known."""
    return torch.as_tensor(_LogSumOverBits.apply(term, n, value, *parameters))  # type: ignore[no-untyped-call]


class _LogSumOverBits(torch.autograd.Function):
    """Its gradient is the mean of the term's gradient under p(h) ∝ exp(term), streamed as the sum is."""

    @staticmethod
    def forward(
        ctx: Any, term: Callable[..., Tensor], n: int, value: float | None, *parameters: Tensor
    ) -> Tensor:
        if value is None:
            sums = [torch.logsumexp(term(h, *parameters), 0) for h in _bit_blocks(n, parameters[0].device)]
            total = torch.logsumexp(torch.stack(sums), 0)
        else:
            total = parameters[0].new_tensor(value)
        ctx.term, ctx.n = term, n
        ctx.save_for_backward(total, *parameters)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        total, *parameters = ctx.saved_tensors
        leaves = [p.detach().requires_grad_(True) for p in parameters]
        gradients = [torch.zeros_like(p) for p in parameters]
        for h in _bit_blocks(ctx.n, total.device):
            with torch.enable_grad():
                terms = ctx.term(h, *leaves)
                share = (terms.detach() - total).exp()
                parts = torch.autograd.grad((share * terms).sum(), leaves)
            for gradient, part in zip(gradients, parts):
                gradient += part
        return (None, None, None, *(gradient * upstream[0] for gradient in gradients))


def _bit_blocks(n: int, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, 2**n, _STATES_AT_ONCE):
        yield _bits(torch.arange(start, min(start + _STATES_AT_ONCE, 2**n), device=device), n)
