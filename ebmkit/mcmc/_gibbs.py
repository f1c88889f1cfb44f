"""Gibbs sampling: coordinates, or whole blocks, redrawn from their conditionals."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State, initial_state
from ebmkit.mcmc._moves import flat_events, moved, require_values, values_like


@dataclass(frozen=True, eq=False)
class Gibbs:
    """Redraw x from its conditionals: `model.gibbs_step` where the model has one, else site by site.

    The general sweep visits the coordinates in order and draws x_i ~ p(x_i | x_{-i}) ∝ exp(-E(x)) from the
    energies of all values, so it needs `model.values`. It leaves p invariant but, as every sweep in a fixed
    order, is not reversible. Source: Geman & Geman (1984).

    >>> import torch
    >>> from ebmkit import ising, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> mcmc.sample(mcmc.Gibbs(ising.Ising((4, 4), 0.4)), torch.ones(10, 4, 4), 3, generator=generator).shape
    torch.Size([3, 10, 4, 4])
    """

    model: EnergyModel

    def __post_init__(self) -> None:
        check_is_model(self.model, "Gibbs")
        if not hasattr(self.model, "gibbs_step"):
            require_values(self.model, "Gibbs without model.gibbs_step")

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One sweep over all coordinates of every chain."""
        gibbs_step: Callable[..., Tensor] | None = getattr(self.model, "gibbs_step", None)
        if gibbs_step is None:
            return _single_site_sweep(self.model, state, generator)
        proposal = gibbs_step(state.position, generator=generator)
        energy = self.model.energy(proposal)
        usable = energy.isfinite()
        return moved(usable, proposal, energy, state), Info(torch.ones_like(energy), ~usable)


def _single_site_sweep(model: EnergyModel, state: State, generator: Generator) -> tuple[State, Info]:
    x = state.position.clone(memory_format=torch.contiguous_format)
    flat = flat_events(x, model)  # a view of x: writing to it moves the chains
    energy = state.energy
    divergent = torch.zeros_like(energy, dtype=torch.bool)
    values = values_like(model, x)
    for site in range(flat.shape[-1]):
        energies = _conditional_energies(model, x, flat, site, values)
        # An energy of +inf only forbids a value; anything else that is not finite leaves the site alone.
        broken = (energies.isnan() | (energies == -math.inf)).any(-1) | (energies == math.inf).all(-1)
        current = flat[..., site, None] == values
        energies = torch.where(broken[..., None], torch.where(current, 0.0, math.inf), energies)
        choice = chance.categorical(torch.softmax(-energies, -1), generator=generator)
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
