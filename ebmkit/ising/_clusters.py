"""Cluster updates: Swendsen and Wang's, and Wolff's."""

import math
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._threads import as_many_threads_as_torch
from ebmkit.ising._engines import compiled
from ebmkit.ising._model import Ising, check_spins, require_ising
from ebmkit.kernel import Info, State, initial_state


def swendsen_wang(model: Ising, spins: Tensor, *, generator: Generator) -> Tensor:
    """One Swendsen–Wang update: bonds freeze, the clusters they tie together are flipped independently.

    A bond with J s_i s_j > 0 freezes with probability 1 - e^{-2 J s_i s_j}; a cluster C flips with
    probability σ(-2 Σ_{i∈C} h_i s_i), which is ½ without field. Reversible, for couplings of any sign, though
    frustration slows it. `spins` `(..., n, m)`; returns a new tensor. On a processor with numba the update is
    compiled, a thread a chain, and bonds freeze with their probability to within 2^-33.
    Source: Swendsen & Wang 1987.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> ising.swendsen_wang(ising.Ising((4, 4), 0.4), torch.ones(10, 4, 4), generator=generator).shape
    torch.Size([10, 4, 4])
    """
    spins = check_spins(model, spins)
    kernels = compiled()
    if kernels is not None and isinstance(generator, Generator) and spins.is_cpu and model.field.is_cpu:
        return _compiled_update(kernels, model, spins, generator)
    frozen = chance.bernoulli(_freezing_probability(model, spins), generator=generator)
    root = _cluster_roots(frozen[..., 0, :, :], frozen[..., 1, :, :])
    heads = torch.full_like(root, 0.5, dtype=model.field.dtype)
    if bool(model.field.any()):
        pull = (model.field * spins).flatten(-2)
        heads = torch.sigmoid(-2 * torch.zeros_like(pull).scatter_add(-1, root, pull))
    is_root = root == torch.arange(root.shape[-1], device=root.device)
    # One coin a cluster, tossed at its root; the other sites have probability 0 and copy it.
    coin = chance.bernoulli(heads * is_root, generator=generator)
    flipped = coin.gather(-1, root).reshape(spins.shape)
    return torch.where(flipped, -spins, spins)


def _compiled_update(kernels: ModuleType, model: Ising, spins: Tensor, generator: Generator) -> Tensor:
    """The same, chain by chain: a compiled kernel draws bonds and coins, and finds the clusters."""
    coupling = torch.stack([model.horizontal, model.vertical]).detach().double()
    limits = torch.round(-torch.expm1(-2 * coupling.abs()) * 2**32) * coupling.sign()
    field = model.field.detach().double().flatten()
    flipped = torch.empty(spins.shape, dtype=torch.int8).copy_(spins)
    n_chains = math.prod(spins.shape[:-2])
    words = chance.words(n_chains, 4, generator=generator)
    with as_many_threads_as_torch():
        kernels.cluster_updates(
            flipped.view(n_chains, *model.event_shape).numpy(),
            *limits.long().numpy(),
            field[: len(field) if field.any() else 0].numpy(),
            words.view(torch.uint64).numpy(),
        )
    return flipped.to(spins.dtype)


def _freezing_probability(model: Ising, spins: Tensor) -> Tensor:
    """1 - exp(-2 max(0, J s_i s_j)) of the bonds to the right and down of each site; `(..., 2, n, m)`."""
    coupling = torch.stack([model.horizontal, model.vertical])
    alike = torch.stack([spins * spins.roll(-1, -1), spins * spins.roll(-1, -2)], -3)
    satisfied = (alike > 0) == (coupling > 0)
    return torch.where(satisfied, -torch.expm1(-2 * coupling.abs()), 0.0)


def _cluster_roots(right: Tensor, down: Tensor) -> Tensor:
    """For every site the smallest flat index in its cluster; `right`, `down` `(..., n, m)` are frozen bonds.

    Sites take the smallest label among frozen neighbours, then that label's label, until nothing changes.
    """
    n, m = right.shape[-2:]
    label = torch.arange(n * m, device=right.device).expand(*right.shape[:-2], n * m)
    while True:
        grid = label.reshape(right.shape)
        lowest = grid
        for bond, axis in ((right, -1), (down, -2)):
            ahead = torch.where(bond, grid.roll(-1, axis), grid)
            behind = torch.where(bond.roll(1, axis), grid.roll(1, axis), grid)
            lowest = torch.minimum(lowest, torch.minimum(ahead, behind))
        lowered = lowest.flatten(-2)
        lowered = lowered.gather(-1, lowered)
        if torch.equal(lowered, label):
            return label
        label = lowered


def wolff(model: Ising, spins: Tensor, *, generator: Generator) -> Tensor:
    """One Wolff update: grow the cluster of a random site over freezing bonds, and flip it.

    Bonds freeze as in `swendsen_wang`; the flip is accepted with probability min(1, exp(-2 Σ_{i∈C} h_i s_i)),
    always without field. Reversible. `spins` `(..., n, m)`; returns a new tensor. Source: Wolff 1989.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> ising.wolff(ising.Ising((4, 4), 0.4), torch.ones(10, 4, 4), generator=generator).shape
    torch.Size([10, 4, 4])
    """
    return _wolff(model, spins, generator)[0]


def _wolff(model: Ising, spins: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The update, and the probability `(...)` with which its flip was accepted."""
    spins = check_spins(model, spins)
    cluster = _grow_cluster(_freezing_probability(model, spins), generator)
    pull = (model.field * spins * cluster).sum((-2, -1))
    acceptance = torch.exp(-2 * pull.clamp(min=0))
    accepted = chance.bernoulli(acceptance, generator=generator)
    return torch.where(cluster & accepted[..., None, None], -spins, spins), acceptance


def _grow_cluster(freezing: Tensor, generator: Generator) -> Tensor:
    """The sites reached from a uniformly chosen one when each bond freezes with its probability; bool."""
    n, m = freezing.shape[-2:]
    right, down = freezing.unbind(-3)
    # Toward the right, left, lower and upper neighbour of each site.
    outward = torch.stack([right, right.roll(1, -1), down, down.roll(1, -2)], -3)
    uniform = torch.full(
        (*freezing.shape[:-3], n * m), 1 / (n * m), dtype=freezing.dtype, device=freezing.device
    )
    seed = chance.categorical(uniform, generator=generator)
    cluster = torch.nn.functional.one_hot(seed, n * m).bool().reshape(*seed.shape, n, m)
    frontier = cluster
    while frontier.any():
        outside = ~cluster
        open_to = torch.stack([outside.roll(s, a) for s, a in ((-1, -1), (1, -1), (-1, -2), (1, -2))], -3)
        frozen = chance.bernoulli(outward * (frontier[..., None, :, :] & open_to), generator=generator)
        to_right, to_left, to_below, to_above = frozen.unbind(-3)
        reached = to_right.roll(1, -1) | to_left.roll(-1, -1) | to_below.roll(1, -2) | to_above.roll(-1, -2)
        frontier = reached & outside
        cluster = cluster | frontier
    return cluster


@dataclass(frozen=True)
class SwendsenWang:
    """`swendsen_wang` as a kernel; it accepts every update.

    >>> import torch
    >>> from ebmkit import ising, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> kernel = ising.SwendsenWang(ising.Ising((4, 4), 0.4))
    >>> mcmc.sample(kernel, torch.ones(3, 4, 4), 5, generator=generator).shape
    torch.Size([5, 3, 4, 4])
    """

    model: Ising

    def __post_init__(self) -> None:
        require_ising(self.model)

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n, m)`. Raises `ValueError` as `kernel.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One update of all clusters."""
        spins = swendsen_wang(self.model, state.position, generator=generator)
        energy = self.model.energy(spins)
        return State(spins, energy), Info(torch.ones_like(energy), torch.zeros_like(energy, dtype=torch.bool))


@dataclass(frozen=True)
class Wolff:
    """`wolff` as a kernel; `acceptance` is below 1 only with a field.

    >>> import torch
    >>> from ebmkit import ising, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> kernel = ising.Wolff(ising.Ising((4, 4), 0.4))
    >>> mcmc.sample(kernel, torch.ones(3, 4, 4), 5, generator=generator).shape
    torch.Size([5, 3, 4, 4])
    """

    model: Ising

    def __post_init__(self) -> None:
        require_ising(self.model)

    def init(self, position: Tensor) -> State:
        """Start at spins `(..., n, m)`. Raises `ValueError` as `kernel.initial_state` does."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One cluster grown and flipped."""
        spins, acceptance = _wolff(self.model, state.position, generator)
        return State(spins, self.model.energy(spins)), Info(
            acceptance, torch.zeros_like(acceptance, dtype=torch.bool)
        )
