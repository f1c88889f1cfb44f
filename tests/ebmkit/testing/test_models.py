"""The check of models, checked: every lie a model can tell is found, and named."""

import copy

import pytest
import torch
from torch import nn

from ebmkit import EnergyModel, chance
from ebmkit.boltzmann_machines import RBM
from ebmkit.testing import check_model
from ebmkit.testing._models import checks


def rbm(kind=RBM):
    model = kind(3, 2, dtype=torch.float64)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(generator=torch.Generator().manual_seed(0))
    return model


class Bowl(EnergyModel):
    event_shape = ()

    def energy(self, x):
        return x**2 / 2


class Lies:
    """One lie each; what the check must say of it."""

    class WrongScore(Bowl):
        def score(self, x):
            return -2 * x

    class Coupled(Bowl):
        event_shape = (2,)

        def energy(self, x):
            own = (x**2).sum(-1)
            return own + own.mean()

    class Restless(Bowl):
        calls = 0

        def energy(self, x):
            self.calls += 1
            return x**2 + self.calls

    class Meddling(Bowl):
        def energy(self, x):
            return x.mul_(2) ** 2

    class WrongLogZ(Bowl):
        def exact_log_partition(self):
            return torch.tensor(1.0, dtype=torch.float64)

    class Detached(RBM):
        def exact_log_partition(self):
            first = super().exact_log_partition()
            b = self.b.detach()
            (slope,) = torch.autograd.grad(first, self.b, retain_graph=True)
            return (
                first.detach() + (slope.detach() * (self.b - b)).sum() + (self.W - self.W.detach()).sum() * 0
            )

    class Unnormalized(Bowl):
        def log_prob(self, x):
            return -self.energy(x)

    class WrongGibbs(RBM):
        def gibbs_step(self, v, generator):
            h = self.sample_hidden(v, generator=generator)
            p = self.visible_probability(h) ** 2
            return chance.bits(p, generator=generator)

    class Forgetful(RBM):
        def gibbs_step_given(self, v, known, generator):
            return torch.where(known, v, 1 - v)

    class WrongSample(RBM):
        def sample(self, sample_shape, *, generator):
            return chance.bits(torch.full((*sample_shape, 3), 0.5, dtype=torch.float64), generator=generator)

    class WrongBase(RBM):
        def base_log_partition(self):
            return super().base_log_partition() + 1


FOUND = {
    "WrongScore": "score is not -dE/dx",
    "Coupled": "the energies of a batch are not those of its members",
    "Restless": "another value for the same x|energies of a batch",
    "Meddling": "has changed the x it was given|energies of a batch",
    "WrongLogZ": "exact_log_partition: off by",
    "Detached": "gradient of exact_log_partition|second derivative of exact_log_partition",
    "Unnormalized": "log_prob is not -E - log Z",
    "WrongGibbs": "gibbs_step does not leave p invariant",
    "Forgetful": "gibbs_step does not leave p invariant",
    "WrongSample": "sample draws state",
    "WrongBase": "base_log_partition is not log Z",
}


@pytest.mark.parametrize("name", FOUND)
def test_every_lie_is_found(name):
    kind = getattr(Lies, name)
    model = rbm(kind) if issubclass(kind, RBM) else kind()
    with pytest.raises(AssertionError, match=FOUND[name]):
        check_model(model)


def test_an_honest_machine_passes_and_is_left_as_it_was():
    model = rbm()
    before = copy.deepcopy(model.state_dict())
    done = check_model(model)
    assert set(done) <= set(checks())
    assert len(done) >= 9
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=1e-12)


def test_a_network_is_named_with_its_way_to_a_model():
    with pytest.raises(
        TypeError, match=r"got Linear, which is none; .* ebmkit.from_module\(module, event_shape\)"
    ):
        check_model(nn.Linear(2, 1))
