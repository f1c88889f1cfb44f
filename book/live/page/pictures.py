"""Arrays as pictures: what a value shows besides its numbers."""

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

MOST_PICTURES = 8
LARGEST = 512


def is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "buif" and value.size > 0


def of(value: Any) -> Iterator[tuple[str, str]]:
    """Pictures of an array, or of the arrays in a tuple or list: SVG and what it shows, in words."""
    parts = value if isinstance(value, tuple | list) and len(value) <= 4 else [value]
    for part in parts:
        if is_numeric(part) and (drawn := picture(np.asarray(part, dtype=float))):
            yield drawn


def picture(array: np.ndarray) -> tuple[str, str] | None:
    """A row of pictures of an array of two or three axes, points of one with five numbers or more."""
    if not np.isfinite(array).all():
        return None
    if array.ndim == 1 and 5 <= len(array) <= 5000:
        axis = plt.Figure(1, 1, (5, 1.8)).axes[0, 0]
        axis.plot(array, "." if len(array) > 60 else "o-", markersize=3)
        words = f"{len(array)} numbers from {array.min():.4g} to {array.max():.4g}, one after another"
        return axis.figure.svg(), words
    if array.ndim not in (2, 3) or min(array.shape[-2:]) < 2 or max(array.shape[-2:]) > LARGEST:
        return None
    layers = array[None] if array.ndim == 2 else array[:MOST_PICTURES]
    figure = plt.Figure(1, len(layers), (min(2.2 * len(layers), 9), 2.2))
    for axis, layer in zip(figure.axes[0], layers, strict=True):
        axis.imshow(layer, cmap="gray_r", vmin=array.min(), vmax=array.max())
        axis.set_axis_off()
    n, m = array.shape[-2:]
    what = "an array" if array.ndim == 2 else f"the first {len(layers)} of {len(array)} arrays"
    return (
        figure.svg(),
        f"{what} of {n} rows and {m} columns: {array.min():.4g} white, {array.max():.4g} black",
    )
