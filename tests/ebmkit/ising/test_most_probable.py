"""The most probable state against enumeration and another library's flow."""

import pytest
import torch
from hypothesis import given, settings
from ising_cases import F64, generator, grids, random_ising, random_spins, small_grids

from ebmkit import data, enumeration, ising
from ebmkit.ising import Ising


@settings(deadline=None, max_examples=60)
@given(small_grids)
def test_the_minimum_cut_is_the_most_probable_of_all_states(grid):
    n, m, periodic, seed = grid
    model = random_ising(n, m, periodic, seed=seed, positive=True)
    states = enumeration.states(model)
    assert torch.equal(ising.map_by_max_flow(model), states[model.energy(states).argmin()])


def test_the_minimum_cut_of_a_large_picture_is_pymaxflows():
    truth, noisy = data.noisy_picture(0.2, generator=generator())
    model = ising.denoising_model(noisy, 0.2, 0.7)
    maxflow = pytest.importorskip("maxflow", reason="PyMaxflow has no wheel for this Python or processor")
    graph = maxflow.Graph[float]()
    nodes = graph.add_grid_nodes((64, 64))
    field = model.field.numpy()
    graph.add_grid_edges(nodes, 2 * 0.7, symmetric=True)
    graph.add_grid_tedges(nodes, 2 * field.clip(min=0), 2 * (-field).clip(min=0))
    graph.maxflow()
    oracle = torch.from_numpy(1.0 - 2.0 * graph.get_grid_segments(nodes))
    found = ising.map_by_max_flow(model)
    # Several states may share the least energy; the cut must cost what the oracle's does up to rounding.
    assert float(model.energy(found) - model.energy(oracle)) == pytest.approx(0, abs=1e-9)
    assert (ising.to_labels(found) != truth).sum() < 0.5 * (noisy != truth).sum()
    assert model.energy(found) < model.energy(ising.icm(model, ising.to_spins(noisy)))


def test_strong_fields_and_couplings_do_not_overflow_the_integer_flow():
    model = Ising((2, 2), 1e12, field=torch.tensor([[1e9, -1.0], [-1e13, 1e-6]], dtype=F64), periodic=True)
    states = enumeration.states(model)
    assert torch.equal(ising.map_by_max_flow(model), states[model.energy(states).argmin()])


@pytest.mark.slow
def test_a_model_in_a_dtype_numpy_does_not_know_still_has_a_map_and_a_simulation():
    model = Ising((3, 3), 0.5, field=0.25)
    low = Ising((3, 3), 0.5, field=0.25).bfloat16()  # halves and quarters are exact in it
    assert torch.equal(ising.map_by_max_flow(low), ising.map_by_max_flow(model))
    runs = [ising.simulate(m, 3, generator=generator(), n_chains=2).spins for m in (low, model)]
    assert torch.equal(*runs)


def test_weak_fields_decide_the_minimum_cut_under_strong_couplings():
    assert (ising.map_by_max_flow(Ising((3, 3), 1e3, field=1e-6)) == 1).all()
    assert (ising.map_by_max_flow(Ising((3, 3), 1e300, field=-1.0)) == -1).all()


@pytest.mark.parametrize("seed", range(60))
def test_the_minimum_cut_is_exact_where_weights_span_twelve_orders_of_magnitude(seed):
    model = random_ising(3, 3, True, seed=seed, positive=True)
    for part in (model.horizontal, model.vertical, model.field):
        part *= 10.0 ** (12 * torch.rand(3, 3, generator=generator(seed)) - 6)
    states = enumeration.states(model)
    excess = model.energy(ising.map_by_max_flow(model)) - model.energy(states).min()
    assert 0 <= excess <= 1e-14 * model.field.abs().sum()


def test_a_negative_coupling_is_named_by_the_minimum_cut():
    vertical = torch.ones(2, 3)
    vertical[1, 2] = -0.5
    with pytest.raises(ValueError, match=r"vertical coupling at \(1, 2\) is -0.5.*use icm"):
        ising.map_by_max_flow(Ising((3, 3), (1.0, vertical)))


@settings(deadline=None, max_examples=40)
@given(grids)
def test_icm_ends_where_no_single_flip_lowers_the_energy(grid):
    n, m, periodic, seed = grid
    model, spins = random_ising(n, m, periodic, seed=seed), random_spins((3, n, m), seed)
    found = ising.icm(model, spins)
    assert (found * model.local_field(found) >= 0).all()
    assert (model.energy(found) <= model.energy(spins)).all()
    assert torch.equal(found, ising.icm(model, spins))
    assert torch.equal(found, ising.icm(model, found))


def test_icm_leaves_a_spin_that_feels_nothing():
    spins = random_spins((4, 4))
    assert torch.equal(ising.icm(Ising((4, 4), 0.0), spins), spins)
