"""A sweep over a graph, compiled; needs numba, and is imported only where it is used."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ebmkit._chance_kernels import Array, Words, draw_some, sigmoid, workspace

Numbers = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def sweep(
    bits: Array,
    base: Array,
    start: Numbers,
    neighbour: Numbers,
    weight: Array,
    order: Numbers,
    stream: Words,
) -> None:
    """Redraws `bits (n, chains)` in place, site by site in `order`: on with probability σ(base_i + Σ_k w_k bit_k).

    The neighbours of site i stand in `neighbour`, their weights in `weight`, from `start[i]` to `start[i + 1]`.
    """
    work, count = workspace(stream), np.uint32(0)
    p = np.empty(bits.shape[1], np.float32)
    for i in order:
        p[:] = base[i]
        for k in range(start[i], start[i + 1]):
            w, other = weight[k], bits[neighbour[k]]
            for c in range(len(p)):
                p[c] += w * other[c]
        for c in range(len(p)):
            p[c] = sigmoid(p[c])
        count = draw_some(p, bits[i], work, count)


_TOGETHER = 16
"""Chains that go in and out side by side: so many numbers are a line of the cache."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def enter(x: Array, low: float, high: float, bits: Array) -> bool:
    """Writes `x (chains, n)` of two values as `bits (n, chains)`; False where one is neither of them."""
    chains, n = x.shape
    strange = 0
    for first in range(0, chains, _TOGETHER):
        last = min(first + _TOGETHER, chains)
        for i in range(n):
            for c in range(first, last):
                on = x[c, i] == high
                strange += not (on or x[c, i] == low)
                bits[i, c] = on
    return strange == 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave(bits: Array, low: float, high: float, x: Array) -> None:
    """Writes `bits (n, chains)` as `x (chains, n)` of two values."""
    n, chains = bits.shape
    for first in range(0, chains, _TOGETHER):
        last = min(first + _TOGETHER, chains)
        for i in range(n):
            for c in range(first, last):
                x[c, i] = high if bits[i, c] else low
