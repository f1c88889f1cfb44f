"""Random grids and spins that the tests of the Ising model share."""

import torch
from hypothesis import strategies as st

from ebmkit.ising import Ising

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_ising(n, m, periodic=False, scale=0.6, field=True, seed=0, positive=False):
    g = generator(seed)
    edges = ((n, m), (n, m)) if periodic else ((n, m - 1), (n - 1, m))
    coupling = tuple(scale * torch.randn(e, generator=g, dtype=F64) for e in edges)
    if positive:
        coupling = tuple(part.abs() for part in coupling)
    return Ising(
        (n, m), coupling, scale * torch.randn(n, m, generator=g, dtype=F64) if field else 0.0, periodic
    )


def random_spins(shape, seed=0):
    return 2.0 * torch.randint(0, 2, shape, generator=generator(seed)).double() - 1


grids = st.tuples(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.integers(0, 10_000))

small_grids = st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 10_000))
