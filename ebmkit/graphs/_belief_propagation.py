"""Belief propagation: messages along edges, exact on trees and an approximation elsewhere."""

from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import check_at_least_zero, check_count
from ebmkit.graphs._elimination import Marginals
from ebmkit.graphs._model import PairwiseModel
from ebmkit.graphs._protocol import check_on_graph


class Beliefs(NamedTuple):
    """What messages believe: `log_partition` is Bethe's, `marginals` are those of sites and edges.

    `residual` is how much a message still changes, `(..., )` 0 at a fixed point; `converged` whether it fell below
    the tolerance. On a tree all of it is exact, elsewhere neither a bound nor an estimate with an error.

    >>> from ebmkit import graphs
    >>> tree = graphs.GraphIsing([(0, 1), (1, 2)], 0.4)
    >>> beliefs = graphs.belief_propagation(tree)
    >>> beliefs.converged, bool((beliefs.log_partition - tree.exact_log_partition()).abs() < 1e-9)
    (True, True)
    """

    log_partition: Tensor
    marginals: Marginals
    residual: float
    converged: bool


@torch.no_grad()
def belief_propagation(
    model: PairwiseModel, *, n_iterations: int = 2000, damping: float = 0.3, tolerance: float = 1e-10
) -> Beliefs:
    """Sum-product messages to their fixed point, and Bethe's log Z there.

        m_{i→j}(x_j) ∝ Σ_{x_i} exp(J_ij c(x_i, x_j) + h_i(x_i)) Π_{k ∈ N(i) \\ j} m_{k→i}(x_i)
        log Z_Bethe = E_b[-E(x)] + Σ_{(i,j)} H(b_ij) - Σ_i (d_i - 1) H(b_i)

    All messages move at once, each keeping `damping` of what it was. It always returns; look at `converged`.
    Raises `ValueError` for a damping outside [0, 1). Source: Pearl 1988; Yedidia, Freeman & Weiss 2005.

    >>> from ebmkit.graphs import GraphIsing
    >>> tree = GraphIsing([(0, 1), (0, 2), (2, 3)], 0.8, 0.1)
    >>> found = belief_propagation(tree)
    >>> bool((found.log_partition - tree.exact_log_partition()).abs() < 1e-9)
    True
    """
    check_on_graph(model, "belief_propagation")
    check_count("n_iterations", n_iterations, 1)
    if not 0 <= damping < 1:
        raise ValueError(f"damping must lie in [0, 1), got {damping}")
    check_at_least_zero("tolerance", tolerance)
    n_edges, q = len(model.edges), len(model.alike)
    source, target = torch.cat([model.edges, model.edges.flip(1)]).unbind(1)
    back = torch.cat([torch.arange(n_edges) + n_edges, torch.arange(n_edges)]).to(source.device)
    site, edge = model.site_table(), model.edge_table()
    towards = torch.cat([edge, edge.mT])  # first the value of the source, then that of the target
    message = site.new_zeros(2 * n_edges, q)
    residual = 0.0
    for _ in range(n_iterations):
        belief = site.index_add(0, target, message)
        cavity = belief[source] - message[back]
        new = (cavity[:, :, None] + towards).logsumexp(1).log_softmax(-1)
        residual = float((new - message.log_softmax(-1)).abs().max()) if n_edges else 0.0
        message = damping * message + (1 - damping) * new
        if residual < tolerance:
            break
    belief = site.index_add(0, target, message)
    cavity = (belief[source] - message[back]).reshape(2, n_edges, q)
    joint = cavity[0][:, :, None] + cavity[1][:, None, :] + edge
    log_pair = joint.flatten(1).log_softmax(-1).reshape(n_edges, q, q)
    log_site = belief.log_softmax(-1)
    marginals = Marginals(log_site.exp(), log_pair.exp())
    degree = torch.bincount(target, minlength=len(site))
    energy = (marginals.site * site).sum() + (marginals.pair * edge).sum()
    entropy = -(marginals.pair * log_pair).sum() + ((degree - 1)[:, None] * marginals.site * log_site).sum()
    return Beliefs(energy + entropy, marginals, residual, residual < tolerance)
