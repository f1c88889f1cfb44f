"""Hamiltonian Monte Carlo."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import (
    as_tensor,
    check_count,
    check_event,
    check_finite,
    check_over_event,
    check_positive,
)
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State, initial_state
from ebmkit.mcmc._moves import At, flat_events, look, metropolis, require_gradient, with_slope

DIVERGENCE_THRESHOLD = 1000.0
"""Energy error of a trajectory, in nats, from which HMC reports a divergence (the value Stan uses)."""


def leapfrog(
    model: EnergyModel,
    position: Tensor,
    momentum: Tensor,
    step_size: float | Tensor,
    n_steps: int,
    inverse_mass: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """Follow Hamilton's equations for H(x, p) = E(x) + ½ pᵀM⁻¹p; both of shape `(..., *event_shape)`.

    Volume preserving and reversible: from the end with the momentum negated it returns to the start.
    Its energy error over a fixed time is O(step_size²).

    Raises `TypeError` for a discrete model, `ValueError` where the two shapes differ.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> x, p = torch.tensor([1.0, 0.0]).double(), torch.zeros(2).double()
    >>> there = mcmc.leapfrog(annealing.GaussianBase((2,)), x, p, 0.1, 10)
    >>> back, _ = mcmc.leapfrog(annealing.GaussianBase((2,)), there[0], -there[1], 0.1, 10)
    >>> bool((back - x).abs().max() < 1e-12)  # it can be reversed
    True
    """
    require_gradient(model, "leapfrog")
    position, momentum = as_tensor(position, name="position"), as_tensor(momentum, name="momentum")
    check_event(position, model.event_shape, name="position")
    if momentum.shape != position.shape:
        raise ValueError(
            f"momentum must have the shape of position {tuple(position.shape)}, got {tuple(momentum.shape)}"
        )
    check_finite(as_tensor(step_size, position), "step_size")
    check_positive("inverse_mass", inverse_mass)
    check_over_event("inverse_mass", inverse_mass, tuple(model.event_shape))
    if check_count("n_steps", n_steps, 0) == 0:
        return position, momentum
    start = model.score(position)
    position, momentum, _ = _trajectory(model, position, momentum, start, step_size, n_steps, inverse_mass)
    return position, momentum


def _trajectory(
    model: EnergyModel,
    position: Tensor,
    momentum: Tensor,
    score: Tensor,
    step_size: float | Tensor,
    n_steps: int,
    inverse_mass: float | Tensor,
) -> tuple[Tensor, Tensor, At]:
    """The leapfrog from a position whose score is known: as many gradients as steps, the last with the energy."""
    drift = step_size * inverse_mass
    momentum = momentum + 0.5 * step_size * score
    for _ in range(n_steps - 1):
        position = position + drift * momentum
        momentum = momentum + step_size * model.score(position)
    position = position + drift * momentum
    there = look(model, position)
    return position, momentum + 0.5 * step_size * there.score, there


def check_mass(kernel: Any) -> None:
    """Raise unless the kernel's `inverse_mass` is positive and broadcasts against x; a list becomes a tensor."""
    check_positive("inverse_mass", kernel.inverse_mass)
    check_over_event("inverse_mass", kernel.inverse_mass, tuple(kernel.model.event_shape))
    if not isinstance(kernel.inverse_mass, int | float):
        object.__setattr__(kernel, "inverse_mass", as_tensor(kernel.inverse_mass))  # the kernel is frozen


@dataclass(frozen=True, eq=False)
class HMC:
    """Hamiltonian Monte Carlo: draw a momentum, follow the leapfrog, accept by the energy error.

    p ~ N(0, M), accept with probability min(1, exp(H(x, p) - H(x', p'))). `inverse_mass` is the diagonal of
    M⁻¹, a number or a tensor that broadcasts against x. Each chain's step size is multiplied by a uniform draw from
    1 - `jitter` to 1 + `jitter`: trajectories of one length would bring a Gaussian back to where it was, or to its
    mirror image, whenever that length is half a period. Reversible. Best near an acceptance of 0.65 to 0.8.
    Source: Duane et al. (1987); Neal (2011), section 3.2 on jitter.

    >>> import torch
    >>> from ebmkit.annealing import GaussianBase
    >>> from ebmkit.mcmc import sample
    >>> generator = torch.Generator().manual_seed(0)
    >>> start = torch.zeros(100, 2, dtype=torch.float64)
    >>> draws = sample(HMC(GaussianBase((2,)), 0.5), start, 50, generator=generator)
    >>> draws.shape
    torch.Size([50, 100, 2])
    """

    model: EnergyModel
    step_size: float
    n_leapfrog: int = 10
    inverse_mass: float | Tensor = 1.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        require_gradient(self.model, "HMC")
        check_positive("step_size", self.step_size)
        check_count("n_leapfrog", self.n_leapfrog, 1)
        check_mass(self)
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must lie in [0, 1), got {self.jitter}")

    def init(self, position: Tensor) -> State:
        """Start at `position` `(..., *event_shape)`; `ValueError` where it does not fit the model."""
        return initial_state(self.model, position)

    @torch.no_grad()
    def step(self, state: State, *, generator: Generator) -> tuple[State, Info]:
        """One trajectory of `n_leapfrog` steps for every chain."""
        mass = self.inverse_mass
        if isinstance(mass, Tensor):  # in the chains' own precision, or it would widen them
            mass = mass.to(state.position)
        state, score = with_slope(self.model, state)
        momentum = chance.normal(state.position, generator=generator) / mass**0.5
        steps = self._steps(state, generator)
        proposal, end, there = _trajectory(
            self.model, state.position, momentum, score, steps, self.n_leapfrog, mass
        )
        log_correction = self._kinetic(momentum, mass) - self._kinetic(end, mass)
        return metropolis(
            self.model, state, proposal, log_correction, DIVERGENCE_THRESHOLD, there, generator=generator
        )

    def _steps(self, state: State, generator: Generator) -> float | Tensor:
        """A step size for each chain, `(..., 1, …)`."""
        if self.jitter == 0:
            return self.step_size
        batch = state.position.shape[: state.position.dim() - len(self.model.event_shape)]
        u = chance.uniform(state.position.new_empty(batch), generator=generator)
        steps = self.step_size * (1 + self.jitter * (2 * u - 1))
        return steps.reshape(batch + (1,) * len(self.model.event_shape))

    def _kinetic(self, momentum: Tensor, inverse_mass: float | Tensor) -> Tensor:
        return 0.5 * flat_events(inverse_mass * momentum**2, self.model).sum(-1)
