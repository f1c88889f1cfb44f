"""A member of every exponential family, and its counterpart in torch.distributions."""

import numpy as np
import torch
from torch import distributions

from ebmkit import exponential_families as ef

D = torch.float64


def t(*values):
    return torch.tensor(values, dtype=D)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def covariance(seed, dimension=3):
    a = torch.randn(dimension, dimension, generator=generator(seed), dtype=D)
    return a @ a.mT + 0.3 * torch.eye(dimension, dtype=D)


M, C = torch.randn(3, generator=generator(7), dtype=D), covariance(8)

# family, θ, the same member in torch.distributions (its x for a Gaussian family is ours), some x
MEMBERS = {
    "Bernoulli": (ef.Bernoulli(), ef.Bernoulli().natural(t(0.3)[0]), distributions.Bernoulli(t(0.3)[0]), t(0, 1)),
    "Categorical": (
        ef.Categorical(4), ef.Categorical(4).natural(t(0.1, 0.2, 0.3, 0.4)),
        distributions.Categorical(t(0.1, 0.2, 0.3, 0.4)), t(0, 1, 2, 3),
    ),
    "Poisson": (ef.Poisson(), ef.Poisson().natural(t(3.7)[0]), distributions.Poisson(t(3.7)[0]), t(0, 1, 5, 20)),
    "Exponential": (
        ef.Exponential(), ef.Exponential().natural(t(2.5)[0]), distributions.Exponential(t(2.5)[0]), t(0.1, 1, 4)
    ),
    "Gamma": (
        ef.Gamma(), ef.Gamma().natural(t(0.7)[0], t(2.0)[0]), distributions.Gamma(t(0.7)[0], t(2.0)[0]), t(0.1, 4)
    ),
    "Beta": (
        ef.Beta(), ef.Beta().natural(t(0.6)[0], t(2.5)[0]), distributions.Beta(t(0.6)[0], t(2.5)[0]), t(0.1, 0.9)
    ),
    "Gaussian": (
        ef.Gaussian(), ef.Gaussian().natural(t(-1.2)[0], t(0.49)[0]), distributions.Normal(t(-1.2)[0], t(0.7)[0]),
        t(-3, 0, 1.5),
    ),
    "MultivariateGaussian": (
        ef.MultivariateGaussian(3), ef.MultivariateGaussian(3).natural(M, C),
        distributions.MultivariateNormal(M, C), torch.randn(5, 3, generator=generator(), dtype=D),
    ),
}  # fmt: skip


def distance(samples, cdf):
    """sup |F_n - F| at the sample points, where F_n counts ties in full."""
    points, counts = np.unique(samples.numpy(), return_counts=True)
    return np.abs(np.cumsum(counts) / len(samples) - cdf(points)).max()
