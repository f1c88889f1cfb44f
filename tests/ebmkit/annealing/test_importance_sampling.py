"""The mean weight of annealed chains, summed over all chance, and the bounds it gives."""

import gc
import math

import pytest
import torch
from annealing_cases import SPINS, ScaledSpins, Still, exact, exact_samples, seeded
from toy_models import Boltzmann, Table, correlated_gaussian

from ebmkit import enumeration
from ebmkit.annealing import (
    GaussianBase,
    ais_bracket,
    anneal,
    annealed_importance_sampling,
    bridge_sampling,
    reverse_anneal,
    thermodynamic_integration,
)
from ebmkit.mcmc import MALA, CoordinateFlip, Gibbs, MetropolisHastings, Tempered
from ebmkit.testing import branches


class SharedWork(ScaledSpins):
    """The same, moving and weighing in one call."""

    calls = 0

    def annealing_step(self, x, before, after, generator):
        type(self).calls += 1
        kernel = Gibbs(Tempered(self, after))
        return kernel.step(kernel.init(x), generator=generator)[0].position, (before - after) * self.energy(x)


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

    def sample(self, sample_shape, *, generator):
        from ebmkit import chance

        p = torch.softmax(-self.table, 0).expand(*sample_shape, -1)
        return torch.tensor(self.values, dtype=torch.float64)[chance.categorical(p, generator=generator)][
            :, None
        ]


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


def test_a_bracket_holds_log_z():
    model = Boltzmann(5, scale=0.8)
    generator = seeded(7)
    bracket = ais_bracket(model, exact_samples(model, 200, generator), generator=generator, betas=50)
    for side, sign in ((bracket.lower, -1), (bracket.upper, 1)):
        assert sign * (side.value - exact(model)) > -7 * side.error


def test_a_base_close_to_the_model_leaves_little_to_estimate():
    model = correlated_gaussian()
    covariance = torch.linalg.inv(model.precision).detach()
    base = GaussianBase((2,), model.mean.detach(), covariance.diagonal().sqrt())
    near = annealed_importance_sampling(model, base, generator=seeded(), betas=20)
    far = annealed_importance_sampling(model, GaussianBase((2,)), generator=seeded(), betas=20)
    assert near.error < far.error
    assert abs(near.value - exact(model)) < 7 * near.error


@pytest.mark.slow
def test_annealing_a_model_onto_itself_is_exact():
    model = correlated_gaussian()
    run = anneal(model, model, generator=seeded(), betas=5, n_chains=10)
    torch.testing.assert_close(run.log_weights, exact(model).expand(10), rtol=0, atol=1e-12)
    for estimate in (thermodynamic_integration, bridge_sampling):
        value, error, _ = estimate(model, model, generator=seeded(), n_steps=3, burn_in=0)
        assert value.item() == pytest.approx(exact(model).item(), abs=1e-8)
        assert error < 1e-8


def test_chains_start_from_exact_draws_of_the_base():
    # Chains that never move average the slope over the base: what is left of log Z is log Z_0 - ⟨E_1 - E_0⟩_0,
    # and here the mean energy of uniform spins is 0. Seven errors of 2,000 draws: 3e-12.
    model = Boltzmann(5)
    value, error, _ = thermodynamic_integration(
        model, generator=seeded(), n_nodes=2, n_chains=2000, n_steps=1, burn_in=0, transition=Still
    )
    assert 0 < error < 0.1
    assert abs(value - 5 * math.log(2)) < 7 * error


def test_a_transition_of_choice_moves_the_chains():
    value, error, _ = annealed_importance_sampling(
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
            return super().step(state, generator=generator)

    counts = []
    for betas in (3, 60):
        annealed_importance_sampling(
            Boltzmann(2), generator=seeded(), betas=betas, n_chains=4, transition=Census
        )
        counts.append(Census.alive)
    assert counts[1] <= counts[0] + 3


@pytest.mark.slow
def test_single_precision_models_are_annealed_in_their_own_precision():
    model = Boltzmann(3).float()
    run = anneal(model, generator=seeded(), betas=10, n_chains=6)
    assert run.position.dtype == torch.float32
    assert run.log_weights.dtype == torch.float64
    value, _, _ = thermodynamic_integration(model, generator=seeded(), n_nodes=8, n_steps=100)
    assert value.item() == pytest.approx(exact(Boltzmann(3)).item(), abs=0.1)
