"""log Z by Bennett's acceptance ratio, between neighbours on a path and between two samples."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from ebmkit._checks import (
    check_count,
)
from ebmkit._models import check_is_model
from ebmkit.annealing._chains import Transition, as_schedule, check_ladder, ladder
from ebmkit.annealing._paths import AnnealingPath, resolve_path
from ebmkit.energy import EnergyModel, Estimate
from ebmkit.kernel import State


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

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((3, 3), 0.4)
    >>> estimate = annealing.bridge_sampling(model, generator=generator, betas=4)
    >>> bool(abs(estimate.value - model.exact_log_partition()) < 6 * estimate.error)
    True
    """
    path, schedule = resolve_path(model, base), as_schedule(betas)
    check_ladder(len(schedule), n_chains, n_steps, burn_in)
    value, influence = path.base_log_partition(), torch.zeros((), dtype=torch.float64)
    upward: Tensor | None = None
    for k, states in enumerate(
        ladder(path, schedule, n_chains, n_steps, burn_in, transition, generator=generator, walls=True)
    ):
        neighbours = [path.annealed(schedule[j]) if 0 <= j < len(schedule) else None for j in (k - 1, k + 1)]
        down, up = _energy_changes(states, neighbours)
        if upward is not None:
            log_ratio, shift = _bennett(upward, -down)
            value, influence = value + log_ratio, influence.to(shift) + shift
        upward = up
    return Estimate(value, (influence**2).sum().mul(n_chains / (n_chains - 1)).sqrt())


def _energy_changes(
    states: Iterator[State], neighbours: Sequence[EnergyModel | None]
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
    # +∞ up and -∞ across: a draw that the other energy forbids, or came from where this one forbids. Both weigh 0.
    both = torch.cat([upward[upward != math.inf], across[across != -math.inf]])
    if both.numel() == 0 or not bool(both.isfinite().all()):
        wrong = both[~both.isfinite()][0].item() if both.numel() else "inf in all"
        raise ValueError(f"energies along the path must be finite, or inf where x is impossible, got {wrong}")
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

    >>> import torch
    >>> from ebmkit import annealing
    >>> generator = torch.Generator().manual_seed(0)
    >>> narrow, wide = annealing.GaussianBase((1,)), annealing.GaussianBase((1,), scale=2.0)
    >>> draws = [model.sample(500, generator=generator) for model in (narrow, wide)]
    >>> ratio = annealing.bennett_acceptance_ratio(narrow, wide, *draws)
    >>> bool(abs(ratio.value - torch.tensor(2.0).log()) < 6 * ratio.error)
    True
    """
    check_is_model(base, "Bennett's ratio")
    check_is_model(model, "Bennett's ratio")
    n_0, n_1 = len(base_samples), len(model_samples)
    check_count("the number of samples of each energy", min(n_0, n_1), 2)
    upward, across = ((model.energy(x) - base.energy(x)).double() for x in (base_samples, model_samples))
    c = _solve_bennett(upward, across)
    first, second = torch.sigmoid(-upward - c), torch.sigmoid(across + c)
    slope = (first * (1 - first)).sum() + (second * (1 - second)).sum()
    variance = (n_0 * first.var() + n_1 * second.var()) / slope**2
    return Estimate(c + math.log(n_1 / n_0), variance.sqrt())
