"""Simulated annealing: cool a chain slowly, and keep the best state it met."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor

from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import ModelKernel, State, initial_state
from ebmkit.mcmc._gibbs import Gibbs
from ebmkit.mcmc._moves import select
from ebmkit.mcmc._tempering import at_temperature


@torch.no_grad()
def simulated_annealing(
    model: EnergyModel,
    position: Tensor,
    betas: Sequence[float] | Tensor,
    *,
    generator: Generator,
    make_kernel: Callable[[EnergyModel], ModelKernel] = Gibbs,
) -> State:
    """The state of lowest energy that each chain meets while it is cooled, with its energy.

    One step of `make_kernel(energy)` at each inverse temperature of `betas`, at β E(x). As slowly as
    β = log(1 + t) / Δ it ends at a minimum with probability 1; faster, with luck: run many chains.

    Parameters
    ----------
    position:
        Where to start, `(..., *event_shape)`.
    betas:
        Inverse temperatures, from hot to cold; a temperature is 1/β. Not negative, and not falling.

    Returns a `State`: `position` `(..., *event_shape)` and `energy` `(...)`, of the model and not of β E.
    Raises `ValueError` for betas that are not such. Source: Kirkpatrick, Gelatt & Vecchi (1983); Hajek (1988).

    >>> from ebmkit.graphs import GraphIsing, map_by_elimination
    >>> model = GraphIsing([(0, 1), (1, 2), (0, 2)], [-1.0, -0.8, -0.5], 0.1)
    >>> found = simulated_annealing(
    ...     model, torch.ones(20, 3), torch.linspace(0.1, 5, 50), generator=torch.Generator().manual_seed(0)
    ... )
    >>> bool(found.energy.min() == model.energy(map_by_elimination(model)))
    True
    """
    check_is_model(model, "simulated annealing")
    schedule = [float(beta) for beta in betas]
    if not schedule or not schedule[0] >= 0 or not all(a <= b for a, b in pairwise(schedule)):
        raise ValueError(
            f"betas must be one or more numbers from hot to cold, 0 ≤ β_1 ≤ β_2 ≤ …, got {schedule[:4]}"
        )
    best = initial_state(model, position)
    x = best.position
    for beta in schedule:
        kernel = make_kernel(at_temperature(model, beta))
        x = kernel.step(kernel.init(x), generator=generator)[0].position
        energy = model.energy(x)
        better = energy < best.energy
        best = State(select(better, x, best.position), torch.where(better, energy, best.energy))
    return best
