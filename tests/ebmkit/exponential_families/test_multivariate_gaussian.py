"""Draws of the Gaussian of several variables."""

import torch
from family_cases import MEMBERS, C, M, distance, generator
from scipy import stats


def test_multivariate_gaussian_samples_are_standard_after_whitening():
    family, theta, _, _ = MEMBERS["MultivariateGaussian"]
    x = family.sample(theta, (20_000,), generator=generator(5))
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(C), (x - M).mT, upper=False)
    # Each row is standard normal (Dvoretzky-Kiefer-Wolfowitz as above); products of two rows have mean 0 and
    # standard deviation 1/√20000 = 0.0071: 0.06 is over 8 sigma.
    assert max(distance(row, stats.norm.cdf) for row in z) < 0.03
    assert (z @ z.mT / 20_000 - torch.eye(3)).triu(1).abs().max() < 0.06
