"""Inputs drawn at grading time."""

import numpy as np

from autograder.exercises.attempt import Attempt

from .definitions import Array, Grid


def shape(rng: np.random.Generator, largest: int = 7) -> tuple[int, int]:
    n, m = rng.choice(np.arange(2, largest + 1), 2, replace=False)
    return int(n), int(m)


def labels(rng: np.random.Generator, size: tuple[int, ...], dtype: type = np.int64) -> Grid:
    return rng.integers(0, 2, size).astype(dtype)


def strength(rng: np.random.Generator, low: float = 0.2, high: float = 1.5) -> float:
    return float(rng.uniform(low, high))


def chain(rng: np.random.Generator, length: int, n_labels: int) -> tuple[Array, Array]:
    """Scores (length, n_labels) and transitions (n_labels, n_labels) of a chain whose neighbours matter."""
    return rng.normal(0, 1, (length, n_labels)), rng.normal(0, 1.5, (n_labels, n_labels))


def both_kinds(rng: np.random.Generator, size: tuple[int, int]) -> Grid:
    """A picture that holds both labels."""
    while True:
        picture = labels(rng, size)
        if picture.any() and not picture.all():
            return picture


def blocks(rng: np.random.Generator, side: int = 24, share: float = 0.1) -> tuple[Grid, Grid]:
    """A picture of a few large patches, and the same with a share of its pixels flipped."""
    truth = np.zeros((side, side), dtype=np.int64)
    row, column = rng.integers(side // 4, side // 2, 2)
    truth[row : row + side // 2, :] = 1
    truth[:, column : column + side // 3] = 1
    return truth, np.where(rng.random(truth.shape) < share, 1 - truth, truth)


def picture_of(attempt: Attempt, value: object, size: tuple[int, ...]) -> Grid:
    """The returned labels as integers, or a clear complaint."""
    found = attempt.array(value, size)
    attempt.expect(np.isin(found, (0, 1)).all(), "labels must be 0 or 1; other values came back")
    return found.astype(np.int64)
