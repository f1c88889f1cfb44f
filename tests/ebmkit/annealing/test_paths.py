"""Families of energies and the bases they start from."""

import math

import pytest
import torch
from annealing_cases import SPINS, seeded
from toy_models import Boltzmann, Table, correlated_gaussian

from ebmkit import enumeration
from ebmkit.annealing import (
    GaussianBase,
    GeometricPath,
    Interpolated,
    UniformBase,
    anneal,
)
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import Tempered


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
    law = outcome_probabilities(
        lambda x, generator: base.sample(len(x), generator=generator), states[0], states
    )
    torch.testing.assert_close(law, torch.full_like(law, 1 / 9), rtol=0, atol=1e-15)


def test_the_gaussian_base_is_a_gaussian():
    scale = torch.tensor([0.5, 3.0], dtype=torch.float64)
    base = GaussianBase((2,), torch.tensor([1.0, -1.0], dtype=torch.float64), scale)
    x = torch.randn(5, 2, generator=seeded(), dtype=torch.float64)
    log_prob = torch.distributions.Normal(base.mean, scale).log_prob(x).sum(-1)
    torch.testing.assert_close(-base.energy(x) - base.exact_log_partition(), log_prob)
    torch.testing.assert_close(base.score(x), EnergyModel.score(base, x))
    noise = (base.sample(1000, generator=seeded(3)) - base.mean) / scale
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
