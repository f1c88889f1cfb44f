"""Two of the data sets of `ebmkit.data`, as arrays that answer to the few words of a tensor that notebooks use."""

from typing import Any, NamedTuple, NoReturn

import numpy as np


class Picture(np.ndarray):
    """An array with a tensor's `numpy()`, `double()` and `float()`."""

    def numpy(self) -> np.ndarray:
        return np.array(self)

    def double(self) -> "Picture":
        return self.astype(np.float64)

    def float(self) -> "Picture":
        return self.astype(np.float32)


class Restoration(NamedTuple):
    """A picture and what noise made of it."""

    truth: Picture
    noisy: Picture


def picture(values: Any, dtype: type) -> Picture:
    return np.array(values, dtype=dtype).view(Picture)


def slide_image() -> Restoration:
    """A 3×3 picture, as on the lecture's slide, and the same with one pixel flipped by noise."""
    truth = picture([[1, 0, 0], [1, 0, 0], [1, 1, 1]], np.float64)
    return Restoration(truth, picture([[1, 0, 0], [1, 0, 0], [0, 1, 1]], np.float64))


def bars_and_stripes(n: int) -> Picture:
    """All 2^(n+1) - 2 pictures made of full columns or of full rows, `(2^(n+1) - 2, n, n)`, float32."""
    if not 1 <= n <= 15:
        raise ValueError(f"n must lie between 1 and 15, got {n}; there are 2^(n+1) - 2 pictures")
    lines = np.arange(2**n)[:, None] >> np.arange(n) & 1
    bars = np.repeat(lines[:, None, :], n, axis=1)
    stripes = np.repeat(lines[1:-1, :, None], n, axis=2)
    return picture(bars[:2] if n == 1 else np.concatenate([bars, stripes]), np.float32)


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"in the page ebmkit.data has slide_image and bars_and_stripes, not `{name}`")
