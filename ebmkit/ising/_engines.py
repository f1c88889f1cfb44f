"""The engines behind `ebmkit.ising.simulate`: many chains of one lattice, in words of bits or in bytes.

A word holds one spin of 32 chains, or 32 spins of one chain that lie far apart. Which way most neighbours point
is a few logical operations for all 32; chance enters as one uniform a lane, compared bit by bit with its threshold.
Source: Creutz, Jacobs & Rebbi, Physical Review Letters 42 (1979) (multi-spin coding).
"""

import math
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ebmkit._threads import as_many_threads_as_torch
from ebmkit.ising._bits import LANES, Seam, Words, lanes_after, lanes_before

THRESHOLD_BITS = 48
_ALL = np.uint32(0xFFFFFFFF)
# Words a NumPy update touches at a time: small enough to stay in cache, and to be little beside the lattice.
_STRIP_WORDS = 1 << 15
# Bits after which most words are decided, so that NumPy goes on with the others alone.
_BITS_TOGETHER = 6


def compiled() -> ModuleType | None:
    """The compiled kernels, or None where numba is missing."""
    try:
        from ebmkit.ising import _kernels
    except ImportError:
        return None
    return _kernels


class MultiSpin:
    """Chains of a torus with even sides, one coupling and no field, a bit a spin.

    The rows of a chain are cut into `bands`, 1 to 32 of them, and a lane holds one band of one chain: lane
    `bands`·c + b of group g is band b of the group's chain c. `words` is `(groups, 2, rows, m/2)`, and word
    (colour, i, k) holds row i of each band and column j = 2k + (i + colour) mod 2: a site's neighbours all lie in
    the other colour's half, and in the same lane, except across the edge of a band.
    """

    def __init__(
        self, shape: tuple[int, int], coupling: float, n_chains: int, seed: np.random.SeedSequence
    ) -> None:
        self.shape, self.coupling, self.n_chains = shape, coupling, n_chains
        self.bands = n_bands(shape[0], n_chains)
        self._seam = Seam.of(self.bands)
        self._chains_in_word = LANES // self.bands
        groups = -(-n_chains // self._chains_in_word)
        self._rng = np.random.Generator(np.random.SFC64(seed))
        size = (groups, 2, shape[0] // self.bands, shape[1] // 2)
        self.words: Words = self._rng.integers(0, 2**32, size, dtype=np.uint32)
        self._against = _ALL if coupling < 0 else np.uint32(0)
        # Away from the majority of the neighbours, given heads: twice σ(-2|J|·|sum|), for |sum| = 2 and 4.
        self._pair_bits, self._quad_bits = (
            threshold_bits(2 / (1 + math.exp(min(700.0, 2 * abs(coupling) * s)))) for s in (2, 4)
        )
        self._kernels = compiled()
        if self._kernels is not None:
            streams = (groups, self._kernels.STREAM)
            self._streams: Words = self._rng.integers(0, 2**32, streams, dtype=np.uint32)

    def sweep(self, n_sweeps: int) -> None:
        """`n_sweeps` checkerboard heat-bath sweeps of every chain."""
        if self._kernels is not None:
            self._sweep_compiled(self._kernels, n_sweeps)
            return
        strip = max(2, _STRIP_WORDS // self.words.shape[3])
        for half_sweep in range(2 * n_sweeps):
            for group in self.words:
                for start in range(0, group.shape[1], strip):
                    self._update_strip(group, half_sweep & 1, slice(start, start + strip))

    def _sweep_compiled(self, kernels: ModuleType, n_sweeps: int) -> None:
        law = (self._pair_bits, self._quad_bits, self._against, self._seam)
        with as_many_threads_as_torch() as threads:
            if threads > 1 and len(self.words) > 1:
                kernels.multi_spin_sweeps(self.words, *law, self._streams, n_sweeps)
                return
            for words, stream in zip(self.words, self._streams):  # in this thread, so none to wait for
                kernels.group_sweeps(words, *law, stream, n_sweeps)

    def _update_strip(self, group: Words, colour: int, rows: slice) -> None:
        near = [part ^ self._against for part in _neighbours(group[1 - colour], colour, rows, self._seam)]
        group[colour, rows] = heat_bath(near, self._pair_bits, self._quad_bits, self._draw)

    def _draw(self, count: int) -> Words:
        pairs: NDArray[np.uint64] = self._rng.bit_generator.random_raw(-(-count // 2))
        return pairs.view(np.uint32)[:count]

    def measure(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The energy and the mean spin of every chain; each `(n_chains,)`."""
        sites = self.shape[0] * self.shape[1]
        up, broken = self._totals() if self._kernels is None else self._totals_compiled(self._kernels)
        up, broken = (total.reshape(-1, self.bands).sum(1)[: self.n_chains] for total in (up, broken))
        return -self.coupling * (2 * sites - 2 * broken), (2 * up - sites) / sites

    def _totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How many spins are up in each lane of each group, and how many bonds are broken; both `(groups, 32)`."""
        up, broken = np.empty((2, len(self.words), LANES))
        for g, group in enumerate(self.words):
            near = _neighbours(group[1], 0, slice(None), self._seam)
            up[g] = sum(lane_totals(half) for half in group)
            broken[g] = sum(lane_totals(group[0] ^ part) for part in near)
        return up, broken

    def _totals_compiled(self, kernels: ModuleType) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        up, broken = np.empty((2, len(self.words), LANES), np.int64)
        with as_many_threads_as_torch() as threads:
            if threads > 1 and len(self.words) > 1:
                kernels.multi_spin_totals(self.words, self._seam, up, broken)
            else:
                for words, ups, breaks in zip(self.words, up, broken):
                    kernels.group_totals(words, self._seam, ups, breaks)
        return up.astype(np.float64), broken.astype(np.float64)

    def get_spins(self) -> NDArray[np.int8]:
        """Spins ±1, `(n_chains, n, m)`, int8: eight times the memory of the bits."""
        n, m = self.shape
        spins = np.empty((self.n_chains, self.bands, n // self.bands, m), np.int8)
        for lane, sites, words in self._lanes(spins):
            sites[:] = words >> lane & np.uint32(1)
        spins *= 2
        spins -= 1
        return spins.reshape(-1, n, m)

    def set_spins(self, spins: NDArray[np.int8]) -> None:
        """Continues from spins `(n_chains, n, m)`."""
        self.words[:] = 0
        for lane, sites, words in self._lanes(spins.reshape(self.n_chains, self.bands, -1, self.shape[1])):
            words |= (sites > 0).astype(np.uint32) << lane

    def _lanes(self, spins: NDArray[np.int8]) -> Iterator[tuple[np.uint32, NDArray[np.int8], Words]]:
        """Each lane with where its sites lie in `spins` `(n_chains, bands, rows, m)` and in `words`, row by row.

        Rows of one parity at a time, as their colours begin at the same column.
        """
        for lane, colour, parity in np.ndindex(LANES, 2, 2):
            chain, band = divmod(lane, self.bands)
            sites = spins[chain :: self._chains_in_word, band, parity::2, (parity + colour) % 2 :: 2]
            yield np.uint32(lane), sites, self.words[: len(sites), colour, parity::2]


def n_bands(rows: int, n_chains: int) -> int:
    """Into how many bands to cut a chain: the most, a power of two, that fit the word and are of even height."""
    bands = LANES
    while bands > 1 and (bands * n_chains > LANES or rows % (2 * bands)):
        bands //= 2
    return bands


class ByteLattice:
    """Chains of any grid, a byte a spin.

    `bonds` are horizontal, vertical and field, `(n, m)`; `coupling` is what all edges share, or nan. `sweep_slowly`
    does one sweep of all chains where numba is missing.
    """

    def __init__(
        self,
        bonds: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        coupling: float,
        periodic: bool,
        n_chains: int,
        seed: np.random.SeedSequence,
        sweep_slowly: Callable[[NDArray[np.int8]], NDArray[np.int8]],
    ) -> None:
        rng = np.random.Generator(np.random.SFC64(seed))
        self._bonds, self._periodic, self._sweep_slowly = bonds, periodic, sweep_slowly
        self._spins = 2 * rng.integers(0, 2, (n_chains, *bonds[2].shape), dtype=np.int8) - 1
        self._streams = rng.integers(0, 2**64, (n_chains, 4), dtype=np.uint64)
        field = bonds[2]
        self._p_up = None
        if not math.isnan(coupling) and (field == field[0, 0]).all():
            self._p_up = expit(2 * (coupling * np.arange(-4, 5) + field[0, 0]))

    def sweep(self, n_sweeps: int) -> None:
        """`n_sweeps` heat-bath sweeps of every chain."""
        kernels = compiled()
        if kernels is None:
            for _ in range(n_sweeps):
                self._spins = self._sweep_slowly(self._spins)
            return
        with as_many_threads_as_torch():
            if self._p_up is not None:
                kernels.uniform_lattice_sweeps(
                    self._spins, self._p_up, self._periodic, self._streams, n_sweeps
                )
            else:
                kernels.lattice_sweeps(self._spins, *self._bonds, self._streams, n_sweeps)

    def measure(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The energy and the mean spin of every chain; each `(n_chains,)`."""
        horizontal, vertical, field = self._bonds
        energies = [
            -(s * (horizontal * np.roll(s, -1, 1) + vertical * np.roll(s, -1, 0) + field)).sum()
            for s in self._spins
        ]
        return np.array(energies), self._spins.mean((1, 2))

    def get_spins(self) -> NDArray[np.int8]:
        """Spins ±1, `(n_chains, n, m)`, int8."""
        return self._spins

    def set_spins(self, spins: NDArray[np.int8]) -> None:
        """Continues from spins `(n_chains, n, m)`."""
        self._spins = spins.copy()


def threshold_bits(probability: float) -> Words:
    """The leading bits of a probability, most significant first, each as a word of equal bits."""
    scaled = min(round(probability * 2**THRESHOLD_BITS), 2**THRESHOLD_BITS - 1)
    places = range(THRESHOLD_BITS - 1, -1, -1)
    return np.array([_ALL if scaled >> place & 1 else 0 for place in places], dtype=np.uint32)


def heat_bath(
    neighbours: list[Words], pair_bits: Words, quad_bits: Words, draw: Callable[[int], Words]
) -> Words:
    """New spins given the four neighbours' words: with their majority, but against it with σ(-2|J|·|sum|).

    A tie follows a coin. Otherwise heads is needed to turn away from the majority, and then a uniform below
    twice σ(-2|J|·2) or σ(-2|J|·4); it is compared bit by bit, as long as a lane is undecided. `draw(count)`
    returns so many random words.
    """
    a, b, c, d = (part.ravel() for part in neighbours)
    odd = a ^ b ^ c ^ d
    two_or_three = (a & b) ^ (c & d) ^ ((a ^ b) & (c ^ d))
    tie = two_or_three & ~odd
    coin = draw(len(a))
    new = ((two_or_three & odd) | (a & b & c & d)) ^ (tie & coin)
    undecided = coin & ~tie
    where = np.arange(len(a))
    for bit, (pair, quad) in enumerate(zip(pair_bits, quad_bits)):
        if not undecided.any():
            break
        if bit >= _BITS_TOGETHER:
            still = np.flatnonzero(undecided)
            where, undecided, odd = where[still], undecided[still], odd[still]
        threshold = odd & (pair ^ quad)
        threshold ^= quad
        decided = draw(len(where)) ^ threshold
        decided &= undecided
        undecided ^= decided
        # Where it was decided the uniform's bit differs from the threshold's: it is below where that is 1.
        threshold &= decided
        if len(where) == len(new):
            new ^= threshold
        else:
            new[where] ^= threshold
    return np.asarray(new.reshape(neighbours[0].shape))


def _neighbours(other: Words, colour: int, rows: slice, seam: Seam) -> list[Words]:
    """The words above, below and to both sides of the sites of `colour` in `rows`; `other` is the other half."""
    index = np.arange(other.shape[0])[rows]
    above, same, below = other[index - 1], other[index], other[(index + 1) % len(other)]
    if index[0] == 0:
        above[0] = lanes_before(above[0], seam)
    if index[-1] == len(other) - 1:
        below[-1] = lanes_after(below[-1], seam)
    side = np.roll(same, 1, axis=1)
    odd = (index + colour) % 2 == 1
    side[odd] = np.roll(same[odd], -1, axis=1)
    return [above, below, same, side]


def lane_totals(words: Words) -> NDArray[np.float64]:
    """How many words have each bit set; `(32,)`. Counts are added in pairs, bit-sliced: plane p holds bit p."""
    planes = [words.ravel()]
    while len(planes[0]) > 1:
        if len(planes[0]) % 2:
            planes = [np.append(plane, np.uint32(0)) for plane in planes]
        carry, total = np.zeros(len(planes[0]) // 2, np.uint32), []
        for plane in planes:
            a, b = plane[::2], plane[1::2]
            total.append(a ^ b ^ carry)
            carry = (a & b) | (carry & (a ^ b))
        planes = [*total, carry]
    lanes = np.arange(LANES, dtype=np.uint32)
    return np.asarray(sum(2.0**p * (plane[0] >> lanes & np.uint32(1)) for p, plane in enumerate(planes)))
