"""Parallel tempering: chains at several temperatures that exchange their positions."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._models import check_is_kernel, check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import ModelKernel, State
from ebmkit.mcmc._moves import select


class TemperingInfo(NamedTuple):
    """What a tempering step did, replicas first.

    `acceptance` and `divergent` `(n_replicas, ...)` are of the moves within, `swap_acceptance`
    `(n_replicas - 1, ...)` of the swaps between neighbours.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = annealing.GaussianBase((1,))
    >>> kernels = mcmc.tempered_kernels(model, (1.0, 0.3), lambda energy: mcmc.MALA(energy, 0.3))
    >>> tempering = mcmc.ParallelTempering(kernels)
    >>> _, info = tempering.step(tempering.init(torch.zeros(2, 5, 1).double()), generator=generator)
    >>> info.swap_acceptance.shape
    torch.Size([1, 5])
    """

    acceptance: Tensor
    divergent: Tensor
    swap_acceptance: Tensor


class Tempered(EnergyModel):
    """The energy β E(x): p at inverse temperature β, flatter where β < 1.

    Raises `ValueError` for a β that is negative or not finite.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> mcmc.Tempered(annealing.GaussianBase((2,)), 0.5).energy(torch.ones(2).double())  # half of 1
    tensor(0.5000, dtype=torch.float64)
    """

    def __init__(self, model: EnergyModel, beta: float) -> None:
        super().__init__()
        check_is_model(model, "Tempered")
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


def at_temperature(model: EnergyModel, beta: float) -> EnergyModel:
    """β E(x) as the model makes it, by `model.tempered(beta)`, with a Gibbs step of its own; else as `Tempered`."""
    own: Callable[[float], EnergyModel] | None = getattr(model, "tempered", None)
    return Tempered(model, beta) if own is None else own(beta)


def tempered_kernels(
    model: EnergyModel, betas: Sequence[float], make_kernel: Callable[[EnergyModel], ModelKernel]
) -> tuple[ModelKernel, ...]:
    """One kernel for each inverse temperature, `make_kernel(energy)` at β E(x).

    The energy is `model.tempered(beta)` where the model has that, and `Tempered(model, beta)` elsewhere.

    >>> from ebmkit import annealing, mcmc
    >>> model = annealing.GaussianBase((1,))
    >>> kernels = mcmc.tempered_kernels(model, (1.0, 0.3), lambda energy: mcmc.MALA(energy, 0.3))
    >>> [k.model.beta for k in kernels]
    [1.0, 0.3]
    """
    check_is_model(model, "tempered_kernels")
    return tuple(make_kernel(at_temperature(model, beta)) for beta in betas)


class ParallelTempering:
    """Chains at several temperatures that exchange their positions; the last kernel's is usually the target.

    After each replica has moved by its own kernel, neighbours r, r+1 swap with probability
    min(1, exp(E_r(x_r) + E_{r+1}(x_{r+1}) - E_r(x_{r+1}) - E_{r+1}(x_r))), even pairs first, then odd pairs.
    Leaves Π_r p_r invariant. Positions have shape `(n_replicas, ..., *event_shape)`.
    Source: Geyer (1991); Hukushima & Nemoto (1996).

    Raises `TypeError` for what are no kernels, `ValueError` for fewer than two.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = annealing.GaussianBase((1,))
    >>> kernels = mcmc.tempered_kernels(model, (1.0, 0.3), lambda energy: mcmc.MALA(energy, 0.3))
    >>> mcmc.sample(mcmc.ParallelTempering(kernels), torch.zeros(2, 5, 1).double(), 10, generator=generator).shape
    torch.Size([10, 2, 5, 1])
    """

    def __init__(self, kernels: Sequence[ModelKernel]) -> None:
        if not isinstance(kernels, Sequence):
            raise TypeError(f"kernels must be a sequence, got {type(kernels).__name__}; see tempered_kernels")
        if len(kernels) < 2:
            raise ValueError(f"parallel tempering needs at least two kernels, got {len(kernels)}")
        for kernel in kernels:
            check_is_kernel(kernel, "ParallelTempering")
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
    def step(self, state: State, *, generator: Generator) -> tuple[State, TemperingInfo]:
        """Move every replica once, then try every swap between neighbours once."""
        replicas, infos = [], []
        for kernel, position, energy in zip(self.kernels, state.position, state.energy):
            moved, info = kernel.step(State(position, energy), generator=generator)
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
        swapped = chance.bernoulli(acceptance, generator=generator)
        replicas[first] = State(
            select(swapped, hot.position, cold.position), torch.where(swapped, cold_energy, cold.energy)
        )
        replicas[first + 1] = State(
            select(swapped, cold.position, hot.position), torch.where(swapped, hot_energy, hot.energy)
        )
        return acceptance


def _stack(states: Sequence[Any]) -> State:
    return State(
        torch.stack([state.position for state in states]), torch.stack([state.energy for state in states])
    )
