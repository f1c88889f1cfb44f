"""Experts over bits that the tests of products share."""

import itertools
import math

import torch

from ebmkit import EnergyModel

D = torch.float64

INF = math.inf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=D)


def all_bits(*shape):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=math.prod(shape))), dtype=D).reshape(
        -1, *shape
    )


class Table(EnergyModel):
    """Any distribution over three bits, from its eight probabilities."""

    event_shape = (3,)
    values = (0.0, 1.0)

    def __init__(self, probabilities):
        super().__init__()
        self.p = probabilities / probabilities.sum()

    def log_prob(self, x):
        return self.p.log()[(x @ torch.tensor([4.0, 2.0, 1.0], dtype=D)).long()]

    def energy(self, x):
        return -self.log_prob(x)

    def sample(self, sample_shape, *, generator):
        raise AssertionError("not needed")


def random_table(seed, allowed=None):
    p = randn(8, seed=seed).exp()
    return Table(p if allowed is None else p * torch.tensor(allowed, dtype=D))


def total_variation(p, q):
    return 0.5 * (p - q).abs().sum().item()
