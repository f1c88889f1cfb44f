"""Chains that walk along a path of energies, whatever is then made of them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

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
    if isinstance(betas, int):
        check_count("betas", betas, 1)
        return [k / betas for k in range(betas + 1)]
    schedule = [float(beta) for beta in betas]
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
    generator: Generator,
    transition: Transition | None,
) -> Iterator[Iterator[State]]:
    """At every temperature in turn, the states of `n_steps` steps; each iterator must be used up in order."""
    make_kernel = transition or default_transition
    position = path.sample_base(n_chains, generator)

    def steps(kernel: ModelKernel) -> Iterator[State]:
        nonlocal position
        state = kernel.init(position)
        for index in range(burn_in + n_steps):
            state, _ = kernel.step(state, generator)
            position = state.position
            if index >= burn_in:
                yield state

    for beta in betas:
        yield steps(make_kernel(path.annealed(beta)))
