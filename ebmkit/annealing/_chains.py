"""Chains that walk along a path of energies, whatever is then made of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from numbers import Integral

import torch
from torch import Generator, Tensor

from ebmkit._checks import check_count
from ebmkit.annealing._paths import AnnealingPath
from ebmkit.energy import EnergyModel
from ebmkit.kernel import ModelKernel, State
from ebmkit.mcmc import HMC, Gibbs

Transition = Callable[[EnergyModel], ModelKernel]
"""Makes the kernel that moves the chains at one temperature, for example `lambda e: HMC(e, 0.1)`."""


def default_transition(energy: EnergyModel) -> ModelKernel:
    if energy.values is not None or hasattr(energy, "gibbs_step"):
        return Gibbs(energy)
    return HMC(energy, step_size=0.2, n_leapfrog=10)


def as_schedule(betas: int | Sequence[float] | Tensor) -> list[float]:
    """Inverse temperatures from 0 to 1; an int asks for so many equal steps."""
    if isinstance(betas, Integral):
        steps = check_count("betas", int(betas), 1)
        return [k / steps for k in range(steps + 1)]
    if isinstance(betas, str | float):
        raise TypeError(f"betas must be a whole number of steps, or numbers from 0 to 1, got {betas!r}")
    schedule = [float(beta) for beta in betas]  # type: ignore[union-attr]
    if len(schedule) < 2 or schedule[0] != 0 or schedule[-1] != 1:
        raise ValueError(f"betas must run from 0 to 1, got {schedule[:1]} to {schedule[-1:]}")
    if not all(later > earlier for earlier, later in pairwise(schedule)):
        raise ValueError("betas must increase strictly from 0 to 1")
    return schedule


def check_ladder(n_temperatures: int, n_chains: int, n_steps: int, burn_in: int) -> None:
    check_count("the number of temperatures", n_temperatures, 1)
    check_count("n_chains", n_chains, 2)
    check_count("n_steps", n_steps, 1)
    check_count("burn_in", burn_in, 0)


def ladder(
    path: AnnealingPath,
    betas: Sequence[float],
    n_chains: int,
    n_steps: int,
    burn_in: int,
    transition: Transition | None,
    walls: bool = False,
    *,
    generator: Generator,
) -> Iterator[Iterator[State]]:
    """At every temperature in turn, the states of `n_steps` steps; each iterator must be used up in order.

    With `walls`, chains that stand where the next energy is infinite start over from some that do not.
    """
    make_kernel = transition or default_transition
    position = path.sample_base(n_chains, generator=generator)

    def steps(kernel: ModelKernel) -> Iterator[State]:
        nonlocal position
        if walls:
            position = _inside(kernel.model, position)
        state = kernel.init(position)
        for index in range(burn_in + n_steps):
            state, _ = kernel.step(state, generator=generator)
            position = state.position
            if index >= burn_in:
                yield state

    for beta in betas:
        yield steps(make_kernel(path.annealed(beta)))


def _inside(model: EnergyModel, position: Tensor) -> Tensor:
    """The positions, those that are impossible replaced by possible ones in turn, if there are any."""
    impossible = model.energy(position) == math.inf
    inside = (~impossible).nonzero()[:, 0]
    if len(inside) in (0, len(position)):
        return position
    outside = impossible.nonzero()[:, 0]
    position = position.clone()
    position[outside] = position[inside[torch.arange(len(outside), device=inside.device) % len(inside)]]
    return position
