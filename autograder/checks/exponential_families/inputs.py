"""Inputs drawn at grading time."""

import numpy as np

from .definitions import Array, Call


def variances(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Variances away from 1 and from 1/2, where mistakes hide."""
    return np.where(rng.random(size) < 0.5, rng.uniform(0.1, 0.4, size), rng.uniform(1.6, 5.0, size))


def means(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    return rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 3.0, size)


def gaussians(rng: np.random.Generator) -> list[Call]:
    return [(means(rng, s), variances(rng, s)) for s in [(5,), (3,), (4, 3), (1,), (3, 1, 2)]]
