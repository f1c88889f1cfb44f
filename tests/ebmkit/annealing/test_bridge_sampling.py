"""Bennett's acceptance ratio against closed forms and its own fixed point."""

import math

import pytest
import torch
from annealing_cases import exact, seeded
from toy_models import Gaussian

from ebmkit.annealing import (
    bennett_acceptance_ratio,
)


def _shifted_gaussians():
    precision = torch.tensor([[1.0]], dtype=torch.float64)
    return Gaussian(torch.zeros(1, dtype=torch.float64), precision), Gaussian(
        torch.full((1,), 1.5, dtype=torch.float64), 4 * precision
    )


@pytest.mark.parametrize(("n_0", "n_1"), [(400, 400), (1000, 100), (100, 1000)])
def test_bennett_finds_the_ratio_of_two_gaussians(n_0, n_1):
    # Seven errors of a sum of bounded terms: 1e-6 with room for the skewness.
    first, second = _shifted_gaussians()
    generator = seeded(8)
    value, error, _ = bennett_acceptance_ratio(
        first, second, first.sample(n_0, generator=generator), second.sample(n_1, generator=generator)
    )
    assert 0 < error < 0.3
    assert abs(value - (exact(second) - exact(first))) < 7 * error


def test_bennett_does_not_care_which_energy_comes_first():
    first, second = _shifted_gaussians()
    x, y = first.sample(50, generator=seeded(1)), second.sample(80, generator=seeded(2))
    there, back = bennett_acceptance_ratio(first, second, x, y), bennett_acceptance_ratio(second, first, y, x)
    torch.testing.assert_close(there.value, -back.value, rtol=0, atol=1e-12)
    torch.testing.assert_close(there.error, back.error)


def test_bennett_solves_meng_and_wong_s_fixed_point():
    # r = mean_0[q_1 / (s_1 q_1 + s_0 r q_0)] / mean_1[q_0 / (s_1 q_1 + s_0 r q_0)]
    first, second = _shifted_gaussians()
    x, y = first.sample(50, generator=seeded(1)), second.sample(80, generator=seeded(2))
    r = bennett_acceptance_ratio(first, second, x, y).value.exp()

    def bridge(of, at):
        mixture = 80 / 130 * torch.exp(-second.energy(at)) + 50 / 130 * r * torch.exp(-first.energy(at))
        return (torch.exp(-of.energy(at)) / mixture).mean()

    torch.testing.assert_close(bridge(second, x) / bridge(first, y), r, rtol=1e-10, atol=0)


def test_bennett_s_standard_error_is_calibrated():
    # 100 independent z-scores: a χ² with 100 degrees lies in [40, 190] but for 1e-7 on each side.
    first, second = _shifted_gaussians()
    generator, truth = seeded(9), exact(second) - exact(first)
    z = []
    for _ in range(100):
        value, error, _ = bennett_acceptance_ratio(
            first, second, first.sample(200, generator=generator), second.sample(120, generator=generator)
        )
        z.append((value - truth) / error)
    assert 40 < (torch.stack(z) ** 2).sum() < 190


def test_bennett_refuses_energies_that_are_not_finite():
    first, second = _shifted_gaussians()
    x = torch.tensor([[0.0], [math.inf]], dtype=torch.float64)
    with pytest.raises(ValueError, match="must be finite"):
        bennett_acceptance_ratio(first, second, x, x)
