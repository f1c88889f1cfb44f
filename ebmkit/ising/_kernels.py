"""Compiled heat-bath sweeps for `ebmkit.ising.simulate`; needs numba, and is imported only where it is used.

`multi_spin_sweeps` is `_engines.heat_bath` in a loop, a block of words at a time; every group of chains
has a thread and a stream of random words of its own, so threads never wait and never change the result.
Source of the random words: Doty-Humphrey's SFC, 32 and 64 bits wide (PractRand).
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ebmkit.ising._bits import LANES, Seam, Words, lanes_after, lanes_before

BLOCK = 64
"""Words that share a comparison: they fill the vector registers, and are decided after 11 bits or so."""
_U32, _U64 = np.uint32, np.uint64
Counts = NDArray[np.int64]
_ZERO = np.uint32(0)
# Rows of a thread's workspace, one flat array: at constant distances, so that the compiler sees they are apart.
_A, _B, _C, _ODD, _COIN, _UNDECIDED, _NEW = (row * BLOCK for row in range(7))
_WORKSPACE = 7 * BLOCK
STREAM = 3 * BLOCK + 1
"""Words of random state a group keeps: a, b and c of BLOCK generators, and the counter they share."""

_lanes_before = njit(inline="always")(lanes_before)
_lanes_after = njit(inline="always")(lanes_after)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def multi_spin_sweeps(
    words: Words,
    pair_bits: Words,
    quad_bits: Words,
    against: np.uint32,
    seam: Seam,
    streams: Words,
    n_sweeps: int,
) -> None:
    """`n_sweeps` sweeps in place of `words` `(groups, 2, rows, m/2)`; `streams` is `(groups, STREAM)`."""
    for g in prange(words.shape[0]):
        group_sweeps(words[g], pair_bits, quad_bits, against, seam, streams[g], n_sweeps)


@njit(cache=True)  # type: ignore[untyped-decorator]
def group_sweeps(
    words: Words,
    pair_bits: Words,
    quad_bits: Words,
    against: np.uint32,
    seam: Seam,
    stream: Words,
    n_sweeps: int,
) -> None:
    """The sweeps of one group in the calling thread: `words` is `(2, rows, m/2)`, `stream` is `(STREAM,)`."""
    work = np.empty(_WORKSPACE, np.uint32)
    work[: STREAM - 1] = stream[: STREAM - 1]
    count = stream[STREAM - 1]
    for half_sweep in range(2 * n_sweeps):
        count = _update_colour(words, half_sweep & 1, pair_bits, quad_bits, against, seam, work, count)
    stream[: STREAM - 1] = work[: STREAM - 1]
    stream[STREAM - 1] = count


@njit(cache=True)  # type: ignore[untyped-decorator]
def _update_colour(
    words: Words,
    colour: int,
    pair_bits: Words,
    quad_bits: Words,
    against: np.uint32,
    seam: Seam,
    work: Words,
    count: np.uint32,
) -> np.uint32:
    n, half = words.shape[1], words.shape[2]
    mine, other = words[colour], words[1 - colour]
    side, beyond = np.empty(half, np.uint32), np.empty(half, np.uint32)
    for i in range(n):
        above, below, same = _around(other, i, colour, seam, side, beyond)
        row = mine[i]
        for k in range(0, half, BLOCK):
            width = min(BLOCK, half - k)
            for q in range(width):
                work[_COIN + q] = _next_word(work, q, count)
            count = _U32(count + _U32(1))
            for q in range(width):
                a, b = above[k + q] ^ against, below[k + q] ^ against
                c, d = same[k + q] ^ against, side[k + q] ^ against
                one_of_ab, one_of_cd, both_ab, both_cd = a ^ b, c ^ d, a & b, c & d
                odd = one_of_ab ^ one_of_cd
                two_or_three = both_ab ^ both_cd ^ (one_of_ab & one_of_cd)
                tie = two_or_three & ~odd
                coin = work[_COIN + q]
                work[_ODD + q] = odd
                work[_NEW + q] = ((two_or_three & odd) | (both_ab & both_cd)) ^ (tie & coin)
                work[_UNDECIDED + q] = coin & ~tie
            for bit in range(len(pair_bits)):
                pair, quad = pair_bits[bit], quad_bits[bit]
                left = _ZERO
                for q in range(width):
                    draw = _next_word(work, q, count)
                    threshold = _U32(quad ^ (work[_ODD + q] & (pair ^ quad)))
                    undecided = work[_UNDECIDED + q]
                    work[_NEW + q] ^= undecided & ~draw & threshold
                    undecided = _U32(undecided & ~(draw ^ threshold))
                    work[_UNDECIDED + q] = undecided
                    left = _U32(left | undecided)
                count = _U32(count + _U32(1))
                if left == _ZERO:
                    break
            for q in range(width):
                row[k + q] = work[_NEW + q]
    return count


@njit(inline="always")  # type: ignore[untyped-decorator]
def _around(
    other: Words, i: int, colour: int, seam: Seam, side: Words, beyond: Words
) -> tuple[Words, Words, Words]:
    """The words above, below and on one side of row i of `colour`; those on the other side are put into `side`.

    `beyond` is room for a row across the edge of a band.
    """
    n, half = other.shape
    above, below, same = other[i - 1], other[(i + 1) % n], other[i]
    if i == 0:
        for k in range(half):
            beyond[k] = _lanes_before(above[k], seam)
        above = beyond
    elif i == n - 1:
        for k in range(half):
            beyond[k] = _lanes_after(below[k], seam)
        below = beyond
    if (i + colour) & 1:
        side[: half - 1] = same[1:]
        side[half - 1] = same[0]
    else:
        side[1:] = same[: half - 1]
        side[0] = same[half - 1]
    return above, below, same


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def multi_spin_totals(words: Words, seam: Seam, up: Counts, broken: Counts) -> None:
    """`group_totals` of every group, a thread each: `up` and `broken` are `(groups, 32)`."""
    for g in prange(words.shape[0]):
        group_totals(words[g], seam, up[g], broken[g])


@njit(cache=True)  # type: ignore[untyped-decorator]
def group_totals(words: Words, seam: Seam, up: Counts, broken: Counts) -> None:
    """Lane by lane, how many spins of a group are up, and how many bonds join unlike ones; both `(32,)`, in place.

    Every column has a counter a lane, bit-sliced: plane p holds bit p of 32 counts, and a row is added to all
    columns at once by full adders. Only then are the planes' bits taken out of their words.
    """
    n, half = words.shape[1], words.shape[2]
    n_planes = 1
    while 1 << n_planes <= 4 * n:
        n_planes += 1
    ups, breaks = np.zeros((n_planes, half), np.uint32), np.zeros((n_planes, half), np.uint32)
    side, beyond, carry = np.empty(half, np.uint32), np.empty(half, np.uint32), np.empty(half, np.uint32)
    for i in range(n):
        above, below, same = _around(words[1], i, 0, seam, side, beyond)
        here = words[0, i]
        for k in range(half):
            unlike, one = here[k] ^ same[k], ups[0, k]
            ups[0, k] = unlike ^ one
            carry[k] = (here[k] & same[k]) | (one & unlike)
        _carry_on(ups, 1, carry)
        for k in range(half):
            a, b, c, d = here[k] ^ above[k], here[k] ^ below[k], here[k] ^ same[k], here[k] ^ side[k]
            three, first = a ^ b ^ c, (a & b) | (c & (a ^ b))
            four, one = three ^ d, breaks[0, k]
            second, two = (three & d) | (one & four), breaks[1, k]
            breaks[0, k] = four ^ one
            breaks[1, k] = first ^ second ^ two
            carry[k] = (first & second) | (two & (first ^ second))
        _carry_on(breaks, 2, carry)
    _take_out(ups, up)
    _take_out(breaks, broken)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _carry_on(planes: Words, first: int, carry: Words) -> None:
    """Adds the bits of `carry` to the counters' planes from `first` on."""
    for p in range(first, planes.shape[0]):
        for k in range(len(carry)):
            old = planes[p, k]
            planes[p, k] = old ^ carry[k]
            carry[k] &= old


@njit(cache=True)  # type: ignore[untyped-decorator]
def _take_out(planes: Words, totals: Counts) -> None:
    """The counters of all columns together, a lane each."""
    totals[:] = 0
    for p in range(planes.shape[0]):
        for word in planes[p]:
            for lane in range(LANES):
                totals[lane] += np.int64((word >> _U32(lane)) & _U32(1)) << p


@njit(inline="always")  # type: ignore[untyped-decorator]
def _next_word(work: Words, q: int, count: np.uint32) -> np.uint32:
    """One word of generator q of BLOCK; the casts keep numba from widening, and halving the speed."""
    a, b, c = work[_A + q], work[_B + q], work[_C + q]
    word = _U32(_U32(a + b) + count)
    work[_A + q] = b ^ _U32(b >> _U32(9))
    work[_B + q] = _U32(c + _U32(c << _U32(3)))
    work[_C + q] = _U32(_U32(_U32(c << _U32(21)) | _U32(c >> _U32(11))) + word)
    return word


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def cluster_updates(
    spins: NDArray[np.int8],
    across: NDArray[np.int64],
    down: NDArray[np.int64],
    field: NDArray[np.float64],
    streams: NDArray[np.uint64],
) -> None:
    """A Swendsen–Wang update in place of `(chains, n, m)`; `streams` `(chains, 4)` are used up.

    `across` and `down` `(n, m)` are 2^32 (1 - e^{-2|J|}) with the sign of J: the bond of spins s and t freezes
    where 32 random bits are below that times s t. `field` is `(n·m,)`, or `(0,)` where there is none.
    """
    chains, n, m = spins.shape
    for chain in prange(chains):
        parent, turn = np.empty(n * m, np.uint32), np.empty(n * m, np.int8)
        s = spins[chain].reshape(n * m)
        a, b, c, d = _freeze(s, across, down, parent, streams[chain])
        _toss(s, field, parent, turn, a, b, c, d)
        for site in range(n * m):
            turn[site] = turn[parent[site]]
            s[site] *= turn[site]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _freeze(
    s: NDArray[np.int8],
    across: NDArray[np.int64],
    down: NDArray[np.int64],
    parent: Words,
    stream: NDArray[np.uint64],
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Draws the bonds of `s (n·m,)`; every site's parent is then an earlier one of its cluster, or itself.

    Union and find, the later root always hung on the earlier. A site's bonds are those to its left and above, for
    each a half of a random word, and all of a row are drawn before any is looked at, so that a wrong guess of the
    processor's about one does not hold up the next. Those across the edges of a torus come last.
    Source: Tarjan, Journal of the ACM 22 (1975); Hoshen & Kopelman 1976.
    """
    n, m = across.shape
    a, b, c, d = stream
    left, above = np.empty(m, np.bool_), np.empty(m, np.bool_)
    for i in range(n):
        for j in range(m):
            site = i * m + j
            word, a, b, c, d = _next_word64(a, b, c, d)
            left[j] = j > 0 and across[i, j - 1] * s[site] * s[site - 1] > _upper(word)
            above[j] = i > 0 and down[i - 1, j] * s[site] * s[site - m] > _lower(word)
        root = _U64(0)
        for j in range(m):
            here = _U64(i * m + j)
            if not left[j]:
                root = here
            parent[here] = root
            if above[j]:
                root = _join(parent, root, here - _U64(m))
    for i in range(n):
        first, last = i * m, i * m + m - 1
        word, a, b, c, d = _next_word64(a, b, c, d)
        if across[i, m - 1] * s[first] * s[last] > _upper(word):
            _join(parent, _U64(first), _U64(last))
    for j in range(m):
        last = (n - 1) * m + j
        word, a, b, c, d = _next_word64(a, b, c, d)
        if down[n - 1, j] * s[j] * s[last] > _upper(word):
            _join(parent, _U64(j), _U64(last))
    return a, b, c, d


@njit(inline="always")  # type: ignore[untyped-decorator]
def _upper(word: np.uint64) -> np.int64:
    return np.int64(word >> _U64(32))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _lower(word: np.uint64) -> np.int64:
    return np.int64(word & _U64(0xFFFFFFFF))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _join(parent: Words, a: np.uint64, b: np.uint64) -> np.uint64:
    """The root of the one cluster that those of sites a and b become; paths to the roots are halved on the way."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = _U64(parent[a])
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = _U64(parent[b])
    root, other = min(a, b), max(a, b)
    parent[other] = root
    return root


@njit(cache=True)  # type: ignore[untyped-decorator]
def _toss(
    s: NDArray[np.int8],
    field: NDArray[np.float64],
    parent: Words,
    turn: NDArray[np.int8],
    a: np.uint64,
    b: np.uint64,
    c: np.uint64,
    d: np.uint64,
) -> None:
    """-1 or +1 in `turn` at each root, its cluster flipped or not; nobody looks at `turn` elsewhere."""
    word = _U64(0)
    if not len(field):
        for site in range(len(s)):
            if site % 64 == 0:
                word, a, b, c, d = _next_word64(a, b, c, d)
            turn[site] = 1 - 2 * np.int8(word & _U64(1))
            word >>= _U64(1)
        return
    pull = field * s
    for site in range(len(s) - 1, -1, -1):
        if parent[site] != site:
            pull[parent[site]] += pull[site]
            continue
        word, a, b, c, d = _next_word64(a, b, c, d)
        turn[site] = -1 if _unit(word) * (1.0 + np.exp(2.0 * pull[site])) < 1.0 else 1


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def lattice_sweeps(
    spins: NDArray[np.int8],
    horizontal: NDArray[np.float64],
    vertical: NDArray[np.float64],
    field: NDArray[np.float64],
    streams: NDArray[np.uint64],
    n_sweeps: int,
) -> None:
    """Heat-bath sweeps, row by row, in place, of `(chains, n, m)`; any couplings and fields.

    A row's even sites go before its odd ones: neighbours in turn would each wait for the one before.
    """
    chains, n, m = spins.shape
    for chain in prange(chains):
        s = spins[chain]
        a, b, c, d = streams[chain]
        for _ in range(n_sweeps):
            for i in range(n):
                above, below = (i - 1) % n, (i + 1) % n
                for first in (0, 1):
                    for j in range(first, m, 2):
                        left, right = (j - 1) % m, (j + 1) % m
                        pull = (
                            field[i, j]
                            + horizontal[i, j] * s[i, right]
                            + horizontal[i, left] * s[i, left]
                            + vertical[i, j] * s[below, j]
                            + vertical[above, j] * s[above, j]
                        )
                        word, a, b, c, d = _next_word64(a, b, c, d)
                        up = _unit(word) * (1.0 + np.exp(-2.0 * pull)) < 1.0
                        s[i, j] = 1 if up else -1
        streams[chain] = (a, b, c, d)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def uniform_lattice_sweeps(
    spins: NDArray[np.int8],
    p_up: NDArray[np.float64],
    periodic: bool,
    streams: NDArray[np.uint64],
    n_sweeps: int,
) -> None:
    """As `lattice_sweeps` for one coupling and one field: `p_up[4 + sum of the neighbours]` is a table."""
    chains, n, m = spins.shape
    for chain in prange(chains):
        a, b, c, d = streams[chain]
        # A frame holds the neighbours across the boundary, or the zeros beyond it, so that no index wraps.
        framed = np.zeros((n + 2, m + 2), np.int8)
        framed[1:-1, 1:-1] = spins[chain]
        for _ in range(n_sweeps):
            for i in range(1, n + 1):
                if periodic and i == 1 and n > 1:
                    framed[0] = framed[n]
                if periodic and i == n and n > 1:
                    framed[n + 1] = framed[1]
                for first in (1, 2):
                    if periodic and m > 1:
                        framed[i, 0] = framed[i, m]
                    for j in range(first, m + 1, 2):
                        if periodic and j == m and m > 1:
                            framed[i, m + 1] = framed[i, 1]
                        around = framed[i, j - 1] + framed[i, j + 1] + framed[i - 1, j] + framed[i + 1, j]
                        word, a, b, c, d = _next_word64(a, b, c, d)
                        framed[i, j] = 2 * np.int8(_unit(word) < p_up[4 + around]) - 1
        spins[chain] = framed[1:-1, 1:-1]
        streams[chain] = (a, b, c, d)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _next_word64(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """One word of SFC64, and its state afterwards."""
    word = a + b + d
    return (
        word,
        b ^ (b >> _U64(11)),
        c + (c << _U64(3)),
        ((c << _U64(24)) | (c >> _U64(40))) + word,
        d + _U64(1),
    )


@njit(inline="always")  # type: ignore[untyped-decorator]
def _unit(word: np.uint64) -> float:
    """The upper 53 bits as a number in [0, 1)."""
    return float(word >> _U64(11)) * 2.0**-53
