"""Inputs drawn at grading time."""

import itertools
from collections.abc import Sequence

import numpy as np

from autograder.exercises.draws import bits

from .definitions import Array


def parameters(rng: np.random.Generator, n: int, m: int, scale: float = 1.0) -> tuple[Array, Array, Array]:
    """Biases and weights that all matter."""
    return (
        scale * rng.uniform(0.3, 1.0, n) * rng.choice([-1.0, 1.0], n),
        scale * rng.uniform(0.3, 1.0, m) * rng.choice([-1.0, 1.0], m),
        scale * rng.uniform(0.3, 1.5, (n, m)) * rng.choice([-1.0, 1.0], (n, m)),
    )


def machine(rng: np.random.Generator, B: int, n: int, m: int, scale: float = 1.0) -> tuple[Array, ...]:
    """A batch of states, each with a unit on in either layer where there is one, and a machine."""
    v, h = bits(rng, B, n), bits(rng, B, m)
    if B:
        v[np.arange(B), rng.integers(0, n, B)] = 1.0
        h[np.arange(B), rng.integers(0, m, B)] = 1.0
    return v, h, *parameters(rng, n, m, scale)


def sizes(rng: np.random.Generator) -> tuple[int, int, int]:
    """A batch and two layers of different sizes."""
    n, m = rng.choice(np.arange(2, 8), 2, replace=False)
    return int(rng.integers(2, 7)), int(n), int(m)


def deep_machine(
    rng: np.random.Generator, layer_sizes: Sequence[int], B: int, scale: float = 1.0
) -> tuple[list[Array], list[Array], list[Array]]:
    """States, biases and weights of a deep machine."""
    pairs = list(itertools.pairwise(layer_sizes))
    layers = [bits(rng, B, n) for n in layer_sizes]
    for x in layers:
        x[:, 0] = 1.0
    biases = [scale * rng.uniform(0.3, 1.0, n) * rng.choice([-1.0, 1.0], n) for n in layer_sizes]
    weights = [scale * rng.uniform(0.3, 1.2, pair) * rng.choice([-1.0, 1.0], pair) for pair in pairs]
    return layers, biases, weights


def random_sizes(rng: np.random.Generator, n_layers: int) -> list[int]:
    """Sizes of layers, neighbours different."""
    return [int(n) for n in rng.choice(np.arange(2, 7), n_layers, replace=False)]
