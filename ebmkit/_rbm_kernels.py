"""Compiled draws of bits, for `ebmkit.chance` and the layers of an RBM; needs numba, imported where it is used.

    word = a + b + count,   a ← b ^ (b >> 9),   b ← 9 c,   c ← rotl(c, 21) + word;   bit = [⌊word / 2^8⌋ 2^-24 < p]

A side is what an update of `contrastive_divergence.fit` does between its products, in two halves with a stream of
words each, so that the number of threads never changes the result.
Source: Doty-Humphrey's SFC (PractRand).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numba import config, get_num_threads, njit, prange, set_num_threads
from numpy.typing import NDArray

Array = NDArray[np.float32]
Words = NDArray[np.uint32]
Side = Callable[..., float]

BLOCK = 64
"""Generators that advance together: they fill the vector registers."""
STREAM = 3 * BLOCK
"""Words of random state a call needs: a, b and c of BLOCK generators; their common count starts at 0."""
_U32, _I32, _F32 = np.uint32, np.int32, np.float32
# Rows of the workspace, one flat array: at constant distances, so that the compiler sees they are apart.
_A, _B, _C, _WORD = (row * BLOCK for row in range(4))
_ONE, _ZERO, _GRID = _F32(1), _F32(0), _F32(2.0**-24)
_FAST = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw(probability: Array, bits: Array, stream: Words) -> None:
    """Sets `bits (n,)` to 1 with `probability (n,)`, else 0; `stream` is `(STREAM,)`, uniform random words."""
    _draw(probability, bits, _workspace(stream), _U32(0))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def draw_layer(
    field: Array,
    bias: Array,
    bits: Array,
    stream: Words,
    share: Array | None = None,
    total: Array | None = None,
    more: Array | None = None,
) -> None:
    """Turns `field (rows, n)` into p = σ(field + bias) in place, and draws `bits` for its last rows from p.

    With `share (rows,)`, p is then multiplied by it, and its rows are summed into `total (n,)`; with
    `more (rows, n)`, the other half of a sum, p = σ(field + more + bias).
    """
    work, count = _workspace(stream), _U32(0)
    first = len(field) - len(bits)
    if total is not None:
        total[:] = _ZERO
    for i in range(len(field)):
        row = field[i]
        if more is not None:
            for j in range(len(row)):
                row[j] += more[i, j]
        for j in range(len(row)):
            row[j] = _sigmoid(row[j] + bias[j])
        if i >= first:
            count = _draw(row, bits[i - first], work, count)
        if share is not None and total is not None:
            for j in range(len(row)):
                row[j] *= share[i]
                total[j] += row[j]


@contextmanager
def sides() -> Iterator[tuple[Side, Side]]:
    """The hidden and the visible side of an update, with as many threads as torch has."""
    for_torch = torch.get_num_threads()
    if for_torch == 1:  # no OpenMP then, after which the process could not fork
        yield (
            lambda *arrays: sum(_hidden_half(t, *arrays) for t in range(2)),
            lambda *arrays: sum(_visible_half(t, *arrays) for t in range(2)),
        )
        return
    for_numba = get_num_threads()
    set_num_threads(min(for_torch, config.NUMBA_NUM_THREADS))
    try:
        yield _hidden_side, _visible_side
    finally:
        set_num_threads(for_numba)
        torch.set_num_threads(for_torch)  # numba's OpenMP sets its own number for the process when it starts


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


@njit(inline="always")  # type: ignore[untyped-decorator]
def _workspace(stream: Words) -> Words:
    work = np.empty(STREAM + BLOCK, np.uint32)
    work[:STREAM] = stream
    return work


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _draw(probability: Array, bits: Array, work: Words, count: np.uint32) -> np.uint32:
    for k in range(0, len(probability), BLOCK):
        for q in range(BLOCK):
            a, b, c = work[_A + q], work[_B + q], work[_C + q]
            word = _U32(_U32(a + b) + count)
            work[_A + q] = b ^ _U32(b >> _U32(9))
            work[_B + q] = _U32(c + _U32(c << _U32(3)))
            work[_C + q] = _U32(_U32(_U32(c << _U32(21)) | _U32(c >> _U32(11))) + word)
            work[_WORD + q] = word
        count = _U32(count + _U32(1))
        width = min(BLOCK, len(probability) - k)
        p, x = probability[k : k + width], bits[k : k + width]
        for q in range(width):
            x[q] = _ONE if _F32(_I32(work[_WORD + q] >> _U32(8))) * _GRID < p[q] else _ZERO
    return count


@njit(inline="always")  # type: ignore[untyped-decorator]
def _sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + 2^t), t = -x log2 e: whole powers by their exponent bits, the rest by Taylor's series."""
    t = _F32(min(max(x, _F32(-87.0)), _F32(87.0)) * _F32(-1.4426950408889634))
    shifted = _F32(t + _F32(1.5 * 2.0**23))  # rounds t to a whole number, which its last bits then are
    y = _F32(_F32(t - _F32(shifted - _F32(1.5 * 2.0**23))) * _F32(0.6931471805599453))
    series = _ONE + y * (
        _ONE
        + y * (_F32(1 / 2) + y * (_F32(1 / 6) + y * (_F32(1 / 24) + y * (_F32(1 / 120) + y * _F32(1 / 720)))))
    )
    power = _I32(_F32(series).view(np.int32) + _I32(shifted.view(np.int32) << _I32(23))).view(np.float32)
    return _F32(_ONE / (_ONE + power))
