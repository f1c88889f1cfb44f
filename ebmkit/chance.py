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
    """The draws of `bernoulli` as 0 and 1 in the dtype of `probability`; quicker, as no bool is made first."""
    if not isinstance(generator, torch.Generator):
        return bernoulli(probability, generator).to(probability.dtype)
    u = uniform(probability, generator)
    return torch.lt(u, probability.detach(), out=u)


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
