"""Sums over every state, against sums written out and closed forms."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmkit import EnergyModel, enumeration
from ebmkit.boltzmann_machines import RBM
from ebmkit.ising import Ising


class Table(EnergyModel):
    """An energy for each of the states of `size` coordinates, read from a table."""

    def __init__(self, values, size, dtype=torch.float64, seed=0):
        super().__init__()
        self.values, self.event_shape = values, (size,)
        table = torch.randn(len(values) ** size, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("table", table.to(dtype))

    def energy(self, x):
        digits = (x[..., None] == torch.tensor(self.values, dtype=x.dtype)).long().argmax(-1)
        place = len(self.values) ** torch.arange(self.event_shape[0] - 1, -1, -1)
        return self.table[(digits * place).sum(-1)]


class Continuous(EnergyModel):
    event_shape = (2,)

    def energy(self, x):
        return x.square().sum(-1) / 2


class Independent(EnergyModel):
    """Bits with E(x) = -b·x, so that Z = (1 + e^b)^size in closed form."""

    values = (0.0, 1.0)

    def __init__(self, size, b):
        super().__init__()
        self.event_shape, self.b = (size,), b

    def energy(self, x):
        return -self.b * x.sum(-1)


@settings(deadline=None, max_examples=25)
@given(values=st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0, 2.0)]), size=st.integers(1, 5))
def test_states_are_all_words_over_the_values_in_counting_order(values, size):
    assert enumeration.states(Table(values, size)).tolist() == [
        list(word) for word in itertools.product(values, repeat=size)
    ]


def test_states_have_the_models_event_shape_and_dtype():
    states = enumeration.states(Ising((2, 3), 0.1))
    assert states.shape == (64, 2, 3)
    assert states.dtype == torch.float64
    assert enumeration.states(Table((0.0, 1.0), 3, torch.float32)).dtype == torch.float32


@settings(deadline=None, max_examples=25)
@given(
    values=st.sampled_from([(0.0, 1.0), (-1.0, 0.0, 2.0)]), size=st.integers(1, 5), seed=st.integers(0, 99)
)
def test_log_z_probabilities_and_expectations_are_the_sums_they_claim(values, size, seed):
    model = Table(values, size, seed=seed)
    weight = torch.exp(-model.table)
    torch.testing.assert_close(enumeration.log_partition(model), weight.sum().log(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(
        enumeration.probabilities(model), weight / weight.sum(), rtol=1e-13, atol=1e-15
    )
    words = torch.tensor(list(itertools.product(values, repeat=size)), dtype=torch.float64)
    expected = (weight[:, None] * words**2).sum(0) / weight.sum()
    torch.testing.assert_close(
        enumeration.expectation(model, lambda x: x**2), expected, rtol=1e-12, atol=1e-12
    )


def test_many_chunks_give_the_same_sum_as_the_closed_form(monkeypatch):
    monkeypatch.setattr(enumeration, "_CHUNK_ELEMENTS", 100)
    model = Independent(12, 0.3)
    chunks = list(enumeration.state_chunks(model))
    assert len(chunks) == math.ceil(2**12 / (100 // 12))
    assert torch.equal(torch.cat(chunks), enumeration.states(model))
    expected = torch.tensor(12 * math.log1p(math.exp(0.3)), dtype=torch.float64)
    torch.testing.assert_close(enumeration.log_partition(model), expected, rtol=1e-13, atol=0)
    mean = 1 / (1 + math.exp(-0.3))
    found = enumeration.expectation(model, lambda x: x)
    torch.testing.assert_close(found, torch.full((12,), mean, dtype=torch.float64), rtol=1e-12, atol=0)


def peak_bytes(work):
    """The most bytes that tensors held at once while `work` ran."""
    with torch.profiler.profile(profile_memory=True) as profile:
        work()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(itertools.accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


@pytest.mark.parametrize(
    "ask", [enumeration.log_partition, lambda m: enumeration.expectation(m, lambda v: v)]
)
def test_a_sum_and_its_gradient_take_no_more_memory_for_sixteen_times_the_states(ask, monkeypatch):
    monkeypatch.setattr(enumeration, "_CHUNK_ELEMENTS", 2**12)
    few, many = (peak_bytes(lambda n=n: ask(RBM(n, 8)).sum().backward()) for n in (10, 14))
    assert many < 2 * few


@pytest.mark.parametrize("chunk", [3, 2**21])
def test_gradients_through_the_chunks_are_those_of_the_plain_sum(chunk, monkeypatch):
    monkeypatch.setattr(enumeration, "_CHUNK_ELEMENTS", chunk)
    model = Table((0.0, 1.0), 3)
    words = enumeration.states(model)

    def through_chunks(table):
        model.table = table
        answers = (
            enumeration.log_partition(model),
            enumeration.probabilities(model),
            enumeration.expectation(model, lambda x: x),
        )
        return torch.cat([answer.flatten() for answer in answers])

    def plain(table):
        p = torch.softmax(-table, -1)
        return torch.cat([torch.logsumexp(-table, -1)[None], p, p @ words])

    table = torch.randn(8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(
        jacobian(through_chunks, table), jacobian(plain, table), rtol=1e-12, atol=1e-14
    )
    assert torch.autograd.gradcheck(through_chunks, table.requires_grad_(True))


def test_an_energy_of_infinity_means_probability_zero():
    model = Table((0.0, 1.0), 2)
    model.table[1:] = math.inf
    assert enumeration.probabilities(model).tolist() == [1, 0, 0, 0]
    torch.testing.assert_close(enumeration.log_partition(model), -model.table[0])


QUESTIONS = [
    enumeration.log_partition,
    enumeration.probabilities,
    lambda m: enumeration.expectation(m, lambda x: x),
]


@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_an_energy_that_is_no_number_is_named_with_its_state(ask, value):
    model = Table((0.0, 1.0), 2)
    model.table[2] = value
    with pytest.raises(ValueError, match=rf"energy of Table.* got {value} at x = \[1.0, 0.0\]; check"):
        ask(model)


@pytest.mark.parametrize("ask", QUESTIONS)
def test_a_model_without_a_possible_state_is_refused(ask):
    model = Table((0.0, 1.0), 2)
    model.table[:] = math.inf
    with pytest.raises(ValueError, match="every state of Table has energy inf"):
        ask(model)


def test_log_z_differentiates_to_minus_the_expected_gradient_of_the_energy():
    coupling = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    model = Ising((2, 3), coupling)
    (gradient,) = torch.autograd.grad(enumeration.log_partition(model), coupling)
    expected = enumeration.expectation(Ising((2, 3), 0.4), lambda s: -Ising((2, 3), 1.0).energy(s))
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "ask",
    [
        enumeration.states,
        enumeration.log_partition,
        enumeration.probabilities,
        lambda m: enumeration.expectation(m, abs),
    ],
)
def test_too_many_states_are_refused_with_their_number_and_the_way_out(ask):
    with pytest.raises(ValueError, match=r"2\^36 states \(about 10\^11\).*transfer_matrix.*ais"):
        ask(Ising((6, 6), 0.1))


@pytest.mark.parametrize("ask", [enumeration.states, enumeration.n_states, enumeration.cost])
def test_a_continuous_model_has_no_states_to_count(ask):
    with pytest.raises(ValueError, match=r"Continuous is continuous.*quadrature"):
        ask(Continuous())


def test_the_cost_counts_states_exactly_and_grows_with_them():
    sizes = [enumeration.cost(Ising((n, n), 0.1)) for n in (3, 5, 8)]
    assert [c.n_states for c in sizes] == [2**9, 2**25, 2**64]
    assert 0 < sizes[0].seconds < sizes[1].seconds < sizes[2].seconds
    huge = enumeration.cost(Ising((128, 128), 0.1))
    assert huge.n_states == 2 ** (128 * 128)
    assert huge.seconds == math.inf
    assert repr(huge) == "Cost(n_states=10^4932.1, seconds=inf)"
