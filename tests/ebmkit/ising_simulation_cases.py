"""Exact mean energies that the tests of many chains share."""

import torch

from ebmkit import ising
from ebmkit.ising import CRITICAL_COUPLING, Ising


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_ising(n, m, periodic, seed=0):
    g = generator(seed)
    edges = ((n, m), (n, m)) if periodic else ((n, m - 1), (n - 1, m))
    coupling = tuple(0.5 * torch.randn(e, generator=g, dtype=torch.float64) for e in edges)
    return Ising((n, m), coupling, 0.5 * torch.randn(n, m, generator=g, dtype=torch.float64), periodic)


def exact_energy(model):
    """E[E(s)]; Σ h E[s] + Σ J E[ss] with the sign turned."""
    moments = ising.exact_moments(model)
    parts = (
        (model.field, moments.spins),
        (model.horizontal, moments.horizontal),
        (model.vertical, moments.vertical),
    )
    return -sum(float((weight * mean).sum()) for weight, mean in parts)


BITS = [
    Ising((6, 8), CRITICAL_COUPLING, periodic=True),
    Ising((8, 6), -0.3, periodic=True),
    Ising((2, 6), 0.6, periodic=True),
]

BYTES = [
    Ising((5, 6), CRITICAL_COUPLING, periodic=True),
    Ising((6, 7), 0.4, field=0.2),
    Ising((1, 7), -0.8, periodic=True),
    random_ising(5, 6, periodic=False),
    random_ising(3, 5, periodic=True),
]
