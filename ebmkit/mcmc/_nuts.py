"""The no-U-turn sampler: trajectories that end where they would turn back, so that nobody chooses their length."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import check_count, check_positive
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Slope, State, initial_state
from ebmkit.mcmc._hmc import DIVERGENCE_THRESHOLD, check_mass
from ebmkit.mcmc._moves import flat_events, look, require_gradient, select, with_slope


class NUTSInfo(NamedTuple):
    """What a step did: `acceptance`, `divergent` and `n_leapfrog`, the number of leapfrog steps; each `(...)`.

    `acceptance` is the mean over these steps of min(1, exp(H_0 - H)), which warm-up aims at.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> nuts = mcmc.NUTS(annealing.GaussianBase((2,)), 0.5)
    >>> _, info = nuts.step(nuts.init(torch.zeros(4, 2).double()), generator=generator)
    >>> info.n_leapfrog.shape
    torch.Size([4])
    """

    acceptance: Tensor
    divergent: Tensor
    n_leapfrog: Tensor


class _Point(NamedTuple):
    """A place on a trajectory: each `(n_chains, n_coordinates)`."""

    x: Tensor
    momentum: Tensor
    score: Tensor


class _Tree(NamedTuple):
    """A stretch of trajectory: its ends, what was chosen from it, and what it weighs; `(n_chains,)` unless said."""

    left: _Point
    right: _Point
    chosen: _Point
    chosen_energy: Tensor
    log_weight: Tensor
    momentum_sum: Tensor  # (n_chains, n_coordinates)
    turning: Tensor
    divergent: Tensor


class _Steps(NamedTuple):
    """Sums over all leapfrog steps of a chain: of their acceptance, and their number; `(n_chains,)`."""

    acceptance: Tensor
    number: Tensor


@dataclass(frozen=True, eq=False)
class NUTS:
    """The no-U-turn sampler: double a trajectory forward or backward until its ends move towards each other.

    p ~ N(0, M), H(x, p) = E(x) + ½ pᵀM⁻¹p; a state of the trajectory is chosen with probability ∝ e^{-H}, the newer
    half preferred. At most 2^`max_depth` - 1 leapfrog steps are taken; a chain that has turned waits for those that
    have not. `inverse_mass` as in `HMC`. Reversible.
    Source: Hoffman & Gelman (2014); Betancourt, "A conceptual introduction to Hamiltonian Monte Carlo" (2017), A.3.

    >>> import torch
    >>> from ebmkit.annealing import GaussianBase
    >>> from ebmkit.mcmc import sample
    >>> generator = torch.Generator().manual_seed(0)
    >>> start = torch.zeros(10, 2, dtype=torch.float64)
    >>> draws = sample(NUTS(GaussianBase((2,)), 0.8), start, 20, generator=generator)
    >>> draws.shape
    torch.Size([20, 10, 2])
    """

    model: EnergyModel
    step_size: float
    max_depth: int = 10
    inverse_mass: float | Tensor = 1.0

    def __post_init__(self) -> None:
        require_gradient(self.model, "NUTS")
        check_positive("step_size", self.step_size)
        check_count("max_depth", self.max_depth, 1)
        check_mass(self)

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, NUTSInfo]:
        """One trajectory for every chain."""
        state, score = with_slope(self.model, state)
        assert state.slope is not None
        batch = state.energy.shape
        dynamics = _Dynamics(self, state.position)
        noise = chance.normal(state.position, generator=generator)
        start = _Point(*(dynamics.flat(part) for part in (state.position, noise, score)))
        start = start._replace(momentum=start.momentum / dynamics.inverse_mass**0.5)
        energy = state.energy.reshape(-1)
        steps = _Steps(torch.zeros_like(energy), torch.zeros_like(energy, dtype=torch.int64))
        tree, steps = _trajectory(dynamics, start, energy, steps, self.max_depth, generator)
        slope = Slope(self.model, tree.chosen.score.reshape(state.position.shape), state.slope.versions)
        position = tree.chosen.x.reshape(state.position.shape)
        acceptance = (steps.acceptance / steps.number.clamp(min=1)).clamp(max=1.0)
        return State(position, tree.chosen_energy.reshape(batch), slope), NUTSInfo(
            acceptance.reshape(batch), tree.divergent.reshape(batch), steps.number.reshape(batch)
        )


class _Dynamics:
    """Hamilton's equations of a kernel, with every chain a row."""

    def __init__(self, kernel: NUTS, position: Tensor) -> None:
        self.model, self.step_size = kernel.model, kernel.step_size
        event = kernel.model.event_shape
        self._shape = (math.prod(position.shape[: position.dim() - len(event)]), *event)
        mass = torch.as_tensor(kernel.inverse_mass).to(position)
        self.inverse_mass = mass.expand(event).reshape(-1) if event else mass.reshape(-1)

    def flat(self, x: Tensor) -> Tensor:
        """Every chain a row; `(n_chains, n_coordinates)`."""
        return flat_events(x, self.model).reshape(self._shape[0], -1)

    def leapfrog(self, point: _Point, direction: Tensor) -> tuple[_Point, Tensor]:
        """One step forward or backward, and the energy where it leads; `direction` ±1, `(n_chains,)`."""
        step = self.step_size * direction[:, None].to(point.x)
        momentum = point.momentum + 0.5 * step * point.score
        x = point.x + step * self.inverse_mass * momentum
        there = look(self.model, x.reshape(self._shape))
        score = self.flat(there.score)
        return _Point(x, momentum + 0.5 * step * score, score), there.energy.reshape(-1)

    def kinetic(self, momentum: Tensor) -> Tensor:
        return 0.5 * (self.inverse_mass * momentum**2).sum(-1)

    def turns(self, first: Tensor, last: Tensor, momentum_sum: Tensor) -> Tensor:
        """Whether the ends of a stretch with these momenta move towards each other; `(n_chains,)`."""
        across = momentum_sum - 0.5 * (first + last)
        ends = (self.inverse_mass * first * across).sum(-1), (self.inverse_mass * last * across).sum(-1)
        return (ends[0] <= 0) | (ends[1] <= 0)


def _trajectory(
    dynamics: _Dynamics, start: _Point, energy: Tensor, steps: _Steps, max_depth: int, generator: Generator
) -> tuple[_Tree, _Steps]:
    """Doubles the trajectory of each chain until it turns or diverges."""
    never = torch.zeros_like(energy, dtype=torch.bool)
    total = energy + dynamics.kinetic(start.momentum)
    tree = _Tree(start, start, start, energy, torch.zeros_like(energy), start.momentum, never, never)
    for depth in range(max_depth):
        going = ~(tree.turning | tree.divergent)
        if not bool(going.any()):
            break
        forward = chance.bernoulli(torch.full_like(energy, 0.5), generator=generator)
        end = _select_point(forward, tree.right, tree.left)
        new, steps = _subtree(dynamics, end, forward, depth, total, going, steps, generator)
        tree = _joined(dynamics, tree, new, forward, going, generator)
    return tree, steps


def _subtree(
    dynamics: _Dynamics,
    end: _Point,
    forward: Tensor,
    depth: int,
    total: Tensor,
    going: Tensor,
    steps: _Steps,
    generator: Generator,
) -> tuple[_Tree, _Steps]:
    """2^depth steps on from one end; a chain stops where a stretch of it turns, or where it diverges.

    Of the stretches that are branches of a balanced tree, a step that is the last of some is compared with their
    first, whose momenta are kept: one a level. Source: Phan, Pradhan & Jankowiak (2019); Lao & Dillon (2019).
    """
    direction = 2.0 * forward.to(total) - 1
    point, tree, first = end, None, end
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    for leaf in range(2**depth):
        active = going if tree is None else going & ~(tree.turning | tree.divergent)
        if tree is not None and not bool(active.any()):
            break
        moved, energy = dynamics.leapfrog(point, direction)
        point = _select_point(active, moved, point)
        change = energy + dynamics.kinetic(moved.momentum) - total
        usable = moved.x.isfinite().all(-1) & change.isfinite() & (change <= DIVERGENCE_THRESHOLD)
        log_weight = torch.where(usable, -change, -math.inf)
        steps = _Steps(
            steps.acceptance + torch.where(active, log_weight.clamp(max=0).exp(), 0.0),
            steps.number + active,
        )
        divergent = active & ~usable
        if tree is None:
            tree = _Tree(point, point, point, energy, log_weight, moved.momentum, ~going, divergent)
            first = point
        else:
            tree = _with_leaf(tree, point, energy, log_weight, active & usable, divergent, generator)
        level = (leaf >> 1).bit_count()
        if leaf % 2 == 0:
            kept[level] = (point.momentum, tree.momentum_sum)
        else:
            stretches = (~leaf & (leaf + 1)).bit_length() - 1
            for earlier in range(level, level - stretches, -1):
                momentum, sum_then = kept[earlier]
                between = tree.momentum_sum - sum_then + momentum
                turns = dynamics.turns(momentum, point.momentum, between)
                tree = tree._replace(turning=tree.turning | (active & turns))
    assert tree is not None
    left, right = _select_point(forward, first, point), _select_point(forward, point, first)
    return tree._replace(left=left, right=right), steps


def _with_leaf(
    tree: _Tree,
    point: _Point,
    energy: Tensor,
    log_weight: Tensor,
    usable: Tensor,
    divergent: Tensor,
    generator: Generator,
) -> _Tree:
    """The stretch with one more point, which is chosen with its share of the weight."""
    together = torch.logaddexp(tree.log_weight, log_weight)
    share = (log_weight - together).exp().nan_to_num(0.0) * usable
    chosen = chance.bernoulli(share, generator=generator)
    return tree._replace(
        chosen=_select_point(chosen, point, tree.chosen),
        chosen_energy=torch.where(chosen, energy, tree.chosen_energy),
        log_weight=torch.where(usable, together, tree.log_weight),
        momentum_sum=select(usable, tree.momentum_sum + point.momentum, tree.momentum_sum),
        divergent=tree.divergent | divergent,
    )


def _joined(
    dynamics: _Dynamics, old: _Tree, new: _Tree, forward: Tensor, going: Tensor, generator: Generator
) -> _Tree:
    """Both stretches as one. The new is taken over with probability min(1, its weight / the old one's)."""
    whole = going & ~(new.turning | new.divergent)
    taken = chance.bernoulli(
        (new.log_weight - old.log_weight).clamp(max=0).exp() * whole, generator=generator
    )
    left = _select_point(whole & ~forward, new.left, old.left)
    right = _select_point(whole & forward, new.right, old.right)
    momentum_sum = select(whole, old.momentum_sum + new.momentum_sum, old.momentum_sum)
    turns = dynamics.turns(left.momentum, right.momentum, momentum_sum)
    return _Tree(
        left,
        right,
        _select_point(taken, new.chosen, old.chosen),
        torch.where(taken, new.chosen_energy, old.chosen_energy),
        torch.where(whole, torch.logaddexp(old.log_weight, new.log_weight), old.log_weight),
        momentum_sum,
        old.turning | (going & new.turning) | (whole & turns),
        old.divergent | (going & new.divergent),
    )


def _select_point(chosen: Tensor, new: _Point, old: _Point) -> _Point:
    return _Point(*(select(chosen, a, b) for a, b in zip(new, old)))
