"""What the kernels share: whole events chosen chain by chain, and Metropolis's acceptance."""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, Slope, State


def select(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Whole events of `new` where `chosen` `(...)` holds, of `old` elsewhere."""
    return torch.where(chosen.reshape(chosen.shape + (1,) * (old.dim() - chosen.dim())), new, old)


def flat_events(x: Tensor, model: EnergyModel) -> Tensor:
    """x with every event as one row; shape `(..., n_coordinates)`."""
    return x.reshape(*x.shape[: x.dim() - len(model.event_shape)], -1)


def metropolis(
    model: EnergyModel,
    state: State,
    proposal: Tensor,
    log_correction: Tensor,
    tolerance: float = math.inf,
    there: "At | None" = None,
    *,
    generator: Generator,
) -> tuple[State, Info]:
    """Accept with probability min(1, exp(E(x) - E(x') + log_correction)).

    A proposal that is not finite, or that loses more than `tolerance` nats, is rejected and called divergent.
    `there` is what is already known at the proposal; the state then keeps its slope as `state` does.
    """
    usable = flat_events(proposal, model).isfinite().all(-1)
    proposal = select(usable, proposal, state.position)
    energy = model.energy(proposal) if there is None else there.energy
    # A correction of -inf is a plain rejection: the way back has probability zero.
    usable = usable & energy.isfinite() & (log_correction < math.inf)
    log_acceptance = torch.where(usable, state.energy - energy + log_correction, -math.inf)
    usable = usable & (log_acceptance >= -tolerance)
    acceptance = log_acceptance.clamp(max=0.0).exp()
    accepted = chance.bernoulli(acceptance, generator=generator)
    return moved(accepted, proposal, energy, state, there), Info(acceptance, ~usable)


def moved(
    accepted: Tensor, proposal: Tensor, energy: Tensor, state: State, there: "At | None" = None
) -> State:
    slope = state.slope if there is not None else None
    if slope is not None and there is not None:
        slope = slope._replace(score=select(accepted, there.score, slope.score))
    energy = torch.where(accepted, energy, state.energy)
    return State(select(accepted, proposal, state.position), energy, slope)


class At(NamedTuple):
    """The energy of a position, `(...)`, and the score there, its shape."""

    energy: Tensor
    score: Tensor


def look(model: EnergyModel, x: Tensor) -> At:
    """Energy and score at x, from one pass forward and one back where the model has no score of its own."""
    if type(model).score is not EnergyModel.score:
        return At(model.energy(x), model.score(x))
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        energy = model.energy(leaf)
        if not energy.requires_grad:  # an energy that does not depend on x
            return At(energy.detach(), torch.zeros_like(leaf))
        (score,) = torch.autograd.grad(-energy.sum(), leaf, materialize_grads=True)
    return At(energy.detach(), score)


def with_slope(model: EnergyModel, state: State) -> tuple[State, Tensor]:
    """The state with the model's slope in it, and the score: worked out only if it is not there."""
    versions = tuple(p._version for p in model.parameters())  # learning between two steps moves the slope
    slope = state.slope
    if slope is None or slope.model is not model or slope.versions != versions:
        slope = Slope(model, model.score(state.position), versions)
        state = state._replace(slope=slope)
    return state, slope.score


def require_gradient(model: EnergyModel, kernel: str) -> None:
    check_is_model(model, kernel)
    if model.values is not None:
        raise TypeError(
            f"{kernel} needs a gradient and {type(model).__name__} is discrete, x takes values "
            f"{model.values}; use Gibbs or MetropolisHastings"
        )


def require_values(model: EnergyModel, what: str) -> None:
    check_is_model(model, what)
    if model.values is None or len(model.values) < 2:
        raise TypeError(
            f"{what} needs a discrete model with at least two values, "
            f"{type(model).__name__} has values = {model.values}"
        )


def values_like(model: EnergyModel, x: Tensor) -> Tensor:
    return torch.tensor(model.values, dtype=x.dtype, device=x.device)
