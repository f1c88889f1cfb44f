"""Every kernel and the models it is tried on."""

import torch
from toy_models import Boltzmann, Table

from ebmkit.energy import EnergyModel
from ebmkit.kernel import Info, State
from ebmkit.mcmc import (
    CoordinateFlip,
    MetropolisHastings,
)

SPINS = (-1.0, 1.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flip(model):
    return MetropolisHastings(model, CoordinateFlip(model))


def step(kernel):
    return lambda x, generator: kernel.step(kernel.init(x), generator=generator)[0].position


DISCRETE_MODELS = [Boltzmann(3), Table((2, 2), SPINS), Table((2,), (0.0, 1.0, 2.0)), Table((1,), (3.0, 5.0))]


def assert_invariant(matrix, probabilities):
    torch.testing.assert_close(matrix.sum(1), torch.ones_like(probabilities), rtol=0, atol=1e-12)
    torch.testing.assert_close(probabilities @ matrix, probabilities, rtol=0, atol=1e-12)


def assert_irreducible(matrix):
    assert bool((torch.linalg.matrix_power(matrix, len(matrix)) > 0).all())


class Still:
    """A kernel that stays where it is."""

    def __init__(self, model):
        self.model = model

    def init(self, position):
        return State(position, self.model.energy(position))

    def step(self, state, generator):
        return state, Info(torch.ones_like(state.energy), torch.zeros_like(state.energy, dtype=torch.bool))


class GivenNoise:
    """Chance that hands out the noise it was given and accepts everything, so that a test can sum over it."""

    def __init__(self, noise):
        self.noise = noise

    def normal(self, like):
        return self.noise

    def uniform(self, like):
        """The same for every chain: whatever it is, what follows leaves p invariant."""
        return torch.full_like(like, 0.3)

    def bernoulli(self, probability):
        return torch.ones_like(probability, dtype=torch.bool)


class Line(EnergyModel):
    """E(x) = x² / 2σ²."""

    event_shape = ()

    def __init__(self, variance):
        super().__init__()
        self.variance = variance

    def energy(self, x):
        return x**2 / (2 * self.variance)
