"""log Z by walking from a base whose normalizer is known to the model whose is not.

    E_0 → … → E_1,   log Z_1 / Z_0 = log E[Π_k exp(E_{k-1}(x_k) - E_k(x_k))] = -∫_0^1 ⟨∂E_β/∂β⟩_β dβ

Source: Neal, "Annealed importance sampling" (2001); Gelman & Meng (1998); Bennett (1976); Meng & Wong (1996).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ebmkit import chance
from ebmkit.chance import Generator
from ebmkit.energy import EnergyModel
from ebmkit.partition import Estimate

if TYPE_CHECKING:
    from ebmkit.mcmc import ModelKernel, State

__all__ = [
    "AnnealedRun",
    "AnnealingPath",
    "Bracket",
    "GaussianBase",
    "GeometricPath",
    "Interpolated",
    "Tempered",
    "UniformBase",
    "ais_bracket",
    "anneal",
    "annealed_importance_sampling",
    "bennett_acceptance_ratio",
    "bridge_sampling",
    "log_mean_weight",
    "reverse_anneal",
    "reverse_annealed_importance_sampling",
    "thermodynamic_integration",
    "weight_ess",
]

Transition = Callable[[EnergyModel], "ModelKernel"]
"""Makes the kernel that moves the chains at one temperature, for example `lambda e: HMC(e, 0.1)`."""


# --- families of energies --------------------------------------------------------------------------------


class Tempered(EnergyModel):
    """The energy β E(x): p at inverse temperature β, flatter where β < 1."""

    def __init__(self, model: EnergyModel, beta: float) -> None:
        super().__init__()
        if not (beta >= 0 and math.isfinite(beta)):
            raise ValueError(f"beta must be finite and not negative, got {beta}")
        self.model, self.beta = model, beta
        self.event_shape, self.values = model.event_shape, model.values

    def energy(self, x: Tensor) -> Tensor:
        """β E(x), with x of shape `(..., *event_shape)`."""
        return self.beta * self.model.energy(x)

    def score(self, x: Tensor) -> Tensor:
        """β ∇ log p(x), the shape of x."""
        return self.beta * self.model.score(x)


class Interpolated(EnergyModel):
    """The geometric bridge between two energies, E_β(x) = (1 - β) E_0(x) + β E_1(x), 0 ≤ β ≤ 1."""

    def __init__(self, base: EnergyModel, model: EnergyModel, beta: float) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], got {beta}")
        if tuple(base.event_shape) != tuple(model.event_shape) or base.values != model.values:
            raise ValueError(
                f"base and model must share event_shape and values, got {tuple(base.event_shape)} with "
                f"{base.values} and {tuple(model.event_shape)} with {model.values}"
            )
        self.base, self.model, self.beta = base, model, beta
        self.event_shape, self.values = model.event_shape, model.values

    def energy(self, x: Tensor) -> Tensor:
        """(1 - β) E_0(x) + β E_1(x), with x of shape `(..., *event_shape)`."""
        return self._blend(self.base.energy, self.model.energy, x)

    def score(self, x: Tensor) -> Tensor:
        """(1 - β) ∇ log p_0(x) + β ∇ log p_1(x), the shape of x."""
        return self._blend(self.base.score, self.model.score, x)

    def _blend(
        self, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor], x: Tensor
    ) -> Tensor:
        # At the ends the other energy has no say, not even where it is infinite (0 · inf is not a number).
        if self.beta == 0:
            return first(x)
        if self.beta == 1:
            return second(x)
        return (1 - self.beta) * first(x) + self.beta * second(x)


class UniformBase(EnergyModel):
    """The uniform distribution on `values` at every site: E(x) = 0, log Z = N log |values|."""

    like: Tensor

    def __init__(
        self, event_shape: Sequence[int], values: Sequence[float], like: Tensor | None = None
    ) -> None:
        super().__init__()
        self.event_shape, self.values = tuple(event_shape), tuple(values)
        self.register_buffer("like", torch.empty(0, dtype=torch.float64) if like is None else like[:0])

    def energy(self, x: Tensor) -> Tensor:
        """Zero, `(...)`."""
        batch = x.shape[: x.dim() - len(self.event_shape)]
        return torch.zeros(batch, dtype=self.like.dtype, device=x.device)

    def exact_log_partition(self) -> Tensor:
        """N log |values|, float64."""
        n, assigned = math.prod(self.event_shape), self.values or ()
        return torch.tensor(n * math.log(len(assigned)), dtype=torch.float64, device=self.like.device)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Independent draws, `(n, *event_shape)`."""
        values = torch.tensor(self.values, dtype=self.like.dtype, device=self.like.device)
        probability = torch.full((), 1 / len(values), dtype=torch.float64, device=values.device)
        choice = chance.categorical(probability.expand(n, *self.event_shape, len(values)), generator)
        return values[choice]


class GaussianBase(EnergyModel):
    """Independent Gaussians, E(x) = ½ Σ ((x - mean) / scale)², log Z = Σ log(√(2π) scale).

    `mean` and `scale` broadcast against `event_shape`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, event_shape: Sequence[int], mean: Tensor | float = 0.0, scale: Tensor | float = 1.0
    ) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        for name, parameter in (("mean", mean), ("scale", scale)):
            tensor = torch.as_tensor(parameter, dtype=None if torch.is_tensor(parameter) else torch.float64)
            self.register_buffer(name, tensor.detach().expand(self.event_shape).clone())
        if not bool(self.mean.isfinite().all()):
            raise ValueError(f"mean must be finite, got {self.mean[~self.mean.isfinite()][0].item()}")
        usable = (self.scale > 0) & self.scale.isfinite()
        if not bool(usable.all()):
            raise ValueError(f"scale must be positive and finite, got {self.scale[~usable][0].item()}")

    def energy(self, x: Tensor) -> Tensor:
        """½ Σ ((x - mean) / scale)², `(...)`."""
        standard = (x - self.mean) / self.scale
        return 0.5 * (standard**2).reshape(*x.shape[: x.dim() - len(self.event_shape)], -1).sum(-1)

    def score(self, x: Tensor) -> Tensor:
        """-(x - mean) / scale², the shape of x."""
        return (self.mean - x) / self.scale**2

    def exact_log_partition(self) -> Tensor:
        """Σ log(√(2π) scale), float64."""
        return (self.scale.double().log() + 0.5 * math.log(2 * math.pi)).sum()

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Independent draws, `(n, *event_shape)`."""
        return self.mean + self.scale * chance.normal(self.mean.expand(n, *self.event_shape), generator)


class AnnealingPath(Protocol):
    """A family of energies from one whose normalizer is known (β = 0) to the model (β = 1).

    A model that has these methods is its own path. It may also have
    `annealing_step(x, before, after, generator) -> (x', E_before(x) - E_after(x))`, which moves x by a kernel
    at β = `after` and shares the work between the two; annealing then calls it instead of a kernel.
    """

    def annealed(self, beta: float) -> EnergyModel: ...

    def base_log_partition(self) -> Tensor: ...

    def sample_base(self, n: int, generator: Generator) -> Tensor: ...


class TractableBase(Protocol):
    """What a base must offer besides its energy."""

    def exact_log_partition(self) -> Tensor: ...

    def sample(self, n: int, generator: Generator) -> Tensor: ...


class GeometricPath:
    """The path E_β = (1 - β) E_0 + β E_1 from a base that can be sampled and summed to any model."""

    def __init__(self, base: EnergyModel, model: EnergyModel) -> None:
        for method in ("sample", "exact_log_partition"):
            if not hasattr(base, method):
                raise TypeError(
                    f"the base {type(base).__name__} has no {method}(); use UniformBase, GaussianBase, "
                    "or give it sample(n, generator) and exact_log_partition()"
                )
        self.base, self.model = base, model
        self.annealed(0.5)  # an Interpolated checks that the two fit

    def annealed(self, beta: float) -> EnergyModel:
        """The energy at β."""
        return Interpolated(self.base, self.model, beta)

    def base_log_partition(self) -> Tensor:
        """log Z_0, exact."""
        return self._tractable.exact_log_partition()

    def sample_base(self, n: int, generator: Generator) -> Tensor:
        """Independent draws at β = 0, `(n, *event_shape)`."""
        return self._tractable.sample(n, generator)

    @property
    def _tractable(self) -> TractableBase:
        return self.base  # type: ignore[return-value]  # __init__ has checked the two methods


def _resolve_path(model: EnergyModel | AnnealingPath, base: EnergyModel | None) -> AnnealingPath:
    if isinstance(model, EnergyModel) and (base is not None or not hasattr(model, "annealed")):
        return GeometricPath(_default_base(model) if base is None else base, model)
    if base is not None:
        raise TypeError(f"{type(model).__name__} is a path with its own base; leave base=None")
    return model  # type: ignore[return-value]  # it has `annealed`, so it is a path


def _default_base(model: EnergyModel) -> EnergyModel:
    """Uniform where x is discrete, standard Gaussian where it is not, in the model's dtype and device."""
    tensors = (*model.parameters(), *model.buffers())
    like = next((t for t in tensors if t.is_floating_point()), torch.empty(0, dtype=torch.float64))
    if model.values is not None:
        return UniformBase(model.event_shape, model.values, like.detach().flatten())
    return GaussianBase(model.event_shape, like.new_zeros(()), like.new_ones(()))


def _default_transition(energy: EnergyModel) -> "ModelKernel":
    from ebmkit.mcmc import HMC, Gibbs  # mcmc re-exports this module, so it cannot be imported at the top

    if energy.values is not None or hasattr(energy, "gibbs_step"):
        return Gibbs(energy)
    return HMC(energy, step_size=0.2, n_leapfrog=10)


# --- annealed importance sampling ------------------------------------------------------------------------


class AnnealedRun(NamedTuple):
    """`log_weights` `(n_chains,)`, whose log-mean-exp estimates log Z (forward) or -log Z (reverse), and the
    final `position` `(n_chains, *event_shape)`, weighted draws of the energy at the end."""

    log_weights: Tensor
    position: Tensor


class Bracket(NamedTuple):
    """Stochastic bounds on log Z: each is wrong by more than δ nats with probability at most e^-δ."""

    lower: Estimate
    upper: Estimate


@torch.no_grad()
def anneal(
    model: EnergyModel | AnnealingPath,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    betas: int | Sequence[float] | Tensor = 1000,
    n_chains: int = 100,
    transition: Transition | None = None,
) -> AnnealedRun:
    """Run independent annealing chains from the base to the model and return their log-weights.

    log w = log Z_0 + Σ_k E_{k-1}(x_k) - E_k(x_k), and E[w] = Z whatever the schedule and the kernels.
    `betas` is a number of equal steps or increasing values from 0 to 1. `base` defaults to the model's own
    path if it has one (see `AnnealingPath`), else to `UniformBase` or a standard `GaussianBase`;
    `transition(energy)` makes the kernel, by default `Gibbs` or `HMC`. Memory does not grow with `betas`.
    Source: Neal (2001).
    """
    path, schedule = _resolve_path(model, base), _schedule(betas)
    _check_count("n_chains", n_chains, 2)
    position = path.sample_base(n_chains, generator)
    log_weights, position = _walk(path, schedule, position, generator, transition)
    return AnnealedRun(log_weights + path.base_log_partition(), position)


@torch.no_grad()
def reverse_anneal(
    model: EnergyModel | AnnealingPath,
    samples: Tensor,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    betas: int | Sequence[float] | Tensor = 1000,
    transition: Transition | None = None,
) -> AnnealedRun:
    """Anneal exact `samples` `(n_chains, *event_shape)` of the model down to the base; E[w] = 1 / Z.

    With samples that are not exact, or a base with mass where the model has none, E[w] differs from 1 / Z;
    in the second case it is smaller, so that -log w stays an upper bound.
    Source: Grosse, Ghahramani & Adams (2015).
    """
    path, schedule = _resolve_path(model, base), _schedule(betas)
    _check_count("the number of samples", len(samples), 2)
    log_weights, position = _walk(path, schedule[::-1], samples, generator, transition)
    return AnnealedRun(log_weights - path.base_log_partition(), position)


def annealed_importance_sampling(
    model: EnergyModel | AnnealingPath,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    betas: int | Sequence[float] | Tensor = 1000,
    n_chains: int = 100,
    transition: Transition | None = None,
) -> Estimate:
    """log Z as the log of the mean weight of `anneal`, which explains the arguments; low on average.

    E[Ẑ] = Z, so by Jensen E[log Ẑ] ≤ log Z. Look at `weight_ess(anneal(...).log_weights)` before you trust
    the standard error. Source: Neal (2001).
    """
    run = anneal(model, base, generator=generator, betas=betas, n_chains=n_chains, transition=transition)
    return log_mean_weight(run.log_weights)


def reverse_annealed_importance_sampling(
    model: EnergyModel | AnnealingPath,
    samples: Tensor,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    betas: int | Sequence[float] | Tensor = 1000,
    transition: Transition | None = None,
) -> Estimate:
    """log Z as minus the log of the mean weight of `reverse_anneal`; a high estimate on average."""
    run = reverse_anneal(model, samples, base, generator=generator, betas=betas, transition=transition)
    inverse = log_mean_weight(run.log_weights)
    return Estimate(-inverse.value, inverse.std_error)


def ais_bracket(
    model: EnergyModel | AnnealingPath,
    samples: Tensor,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    betas: int | Sequence[float] | Tensor = 1000,
    transition: Transition | None = None,
) -> Bracket:
    """Bracket log Z between AIS from the base and AIS from exact `samples` of the model.

    A wide bracket says that the schedule is too short. Source: Grosse, Ghahramani & Adams (2015).
    """
    lower = annealed_importance_sampling(
        model, base, generator=generator, betas=betas, n_chains=len(samples), transition=transition
    )
    upper = reverse_annealed_importance_sampling(
        model, samples, base, generator=generator, betas=betas, transition=transition
    )
    return Bracket(lower, upper)


def log_mean_weight(log_weights: Tensor) -> Estimate:
    """log (1/n Σ_i w_i) of `(n,)` log-weights, with the jackknife's standard error.

    The error is infinite where one weight is all there is. Raises `ValueError` for fewer than two weights,
    for weights that are `nan` or infinite, and where all are zero.
    """
    log_weights = _checked_weights(log_weights)
    n = len(log_weights)
    w = (log_weights - log_weights.max()).exp()
    value = log_weights.max() + w.mean().log()
    without = ((w.sum() - w).clamp(min=0.0) / (n - 1)).log()
    variance = (n - 1) / n * ((without - without.mean()) ** 2).sum()
    return Estimate(value, torch.where(without.isfinite().all(), variance.sqrt(), math.inf))


def weight_ess(log_weights: Tensor) -> Tensor:
    """Effective number of weights (Σ w)² / Σ w², between 1 and n; shape `()`."""
    log_weights = _checked_weights(log_weights)
    w = (log_weights - log_weights.max()).exp()
    return w.sum() ** 2 / (w**2).sum()


def _checked_weights(log_weights: Tensor) -> Tensor:
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


def _walk(
    path: AnnealingPath,
    betas: Sequence[float],
    position: Tensor,
    generator: Generator,
    transition: Transition | None,
) -> tuple[Tensor, Tensor]:
    """Σ_k E_{k-1}(x_k) - E_k(x_k) along `betas`, `(n_chains,)` float64, and where the chains end."""
    log_weights = torch.zeros(len(position), dtype=torch.float64, device=position.device)
    end = position
    for change, end in _increments(path, betas, position, generator, transition):  # noqa: B007
        # A weight that is zero stays zero: beyond it energies are infinite and their differences nan.
        log_weights = torch.where(log_weights == -math.inf, log_weights, log_weights + change)
    return log_weights, end


def _increments(
    path: AnnealingPath,
    betas: Sequence[float],
    position: Tensor,
    generator: Generator,
    transition: Transition | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    shared = getattr(path, "annealing_step", None)
    if shared is not None and transition is None:
        for before, after in pairwise(betas):
            position, change = shared(position, before, after, generator)
            yield change, position
        return
    make_kernel = transition or _default_transition
    state = make_kernel(path.annealed(betas[0])).init(position)
    for beta in betas[1:]:
        kernel = make_kernel(path.annealed(beta))
        energy = kernel.model.energy(state.position)
        change = state.energy - energy
        state, _ = kernel.step(state._replace(energy=energy), generator)
        yield change, state.position


def _schedule(betas: int | Sequence[float] | Tensor) -> list[float]:
    """Inverse temperatures from 0 to 1; an int asks for so many equal steps."""
    if isinstance(betas, int):
        _check_count("betas", betas, 1)
        return [k / betas for k in range(betas + 1)]
    schedule = [float(beta) for beta in betas]
    if len(schedule) < 2 or schedule[0] != 0 or schedule[-1] != 1:
        raise ValueError(f"betas must run from 0 to 1, got {schedule[:1]} to {schedule[-1:]}")
    if not all(later > earlier for earlier, later in pairwise(schedule)):
        raise ValueError("betas must increase strictly from 0 to 1")
    return schedule


def _check_count(name: str, count: int, least: int) -> None:
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")


# --- thermodynamic integration ---------------------------------------------------------------------------


@torch.no_grad()
def thermodynamic_integration(
    model: EnergyModel | AnnealingPath,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    n_nodes: int = 32,
    n_chains: int = 64,
    n_steps: int = 100,
    burn_in: int = 50,
    transition: Transition | None = None,
) -> Estimate:
    """log Z = log Z_0 - ∫_0^1 ⟨∂E_β/∂β⟩_β dβ by Gauss–Legendre quadrature at `n_nodes` temperatures.

    At every node `n_chains` chains, carried on from the node before, discard `burn_in` and average `n_steps`
    steps. The standard error comes from the spread between chains; it does not see a rule with too few nodes
    or a burn-in that is too short. Arguments as in `anneal`. Source: Gelman & Meng (1998).
    """
    path = _resolve_path(model, base)
    _check_ladder(n_nodes, n_chains, n_steps, burn_in)
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    betas = [float(beta) for beta in (nodes + 1) / 2]
    integral = torch.zeros((), dtype=torch.float64)
    for beta, weight, states in zip(
        betas, weights / 2, _ladder(path, betas, n_chains, n_steps, burn_in, generator, transition)
    ):
        slopes = sum(_slope(path, beta, state) for state in states)
        integral = integral.to(slopes) + float(weight) * slopes / n_steps
    value = path.base_log_partition() - integral.mean()
    return Estimate(value, integral.std() / math.sqrt(n_chains))


def _slope(path: AnnealingPath, beta: float, state: "State") -> Tensor:
    """∂E_β(x)/∂β by a central difference, exact up to rounding where E_β is linear in β; float64."""
    h: float = min(torch.finfo(state.energy.dtype).eps ** (1 / 3), beta, 1 - beta)
    above, below = path.annealed(beta + h), path.annealed(beta - h)
    return (above.energy(state.position) - below.energy(state.position)).double() / (2 * h)


def _check_ladder(n_temperatures: int, n_chains: int, n_steps: int, burn_in: int) -> None:
    _check_count("the number of temperatures", n_temperatures, 1)
    _check_count("n_chains", n_chains, 2)
    _check_count("n_steps", n_steps, 1)
    _check_count("burn_in", burn_in, 0)


def _ladder(
    path: AnnealingPath,
    betas: Sequence[float],
    n_chains: int,
    n_steps: int,
    burn_in: int,
    generator: Generator,
    transition: Transition | None,
) -> Iterator[Iterator["State"]]:
    """At every temperature in turn, the states of `n_steps` steps; each iterator must be used up in order."""
    make_kernel = transition or _default_transition
    position = path.sample_base(n_chains, generator)

    def steps(kernel: "ModelKernel") -> Iterator["State"]:
        nonlocal position
        state = kernel.init(position)
        for index in range(burn_in + n_steps):
            state, _ = kernel.step(state, generator)
            position = state.position
            if index >= burn_in:
                yield state

    for beta in betas:
        yield steps(make_kernel(path.annealed(beta)))


# --- bridge sampling -------------------------------------------------------------------------------------


@torch.no_grad()
def bridge_sampling(
    model: EnergyModel | AnnealingPath,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    betas: int | Sequence[float] | Tensor = 16,
    n_chains: int = 64,
    n_steps: int = 100,
    burn_in: int = 50,
    transition: Transition | None = None,
) -> Estimate:
    """log Z as log Z_0 plus Bennett's optimal estimate of every ratio Z_{k+1} / Z_k between neighbours.

    Chains as in `thermodynamic_integration`, other arguments as in `anneal`. There is no quadrature: the only
    bias comes from a burn-in that is too short. The standard error sums each chain's influence over all
    ratios, so draws may be correlated within a chain. Source: Bennett (1976); Meng & Wong (1996).
    """
    path, schedule = _resolve_path(model, base), _schedule(betas)
    _check_ladder(len(schedule), n_chains, n_steps, burn_in)
    value, influence = path.base_log_partition(), torch.zeros((), dtype=torch.float64)
    upward: Tensor | None = None
    for k, states in enumerate(_ladder(path, schedule, n_chains, n_steps, burn_in, generator, transition)):
        neighbours = [path.annealed(schedule[j]) if 0 <= j < len(schedule) else None for j in (k - 1, k + 1)]
        down, up = _energy_changes(states, neighbours)
        if upward is not None:
            log_ratio, shift = _bennett(upward, -down)
            value, influence = value + log_ratio, influence.to(shift) + shift
        upward = up
    return Estimate(value, (influence**2).sum().mul(n_chains / (n_chains - 1)).sqrt())


def _energy_changes(
    states: Iterator["State"], neighbours: Sequence[EnergyModel | None]
) -> tuple[Tensor, Tensor]:
    """E_neighbour(x) - E(x) of every state for both neighbours, `(n_steps, n_chains)`; zero where none is."""
    changes: tuple[list[Tensor], list[Tensor]] = ([], [])
    for state in states:
        for energy, column in zip(neighbours, changes):
            there = state.energy if energy is None else energy.energy(state.position)
            column.append((there - state.energy).double())
    return torch.stack(changes[0]), torch.stack(changes[1])


def _bennett(upward: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """log Z_1/Z_0 from E_1 - E_0 at draws of p_0 and of p_1, `(n_steps, n_chains)` each, and the influence
    `(n_chains,)` of every chain on it."""
    log_ratio = _solve_bennett(upward.flatten(), across.flatten())
    first, second = torch.sigmoid(-upward - log_ratio), torch.sigmoid(across + log_ratio)
    slope = (first * (1 - first)).sum() + (second * (1 - second)).sum()
    return log_ratio, (first.sum(0) - second.sum(0)) / slope


def _solve_bennett(upward: Tensor, across: Tensor) -> Tensor:
    """The root c of Σ_{x ~ p_0} σ(-ΔE - c) = Σ_{x ~ p_1} σ(ΔE + c), by bisection: left falls, right rises."""
    both = torch.cat([upward, across])
    if not bool(both.isfinite().all()):
        raise ValueError(
            f"energies along the path must be finite, got a difference of {both[~both.isfinite()][0].item()}"
        )
    low, high = -both.max() - 50.0, -both.min() + 50.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        rises = torch.sigmoid(-upward - middle).sum() > torch.sigmoid(across + middle).sum()
        low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
    return 0.5 * (low + high)


@torch.no_grad()
def bennett_acceptance_ratio(
    base: EnergyModel, model: EnergyModel, base_samples: Tensor, model_samples: Tensor
) -> Estimate:
    """log Z_1 / Z_0 from independent draws of both, `(n_0, *event_shape)` and `(n_1, *event_shape)`.

    Solves Σ_{x ~ p_0} σ(E_0 - E_1 - c) = Σ_{x ~ p_1} σ(E_1 - E_0 + c), c = log(Z_1/Z_0) - log(n_1/n_0): the
    bridge of least variance. Source: Bennett (1976); Meng & Wong (1996).
    """
    n_0, n_1 = len(base_samples), len(model_samples)
    _check_count("the number of samples of each energy", min(n_0, n_1), 2)
    upward, across = ((model.energy(x) - base.energy(x)).double() for x in (base_samples, model_samples))
    c = _solve_bennett(upward, across)
    first, second = torch.sigmoid(-upward - c), torch.sigmoid(across + c)
    slope = (first * (1 - first)).sum() + (second * (1 - second)).sum()
    variance = (n_0 * first.var() + n_1 * second.var()) / slope**2
    return Estimate(c + math.log(n_1 / n_0), variance.sqrt())
