"""Exact expectations and exact samples by the transfer matrix."""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit._checks import SampleShape, as_shape
from ebmkit.ising import _exact
from ebmkit.ising._model import (
    MAX_FRONT,
    Ising,
    bond_grid,
    describe,
    detached,
    require_ising,
    transfer_matrix_log_partition,
)


class Moments(NamedTuple):
    """Exact expectations: E[s_i], and E[s_i s_j] over the edges; each `(n, m)`, 0 where there is no edge.

    >>> from ebmkit import ising
    >>> moments = ising.exact_moments(ising.Ising((2, 2), 0.4))
    >>> moments.spins.shape, moments.horizontal[0, 0]
    (torch.Size([2, 2]), tensor(0.4259, dtype=torch.float64))
    """

    spins: Tensor
    horizontal: Tensor
    vertical: Tensor


def exact_moments(model: Ising) -> Moments:
    """E[s_i] = ∂log Z/∂h_i and E[s_i s_j] = ∂log Z/∂J_ij, by differentiating the transfer matrix.

    Raises `ValueError` where the grid is too wide for it.

    >>> from ebmkit import ising
    >>> moments = ising.exact_moments(ising.Ising((1, 2), 0.4))
    >>> moments.horizontal[0, 0]  # tanh 0.4
    tensor(0.3799, dtype=torch.float64)
    """
    require_ising(model)
    copy = detached(model, model.field.device)
    parts = [part.requires_grad_(True) for part in (copy.field, copy.horizontal, copy.vertical)]
    with torch.enable_grad():
        spins, horizontal, vertical = torch.autograd.grad(
            transfer_matrix_log_partition(copy), parts, materialize_grads=True
        )
    return Moments(spins, horizontal * _is_edge(model, 1), vertical * _is_edge(model, 0))


def _is_edge(model: Ising, axis: int) -> Tensor:
    return bond_grid("edge", 1.0, model.event_shape, axis, model.periodic).to(model.field.device)


def exact_sample(model: Ising, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
    """Independent exact samples, `(*sample_shape, n, m)`: the transfer matrix run forward, then backward.

    Free boundary only. Raises `ValueError` on a torus, and where the fronts it must remember, one a row and
    one a column, exceed `4 * MAX_FRONT` entries (256 MB, 19 spins wide for a square).

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> ising.exact_sample(ising.Ising((3, 3), 0.4), (2, 5), generator=generator).shape
    torch.Size([2, 5, 3, 3])
    """
    require_ising(model)
    shape = as_shape(sample_shape)
    n, m = sorted(model.event_shape, reverse=True)
    if model.periodic:
        raise ValueError(
            f"exact_sample needs a free boundary, this is a {describe(model)}; use swendsen_wang"
        )
    if (n + m) * 2**m > 4 * MAX_FRONT:
        raise ValueError(
            f"a {describe(model)} is too wide to sample exactly; use swendsen_wang or gibbs_sweep"
        )
    parts = (model.horizontal.detach(), model.vertical.detach(), model.field.detach())
    spins = _exact.sample_free(*_exact.oriented(*parts), math.prod(shape), generator=generator)
    turned = spins if spins.shape[-2:] == model.event_shape else spins.mT
    return turned.reshape(*shape, *model.event_shape)
