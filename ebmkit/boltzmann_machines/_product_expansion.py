"""Sums the states of a few binary units against many others fast, without one softplus per term.

    log Σ_h e^{b·h} Π_i (1 + e^{a_i + W_i·h}),   h = (top, middle, low),   e^{a_i + W_i·h} = t_i m_i l_i

Three small tables of exponentials leave one product and one fused multiply-add per term. Needs numba.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LARGEST = 300.0
_TABLE_UNITS = 8


def log_sum(a: Array, W: Array, b: Array) -> float | None:
    """The sum above, W of shape `(n, n_summed)`; None where a factor could leave the range of a double."""
    reach = np.abs(a) + np.abs(W).sum(1)
    if not np.all(reach < _LARGEST):
        return None
    low = min(_TABLE_UNITS, W.shape[1])
    middle = min(_TABLE_UNITS, W.shape[1] - low)
    cut = (slice(0, low), slice(low, low + middle), slice(low + middle, None))
    factors = [np.exp(_bits(W[:, part].shape[1]) @ W[:, part].T) for part in cut]
    biases = [_bits(W[:, part].shape[1]) @ b[part] for part in cut]
    factors[2] = factors[2] * np.exp(a)
    padding = ((0, 0), (0, -len(a) % 4))
    low_t, middle_t, top_t = (np.pad(table, padding) for table in factors)
    flush = _flush_points(np.pad(np.logaddexp(0.0, reach), padding[1]))
    blocks: Array = _block_log_sums(np.ascontiguousarray(low_t.T), middle_t, top_t, *biases, flush)
    peak = float(blocks.max())
    return peak + math.log(float(np.exp(blocks - peak).sum()))


def _bits(n: int) -> Array:
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


def _flush_points(bound: Array) -> NDArray[np.bool_]:
    """After which groups of four factors the product moves into the logarithm, before it overflows."""
    group = bound.reshape(-1, 4).sum(1)
    flush, total = np.zeros(len(group), dtype=np.bool_), 0.0
    for k in range(len(group)):
        total += group[k]
        if k + 1 == len(group) or total + group[k + 1] > 700.0:
            flush[k], total = True, 0.0
    return flush


@njit(cache=True, parallel=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def _block_log_sums(
    low: Array,
    middle: Array,
    top: Array,
    low_bias: Array,
    middle_bias: Array,
    top_bias: Array,
    flush: NDArray[np.bool_],
) -> Array:
    """One logarithm of a sum for each state of the top units; the other two are summed inside."""
    result = np.empty(len(top))
    for t in prange(len(top)):
        peak, total = -np.inf, 0.0
        log_term, product = np.empty(len(low_bias)), np.empty(len(low_bias))
        for m in range(len(middle)):
            log_term[:] = low_bias + (middle_bias[m] + top_bias[t])
            product[:] = 1.0
            for group in range(len(flush)):
                i = 4 * group
                c0, c1 = top[t, i] * middle[m, i], top[t, i + 1] * middle[m, i + 1]
                c2, c3 = top[t, i + 2] * middle[m, i + 2], top[t, i + 3] * middle[m, i + 3]
                r0, r1, r2, r3 = low[i], low[i + 1], low[i + 2], low[i + 3]
                for s in range(len(product)):
                    left = (1.0 + c0 * r0[s]) * (1.0 + c1 * r1[s])
                    product[s] *= left * ((1.0 + c2 * r2[s]) * (1.0 + c3 * r3[s]))
                if flush[group]:
                    log_term += np.log(product)
                    product[:] = 1.0
            highest = log_term.max()
            if highest > peak:
                total *= math.exp(peak - highest)
                peak = highest
            total += np.exp(log_term - peak).sum()
        result[t] = peak + math.log(total)
    return result
