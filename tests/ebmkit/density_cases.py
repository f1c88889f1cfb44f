"""Random parameters and frequencies that the tests of densities share."""

import itertools
import math

import torch

INF = math.inf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def all_bits(n):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def randomized(model, seed=1, scale=0.5):
    """The same model with every parameter drawn at random: what holds must hold for any parameters."""
    g = generator(seed)
    for parameter in model.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
    return model


def assert_frequencies_match(samples, states, probabilities):
    """Hoeffding: |frequency - p| > 3e-2 at n = 20000 has probability < 2 exp(-36) a state, < 1e-14 in all."""
    assert len(samples) == 20_000
    hits = (samples[:, None] == states).flatten(2).all(-1).double().mean(0)
    assert (hits - probabilities).abs().max() < 3e-2
