"""What layers of units share: weights, base rates, and the machine part of the way to itself."""

from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from ebmkit._checks import check_at_least_zero, check_kind, check_shares, check_whole
from ebmkit._models import check_is_model
from ebmkit.chance import normal
from ebmkit.energy import EnergyModel


class Machine(Protocol):
    """What a machine must offer to be annealed from its base rates."""

    @property
    def event_shape(self) -> tuple[int, ...]: ...

    @property
    def values(self) -> tuple[float, ...] | None: ...

    def _input(self, v: Tensor) -> Tensor: ...

    def _log_annealed(self, v: Tensor, input_: Tensor, beta: float) -> Tensor: ...

    def _annealed_step(self, input_: Tensor, beta: float, generator: Generator) -> Tensor: ...


class Annealed(EnergyModel):
    """A machine part of the way from its base-rate model, `beta` 0, to itself, `beta` 1; see its `annealed`.

    Raises `ValueError` for `beta` outside [0, 1].

    >>> import torch
    >>> from ebmkit import boltzmann_machines
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, scale=1.0, generator=generator, dtype=torch.float64)
    >>> v = torch.ones(3, dtype=torch.float64)
    >>> bool(rbm.annealed(1.0).energy(v) == rbm.energy(v))
    True
    """

    def __init__(self, model: Machine, beta: float) -> None:
        super().__init__()
        check_is_model(model, "Annealed")
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], from base to model, got {beta}")
        self.model, self.beta = model, beta
        self.event_shape, self.values = model.event_shape, model.values

    def energy(self, x: Tensor) -> Tensor:
        """-log of the unnormalized p_β(x), hidden units summed out; `(..., n_visible)` to `(...)`."""
        return -self.model._log_annealed(x, self.model._input(x), self.beta)

    @torch.no_grad()
    def gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        """One block Gibbs step that leaves p_β invariant; the shape of x."""
        return self.model._annealed_step(self.model._input(x), self.beta, generator)


def log_odds_of_mean(data: Tensor) -> Tensor:
    """log (ones + 1) / (zeros + 1) for each unit: finite where a unit never changes."""
    if data.numel() == 0:
        raise ValueError(f"data must hold at least one row, got shape {tuple(data.shape)}")
    check_shares(data, "data")
    rows = data.reshape(-1, data.shape[-1])
    ones = rows.sum(0)
    return ((ones + 1) / (len(rows) - ones + 1)).log()


def normal_weights(
    n: int,
    m: int,
    scale: float,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    *,
    generator: Generator | None,
) -> nn.Parameter:
    check_at_least_zero("scale", scale)
    source = torch.default_generator if generator is None else generator
    place = getattr(source, "device", None)
    return nn.Parameter(
        (scale * normal(torch.empty(n, m, dtype=dtype, device=place), generator=source)).to(device)
    )


def declare_layers(
    model: nn.Module,
    n_visible: int,
    n_hidden: int,
    scale: float,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    *,
    generator: Generator | None,
) -> None:
    if min(check_whole("n_visible", n_visible), check_whole("n_hidden", n_hidden)) < 1:
        raise ValueError(f"each layer needs a unit, got n_visible={n_visible} and n_hidden={n_hidden}")
    W = normal_weights(n_visible, n_hidden, scale, dtype, device, generator=generator)
    model.register_parameter("W", W)
    model.register_parameter("a", nn.Parameter(W.new_zeros(n_visible)))
    model.register_parameter("b", nn.Parameter(W.new_zeros(n_hidden)))
    model.register_buffer("base_a", W.new_zeros(n_visible))
    model.register_buffer("base_b", W.new_zeros(n_hidden))


def check_layer(x: Tensor, W: Tensor, axis: int, name: str) -> None:
    if x.shape[-1:] != W.shape[axis : axis + 1]:
        raise ValueError(f"{name} must end in an axis of {W.shape[axis]} units, got shape {tuple(x.shape)}")
    check_kind(x, W, name)
