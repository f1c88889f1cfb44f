"""A sweep over a graph, compiled; needs numba, and is imported only where it is used.

A word holds a site's bits of 64 chains, chain c's in word c // 64, so that neighbours far apart stay in the cache.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ebmkit._chance_kernels import BLOCK, Array, Words, next_words, sigmoid, unit, workspace

Numbers = NDArray[np.int64]
Bits = NDArray[np.uint64]
LANES = BLOCK
"""Bits of a word, and random words that are made together."""
_U64, _I32, _F32 = np.uint64, np.int32, np.float32


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def sweep(
    words: Bits,
    field: Array,
    coupling: Array,
    off: float,
    on: float,
    near: tuple[Numbers, Numbers, Numbers],
    order: Numbers,
    stream: Words,
) -> None:
    """Redraws `words (n, ⌈chains / 64⌉)` in place, site by site in `order`: on with σ(field_i + Σ_j J_ij c_j).

    c_j is `on` or `off`, as the neighbour is. `near` is where the neighbours of site i begin (those of i + 1 are
    next), which sites they are, and by which edge they are joined.
    """
    start, neighbour, edge = near
    work, count = workspace(stream), np.uint32(0)
    p = np.empty(LANES, np.float32)
    for i in order:
        for g in range(words.shape[1]):
            here = field[i]
            p[:] = _F32(0)
            for k in range(start[i], start[i + 1]):
                all_off, gain = coupling[edge[k]] * _F32(off), coupling[edge[k]] * _F32(on - off)
                here += all_off
                word = words[neighbour[k], g]
                for c in range(LANES):
                    p[c] += gain * _F32(_I32((word >> _U64(c)) & _U64(1)))
            for c in range(LANES):
                p[c] = sigmoid(here + p[c])
            count = next_words(work, count)
            word = _U64(0)
            for c in range(LANES):
                word |= _U64(unit(work, c) < p[c]) << _U64(c)
            words[i, g] = word


_TOGETHER = 64
"""Sites whose words are gathered or read side by side, chain after chain."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def enter(x: Array, low: float, high: float, words: Bits) -> bool:
    """Writes `x (chains, n)` of two values as `words (n, ⌈chains / 64⌉)`; False where one is neither of them."""
    chains, n = x.shape
    lo, hi = _F32(low), _F32(high)
    strange = _U64(0)
    bits = np.empty(_TOGETHER, np.uint64)
    for first in range(0, n, _TOGETHER):
        width = min(_TOGETHER, n - first)
        for g in range(words.shape[1]):
            bits[:] = _U64(0)
            for c in range(g * LANES, min((g + 1) * LANES, chains)):
                lane = _U64(c - g * LANES)
                row = x[c, first : first + width]
                for q in range(width):
                    on = _U64(row[q] == hi)
                    strange |= _U64(1) ^ on ^ _U64(row[q] == lo)
                    bits[q] |= _U64(on << lane)
            words[first : first + width, g] = bits[:width]
    return bool(strange == 0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave(words: Bits, low: float, high: float, x: Array) -> None:
    """Writes `words (n, ⌈chains / 64⌉)` as `x (chains, n)` of two values."""
    chains, n = x.shape
    lo, hi = _F32(low), _F32(high)
    bits = np.empty(_TOGETHER, np.uint64)
    for first in range(0, n, _TOGETHER):
        width = min(_TOGETHER, n - first)
        for g in range(words.shape[1]):
            bits[:width] = words[first : first + width, g]
            for c in range(g * LANES, min((g + 1) * LANES, chains)):
                lane = _U64(c - g * LANES)
                row = x[c, first : first + width]
                for q in range(width):
                    row[q] = hi if (bits[q] >> lane) & _U64(1) else lo
