"""Exact answers by eliminating one site after another.

    Σ_{x_v} Π_k f_k(x) = (factors without x_v) · m(x_N(v)),   m = Σ_{x_v} Π (factors with x_v)

The site whose removal joins the fewest new pairs goes first. A table over w + 1 sites has q^(w+1) entries; w, the
width of the order, is at least the treewidth of the graph.
Sources: Bertelè & Brioschi 1972; Lauritzen & Spiegelhalter 1988; min-fill: Kjærulff 1990.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import SampleShape, as_shape
from ebmkit.graphs._protocol import OnGraph, check_on_graph

MAX_TABLE = 2**22
"""The most entries that one table of an elimination may have: 22 spins together."""
MAX_KEPT = 2**26
"""The most entries of all tables together, where they are kept: for samples, and for the most probable state."""

Bag = tuple[int, ...]
Sum = Callable[[Tensor], Tensor]


class Marginals(NamedTuple):
    """p(x_i = v) of every site, `(n, q)`, and p(x_i = v, x_j = w) of every edge, `(n_edges, q, q)`.

    >>> from ebmkit import graphs
    >>> graphs.exact_marginals(graphs.GraphIsing([(0, 1)], 0.0)).pair
    tensor([[[0.2500, 0.2500],
             [0.2500, 0.2500]]], dtype=torch.float64)
    """

    site: Tensor
    pair: Tensor


def elimination_log_partition(model: OnGraph) -> Tensor:
    """log Z of any graph, for any couplings and fields, by elimination along a min-fill order; shape `()`.

    Differentiable in couplings and fields as often as you like; where its tables are small it takes milliseconds.
    Raises `ValueError` where one table would have more than `MAX_TABLE` entries, naming how wide it is and a bound
    below which the treewidth does not lie.

    >>> from ebmkit.graphs import GraphIsing
    >>> chain = GraphIsing([(i, i + 1) for i in range(999)], 0.5)
    >>> round(elimination_log_partition(chain).item(), 6)  # log 2 + 999 log(2 cosh ½)
    813.141573
    """
    check_on_graph(model, "elimination_log_partition")
    log_z = model.coupling.new_zeros(())
    for bag, total in _tables(model, model.site_table(), model.edge_table(), _log_sum):
        if len(bag) == 1:
            log_z = log_z + _log_sum(total)
    return log_z


def exact_marginals(model: OnGraph) -> Marginals:
    """All marginals of sites and edges, exact: the derivatives of log Z by fields and couplings.

    Raises `ValueError` as `elimination_log_partition`.

    >>> from ebmkit.graphs import GraphIsing
    >>> pair = exact_marginals(GraphIsing([(0, 1)], 0.5, 0.2)).pair
    >>> [round(p, 4) for p in pair.flatten().tolist()]
    [0.2313, 0.1269, 0.1269, 0.5148]
    >>> pair.shape
    torch.Size([1, 2, 2])
    """
    check_on_graph(model, "exact_marginals")
    with torch.enable_grad():
        site = model.site_table().detach().requires_grad_(True)
        edge = model.edge_table().detach().requires_grad_(True)
        log_z = site.new_zeros(())
        for bag, total in _tables(model, site, edge, _log_sum):
            if len(bag) == 1:
                log_z = log_z + _log_sum(total)
        return Marginals(*torch.autograd.grad(log_z, (site, edge), materialize_grads=True))


@torch.no_grad()
def exact_sample(model: OnGraph, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
    """Independent exact draws, `(*sample_shape, *event_shape)`: sites eliminated forward, drawn backward.

    Raises `ValueError` as `elimination_log_partition`, and where the tables together have more than 2^26 entries.

    >>> from ebmkit.graphs import GraphIsing
    >>> exact_sample(GraphIsing([(0, 1), (1, 2)], 9.0), 2, generator=torch.Generator().manual_seed(0)).std(1)
    tensor([0., 0.], dtype=torch.float64)
    """
    check_on_graph(model, "exact_sample")
    shape = as_shape(sample_shape)
    n = math.prod(shape)
    kept = _kept(model, _log_sum)
    index = torch.zeros(n, model.event_shape[0], dtype=torch.int64, device=model.coupling.device)
    for bag, total in reversed(kept):
        given = total.movedim(0, -1)[tuple(index[:, other] for other in bag[1:])]
        index[:, bag[0]] = chance.categorical(given.expand(n, -1).softmax(-1), generator=generator)
    return model.from_index(index, model.coupling).reshape(*shape, *model.event_shape)


@torch.no_grad()
def map_by_elimination(model: OnGraph) -> Tensor:
    """The most probable state of any graph, couplings of any sign, by max in the place of sum; `(n,)`.

    Of several the one of the lowest values at the site decided first. Raises `ValueError` as `exact_sample`.
    Source: Bertelè & Brioschi 1972.

    >>> from ebmkit.graphs import GraphIsing
    >>> map_by_elimination(GraphIsing([(0, 1), (1, 2), (0, 2)], -1.0, [0.3, 0.2, -0.1])).tolist()
    [1.0, 1.0, -1.0]
    """
    check_on_graph(model, "map_by_elimination")
    kept = _kept(model, lambda table: table.amax(0))
    index = torch.zeros(model.event_shape[0], dtype=torch.int64, device=model.coupling.device)
    for bag, total in reversed(kept):
        index[bag[0]] = total.movedim(0, -1)[tuple(index[other] for other in bag[1:])].argmax()
    return model.from_index(index, model.coupling)


def _log_sum(table: Tensor) -> Tensor:
    return table.logsumexp(0)


def _kept(model: OnGraph, total_of: Sum) -> list[tuple[Bag, Tensor]]:
    q = len(model.alike)
    entries = sum(q ** len(bag) for bag in bags(model))
    if entries > MAX_KEPT:
        raise ValueError(
            f"the tables of this graph have {entries:.3g} entries together, more than {MAX_KEPT:,} to keep; "
            "sample with ebmkit.mcmc.Gibbs, or lower the temperature step by step for the most probable state"
        )
    return list(_tables(model, model.site_table(), model.edge_table(), total_of))


def _tables(model: OnGraph, site: Tensor, edge: Tensor, total_of: Sum) -> Iterator[tuple[Bag, Tensor]]:
    """Each bag with the logarithm of all factors that meet in it, its own site on the first axis."""
    order = bags(model)
    turn = {bag[0]: k for k, bag in enumerate(order)}
    waiting: list[list[tuple[Bag, Tensor]]] = [[] for _ in order]
    for pair, table in zip(model.edges.tolist(), edge.unbind(0)):
        waiting[min(turn[pair[0]], turn[pair[1]])].append((tuple(pair), table))
    for v, table in enumerate(site.unbind(0)):
        waiting[turn[v]].append(((v,), table))
    for k, bag in enumerate(order):
        total = sum((_spread(scope, table, bag) for scope, table in waiting[k]), site.new_zeros(()))
        waiting[k] = []
        if len(bag) > 1:
            waiting[min(turn[other] for other in bag[1:])].append((bag[1:], total_of(total)))
        yield bag, total


def _spread(scope: Bag, table: Tensor, bag: Bag) -> Tensor:
    """A table over some sites of a bag, its axes in the bag's order and of length 1 where it does not depend."""
    axes = sorted(range(len(scope)), key=lambda axis: bag.index(scope[axis]))
    shape = [table.shape[0] if site in scope else 1 for site in bag]
    return table.permute(axes).reshape(shape)


def bags(model: OnGraph) -> tuple[Bag, ...]:
    """Each site in the order of elimination, with the sites it then hangs on; made once for a graph."""
    plan, most = model.plan, int(math.log(MAX_TABLE) / math.log(len(model.alike)) + 1e-9)
    if plan.bags is None:
        plan.bags = tuple(_min_fill(model.event_shape[0], model.edges.tolist(), most))
    widest = max(map(len, plan.bags))
    if widest > most:
        bound = _degeneracy(model.event_shape[0], model.edges.tolist())
        q = len(model.alike)
        raise ValueError(
            f"elimination needs a table over {widest} or more sites of this graph, {q}^{widest} entries, more "
            f"than {MAX_TABLE:,}; its treewidth is at least {bound}. Estimate with method='ais', or look at "
            "ebmkit.graphs.belief_propagation"
        )
    return plan.bags


def _min_fill(n: int, edges: list[list[int]], most: int) -> Iterator[Bag]:
    """Bags of at most `most` sites, and where they do not suffice one that is too large, at which it ends."""
    near: list[set[int]] = [set() for _ in range(n)]
    for i, j in edges:
        near[i].add(j)
        near[j].add(i)

    def key(v: int) -> tuple[int, int]:
        degree = len(near[v])
        pairs = degree * (degree - 1) // 2
        # Too many neighbours to be next: not worth counting, and in any case after those that have few.
        joined = 0 if degree >= most else sum(len(near[a] & near[v]) for a in near[v]) // 2
        return pairs - joined, degree

    keys = [key(v) for v in range(n)]
    heap = [(*keys[v], v) for v in range(n)]
    heapq.heapify(heap)
    gone = [False] * n
    while heap:
        fill, degree, v = heapq.heappop(heap)
        if gone[v] or (fill, degree) != keys[v]:
            continue
        gone[v] = True
        around = sorted(near[v])
        yield (v, *around)
        if len(around) >= most:
            return
        touched = set(around)
        for a in around:
            near[a].discard(v)
        for a, b in combinations(around, 2):
            if b not in near[a]:
                touched |= near[a] & near[b]
                near[a].add(b)
                near[b].add(a)
        for u in touched:
            keys[u] = key(u)
            heapq.heappush(heap, (*keys[u], u))


def _degeneracy(n: int, edges: list[list[int]]) -> int:
    """The largest least degree of all subgraphs, which the treewidth is never below."""
    near: list[set[int]] = [set() for _ in range(n)]
    for i, j in edges:
        near[i].add(j)
        near[j].add(i)
    heap = [(len(near[v]), v) for v in range(n)]
    heapq.heapify(heap)
    gone, bound = [False] * n, 0
    while heap:
        degree, v = heapq.heappop(heap)
        if gone[v] or degree != len(near[v]):
            continue
        gone[v], bound = True, max(bound, degree)
        for a in near[v]:
            near[a].discard(v)
            heapq.heappush(heap, (len(near[a]), a))
    return bound
