"""Warm-up: the step size and the masses that a gradient sampler needs, from chains that are then thrown away."""

import math
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor

from ebmkit._checks import check_count
from ebmkit._models import check_is_kernel
from ebmkit.kernel import State
from ebmkit.mcmc._hmc import HMC
from ebmkit.mcmc._langevin import MALA
from ebmkit.mcmc._nuts import NUTS

_TOO_FAR = math.log(1e8)
"""So many times the first step size, in logarithms, the warm-up follows an acceptance that does not fall."""

MassiveKernel = TypeVar("MassiveKernel", HMC, NUTS)
TunableKernel = TypeVar("TunableKernel", HMC, MALA, NUTS)


def adapt_step_size(
    kernel: TunableKernel,
    state: State | Tensor,
    n_steps: int,
    target_acceptance: float = 0.8,
    *,
    generator: Generator,
) -> tuple[TunableKernel, State]:
    """Warm up: find the step size with the wanted mean acceptance by dual averaging.

    Returns the kernel with its step size replaced, and the state reached. The adapting chain is not
    stationary: discard it. Source: Hoffman & Gelman (2014), section 3.2.

    Raises `ValueError` for a target outside (0, 1), and where no step is too large: energies that are flat.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> start = torch.zeros(100, 2, dtype=torch.float64)
    >>> wild = mcmc.MALA(annealing.GaussianBase((2,)), 5.0)
    >>> walk, state = mcmc.adapt_step_size(wild, start, 50, generator=generator)
    >>> walk.step_size < 5
    True
    """
    _check_kind(kernel, (HMC, MALA, NUTS), "adapt_step_size")
    if not 0 < target_acceptance < 1:
        raise ValueError(f"target_acceptance must lie between 0 and 1, got {target_acceptance}")
    check_count("n_steps", n_steps, 1)
    current = state if isinstance(state, State) else kernel.init(state)
    shrinkage, offset, forgetting = 0.05, 10.0, 0.75
    start = math.log(kernel.step_size)
    anchor = start + math.log(10)
    log_step, log_average, mean_error = start, 0.0, 0.0
    for t in range(1, n_steps + 1):
        current, info = replace(kernel, step_size=math.exp(log_step)).step(current, generator=generator)
        error = target_acceptance - float(info.acceptance.mean())
        mean_error += (error - mean_error) / (t + offset)
        log_step = anchor - math.sqrt(t) / shrinkage * mean_error
        weight = t**-forgetting
        log_average = weight * log_step + (1 - weight) * log_average
        if log_step - start > _TOO_FAR:
            raise ValueError(
                f"no step is too large for {type(kernel.model).__name__}: {math.exp(log_step):.3g} was accepted "
                f"with probability {float(info.acceptance.mean()):.3g}; its energy is flat or its density not "
                "normalizable, so give the kernel a step size of your own"
            )
    return replace(kernel, step_size=math.exp(log_average)), current


def warm_up(
    kernel: MassiveKernel,
    state: State | Tensor,
    n_steps: int,
    *,
    generator: Generator,
    target_acceptance: float = 0.8,
) -> tuple[MassiveKernel, State]:
    """Find the masses and the step size: `(kernel, state)` with both replaced, and where the chains then are.

    A sixth of the steps finds a first step size; then the variances over chains and steps, of three stretches each
    twice as long as the one before, become `inverse_mass`, and the step size is found again before and after each.
    The chains are not stationary while they adapt: keep none of these steps. Raises `ValueError` below 20 steps and
    as `adapt_step_size`.
    Source: Stan Reference Manual, "HMC algorithm parameters"; Hoffman & Gelman (2014).

    >>> import torch
    >>> from ebmkit.annealing import GaussianBase
    >>> model = GaussianBase((2,), 0.0, torch.tensor([0.01, 10.0], dtype=torch.float64))
    >>> start, generator = torch.zeros(50, 2, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> kernel, state = warm_up(HMC(model, 0.1), start, 200, generator=generator)
    >>> bool((kernel.inverse_mass.sqrt() / model.scale - 1).abs().max() < 0.1)
    True
    """
    _check_kind(kernel, (HMC, NUTS), "warm_up")
    check_count("n_steps", n_steps, 20)
    kernel, current = adapt_step_size(kernel, state, n_steps // 6, target_acceptance, generator=generator)
    for length in _stretches(n_steps - 2 * (n_steps // 6)):
        kernel, current = adapt_step_size(
            kernel, current, length // 2 + 1, target_acceptance, generator=generator
        )
        variance, current = _variance(kernel, current, length - length // 2, generator)
        mass = torch.as_tensor(kernel.inverse_mass).to(current.position)
        # What did not move in so few draws keeps the mass it had.
        usable = (variance > 0) & variance.to(mass).isfinite()
        kernel = replace(kernel, inverse_mass=torch.where(usable, variance.to(mass), mass))
    return adapt_step_size(kernel, current, n_steps // 6, target_acceptance, generator=generator)


def _check_kind(kernel: Any, kinds: tuple[type, ...], who: str) -> None:
    check_is_kernel(kernel, who)
    if not isinstance(kernel, kinds):
        raise TypeError(
            f"{who} tunes {', '.join(kind.__name__ for kind in kinds)}, and {type(kernel).__name__} has nothing to "
            "tune that it knows of; run it as it is"
        )


def _stretches(n_steps: int) -> list[int]:
    """Three stretches, each twice as long as the one before."""
    return [n_steps // 7, 2 * n_steps // 7, n_steps - n_steps // 7 - 2 * n_steps // 7]


def _variance(kernel: HMC | NUTS, state: State, n_steps: int, generator: Generator) -> tuple[Tensor, State]:
    """The variance of every coordinate over steps and chains, float64, and where the chains end."""
    batch = tuple(range(state.energy.dim()))
    draws = []
    for _ in range(n_steps):
        state, _info = kernel.step(state, generator=generator)
        draws.append(state.position.double())
    x = torch.stack(draws).flatten(0, len(batch))
    return x.var(0) if len(x) >= 10 else torch.zeros_like(x[0]), state
