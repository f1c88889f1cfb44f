"""Densities made of any function: f², exp f, |f| and log(1 + exp f) are never negative."""

from collections.abc import Callable

import torch
from torch import Tensor

from ebmkit._checks import SampleShape, as_shape, check_event
from ebmkit.energy import EnergyModel

Function = Callable[[Tensor], Tensor]


class UnnormalizedDensity(EnergyModel):
    """The energy of g(x), E(x) = -log g(x), where g is a positive function made from any real `f`.

    Parameters
    ----------
    f:
        Maps `(..., *event_shape)` to `(...)`. Where it is a module its parameters are this model's.
    log_g:
        Maps f(x) to log g(x), elementwise.
    event_shape, values:
        As in `EnergyModel`.

    >>> import torch
    >>> from ebmkit import normalization
    >>> model = normalization.from_square(lambda x: x, ())
    >>> model.energy(torch.tensor(2.0))  # -log 4
    tensor(-1.3863)
    """

    def __init__(
        self,
        f: Function,
        log_g: Function,
        event_shape: SampleShape = (),
        values: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.f = f
        self.log_g = log_g
        self.event_shape = as_shape(event_shape, "event_shape")
        self.values = values

    def energy(self, x: Tensor) -> Tensor:
        """-log g(x), `(...)`; +∞ where g(x) = 0. Raises `ValueError` unless f gives a number for each x."""
        check_event(x, self.event_shape)
        f = self.f(x)
        batch = x.shape[: x.dim() - len(self.event_shape)]
        if f.shape != batch:
            raise ValueError(
                f"f must return one number for each x, shape {tuple(batch)}, got {tuple(f.shape)}"
            )
        return -self.log_g(f)


def from_square(
    f: Function, event_shape: SampleShape = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = f(x)², with f of shape `(..., *event_shape) -> (...)`. Source: the lecture.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.from_square(lambda x: x).energy(torch.tensor(2.0))  # -log 4
    tensor(-1.3863)
    """
    return UnnormalizedDensity(f, _log_square, event_shape, values)


def from_exp(
    f: Function, event_shape: SampleShape = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = exp f(x), whose energy is -f(x). Source: the lecture.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.from_exp(lambda x: -x).energy(torch.tensor(2.0))
    tensor(2.)
    """
    return UnnormalizedDensity(f, _identity, event_shape, values)


def from_abs(
    f: Function, event_shape: SampleShape = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = |f(x)|. Source: the lecture.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.from_abs(lambda x: x).energy(torch.tensor(-2.0))  # -log 2
    tensor(-0.6931)
    """
    return UnnormalizedDensity(f, _log_abs, event_shape, values)


def from_softplus(
    f: Function, event_shape: SampleShape = (), values: tuple[float, ...] | None = None
) -> UnnormalizedDensity:
    """The density g(x) = log(1 + exp f(x)). Source: the lecture.

    >>> import torch
    >>> from ebmkit import normalization
    >>> normalization.from_softplus(lambda x: x).energy(torch.tensor(0.0))  # -log log 2
    tensor(0.3665)
    """
    return UnnormalizedDensity(f, _log_softplus, event_shape, values)


def _log_square(y: Tensor) -> Tensor:
    return 2 * y.abs().log()


def _log_abs(y: Tensor) -> Tensor:
    return y.abs().log()


def _identity(y: Tensor) -> Tensor:
    return y


def _log_softplus(y: Tensor) -> Tensor:
    """log log(1 + exp y); for y far below zero log(1 + exp y) is exp y, so the answer is y."""
    low = y < -40
    safe = torch.where(low, torch.zeros_like(y), y)
    return torch.where(low, y, torch.logaddexp(safe, torch.zeros_like(y)).log())
