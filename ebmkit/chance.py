"""Where every random choice of the library is made, from a `torch.Generator` the caller passes in.

A sampler draws only through these functions. They accept, besides a `torch.Generator`, any object with
methods of the same names: that is how the tests replay a sampler over all its choices and build its
exact transition matrix from the very code that runs.
"""

from typing import Any

import torch
from torch import Tensor

Generator = Any
"""A `torch.Generator` or an object with `bernoulli`, `categorical`, `uniform` and `normal`."""


def bernoulli(probability: Tensor, generator: Generator) -> Tensor:
    """Independent draws that are True with the given probability; the shape of `probability`, bool."""
    if not isinstance(generator, torch.Generator):
        return torch.as_tensor(generator.bernoulli(probability))
    return uniform(probability, generator) < probability


def bits(probability: Tensor, generator: Generator) -> Tensor:
    """The draws of `bernoulli` as 0 and 1 in the dtype of `probability`, at a third of the cost on a CPU.

    There each element has 16 random bits r of its own and all share one number U on a grid of 2^-8 (float32) or
    2^-37 (float64): (r + U) / 2^16 < p. Each is on with probability p, to within 2^-24 or 2^-53 as with `uniform`;
    two are independent given U, and so correlated by less than 2^-32.
    """
    like = probability.detach()
    if not isinstance(generator, torch.Generator) or not like.is_cpu or like.dtype not in _SHARED_BITS:
        return bernoulli(like, generator).to(like.dtype)
    u = _dithered(like, generator)
    return torch.lt(u, like, out=u)


_SHARED_BITS = {torch.float32: 24 - 16, torch.float64: 53 - 16}


def _dithered(like: Tensor, generator: torch.Generator) -> Tensor:
    """(r + U) / 2^16, which uses every digit of the dtype and is never rounded, so never up to 1."""
    shared_bits = _SHARED_BITS[like.dtype]
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    u = words.view(torch.uint16)[: like.numel()].view(like.shape).to(like.dtype)
    shared = torch.empty((), dtype=torch.int64).random_(0, 2**shared_bits, generator=generator)
    return torch.add(shared.to(like.dtype) * 2.0 ** -(16 + shared_bits), u, alpha=2.0**-16, out=u)


def categorical(probabilities: Tensor, generator: Generator) -> Tensor:
    """Indices drawn from `probabilities` along the last axis (they sum to one); shape `(...)`, int64."""
    if not isinstance(generator, torch.Generator):
        return torch.as_tensor(generator.categorical(probabilities))
    u = uniform(probabilities[..., :1], generator)
    index = (u >= probabilities.cumsum(-1)).sum(-1)
    return index.clamp_(max=probabilities.shape[-1] - 1)


def uniform(like: Tensor, generator: Generator) -> Tensor:
    """Uniform draws in [0, 1) with the shape, dtype and device of `like`."""
    if not isinstance(generator, torch.Generator):
        return torch.as_tensor(generator.uniform(like))
    return torch.empty_like(like, requires_grad=False).uniform_(generator=generator)


def normal(like: Tensor, generator: Generator) -> Tensor:
    """Standard normal draws with the shape, dtype and device of `like`."""
    if not isinstance(generator, torch.Generator):
        return torch.as_tensor(generator.normal(like))
    return torch.empty_like(like, requires_grad=False).normal_(generator=generator)
