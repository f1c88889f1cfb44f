"""log Z as an integral over temperatures of the mean energy."""

import math

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit.annealing._chains import Transition, check_ladder, ladder
from ebmkit.annealing._paths import AnnealingPath, resolve_path
from ebmkit.energy import EnergyModel, Estimate
from ebmkit.kernel import State


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

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((2, 2), 0.4)
    >>> estimate = annealing.thermodynamic_integration(model, generator=generator, n_nodes=8, n_chains=32)
    >>> bool(abs(estimate.value - model.exact_log_partition()) < 6 * estimate.error)
    True
    """
    path = resolve_path(model, base)
    check_ladder(n_nodes, n_chains, n_steps, burn_in)
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    betas = [float(beta) for beta in (nodes + 1) / 2]
    _refuse_walls(path, betas[0], n_chains, generator)
    integral = torch.zeros((), dtype=torch.float64)
    for beta, weight, states in zip(
        betas, weights / 2, ladder(path, betas, n_chains, n_steps, burn_in, transition, generator=generator)
    ):
        slopes = sum(_slope(path, beta, state) for state in states)
        integral = integral.to(slopes) + float(weight) * slopes / n_steps
    value = path.base_log_partition() - integral.mean()
    return Estimate(value, integral.std() / math.sqrt(n_chains))


def _slope(path: AnnealingPath, beta: float, state: State) -> Tensor:
    """∂E_β(x)/∂β by a central difference, exact up to rounding where E_β is linear in β; float64."""
    h: float = min(torch.finfo(state.energy.dtype).eps ** (1 / 3), beta, 1 - beta)
    above, below = path.annealed(beta + h), path.annealed(beta - h)
    return (above.energy(state.position) - below.energy(state.position)).double() / (2 * h)


def _refuse_walls(path: AnnealingPath, beta: float, n_chains: int, generator: Generator) -> None:
    """Raise `ValueError` where the base draws what the model forbids: the mass that is lost has no slope."""
    state = torch.Generator(generator.device) if isinstance(generator, Generator) else generator
    if isinstance(generator, Generator):
        state.set_state(generator.get_state())
    energy = path.annealed(beta).energy(path.sample_base(n_chains, generator=state))
    if bool((energy == math.inf).any()):
        raise ValueError(
            f"{int((energy == math.inf).sum())} of {n_chains} draws of the base have infinite energy in the model: "
            "thermodynamic integration needs finite energies; use method='ais' or 'bridge'"
        )
