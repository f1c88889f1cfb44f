"""What comes in, checked in one place: every error names the value it got and the way out."""

import torch
from torch import Tensor, nn


def check_event(x: Tensor, event_shape: tuple[int, ...], like: Tensor | None = None, name: str = "x") -> None:
    """Raise `ValueError` unless x has shape `(..., *event_shape)`; where `like` is given, then as `check_kind`."""
    event = tuple(event_shape)
    if x.dim() < len(event) or tuple(x.shape[x.dim() - len(event) :]) != event:
        raise ValueError(
            f"{name} must have shape ({', '.join(['...', *map(str, event)])}), got {tuple(x.shape)}"
        )
    if like is not None:
        check_kind(x, like, name)


def check_kind(x: Tensor, like: Tensor, name: str = "x") -> None:
    """Raise `TypeError` unless x has the dtype and the device of `like`, a tensor of the model."""
    if x.dtype != like.dtype or x.device != like.device:
        raise TypeError(
            f"{name} is {x.dtype} on {x.device}, the model {like.dtype} on {like.device};"
            f" use {name}.to('{like.device}', {like.dtype}) or model.to({name})"
        )


def batch_shape(x: Tensor, event_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The leading axes of x, `(..., *event_shape)`."""
    return tuple(x.shape[: x.dim() - len(event_shape)])


def check_count(name: str, count: int, least: int) -> None:
    """Raise `ValueError` for a count below `least`."""
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")


def check_positive(name: str, value: float | Tensor) -> None:
    """Raise `ValueError` unless every number of `value` is positive and finite."""
    tensor = torch.as_tensor(value).detach()
    usable = (tensor > 0) & tensor.isfinite()
    if not bool(usable.all()):
        raise ValueError(f"{name} must be positive and finite, got {tensor[~usable][0].item():g}")


def check_values(x: Tensor, values: tuple[float, ...]) -> None:
    """Raise `ValueError` unless every coordinate of x is one of `values`."""
    known = torch.isin(x, torch.tensor(values, dtype=x.dtype, device=x.device))
    if not bool(known.all()):
        raise ValueError(f"every coordinate must be one of {values}, got {x[~known].flatten()[0].item()}")


def check_bits(x: Tensor) -> None:
    """Raise `ValueError` unless every value of x is 0 or 1."""
    if not bool(((x == 0) | (x == 1)).all()):
        found = sorted(set(x.detach().flatten().tolist()))[:4]
        raise ValueError(f"bits must be 0 or 1, got values {found}; use (x > threshold).to(x.dtype)")


def floating_tensor(model: nn.Module) -> Tensor:
    """A floating-point tensor of the model, whose dtype and device its x take; an empty float64 if it has none."""
    tensors = (*model.parameters(), *model.buffers())
    return next((t for t in tensors if t.is_floating_point()), torch.empty(0, dtype=torch.float64))


def is_definite(matrix: Tensor) -> Tensor:
    """Whether a matrix `(..., D, D)` is symmetric, up to rounding, and positive definite; bool `(...)`."""
    largest = matrix.abs().amax((-2, -1), keepdim=True)
    symmetric = ((matrix - matrix.mT).abs() <= 1e-6 * largest).all(-1).all(-1)
    info: Tensor = torch.linalg.cholesky_ex(matrix.nan_to_num())[1]
    return (info == 0) & symmetric
