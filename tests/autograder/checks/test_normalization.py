"""The normalization assignment: its references agree with the library, and its inputs are what they say."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from autograder.checks.normalization.definitions import (
    enumerate_log_z_of,
    flow_log_prob_of,
    log_normalizers_of,
    log_ratios_of,
    log_sum_exp_of,
    volumes_of,
)
from autograder.checks.normalization.enumerate_log_z import quadratic
from autograder.checks.normalization.flow_log_prob import affine, flow_log_prob
from autograder.exercises.attempt import LocalAttempt
from autograder.sandbox.worker.codec import Source, Tensor
from autograder.sandbox.worker.materialize import materialize
from ebmkit import normalization as library
from ebmkit.energy import EnergyModel
from ebmkit.enumeration import log_partition
from ebmkit.product_of_experts import AffineCouplingFlow

# --- The references and the library agree


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (2, 3, 4)])
def test_the_reference_of_log_sum_exp_is_the_library_s(shape):
    a = 500 * np.random.default_rng(0).normal(size=shape)
    a.flat[0] = -np.inf
    assert np.allclose(log_sum_exp_of(a), library.log_sum_exp(torch.tensor(a)), rtol=1e-12)


def test_the_reference_of_the_closed_forms_is_the_library_s():
    scale, rate = np.array([1e-3, 0.7, 40.0]), np.array([[2.0], [1e5]])
    gaussian, exponential = log_normalizers_of(scale, rate)
    assert np.allclose(gaussian, library.gaussian_log_partition(torch.tensor(scale)), rtol=1e-12)
    assert np.allclose(exponential, library.exponential_log_partition(torch.tensor(rate)), rtol=1e-12)
    assert np.isclose(math.exp(gaussian[1]), quad(lambda x: math.exp(-(x**2) / 0.98), -np.inf, np.inf)[0])
    assert np.isclose(math.exp(exponential[0, 0]), quad(lambda x: math.exp(-2 * x), 0, np.inf)[0])


def test_the_reference_of_the_volumes_is_the_library_s_quadrature():
    f = Source("lambda x: 1.2 * np.sin(3 * x) - 0.5 * x + 6 * np.exp(-((x - 1) / 0.03) ** 2 / 2)")

    def of_torch(x):
        return 1.2 * torch.sin(3 * x) - 0.5 * x + 6 * torch.exp(-(((x - 1) / 0.03) ** 2) / 2)

    by_exp, by_square = volumes_of(materialize(f), -9.0, 10.0)
    exact = library.quadrature(lambda x: of_torch(x).exp(), -9.0, 10.0, rtol=1e-10).value.item()
    assert np.isclose(by_exp, exact, rtol=1e-8)
    exact = library.quadrature(lambda x: of_torch(x) ** 2, -9.0, 10.0, rtol=1e-10).value.item()
    assert np.isclose(by_square, exact, rtol=1e-8)


def test_the_reference_of_the_flow_is_the_library_s_log_prob():
    flow = AffineCouplingFlow((4,), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        flow.log_scale.uniform_(-1, 1)
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = flow_log_prob_of(lambda v: flow.to_latent(v)[0], x)
    assert torch.allclose(found, flow.log_prob(x).detach(), rtol=1e-10)


def test_an_affine_flow_is_a_multivariate_gaussian():
    rng = np.random.default_rng(2)
    g = affine(rng, 3, -1.0)
    a, b = (torch.from_numpy(g.values[name].array) for name in ("A", "b"))
    mean = torch.linalg.solve(a, -b)
    gaussian = torch.distributions.MultivariateNormal(mean, precision_matrix=a.T @ a)
    x = torch.from_numpy(rng.normal(size=(5, 3)))
    assert torch.allclose(flow_log_prob_of(materialize(g), x), gaussian.log_prob(x))


@pytest.mark.parametrize(("n", "q"), [(3, 2), (6, 2), (2, 5), (1, 4)])
def test_the_reference_of_the_enumeration_is_the_library_s(n, q):
    source = quadratic(np.random.default_rng(n), n, 2.0, 0.7)
    energy = materialize(source)

    class Model(EnergyModel):
        event_shape = (n,)
        values = tuple(float(value) for value in range(q))

        def energy(self, x):
            return torch.from_numpy(np.asarray(energy(x.numpy().reshape(-1, n)))).reshape(x.shape[:-1])

    log_z, terms = enumerate_log_z_of(energy, n, q)
    assert np.isclose(log_z, log_partition(Model()).item(), rtol=1e-6)
    assert terms == len(list(itertools.product(range(q), repeat=n)))


def test_the_reference_of_the_log_ratios_is_the_library_s():
    x, y = np.linspace(-2, 2, 7), np.linspace(0.3, 1.1, 7)
    by_exp, by_square = log_ratios_of(lambda v: v**3 - 2 * v, x, y)

    def f(v):
        return v**3 - 2 * v

    points = torch.from_numpy(x), torch.from_numpy(y)
    assert np.allclose(by_exp, library.from_exp(f).log_ratio(*points))
    assert np.allclose(by_square, library.from_square(f).log_ratio(*points))


# --- The inputs are what their descriptions say


@pytest.mark.parametrize("orientation", [1.0, -1.0])
def test_affine_flows_have_the_orientation_asked_for_and_stretch_space(orientation):
    for seed in range(50):
        matrix = affine(np.random.default_rng(seed), 3, orientation).values["A"].array
        determinant = np.linalg.det(matrix)
        assert np.sign(determinant) == orientation
        assert abs(math.log(abs(determinant))) > 0.2


def test_the_determinants_of_the_large_flows_leave_the_range_of_floating_point():
    calls = []
    attempt = LocalAttempt(flow_log_prob, flow_log_prob_of, 0)
    attempt.compare = calls.extend
    flow_log_prob.checks[3].run(attempt)
    with np.errstate(over="ignore", under="ignore"):
        determinants = [np.prod(source.values["a"].array) for source, _ in calls]
    assert sorted(determinants) == [0.0, np.inf]
    assert all(isinstance(x, Tensor) and x.array.shape == (2, 20) for _, x in calls)
