"""What comes in, checked in one place: every error names the value it got and the way out."""

import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Method = TypeVar("Method", bound=Callable[..., Any])
SampleShape = int | Sequence[int]
"""How many draws: a number, or the shape that they stand in."""

# --- whether numbers are looked at


class _Settings:
    numbers_are_checked = True


def set_validation(on: bool) -> None:
    """Look at the numbers that come in (the default), or trust them; shapes are always checked.

    Looking costs a pass over x and, on a GPU, a wait for it. Inside `torch.compile`, `torch.vmap` and on the meta
    device nothing is looked at in any case.
    """
    _Settings.numbers_are_checked = bool(on)


@contextmanager
def validation(on: bool) -> Iterator[None]:
    """`set_validation(on)` for the length of a `with` block.

    >>> import torch, ebmkit
    >>> model = ebmkit.ising.Ising((2, 2), 0.4)
    >>> with ebmkit.validation(False):
    ...     model.energy(torch.ones(2, 2))
    tensor(-1.6000, dtype=torch.float64)
    """
    before = _Settings.numbers_are_checked
    set_validation(on)
    try:
        yield
    finally:
        set_validation(before)


def looks_at(x: Tensor) -> bool:
    """Whether the numbers of x are to be checked, and can be."""
    if not _Settings.numbers_are_checked or torch.compiler.is_compiling() or x.is_meta:
        return False
    return not torch._C._functorch.is_batchedtensor(x)


# --- tensors, arrays, lists and numbers


def as_tensor(x: Any, like: Tensor | None = None, name: str = "x") -> Tensor:
    """x itself if it is a tensor; arrays, lists and numbers in the dtype and on the device of `like`.

    Without `like`, arrays keep a floating dtype and everything else becomes float64. Raises `TypeError` for complex
    numbers and for what holds no numbers.
    """
    tensor = x if isinstance(x, Tensor) else _tensor_of(x, like, name)
    if tensor.is_complex():
        raise TypeError(
            f"{name} is {tensor.dtype}; complex numbers have no order, give the real and imaginary parts"
        )
    return tensor


def _tensor_of(x: Any, like: Tensor | None, name: str) -> Tensor:
    if isinstance(x, list | tuple) and any(isinstance(part, Tensor) for part in x):
        return torch.stack([as_tensor(part, like, name) for part in x])
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise TypeError(f"{name} is a list of lists that differ in length; make it rectangular") from error
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"{name} must hold numbers, got {type(x).__name__}; give a tensor, an array or a list"
        )
    if array.dtype.kind == "c":
        return torch.from_numpy(np.ascontiguousarray(array))
    if like is not None:
        return torch.tensor(array.astype(np.float64), dtype=like.dtype, device=like.device)
    floating = isinstance(x, np.ndarray) and array.dtype.kind == "f"
    tensor: Tensor = torch.as_tensor(array if floating else array.astype(np.float64))
    return tensor


def takes_arrays(method: Method) -> Method:
    """A method `(self, x, ...)` of a model that takes x as an array, a list or a number as well as a tensor."""

    @functools.wraps(method)
    def taking(self: nn.Module, x: Any, *rest: Any, **options: Any) -> Any:
        x = as_tensor(x, None if isinstance(x, Tensor) else floating_tensor(self))
        return method(self, x, *rest, **options)

    return taking  # type: ignore[return-value]


def floating_tensor(model: nn.Module) -> Tensor:
    """A floating-point tensor of the model, whose dtype and device its x take; an empty float64 if it has none."""
    tensors = (*model.parameters(), *model.buffers())
    return next((t.detach() for t in tensors if t.is_floating_point()), torch.empty(0, dtype=torch.float64))


# --- shapes and kinds


def fits(x: Tensor, event_shape: tuple[int, ...]) -> bool:
    """Whether x has shape `(..., *event_shape)`."""
    event = tuple(event_shape)
    return x.dim() >= len(event) and tuple(x.shape[x.dim() - len(event) :]) == event


def check_event(x: Tensor, event_shape: tuple[int, ...], like: Tensor | None = None, name: str = "x") -> None:
    """Raise `ValueError` unless x has shape `(..., *event_shape)`; where `like` is given, then as `check_kind`."""
    if not fits(x, event_shape):
        wanted = ", ".join(["...", *map(str, event_shape)])
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(x.shape)}")
    if like is not None:
        check_kind(x, like, name)


def check_kind(x: Tensor, like: Tensor, name: str = "x") -> None:
    """Raise `TypeError` unless x has the dtype and the device of `like`, a tensor of the model."""
    if x.dtype != like.dtype or x.device != like.device:
        raise TypeError(
            f"{name} is {x.dtype} on {x.device}, the model {like.dtype} on {like.device};"
            f" use {name}.to('{like.device}', {like.dtype}) or model.to({name})"
        )


def check_known(known: Any) -> Tensor:
    """A mask as a bool tensor; raises `TypeError` for any other kind, which could as well be values."""
    mask = torch.as_tensor(known)
    if mask.dtype != torch.bool:
        raise TypeError(f"known must be a bool tensor, got {mask.dtype}; use known.bool()")
    return mask


def batch_shape(x: Tensor, event_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The leading axes of x, `(..., *event_shape)`."""
    return tuple(x.shape[: x.dim() - len(event_shape)])


def sum_over_event(x: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """x, `(..., *event_shape)`, summed over the axes of one event; `(...)`."""
    return x.sum(tuple(range(-len(event_shape), 0))) if event_shape else x


# --- numbers


def check_whole(name: str, count: int) -> int:
    """The count as an int; raises `TypeError` for what is not whole."""
    try:
        return operator.index(count)
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number, got {count!r}") from error


def check_count(name: str, count: int, least: int) -> int:
    """The count as an int; raises `TypeError` for what is not whole, `ValueError` below `least`."""
    whole = check_whole(name, count)
    if whole < least:
        raise ValueError(f"{name} must be at least {least}, got {whole}")
    return whole


def as_shape(shape: SampleShape, name: str = "sample_shape") -> tuple[int, ...]:
    """`shape` as a tuple: a whole number n is `(n,)`; `TypeError` and `ValueError` as `check_count`."""
    parts = shape if isinstance(shape, Sequence) else (shape,)
    if isinstance(shape, str):
        raise TypeError(f"{name} must be a whole number or a tuple of them, got {shape!r}")
    return tuple(check_count(name, part, 0) for part in parts)


def check_positive(name: str, value: float | Tensor) -> None:
    """Raise `ValueError` unless every number of `value` is positive and finite."""
    tensor = as_tensor(value, name=name).detach()
    if not looks_at(tensor):
        return
    usable = (tensor > 0) & tensor.isfinite()
    if not bool(usable.all()):
        raise ValueError(f"{name} must be positive and finite, got {tensor[~usable][0].item():g}")


def check_at_least_zero(name: str, value: float) -> None:
    """Raise `ValueError` unless `value` is finite and not negative."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")


def check_share(name: str, value: float) -> None:
    """Raise `ValueError` unless `value` lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def check_over_event(name: str, value: Any, event_shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless `value`, a number or a tensor, broadcasts to events of the shape."""
    shape = tuple(as_tensor(value, name=name).shape)
    last = shape[len(shape) - len(event_shape) :] if len(shape) > len(event_shape) else shape
    pairs = zip(reversed(last), reversed(event_shape))
    if not all(n in (1, m) for n, m in pairs) or (not event_shape and len(shape) > 1):
        raise ValueError(f"{name} must be one number or broadcast against {event_shape}, got shape {shape}")


def check_generator(generator: Any) -> None:
    """Raise `TypeError` for what is neither a generator, nor a stand-in for one, nor None."""
    if (
        generator is not None
        and not isinstance(generator, torch.Generator)
        and not hasattr(generator, "bernoulli")
    ):
        raise TypeError(
            f"generator must be a torch.Generator, got {generator!r}; use torch.Generator().manual_seed(0)"
        )


def check_finite(x: Tensor, name: str = "x") -> None:
    """Raise `ValueError` where x is nan or infinite."""
    if looks_at(x) and not bool(x.isfinite().all()):
        bad = x.detach()[~x.isfinite()]
        raise ValueError(f"{name} must be finite, got {bad[0].item()} in {bad.numel()} of {x.numel()} places")


def check_alphabet(values: Sequence[float]) -> None:
    """Raise `ValueError` unless `values` are finite numbers, at least one, and no two the same."""
    if len(values) == 0 or len(set(values)) < len(values) or not all(map(math.isfinite, values)):
        raise ValueError(
            f"values must be finite numbers, one or more and each given once, got {tuple(values)}; states that "
            "are written twice would count twice"
        )


def check_values(x: Tensor, values: tuple[float, ...], name: str = "every coordinate") -> None:
    """Raise `ValueError` unless every coordinate of x is one of `values`."""
    if not looks_at(x):
        return
    # One comparison after another: for the few values there are, several times quicker than torch.isin.
    known = functools.reduce(torch.logical_or, (x == value for value in values))
    if not bool(known.all()):
        raise ValueError(f"{name} must be one of {values}, got {x[~known].flatten()[0].item()}")


def check_bits(x: Tensor) -> None:
    """Raise `ValueError` unless every value of x is 0 or 1."""
    if looks_at(x) and not bool(((x == 0) | (x == 1)).all()):
        found = sorted(set(x.detach().flatten().tolist()))[:4]
        raise ValueError(f"bits must be 0 or 1, got values {found}; use (x > threshold).to(x.dtype)")


def check_shares(x: Tensor, name: str = "x") -> None:
    """Raise `ValueError` where x, bits or their means, leaves [0, 1] or is nan."""
    if not looks_at(x) or x.numel() == 0:
        return
    low, high = (extreme.item() for extreme in x.detach().aminmax())
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"{name} must hold bits or means of bits, in [0, 1], got values from {low:g} to {high:g};"
            " divide grey levels by 255, or turn spins into (x + 1) / 2"
        )


def check_probability(p: Tensor) -> None:
    """Raise `ValueError` where p leaves [0, 1] or is nan."""
    if not looks_at(p) or p.numel() == 0:
        return
    low, high = (extreme.item() for extreme in p.detach().aminmax())
    if not 0 <= low <= high <= 1:
        raise ValueError(f"a probability must lie in [0, 1], got values from {low:g} to {high:g}")


def check_distributions(p: Tensor, sums: Tensor) -> None:
    """Raise `ValueError` unless p `(..., K)`, whose `sums (...)` are known, are probabilities that add to 1."""
    if not looks_at(p) or p.numel() == 0:
        return
    least, (low, high) = p.detach().amin().item(), (extreme.item() for extreme in sums.detach().aminmax())
    room = max(1e-6, (8 + p.shape[-1]) * torch.finfo(p.dtype).eps)  # for rounding
    if not (least >= 0 and 1 - room <= low <= high <= 1 + room):
        raise ValueError(
            "probabilities must not be negative and must sum to 1 along the last axis, got a least one of "
            f"{least:g} and sums from {low:g} to {high:g}; use p / p.sum(-1, keepdim=True)"
        )


def is_definite(matrix: Tensor) -> Tensor:
    """Whether a matrix `(..., D, D)` is symmetric, up to rounding, and positive definite; bool `(...)`."""
    largest = matrix.abs().amax((-2, -1), keepdim=True)
    symmetric = ((matrix - matrix.mT).abs() <= 1e-6 * largest).all(-1).all(-1)
    info: Tensor = torch.linalg.cholesky_ex(matrix.nan_to_num())[1]
    return (info == 0) & symmetric


# --- names that are no more


def renamed(owner: str, name: str, now: dict[str, str]) -> AttributeError:
    """What to raise where `owner` lacks `name`: with the name's successor, if it once was another."""
    successor = now.get(name, name.replace("log_normalizer", "log_partition"))
    hint = "" if successor == name else f"; it is {successor} now"
    return AttributeError(f"{owner} has no attribute {name!r}{hint}")
