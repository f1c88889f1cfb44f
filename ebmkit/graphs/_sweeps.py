"""Gibbs sweeps on a graph, colour by colour."""

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import as_tensor, check_event, check_known, check_values
from ebmkit.graphs._protocol import OnGraph


def all_log_odds(model: OnGraph, index: Tensor) -> Tensor:
    """h_i(v) + Σ_j J_ij c(v, x_j) of every site and value, `(..., n)` to `(..., n, q)`."""
    i, j = model.edges.unbind(1)
    table = model.site_table()
    total = table.expand(*index.shape, table.shape[-1])
    for here, there in ((i, j), (j, i)):
        total = total.index_add(-2, here, model.coupling[:, None] * model.alike[index[..., there]])
    return total


@torch.no_grad()
def sweep(model: OnGraph, x: Tensor, *, generator: Generator) -> Tensor:
    """Every site redrawn from its conditional, all sites of a colour together."""
    x = as_tensor(x, model.coupling)
    if len(model.values or ()) == 2 and chance.compiled(x, generator=generator) is not None:
        return _compiled_sweep(model, x, generator)
    index = model.index(x)
    everywhere = torch.ones(model.event_shape, dtype=torch.bool, device=x.device)
    return model.from_index(_sweep_index(model, index, everywhere, generator), x)


@torch.no_grad()
def sweep_given(model: OnGraph, x: Tensor, known: Tensor, *, generator: Generator) -> Tensor:
    """Every site that is not known redrawn from its conditional."""
    x = as_tensor(x, model.coupling)
    free = ~check_known(known).to(x.device)
    return model.from_index(_sweep_index(model, model.index(x), free, generator), x)


def _sweep_index(model: OnGraph, index: Tensor, free: Tensor, generator: Generator) -> Tensor:
    table, q = model.site_table(), len(model.alike)
    for part in model.plan.classes(index.device):
        rows = free[part.sites].nonzero()[:, 0]
        if not len(rows):
            continue
        pull = model.coupling[part.edge, None] * model.alike[index[..., part.neighbour]]
        here = table[part.sites].expand(*index.shape[:-1], len(part.sites), q)
        log_odds = here.index_add(-2, part.row, pull)[..., rows, :]
        index = index.index_copy(-1, part.sites[rows], _draw(log_odds, generator))
    return index


def _draw(log_odds: Tensor, generator: Generator) -> Tensor:
    """A value for each site, `(..., n, q)` to `(..., n)`."""
    if log_odds.shape[-1] == 2:
        p = torch.sigmoid(log_odds[..., 1] - log_odds[..., 0])
        return chance.bernoulli(p, generator=generator).long()
    return chance.categorical(log_odds.softmax(-1), generator=generator)


def _compiled_sweep(model: OnGraph, x: Tensor, generator: Generator) -> Tensor:
    """The same sweep site by site, the chains of a site side by side: log odds are h_i + Σ_j J_ij c_j."""
    from ebmkit import _chance_kernels
    from ebmkit.graphs import _kernels

    check_event(x, model.event_shape)
    low, high = model.values or ()
    flat = x.reshape(-1, x.shape[-1]).contiguous()
    words = np.empty((flat.shape[1], -(-len(flat) // _kernels.LANES)), np.uint64)
    if not _kernels.enter(flat.numpy(), low, high, words):
        check_values(x, (low, high))
    near, table = model.plan.near, model.site_table()
    off, on = (model.alike[1] - model.alike[0]).tolist()
    _kernels.sweep(
        words,
        (table[:, 1] - table[:, 0]).detach().float().numpy(),
        model.coupling.detach().float().numpy(),
        off,
        on,
        (near.start, near.neighbour, near.edge),
        model.plan.sweep_order,
        chance.stream(_chance_kernels, generator=generator),
    )
    drawn = torch.empty_like(flat)
    _kernels.leave(words, low, high, drawn.numpy())
    return drawn.reshape(x.shape)
