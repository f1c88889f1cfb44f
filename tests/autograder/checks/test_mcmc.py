"""The MCMC assignment: its references agree with the library, and its laws are exact."""

import numpy as np
import pytest
import torch

from autograder.checks.mcmc.annealed_importance_sampling import (
    AIS_STATES,
    below,
    random_annealing,
    thresholds_of,
)
from autograder.checks.mcmc.definitions import (
    effective_sample_size_of,
    gaussian_gibbs_of,
    langevin_of,
    transition_matrix_of,
)
from autograder.checks.mcmc.effective_sample_size import autoregression
from autograder.checks.mcmc.gaussian_gibbs import correlated_precision, far_mean, sweep_noise
from autograder.checks.mcmc.inputs import transition_counts
from autograder.checks.mcmc.langevin import Well, random_well
from autograder.checks.mcmc.metropolis_hastings import N_STATES, random_space
from autograder.checks.mcmc.transition_matrix import random_proposals
from autograder.exercises.attempt import local
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.examples import example_of
from autograder.exercises.likeness import matching_mistake
from autograder.exercises.sequential import Count
from ebmkit import annealing, mcmc
from ebmkit.energy import EnergyModel

SEEDS = range(20)


def smallest_p_value(counts: list[Count]) -> float:
    return min(count.p_value for count in counts)


class Quartic(EnergyModel):
    event_shape = (2,)

    def energy(self, x):
        return (x**4 / 4 - x**2 / 2 + 0.3 * x).sum(-1)


class Table(EnergyModel):
    """An energy on K states, each a one-number row."""

    event_shape = (1,)

    def __init__(self, log_p):
        super().__init__()
        self.values = tuple(float(k) for k in range(len(log_p)))
        self.log_p = torch.as_tensor(log_p)

    def energy(self, x):
        return -self.log_p[x[..., 0].long()]


# --- The references against the library


def test_the_library_takes_metropolis_steps_with_the_law_of_the_checks():
    """Fails by chance with probability below 36 · 1e-9: 36 exact binomial tests."""
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(2)
    space = random_space(rng, symmetric=False)
    Q = torch.tensor(space.Q)

    def proposal(x, generator):
        here = x[..., 0].long()
        cut = torch.rand(len(x), 1, generator=generator, dtype=torch.float64)
        there = (cut >= Q[here].cumsum(-1)).sum(-1)
        return there[:, None].double(), (Q[there, here] / Q[here, there]).log()

    starts = np.repeat(np.arange(N_STATES), 2000)
    kernel = mcmc.MetropolisHastings(Table(space.log_p), proposal)
    state, _ = kernel.step(kernel.init(torch.tensor(starts)[:, None].double()), generator=generator)
    ends = state.position[:, 0].long().numpy()
    P = transition_matrix_of(space.log_p, space.Q)[0]
    assert smallest_p_value(transition_counts(starts, ends, P)) > 1e-9


@pytest.mark.parametrize("adjusted", [False, True])
def test_langevin_steps_are_the_librarys_with_the_same_noise(adjusted):
    x = torch.randn(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    kernel = (mcmc.MALA if adjusted else mcmc.Langevin)(Quartic(), 0.3)
    theirs, _ = kernel.step(kernel.init(x), generator=torch.Generator().manual_seed(4))
    ours = langevin_of(x, Quartic().energy, 0.3, adjusted, torch.Generator().manual_seed(4))
    assert torch.allclose(ours, theirs.position, rtol=0, atol=1e-12)


def test_the_annealed_weights_of_the_library_have_the_law_of_all_paths():
    """Fails by chance with probability below 1e-8: at most nine exact binomial tests at 1e-9."""
    problem = random_annealing(np.random.default_rng(5))

    class Base(Table):
        def log_partition(self):
            return torch.zeros((), dtype=torch.float64)

        exact_log_partition = log_partition

        def sample(self, sample_shape, *, generator):
            cut = torch.rand(*sample_shape, 1, generator=generator, dtype=torch.float64)
            return (cut >= self.log_p.exp().cumsum(-1)[:-1]).sum(-1, keepdim=True).double()

    def step_of(energy):
        def ring(x, generator):
            move = torch.randint(0, 2, x.shape, generator=generator) * 2 - 1
            return (x + move) % AIS_STATES, x.new_zeros(())

        return mcmc.MetropolisHastings(energy, ring)

    run = annealing.anneal(
        Table(problem.log_target),
        Base(problem.log_base),
        generator=torch.Generator().manual_seed(6),
        betas=torch.tensor(problem.betas),
        n_chains=5000,
        transition=step_of,
    )
    law = problem.weight_law(problem.right)
    cuts = thresholds_of(law)
    weights = run.log_weights.numpy()
    counts = [Count("", int((weights <= c).sum()), 5000, p) for c, p in zip(cuts, below(law, cuts))]
    assert smallest_p_value(counts) > 1e-9


def test_the_effective_sample_size_agrees_with_the_librarys_where_both_cut_alike():
    """The library halves the chain and smooths the cut: same number to a few percent on a long chain."""
    x = autoregression(np.random.default_rng(7), 20_000, 0.8)
    theirs = 20_000 / float(mcmc.autocorrelation_time(torch.tensor(x)))
    assert effective_sample_size_of(x) == pytest.approx(theirs, rel=0.1)


def test_a_transition_matrix_keeps_its_law_and_balances_its_flow():
    rng = np.random.default_rng(8)
    for K in range(1, 8):
        log_p = rng.normal(size=K)
        P, flow = transition_matrix_of(log_p, random_proposals(rng, K, 0.3))
        assert np.allclose(flow, flow.T)
        assert np.allclose(flow.sum(0), np.exp(log_p) / np.exp(log_p).sum())
        assert (P >= 0).all()


# --- The exact laws that the checks rest on


def test_every_path_of_annealing_together_weighs_z_whatever_the_schedule():
    for seed in SEEDS:
        problem = random_annealing(np.random.default_rng(seed))
        log_w, chance = problem.weight_law(problem.right)
        assert chance.sum() == pytest.approx(1)
        assert chance @ np.exp(log_w) == pytest.approx(np.exp(problem.log_target).sum())


def test_the_quadrature_of_mala_has_converged_and_its_law_is_a_law():
    for seed in range(5):
        well = random_well(np.random.default_rng(seed))
        for stay, down in well.law():
            assert 0 <= stay <= 1
            assert 0 <= down <= 1 - stay + 1e-9


def test_mala_with_its_quadrature_keeps_the_boltzmann_law():
    """Detailed balance on a grid: the probability to go up from x integrates to that of going down."""
    grid = np.linspace(-4.0, 4.0, 401)
    well = Well(1.0, 0.5, 0.2, 0.2, tuple(grid))
    density = np.exp(-well.energy(grid))
    stay, down = np.array(well.law()).T
    up = 1 - stay - down
    assert density @ down == pytest.approx(density @ up, rel=1e-5)


def test_the_noise_of_a_correct_sweep_is_recovered_exactly():
    rng = np.random.default_rng(9)
    precision, mean = correlated_precision(rng, 3), far_mean(rng, 3)
    before = rng.normal(size=(50, 3))
    noise = np.random.default_rng(10).standard_normal((3, 50)).T
    after = gaussian_gibbs_of(before, mean, precision, np.random.default_rng(10))
    assert np.allclose(sweep_noise(before, after, mean, precision), noise)


def test_a_gibbs_sweep_keeps_the_gaussian():
    """The sweep x' = A x + noise of covariance S must satisfy A Σ Aᵀ + S = Σ."""
    rng = np.random.default_rng(11)
    precision = correlated_precision(rng, 3)
    covariance = np.linalg.inv(precision)
    lower, upper = np.tril(precision), np.triu(precision, 1)
    A = -np.linalg.solve(lower, upper)
    root = np.linalg.solve(lower, np.diag(np.sqrt(np.diag(precision))))
    assert np.allclose(A @ covariance @ A.T + root @ root.T, covariance)
    x = rng.normal(size=(4, 3))
    still = sweep_noise(x, x @ A.T, np.zeros(3), precision)
    assert np.allclose(still, 0)


def test_a_well_is_one_on_which_a_missing_correction_shows():
    for seed in range(5):
        well = random_well(np.random.default_rng(seed))
        assert np.abs(np.array(well.law()) - np.array(well.law(0.0))).max() > 0.15


def test_proposals_of_a_finite_space_follow_its_matrix():
    """Fails by chance with probability below 36 · 1e-9."""
    space = random_space(np.random.default_rng(12), symmetric=False)
    log_density, propose, log_proposal = local(space.arguments)
    starts = np.repeat(np.arange(N_STATES), 1500)
    x = np.stack([starts // 2, starts % 2], 1)
    y = propose(x, np.random.default_rng(13))
    ends = (2 * y[:, 0] + y[:, 1]).astype(int)
    assert smallest_p_value(transition_counts(starts, ends, space.Q)) > 1e-9
    assert np.allclose(log_density(x), space.log_p[starts])
    assert np.allclose(np.exp(log_proposal(y, x)), space.Q[starts, ends])


def test_an_effective_sample_size_in_float32_or_of_a_hundred_lags_fails():
    """What the text asks for, float64 and every lag until the sum ends, is seen."""

    def of(x, most=None):
        away = x - x.mean()
        rho = np.correlate(away, away, "full")[len(x) - 1 :][:most] / (away @ away)
        pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(1)
        return float(len(x) / max(1.0, 2 * pairs[np.cumprod(pairs > 0) == 1].sum() - 1))

    exercise = assignment_named("mcmc").exercise("effective_sample_size")
    wrong = {
        "all in float32": lambda x: of(np.asarray(x, dtype=np.float32)),
        "in the type that was given": lambda x: of(np.asarray(x)),
        "a hundred lags": lambda x: of(np.asarray(x, dtype=np.float64), 100),
    }
    for name, function in wrong.items():
        for seed in range(3):
            tried = exercise.tried(function, lambda check, seed=seed: seed)
            assert any(t.complaint for t in tried), name
    right = exercise.tried(lambda x: of(np.asarray(x, dtype=np.float64)), lambda check: 0)
    assert not any(t.complaint for t in right)


def sweeps_with_old_values(x, mean, precision, rng):
    """The right noise, drawn coordinate by coordinate, around means given the old values."""
    new = x.copy()
    for i in range(len(mean)):
        away = x - mean
        away[:, i] = 0
        centre = mean[i] - away @ precision[i] / precision[i, i]
        new[:, i] = centre + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return new


def test_a_sweep_that_uses_the_old_values_is_told_so_and_nothing_false_of_its_noise():
    exercise = assignment_named("mcmc").exercise("gaussian_gibbs")
    tried = list(exercise.tried(sweeps_with_old_values, lambda check: 3))
    complaints = " ".join(one.complaint for one in tried)
    assert "noise is too" not in complaints
    assert (
        "sweeps with hardly any noise do not end at the conditional means, each given the new" in complaints
    )
    shown = example_of(exercise, tried[0].check, tried[0].attempt)
    assert shown is not None
    assert shown.text.startswith("gaussian_gibbs(np.array([[")
    match = matching_mistake(exercise, tried)
    assert match is not None
    assert match.mistake.name == "changes all coordinates at once"
