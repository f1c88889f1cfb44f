"""What the kernels share: whole events chosen chain by chain, and Metropolis's acceptance."""

import math

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State


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
    generator: Generator,
    tolerance: float = math.inf,
) -> tuple[State, Info]:
    """Accept with probability min(1, exp(E(x) - E(x') + log_correction)).

    A proposal that is not finite, or that loses more than `tolerance` nats, is rejected and called divergent.
    """
    usable = flat_events(proposal, model).isfinite().all(-1)
    proposal = select(usable, proposal, state.position)
    energy = model.energy(proposal)
    # A correction of -inf is a plain rejection: the way back has probability zero.
    usable = usable & energy.isfinite() & (log_correction < math.inf)
    log_acceptance = torch.where(usable, state.energy - energy + log_correction, -math.inf)
    usable = usable & (log_acceptance >= -tolerance)
    acceptance = log_acceptance.clamp(max=0.0).exp()
    accepted = chance.bernoulli(acceptance, generator)
    return moved(accepted, proposal, energy, state), Info(acceptance, ~usable)


def moved(accepted: Tensor, proposal: Tensor, energy: Tensor, state: State) -> State:
    return State(select(accepted, proposal, state.position), torch.where(accepted, energy, state.energy))


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
