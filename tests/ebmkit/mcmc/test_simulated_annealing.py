"""Simulated annealing: never worse than where it was, and at the exact minimum where that is known."""

import pytest
import torch
from kernel_cases import seeded
from toy_models import Boltzmann, Quartic

from ebmkit import enumeration, graphs, ising
from ebmkit.mcmc import HMC, simulated_annealing

COLD = torch.linspace(0.1, 6.0, 60)


def test_the_minimum_of_a_frustrated_graph_is_found():
    generator = seeded(1)
    edges = [(i, (i + d) % 40) for i in range(40) for d in (1, 2)]
    model = graphs.GraphIsing(edges, torch.randn(80, generator=generator, dtype=torch.float64), 0.05)
    exact = model.energy(graphs.map_by_elimination(model)).item()
    start = 2.0 * (torch.rand(200, 40, generator=generator) > 0.5) - 1
    found = simulated_annealing(model, start, COLD, generator=generator)
    assert found.energy.min().item() == pytest.approx(exact, rel=1e-9)
    assert torch.allclose(model.energy(found.position), found.energy)


def test_what_is_found_is_the_best_that_was_met():
    model = Boltzmann(5)
    start = enumeration.states(model)
    hot = simulated_annealing(model, start, [0.0] * 3, generator=seeded())
    assert bool((hot.energy <= model.energy(start)).all())
    assert torch.allclose(model.energy(hot.position), hot.energy)
    still = simulated_annealing(model, start, [1e9], generator=seeded())
    assert bool((still.energy <= model.energy(start)).all())


def test_grids_and_continuous_models_are_cooled_too():
    picture = ising.Ising((6, 6), 0.5, field=torch.randn(6, 6, generator=seeded(), dtype=torch.float64))
    found = simulated_annealing(picture, torch.ones(30, 6, 6), COLD, generator=seeded(2))
    assert found.energy.min().item() == pytest.approx(picture.energy(ising.map_by_max_flow(picture)).item())
    well = simulated_annealing(
        Quartic(), torch.zeros(50, dtype=torch.float64), torch.linspace(1, 200, 60), generator=seeded(3),
        make_kernel=lambda energy: HMC(energy, 0.05, 5),
    )  # fmt: skip
    x = torch.linspace(-2, 2, 100_001, dtype=torch.float64)
    assert 0 <= well.energy.min() - Quartic().energy(x).min() + 1e-9 < 1e-2


@pytest.mark.parametrize("betas", [[], [1.0, 0.5], [-1.0, 1.0], [float("nan")]])
def test_a_schedule_that_does_not_cool_is_refused(betas):
    with pytest.raises(ValueError, match="from hot to cold"):
        simulated_annealing(Boltzmann(2), torch.ones(2), betas, generator=seeded())
