"""Sums over all states of some bits: streamed, compiled and in small blocks they agree."""

import math
import os

import pytest
import torch
from machine_cases import EXACT, dbm, rbm

from ebmkit import enumeration
from ebmkit.boltzmann_machines import (
    RBM,
    _dbm,
    _sums,
    bit_states,
)


@pytest.mark.parametrize("n_summed", [3, 9, 17])
@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_compiled_sum_agrees_with_the_streamed_one(n_summed, scale):
    product_expansion = pytest.importorskip(
        "ebmkit.boltzmann_machines._product_expansion", exc_type=ImportError
    )
    model = rbm(37, n_summed, scale=scale)
    parameters = (model.a.data, model.W.data, model.b.data)
    streamed = _sums.log_sum_over_bits(_sums._closed_form_term, n_summed, *parameters)
    assert product_expansion.log_sum(*(p.numpy() for p in parameters)) == pytest.approx(
        float(streamed), rel=1e-13
    )


def test_the_compiled_sum_declines_what_would_overflow_and_the_answer_stays_right(monkeypatch):
    product_expansion = pytest.importorskip(
        "ebmkit.boltzmann_machines._product_expansion", exc_type=ImportError
    )
    monkeypatch.setattr(_sums, "_WORTH_COMPILING", 0)
    model = rbm(40, 8, scale=200.0)
    assert product_expansion.log_sum(model.a.data.numpy(), model.W.data.numpy(), model.b.data.numpy()) is None
    # With edges this strong one state holds almost all of Z: a lower and an upper bound pinch it.
    h = bit_states(8)
    best = (h @ model.b + (h @ model.W.T + model.a).relu().sum(-1)).max()
    assert best <= model.exact_log_partition() <= best + (40 + 8) * math.log(2)


def test_sums_in_small_blocks_are_the_same_sums(monkeypatch):
    machine, deep = rbm(6, 5), dbm((3, 3, 4))

    def answers():
        log_z, free_energy = machine.exact_log_partition(), deep.free_energy(bit_states(3))
        slopes = torch.autograd.grad(log_z, (machine.W, machine.a, machine.b))
        return log_z, free_energy, *slopes

    whole = answers()
    monkeypatch.setattr(_sums, "_STATES_AT_ONCE", 3)
    monkeypatch.setattr(_dbm, "_ELEMENTS_AT_ONCE", 3)
    torch.testing.assert_close(answers(), whole, **EXACT)


def test_the_compiled_exact_sum_leaves_the_number_of_torchs_threads_alone():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 + (os.cpu_count() or 1))  # numba would choose the number of cores
        RBM(2**12, 12).exact_log_partition()
        assert torch.get_num_threads() == 1 + (os.cpu_count() or 1)
    finally:
        torch.set_num_threads(before)


def test_bit_states_count_with_the_last_unit_fastest():
    assert torch.equal(bit_states(3), enumeration.states(rbm(3, 1)))
