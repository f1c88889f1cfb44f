"""What an update of an RBM does between its products, compiled; needs numba, and is imported only where it is used.

A side comes in two halves with a stream of random words each: the number of threads never changes the result.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray

from ebmkit._chance_kernels import Array, Words, draw_layer
from ebmkit._threads import as_many_threads_as_torch

Side = Callable[..., float]

_F32 = np.float32
_ZERO = _F32(0)
_FAST = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}}


@contextmanager
def sides() -> Iterator[tuple[Side, Side]]:
    """The hidden and the visible side of an update, with as many threads as torch has."""
    if torch.get_num_threads() == 1:  # no OpenMP then, after which the process could not fork
        yield (
            lambda *arrays: sum(_hidden_half(t, *arrays) for t in range(2)),
            lambda *arrays: sum(_visible_half(t, *arrays) for t in range(2)),
        )
        return
    with as_many_threads_as_torch():
        yield _hidden_side, _visible_side


@njit(**_FAST)  # type: ignore[untyped-decorator]
def _hidden_half(
    t: int,
    fields: Array,
    b: Array,
    bits: Array,
    v: Array,
    share: Array,
    gradient_a: Array,
    gradient_b: Array,
    streams: Words,
) -> float:
    """`draw_layer` for half the rows of the sum of `fields (2, rows, n)`, into `fields[0]`; gradients of biases.

    `v (2, rows, m)`, `gradient_a (2, m)`: by halves of the visible units. `gradient_b (2, n)`: its two terms.
    """
    rows = fields.shape[1]
    first, low, high = rows - len(bits), t * rows // 2, (t + 1) * rows // 2
    drawn = bits[max(low - first, 0) : max(high - first, 0)]
    field, more = fields[0, low:high], fields[1, low:high]
    draw_layer(field, b, drawn, streams[t], share[low:high], gradient_b[t], more)
    _weighted_sum(v[t], share, gradient_a[t])
    return 0.0


@njit(**_FAST)  # type: ignore[untyped-decorator]
def _visible_half(
    t: int,
    W: Array,
    a: Array,
    b: Array,
    gradient_W: Array,
    gradient_a: Array,
    gradient_b: Array,
    v: Array,
    field: Array,
    data: Array,
    rate: float,
    streams: Words,
    rows: NDArray[np.int64],
) -> float:
    """Half the visible units: parameters descend, chains move, `data[rows]` comes in; the gradient's square.

    `W (2, m * n)`, `a (2, m)`, `v (2, data and chains, m)`, and `field (2, chains, m)` without a, all by halves.
    """
    m, first = v.shape[2], v.shape[1] - field.shape[1]
    square = _descend(W[t], gradient_W[t], _F32(rate))  # its gradient is still in the cache
    draw_layer(field[t], a[t], v[t, first:], streams[t])
    square += _descend(a[t], gradient_a[t], _F32(rate))
    for i in range(t * len(rows) // 2, (t + 1) * len(rows) // 2):  # whole rows: they lie far apart in memory
        for u in range(2):
            v[u, i] = data[rows[i], u * m : (u + 1) * m]
    if t == 0:
        gradient_b[0] += gradient_b[1]
        square += _descend(b, gradient_b[0], _F32(rate))
    return float(square)


@njit(parallel=True, **_FAST)  # type: ignore[untyped-decorator]
def _hidden_side(
    fields: Array,
    b: Array,
    bits: Array,
    v: Array,
    share: Array,
    gradient_a: Array,
    gradient_b: Array,
    streams: Words,
) -> float:
    for t in prange(2):
        _hidden_half(t, fields, b, bits, v, share, gradient_a, gradient_b, streams)
    return 0.0


@njit(parallel=True, **_FAST)  # type: ignore[untyped-decorator]
def _visible_side(
    W: Array,
    a: Array,
    b: Array,
    gradient_W: Array,
    gradient_a: Array,
    gradient_b: Array,
    v: Array,
    field: Array,
    data: Array,
    rate: float,
    streams: Words,
    rows: NDArray[np.int64],
) -> float:
    squares = np.empty(2)
    for t in prange(2):
        squares[t] = _visible_half(
            t, W, a, b, gradient_W, gradient_a, gradient_b, v, field, data, rate, streams, rows
        )
    return float(squares.sum())


@njit(inline="always")  # type: ignore[untyped-decorator]
def _descend(parameter: Array, gradient: Array, rate: np.float32) -> np.float32:
    square = _ZERO
    for j in range(len(parameter)):
        square += gradient[j] * gradient[j]
        parameter[j] -= rate * gradient[j]
    return square


@njit(inline="always")  # type: ignore[untyped-decorator]
def _weighted_sum(rows: Array, weight: Array, total: Array) -> None:
    total[:] = _ZERO
    for i in range(len(rows)):
        for j in range(len(total)):
            total[j] += weight[i] * rows[i, j]
