"""Every learner, with a model and data for it."""

import functools
import math

import torch
from torch import nn

from ebmkit import EnergyModel
from ebmkit.boltzmann_machines import DBM, RBM, GaussianRBM, bit_states
from ebmkit.contrastive_divergence import (
    by_loss,
    cd,
    fast_pcd,
    maximum_likelihood,
    pcd,
    replay,
)
from ebmkit.data import bars_and_stripes
from ebmkit.mcmc import Gibbs, Langevin

EXACT = {"rtol": 0, "atol": 1e-12}


class Well(EnergyModel):
    """E(x) = Σ (x - m)²/2, a Gaussian whose mean is to be learned."""

    event_shape = (2,)

    def __init__(self):
        super().__init__()
        self.m = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def energy(self, x):
        return (x - self.m).square().sum(-1) / 2


class GenericRBM(RBM):
    """An RBM that the learners treat as any other energy."""

    def backend(self):
        return None


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randomised(model, seed=0, scale=1.0):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=scale, generator=generator(seed))
    return model


def rbm(n_visible=4, n_hidden=3, seed=0, kind=RBM):
    return randomised(kind(n_visible, n_hidden, dtype=torch.float64), seed)


def dbm(sizes=(4, 2, 2), seed=0):
    return randomised(DBM(sizes, dtype=torch.float64), seed)


def gaussian_rbm():
    return GaussianRBM(4, 3, dtype=torch.float64, generator=generator())


BITS = bit_states(4)[[1, 3, 3, 6, 12, 15]]

MANY_BITS = (torch.rand(6, 2048, generator=generator(5)) < 0.3).float()

REALS = torch.randn(6, 2, dtype=torch.float64, generator=generator(5)) + 3

WIDE = torch.randn(6, 4, dtype=torch.float64, generator=generator(5))


def wide_rbm():
    """So wide, and in float32, that its bits are drawn by compiled code where numba is installed."""
    return randomised(RBM(2048, 3), scale=0.1)


def langevin_replay(model, data, **options):
    return replay(model, data, k=3, kernel=Langevin(model, 0.1), buffer_size=40, **options)


def kernel_cd(model, data, **options):
    return cd(model, data, k=2, kernel=Gibbs(model), **options)


LEARNERS = {
    "maximum_likelihood": (rbm, BITS, maximum_likelihood),
    "maximum_likelihood of a DBM": (dbm, BITS, maximum_likelihood),
    "cd": (rbm, BITS, cd),
    "cd-3": (rbm, BITS, functools.partial(cd, k=3)),
    "cd of any energy": (functools.partial(rbm, kind=GenericRBM), BITS, cd),
    "cd with a kernel": (rbm, BITS, kernel_cd),
    "cd of a Gaussian RBM": (gaussian_rbm, WIDE, cd),
    "cd of a DBM": (dbm, BITS, cd),
    "pcd": (rbm, BITS, pcd),
    "pcd with 10 chains": (rbm, BITS, functools.partial(pcd, n_chains=10, k=2)),
    "pcd in float32": (wide_rbm, MANY_BITS, pcd),
    "cd in float32": (wide_rbm, MANY_BITS, cd),
    "pcd of a DBM": (dbm, BITS, pcd),
    "fast_pcd": (rbm, BITS, fast_pcd),
    "replay": (Well, REALS, langevin_replay),
    "by_loss": (rbm, BITS, by_loss(lambda model, data, *, generator: model.energy(data).mean())),
}


def log_likelihood(model, data):
    free_energy = getattr(model, "free_energy", model.energy)
    with torch.no_grad():
        return (-free_energy(data).double().mean() - model.exact_log_partition()).item()


PICTURES = bars_and_stripes(3).flatten(1)

BEST = -math.log(len(PICTURES))


def in_turns(step):
    return 0.2 / (1 + step)
