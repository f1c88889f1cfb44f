"""Models and exact samples that the tests of annealing share."""

import math

import torch
from toy_models import Boltzmann

from ebmkit import enumeration
from ebmkit.annealing import (
    UniformBase,
)
from ebmkit.mcmc import Gibbs, Tempered

SPINS = (-1.0, 1.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def exact(model):
    if model.values is None:
        return model.exact_log_partition()
    return enumeration.log_partition(model).detach()


def exact_samples(model, n, generator):
    if model.values is None:
        return model.sample(n, generator=generator)
    p = enumeration.probabilities(model).detach()
    return enumeration.states(model)[torch.multinomial(p, n, replacement=True, generator=generator)]


class ScaledSpins(Boltzmann):
    """A machine that is its own annealing path: all couplings and fields times β."""

    def annealed(self, beta):
        return Tempered(self, beta)

    def base_log_partition(self):
        return torch.tensor(len(self.h) * math.log(2.0), dtype=torch.float64)

    def sample_base(self, n, generator):
        return UniformBase(self.event_shape, SPINS).sample(n, generator=generator)


class Still(Gibbs):
    """A kernel that stays where it is."""

    def step(self, state, generator):
        return state, None
