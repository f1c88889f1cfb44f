"""Samplers of discrete x that follow a gradient: exact transition matrices."""

import pytest
import torch
from kernel_cases import assert_invariant, assert_irreducible, seeded, step
from toy_models import Boltzmann, Quartic, Table

from ebmkit import enumeration, graphs
from ebmkit.boltzmann_machines import RBM
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import DiscreteLangevin, GibbsWithGradients, sample


class Levels(EnergyModel):
    """Three values a coordinate, with a smooth energy."""

    event_shape, values = (3,), (0.0, 1.0, 3.0)

    def energy(self, x):
        return 0.3 * (x[..., 0] - x[..., 1]) ** 2 + torch.sin(x[..., 1] * x[..., 2]) - 0.4 * x.sum(-1)


MODELS = {
    "spins": lambda: Boltzmann(4),
    "levels": Levels,
    "bits": lambda: RBM(3, 2, scale=0.8, dtype=torch.float64),
    "graph": lambda: graphs.BoltzmannMachine(3, [1.5, -1.0, 0.4], 0.2),
}
KERNELS = {
    "Gibbs with gradients": GibbsWithGradients,
    "small steps": lambda m: DiscreteLangevin(m, 0.4),
    "large steps": lambda m: DiscreteLangevin(m, 20.0),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_they_leave_p_invariant_and_are_reversible(model, kernel, transition_matrix):
    made = KERNELS[kernel](MODELS[model]())
    states, p = enumeration.states(made.model), enumeration.probabilities(made.model).detach()
    matrix = transition_matrix(step(made), states)
    assert_invariant(matrix, p)
    assert_irreducible(matrix)
    flow = p[:, None] * matrix
    torch.testing.assert_close(flow, flow.T, rtol=0, atol=1e-12)


def test_gibbs_with_gradients_changes_one_coordinate_and_langevin_several():
    model = Boltzmann(6)
    start = torch.ones(200, 6, dtype=torch.float64)
    one = sample(GibbsWithGradients(model), start, 1, generator=seeded())[0]
    many = sample(DiscreteLangevin(model, 50.0), start, 1, generator=seeded())[0]
    assert set((one != start).sum(1).tolist()) == {0, 1}
    assert (many != start).sum(1).max() >= 3


def test_on_a_linear_energy_the_gradient_knows_everything():
    """Without couplings the promise is exact: with large steps the proposal is the tempered law itself."""
    field = torch.tensor([0.3, -0.8], dtype=torch.float64)
    model = graphs.GraphIsing([], 0.0, field, n_sites=2)
    kernel = DiscreteLangevin(model, 1e12)
    log_q = kernel._log_proposal(
        torch.ones(2, dtype=torch.float64), torch.tensor([-1.0, 1.0], dtype=torch.float64)
    )
    torch.testing.assert_close(log_q[:, 1].exp(), torch.sigmoid(field))


@pytest.mark.parametrize("make", [GibbsWithGradients, lambda m: DiscreteLangevin(m, 1.0)])
def test_an_energy_without_a_gradient_or_values_is_refused(make):
    with pytest.raises(TypeError, match="needs a discrete model"):
        make(Quartic())
    for model in (Table((2,), (0.0, 1.0)), graphs.GraphPotts([(0, 1)], n_values=2)):
        kernel = make(model)
        with pytest.raises(TypeError, match=f"{type(model).__name__} has no gradient in x.*use Gibbs"):
            kernel.step(kernel.init(torch.zeros(2, dtype=torch.float64)), generator=seeded())
