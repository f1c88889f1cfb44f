"""Random inputs that several chapters' checks draw."""

import numpy as np


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number between `low` and `high`."""
    return float(rng.uniform(low, high))


def sign(rng: np.random.Generator) -> float:
    """-1 or 1."""
    return float(rng.choice([-1.0, 1.0]))


def bits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Zeros and ones, as floats."""
    return rng.integers(0, 2, shape).astype(float)
