"""The one abstraction: an energy.

    p(x) = exp(-E(x)) / Z,   Z = Σ_x exp(-E(x))  or  ∫ exp(-E(x)) dx

Any function may be an energy; what is hard is Z. The score and the ratio of two probabilities never need it.
Source: Cornell Tech, Deep Generative Models, lecture 11, "Energy-based models".
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, NoReturn, Self

import numpy as np
import torch
from torch import Tensor, nn

from ebmkit._checks import (
    SampleShape,
    as_shape,
    as_tensor,
    batch_shape,
    check_alphabet,
    check_event,
    fits,
    floating_tensor,
    renamed,
    takes_arrays,
)

__all__ = ["EnergyModel", "Estimate", "ModuleEnergy", "from_module"]


class EnergyModel(nn.Module):
    """A density known up to its normalizer, p(x) = exp(-energy(x)) / Z.

    A subclass says what one `x` looks like and gives its energy. Whoever calls `energy` may pass a tensor, an array
    or a list, and what it returns is checked: one real number for each x of the batch.

    Attributes
    ----------
    event_shape:
        The shape of one x, `n` for `(n,)`. Every method takes `(..., *event_shape)` with any leading batch shape.
    values:
        The values each coordinate can take, `(-1.0, 1.0)` for spins, `(0.0, 1.0)` for bits;
        `None` when x is continuous.
    batch_shape:
        Of a batch of models in one, such as the chains of several sequences; `()` for one model.

    >>> import torch
    >>> class Bowl(EnergyModel):
    ...     event_shape = (2,)
    ...
    ...     def energy(self, x):
    ...         return 0.5 * (x**2).sum(-1)
    >>> Bowl().energy([[3.0, 4.0], [0.0, 1.0]])
    tensor([12.5000,  0.5000], dtype=torch.float64)
    >>> Bowl().score(torch.tensor([3.0, 4.0]))
    tensor([-3., -4.])
    """

    event_shape: tuple[int, ...]
    values: tuple[float, ...] | None = None
    batch_shape: tuple[int, ...] = ()
    _made_by: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Notes what the model is made of, so that `ebmkit.save` can say it."""
        model = super().__new__(cls)
        model.__dict__["_made_by"] = (args, options)
        return model

    def __setattr__(self, name: str, value: Any) -> None:
        """As for any module, but an event shape is a tuple: a number n is `(n,)`."""
        taken: Any = as_shape(value, name) if name == "event_shape" else value
        super().__setattr__(name, taken)

    def __init_subclass__(cls, **options: Any) -> None:
        """Sees to it that every energy, a user's too, takes arrays and returns one number for each x."""
        super().__init_subclass__(**options)
        if isinstance(cls.__dict__.get("event_shape"), int | np.integer | list):
            cls.event_shape = as_shape(cls.__dict__["event_shape"], "event_shape")
        if "energy" in cls.__dict__:
            cls.energy = _checked(cls.__dict__["energy"])  # type: ignore[assignment, method-assign]
        for name in {"log_prob", "log_conditionals", "score"} & cls.__dict__.keys():
            setattr(cls, name, takes_arrays(cls.__dict__[name]))

    def energy(self, x: Tensor) -> Tensor:
        """E(x), with x of shape `(..., *event_shape)`; returns `(...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define energy(x)")

    def forward(self, x: Tensor) -> Tensor:
        """The energy, so that a model can be called like any module. `(..., *event_shape)` to `(...)`."""
        return self.energy(x)

    def score(self, x: Tensor) -> Tensor:
        """∇_x log p(x) = -∇_x E(x), by automatic differentiation; the shape of x.

        Raises `TypeError` where x is discrete (no gradient exists between its values) or not floating point.
        """
        if self.values is not None:
            raise TypeError(
                f"{type(self).__name__} is discrete, x takes values {self.values}; it has no score"
            )
        x = as_tensor(x, floating_tensor(self))
        if not x.is_floating_point():
            raise TypeError(f"score needs a floating-point x, got {x.dtype}; use x.double()")
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            energy = self.energy(leaf)
            if not energy.requires_grad:  # an energy that does not depend on x
                return torch.zeros_like(leaf)
            (gradient,) = torch.autograd.grad(-energy.sum(), leaf, materialize_grads=True)
        return gradient

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x)/p(y) = E(y) - E(x). Z cancels, so this costs two energies and no sum over states.

        Both `(..., *event_shape)`, the result `(...)`.
        """
        return self.energy(y) - self.energy(x)


def _checked(energy: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """An `energy` that takes arrays, and refuses to return anything but one real number for each x."""

    @functools.wraps(energy)
    def checked(self: EnergyModel, x: Tensor) -> Tensor:
        event = _event_shape(self)
        if not isinstance(x, Tensor):
            x = as_tensor(x, floating_tensor(self))
        if not fits(x, event):
            _refuse(self, energy, x)
        values = energy(self, x)
        expected = batch_shape(x, event)
        if self.batch_shape:
            expected = np.broadcast_shapes(expected, self.batch_shape)
        if not isinstance(values, Tensor) or values.shape != expected or values.is_complex():
            raise _wrong_energy(self, values, expected)
        return values

    return checked


def _event_shape(model: EnergyModel) -> tuple[int, ...]:
    event = getattr(model, "event_shape", None)
    if event is None:
        raise TypeError(
            f"{type(model).__name__} has no event_shape; set self.event_shape, the shape of one x, () for a number"
        )
    return tuple(event)


def _refuse(model: EnergyModel, energy: Callable[[Any, Tensor], Tensor], x: Tensor) -> None:
    """Raises for an x of the wrong shape: what the model itself says of it, if it says anything clear."""
    with contextlib.suppress(RuntimeError, IndexError):  # torch's own words, which do not name the way out
        energy(model, x)
    check_event(x, _event_shape(model))


def _wrong_energy(model: EnergyModel, values: Any, expected: tuple[int, ...]) -> Exception:
    name = type(model).__name__
    if not isinstance(values, Tensor):
        return TypeError(f"{name}.energy(x) must return a tensor, got {type(values).__name__}")
    if values.is_complex():
        return TypeError(f"{name}.energy(x) must be real, got {values.dtype}")
    way_out = "sum over the axes of one x, and over no others"
    if values.shape == (*expected, 1):
        way_out = "a last axis of length 1 is one too many: return energy.squeeze(-1)"
    return ValueError(
        f"{name}.energy(x) must be one number for each x, shape {expected}, got {tuple(values.shape)}; {way_out}"
    )


class ModuleEnergy(EnergyModel):
    """Any module as an energy, E(x) = module(x); made by `from_module`.

    Raises `TypeError` for what is no module.

    >>> import torch
    >>> import ebmkit
    >>> model = ebmkit.from_module(torch.nn.Linear(2, 1), (2,))
    >>> type(model).__name__, model.energy(torch.zeros(5, 2)).shape
    ('ModuleEnergy', torch.Size([5]))
    """

    def __init__(
        self, module: nn.Module, event_shape: SampleShape, values: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"from_module needs an nn.Module, got {type(module).__name__}; a plain function f becomes an "
                "energy by ebmkit.normalization.from_exp(lambda x: -f(x), event_shape)"
            )
        self.module = module
        self.event_shape = as_shape(event_shape, "event_shape")
        self.values = None if values is None else tuple(map(float, values))
        if self.values is not None:
            check_alphabet(self.values)

    def energy(self, x: Tensor) -> Tensor:
        """module(x), a last axis of length 1 left out; `(..., *event_shape)` to `(...)`."""
        energy: Tensor = self.module(x)
        return energy.squeeze(-1) if energy.shape == (*batch_shape(x, self.event_shape), 1) else energy


def from_module(
    module: nn.Module, event_shape: SampleShape, values: Sequence[float] | None = None
) -> ModuleEnergy:
    """A network with one output as an energy model, ready for every sampler, estimator and learner.

    `module` maps x, `(..., *event_shape)`, to `(...)` or `(..., 1)`; `values` are those each coordinate can take,
    None where x is continuous. The module's parameters are the model's. Raises `TypeError` for what is no module.

    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> model = from_module(network, event_shape=(2,))
    >>> model.energy(torch.zeros(5, 2)).shape
    torch.Size([5])
    """
    return ModuleEnergy(module, event_shape, values)


class Estimate(NamedTuple):
    """A number, how far it may be off, and what that error means.

    `kind` is `"exact"` where the value holds up to rounding and `error` is 0; `"standard error"` for what is drawn
    at random; `"bound"` for quadrature, whose error is an estimated bound, and for an AIS bracket, half its width.

    >>> import ebmkit
    >>> from ebmkit import ising
    >>> estimate = ebmkit.log_partition(ising.Ising((1, 2), 0.0))
    >>> estimate.value, estimate.error, estimate.kind
    (tensor(1.3863, dtype=torch.float64), tensor(0., dtype=torch.float64), 'exact')
    """

    value: Tensor
    error: Tensor
    kind: Literal["exact", "standard error", "bound"] = "standard error"

    @property
    def std_error(self) -> NoReturn:
        raise renamed("an Estimate", "std_error", {"std_error": "error"})
