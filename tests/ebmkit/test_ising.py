"""The Ising model: energies against loops, samplers against exact matrices, sums against one another.

`J` is the coupling; random models have couplings and fields of both signs unless said otherwise.
"""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmkit import data, enumeration, ising, log_partition, mcmc
from ebmkit.ising import CRITICAL_COUPLING, Ising

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_ising(n, m, periodic=False, scale=0.6, field=True, seed=0, positive=False):
    g = generator(seed)
    edges = ((n, m), (n, m)) if periodic else ((n, m - 1), (n - 1, m))
    coupling = tuple(scale * torch.randn(e, generator=g, dtype=F64) for e in edges)
    if positive:
        coupling = tuple(part.abs() for part in coupling)
    return Ising(
        (n, m), coupling, scale * torch.randn(n, m, generator=g, dtype=F64) if field else 0.0, periodic
    )


def random_spins(shape, seed=0):
    return 2.0 * torch.randint(0, 2, shape, generator=generator(seed)).double() - 1


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


grids = st.tuples(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.integers(0, 10_000))
small_grids = st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 10_000))


# --- Energy and conditionals


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
        lambda m, s: ising.gibbs_sweep(m, s, generator()),
        lambda m, s: ising.metropolis_sweep(m, s, generator()),
        lambda m, s: ising.swendsen_wang(m, s, generator()),
        lambda m, s: ising.wolff(m, s, generator()),
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


# --- Models of pictures


def test_the_denoising_model_is_bayes_rule_for_the_ising_prior_and_flip_noise():
    noisy = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    flip_probability, coupling = 0.2, 0.7
    prior = Ising((2, 3), coupling)
    states = enumeration.states(prior)
    n_flips = (ising.to_labels(states) != noisy).sum((1, 2)).double()
    log_likelihood = n_flips * math.log(flip_probability) + (6 - n_flips) * math.log(1 - flip_probability)
    posterior = torch.softmax(log_likelihood - prior.energy(states), 0)
    model = ising.denoising_model(noisy, flip_probability, coupling)
    torch.testing.assert_close(enumeration.probabilities(model), posterior, rtol=1e-12, atol=0)


@pytest.mark.parametrize("flip_probability", [0.0, 1.0, -0.1])
def test_noise_must_be_possible_and_uncertain(flip_probability):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        ising.denoising_model(torch.ones(2, 2), flip_probability, 1.0)


@settings(deadline=None, max_examples=40)
@given(small_grids, st.booleans())
def test_any_pairwise_potentials_are_an_ising_model_up_to_the_constant(grid, shared):
    n, m, periodic, seed = grid
    g = generator(seed)
    unary = torch.randn(n, m, 2, generator=g, dtype=F64)
    missing = [0 if periodic and side > 1 else 1 for side in (n, m)]
    sizes = ((n, m - missing[1], 2, 2), (n - missing[0], m, 2, 2))
    tables = [torch.randn((2, 2) if shared else size, generator=g, dtype=F64) for size in sizes]
    model, constant = ising.from_potentials(unary, *tables, periodic=periodic)
    y = torch.randint(0, 2, (n, m), generator=g)
    across, down = (table.expand(size) for table, size in zip(tables, sizes))
    total = sum(unary[i, j, y[i, j]] for i in range(n) for j in range(m))
    for i, j in [(i, j) for i in range(n) for j in range(m)]:
        if j < across.shape[1]:
            total = total + across[i, j, y[i, j], y[i, (j + 1) % m]]
        if i < down.shape[0]:
            total = total + down[i, j, y[i, j], y[(i + 1) % n, j]]
    torch.testing.assert_close(constant - model.energy(ising.to_spins(y)), total, rtol=0, atol=1e-11)


def test_potentials_of_the_wrong_shape_are_named():
    table = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"unary must have shape \(n, m, 2\), got \(2, 2\)"):
        ising.from_potentials(table, table, table)
    with pytest.raises(
        ValueError, match=r"vertical must have shape \(2, 2\) or \(1, 3, 2, 2\), got \(2, 3, 2, 2\)"
    ):
        ising.from_potentials(torch.zeros(2, 3, 2), table, torch.zeros(2, 3, 2, 2))


# --- Samplers: their exact transition matrices


UPDATES = {
    "gibbs": ising.gibbs_sweep,
    "metropolis": ising.metropolis_sweep,
    "swendsen_wang": ising.swendsen_wang,
    "wolff": ising.wolff,
}
LATTICES = {
    "grid": random_ising(2, 3),
    "ring_of_five": random_ising(1, 5, periodic=True),
    "ring_of_four_without_field": random_ising(4, 1, periodic=True, field=False),
    "smallest_torus": random_ising(2, 2, periodic=True),
    "odd_torus": random_ising(3, 2, periodic=True, scale=0.4),
    "free_spins": Ising((2, 2), 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("update", UPDATES)
def test_every_update_leaves_the_boltzmann_distribution_invariant(update, lattice, transition_matrix):
    model = LATTICES[lattice]
    matrix = transition_matrix(lambda x, g: UPDATES[update](model, x, g), enumeration.states(model))
    p = enumeration.probabilities(model)
    torch.testing.assert_close(matrix.sum(1), torch.ones_like(p), rtol=0, atol=1e-12)
    torch.testing.assert_close(p @ matrix, p, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("update", UPDATES)
def test_every_update_reaches_every_state(update, lattice, transition_matrix):
    model = LATTICES[lattice]
    matrix = transition_matrix(lambda x, g: UPDATES[update](model, x, g), enumeration.states(model))
    # The identity is added because Wolff on free spins flips one of them at every step: it has period 2.
    assert (torch.linalg.matrix_power((matrix + torch.eye(len(matrix))) / 2, 64) > 0).all()


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("update", ["swendsen_wang", "wolff"])
def test_cluster_updates_are_in_detailed_balance(update, lattice, transition_matrix):
    model = LATTICES[lattice]
    matrix = transition_matrix(lambda x, g: UPDATES[update](model, x, g), enumeration.states(model))
    flow = enumeration.probabilities(model)[:, None] * matrix
    torch.testing.assert_close(flow, flow.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lattice", ["grid", "odd_torus"])
def test_the_heat_bath_of_one_colour_is_in_detailed_balance_and_the_sweep_is_not(lattice, transition_matrix):
    model = LATTICES[lattice]
    states, p = enumeration.states(model), enumeration.probabilities(model)
    for sites in ising.colour_classes(model):
        half = transition_matrix(lambda x, g, s=sites: ising.gibbs_update(model, x, s, g), states)
        torch.testing.assert_close(p[:, None] * half, (p[:, None] * half).T, rtol=0, atol=1e-12)
    sweep = p[:, None] * transition_matrix(lambda x, g: ising.gibbs_sweep(model, x, g), states)
    assert (sweep - sweep.T).abs().max() > 1e-3


def test_metropolis_that_proposes_every_flip_would_run_in_circles():
    """Why `propose` is below 1: on a 4×4 torus each spin of these stripes feels no field, and all flip at once."""
    model = Ising((4, 4), 0.5, periodic=True)
    i, j = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    stripes = torch.where((i + j) % 4 < 2, 1.0, -1.0).double()
    assert not model.local_field(stripes).any()
    with pytest.raises(ValueError, match="at 1 the sweep can cycle"):
        ising.metropolis_sweep(model, stripes, generator(), propose=1.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_colours_partition_the_sites_and_separate_neighbours(n, m, periodic):
    model = Ising((n, m), 1.0, periodic=periodic)
    classes = ising.colour_classes(model)
    assert sorted(torch.cat(classes).tolist()) == list(range(n * m))
    odd_ring = periodic and any(side % 2 and side > 1 for side in (n, m))
    assert len(classes) <= (3 if odd_ring else 2)
    for sites in classes:
        inside = torch.zeros(n * m, dtype=F64)
        inside[sites] = 1
        inside = inside.reshape(n, m)
        assert not (
            inside * ((model.horizontal * inside.roll(-1, -1)) + model.vertical * inside.roll(-1, -2))
        ).any()


@pytest.mark.parametrize("update", UPDATES)
def test_updates_keep_shape_and_dtype_and_leave_their_argument_alone(update):
    model, spins = random_ising(3, 4), random_spins((2, 5, 3, 4)).to(torch.int8)
    before = spins.clone()
    after = UPDATES[update](model, spins, generator())
    assert torch.equal(spins, before)
    assert after.shape == spins.shape
    assert after.dtype == spins.dtype
    assert set(after.unique().tolist()) == {-1, 1}


@pytest.mark.parametrize("update", UPDATES)
def test_the_same_generator_gives_the_same_spins(update):
    model, spins = random_ising(3, 4), random_spins((8, 3, 4))
    first, again, other = (UPDATES[update](model, spins, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kernel", [ising.Metropolis, ising.SwendsenWang, ising.Wolff, mcmc.Gibbs])
def test_kernels_carry_the_energy_of_where_they_are(kernel):
    model, spins = random_ising(3, 4), random_spins((7, 3, 4))
    state = kernel(model).init(spins)
    for _ in range(3):
        state, info = kernel(model).step(state, generator())
        torch.testing.assert_close(state.energy, model.energy(state.position), rtol=0, atol=1e-12)
    assert info.acceptance.shape == info.divergent.shape == (7,)
    assert ((info.acceptance >= 0) & (info.acceptance <= 1)).all()
    assert not info.divergent.any()


def test_cluster_roots_are_the_connected_components():
    g = generator()
    right, down = torch.rand(20, 6, 7, generator=g) < 0.5, torch.rand(20, 6, 7, generator=g) < 0.5
    roots = ising._clusters._cluster_roots(right, down)
    for k in range(20):
        graph = torch.zeros(42, 42)
        site = torch.arange(42).reshape(6, 7)
        graph[site[right[k]], site.roll(-1, -1)[right[k]]] = 1
        graph[site[down[k]], site.roll(-1, -2)[down[k]]] = 1
        reach = torch.linalg.matrix_power(((graph + graph.T + torch.eye(42)) > 0).double(), 42) > 0
        assert torch.equal(roots[k], reach.double().argmax(1))


# --- The most probable state


@settings(deadline=None, max_examples=60)
@given(small_grids)
def test_the_minimum_cut_is_the_most_probable_of_all_states(grid):
    n, m, periodic, seed = grid
    model = random_ising(n, m, periodic, seed=seed, positive=True)
    states = enumeration.states(model)
    assert torch.equal(ising.map_by_max_flow(model), states[model.energy(states).argmin()])


def test_the_minimum_cut_of_a_large_picture_is_pymaxflows():
    truth, noisy = data.noisy_picture(0.2, generator())
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


def test_a_model_in_a_dtype_numpy_does_not_know_still_has_a_map_and_a_simulation():
    model = Ising((3, 3), 0.5, field=0.25)
    low = Ising((3, 3), 0.5, field=0.25).bfloat16()  # halves and quarters are exact in it
    assert torch.equal(ising.map_by_max_flow(low), ising.map_by_max_flow(model))
    runs = [ising.simulate(m, 3, generator(), n_chains=2).spins for m in (low, model)]
    assert torch.equal(*runs)


def test_spins_that_are_bool_are_refused_with_the_way_out():
    with pytest.raises(
        ValueError, match=r"spins must be -1 or \+1, got values False or True; use 2.0 \* x - 1"
    ):
        Ising((2, 2), 0.5).energy(torch.ones(2, 2, dtype=torch.bool))


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


# --- log Z


@settings(deadline=None, max_examples=40)
@given(small_grids, st.sampled_from([0.5, 60.0]))
def test_the_transfer_matrix_is_the_sum_over_all_states(grid, scale):
    n, m, periodic, seed = grid
    model = random_ising(n, m, periodic, scale=scale, seed=seed)
    torch.testing.assert_close(
        log_partition(model, "transfer_matrix").value,
        enumeration.log_partition(model),
        rtol=1e-13,
        atol=1e-10,
    )


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("model", [random_ising(4, 4), random_ising(3, 3, periodic=True)], ids=str)
def test_the_transfer_matrix_is_the_same_however_it_cuts_rows_into_blocks(model, block, monkeypatch):
    monkeypatch.setattr(ising._exact, "_BLOCK", block)
    exact = enumeration.log_partition(model)
    torch.testing.assert_close(ising.transfer_matrix_log_partition(model), exact, rtol=0, atol=1e-10)


def test_the_transfer_matrix_does_not_mind_which_side_is_longer():
    model = random_ising(2, 7, seed=5)
    turned = Ising((7, 2), (model.vertical[:1].T, model.horizontal[:, :6].T), model.field.T)
    torch.testing.assert_close(
        log_partition(turned).value, enumeration.log_partition(model), rtol=0, atol=1e-10
    )


def test_the_two_kinds_of_front_agree_where_enumeration_cannot_go(monkeypatch):
    model = random_ising(9, 10, seed=3)
    linear = ising.transfer_matrix_log_partition(model)
    monkeypatch.setattr(ising._exact, "_LINEAR_RANGE", 0.0)
    torch.testing.assert_close(ising.transfer_matrix_log_partition(model), linear, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "coupling"),
    [
        *itertools.product(
            [(1, 4), (2, 2), (2, 5), (3, 3), (3, 4), (4, 3)],
            [0.0, 1e-12, 0.05, 0.2, CRITICAL_COUPLING, 0.7, 2.0],
        ),
        *itertools.product([(1, 1), (1, 4), (2, 2), (4, 2)], [-1e-12, -0.2, -CRITICAL_COUPLING, -2.0]),
    ],
)
def test_kaufmans_formula_is_the_sum_over_all_states(shape, coupling):
    model = Ising(shape, coupling, periodic=True)
    values = [log_partition(model, method).value for method in ("kaufman", "transfer_matrix", "enumeration")]
    torch.testing.assert_close(torch.stack(values), values[2].expand(3), rtol=0, atol=1e-10)


@pytest.mark.parametrize("coupling", [25.0, 45.0, 200.0, 1e6, -200.0])
def test_kaufmans_formula_tends_to_the_two_ground_states(coupling):
    """Each spin turned over costs 8J: Z = 2 exp(2N|J|) (1 + N exp(-8|J|) + …)."""
    log_z = log_partition(Ising((4, 4), coupling, periodic=True), "kaufman").value
    assert float(log_z) == pytest.approx(2 * 16 * abs(coupling) + math.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("size", "coupling", "log_z", "digit"),
    [
        (3, 0.2, 6.669744604314, 1e-12),
        (3, CRITICAL_COUPLING, 9.020213400944, 1e-12),
        (3, 0.7, 13.332458066126, 1e-12),
        (4, 0.2, 11.771470358542, 1e-12),
        (4, CRITICAL_COUPLING, 15.521915458755, 1e-12),
        (4, 0.7, 23.160965529293, 1e-12),
        (5, 0.2, 18.369204244780, 1e-12),
        (5, CRITICAL_COUPLING, 23.886298779183, 1e-12),
        (5, 0.7, 35.798740319933, 1e-12),
        (8, CRITICAL_COUPLING, 60.1417807891, 1e-10),
        (16, CRITICAL_COUPLING, 238.6422566351, 1e-10),
        (32, CRITICAL_COUPLING, 952.6480795485, 1e-10),
        (64, CRITICAL_COUPLING, 3808.6722834198, 1e-10),
        (1024, CRITICAL_COUPLING, 974856.9219234769, 1e-9),
    ],
)
def test_the_torus_has_the_published_log_z(size, coupling, log_z, digit):
    value = log_partition(Ising((size, size), coupling, periodic=True)).value
    assert float(value) == pytest.approx(log_z, abs=digit)


def test_auto_prefers_what_is_exact_and_fast():
    torus = Ising((200, 100), 0.3, periodic=True)
    assert log_partition(torus).value == log_partition(torus, "kaufman").value
    assert log_partition(torus).std_error == 0
    antiferromagnet = Ising((3, 4), -0.3, periodic=True)
    torch.testing.assert_close(
        log_partition(antiferromagnet).value, enumeration.log_partition(antiferromagnet), rtol=0, atol=1e-10
    )
    # Turning every second spin over turns J into -J where both sides are even.
    assert float(log_partition(Ising((8, 6), 0.3, periodic=True)).value) == pytest.approx(
        float(log_partition(Ising((8, 6), -0.3, periodic=True), "transfer_matrix").value), abs=1e-10
    )
    assert log_partition(Ising((16, 16), 0.0, periodic=True)).value == 256 * math.log(2)


def test_a_torus_wide_enough_forgets_its_boundary():
    """Kaufman per site tends to Onsager: exponentially fast away from criticality."""
    torus = log_partition(Ising((64, 64), 0.3, periodic=True)).value / 64**2
    torch.testing.assert_close(torus, ising.onsager_log_partition(0.3), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "method", "message"),
    [
        (
            Ising((30, 30), 0.1),
            "transfer_matrix",
            r"30×30 grid with free boundary needs 2\^30 entries.*kaufman",
        ),
        (Ising((12, 12), 0.1, 0.1, True), "transfer_matrix", r"12×12 torus needs 4\^12 entries.*ais"),
        (
            Ising((30, 30), 0.1),
            "kaufman",
            r"torus without field.*free boundary; use method='transfer_matrix'",
        ),
        (Ising((4, 4), 0.1, 0.1, True), "kaufman", r"without field"),
        (random_ising(4, 4, True, field=False), "kaufman", r"one coupling"),
        (Ising((15, 16), -0.1, periodic=True), "kaufman", r"not negative unless both sides are even.*'ais'"),
        (Ising((15, 16), -0.1, periodic=True), "auto", r"even sides, where it is negative.*'ais'"),
        (Ising((30, 30), 0.1, 0.1, True), "auto", r"transfer matrix of a 30×30 torus"),
    ],
)
def test_a_method_that_cannot_serve_a_lattice_says_which_can(model, method, message):
    with pytest.raises(ValueError, match=message):
        log_partition(model, method)


@settings(deadline=None, max_examples=25)
@given(small_grids, st.sampled_from([0.5, 60.0]))
def test_exact_moments_are_the_expectations_they_claim(grid, scale):
    n, m, periodic, seed = grid
    model = random_ising(n, m, periodic, scale=scale, seed=seed)
    moments = ising.exact_moments(model)
    spins = enumeration.expectation(model, lambda s: s)
    across = enumeration.expectation(model, lambda s: s * s.roll(-1, -1)) * (model.horizontal != 0)
    down = enumeration.expectation(model, lambda s: s * s.roll(-1, -2)) * (model.vertical != 0)
    for found, expected in zip(moments, (spins, across, down)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_log_z_stays_in_the_graph_of_the_couplings():
    coupling = torch.tensor(0.3, dtype=F64, requires_grad=True)
    torus = Ising((3, 4), coupling, periodic=True)
    (gradient,) = torch.autograd.grad(log_partition(torus).value, coupling)
    moments = ising.exact_moments(Ising((3, 4), 0.3, periodic=True))
    torch.testing.assert_close(
        gradient, moments.horizontal.sum() + moments.vertical.sum(), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    "model", [random_ising(3, 2), random_ising(2, 4), random_ising(4, 1), random_ising(2, 3, scale=9.0)]
)
def test_exact_samples_have_exactly_the_boltzmann_distribution(model, outcome_probabilities):
    states = enumeration.states(model)
    law = outcome_probabilities(lambda x, g: ising.exact_sample(model, (len(x),), g), states[0], states)
    torch.testing.assert_close(law, enumeration.probabilities(model), rtol=0, atol=1e-12)


def test_exact_samples_come_in_any_shape_and_show_the_exact_mean():
    model = random_ising(10, 12)
    spins = ising.exact_sample(model, (40, 50), generator())
    assert spins.shape == (40, 50, 10, 12)
    mean = spins.mean((0, 1))
    # Hoeffding for 2,000 values in [-1, 1] at 120 sites: P(false alarm) < 240·e^{-2000·0.15²/2} < 5e-8.
    assert (mean - ising.exact_moments(model).spins).abs().max() < 0.15


def test_exact_samples_are_refused_where_they_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"free boundary.*use swendsen_wang"):
        ising.exact_sample(Ising((4, 4), 0.1, periodic=True), (1,), generator())
    with pytest.raises(ValueError, match=r"30×30.*too wide"):
        ising.exact_sample(Ising((30, 30), 0.1), (1,), generator())


# --- The infinite lattice


@pytest.mark.parametrize(
    ("coupling", "log_z"),
    [
        (0.0, math.log(2)),
        (0.2, 0.734530812276),
        (0.7, 1.404221519729),
        (CRITICAL_COUPLING, 0.9296953983416103),
        (178.0, 356.0),
        (1e4, 2e4),
    ],
)
def test_onsagers_log_z_has_the_published_values(coupling, log_z):
    assert float(ising.onsager_log_partition(coupling)) == pytest.approx(log_z, abs=1e-12)
    assert float(ising.onsager_log_partition(-coupling)) == pytest.approx(log_z, abs=1e-12)


@pytest.mark.parametrize(
    ("coupling", "energy", "digit"),
    [
        (0.0, 0.0, 0.0),
        (0.2, -0.428228833240, 1e-12),
        (0.3, -0.7044990708324452, 1e-14),
        (0.4, -1.1060792037457934, 1e-14),
        (CRITICAL_COUPLING, -math.sqrt(2), 1e-14),
        (0.5, -1.7455645753125535, 1e-14),
        (0.7, -1.963775612334, 1e-12),
        (20.0, -2.0, 1e-14),
        (180.0, -2.0, 1e-14),
        (1e4, -2.0, 1e-14),
    ],
)
def test_onsagers_energy_has_the_published_values(coupling, energy, digit):
    assert float(ising.onsager_energy(coupling)) == pytest.approx(energy, abs=digit)
    assert float(ising.onsager_energy(-coupling)) == pytest.approx(-energy, abs=digit)


def test_onsagers_energy_is_minus_the_slope_of_his_log_z():
    coupling = torch.linspace(0.05, 1.0, 39, dtype=F64)
    step = 1e-5
    slope = (ising.onsager_log_partition(coupling + step) - ising.onsager_log_partition(coupling - step)) / (
        2 * step
    )
    torch.testing.assert_close(-slope, ising.onsager_energy(coupling), rtol=0, atol=1e-6)


def test_yangs_magnetization_appears_at_the_critical_coupling():
    assert ising.yang_magnetization(torch.tensor([0.0, 0.3, -0.5, 0.4406])).tolist() == [0, 0, 0, 0]
    assert float(ising.yang_magnetization(0.4407)) > 0.3
    assert float(ising.yang_magnetization(0.7)) == pytest.approx(0.990162538676, abs=1e-12)


def test_the_critical_coupling_is_its_own_dual():
    assert pytest.approx(1.0, abs=1e-15) == math.sinh(2 * CRITICAL_COUPLING)
    assert pytest.approx(2.269185314213022, abs=1e-15) == 1 / CRITICAL_COUPLING


def test_onsager_refuses_a_coupling_that_is_not_finite():
    with pytest.raises(ValueError, match="coupling must be finite, got inf"):
        ising.onsager_energy(math.inf)


@pytest.mark.parametrize("kernel", [ising.Metropolis, ising.SwendsenWang, ising.Wolff])
def test_a_kernel_refuses_a_start_without_chains_and_one_that_holds_no_spins(kernel):
    model = ising.Ising((3, 4), 0.4)
    with pytest.raises(ValueError, match=r"holds no chain, its shape is \(0, 3, 4\)"):
        kernel(model).init(torch.empty(0, 3, 4))
    with pytest.raises(ValueError, match=r"one of \(-1.0, 1.0\), got 0"):
        kernel(model).init(torch.zeros(2, 3, 4))


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
    drawn = outcome_probabilities(lambda x, chance: model.sample_base(len(x), chance), spins[0], spins)
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
    assert 0 < estimate.std_error < 0.2
    assert abs(off) < 7 * float(estimate.std_error)
