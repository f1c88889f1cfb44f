"""Metropolis sweeps, colour by colour."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit.ising._model import Ising, check_spins, colour_classes, local_field, require_ising, with_sites
from ebmkit.kernel import Info, State, initial_state


def metropolis_sweep(model: Ising, spins: Tensor, propose: float = 0.9, *, generator: Generator) -> Tensor:
    """One Metropolis sweep: each site, colour by colour, flips with probability propose · min(1, e^{-ΔE}).

    ΔE = 2 s_i · local field. `propose` must be below 1: flipping all that costs no energy makes the sweep run
    in circles (all spins at J = h = 0; on a 4×4 torus without field, diagonal stripes) instead of visiting
    every state. `spins` `(..., n, m)`; returns a new tensor. Source: Metropolis et al. 1953.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> ising.metropolis_sweep(ising.Ising((4, 4), 0.4), torch.ones(10, 4, 4), generator=generator).shape
    torch.Size([10, 4, 4])
    """
    return _metropolis(model, spins, generator, propose)[0]


def _metropolis(model: Ising, spins: Tensor, generator: Generator, propose: float) -> tuple[Tensor, Tensor]:
    """The sweep, and the mean probability `(...)` of accepting a proposed flip."""
    spins = check_spins(model, spins)
    _check_propose(propose)
    accepted = torch.zeros(spins.shape[:-2], dtype=model.field.dtype, device=spins.device)
    for sites in colour_classes(model):
        sites = sites.to(spins.device)
        current = spins.flatten(-2)[..., sites]
        increase = 2 * current * local_field(model, spins).flatten(-2)[..., sites]
        acceptance = torch.exp(-increase.clamp(min=0))
        flipped = chance.bernoulli(propose * acceptance, generator=generator)
        spins = with_sites(spins, sites, torch.where(flipped, -current, current))
        accepted = accepted + acceptance.sum(-1)
    return spins, accepted / math.prod(model.event_shape)


def _check_propose(propose: float) -> None:
    if not 0 < propose < 1:
        raise ValueError(
            f"propose must lie strictly between 0 and 1, got {propose}; at 1 the sweep can cycle"
        )


@dataclass(frozen=True)
class Metropolis:
    """`metropolis_sweep` as a kernel; `acceptance` is the mean over sites.

    >>> import torch
    >>> from ebmkit import ising, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> kernel = ising.Metropolis(ising.Ising((4, 4), 0.4))
    >>> mcmc.sample(kernel, torch.ones(3, 4, 4), 5, generator=generator).shape
    torch.Size([5, 3, 4, 4])
    """

    model: Ising
    propose: float = 0.9

    def __post_init__(self) -> None:
        require_ising(self.model)
        _check_propose(self.propose)

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n, m)`. Raises `ValueError` as `kernel.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One sweep."""
        spins, acceptance = _metropolis(self.model, state.position, generator, self.propose)
        return State(spins, self.model.energy(spins)), Info(
            acceptance, torch.zeros_like(acceptance, dtype=torch.bool)
        )
