"""Score matching and noise-contrastive estimation where the answer is known: Gaussians, and exact identities."""

import functools
import itertools
import math

import pytest
import torch
from torch import nn

from ebmkit import EnergyModel
from ebmkit.boltzmann_machines import RBM, GaussianRBM
from ebmkit.contrastive_divergence import by_loss, fit
from ebmkit.score_matching import (
    denoising_score_matching,
    explicit_score_matching,
    noise_contrastive_estimation,
    sliced_score_matching,
)

EXACT = {"rtol": 0, "atol": 1e-10}


class Quadratic(EnergyModel):
    """E(x) = ½ (x - m)ᵀ L Lᵀ (x - m), a Gaussian of mean m and precision L Lᵀ."""

    event_shape = (2,)

    def __init__(self):
        super().__init__()
        self.m = nn.Parameter(torch.tensor([0.3, -0.2], dtype=torch.float64))
        self.L = nn.Parameter(torch.tensor([[1.2, 0.1], [0.4, 0.8]], dtype=torch.float64))

    def precision(self):
        return self.L @ self.L.T

    def energy(self, x):
        return ((x - self.m) @ self.L).square().sum(-1) / 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_data(n=500):
    noise = torch.randn(n, 2, dtype=torch.float64, generator=generator(1))
    return noise @ torch.tensor([[1.0, 0.6], [0.0, 0.7]], dtype=torch.float64) + torch.tensor([1.0, 2.0])


def covariance(x):
    return torch.cov(x.T, correction=0)


def minimized(loss, parameters):
    optimizer = torch.optim.LBFGS(
        list(parameters),
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def test_the_explicit_objective_of_a_gaussian_is_its_closed_form():
    model, x = Quadratic(), gaussian_data()
    P = model.precision()
    expected = (((x - model.m) @ P).square().sum(-1) / 2).mean() - P.trace()
    torch.testing.assert_close(explicit_score_matching(model, x), expected, **EXACT)


def test_explicit_score_matching_of_a_gaussian_is_moment_matching():
    model, x = Quadratic(), gaussian_data()
    minimized(lambda: explicit_score_matching(model, x), model.parameters())
    torch.testing.assert_close(model.m, x.mean(0), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.precision(), covariance(x).inverse(), rtol=0, atol=1e-6)


class FixedNoise:
    """A source of chance that answers with what the test chose."""

    def __init__(self, draws):
        self.draws = iter(draws)

    def bernoulli(self, probability):
        assert (probability == 0.5).all()
        return next(self.draws).expand(probability.shape)

    def normal(self, like):
        return next(self.draws)


def test_the_mean_of_the_sliced_objective_over_all_directions_is_the_explicit_one():
    model, x = (
        GaussianRBM(3, 4, scale=1.0, dtype=torch.float64, generator=generator()),
        torch.randn(5, 3, dtype=torch.float64, generator=generator(2)),
    )
    signs = [torch.tensor(s) for s in itertools.product([False, True], repeat=3)]
    each = [sliced_score_matching(model, x, generator=FixedNoise([s])) for s in signs]
    explicit = explicit_score_matching(model, x)
    torch.testing.assert_close(torch.stack(each).mean(), explicit, **EXACT)
    torch.testing.assert_close(
        sliced_score_matching(model, x, len(signs), generator=FixedNoise(signs)), explicit, **EXACT
    )
    assert torch.stack(each).std() > 1e-3


def test_the_objectives_gradient_reaches_the_parameters():
    model = GaussianRBM(2, 3, scale=1.0, dtype=torch.float64, generator=generator())
    x = gaussian_data(20)
    for loss in (
        lambda: explicit_score_matching(model, x),
        lambda: denoising_score_matching(model, x, 0.5, generator=generator(3)),
        lambda: sliced_score_matching(model, x, generator=generator(3)),
    ):
        (slope,) = torch.autograd.grad(loss(), model.W)
        values = []
        for shift in (1e-5, -2e-5, 1e-5):
            with torch.no_grad():
                model.W[1, 2] += shift
            values.append(loss().item())
        assert slope[1, 2].item() == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


def test_denoising_score_matching_learns_the_blurred_gaussian():
    # The noise is centred, white and uncorrelated with the data, so the blurred data have exactly the data's mean
    # and their covariance plus σ² I.
    sigma, x = 0.7, gaussian_data()
    model = Quadratic()
    noise = torch.randn(500, 2, dtype=torch.float64, generator=generator(4))
    noise = noise - noise.mean(0)
    noise = noise - (x - x.mean(0)) @ torch.linalg.lstsq(x - x.mean(0), noise).solution
    noise = noise @ torch.linalg.cholesky(covariance(noise).inverse())
    minimized(
        lambda: denoising_score_matching(model, x, sigma, generator=FixedNoise([noise])), model.parameters()
    )
    torch.testing.assert_close(model.m, x.mean(0), rtol=0, atol=1e-6)
    blurred = covariance(x) + sigma**2 * torch.eye(2)
    torch.testing.assert_close(model.precision(), blurred.inverse(), rtol=0, atol=1e-6)


def test_denoising_objectives_differ_from_the_explicit_one_on_blurred_data_by_a_constant():
    # For a point mass at 0 the blurred density is N(0, σ²); on a grid of noise both objectives are exact sums.
    sigma = 0.5
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight = (-grid.square() / 2).softmax(0)
    x = torch.zeros(1, 1, dtype=torch.float64)
    gaps = []
    for seed in range(3):
        model = GaussianRBM(1, 2, scale=1.5, dtype=torch.float64, generator=generator(seed))
        denoising = torch.stack(
            [
                denoising_score_matching(model, x, sigma, generator=FixedNoise([e.reshape(1, 1)]))
                for e in grid[::40]
            ]
        )
        explicit = torch.stack([explicit_score_matching(model, sigma * e.reshape(1, 1)) for e in grid[::40]])
        w = weight[::40] / weight[::40].sum()
        gaps.append((w * (denoising - explicit)).sum())
    torch.testing.assert_close(gaps[0], gaps[1], rtol=0, atol=1e-8)
    torch.testing.assert_close(gaps[0], gaps[2], rtol=0, atol=1e-8)


def test_noise_contrastive_estimation_finds_a_gaussian_and_its_log_normalizer():
    # Data and noise are quantiles of their densities, weighted alike, so only their discreteness is left.
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    standard = torch.distributions.Normal(0.0, 1.0).icdf(u)[:, None]
    noise_density = torch.distributions.Normal(0.0, 2.0)

    class Parabola(EnergyModel):
        event_shape = (1,)

        def __init__(self):
            super().__init__()
            self.m = nn.Parameter(torch.zeros(1, dtype=torch.float64))
            self.precision = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def energy(self, x):
            return self.precision[0] * (x - self.m).square().sum(-1) / 2

    model, log_partition = Parabola(), nn.Parameter(torch.zeros((), dtype=torch.float64))
    data, noise = 0.5 + 0.8 * standard, 2 * standard

    def loss():
        return noise_contrastive_estimation(
            model, data, noise, lambda x: noise_density.log_prob(x).sum(-1), log_partition
        )

    minimized(loss, [*model.parameters(), log_partition])
    assert model.m.item() == pytest.approx(0.5, abs=2e-3)
    assert model.precision.item() == pytest.approx(1 / 0.64, abs=1e-2)
    assert log_partition.item() == pytest.approx(math.log(0.8 * math.sqrt(2 * math.pi)), abs=2e-3)


def test_noise_contrastive_estimation_of_noise_against_itself_is_a_fair_coin():
    class Flat(EnergyModel):
        event_shape = (1,)

        def energy(self, x):
            return x.square().sum(-1) / 2

    x = torch.randn(10, 1, dtype=torch.float64, generator=generator())
    density = torch.distributions.Normal(0.0, 1.0)
    for n in (10, 30):
        found = noise_contrastive_estimation(
            Flat(),
            x,
            x.repeat(n // 10, 1),
            lambda y: density.log_prob(y).sum(-1),
            log_partition=math.log(2 * math.pi) / 2,
        )
        ratio = n / 10
        fair = math.log(1 + ratio) + ratio * math.log(1 + 1 / ratio)
        assert found.item() == pytest.approx(fair, abs=1e-6)


def test_a_loss_trains_in_the_loop():
    model, x = Quadratic(), gaussian_data()
    learner = by_loss(lambda model, data, *, generator: explicit_score_matching(model, data))
    before = explicit_score_matching(model, x)
    fit(model, x, learner, generator=generator(), n_epochs=20, learning_rate=0.05)
    assert explicit_score_matching(model, x) < before
    noisy = by_loss(
        lambda model, data, *, generator: denoising_score_matching(model, data, 0.1, generator=generator)
    )
    history = fit(model, x, noisy, generator=generator(), n_epochs=2, learning_rate=1e-4)
    assert len(history["epoch"]) == 2


@pytest.mark.parametrize(
    "loss",
    [
        explicit_score_matching,
        functools.partial(denoising_score_matching, sigma=0.1, generator=generator()),
        functools.partial(sliced_score_matching, generator=generator()),
    ],
)
def test_wrong_input_is_named(loss):
    with pytest.raises(TypeError, match=r"RBM is discrete, x takes values \(0.0, 1.0\)"):
        loss(RBM(2, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\) with n at least 1, got \(0, 2\)"):
        loss(Quadratic(), torch.zeros(0, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"got \(4, 3\)"):
        loss(Quadratic(), torch.zeros(4, 3, dtype=torch.float64))


def test_numbers_out_of_range_are_named():
    x = gaussian_data(4)
    with pytest.raises(ValueError, match="must be positive, got 0"):
        denoising_score_matching(Quadratic(), x, 0.0, generator=generator())
    with pytest.raises(ValueError, match="n_projections must be at least 1, got 0"):
        sliced_score_matching(Quadratic(), x, 0, generator=generator())
    with pytest.raises(TypeError, match=r"needs a floating-point x, got torch.int64; use x.double\(\)"):
        explicit_score_matching(Quadratic(), torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="noise_log_prob must be finite on data and noise, got -inf"):
        noise_contrastive_estimation(Quadratic(), x, x, lambda y: torch.full((len(y),), -math.inf))
    with pytest.raises(ValueError, match=r"noise must hold at least one example, got shape \(0, 2\)"):
        noise_contrastive_estimation(Quadratic(), x, x[:0], lambda y: y.sum(-1))
