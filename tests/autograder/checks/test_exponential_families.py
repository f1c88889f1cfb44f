"""The exponential families assignment: its references agree with the library, and its inputs are what they say."""

import math

import numpy as np
import pytest
import torch

from autograder.checks.exponential_families.definitions import (
    fisher_information_of,
    log_partition_and_means_of,
    match_moments_of,
    maximum_entropy_of,
    mean_and_variance_of,
    natural_parameters_of,
)
from autograder.checks.exponential_families.fisher_information import GAMMA, GAUSSIAN, finite_family
from autograder.checks.exponential_families.log_partition_and_means import family
from autograder.checks.exponential_families.match_moments import cloud
from autograder.checks.exponential_families.maximum_entropy import ERROR, spread
from autograder.sandbox.worker.codec import Source
from autograder.sandbox.worker.materialize import materialize
from ebmkit import exponential_families as library

# --- The references and the library agree


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_the_references_of_the_gaussian_are_the_library_s(shape):
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=shape), rng.uniform(0.1, 9.0, shape)
    theta = library.Gaussian().natural(torch.tensor(mean), torch.tensor(variance))
    assert np.allclose(natural_parameters_of(mean, variance), theta, rtol=1e-12)
    for found, given in zip(mean_and_variance_of(theta.numpy()), (mean, variance)):
        assert np.allclose(found, given, rtol=1e-12)


def test_the_reference_of_the_log_partition_is_the_library_s_categorical():
    """With t_i the i-th unit vector and t_n = 0 the family is the library's categorical one."""
    theta = torch.tensor(np.random.default_rng(1).normal(0, 3, (5, 3)))
    statistics = torch.cat([torch.eye(3), torch.zeros(1, 3)]).double()
    categorical = library.Categorical(4)
    value, means = log_partition_and_means_of(theta, statistics)
    assert categorical.n_parameters == 3
    assert torch.allclose(value, categorical.log_partition(theta))
    assert torch.allclose(means, categorical.mean_parameters(theta))


def test_the_reference_of_the_means_is_the_gradient_of_that_of_the_log_partition():
    theta, statistics = (torch.from_numpy(t.array) for t in family(np.random.default_rng(2), 3, 5, 4))
    leaf = theta.requires_grad_(True)
    value, means = log_partition_and_means_of(leaf, statistics)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    assert torch.allclose(means, gradient)


def test_the_reference_of_moment_matching_is_the_library_s_maximum_likelihood():
    x = cloud(np.random.default_rng(3), 40, 3)
    gaussian = library.MultivariateGaussian(3)
    mean, covariance = gaussian.standard(gaussian.maximum_likelihood(torch.from_numpy(x)))
    found = match_moments_of(x)
    assert np.allclose(found[0], mean, rtol=1e-9)
    assert np.allclose(found[1], covariance, rtol=1e-7)


@pytest.mark.parametrize("share", [0.004, 0.2, 0.5, 0.9])
def test_the_reference_of_maximum_entropy_is_the_library_s(share):
    values = spread(np.random.default_rng(4), 6)
    mean = values.min() + share * np.ptp(values)
    found = library.maximum_entropy(torch.tensor(values)[:, None], torch.tensor([mean]))
    p = maximum_entropy_of(values, mean)
    assert np.allclose(p, found.probabilities, atol=1e-9)
    assert np.isclose(p @ values, mean, atol=1e-9)


@pytest.mark.parametrize(
    ("expression", "family", "theta"),
    [
        (GAUSSIAN, library.Gaussian(), [1.3, -0.4]),
        (GAMMA, library.Gamma(), [1.7, -0.8]),
    ],
)
def test_the_families_of_the_last_exercise_are_the_library_s(expression, family, theta):
    theta = torch.tensor(theta, dtype=torch.float64)
    log_partition = materialize(Source(expression))
    assert torch.allclose(log_partition(theta), family.log_partition(theta))
    found = fisher_information_of(log_partition, theta)
    assert torch.allclose(found, family.fisher_information(theta))


def test_the_reference_of_the_fisher_information_is_the_covariance_of_the_statistics():
    source, tensor = finite_family(np.random.default_rng(5), 7, 3)
    statistics, theta = source.values["T"].array, tensor.array
    p = np.exp(statistics @ theta)
    p /= p.sum()
    covariance = np.cov(statistics.T, aweights=p, bias=True)
    found = fisher_information_of(materialize(source), torch.from_numpy(theta))
    assert np.allclose(found, covariance)
    assert np.linalg.eigvalsh(found).min() > 0


# --- The inputs are what their descriptions say


def test_means_near_an_extreme_need_a_large_tilt_and_are_known_to_the_error_that_is_allowed():
    """A change of the mean by rounding changes p by far less than the tolerance."""
    for gap in (0.003, 0.006):
        values, mean = np.arange(1.0, 7.0), 1 + 5 * gap
        p = maximum_entropy_of(values, mean)
        assert math.log(p[0] / p[1]) > 3
        assert np.abs(maximum_entropy_of(values, mean * (1 + 1e-12)) - p).max() < ERROR / 1000
