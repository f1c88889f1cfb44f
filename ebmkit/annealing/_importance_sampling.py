"""Annealed importance sampling, from the base to the model and back."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit._checks import (
    check_count,
)
from ebmkit.annealing._chains import Transition, as_schedule, default_transition
from ebmkit.annealing._paths import AnnealingPath, resolve_path
from ebmkit.annealing._weights import log_mean_weight
from ebmkit.energy import EnergyModel, Estimate


class AnnealedRun(NamedTuple):
    """What a run of annealing leaves: the weight of each chain and where it ended.

    `log_weights` is `(n_chains,)`; its log-mean-exp estimates log Z (forward) or -log Z (reverse). `position` is
    `(n_chains, *event_shape)`, weighted draws of the energy at the end.

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> run = annealing.anneal(ising.Ising((2, 2), 0.4), generator=generator, betas=10, n_chains=5)
    >>> run.log_weights.shape, run.position.shape
    (torch.Size([5]), torch.Size([5, 2, 2]))
    """

    log_weights: Tensor
    position: Tensor


class Bracket(NamedTuple):
    """Stochastic bounds on log Z: each is wrong by more than δ nats with probability at most e^-δ.

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((2, 2), 0.4)
    >>> draws = ising.exact_sample(model, 200, generator=generator)
    >>> bracket = annealing.ais_bracket(model, draws, generator=generator, betas=20)
    >>> bool(abs(bracket.lower.value - bracket.upper.value) < 0.2)
    True
    """

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

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> run = annealing.anneal(ising.Ising((2, 2), 0.4), generator=generator, betas=50, n_chains=8)
    >>> run.log_weights.shape, run.position.shape
    (torch.Size([8]), torch.Size([8, 2, 2]))
    """
    path, schedule = resolve_path(model, base), as_schedule(betas)
    check_count("n_chains", n_chains, 2)
    position = path.sample_base(n_chains, generator=generator)
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

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((2, 2), 0.4)
    >>> draws = ising.exact_sample(model, 20, generator=generator)
    >>> annealing.reverse_anneal(model, draws, generator=generator, betas=10).log_weights.shape
    torch.Size([20])
    """
    path, schedule = resolve_path(model, base), as_schedule(betas)
    check_count("the number of samples", len(samples), 2)
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

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((3, 3), 0.4)
    >>> estimate = annealing.annealed_importance_sampling(model, generator=generator, betas=50)
    >>> bool(abs(estimate.value - model.exact_log_partition()) < 6 * estimate.error)
    True
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
    """log Z as minus the log of the mean weight of `reverse_anneal`; a high estimate on average.

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((3, 3), 0.4)
    >>> draws = ising.exact_sample(model, 200, generator=generator)
    >>> estimate = annealing.reverse_annealed_importance_sampling(model, draws, generator=generator, betas=50)
    >>> bool(abs(estimate.value - model.exact_log_partition()) < 6 * estimate.error)
    True
    """
    run = reverse_anneal(model, samples, base, generator=generator, betas=betas, transition=transition)
    inverse = log_mean_weight(run.log_weights)
    return Estimate(-inverse.value, inverse.error)


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

    >>> import torch
    >>> from ebmkit import annealing, ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((3, 3), 0.4)
    >>> draws = ising.exact_sample(model, 200, generator=generator)
    >>> lower, upper = annealing.ais_bracket(model, draws, generator=generator, betas=50)
    >>> exact = model.exact_log_partition()
    >>> bool(lower.value - 0.2 < exact < upper.value + 0.2)
    True
    """
    resolve_path(model, base)  # says what is wrong with it before anything else is looked at
    lower = annealed_importance_sampling(
        model, base, generator=generator, betas=betas, n_chains=len(samples), transition=transition
    )
    upper = reverse_annealed_importance_sampling(
        model, samples, base, generator=generator, betas=betas, transition=transition
    )
    return Bracket(lower, upper)


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
            position, change = shared(position, before, after, generator=generator)
            yield change, position
        return
    make_kernel = transition or default_transition
    state = make_kernel(path.annealed(betas[0])).init(position)
    for beta in betas[1:]:
        kernel = make_kernel(path.annealed(beta))
        energy = kernel.model.energy(state.position)
        change = state.energy - energy
        state, _ = kernel.step(state._replace(energy=energy), generator=generator)
        yield change, state.position
