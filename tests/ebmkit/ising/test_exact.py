"""log Z by transfer matrix and by Kaufman's formula, against sums and published values."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ising_cases import F64, random_ising, small_grids

from ebmkit import enumeration, ising, log_partition
from ebmkit.ising import CRITICAL_COUPLING, Ising


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
    assert log_partition(torus).error == 0
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


def test_log_z_stays_in_the_graph_of_the_couplings():
    coupling = torch.tensor(0.3, dtype=F64, requires_grad=True)
    torus = Ising((3, 4), coupling, periodic=True)
    (gradient,) = torch.autograd.grad(log_partition(torus).value, coupling)
    moments = ising.exact_moments(Ising((3, 4), 0.3, periodic=True))
    torch.testing.assert_close(
        gradient, moments.horizontal.sum() + moments.vertical.sum(), rtol=0, atol=1e-10
    )
