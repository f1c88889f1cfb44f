"""Exponential families: log Z is known, convex, and its derivatives are the moments.

    p(x | θ) = h(x) exp(θ·t(x) - A(θ)),   ∇A(θ) = E[t(x)],   ∇²A(θ) = Cov[t(x)]
Source: Cornell Tech, Deep Generative Models, lecture 11; Wainwright & Jordan (2008), chapter 3.
"""

from ebmkit.exponential_families._family import ExponentialFamily, FamilyEnergy
from ebmkit.exponential_families._maximum_entropy import MaximumEntropy, maximum_entropy
from ebmkit.exponential_families._multivariate_gaussian import MultivariateGaussian
from ebmkit.exponential_families._one_parameter import Bernoulli, Exponential, Poisson
from ebmkit.exponential_families._several_parameters import Beta, Categorical, Gamma, Gaussian

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Exponential",
    "ExponentialFamily",
    "FamilyEnergy",
    "Gamma",
    "Gaussian",
    "MaximumEntropy",
    "MultivariateGaussian",
    "Poisson",
    "maximum_entropy",
]
