"""Hinton's experts against their laws, and what contrastive divergence teaches them."""

import math

import numpy as np
import pytest
import torch
from expert_cases import INF, D, generator, randn
from scipy import stats
from torch import distributions

from ebmkit import contrastive_divergence, normalization
from ebmkit import product_of_experts as poe


def kolmogorov_smirnov(samples, cdf):
    """sup |F_n - F|. Dvoretzky-Kiefer-Wolfowitz: above 0.03 at n = 20000 with probability < 2 exp(-36)."""
    assert len(samples) == 20_000
    return stats.kstest(samples.numpy(), cdf).statistic


@pytest.mark.parametrize("alpha", [0.8, 1.5, 6.0])
def test_one_student_t_expert_is_a_student_t_density(alpha):
    """(1 + w²x²/2)^-α is a t with ν = 2α - 1 degrees of freedom and scale √(2/ν) / w."""
    w, nu = 1.7, 2 * alpha - 1
    model = poe.StudentTExperts(torch.tensor([[w]], dtype=D), torch.tensor([alpha], dtype=D))
    law = distributions.StudentT(torch.tensor(nu, dtype=D), scale=math.sqrt(2 / nu) / w)
    x = randn(5, 1)
    log_z = normalization.log_quadrature(model, rtol=1e-8).value
    torch.testing.assert_close(-model.energy(x) - log_z, law.log_prob(x[:, 0]), rtol=1e-6, atol=1e-6)


def test_gibbs_leaves_a_product_of_student_t_experts_invariant():
    """With as many filters as dimensions the outputs w_m·x are independent t variables."""
    filters, alpha = torch.tensor([[1.0, 0.5], [-0.3, 2.0]], dtype=D), torch.tensor([1.2, 4.0], dtype=D)
    model = poe.StudentTExperts(filters, alpha)
    laws = [stats.t(2 * a - 1, scale=math.sqrt(2 / (2 * a - 1))) for a in alpha.tolist()]
    y = torch.from_numpy(np.stack([law.rvs(20_000, random_state=i) for i, law in enumerate(laws)], -1))
    x = torch.linalg.solve(filters, y.T).T
    g = generator(3)
    for _ in range(2):
        x = model.gibbs_step(x, generator=g)
    moved = x @ filters.T
    assert (moved != y).all()
    assert max(kolmogorov_smirnov(moved[:, m], law.cdf) for m, law in enumerate(laws)) < 0.03


def unigauss_1d(low=-2.0, high=3.0):
    mean = torch.tensor([[-1.0], [0.5], [4.5]], dtype=D)  # The last one sits outside the box.
    scale = torch.tensor([[0.3], [1.0], [0.5]], dtype=D)
    return poe.UnigaussExperts(mean, scale, torch.tensor([0.6, 0.9, 0.5], dtype=D), low, high)


def test_unigauss_energy_is_the_product_of_its_mixtures_and_infinite_outside_the_box():
    model = unigauss_1d()
    x = torch.tensor([[-1.9], [0.0], [2.9]], dtype=D)
    product = torch.ones(3, dtype=D)
    for m, s, share in ((-1.0, 0.3, 0.6), (0.5, 1.0, 0.9), (4.5, 0.5, 0.5)):
        product *= (1 - share) / 5.0 + share * torch.from_numpy(stats.norm(m, s).pdf(x[:, 0].numpy()))
    torch.testing.assert_close(torch.exp(-model.energy(x)), product)
    assert model.energy(torch.tensor([[3.1]], dtype=D)).item() == INF


def test_gibbs_leaves_unigauss_experts_invariant():
    model = unigauss_1d()
    grid = torch.linspace(-2, 3, 20_001, dtype=D)
    density = torch.exp(-model.energy(grid[:, None])).detach()
    cumulative = torch.cat([torch.zeros(1, dtype=D), torch.cumulative_trapezoid(density, grid)])
    cumulative = (cumulative / cumulative[-1]).numpy()
    start = np.interp(np.random.default_rng(0).random(20_000), cumulative, grid.numpy())
    x = torch.from_numpy(start)[:, None]
    g = generator(1)
    for _ in range(2):
        x = model.gibbs_step(x, generator=g)
    assert kolmogorov_smirnov(x[:, 0], lambda v: np.interp(v, grid.numpy(), cumulative)) < 0.03


def test_truncated_normal_is_right_far_in_either_tail():
    u = torch.linspace(0.01, 0.99, 21, dtype=D)
    for mean in (-30.0, 0.0, 30.0):
        ours = poe._hinton._truncated_normal(torch.full_like(u, mean), torch.ones_like(u), -1.0, 2.0, u)
        theirs = stats.truncnorm(-1 - mean, 2 - mean, loc=mean).cdf(ours.numpy())
        torch.testing.assert_close(torch.from_numpy(theirs), u, rtol=1e-7, atol=1e-7)
    far = poe._hinton._truncated_normal(
        torch.tensor([-90.0, 90.0]), torch.ones(2), -1.0, 2.0, torch.full((2,), 0.5)
    )
    assert far.tolist() == [-1.0, 2.0]


def trained_by_cd(model, x, n_steps, rate, seed=0):
    """Exact mean -log p before and after `n_steps` of CD-1 on the whole data.

    Seeds are fixed; over others the gains stay within 0.1 nats of each other, and the bounds are looser than that.
    """
    bounds = (model.low, model.high) if isinstance(model, poe.UnigaussExperts) else (-INF, INF)

    def loss():
        return (model.energy(x).mean() + normalization.log_quadrature(model, *bounds, rtol=1e-4).value).item()

    before, g = loss(), generator(seed)
    for _ in range(n_steps):
        gradient = contrastive_divergence.cd(model, x, generator=g).parameters
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= rate * gradient[name]
    return before, loss()


@pytest.mark.slow
def test_contrastive_divergence_teaches_student_t_experts_the_directions_of_the_data():
    sources = torch.from_numpy(stats.t(3).rvs((500, 2), random_state=0))
    x = sources @ torch.tensor([[1.5, 0.4], [0.3, 0.3]], dtype=D)
    model = poe.StudentTExperts(torch.eye(2, dtype=D), torch.full((2,), 2.0, dtype=D))
    before, after = trained_by_cd(model, x, 400, 0.1)
    exact_best = np.mean(np.sum(stats.t(3).logpdf(sources.numpy()), 1)) - math.log(1.5 * 0.3 - 0.4 * 0.3)
    assert before - after > 0.5
    assert after < -exact_best + 0.05  # CD is biased; the truth, which the model can express, is near.


def test_contrastive_divergence_teaches_unigauss_experts_two_clusters():
    x = torch.cat([0.2 * randn(150, 1) - 1, 0.2 * randn(150, 1, seed=1) + 1]).clamp(-2, 2)
    mean, scale = torch.tensor([[-0.5], [0.6]], dtype=D), torch.full((2, 1), 0.5, dtype=D)
    model = poe.UnigaussExperts(mean, scale, torch.tensor([0.5, 0.5], dtype=D), -2.0, 2.0)
    before, after = trained_by_cd(model, x, 400, 0.05)
    assert before - after > 0.3


def test_experts_refuse_impossible_parameters():
    with pytest.raises(ValueError, match="all positive"):
        poe.StudentTExperts(torch.ones(2, 3), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="filters must span all 3 dimensions"):
        poe.StudentTExperts(torch.ones(2, 3), torch.ones(2)).gibbs_step(
            torch.ones(1, 3), generator=generator()
        )
    ones = torch.ones(2, 3)
    for mean, scale, share, box, message in (
        (ones, ones[:1], ones[:, 0] / 2, (0, 1), "must be"),
        (ones, ones, ones[:, 0], (0, 1), r"share in \(0, 1\)"),
        (ones, ones, ones[:, 0] / 2, (1, 0), "low must be below high"),
    ):
        with pytest.raises(ValueError, match=message):
            poe.UnigaussExperts(mean, scale, share, *box)
