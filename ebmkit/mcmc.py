"""Markov chain Monte Carlo: samples from p(x) = exp(-E(x)) / Z that never ask for Z.

    every kernel T leaves p invariant:  Σ_x p(x) T(x → x') = p(x');   Langevin does so only as its step → 0

Source: lecture 11, "Sampling from energy-based models"; Brooks et al., Handbook of MCMC (2011).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ebmkit import chance
from ebmkit.annealing import (
    AnnealedRun,
    AnnealingPath,
    Bracket,
    GaussianBase,
    GeometricPath,
    Interpolated,
    Tempered,
    UniformBase,
    ais_bracket,
    anneal,
    annealed_importance_sampling,
    bennett_acceptance_ratio,
    bridge_sampling,
    log_mean_weight,
    reverse_anneal,
    reverse_annealed_importance_sampling,
    thermodynamic_integration,
    weight_ess,
)
from ebmkit.chance import Generator
from ebmkit.diagnostics import autocorrelation, autocorrelation_time, ess_bulk, ess_tail, r_hat
from ebmkit.energy import EnergyModel

__all__ = [
    "HMC",
    "MALA",
    "AnnealedRun",
    "AnnealingPath",
    "Bracket",
    "CoordinateFlip",
    "GaussianBase",
    "GaussianRandomWalk",
    "GeometricPath",
    "Gibbs",
    "Info",
    "Interpolated",
    "Kernel",
    "Langevin",
    "MetropolisHastings",
    "ParallelTempering",
    "State",
    "Tempered",
    "TemperingInfo",
    "UniformBase",
    "adapt_step_size",
    "ais_bracket",
    "anneal",
    "annealed_importance_sampling",
    "autocorrelation",
    "autocorrelation_time",
    "bennett_acceptance_ratio",
    "bridge_sampling",
    "ess_bulk",
    "ess_tail",
    "initial_state",
    "iterate",
    "leapfrog",
    "log_mean_weight",
    "r_hat",
    "reverse_anneal",
    "reverse_annealed_importance_sampling",
    "sample",
    "tempered_kernels",
    "thermodynamic_integration",
    "weight_ess",
]

DIVERGENCE_THRESHOLD = 1000.0
"""Energy error of a trajectory, in nats, from which HMC reports a divergence (the value Stan uses)."""


class State(NamedTuple):
    """Where the chains are: `position` `(..., *event_shape)` and its `energy` `(...)`."""

    position: Tensor
    energy: Tensor


class Info(NamedTuple):
    """What a step did: `acceptance` probability `(...)` in [0, 1] and `divergent` `(...)`, bool.

    A divergent chain met a non-finite number and stayed where it was.
    """

    acceptance: Tensor
    divergent: Tensor


class StepInfo(Protocol):
    """What every kernel reports: `Info`, or a tuple that has its fields and more."""

    @property
    def acceptance(self) -> Tensor: ...

    @property
    def divergent(self) -> Tensor: ...


class Kernel(Protocol):
    """A Markov kernel: `init` says where to start, `step` moves all chains of the batch once."""

    def init(self, position: Tensor) -> State: ...

    def step(self, state: State, generator: Generator) -> tuple[State, StepInfo]: ...


class ModelKernel(Kernel, Protocol):
    """A kernel that names the energy whose distribution it keeps."""

    @property
    def model(self) -> EnergyModel: ...


# --- running a chain -------------------------------------------------------------------------------------


def iterate(kernel: Kernel, state: State | Tensor, generator: Generator) -> Iterator[tuple[State, StepInfo]]:
    """Yield `(state, info)` after every step of an endless chain; constant memory."""
    current = state if isinstance(state, State) else kernel.init(state)
    while True:
        current, info = kernel.step(current, generator)
        yield current, info


def sample(
    kernel: Kernel,
    state: State | Tensor,
    n_steps: int,
    generator: Generator,
    *,
    burn_in: int = 0,
    thin: int = 1,
    keep: Callable[[State], Tensor] | None = None,
) -> Tensor:
    """Run all chains of the batch and record `n_steps` positions, `(n_steps, ..., *event_shape)`.

    `burn_in` steps are discarded first; one position is recorded after every `thin` steps. `keep` records a
    function of the state instead, for example `lambda state: state.energy`, so that long runs stay small.
    `state` may be a position, which `kernel.init` then checks. Raises `ValueError` for counts out of range.
    """
    for name, count, least in (("n_steps", n_steps, 1), ("burn_in", burn_in, 0), ("thin", thin, 1)):
        if count < least:
            raise ValueError(f"{name} must be at least {least}, got {count}")
    chain = iterate(kernel, state, generator)
    for _ in range(burn_in):
        next(chain)
    record = keep or _position
    draws: Tensor | None = None
    for index in range(n_steps):
        for _ in range(thin - 1):
            next(chain)
        draw = record(next(chain)[0])
        if draws is None:
            draws = torch.empty((n_steps, *draw.shape), dtype=draw.dtype, device=draw.device)
        draws[index] = draw
    assert draws is not None
    return draws


def _position(state: State) -> Tensor:
    return state.position


# --- what the kernels share ------------------------------------------------------------------------------


def initial_state(model: EnergyModel, position: Tensor) -> State:
    """Where chains start: `position` `(..., *event_shape)` and its energy, for a kernel's `init`.

    Raises `ValueError` for a wrong shape, an empty batch, a coordinate outside `model.values`, and an energy
    that is not finite; `TypeError` for whole numbers where x is continuous.
    """
    name, event = type(model).__name__, tuple(model.event_shape)
    batch = position.shape[: position.dim() - len(event)]
    if tuple(position.shape[len(batch) :]) != event or position.dim() < len(event):
        raise ValueError(
            f"position must have shape (..., {', '.join(map(str, event))}) for {name}, "
            f"got {tuple(position.shape)}"
        )
    if 0 in batch:
        raise ValueError(f"position holds no chain, its shape is {tuple(position.shape)}; give at least one")
    if model.values is not None:
        _check_values(position, model.values)
    elif not position.is_floating_point():
        raise TypeError(f"position must be floating point for {name}, got {position.dtype}; use x.double()")
    with torch.no_grad():
        energy = model.energy(position)
    if not bool(energy.isfinite().all()):
        bad = energy[~energy.isfinite()]
        raise ValueError(
            f"the initial energy of {name} must be finite, got {bad[0].item()} in {bad.numel()} of "
            f"{energy.numel()} chains; start where the density is positive"
        )
    return State(position.detach(), energy)


def _check_values(position: Tensor, values: tuple[float, ...]) -> None:
    allowed = torch.tensor(values, dtype=position.dtype, device=position.device)
    known = torch.isin(position, allowed)
    if not bool(known.all()):
        example = position[~known].flatten()[0].item()
        raise ValueError(f"every coordinate must be one of {values}, got {example}")


def _select(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Whole events of `new` where `chosen` `(...)` holds, of `old` elsewhere."""
    return torch.where(chosen.reshape(chosen.shape + (1,) * (old.dim() - chosen.dim())), new, old)


def _flat_events(x: Tensor, model: EnergyModel) -> Tensor:
    """x with every event as one row; shape `(..., n_coordinates)`."""
    return x.reshape(*x.shape[: x.dim() - len(model.event_shape)], -1)


def _metropolis(
    model: EnergyModel,
    state: State,
    proposal: Tensor,
    log_correction: Tensor,
    generator: Generator,
    tolerance: float = math.inf,
) -> tuple[State, Info]:
    """Accept with probability min(1, exp(E(x) - E(x') + log_correction)).

    A proposal that is not finite, or that loses more than `tolerance` nats, is rejected and called divergent.
    """
    usable = _flat_events(proposal, model).isfinite().all(-1)
    proposal = _select(usable, proposal, state.position)
    energy = model.energy(proposal)
    # A correction of -inf is a plain rejection: the way back has probability zero.
    usable = usable & energy.isfinite() & (log_correction < math.inf)
    log_acceptance = torch.where(usable, state.energy - energy + log_correction, -math.inf)
    usable = usable & (log_acceptance >= -tolerance)
    acceptance = log_acceptance.clamp(max=0.0).exp()
    accepted = chance.bernoulli(acceptance, generator)
    return _moved(accepted, proposal, energy, state), Info(acceptance, ~usable)


def _moved(accepted: Tensor, proposal: Tensor, energy: Tensor, state: State) -> State:
    return State(_select(accepted, proposal, state.position), torch.where(accepted, energy, state.energy))


def _require_gradient(model: EnergyModel, kernel: str) -> None:
    if model.values is not None:
        raise TypeError(
            f"{kernel} needs a gradient and {type(model).__name__} is discrete, x takes values "
            f"{model.values}; use Gibbs or MetropolisHastings"
        )


def _require_positive(name: str, number: float | Tensor) -> None:
    tensor = torch.as_tensor(number)
    if not bool(((tensor > 0) & tensor.isfinite()).all()):
        raise ValueError(f"{name} must be positive and finite, got {number}")


# --- Metropolis–Hastings ---------------------------------------------------------------------------------

Proposal = Callable[[Tensor, Generator], tuple[Tensor, Tensor]]
"""(x, generator) -> (x', log q(x | x') - log q(x' | x)); the second of shape `(...)` or `()`."""


@dataclass(frozen=True, eq=False)
class GaussianRandomWalk:
    """The symmetric proposal x' = x + scale · ξ, ξ ~ N(0, I); `scale` broadcasts against x."""

    scale: float | Tensor

    def __post_init__(self) -> None:
        _require_positive("scale", self.scale)

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return x + self.scale * chance.normal(x, generator), x.new_zeros(())


@dataclass(frozen=True, eq=False)
class CoordinateFlip:
    """The symmetric proposal that gives one coordinate, chosen uniformly, another of the model's values."""

    model: EnergyModel

    def __post_init__(self) -> None:
        _require_values(self.model, "CoordinateFlip")

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        values = _values_like(self.model, x)
        flat = _flat_events(x, self.model)
        n = flat.shape[-1]
        site = chance.categorical(_uniform_probabilities(flat, n), generator)[..., None]
        current = (flat.gather(-1, site) == values).long().argmax(-1)
        shift = chance.categorical(_uniform_probabilities(flat, len(values) - 1), generator)
        other = values[(current + 1 + shift) % len(values)]
        return flat.scatter(-1, site, other[..., None]).reshape(x.shape), _zero_like_energy(x)


def _require_values(model: EnergyModel, what: str) -> None:
    if model.values is None or len(model.values) < 2:
        raise TypeError(
            f"{what} needs a discrete model with at least two values, "
            f"{type(model).__name__} has values = {model.values}"
        )


def _values_like(model: EnergyModel, x: Tensor) -> Tensor:
    return torch.tensor(model.values, dtype=x.dtype, device=x.device)


def _uniform_probabilities(flat: Tensor, n: int) -> Tensor:
    shape = (*flat.shape[:-1], n)
    return torch.full(shape, 1.0 / n, dtype=torch.float64, device=flat.device)


def _zero_like_energy(x: Tensor) -> Tensor:
    return torch.zeros((), dtype=x.dtype if x.is_floating_point() else torch.float64, device=x.device)


@dataclass(frozen=True, eq=False)
class MetropolisHastings:
    """Propose x' ~ q(· | x), accept with probability min(1, p(x') q(x | x') / (p(x) q(x' | x))).

    `proposal(x, generator)` returns x' and log q(x | x') - log q(x' | x); see `GaussianRandomWalk` and
    `CoordinateFlip`. Reversible. Source: Metropolis et al. (1953); Hastings (1970).
    """

    model: EnergyModel
    proposal: Proposal

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One proposal for every chain."""
        proposal, log_correction = self.proposal(state.position, generator)
        return _metropolis(self.model, state, proposal, log_correction, generator)


# --- Gibbs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gibbs:
    """Redraw x from its conditionals: `model.gibbs_step` where the model has one, else site by site.

    The general sweep visits the coordinates in order and draws x_i ~ p(x_i | x_{-i}) ∝ exp(-E(x)) from the
    energies of all values, so it needs `model.values`. It leaves p invariant but, as every sweep in a fixed
    order, is not reversible. Source: Geman & Geman (1984).
    """

    model: EnergyModel

    def __post_init__(self) -> None:
        if not hasattr(self.model, "gibbs_step"):
            _require_values(self.model, "Gibbs without model.gibbs_step")

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One sweep over all coordinates of every chain."""
        gibbs_step: Callable[[Tensor, Generator], Tensor] | None = getattr(self.model, "gibbs_step", None)
        if gibbs_step is None:
            return _single_site_sweep(self.model, state, generator)
        proposal = gibbs_step(state.position, generator)
        energy = self.model.energy(proposal)
        usable = energy.isfinite()
        return _moved(usable, proposal, energy, state), Info(torch.ones_like(energy), ~usable)


def _single_site_sweep(model: EnergyModel, state: State, generator: Generator) -> tuple[State, Info]:
    x = state.position.clone(memory_format=torch.contiguous_format)
    flat = _flat_events(x, model)  # a view of x: writing to it moves the chains
    energy = state.energy
    divergent = torch.zeros_like(energy, dtype=torch.bool)
    values = _values_like(model, x)
    for site in range(flat.shape[-1]):
        energies = _conditional_energies(model, x, flat, site, values)
        # An energy of +inf only forbids a value; anything else that is not finite leaves the site alone.
        broken = (energies.isnan() | (energies == -math.inf)).any(-1) | (energies == math.inf).all(-1)
        current = flat[..., site, None] == values
        energies = torch.where(broken[..., None], torch.where(current, 0.0, math.inf), energies)
        choice = chance.categorical(torch.softmax(-energies, -1), generator)
        flat[..., site] = values[choice]
        chosen = energies.gather(-1, choice[..., None])[..., 0]
        energy = torch.where(broken, energy, chosen)
        divergent |= broken
    return State(x, energy), Info(torch.ones_like(energy), divergent)


def _conditional_energies(model: EnergyModel, x: Tensor, flat: Tensor, site: int, values: Tensor) -> Tensor:
    """E(x) with coordinate `site` set to each value in turn; shape `(..., len(values))`."""
    candidates = flat[..., None, :].repeat_interleave(len(values), -2)
    candidates[..., site] = values
    batch = flat.shape[:-1]
    return model.energy(candidates.reshape(*batch, len(values), *x.shape[len(batch) :]))


# --- Langevin --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Langevin:
    """The unadjusted Langevin algorithm: x' = x - ε ∇E(x) + √(2ε) ξ, ξ ~ N(0, I).

    No step is ever rejected, so its stationary law is p only in the limit ε → 0. `noise` replaces √(2ε) as
    the noise's standard deviation, as short-run samplers for deep energies do; the chain then follows no
    known law. Source: lecture 11; Roberts & Tweedie (1996).
    """

    model: EnergyModel
    step_size: float
    noise: float | None = None

    def __post_init__(self) -> None:
        _require_gradient(self.model, "Langevin")
        _require_positive("step_size", self.step_size)
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise ValueError(
                f"noise must be finite and not negative, got {self.noise}; None stands for √(2ε)"
            )

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One gradient step with noise; a chain that becomes non-finite stays and is reported divergent."""
        noise = math.sqrt(2 * self.step_size) if self.noise is None else self.noise
        drift = self.step_size * self.model.score(state.position)
        proposal = state.position + drift + noise * chance.normal(state.position, generator)
        usable = _flat_events(proposal, self.model).isfinite().all(-1)
        energy = self.model.energy(_select(usable, proposal, state.position))
        usable = usable & energy.isfinite()
        return _moved(usable, proposal, energy, state), Info(torch.ones_like(energy), ~usable)


@dataclass(frozen=True, eq=False)
class MALA:
    """Metropolis-adjusted Langevin: the Langevin step as a proposal, corrected to leave p invariant.

    q(x' | x) = N(x'; x - ε ∇E(x), 2ε I). Reversible. Best near an acceptance of 0.57.
    Source: Roberts & Tweedie (1996); Roberts & Rosenthal (1998).
    """

    model: EnergyModel
    step_size: float

    def __post_init__(self) -> None:
        _require_gradient(self.model, "MALA")
        _require_positive("step_size", self.step_size)

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One Langevin proposal for every chain, accepted or rejected."""
        x, epsilon = state.position, self.step_size
        noise = chance.normal(x, generator)
        proposal = x + epsilon * self.model.score(x) + math.sqrt(2 * epsilon) * noise
        way_back = x - proposal - epsilon * self.model.score(proposal)
        squares = 0.5 * noise**2 - way_back**2 / (4 * epsilon)
        log_correction = _flat_events(squares, self.model).sum(-1)
        return _metropolis(self.model, state, proposal, log_correction, generator)


# --- Hamiltonian Monte Carlo -----------------------------------------------------------------------------


def leapfrog(
    model: EnergyModel,
    position: Tensor,
    momentum: Tensor,
    step_size: float,
    n_steps: int,
    inverse_mass: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """Follow Hamilton's equations for H(x, p) = E(x) + ½ pᵀM⁻¹p; both of shape `(..., *event_shape)`.

    Volume preserving and reversible: from the end with the momentum negated it returns to the start.
    Its energy error over a fixed time is O(step_size²).
    """
    momentum = momentum + 0.5 * step_size * model.score(position)
    for index in range(n_steps):
        position = position + step_size * inverse_mass * momentum
        last = index == n_steps - 1
        momentum = momentum + (0.5 if last else 1.0) * step_size * model.score(position)
    return position, momentum


@dataclass(frozen=True, eq=False)
class HMC:
    """Hamiltonian Monte Carlo: draw a momentum, follow the leapfrog, accept by the energy error.

    p ~ N(0, M), accept with probability min(1, exp(H(x, p) - H(x', p'))). `inverse_mass` is the diagonal of
    M⁻¹, a number or a tensor that broadcasts against x. Reversible. Best near an acceptance of 0.65 to 0.8.
    Source: Duane et al. (1987); Neal (2011).
    """

    model: EnergyModel
    step_size: float
    n_leapfrog: int = 10
    inverse_mass: float | Tensor = 1.0

    def __post_init__(self) -> None:
        _require_gradient(self.model, "HMC")
        _require_positive("step_size", self.step_size)
        if self.n_leapfrog < 1:
            raise ValueError(f"n_leapfrog must be at least 1, got {self.n_leapfrog}")
        _require_positive("inverse_mass", self.inverse_mass)

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, Info]:
        """One trajectory of `n_leapfrog` steps for every chain."""
        momentum = chance.normal(state.position, generator) / self.inverse_mass**0.5
        proposal, end = leapfrog(
            self.model, state.position, momentum, self.step_size, self.n_leapfrog, self.inverse_mass
        )
        log_correction = self._kinetic(momentum) - self._kinetic(end)
        return _metropolis(
            self.model, state, proposal, log_correction, generator, tolerance=DIVERGENCE_THRESHOLD
        )

    def _kinetic(self, momentum: Tensor) -> Tensor:
        return 0.5 * _flat_events(self.inverse_mass * momentum**2, self.model).sum(-1)


TunableKernel = TypeVar("TunableKernel", HMC, MALA)


def adapt_step_size(
    kernel: TunableKernel,
    state: State | Tensor,
    n_steps: int,
    generator: Generator,
    target_acceptance: float = 0.8,
) -> tuple[TunableKernel, State]:
    """Warm up: find the step size with the wanted mean acceptance by dual averaging.

    Returns the kernel with its step size replaced, and the state reached. The adapting chain is not
    stationary: discard it. Source: Hoffman & Gelman (2014), section 3.2.
    """
    if not 0 < target_acceptance < 1:
        raise ValueError(f"target_acceptance must lie between 0 and 1, got {target_acceptance}")
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}")
    current = state if isinstance(state, State) else kernel.init(state)
    shrinkage, offset, forgetting = 0.05, 10.0, 0.75
    anchor = math.log(10 * kernel.step_size)
    log_step, log_average, mean_error = math.log(kernel.step_size), 0.0, 0.0
    for t in range(1, n_steps + 1):
        current, info = replace(kernel, step_size=math.exp(log_step)).step(current, generator)
        error = target_acceptance - float(info.acceptance.mean())
        mean_error += (error - mean_error) / (t + offset)
        log_step = anchor - math.sqrt(t) / shrinkage * mean_error
        weight = t**-forgetting
        log_average = weight * log_step + (1 - weight) * log_average
    return replace(kernel, step_size=math.exp(log_average)), current


# --- parallel tempering ----------------------------------------------------------------------------------


class TemperingInfo(NamedTuple):
    """What a tempering step did, replicas first: `acceptance` and `divergent` `(n_replicas, ...)` of the
    moves within, `swap_acceptance` `(n_replicas - 1, ...)` of the swaps between neighbours."""

    acceptance: Tensor
    divergent: Tensor
    swap_acceptance: Tensor


def tempered_kernels(
    model: EnergyModel, betas: Sequence[float], make_kernel: Callable[[EnergyModel], ModelKernel]
) -> tuple[ModelKernel, ...]:
    """One kernel for each inverse temperature, `make_kernel(Tempered(model, beta))`."""
    return tuple(make_kernel(Tempered(model, beta)) for beta in betas)


class ParallelTempering:
    """Chains at several temperatures that exchange their positions; the last kernel's is usually the target.

    After each replica has moved by its own kernel, neighbours r, r+1 swap with probability
    min(1, exp(E_r(x_r) + E_{r+1}(x_{r+1}) - E_r(x_{r+1}) - E_{r+1}(x_r))), even pairs first, then odd pairs.
    Leaves Π_r p_r invariant. Positions have shape `(n_replicas, ..., *event_shape)`.
    Source: Geyer (1991); Hukushima & Nemoto (1996).
    """

    def __init__(self, kernels: Sequence[ModelKernel]) -> None:
        if len(kernels) < 2:
            raise ValueError(f"parallel tempering needs at least two kernels, got {len(kernels)}")
        self.kernels = tuple(kernels)

    def init(self, position: Tensor) -> State:
        """Start at `position` `(n_replicas, ..., *event_shape)`; `ValueError` where it does not fit."""
        if position.dim() == 0 or position.shape[0] != len(self.kernels):
            raise ValueError(
                f"position must start with one entry for each of the {len(self.kernels)} replicas, got shape "
                f"{tuple(position.shape)}; use x.expand({len(self.kernels)}, *x.shape)"
            )
        return _stack([kernel.init(x) for kernel, x in zip(self.kernels, position)])

    @torch.no_grad()
    def step(self, state: State, generator: Generator) -> tuple[State, TemperingInfo]:
        """Move every replica once, then try every swap between neighbours once."""
        replicas, infos = [], []
        for kernel, position, energy in zip(self.kernels, state.position, state.energy):
            moved, info = kernel.step(State(position, energy), generator)
            replicas.append(moved)
            infos.append(info)
        swaps: dict[int, Tensor] = {}
        for first in (*range(0, len(replicas) - 1, 2), *range(1, len(replicas) - 1, 2)):
            swaps[first] = self._swap(replicas, first, generator)
        return _stack(replicas), TemperingInfo(
            torch.stack([info.acceptance for info in infos]),
            torch.stack([info.divergent for info in infos]),
            torch.stack([swaps[first] for first in range(len(replicas) - 1)]),
        )

    def _swap(self, replicas: list[State], first: int, generator: Generator) -> Tensor:
        cold, hot = replicas[first], replicas[first + 1]
        cold_energy = self.kernels[first].model.energy(hot.position)
        hot_energy = self.kernels[first + 1].model.energy(cold.position)
        change = cold.energy + hot.energy - cold_energy - hot_energy
        # A state that its new temperature gives an energy of inf or nan stays where it is.
        change = torch.where(cold_energy.isfinite() & hot_energy.isfinite(), change, -math.inf)
        acceptance = change.clamp(max=0.0).exp()
        swapped = chance.bernoulli(acceptance, generator)
        replicas[first] = State(
            _select(swapped, hot.position, cold.position), torch.where(swapped, cold_energy, cold.energy)
        )
        replicas[first + 1] = State(
            _select(swapped, cold.position, hot.position), torch.where(swapped, hot_energy, hot.energy)
        )
        return acceptance


def _stack(states: Sequence[Any]) -> State:
    return State(
        torch.stack([state.position for state in states]), torch.stack([state.energy for state in states])
    )
