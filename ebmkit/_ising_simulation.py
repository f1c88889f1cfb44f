"""The engines behind `ebmkit.ising.simulate`: many chains of one lattice, in words of bits or in bytes.

A word holds one spin of 32 chains. Which way most neighbours point is a few logical operations for all 32 at
once; chance enters as one uniform a lane, compared bit by bit with its threshold until every lane is decided.
Source: Creutz, Jacobs & Rebbi, Physical Review Letters 42 (1979) (multi-spin coding).
"""

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Words = NDArray[np.uint32]
LANES = 32
THRESHOLD_BITS = 48
_ALL = np.uint32(0xFFFFFFFF)
# Words a NumPy update touches at a time: small enough to stay in cache, and to be little beside the lattice.
_STRIP_WORDS = 1 << 14


def compiled() -> ModuleType | None:
    """The compiled kernels, or None where numba is missing."""
    try:
        from ebmkit import _ising_kernels
    except ImportError:
        return None
    return _ising_kernels


class MultiSpin:
    """Chains of a torus with even sides, one coupling and no field, a bit a spin.

    `words` is `(groups, 2, n, m/2)`: group g holds chains 32g to 32g+31, and word (colour, i, k) the site (i, j)
    with j = 2k + (i + colour) mod 2, so that a site's neighbours all lie in the other colour's half.
    """

    def __init__(
        self, shape: tuple[int, int], coupling: float, n_chains: int, seed: np.random.SeedSequence
    ) -> None:
        self.shape, self.coupling, self.n_chains = shape, coupling, n_chains
        groups = -(-n_chains // LANES)
        self._rng = np.random.Generator(np.random.SFC64(seed))
        self.words: Words = self._rng.integers(
            0, 2**32, (groups, 2, shape[0], shape[1] // 2), dtype=np.uint32
        )
        self._against = _ALL if coupling < 0 else np.uint32(0)
        # Away from the majority of the neighbours, given heads: twice σ(-2|J|·|sum|), for |sum| = 2 and 4.
        self._pair_bits, self._quad_bits = (
            threshold_bits(2 / (1 + math.exp(min(700.0, 2 * abs(coupling) * s)))) for s in (2, 4)
        )
        self._kernels = compiled()
        if self._kernels is not None:
            streams = (groups, 4, self._kernels.BLOCK)
            self._streams: Words = self._rng.integers(0, 2**32, streams, dtype=np.uint32)

    def sweep(self, n_sweeps: int) -> None:
        """`n_sweeps` checkerboard heat-bath sweeps of every chain."""
        if self._kernels is not None:
            self._kernels.multi_spin_sweeps(
                self.words, self._pair_bits, self._quad_bits, self._against, self._streams, n_sweeps
            )
            return
        strip = max(2, _STRIP_WORDS // self.words.shape[3])
        for half_sweep in range(2 * n_sweeps):
            for group in self.words:
                for start in range(0, self.shape[0], strip):
                    self._update_strip(group, half_sweep & 1, slice(start, start + strip))

    def _update_strip(self, group: Words, colour: int, rows: slice) -> None:
        neighbours = [part ^ self._against for part in _neighbours(group[1 - colour], colour, rows)]
        draw = lambda: self._rng.integers(0, 2**32, neighbours[0].shape, dtype=np.uint32)  # noqa: E731
        group[colour, rows] = heat_bath(neighbours, self._pair_bits, self._quad_bits, draw)

    def measure(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The energy and the mean spin of every chain; each `(n_chains,)`."""
        sites = self.shape[0] * self.shape[1]
        up, broken = np.empty((2, len(self.words), LANES))
        for g, group in enumerate(self.words):
            up[g] = sum(lane_totals(half) for half in group)
            broken[g] = sum(lane_totals(group[0] ^ near) for near in _neighbours(group[1], 0, slice(None)))
        energy = -self.coupling * (2 * sites - 2 * broken.ravel())
        return energy[: self.n_chains], (2 * up.ravel() - sites)[: self.n_chains] / sites

    def get_spins(self) -> NDArray[np.int8]:
        """Spins ±1, `(n_chains, n, m)`, int8: eight times the memory of the bits."""
        n, m = self.shape
        spins = np.empty((len(self.words) * LANES, n, m), np.int8)
        for lane in range(LANES):
            for colour, i in np.ndindex(2, n):
                bits = self.words[:, colour, i] >> np.uint32(lane) & np.uint32(1)
                spins[lane::LANES, i, (i + colour) % 2 :: 2] = 2 * bits.astype(np.int8) - 1
        return spins[: self.n_chains]

    def set_spins(self, spins: NDArray[np.int8]) -> None:
        """Continues from spins `(n_chains, n, m)`."""
        self.words[:] = 0
        for chain, grid in enumerate(spins):
            group, lane = divmod(chain, LANES)
            for colour, i in np.ndindex(2, self.shape[0]):
                bits = (grid[i, (i + colour) % 2 :: 2] > 0).astype(np.uint32)
                self.words[group, colour, i] |= bits << np.uint32(lane)


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
        elif self._p_up is not None:
            kernels.uniform_lattice_sweeps(self._spins, self._p_up, self._periodic, self._streams, n_sweeps)
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
    neighbours: list[Words], pair_bits: Words, quad_bits: Words, draw: Callable[[], Words]
) -> Words:
    """New spins given the four neighbours' words: with their majority, but against it with σ(-2|J|·|sum|).

    A tie follows a coin. Otherwise heads is needed to turn away from the majority, and then a uniform below
    twice σ(-2|J|·2) or σ(-2|J|·4); it is compared bit by bit, as long as a lane is undecided.
    """
    a, b, c, d = neighbours
    odd = a ^ b ^ c ^ d
    two_or_three = (a & b) ^ (c & d) ^ ((a ^ b) & (c ^ d))
    tie = two_or_three & ~odd
    coin = draw()
    new = ((two_or_three & odd) | (a & b & c & d)) ^ (tie & coin)
    undecided = coin & ~tie
    for pair, quad in zip(pair_bits, quad_bits):
        if not undecided.any():
            break
        threshold = quad ^ (odd & (pair ^ quad))
        word = draw()
        new ^= undecided & ~word & threshold
        undecided &= ~(word ^ threshold)
    return np.asarray(new)


def _neighbours(other: Words, colour: int, rows: slice) -> list[Words]:
    """The words above, below and to both sides of the sites of `colour` in `rows`; `other` is the other half."""
    index = np.arange(other.shape[0])[rows]
    same = other[index]
    side = np.roll(same, 1, axis=1)
    odd = (index + colour) % 2 == 1
    side[odd] = np.roll(same[odd], -1, axis=1)
    return [other[index - 1], other[(index + 1) % len(other)], same, side]


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
