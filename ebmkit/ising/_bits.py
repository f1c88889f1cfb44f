"""Words of bits, a lane a bit: what the NumPy engine and the compiled one share."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
LANES = 32


class Seam(NamedTuple):
    """How the bands of a chain join, in a ring: the last is `shift` lanes from the first.

    `first` and `last` have the bits of those lanes set.
    """

    shift: np.uint32
    first: np.uint32
    last: np.uint32

    @staticmethod
    def of(bands: int) -> "Seam":
        first = sum(1 << lane for lane in range(0, LANES, bands))
        return Seam(np.uint32(bands - 1), np.uint32(first), np.uint32(first << (bands - 1)))


def lanes_before(words: Words, seam: Seam) -> Words:
    """The words with every lane holding what the band before it held."""
    return ((words << np.uint32(1)) & ~seam.first) | ((words >> seam.shift) & seam.first)


def lanes_after(words: Words, seam: Seam) -> Words:
    """The words with every lane holding what the band after it held."""
    return ((words >> np.uint32(1)) & ~seam.last) | ((words << seam.shift) & seam.last)
