"""Convergence diagnostics against ArviZ and against processes whose autocorrelation is known."""

import math

import arviz
import numpy as np
import pytest
import torch

from ebmkit.mcmc import autocorrelation, autocorrelation_time, ess_bulk, ess_tail, r_hat, summary, to_arviz

ALL = [r_hat, ess_bulk, ess_tail, autocorrelation_time, autocorrelation]


def autoregression(phi, n_steps, n_chains, seed=0):
    """x_t = φ x_{t-1} + √(1 - φ²) ξ_t, started in its stationary law N(0, 1); `(n_steps, n_chains)`."""
    noise = np.random.default_rng(seed).standard_normal((n_steps, n_chains))
    x = noise.copy()
    for t in range(1, n_steps):
        x[t] = phi * x[t - 1] + math.sqrt(1 - phi**2) * noise[t]
    return torch.from_numpy(x)


def _draws():
    yield "independent", autoregression(0.0, 200, 4)
    yield "slow", autoregression(0.97, 301, 4)
    yield "antithetic", autoregression(-0.8, 120, 3)
    yield "chains apart", autoregression(0.5, 100, 4) + torch.arange(4)
    yield "chains of unequal width", autoregression(0.5, 100, 4) * (1 + torch.arange(4))
    yield "ties", autoregression(0.9, 250, 2).round()
    yield "spins", autoregression(0.7, 400, 5).sign()
    yield "heavy tails", torch.tan(1.5 * torch.tanh(autoregression(0.6, 150, 4)))
    yield "short", autoregression(0.3, 4, 2)
    yield "odd and short", autoregression(0.3, 7, 3)
    yield "a drift", autoregression(0.2, 99, 2) + torch.linspace(0, 3, 99)[:, None]


DRAWS = dict(_draws())


@pytest.fixture(params=DRAWS)
def draws(request):
    return DRAWS[request.param]


def _close(ours, theirs):
    assert ours.item() == pytest.approx(float(theirs), rel=1e-9)


def test_r_hat_agrees_with_arviz(draws):
    _close(r_hat(draws), arviz.rhat(draws.numpy().T, method="rank"))


def test_bulk_ess_agrees_with_arviz(draws):
    _close(ess_bulk(draws), arviz.ess(draws.numpy().T, method="bulk"))


def test_tail_ess_agrees_with_arviz(draws):
    _close(ess_tail(draws), arviz.ess(draws.numpy().T, method="tail"))


def test_autocorrelation_time_agrees_with_arviz(draws):
    size = 2 * (len(draws) // 2) * draws.shape[1]
    _close(size / autocorrelation_time(draws), arviz.ess(draws.numpy().T, method="mean"))


@pytest.mark.parametrize("seed", range(40))
def test_all_agree_with_arviz_on_random_shapes(seed):
    rng = np.random.default_rng(seed)
    # Sizes that are 1 modulo 20 are avoided: there the 5% quantile is itself a draw, which ArviZ's rounding
    # may miss by one bit.
    n_steps, n_chains = 2 * int(rng.integers(2, 80)), 2 * int(rng.integers(1, 4))
    x = autoregression(rng.uniform(-0.95, 0.99), n_steps, n_chains, seed)
    _close(r_hat(x), arviz.rhat(x.numpy().T))
    _close(ess_bulk(x), arviz.ess(x.numpy().T, method="bulk"))
    _close(ess_tail(x), arviz.ess(x.numpy().T, method="tail"))


@pytest.mark.parametrize("diagnostic", ALL, ids=lambda f: f.__name__)
def test_every_variable_is_judged_by_itself(diagnostic):
    draws = torch.stack(
        [autoregression(phi, 60, 3, seed) for seed, phi in enumerate((0.0, 0.5, 0.9, -0.5))], -1
    )
    together = diagnostic(draws.reshape(60, 3, 2, 2))
    alone = torch.stack([diagnostic(draws[..., i]) for i in range(4)], -1)
    torch.testing.assert_close(together.flatten(-2), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("diagnostic", ALL, ids=lambda f: f.__name__)
def test_one_axis_is_one_chain(diagnostic):
    x = autoregression(0.5, 80, 1)
    torch.testing.assert_close(diagnostic(x[:, 0]), diagnostic(x), rtol=0, atol=0)


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9])
def test_autocorrelation_time_of_an_autoregression_is_its_closed_form(phi):
    # τ = (1 + φ) / (1 - φ). With 4 chains of 20,000 steps the estimate's deviation stays below 4% of τ
    # (windowed sums: √(2 (2 W + 1) / S) with W below 5 τ), so 25% is beyond six deviations.
    tau = autocorrelation_time(autoregression(phi, 20_000, 4)).item()
    assert tau == pytest.approx((1 + phi) / (1 - phi), rel=0.25)


def test_autocorrelation_of_one_chain_follows_its_definition():
    x = autoregression(0.6, 50, 1)[:, 0]
    centred = x - x.mean()
    lags = torch.stack([(centred[: 50 - t] * centred[t:]).sum() / 50 for t in range(50)])
    # ρ_t = 1 - (W - c_t) / c_0 with the unbiased W = c_0 n / (n - 1), as in equation 10.
    expected = 1 - (lags[0] * 50 / 49 - lags) / lags[0]
    expected[0] = 1.0
    torch.testing.assert_close(autocorrelation(x), expected, rtol=0, atol=1e-12)


def test_chains_that_disagree_are_told_apart():
    x = autoregression(0.0, 200, 4)
    assert r_hat(x) < 1.05
    assert r_hat(x + 2 * torch.arange(4)) > 1.5
    assert r_hat(x * torch.tensor([1.0, 1.0, 1.0, 6.0])) > 1.1
    assert ess_bulk(x + 2 * torch.arange(4)) < 10


def test_ranks_make_bulk_diagnostics_blind_to_monotone_changes_of_scale():
    x = autoregression(0.7, 100, 4)
    torch.testing.assert_close(ess_bulk(x.exp()), ess_bulk(x), rtol=1e-12, atol=0)
    torch.testing.assert_close(ess_tail(x**3), ess_tail(x), rtol=1e-12, atol=0)


def test_draws_that_never_move():
    still = torch.ones(10, 2)
    assert r_hat(still).isnan()
    assert ess_bulk(still).isnan()
    assert ess_tail(still).isnan()
    assert autocorrelation_time(still).isnan()
    balanced = torch.tensor([-1.0, 1.0]).repeat(10)[:, None].expand(20, 2)
    assert r_hat(balanced).isfinite()
    stuck_apart = torch.tensor([[0.0, 1.0]]).expand(10, 2)
    assert r_hat(stuck_apart) == math.inf


@pytest.mark.parametrize("diagnostic", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("draws", "complaint"),
    [
        (torch.zeros(3, 2), "at least 4 steps"),
        (torch.tensor(1.0), "at least 4 steps"),
        (torch.zeros(10, 0), "no chain or no variable"),
        (torch.tensor([0.0, 1.0, math.nan, 2.0]), "must be finite, got nan"),
        (torch.tensor([0.0, 1.0, math.inf, 2.0]), "must be finite, got inf"),
    ],
)
def test_draws_that_cannot_be_judged_are_refused(diagnostic, draws, complaint):
    with pytest.raises(ValueError, match=complaint):
        diagnostic(draws)


def test_a_summary_agrees_with_arviz():
    draws = torch.stack([autoregression(0.7, 300, 4), 3 + 2 * autoregression(0.2, 300, 4, seed=1)], -1)
    found, data = summary(draws), to_arviz(draws)
    theirs = arviz.summary(data, round_to="none", stat_focus="mean")
    for ours, column in (
        (found.mean, "mean"),
        (found.std, "sd"),
        (found.mean_error, "mcse_mean"),
        (found.ess_bulk, "ess_bulk"),
        (found.ess_tail, "ess_tail"),
        (found.r_hat, "r_hat"),
    ):
        assert ours.numpy() == pytest.approx(theirs[column].to_numpy(), rel=1e-9), column


def test_arviz_sees_chains_first_and_one_axis_as_one_chain():
    assert to_arviz(torch.zeros(7, 3, 2)).posterior["x"].shape == (3, 7, 2)
    assert to_arviz(torch.zeros(7), "energy").posterior["energy"].shape == (1, 7)
