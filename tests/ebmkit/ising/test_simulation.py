"""Many chains at once: the bit-level heat bath exactly, its engines against exact energies.

Statistical tests compare the mean over independent chains with an exact expectation and fail beyond six standard
errors: by the central limit theorem a false alarm has probability 2e-9, below 1e-6 with a wide margin for the
hundreds of bounded values that are averaged.
"""

import pytest
import torch
from ising_simulation_cases import BITS, BYTES, exact_energy, generator, random_ising

from ebmkit import enumeration, ising
from ebmkit.ising import Ising


@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("model", [BITS[0], BYTES[3]], ids=str)
def test_a_run_records_what_it_was_asked_to_and_ends_where_it_says(model):
    run = ising.simulate(model, 7, 12, generator=generator(), record_every=3)
    assert run.spins.shape == (12, *model.event_shape)
    assert run.spins.dtype == torch.int8
    assert run.energy.shape == run.magnetization.shape == (2, 12)
    at_record = ising.simulate(model, 6, 12, generator=generator(), record_every=3)
    torch.testing.assert_close(at_record.energy[-1], model.energy(at_record.spins), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        at_record.magnetization[-1], at_record.spins.double().mean((1, 2)), rtol=0, atol=1e-12
    )
    assert ising.simulate(model, 2, 12, generator=generator()).energy.shape == (0, 12)


@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("model", [BITS[0], BYTES[3]], ids=str)
def test_a_run_starts_where_it_is_told_and_leaves_the_start_alone(model):
    start = 2 * torch.randint(0, 2, (12, *model.event_shape), generator=generator(), dtype=torch.int8) - 1
    before = start.clone()
    assert torch.equal(ising.simulate(model, 0, 12, generator=generator(), start=start).spins, start)
    ising.simulate(model, 3, 12, generator=generator(), start=start)
    assert torch.equal(start, before)


@pytest.mark.usefixtures("without_numba")
def test_the_generator_decides_the_run():
    first, again, other = (
        ising.simulate(BITS[0], 5, 16, generator=generator(seed)).spins for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.usefixtures("without_numba")
def test_strong_couplings_keep_an_ordered_lattice_ordered():
    model = Ising((4, 4), 30.0, periodic=True)
    up = torch.ones(16, 4, 4)
    assert (ising.simulate(model, 20, 16, generator=generator(), start=up).spins == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_sweeps": -1}, "n_sweeps must be at least 0, got -1"),
        ({"n_sweeps": 1, "n_chains": 0}, "n_chains must be at least 1, got 0"),
        ({"n_sweeps": 1, "record_every": -2}, "record_every must be at least 0, got -2"),
        ({"n_sweeps": 1, "n_chains": 3, "start": torch.ones(2, 4, 4)}, r"shape \(3, 4, 4\), got \(2, 4, 4\)"),
        ({"n_sweeps": 1, "n_chains": 2, "start": torch.zeros(2, 4, 4)}, r"spins must be -1 or \+1"),
    ],
)
def test_what_cannot_be_simulated_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        ising.simulate(Ising((4, 4), 0.3, periodic=True), generator=generator(), **options)


def test_exact_energy_is_what_enumeration_says():
    model = random_ising(3, 3, periodic=True)
    assert exact_energy(model) == pytest.approx(
        float(enumeration.expectation(model, model.energy)), abs=1e-10
    )
