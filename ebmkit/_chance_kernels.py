"""Compiled draws of bits for `ebmkit.chance`; needs numba, and is imported only where it is used.

    word = a + b + count,   a ← b ^ (b >> 9),   b ← 9 c,   c ← rotl(c, 21) + word;   bit = [⌊word / 2^8⌋ 2^-24 < p]

Source: Doty-Humphrey's SFC (PractRand).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float32]
Words = NDArray[np.uint32]

BLOCK = 64
"""Generators that advance together: they fill the vector registers."""
STREAM = 3 * BLOCK
"""Words of random state a call needs: a, b and c of BLOCK generators; their common count starts at 0."""
_U32, _I32, _F32 = np.uint32, np.int32, np.float32
# Rows of the workspace, one flat array: at constant distances, so that the compiler sees they are apart.
_A, _B, _C, _WORD = (row * BLOCK for row in range(4))
_ONE, _ZERO, _GRID = _F32(1), _F32(0), _F32(2.0**-24)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw(probability: Array, bits: Array, stream: Words) -> None:
    """Sets `bits (n,)` to 1 with `probability (n,)`, else 0; `stream` is `(STREAM,)`, uniform random words."""
    draw_some(probability, bits, workspace(stream), _U32(0))


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
    work, count = workspace(stream), _U32(0)
    first = len(field) - len(bits)
    if total is not None:
        total[:] = _ZERO
    for i in range(len(field)):
        row = field[i]
        if more is not None:
            for j in range(len(row)):
                row[j] += more[i, j]
        for j in range(len(row)):
            row[j] = sigmoid(row[j] + bias[j])
        if i >= first:
            count = draw_some(row, bits[i - first], work, count)
        if share is not None and total is not None:
            for j in range(len(row)):
                row[j] *= share[i]
                total[j] += row[j]


@njit(inline="always")  # type: ignore[untyped-decorator]
def workspace(stream: Words) -> Words:
    work = np.empty(STREAM + BLOCK, np.uint32)
    work[:STREAM] = stream
    return work


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw_some(probability: Array, bits: Array, work: Words, count: np.uint32) -> np.uint32:
    for k in range(0, len(probability), BLOCK):
        count = next_words(work, count)
        width = min(BLOCK, len(probability) - k)
        p, x = probability[k : k + width], bits[k : k + width]
        for q in range(width):
            x[q] = _ONE if unit(work, q) < p[q] else _ZERO
    return count


@njit(inline="always")  # type: ignore[untyped-decorator]
def next_words(work: Words, count: np.uint32) -> np.uint32:
    """A word of each generator, for `unit` to read; returns the count of the words after it."""
    for q in range(BLOCK):
        a, b, c = work[_A + q], work[_B + q], work[_C + q]
        word = _U32(_U32(a + b) + count)
        work[_A + q] = b ^ _U32(b >> _U32(9))
        work[_B + q] = _U32(c + _U32(c << _U32(3)))
        work[_C + q] = _U32(_U32(_U32(c << _U32(21)) | _U32(c >> _U32(11))) + word)
        work[_WORD + q] = word
    return _U32(count + _U32(1))


@njit(inline="always")  # type: ignore[untyped-decorator]
def unit(work: Words, q: int) -> np.float32:
    """The upper 24 bits of generator q's word as a number in [0, 1)."""
    return _F32(_I32(work[_WORD + q] >> _U32(8))) * _GRID


@njit(inline="always")  # type: ignore[untyped-decorator]
def sigmoid(x: np.float32) -> np.float32:
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
