"""Where every random choice of the library is made, from a `torch.Generator` the caller passes in.

A sampler draws only through these functions. They accept, besides a `torch.Generator`, any object with
methods of the same names: that is how the tests replay a sampler over all its choices and build its
exact transition matrix from the very code that runs.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit._checks import as_tensor, check_distributions, check_probability

__all__ = [
    "bernoulli",
    "bits",
    "categorical",
    "compiled",
    "logistic_bits",
    "normal",
    "stream",
    "streams",
    "uniform",
    "words",
]


def bernoulli(probability: Tensor, *, generator: Generator) -> Tensor:
    """Independent draws that are True with the given probability; the shape of `probability`, bool.

    Raises `ValueError` for what is no probability, here and in `bits` and `categorical`, unless
    `ebmkit.validation(False)` says to trust the numbers.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> chance.bernoulli(torch.tensor([0.0, 1.0]), generator=generator)
    tensor([False,  True])
    """
    if not isinstance(generator, Generator):
        return torch.as_tensor(_method(generator, "bernoulli")(probability))
    probability = as_tensor(probability, name="probability")
    check_probability(probability)
    return uniform(probability, generator=generator) < probability


def bits(probability: Tensor, *, generator: Generator) -> Tensor:
    """The draws of `bernoulli` as 0 and 1 in the dtype of `probability`, far quicker on a CPU.

    Each is on with probability p, to within 2^-24 (float32) or 2^-53 (float64) as with `uniform`. Many float32
    draws at once are compiled where numba is installed: 24 random bits each. Otherwise each element has 16 random
    bits r of its own and all share one number U on a grid of 2^-8 (float32) or 2^-37 (float64): (r + U) / 2^16 < p;
    two are independent given U, and so correlated by less than 2^-32.

    The result has the shape of `probability`.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> chance.bits(torch.tensor([0.0, 1.0]), generator=generator)
    tensor([0., 1.])
    """
    like = as_tensor(probability, name="probability").detach()
    if isinstance(generator, Generator):
        check_probability(like)
    return _bits(like, generator)


def _bits(like: Tensor, generator: Generator) -> Tensor:
    """The draws of `bits` from probabilities that nobody looks at."""
    if not isinstance(generator, Generator):
        return bernoulli(like, generator=generator).to(like.dtype)
    if not like.is_cpu or like.dtype not in _SHARED_BITS:
        return (uniform(like, generator=generator) < like).to(like.dtype)
    kernels = compiled(like, generator=generator)
    if kernels is not None:
        drawn = torch.empty_like(like)
        kernels.draw(like.view(-1).numpy(), drawn.view(-1).numpy(), stream(kernels, generator=generator))
        return drawn
    u = _dithered(like, generator)
    return torch.lt(u, like, out=u)


def logistic_bits(log_odds: Tensor, bias: Tensor, *, generator: Generator) -> Tensor:
    """The draws of `bits` with probability σ(log_odds + bias); overwrites `log_odds (..., n)`, `bias` is `(n,)`.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> chance.logistic_bits(torch.tensor([[-90.0, 90.0]]), torch.zeros(2), generator=generator)
    tensor([[0., 1.]])
    """
    log_odds, bias = log_odds.detach(), bias.detach()
    kernels = compiled(log_odds, generator=generator)
    if kernels is None:
        return _bits(log_odds.add_(bias).sigmoid_(), generator)
    drawn = torch.empty_like(log_odds)
    field, into = (x.view(-1, len(bias)).numpy() for x in (log_odds, drawn))
    kernels.draw_layer(field, bias.numpy(), into, stream(kernels, generator=generator))
    return drawn


def compiled(like: Tensor, *, generator: Generator) -> ModuleType | None:
    """The kernels that can draw as many bits as `like` has, or None where torch is to draw them.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> chance.compiled(torch.empty(3), generator=generator) is None  # too few to be worth it
    True
    """
    fits = like.is_cpu and like.dtype == torch.float32 and like.is_contiguous()
    if not fits or like.numel() < _WORTH_COMPILING or not isinstance(generator, Generator):
        return None
    return _kernels()


def stream(kernels: ModuleType, *, generator: Generator) -> Any:
    """The random words from which one call of a kernel makes all of its own: an array `(STREAM,)`, uint32.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> kernels = chance.compiled(torch.empty(10_000), generator=generator)
    >>> kernels is None or len(chance.stream(kernels, generator=generator)) == kernels.STREAM
    True
    """
    return streams(1, kernels, generator=generator)[0]


def streams(n: int, kernels: ModuleType, *, generator: Generator) -> Any:
    """n of these streams, an array `(n, STREAM)`, for kernels that work on several parts side by side.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> kernels = chance.compiled(torch.empty(10_000), generator=generator)
    >>> kernels is None or len(chance.streams(3, kernels, generator=generator)) == 3
    True
    """
    return words(n, kernels.STREAM // 2, generator=generator).view(torch.uint32).numpy()


def words(*shape: int, generator: Generator) -> Tensor:
    """Uniform random words of 64 bits, int64 of the given shape; a kernel that draws for itself starts from some.

    >>> import torch
    >>> from ebmkit import chance
    >>> chance.words(2, 3, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """
    return torch.empty(shape, dtype=torch.int64).random_(-(2**63), None, generator=generator)


_WORTH_COMPILING = 2**13


@functools.cache
def _kernels() -> ModuleType | None:
    try:
        from ebmkit import _chance_kernels
    except (ImportError, RuntimeError):  # no numba, or no folder where it may keep what it compiles
        return None
    return _chance_kernels


_SHARED_BITS = {torch.float32: 24 - 16, torch.float64: 53 - 16}


def _dithered(like: Tensor, generator: Generator) -> Tensor:
    """(r + U) / 2^16, which uses every digit of the dtype and is never rounded, so never up to 1."""
    shared_bits = _SHARED_BITS[like.dtype]
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    u = words.view(torch.uint16)[: like.numel()].view(like.shape).to(like.dtype)
    shared = torch.empty((), dtype=torch.int64).random_(0, 2**shared_bits, generator=generator)
    return torch.add(shared.to(like.dtype) * 2.0 ** -(16 + shared_bits), u, alpha=2.0**-16, out=u)


def categorical(probabilities: Tensor, *, generator: Generator) -> Tensor:
    """Indices drawn from `probabilities` along the last axis (they sum to one); shape `(...)`, int64.

    Raises `ValueError` for no category, and for what is no probability.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> chance.categorical(torch.tensor([[0.0, 1.0, 0.0]]), generator=generator)
    tensor([1])
    """
    if not isinstance(generator, Generator):
        return torch.as_tensor(_method(generator, "categorical")(probabilities))
    probabilities = as_tensor(probabilities, name="probabilities")
    if probabilities.dim() == 0 or probabilities.shape[-1] == 0:
        raise ValueError(
            f"probabilities must be (..., K) with K at least 1, got {tuple(probabilities.shape)}"
        )
    reached = probabilities.cumsum(-1)
    check_distributions(probabilities, reached[..., -1])
    u = uniform(probabilities[..., :1], generator=generator)
    index = (u >= reached).sum(-1)
    return index.clamp_(max=probabilities.shape[-1] - 1)


def uniform(like: Tensor, *, generator: Generator) -> Tensor:
    """Uniform draws in [0, 1) with the shape, dtype and device of `like`.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> u = chance.uniform(torch.empty(1000), generator=generator)
    >>> bool(((u >= 0) & (u < 1)).all())
    True
    """
    if not isinstance(generator, Generator):
        return torch.as_tensor(_method(generator, "uniform")(like))
    like = as_tensor(like, name="like")
    return torch.empty_like(like, requires_grad=False).uniform_(generator=generator)


def normal(like: Tensor, *, generator: Generator) -> Tensor:
    """Standard normal draws with the shape, dtype and device of `like`.

    >>> import torch
    >>> from ebmkit import chance
    >>> generator = torch.Generator().manual_seed(0)
    >>> chance.normal(torch.empty(2, 3), generator=generator).shape
    torch.Size([2, 3])
    """
    if not isinstance(generator, Generator):
        return torch.as_tensor(_method(generator, "normal")(like))
    like = as_tensor(like, name="like")
    return torch.empty_like(like, requires_grad=False).normal_(generator=generator)


def _method(generator: Generator, draw: str) -> Callable[[Tensor], Any]:
    """The method of the stand-in that answers a draw; NumPy's, of the same names, take other arguments."""
    from_numpy = isinstance(generator, (np.random.Generator, np.random.RandomState))
    method: Callable[[Tensor], Any] | None = None if from_numpy else getattr(generator, draw, None)
    if method is None:
        raise TypeError(
            f"generator must be a torch.Generator, got {generator!r}; use torch.Generator().manual_seed(0)"
        )
    return method
