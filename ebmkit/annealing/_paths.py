"""Families of energies from a base whose log Z is known to the model whose is not."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import (
    SampleShape,
    as_shape,
    as_tensor,
    check_alphabet,
    check_event,
    check_over_event,
    floating_tensor,
    sum_over_event,
)
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel


class Interpolated(EnergyModel):
    """The geometric bridge between two energies, E_β(x) = (1 - β) E_0(x) + β E_1(x), 0 ≤ β ≤ 1.

    Raises `ValueError` for β outside [0, 1], and where the two differ in event shape or values.

    >>> import torch
    >>> from ebmkit import annealing
    >>> half = annealing.Interpolated(annealing.GaussianBase((1,)), annealing.GaussianBase((1,), mean=2.0), 0.5)
    >>> half.energy(torch.tensor([1.0], dtype=torch.float64))
    tensor(0.5000, dtype=torch.float64)
    """

    def __init__(self, base: EnergyModel, model: EnergyModel, beta: float) -> None:
        super().__init__()
        check_is_model(base, "Interpolated")
        check_is_model(model, "Interpolated")
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], got {beta}")
        if tuple(base.event_shape) != tuple(model.event_shape) or base.values != model.values:
            raise ValueError(
                f"base and model must share event_shape and values, got {tuple(base.event_shape)} with "
                f"{base.values} and {tuple(model.event_shape)} with {model.values}"
            )
        self.base, self.model, self.beta = base, model, beta
        self.event_shape, self.values = model.event_shape, model.values

    def energy(self, x: Tensor) -> Tensor:
        """(1 - β) E_0(x) + β E_1(x), with x of shape `(..., *event_shape)`."""
        return self._blend(self.base.energy, self.model.energy, x)

    def score(self, x: Tensor) -> Tensor:
        """(1 - β) ∇ log p_0(x) + β ∇ log p_1(x), the shape of x."""
        return self._blend(self.base.score, self.model.score, x)

    def _blend(
        self, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor], x: Tensor
    ) -> Tensor:
        # At the ends the other energy has no say, not even where it is infinite (0 · inf is not a number).
        if self.beta == 0:
            return first(x)
        if self.beta == 1:
            return second(x)
        return (1 - self.beta) * first(x) + self.beta * second(x)


class UniformBase(EnergyModel):
    """The uniform distribution on `values` at every site: E(x) = 0, log Z = N log |values|.

    >>> import torch
    >>> from ebmkit import annealing
    >>> generator = torch.Generator().manual_seed(0)
    >>> base = annealing.UniformBase((3,), (-1.0, 1.0))
    >>> base.exact_log_partition()
    tensor(2.0794, dtype=torch.float64)
    >>> base.sample((2, 4), generator=generator).shape
    torch.Size([2, 4, 3])
    """

    like: Tensor

    def __init__(self, event_shape: SampleShape, values: Sequence[float], like: Tensor | None = None) -> None:
        super().__init__()
        self.event_shape = as_shape(event_shape, "event_shape")
        self.values = tuple(values)
        check_alphabet(self.values)
        self.register_buffer("like", torch.empty(0, dtype=torch.float64) if like is None else like[:0])

    def energy(self, x: Tensor) -> Tensor:
        """Zero, `(...)`."""
        batch = x.shape[: x.dim() - len(self.event_shape)]
        return torch.zeros(batch, dtype=self.like.dtype, device=x.device)

    def exact_log_partition(self) -> Tensor:
        """N log |values|, float64; shape `()`."""
        n, assigned = math.prod(self.event_shape), self.values or ()
        return torch.tensor(n * math.log(len(assigned)), dtype=torch.float64, device=self.like.device)

    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Independent draws, `(*sample_shape, *event_shape)`."""
        values = torch.tensor(self.values, dtype=self.like.dtype, device=self.like.device)
        probability = torch.full((), 1 / len(values), dtype=torch.float64, device=values.device)
        choice = chance.categorical(
            probability.expand(*as_shape(sample_shape), *self.event_shape, len(values)), generator=generator
        )
        return values[choice]


class GaussianBase(EnergyModel):
    """Independent Gaussians, E(x) = ½ Σ ((x - mean) / scale)², log Z = Σ log(√(2π) scale).

    `mean` and `scale` broadcast against `event_shape`.

    Raises `ValueError` where a mean is not finite or a scale not positive.

    >>> import torch
    >>> from ebmkit import annealing
    >>> generator = torch.Generator().manual_seed(0)
    >>> base = annealing.GaussianBase((2,), mean=1.0, scale=2.0)
    >>> base.exact_log_partition()
    tensor(3.2242, dtype=torch.float64)
    >>> base.sample(5, generator=generator).shape
    torch.Size([5, 2])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, event_shape: SampleShape, mean: Tensor | float = 0.0, scale: Tensor | float = 1.0
    ) -> None:
        super().__init__()
        self.event_shape = as_shape(event_shape, "event_shape")
        for name, parameter in (("mean", mean), ("scale", scale)):
            tensor = as_tensor(parameter, name=name)
            check_over_event(name, tensor, self.event_shape)
            self.register_buffer(name, tensor.detach().expand(self.event_shape).clone())
        if not bool(self.mean.isfinite().all()):
            raise ValueError(f"mean must be finite, got {self.mean[~self.mean.isfinite()][0].item()}")
        usable = (self.scale > 0) & self.scale.isfinite()
        if not bool(usable.all()):
            raise ValueError(f"scale must be positive and finite, got {self.scale[~usable][0].item()}")

    def energy(self, x: Tensor) -> Tensor:
        """½ Σ ((x - mean) / scale)², `(...)`."""
        standard = (x - self.mean) / self.scale
        return 0.5 * sum_over_event(standard**2, self.event_shape)

    def score(self, x: Tensor) -> Tensor:
        """-(x - mean) / scale², the shape of x."""
        check_event(x, self.event_shape)
        return (self.mean - x) / self.scale**2

    def exact_log_partition(self) -> Tensor:
        """Σ log(√(2π) scale), float64; shape `()`."""
        return (self.scale.double().log() + 0.5 * math.log(2 * math.pi)).sum()

    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Independent draws, `(*sample_shape, *event_shape)`."""
        return self.mean + self.scale * chance.normal(
            self.mean.expand(*as_shape(sample_shape), *self.event_shape), generator=generator
        )


class AnnealingPath(Protocol):
    """A family of energies from one whose normalizer is known (β = 0) to the model (β = 1).

    A model that has these methods is its own path. It may also have
    `annealing_step(x, before, after, generator=...) -> (x', E_before(x) - E_after(x))`, which moves x by a kernel
    at β = `after` and shares the work between the two; annealing then calls it instead of a kernel.
    """

    def annealed(self, beta: float) -> EnergyModel: ...

    def base_log_partition(self) -> Tensor: ...

    def sample_base(self, n: int, *, generator: Generator) -> Tensor: ...


class TractableBase(Protocol):
    """What a base must offer besides its energy."""

    def exact_log_partition(self) -> Tensor: ...

    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor: ...


class GeometricPath:
    """The path E_β = (1 - β) E_0 + β E_1 from a base that can be sampled and summed to any model.

    Raises `TypeError` where the base lacks `sample` or `exact_log_partition`, else as `Interpolated`.

    >>> import torch
    >>> from ebmkit import annealing
    >>> path = annealing.GeometricPath(annealing.GaussianBase((1,)), annealing.GaussianBase((1,), mean=2.0))
    >>> path.annealed(0.5).energy(torch.tensor([1.0], dtype=torch.float64))
    tensor(0.5000, dtype=torch.float64)
    """

    def __init__(self, base: EnergyModel, model: EnergyModel) -> None:
        self.base, self.model = base, model
        self.annealed(0.5)  # an Interpolated checks that both are models, and that they fit
        for method in ("sample", "exact_log_partition"):
            if not hasattr(base, method):
                raise TypeError(
                    f"the base {type(base).__name__} has no {method}(); use UniformBase, GaussianBase, "
                    "or give it sample(sample_shape, *, generator) and exact_log_partition()"
                )

    def annealed(self, beta: float) -> EnergyModel:
        """The energy at β."""
        return Interpolated(self.base, self.model, beta)

    def base_log_partition(self) -> Tensor:
        """log Z_0, exact; shape `()`."""
        return self._tractable.exact_log_partition()

    def sample_base(self, n: int, *, generator: Generator) -> Tensor:
        """Independent draws at β = 0, `(n, *event_shape)`."""
        return self._tractable.sample((n,), generator=generator)

    @property
    def _tractable(self) -> TractableBase:
        return self.base  # type: ignore[return-value]  # __init__ has checked the two methods


def resolve_path(model: EnergyModel | AnnealingPath, base: EnergyModel | None) -> AnnealingPath:
    if isinstance(model, type) or not hasattr(model, "annealed"):
        check_is_model(model, "annealing")
    if isinstance(model, EnergyModel) and (base is not None or not hasattr(model, "annealed")):
        return GeometricPath(_default_base(model) if base is None else base, model)
    if base is not None:
        raise TypeError(f"{type(model).__name__} is a path with its own base; leave base=None")
    return model  # type: ignore[return-value]  # it has `annealed`, so it is a path


def _default_base(model: EnergyModel) -> EnergyModel:
    """Uniform where x is discrete, standard Gaussian where it is not, in the model's dtype and device."""
    like = floating_tensor(model)
    if model.values is not None:
        return UniformBase(model.event_shape, model.values, like.detach().flatten())
    return GaussianBase(model.event_shape, like.new_zeros(()), like.new_ones(()))
