"""Many chains at once: the bit-level heat bath exactly, its engines against exact energies.

Statistical tests compare the mean over independent chains with an exact expectation and fail beyond six standard
errors: by the central limit theorem a false alarm has probability 2e-9, below 1e-6 with a wide margin for the
hundreds of bounded values that are averaged.
"""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from ising_simulation_cases import BITS, BYTES, exact_energy, generator

from ebmkit import ising
from ebmkit.ising import Ising
from ebmkit.ising import _engines as engines

SEED = np.random.SeedSequence(7)


def standard_errors_off(model, n_chains, n_sweeps=400):
    """How far the recorded energies lie from the exact mean, after dropping the first half."""
    run = ising.simulate(model, n_sweeps, n_chains, generator=generator(), record_every=10)
    chain_means = run.energy[len(run.energy) // 2 :].mean(0)
    return float((chain_means.mean() - exact_energy(model)) / (chain_means.std() / n_chains**0.5))


@pytest.mark.parametrize("bits_together", [0, 2, 6])
def test_the_heat_bath_turns_each_pattern_of_neighbours_up_with_its_exact_probability(
    bits_together, monkeypatch
):
    """Every pattern meets every coin and every uniform of four bits once, so frequencies are probabilities.

    The 32 coins and uniforms fill a word, so that all words draw the same, however many are still undecided.
    """
    monkeypatch.setattr(engines, "_BITS_TOGETHER", bits_together)
    n_bits, pair, quad = 4, 5 / 16, 2 / 16
    lanes = np.array(list(itertools.product((0, 1), repeat=4 + 1 + n_bits)), dtype=np.uint8).T
    columns = [np.packbits(lane, bitorder="little").view(np.uint32) for lane in lanes]
    draws = iter(columns[4:])
    thresholds = [engines.threshold_bits(p)[:n_bits] for p in (pair, quad)]
    new = engines.heat_bath(columns[:4], *thresholds, lambda count: next(draws)[:count])
    up = np.unpackbits(new.view(np.uint8), bitorder="little")
    n_up = lanes[:4].sum(0)
    p_up = {int(k): up[n_up == k].mean() for k in np.unique(n_up)}
    assert p_up == {0: quad / 2, 1: pair / 2, 2: 0.5, 3: 1 - pair / 2, 4: 1 - quad / 2}


@pytest.mark.parametrize("probability", [0.0, 2**-48, 0.3, 0.5, 1 - 2**-48])
def test_threshold_bits_spell_the_probability_to_the_last_of_48(probability):
    words = engines.threshold_bits(probability)
    assert set(words.tolist()) <= {0, 0xFFFFFFFF}
    value = sum(2.0 ** -(k + 1) for k, word in enumerate(words) if word)
    assert value == pytest.approx(probability, abs=2**-48)


def test_certainty_is_spelt_as_close_as_48_bits_go():
    assert (engines.threshold_bits(1.0) == 0xFFFFFFFF).all()


@pytest.mark.parametrize("n", [1, 2, 3, 31, 1000])
def test_lane_totals_count_the_bits_of_each_lane(n):
    words = np.random.default_rng(n).integers(0, 2**32, n, dtype=np.uint32)
    expected = [int(((words >> np.uint32(lane)) & np.uint32(1)).sum()) for lane in range(32)]
    assert engines.lane_totals(words).tolist() == expected


@pytest.mark.parametrize(
    ("rows", "n_chains", "bands"),
    [(64, 1, 32), (1024, 1, 32), (64, 2, 16), (64, 5, 4), (64, 17, 1), (64, 64, 1), (96, 1, 16), (6, 1, 1)],
)
def test_a_chain_is_cut_into_as_many_even_bands_as_fit_a_word(rows, n_chains, bands):
    assert engines.n_bands(rows, n_chains) == bands


# 40 chains fill two words; of 3 chains each is cut into 8 bands of 2 rows, of 1 into 16.
PACKINGS = [((6, 10), 40), ((16, 6), 3), ((32, 4), 1), ((64, 2), 1)]


@pytest.mark.parametrize(("shape", "n_chains"), PACKINGS)
def test_packing_keeps_every_spin_and_a_spin_takes_a_bit(shape, n_chains):
    engine = engines.MultiSpin(shape, 0.3, n_chains, SEED)
    spins = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (n_chains, *shape))
    engine.set_spins(spins)
    assert np.array_equal(engine.get_spins(), spins)
    lanes = -(-n_chains * engine.bands // 32) * 32
    assert engine.words.nbytes * 8 == lanes // engine.bands * shape[0] * shape[1]


@pytest.mark.parametrize("coupling", [0.3, -0.7])
@pytest.mark.parametrize(("shape", "n_chains"), PACKINGS)
def test_packed_chains_are_measured_as_the_model_measures_them(shape, n_chains, coupling):
    model = Ising(shape, coupling, periodic=True)
    engine = engines.MultiSpin(shape, coupling, n_chains, SEED)
    energy, magnetization = engine.measure()
    spins = torch.from_numpy(engine.get_spins())
    np.testing.assert_allclose(energy, model.energy(spins).numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(magnetization, spins.double().mean((1, 2)).numpy(), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("shape", "n_chains"), PACKINGS)
def test_compiled_counts_are_numpys_up_to_the_largest(shape, n_chains):
    kernels = pytest.importorskip("ebmkit.ising._kernels")
    engine = engines.MultiSpin(shape, 0.3, n_chains, SEED)
    for colours in ((0, 0), (1, 1), (0, 1), None):  # all down, all up, every bond broken, any
        if colours is not None:
            for colour, value in enumerate(colours):
                engine.words[:, colour] = value * 0xFFFFFFFF
        for found, expected in zip(engine._totals_compiled(kernels), engine._totals()):
            assert np.array_equal(found, expected)


def sites_of_words(engine):
    """The chain, row and column of every bit, each of shape `(groups, 2, rows, m/2, 32)`."""
    groups, _, rows, half = engine.words.shape
    g, colour, i, k, lane = np.ogrid[:groups, :2, :rows, :half, :32]
    chain, band = np.divmod(lane, engine.bands)
    chain = chain + g * (32 // engine.bands)
    return np.broadcast_arrays(chain, i + band * rows, 2 * k + (i + colour) % 2)


@pytest.mark.parametrize(("shape", "n_chains"), [((4, 6), 32), *PACKINGS[1:]])
def test_neighbouring_words_are_the_neighbours_of_the_grid(shape, n_chains):
    engine = engines.MultiSpin(shape, 1.0, n_chains, SEED)
    spins = engine.get_spins()
    around = sum(np.roll(spins, shift, axis) for shift in (1, -1) for axis in (1, 2))
    chain, row, column = (index[0] for index in sites_of_words(engine))
    real = chain < n_chains
    for colour in (0, 1):
        found = engines._neighbours(engine.words[0, 1 - colour], colour, slice(None), engine._seam)
        up = sum((part[..., None] >> np.arange(32)) & 1 for part in found).astype(int)
        there = chain[colour].clip(max=n_chains - 1), row[colour], column[colour]
        assert np.array_equal((2 * up - 4)[real[colour]], around[there][real[colour]])


def sfc_words(stream, width, count):
    """What the compiled generators draw next, in the plainest NumPy; `stream` holds a, b and c, and moves on."""
    a, b, c = stream[:, :width].copy()
    word = a + b + np.uint32(count)
    stream[:, :width] = b ^ (b >> np.uint32(9)), c + (c << np.uint32(3)), word + (c << 21 | c >> 11)
    return word


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "n_chains"), [*PACKINGS, ((4, 140), 8), ((64, 140), 1)])
def test_compiled_sweeps_are_the_heat_bath_of_the_same_random_words(shape, n_chains, monkeypatch):
    """A sweep of the kernel against `heat_bath` block by block; widths of 70 words end in a part of a block."""
    monkeypatch.setattr(engines, "_BITS_TOGETHER", 48)
    engine = engines.MultiSpin(shape, -0.4, n_chains, SEED)
    block = engine._kernels.BLOCK
    words, streams = engine.words.copy(), engine._streams.copy()
    engine.sweep(2)
    with np.errstate(over="ignore"):
        for group, state in zip(words, streams):
            stream, count = state[:-1].reshape(3, block), int(state[-1])
            for colour, i, start in (
                (half_sweep % 2, i, k)
                for half_sweep in range(4)
                for i in range(group.shape[1])
                for k in range(0, group.shape[2], block)
            ):
                near = engines._neighbours(group[1 - colour], colour, slice(i, i + 1), engine._seam)
                near = [~part[0, start : start + block] for part in near]
                counts = itertools.count(count)
                drawn = lambda n, c=counts, s=stream: sfc_words(s, n, next(c) % 2**32)  # noqa: E731
                new = engines.heat_bath(near, engine._pair_bits, engine._quad_bits, drawn)
                group[colour, i, start : start + block] = new
                count = next(counts) % 2**32
    assert np.array_equal(words, engine.words)


BANDS = [Ising((64, 4), 0.3, periodic=True), Ising((32, 6), -0.3, periodic=True)]


@pytest.mark.slow
@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("model", BITS, ids=str)
def test_bits_through_numpy_have_the_exact_mean_energy(model):
    assert abs(standard_errors_off(model, 256, n_sweeps=200)) < 6


@pytest.mark.slow
@pytest.mark.parametrize("model", BANDS, ids=str)
def test_one_chain_in_bands_has_the_exact_mean_energy(model):
    """Runs from different seeds are independent; each is one chain, all lanes of its words its own."""
    assert engines.n_bands(model.event_shape[0], 1) >= 16
    means = []
    for seed in range(100):
        run = ising.simulate(model, 120, 1, generator=generator(seed), record_every=60)
        means.append(float(run.energy[-1]))
    error = np.std(means, ddof=1) / len(means) ** 0.5
    assert abs(np.mean(means) - exact_energy(model)) < 6 * error


@pytest.mark.slow
@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("model", BYTES, ids=str)
def test_bytes_through_torch_have_the_exact_mean_energy(model):
    assert abs(standard_errors_off(model, 256, n_sweeps=200)) < 6


@pytest.mark.slow
@pytest.mark.parametrize("model", BITS + BYTES, ids=str)
def test_compiled_chains_have_the_exact_mean_energy(model):
    assert abs(standard_errors_off(model, 1024, n_sweeps=1000)) < 6


@pytest.mark.slow
def test_the_rows_of_a_wide_lattice_cross_blocks_of_words_correctly():
    model = Ising((4, 140), 0.35, periodic=True)  # 70 words a row: a block of 64 and a rest
    run = ising.simulate(model, 600, 512, generator=generator(), record_every=10)
    step = 1e-4
    torus = [
        float(ising.kaufman_log_partition(Ising((4, 140), 0.35 + d, periodic=True))) for d in (step, -step)
    ]
    exact = -0.35 * (torus[0] - torus[1]) / (2 * step)
    means = run.energy[30:].mean(0)
    assert abs(float(means.mean()) - exact) < 6 * float(means.std()) / 512**0.5


@pytest.mark.slow
def test_the_number_of_threads_does_not_change_the_result():
    import numba

    model, threads = Ising((6, 8), 0.4, periodic=True), numba.get_num_threads()
    runs = []
    for n in {1, threads}:
        numba.set_num_threads(n)
        runs.append(ising.simulate(model, 50, 100, generator=generator(3)).spins)
    numba.set_num_threads(threads)
    assert all(torch.equal(runs[0], run) for run in runs)


@pytest.mark.parametrize("compiler", [pytest.param(True, marks=pytest.mark.slow), False])
def test_sweeping_and_measuring_take_at_most_three_times_the_memory_of_the_bits(compiler, request):
    if not compiler:
        request.getfixturevalue("without_numba")
    engines.MultiSpin((4, 4), 0.4, 64, SEED).sweep(1)  # compiles
    tracemalloc.start()
    engine = engines.MultiSpin((512, 512), 0.4, 64, SEED)
    engine.sweep(1)
    engine.measure()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert engine.words.nbytes == 64 * 512 * 512 // 8
    assert peak < 4 * engine.words.nbytes


@pytest.mark.parametrize(
    "model",
    [
        Ising((8, 8), 0.3, periodic=True),
        Ising((5, 6), 0.3),
        Ising((5, 6), 0.3, field=torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(5, 6)),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_chains_take_torchs_number_of_threads_and_leave_it(model, threads):
    """Another number would slow whatever torch does afterwards, most of all beside other work."""
    numba = pytest.importorskip("numba")
    before, compiled_before = torch.get_num_threads(), numba.get_num_threads()
    try:
        torch.set_num_threads(threads)
        runs = [ising.simulate(model, 3, 40, generator=generator()).energy]
        assert (torch.get_num_threads(), numba.get_num_threads()) == (threads, compiled_before)
        torch.set_num_threads(3 - threads)
        runs.append(ising.simulate(model, 3, 40, generator=generator()).energy)
        assert torch.equal(*runs)
    finally:
        torch.set_num_threads(before)
