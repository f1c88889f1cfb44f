"""The one abstraction: an energy.

    p(x) = exp(-E(x)) / Z,   Z = Σ_x exp(-E(x))  or  ∫ exp(-E(x)) dx

Any function may be an energy; what is hard is Z. The score and the ratio of two probabilities never need it.
Source: Cornell Tech, Deep Generative Models, lecture 11, "Energy-based models".
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["EnergyModel", "Estimate"]


class EnergyModel(nn.Module):
    """A density known up to its normalizer, p(x) = exp(-energy(x)) / Z.

    A subclass says what one `x` looks like and gives its energy.

    Attributes
    ----------
    event_shape:
        The shape of one x. Every method takes `(..., *event_shape)` with any leading batch shape.
    values:
        The values each coordinate can take, `(-1.0, 1.0)` for spins, `(0.0, 1.0)` for bits;
        `None` when x is continuous.
    """

    event_shape: tuple[int, ...]
    values: tuple[float, ...] | None = None

    def energy(self, x: Tensor) -> Tensor:
        """E(x), with x of shape `(..., *event_shape)`; returns `(...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define energy(x)")

    def forward(self, x: Tensor) -> Tensor:
        """The energy, so that a model can be called like any module."""
        return self.energy(x)

    def score(self, x: Tensor) -> Tensor:
        """∇_x log p(x) = -∇_x E(x), by automatic differentiation; the shape of x.

        Raises `TypeError` where x is discrete (no gradient exists between its values) or not floating point.
        """
        if self.values is not None:
            raise TypeError(
                f"{type(self).__name__} is discrete, x takes values {self.values}; it has no score"
            )
        if not x.is_floating_point():
            raise TypeError(f"score needs a floating-point x, got {x.dtype}; use x.double()")
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(-self.energy(leaf).sum(), leaf)
        return gradient

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x)/p(y) = E(y) - E(x). Z cancels, so this costs two energies and no sum over states."""
        return self.energy(y) - self.energy(x)


class Estimate(NamedTuple):
    """A number and how far it may be off: `std_error` is 0 where the value is exact up to rounding.

    For quadrature it is the estimated bound on the error, for an AIS bracket half its width, instead of a standard
    deviation.
    """

    value: Tensor
    std_error: Tensor
