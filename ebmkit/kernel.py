"""The contract that every sampler keeps: where chains are, what a step did, and how one is taken.

    kernel.init(position) -> State;   kernel.step(state, generator=generator) -> (State, Info)

A kernel is any object with these two methods; `ebmkit.mcmc.sample` runs it.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from ebmkit._checks import as_tensor, batch_shape, check_event, check_values, floating_tensor
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel

__all__ = ["Info", "Kernel", "ModelKernel", "Slope", "State", "StepInfo", "initial_state"]


class Slope(NamedTuple):
    """∇ log p of `model` at a position, kept so that nobody works it out again.

    It is of no use to another model, nor once the `versions` of the model's parameters have changed.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> walk = mcmc.MALA(annealing.GaussianBase((1,)), 0.1)
    >>> state, _ = walk.step(walk.init(torch.ones(4, 1).double()), generator=generator)
    >>> bool((state.slope.score == -state.position).all())  # kept, so that no step computes it twice
    True
    """

    model: EnergyModel
    score: Tensor
    versions: tuple[int, ...]


class State(NamedTuple):
    """Where the chains are: `position` `(..., *event_shape)` and its `energy` `(...)`.

    Kernels that follow the gradient also keep the `slope` there, for their next step.

    >>> import torch
    >>> from ebmkit import annealing, kernel
    >>> kernel.initial_state(annealing.GaussianBase((1,)), torch.zeros(4, 1)).energy
    tensor([0., 0., 0., 0.], dtype=torch.float64)
    """

    position: Tensor
    energy: Tensor
    slope: Slope | None = None


class Info(NamedTuple):
    """What a step did: `acceptance` probability `(...)` in [0, 1] and `divergent` `(...)`, bool.

    A divergent chain met a non-finite number and stayed where it was.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> walk = mcmc.MALA(annealing.GaussianBase((1,)), 0.1)
    >>> _, info = walk.step(walk.init(torch.zeros(4, 1).double()), generator=generator)
    >>> info.acceptance.shape, info.divergent
    (torch.Size([4]), tensor([False, False, False, False]))
    """

    acceptance: Tensor
    divergent: Tensor


class StepInfo(Protocol):
    """What every kernel reports: `Info`, or a tuple that has its fields and more."""

    @property
    def acceptance(self) -> Tensor: ...

    @property
    def divergent(self) -> Tensor: ...


class Kernel(Protocol):
    """A Markov kernel: `init` says where to start, `step` moves all chains of the batch once."""

    def init(self, position: Tensor) -> State: ...

    def step(self, state: State, *, generator: Generator) -> tuple[State, StepInfo]: ...


class ModelKernel(Kernel, Protocol):
    """A kernel that names the energy whose distribution it keeps."""

    @property
    def model(self) -> EnergyModel: ...


def initial_state(model: EnergyModel, position: Tensor) -> State:
    """Where chains start: `position` `(..., *event_shape)` and its energy, for a kernel's `init`.

    Raises `ValueError` for a wrong shape, an empty batch, a coordinate outside `model.values`, and an energy
    that is not finite; `TypeError` for whole numbers where x is continuous.

    >>> import torch
    >>> from ebmkit import ising, kernel
    >>> kernel.initial_state(ising.Ising((2, 2), 0.4), torch.ones(3, 2, 2)).energy
    tensor([-1.6000, -1.6000, -1.6000], dtype=torch.float64)
    """
    check_is_model(model, "a kernel")
    name, event = type(model).__name__, tuple(model.event_shape)
    position = as_tensor(position, floating_tensor(model), "position")
    check_event(position, event, name="position")
    if 0 in batch_shape(position, event):
        raise ValueError(f"position holds no chain, its shape is {tuple(position.shape)}; give at least one")
    if model.values is not None:
        check_values(position, model.values)
    elif not position.is_floating_point():
        raise TypeError(f"position must be floating point for {name}, got {position.dtype}; use x.double()")
    with torch.no_grad():
        energy = model.energy(position)
    if not bool(energy.isfinite().all()):
        bad = energy[~energy.isfinite()]
        raise ValueError(
            f"the initial energy of {name} must be finite, got {bad[0].item()} in {bad.numel()} of "
            f"{energy.numel()} chains; start where the density is positive"
        )
    return State(position.detach(), energy)
