"""Estimators of log Z against enumeration and closed forms; the mean weight of AIS is summed exactly."""

import gc
import math

import pytest
import torch
from enumerate_chance import branches
from toy_models import Boltzmann, Gaussian, Table, correlated_gaussian

from ebmkit import enumeration
from ebmkit.annealing import (
    GaussianBase,
    GeometricPath,
    Interpolated,
    UniformBase,
    ais_bracket,
    anneal,
    annealed_importance_sampling,
    bennett_acceptance_ratio,
    bridge_sampling,
    log_mean_weight,
    reverse_anneal,
    reverse_annealed_importance_sampling,
    thermodynamic_integration,
    weight_ess,
)
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import MALA, CoordinateFlip, Gibbs, MetropolisHastings, Tempered

SPINS = (-1.0, 1.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def exact(model):
    if model.values is None:
        return model.exact_log_partition()
    return enumeration.log_partition(model).detach()


def exact_samples(model, n, generator):
    if model.values is None:
        return model.sample(n, generator)
    p = enumeration.probabilities(model).detach()
    return enumeration.states(model)[torch.multinomial(p, n, replacement=True, generator=generator)]


# --- the mean weight, summed over all chance -------------------------------------------------------------


class ScaledSpins(Boltzmann):
    """A machine that is its own annealing path: all couplings and fields times β."""

    def annealed(self, beta):
        return Tempered(self, beta)

    def base_log_partition(self):
        return torch.tensor(len(self.h) * math.log(2.0), dtype=torch.float64)

    def sample_base(self, n, generator):
        return UniformBase(self.event_shape, SPINS).sample(n, generator)


class SharedWork(ScaledSpins):
    """The same, moving and weighing in one call."""

    calls = 0

    def annealing_step(self, x, before, after, generator):
        type(self).calls += 1
        kernel = Gibbs(Tempered(self, after))
        return kernel.step(kernel.init(x), generator)[0].position, (before - after) * self.energy(x)


def _forbidding_table(n, forbidden):
    model = Table((n,), SPINS, seed=3)
    model.table[list(forbidden)] = math.inf
    return model


def _flips(energy):
    return MetropolisHastings(energy, CoordinateFlip(energy))


CASES = {
    "uniform base, Gibbs": (Table((2,), SPINS), {}),
    "three values": (Table((1,), (0.0, 1.0, 2.0)), {}),
    "Metropolis": (Table((2,), SPINS), {"transition": _flips}),
    "a base with a shape": (Table((1,), (0.0, 1.0)), {"base": "table"}),
    "a forbidden state": (_forbidding_table(2, [2]), {}),
    "a forbidden state, Metropolis": (_forbidding_table(2, [2]), {"transition": _flips}),
    "a chain that cannot get out": (_forbidding_table(3, range(2, 8)), {"transition": _flips}),
    "its own path": (ScaledSpins(2), {}),
    "its own path, sharing work": (SharedWork(2), {}),
    "an uneven schedule": (Boltzmann(2), {"betas": [0.0, 0.1, 1.0]}),
    "one jump": (Boltzmann(3), {"betas": 1}),
}


class TableBase(Table):
    """A table that can be summed and sampled, and so serve as a base."""

    def exact_log_partition(self):
        return torch.logsumexp(-self.table, 0)

    def sample(self, n, generator):
        from ebmkit import chance

        p = torch.softmax(-self.table, 0).expand(n, -1)
        return torch.tensor(self.values, dtype=torch.float64)[chance.categorical(p, generator)][:, None]


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request):
    model, options = CASES[request.param]
    options = {"betas": 2, **options}
    if options.get("base") == "table":
        options["base"] = TableBase(model.event_shape, model.values, seed=9)
    return model, options


def _forward(model, options):
    """Log-weights of every way annealing can go, and their probabilities."""
    start = torch.zeros(2, 1)  # anneal wants two chains; both have the same branches

    def run(x, generator):
        return anneal(model, generator=generator, n_chains=len(x), **options).log_weights

    origin, log_weights, probability = branches(run, start)
    return log_weights[origin == 0], probability[origin == 0]


def _backward(model, options):
    states = enumeration.states(model)
    states = states[model.energy(states).isfinite()]
    start = torch.softmax(-model.energy(states), 0).detach()

    def run(x, generator):
        return reverse_anneal(model, x, generator=generator, **options).log_weights

    origin, log_weights, probability = branches(run, states)
    return log_weights, probability * start[origin]


def test_the_mean_weight_is_exactly_z(case):
    log_weights, probability = _forward(*case)
    mean = (probability * log_weights.exp()).sum()
    torch.testing.assert_close(mean.log(), exact(case[0]), rtol=0, atol=1e-12)


def test_the_mean_reverse_weight_is_exactly_one_over_z(case):
    model, options = case
    # Exact samples are never where the model forbids: 1/Z times the base's mass elsewhere is what can be seen.
    allowed = model.energy(enumeration.states(model)).isfinite().double().mean()
    log_weights, probability = _backward(model, options)
    mean = (probability * log_weights.exp()).sum()
    torch.testing.assert_close(mean.log(), allowed.log() - exact(model), rtol=0, atol=1e-12)


def test_the_mean_log_weights_bracket_log_z():
    model = Boltzmann(2, scale=1.0)
    means = []
    for run, sign in ((_forward, 1), (_backward, -1)):
        for betas in (1, 2, 3):
            log_weights, probability = run(model, {"betas": betas})
            means.append(sign * (probability * log_weights).sum().item())
    lower, upper = means[:3], means[3:]
    assert lower == sorted(lower)
    assert upper == sorted(upper, reverse=True)
    assert lower[-1] < exact(model).item() < upper[-1]


def test_a_model_s_shared_work_is_used_unless_a_transition_is_given():
    SharedWork.calls = 0
    anneal(SharedWork(3), generator=seeded(), betas=7, n_chains=5)
    assert SharedWork.calls == 7
    anneal(SharedWork(3), generator=seeded(), betas=7, n_chains=5, transition=Gibbs)
    assert SharedWork.calls == 7


# --- every estimator finds log Z -------------------------------------------------------------------------


def _ais(model, generator):
    return annealed_importance_sampling(model, generator=generator, betas=60)


def _reverse_ais(model, generator):
    return reverse_annealed_importance_sampling(
        model, exact_samples(model, 100, generator), generator=generator, betas=60
    )


def _integration(model, generator):
    return thermodynamic_integration(model, generator=generator, n_nodes=8, n_steps=20, burn_in=10)


def _bridge(model, generator):
    return bridge_sampling(model, generator=generator, betas=6, n_steps=20, burn_in=10)


ESTIMATORS = [_ais, _reverse_ais, _integration, _bridge]
MODELS = {
    "spins": Boltzmann(5),
    "own path": ScaledSpins(5, seed=4),
    "table": Table((3,), (0.0, 1.0, 2.0)),
    "Gaussian": correlated_gaussian(),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda f: f.__name__.strip("_"))
def test_an_estimate_is_within_its_error_of_log_z(estimate, model):
    # The error comes from 64 or more chains: beyond seven of them lies 2e-9 of Student's t, 1e-6 leaves room
    # for the weights' skewness.
    value, error = estimate(model, seeded(21))
    assert 0 < error < 0.25
    assert abs(value - exact(model)) < 7 * error


@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda f: f.__name__.strip("_"))
def test_estimates_are_reproducible_plain_float64_scalars(estimate):
    first, second = (estimate(Boltzmann(3), seeded(5)) for _ in range(2))
    assert first == second
    for x in first:
        assert x.shape == ()
        assert x.dtype == torch.float64
        assert not x.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda f: f.__name__.strip("_"))
def test_standard_errors_are_neither_too_small_nor_too_large(estimate):
    # 40 independent z-scores: the sum of squares of 40 normals lies in [8, 110] but for 1e-7 on each side;
    # the wider bounds cover Student's t.
    model = Boltzmann(4)
    generator = seeded(6)
    z = torch.tensor(
        [(e.value - exact(model)) / e.std_error for e in (estimate(model, generator) for _ in range(40))]
    )
    assert 6 < (z**2).sum() < 130


def test_a_bracket_holds_log_z():
    model = Boltzmann(5, scale=0.8)
    generator = seeded(7)
    bracket = ais_bracket(model, exact_samples(model, 200, generator), generator=generator, betas=50)
    for side, sign in ((bracket.lower, -1), (bracket.upper, 1)):
        assert sign * (side.value - exact(model)) > -7 * side.std_error


def test_a_base_close_to_the_model_leaves_little_to_estimate():
    model = correlated_gaussian()
    covariance = torch.linalg.inv(model.precision).detach()
    base = GaussianBase((2,), model.mean.detach(), covariance.diagonal().sqrt())
    near = annealed_importance_sampling(model, base, generator=seeded(), betas=20)
    far = annealed_importance_sampling(model, GaussianBase((2,)), generator=seeded(), betas=20)
    assert near.std_error < far.std_error
    assert abs(near.value - exact(model)) < 7 * near.std_error


def test_annealing_a_model_onto_itself_is_exact():
    model = correlated_gaussian()
    run = anneal(model, model, generator=seeded(), betas=5, n_chains=10)
    torch.testing.assert_close(run.log_weights, exact(model).expand(10), rtol=0, atol=1e-12)
    for estimate in (thermodynamic_integration, bridge_sampling):
        value, error = estimate(model, model, generator=seeded(), n_steps=3, burn_in=0)
        assert value.item() == pytest.approx(exact(model).item(), abs=1e-8)
        assert error < 1e-8


class Still(Gibbs):
    """A kernel that stays where it is."""

    def step(self, state, generator):
        return state, None


def test_chains_start_from_exact_draws_of_the_base():
    # Chains that never move average the slope over the base: what is left of log Z is log Z_0 - ⟨E_1 - E_0⟩_0,
    # and here the mean energy of uniform spins is 0. Seven errors of 2,000 draws: 3e-12.
    model = Boltzmann(5)
    value, error = thermodynamic_integration(
        model, generator=seeded(), n_nodes=2, n_chains=2000, n_steps=1, burn_in=0, transition=Still
    )
    assert 0 < error < 0.1
    assert abs(value - 5 * math.log(2)) < 7 * error


def test_a_slope_next_to_an_end_of_the_path_does_not_leave_it():
    # In float32 the step of the difference, 5e-3, is wider than the way from the first of 64 nodes to 0.
    model = Boltzmann(5).float()
    value, error = thermodynamic_integration(
        model, generator=seeded(), n_nodes=64, n_chains=2000, n_steps=1, burn_in=0, transition=Still
    )
    assert abs(value - 5 * math.log(2)) < 7 * error  # as above: 3e-12


def test_a_transition_of_choice_moves_the_chains():
    value, error = annealed_importance_sampling(
        correlated_gaussian(), generator=seeded(), betas=100, transition=lambda energy: MALA(energy, 0.3)
    )
    assert abs(value - exact(correlated_gaussian())) < 7 * error


def test_memory_does_not_grow_with_the_number_of_temperatures():
    class Census(Gibbs):
        alive = 0

        def step(self, state, generator):
            if self.model.beta == 1:
                gc.collect()
                Census.alive = sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())
            return super().step(state, generator)

    counts = []
    for betas in (3, 60):
        annealed_importance_sampling(
            Boltzmann(2), generator=seeded(), betas=betas, n_chains=4, transition=Census
        )
        counts.append(Census.alive)
    assert counts[1] <= counts[0] + 3


def test_single_precision_models_are_annealed_in_their_own_precision():
    model = Boltzmann(3).float()
    run = anneal(model, generator=seeded(), betas=10, n_chains=6)
    assert run.position.dtype == torch.float32
    assert run.log_weights.dtype == torch.float64
    value, _ = thermodynamic_integration(model, generator=seeded(), n_nodes=8, n_steps=100)
    assert value.item() == pytest.approx(exact(Boltzmann(3)).item(), abs=0.1)


# --- weights ---------------------------------------------------------------------------------------------


def test_the_mean_weight_is_taken_without_overflow():
    log_weights = torch.randn(50, generator=seeded(), dtype=torch.float64)
    value, error = log_mean_weight(log_weights)
    torch.testing.assert_close(value, log_weights.exp().mean().log())
    shifted = log_mean_weight(log_weights + 5000)
    torch.testing.assert_close(shifted.value, value + 5000)
    torch.testing.assert_close(shifted.std_error, error)


def test_the_jackknife_agrees_with_the_delta_method_where_weights_are_even():
    log_weights = 0.05 * torch.randn(2000, generator=seeded(), dtype=torch.float64)
    w = log_weights.exp()
    torch.testing.assert_close(
        log_mean_weight(log_weights).std_error, w.std() / w.mean() / math.sqrt(2000), rtol=1e-3, atol=0
    )


def test_the_jackknife_is_what_leaving_each_weight_out_gives():
    log_weights = torch.randn(7, generator=seeded(), dtype=torch.float64)
    without = torch.stack(
        [torch.cat([log_weights[:i], log_weights[i + 1 :]]).exp().mean().log() for i in range(7)]
    )
    expected = (6 / 7 * ((without - without.mean()) ** 2).sum()).sqrt()
    torch.testing.assert_close(log_mean_weight(log_weights).std_error, expected)


def test_one_weight_that_is_all_has_no_error_to_trust():
    log_weights = torch.tensor([0.0, -math.inf, -math.inf])
    value, error = log_mean_weight(log_weights)
    assert value.item() == pytest.approx(-math.log(3))
    assert error == math.inf
    assert weight_ess(log_weights) == 1


def test_even_weights_all_count():
    assert weight_ess(torch.full((8,), -3.0)).item() == pytest.approx(8)


@pytest.mark.parametrize(
    ("log_weights", "complaint"),
    [
        (torch.zeros(1), "n ≥ 2"),
        (torch.zeros(2, 2), "n ≥ 2"),
        (torch.tensor([0.0, math.nan]), "must not be nan or inf, got nan in 1 of 2 chains"),
        (torch.tensor([0.0, math.inf]), "must not be nan or inf, got inf in 1 of 2 chains"),
        (torch.tensor([-math.inf, -math.inf]), "every weight is zero"),
    ],
)
def test_weights_that_estimate_nothing_are_refused(log_weights, complaint):
    for judge in (log_mean_weight, weight_ess):
        with pytest.raises(ValueError, match=complaint):
            judge(log_weights)


# --- bridge sampling between given samples ---------------------------------------------------------------


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
    value, error = bennett_acceptance_ratio(
        first, second, first.sample(n_0, generator), second.sample(n_1, generator)
    )
    assert 0 < error < 0.3
    assert abs(value - (exact(second) - exact(first))) < 7 * error


def test_bennett_does_not_care_which_energy_comes_first():
    first, second = _shifted_gaussians()
    x, y = first.sample(50, seeded(1)), second.sample(80, seeded(2))
    there, back = bennett_acceptance_ratio(first, second, x, y), bennett_acceptance_ratio(second, first, y, x)
    torch.testing.assert_close(there.value, -back.value, rtol=0, atol=1e-12)
    torch.testing.assert_close(there.std_error, back.std_error)


def test_bennett_solves_meng_and_wong_s_fixed_point():
    # r = mean_0[q_1 / (s_1 q_1 + s_0 r q_0)] / mean_1[q_0 / (s_1 q_1 + s_0 r q_0)]
    first, second = _shifted_gaussians()
    x, y = first.sample(50, seeded(1)), second.sample(80, seeded(2))
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
        value, error = bennett_acceptance_ratio(
            first, second, first.sample(200, generator), second.sample(120, generator)
        )
        z.append((value - truth) / error)
    assert 40 < (torch.stack(z) ** 2).sum() < 190


def test_bennett_refuses_energies_that_are_not_finite():
    first, second = _shifted_gaussians()
    x = torch.tensor([[0.0], [math.inf]], dtype=torch.float64)
    with pytest.raises(ValueError, match="must be finite"):
        bennett_acceptance_ratio(first, second, x, x)


# --- families and bases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0])
def test_families_blend_energies_and_scores(beta):
    base, model = GaussianBase((2,)), correlated_gaussian()
    x = torch.randn(3, 4, 2, generator=seeded(), dtype=torch.float64)
    blend = Interpolated(base, model, beta)
    torch.testing.assert_close(blend.energy(x), (1 - beta) * base.energy(x) + beta * model.energy(x))
    torch.testing.assert_close(blend.score(x), EnergyModel.score(blend, x))
    tempered = Tempered(model, beta)
    torch.testing.assert_close(tempered.energy(x), beta * model.energy(x))
    torch.testing.assert_close(tempered.score(x), EnergyModel.score(tempered, x))


def test_at_its_ends_a_family_ignores_the_other_energy():
    allowed, forbidding = Table((1,), SPINS, seed=1), Table((1,), SPINS, seed=2)
    forbidding.table[0] = math.inf
    x = torch.tensor([[-1.0], [1.0]])
    assert torch.equal(Interpolated(allowed, forbidding, 0.0).energy(x), allowed.energy(x))
    assert torch.equal(Interpolated(forbidding, allowed, 1.0).energy(x), allowed.energy(x))


def test_families_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\], got 1.5"):
        Interpolated(Boltzmann(2), Boltzmann(2), 1.5)
    with pytest.raises(ValueError, match="share event_shape and values"):
        Interpolated(Boltzmann(2), Boltzmann(3), 0.5)
    with pytest.raises(ValueError, match="share event_shape and values"):
        Interpolated(UniformBase((2,), (0.0, 1.0)), Boltzmann(2), 0.5)
    with pytest.raises(ValueError, match="beta must be finite and not negative"):
        Tempered(Boltzmann(2), -1.0)


def test_the_uniform_base_is_uniform(outcome_probabilities):
    base = UniformBase((2,), (0.0, 1.0, 2.0))
    states = enumeration.states(base)
    torch.testing.assert_close(base.exact_log_partition(), enumeration.log_partition(base))
    law = outcome_probabilities(lambda x, g: base.sample(len(x), g), states[0], states)
    torch.testing.assert_close(law, torch.full_like(law, 1 / 9), rtol=0, atol=1e-15)


def test_the_gaussian_base_is_a_gaussian():
    scale = torch.tensor([0.5, 3.0], dtype=torch.float64)
    base = GaussianBase((2,), torch.tensor([1.0, -1.0], dtype=torch.float64), scale)
    x = torch.randn(5, 2, generator=seeded(), dtype=torch.float64)
    log_prob = torch.distributions.Normal(base.mean, scale).log_prob(x).sum(-1)
    torch.testing.assert_close(-base.energy(x) - base.exact_log_partition(), log_prob)
    torch.testing.assert_close(base.score(x), EnergyModel.score(base, x))
    noise = (base.sample(1000, seeded(3)) - base.mean) / scale
    torch.testing.assert_close(noise, torch.empty(1000, 2, dtype=torch.float64).normal_(generator=seeded(3)))


def test_a_scale_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"scale must be positive and finite, got 0\.0"):
        GaussianBase((2,), scale=0.0)
    with pytest.raises(ValueError, match="scale must be positive and finite, got inf"):
        GaussianBase((2,), scale=torch.tensor([1.0, math.inf]))
    with pytest.raises(ValueError, match="mean must be finite, got nan"):
        GaussianBase((2,), mean=math.nan)


def test_a_base_must_be_tractable():
    with pytest.raises(TypeError, match=r"the base Boltzmann has no sample\(\)"):
        GeometricPath(Boltzmann(2), Boltzmann(2))


def test_a_path_brings_its_own_base():
    class Path:
        def annealed(self, beta):
            return Tempered(Boltzmann(2), beta)

    with pytest.raises(TypeError, match="leave base=None"):
        anneal(Path(), UniformBase((2,), SPINS), generator=seeded())


@pytest.mark.parametrize(
    ("betas", "complaint"),
    [
        (0, "betas must be at least 1"),
        ([0.0], "run from 0 to 1"),
        ([0.1, 1.0], "run from 0 to 1"),
        ([0.0, 0.9], "run from 0 to 1"),
        (torch.tensor([0.0, 0.5, 0.5, 1.0]), "increase strictly"),
        ([0.0, math.nan, 1.0], "increase strictly"),
    ],
    ids=str,
)
def test_a_schedule_that_is_none_is_refused(betas, complaint):
    for estimate in (annealed_importance_sampling, bridge_sampling):
        with pytest.raises(ValueError, match=complaint):
            estimate(Boltzmann(2), generator=seeded(), betas=betas)


def test_counts_out_of_range_are_refused():
    model = Boltzmann(2)
    for estimate in (annealed_importance_sampling, thermodynamic_integration, bridge_sampling):
        with pytest.raises(ValueError, match="n_chains must be at least 2, got 1"):
            estimate(model, generator=seeded(), n_chains=1)
    with pytest.raises(ValueError, match="number of samples must be at least 2, got 1"):
        reverse_anneal(model, torch.ones(1, 2, dtype=torch.float64), generator=seeded())
    with pytest.raises(ValueError, match="number of temperatures must be at least 1, got 0"):
        thermodynamic_integration(model, generator=seeded(), n_nodes=0)
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        bridge_sampling(model, generator=seeded(), n_steps=0)
