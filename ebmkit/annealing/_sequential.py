"""Sequential Monte Carlo: annealed chains that are resampled, at temperatures they choose themselves."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import check_count
from ebmkit.annealing._chains import Transition, as_schedule, default_transition
from ebmkit.annealing._paths import AnnealingPath, resolve_path
from ebmkit.energy import EnergyModel, Estimate

_HALVINGS = 30
"""Of the interval in which the next temperature lies: to 10^-9 of it."""


class Particles(NamedTuple):
    """What sequential Monte Carlo leaves: log Z, draws, and the temperatures it chose.

    `position` is `(n_chains, *event_shape)`, equally weighted draws of the model; `betas` are the inverse
    temperatures that were taken, 0 and 1 included.

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> found = annealing.sequential_monte_carlo(ising.Ising((2, 2), 0.4), generator=generator, n_chains=50)
    >>> found.position.shape, found.betas[-1]
    (torch.Size([50, 2, 2]), 1.0)
    """

    log_partition: Estimate
    position: Tensor
    betas: list[float]


@torch.no_grad()
def sequential_monte_carlo(
    model: EnergyModel | AnnealingPath,
    base: EnergyModel | None = None,
    *,
    generator: Generator,
    n_chains: int = 1000,
    betas: int | Sequence[float] | Tensor | None = None,
    share: float = 0.9,
    n_moves: int = 1,
    transition: Transition | None = None,
) -> Particles:
    """Draws of the model and its log Z by annealing with resampling, from the base to the model.

        log Ẑ = log Z_0 + Σ_k log (1/n) Σ_i w_k(x_i),   w_k = exp(E_{k-1} - E_k)

    After each weighting chains are drawn anew in proportion to their weights and make `n_moves` steps of
    `transition(energy)`, as in `anneal`, which explains the other arguments. The next β is the largest at which the
    weights still have an effective share (Σw)² / nΣw² of `share`; or give `betas`, with which E[Ẑ] = Z exactly.
    its `error` is estimated from how many chains descend from one of the first. Raises `ValueError` where all
    weights become zero. Source: Del Moral, Doucet & Jasra (2006); the error: Lee & Whiteley (2018).

    >>> from ebmkit.graphs import GraphIsing
    >>> ring = GraphIsing([(i, (i + 1) % 20) for i in range(20)], 0.8)
    >>> found = sequential_monte_carlo(ring, generator=torch.Generator().manual_seed(0))
    >>> value, error, _ = found.log_partition
    >>> bool((value - ring.exact_log_partition()).abs() < 6 * error)
    True
    """
    path = resolve_path(model, base)
    check_count("n_chains", n_chains, 2)
    check_count("n_moves", n_moves, 1)
    if not 0 < share < 1:
        raise ValueError(
            f"share must lie between 0 and 1, got {share}; 0.9 takes small steps, 0.5 large ones"
        )
    schedule = None if betas is None else as_schedule(betas)
    make_kernel = transition or default_transition
    x = path.sample_base(n_chains, generator=generator)
    family, log_z, spread, taken = torch.arange(n_chains, device=x.device), 0.0, 0.0, [0.0]
    while taken[-1] < 1:
        before = path.annealed(taken[-1]).energy(x)
        beta = schedule[len(taken)] if schedule else _next(path, x, before, taken[-1], share)
        taken.append(beta)
        log_w = _log_weights(before, path.annealed(beta), x)
        log_z += float(log_w.logsumexp(0)) - math.log(n_chains)
        if log_z == -math.inf:
            raise ValueError(
                f"every weight is zero at beta = {beta:.3g}: no chain stands where the model has mass; take more "
                "chains, or a base that reaches there"
            )
        p = log_w.softmax(0)
        spread += float((n_chains * p - 1).square().mean()) / n_chains
        parents = torch.searchsorted(p.cumsum(0), chance.uniform(p, generator=generator)).clamp(
            max=n_chains - 1
        )
        x, family = x[parents], family[parents]
        kernel = make_kernel(path.annealed(beta))
        state = kernel.init(x)
        for _ in range(n_moves):
            state, _info = kernel.step(state, generator=generator)
        x = state.position
    value = path.base_log_partition().detach().double() + log_z
    variance = max(_variance(family, len(taken) - 1), spread)
    return Particles(Estimate(value, value.new_tensor(math.sqrt(variance))), x, taken)


def _log_weights(before: Tensor, energy: EnergyModel, x: Tensor) -> Tensor:
    """log w of every chain, float64; -∞ where the next energy is infinite."""
    return (before - energy.energy(x)).double()


def _next(path: AnnealingPath, x: Tensor, before: Tensor, beta: float, share: float) -> float:
    """The largest next β that keeps the share, by halving; it is always a little further."""

    def kept(candidate: float) -> bool:
        p = _log_weights(before, path.annealed(candidate), x).softmax(0)
        return float(1 / (len(p) * p.square().sum())) >= share

    if kept(1.0):
        return 1.0
    low, high = beta, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low if low > beta else high


def _variance(family: Tensor, n_steps: int) -> float:
    """The relative variance of Ẑ from how many of n chains have each first ancestor.

    1 - (n / (n-1))^(T+1) (1 - Σ_k (c_k / n)²), with T resamplings; it is without bias, and may be negative.
    """
    n = len(family)
    shares = torch.bincount(family, minlength=n).double() / n
    apart = 1 - float(shares.square().sum())
    return 1 - (n / (n - 1)) ** (n_steps + 1) * apart
