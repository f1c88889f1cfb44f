"""A flow integrates to one, and its inverse and determinant are right."""

import math

import pytest
import torch
from density_cases import INF, generator, randomized

from ebmkit import normalization as norm
from ebmkit import product_of_experts as poe


@pytest.mark.parametrize("seed", range(3))
def test_affine_coupling_flow_integrates_to_one_for_any_parameters(seed):
    flow = randomized(poe.AffineCouplingFlow((2,), generator=generator(), n_layers=3, n_hidden=4), seed, 0.4)
    total, error, _ = norm.quadrature(lambda x: flow.log_prob(x).exp(), (-INF, -INF), (INF, INF), rtol=1e-7)
    assert total.item() == pytest.approx(1, abs=1e-6)
    assert error.item() < 1e-6


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3)])
def test_affine_coupling_flow_inverts_and_its_log_det_is_that_of_the_jacobian(shape):
    flow = randomized(poe.AffineCouplingFlow(shape, generator=generator()))
    n = math.prod(shape)
    x = torch.randn(7, *shape, generator=generator(3), dtype=torch.float64)
    z, log_det = flow.to_latent(x)
    torch.testing.assert_close(flow.from_latent(z), x, rtol=1e-10, atol=1e-10)
    for i in range(7):
        jacobian = torch.autograd.functional.jacobian(lambda y: flow.to_latent(y)[0], x[i]).reshape(n, n)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[i])


def test_flow_samples_are_gaussian_in_the_latent_space():
    flow = randomized(poe.AffineCouplingFlow((4,), generator=generator()))
    z, _ = flow.to_latent(flow.sample(20_000, generator=generator(4)))
    # Means of 20000 standard normals are N(0, 1/20000): |mean| > 0.05 is 7 sigma, < 2e-11 for all four.
    # Mean squares have standard deviation 0.01: a deviation over 0.07 is 7 sigma; chi-square tail < 1e-10.
    assert z.mean(0).abs().max() < 0.05
    assert ((z**2).mean(0) - 1).abs().max() < 0.07
