"""The abstraction: what follows from an energy alone."""

import pytest
import torch

from ebmkit import EnergyModel


class Quartic(EnergyModel):
    """E(x) = a·x⁴/4 + x²/2, whose score is known."""

    event_shape = (3,)

    def __init__(self, a=0.5):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def energy(self, x):
        return (self.a * x**4 / 4 + x**2 / 2).sum(-1)


class Bits(EnergyModel):
    event_shape = (2,)
    values = (0.0, 1.0)

    def energy(self, x):
        return x.sum(-1)


def test_the_score_is_minus_the_gradient_of_the_energy():
    x = torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(2, 2, 3)
    torch.testing.assert_close(Quartic().score(x), -(0.5 * x**3 + x), rtol=1e-14, atol=1e-14)


def test_the_score_leaves_its_argument_and_the_models_gradient_alone():
    model, x = Quartic(), torch.ones(3, dtype=torch.float64)
    with torch.no_grad():
        model.score(x)
    assert not x.requires_grad
    assert model.a.grad is None


def test_the_ratio_of_two_probabilities_needs_no_normalizer():
    model = Quartic()
    x, y = torch.zeros(4, 3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(model.log_ratio(x, y), torch.full((4,), 3 * 0.625, dtype=torch.float64))
    torch.testing.assert_close(model.log_ratio(y, x), -model.log_ratio(x, y))


def test_calling_a_model_gives_its_energy():
    x = torch.ones(2, 3, dtype=torch.float64)
    assert torch.equal(Quartic()(x), Quartic().energy(x))


def test_a_discrete_model_has_no_score():
    with pytest.raises(TypeError, match=r"Bits is discrete.*no score"):
        Bits().score(torch.ones(2))


def test_the_score_of_integers_says_to_convert_them():
    with pytest.raises(TypeError, match=r"use x.double\(\)"):
        Quartic().score(torch.ones(3, dtype=torch.int64))


def test_a_model_without_an_energy_says_so():
    with pytest.raises(NotImplementedError, match=r"EnergyModel must define energy\(x\)"):
        EnergyModel().energy(torch.ones(1))
