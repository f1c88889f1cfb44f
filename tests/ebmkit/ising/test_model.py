"""The Ising model: energies by loops, conditionals by ratios, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from ising_cases import F64, generator, grids, random_ising, random_spins

from ebmkit import enumeration, ising, log_partition
from ebmkit.ising import Ising


def energy_by_loops(model, spins):
    """Every edge once, read off the grid, not off rolled tensors."""
    n, m = model.event_shape
    total = 0.0
    for i in range(n):
        for j in range(m):
            total -= float(model.field[i, j] * spins[i, j])
            if m > 1 and (j + 1 < m or model.periodic):
                total -= float(model.horizontal[i, j] * spins[i, j] * spins[i, (j + 1) % m])
            if n > 1 and (i + 1 < n or model.periodic):
                total -= float(model.vertical[i, j] * spins[i, j] * spins[(i + 1) % n, j])
    return total


@settings(deadline=None, max_examples=50)
@given(grids)
def test_the_energy_counts_every_edge_and_every_field_once(grid):
    n, m, periodic, seed = grid
    model, spins = random_ising(n, m, periodic, seed=seed), random_spins((n, m), seed)
    assert float(model.energy(spins)) == pytest.approx(energy_by_loops(model, spins), abs=1e-12)


def test_the_energy_takes_any_batch_and_any_dtype_of_spins():
    model, spins = random_ising(3, 4), random_spins((5, 2, 3, 4))
    energy = model.energy(spins)
    assert energy.shape == (5, 2)
    assert float(energy[4, 1]) == pytest.approx(energy_by_loops(model, spins[4, 1]), abs=1e-12)
    for dtype in (torch.int8, torch.float32):
        torch.testing.assert_close(model.energy(spins.to(dtype)), energy, rtol=0, atol=1e-12)
    assert model.energy(spins[:0]).shape == (0, 2)


def test_a_coupling_is_kept_in_double_precision():
    spins = torch.ones(1, 2, dtype=F64)
    assert float(Ising((1, 2), 0.1).energy(spins)) == -0.1


def test_one_number_means_every_edge_and_every_site():
    torus = Ising((3, 4), 0.25, field=0.5, periodic=True)
    grid = Ising((3, 4), (0.25, 0.125), field=0.5)
    up = torch.ones(3, 4, dtype=F64)
    assert float(torus.energy(up)) == -(24 * 0.25 + 12 * 0.5)
    assert float(grid.energy(up)) == -(9 * 0.25 + 8 * 0.125 + 12 * 0.5)


@settings(deadline=None, max_examples=50)
@given(grids)
def test_the_local_field_is_half_the_energy_of_a_flip(grid):
    n, m, periodic, seed = grid
    model, spins = random_ising(n, m, periodic, seed=seed), random_spins((n, m), seed)
    flips = spins.expand(n * m, n, m).clone()
    flips.view(n * m, -1).diagonal().neg_()
    increase = (model.energy(flips) - model.energy(spins)).reshape(n, m)
    if (periodic and 1 not in (n, m)) or not periodic:
        torch.testing.assert_close(increase, 2 * spins * model.local_field(spins), rtol=0, atol=1e-12)


def test_the_conditional_is_the_ratio_of_two_probabilities():
    model, spins = random_ising(2, 3, periodic=True), random_spins((2, 3))
    up, down = spins.clone(), spins.clone()
    up[1, 2], down[1, 2] = 1, -1
    p_up, p_down = torch.exp(-model.energy(up)), torch.exp(-model.energy(down))
    torch.testing.assert_close(model.conditional(spins)[1, 2], p_up / (p_up + p_down), rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 3), "coupling": 1.0}, r"at least 1, got \(0, 3\)"),
        (
            {"shape": (3, 3), "coupling": (torch.ones(3, 3), 1.0)},
            r"horizontal coupling.*\(3, 2\), got shape \(3, 3\)",
        ),
        (
            {"shape": (3, 3), "coupling": (1.0, torch.ones(3, 2))},
            r"vertical coupling.*\(2, 3\), got shape \(3, 2\)",
        ),
        ({"shape": (3, 3), "coupling": 1.0, "field": torch.ones(9)}, r"field.*\(3, 3\), got shape \(9,\)"),
        ({"shape": (3, 3), "coupling": math.nan}, "must be finite, got nan"),
        ({"shape": (3, 3), "coupling": 1.0, "field": math.inf}, "field must be finite, got inf"),
    ],
)
def test_a_model_that_does_not_fit_its_grid_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ising(**arguments)


@pytest.mark.parametrize(
    "use",
    [
        lambda m, s: m.energy(s),
        lambda m, s: m.local_field(s),
        lambda m, s: ising.gibbs_sweep(m, s, generator=generator()),
        lambda m, s: ising.metropolis_sweep(m, s, generator=generator()),
        lambda m, s: ising.swendsen_wang(m, s, generator=generator()),
        lambda m, s: ising.wolff(m, s, generator=generator()),
        lambda m, s: ising.icm(m, s),
    ],
)
def test_what_is_not_spins_is_refused_with_the_way_out(use):
    with pytest.raises(ValueError, match=r"got values \{0, 1\}; use 2 \* x - 1"):
        use(Ising((2, 2), 0.1), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match=r"shape \(..., 2, 2\), got \(2, 3\)"):
        use(Ising((2, 2), 0.1), torch.ones(2, 3))


def test_labels_and_spins_are_inverse_to_one_another():
    labels = torch.tensor([[0, 1], [1, 1]])
    assert ising.to_spins(labels).tolist() == [[-1, 1], [1, 1]]
    assert torch.equal(ising.to_labels(ising.to_spins(labels)), labels.double())
    with pytest.raises(ValueError, match=r"labels must be 0 or 1, got values \{-1, 1\}"):
        ising.to_spins(torch.tensor([-1, 1]))


def test_spins_that_are_bool_are_refused_with_the_way_out():
    with pytest.raises(
        ValueError, match=r"spins must be -1 or \+1, got values False or True; use 2.0 \* x - 1"
    ):
        Ising((2, 2), 0.5).energy(torch.ones(2, 2, dtype=torch.bool))


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_annealing_scales_the_couplings_and_keeps_the_field(beta):
    model = random_ising(3, 3, periodic=True)
    spins = enumeration.states(model)
    alone = Ising((3, 3), 0.0, model.field, periodic=True).energy(spins)
    expected = alone + beta * (model.energy(spins) - alone)
    torch.testing.assert_close(model.annealed(beta).energy(spins), expected, rtol=0, atol=1e-12)


def test_annealing_starts_from_free_spins_whose_sum_and_draws_are_exact(outcome_probabilities):
    model = random_ising(2, 3, periodic=False)
    free = model.annealed(0.0)
    torch.testing.assert_close(
        model.base_log_partition(), enumeration.log_partition(free), rtol=0, atol=1e-12
    )
    spins = enumeration.states(model)
    drawn = outcome_probabilities(
        lambda x, generator: model.sample_base(len(x), generator=generator), spins[0], spins
    )
    torch.testing.assert_close(drawn, enumeration.probabilities(free), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("ais", {"betas": 200, "n_chains": 400}),
        ("thermodynamic_integration", {"n_nodes": 8, "n_chains": 100, "n_steps": 30, "burn_in": 20}),
        ("bridge", {"betas": 8, "n_chains": 100, "n_steps": 30, "burn_in": 20}),
    ],
)
def test_estimators_of_log_z_walk_the_models_own_path(method, options):
    """Seven standard errors, from 100 and more chains: a false alarm has probability about 1e-9 (Student's t)."""
    model = random_ising(4, 4, periodic=True)
    estimate = log_partition(model, method, generator=torch.Generator().manual_seed(5), **options)
    off = float(estimate.value - log_partition(model).value)
    assert 0 < estimate.error < 0.2
    assert abs(off) < 7 * float(estimate.error)
