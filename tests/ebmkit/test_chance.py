"""Draws: their laws, the words they are made of, and who makes them."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

import ebmkit
from ebmkit import chance


@pytest.mark.parametrize("generator", [None, 0, np.random.default_rng(0), np.random.RandomState(0)])
@pytest.mark.parametrize("draw", ["bernoulli", "bits", "categorical", "uniform", "normal"])
def test_a_draw_from_what_is_no_generator_names_torchs(draw, generator):
    with pytest.raises(TypeError, match=r"torch.Generator, got .*; use torch.Generator\(\).manual_seed\(0\)"):
        getattr(chance, draw)(torch.full((2, 2), 0.5), generator=generator)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_are_0_or_1_with_the_given_probability(dtype):
    # The mean of n draws is more than six of its standard deviations away from p with a chance below 2e-8 in all.
    p = torch.tensor([0.0, 0.003, 0.5, 0.8, 1 - 2**-10, 1.0], dtype=dtype)
    x = chance.bits(p.repeat(400_001, 1), generator=torch.Generator().manual_seed(0))
    assert ((x.double().mean(0) - p).abs() <= 6 * (p * (1 - p) / len(x)).sqrt()).all()
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert x.dtype == dtype


@pytest.mark.usefixtures("engine")
def test_bits_keep_a_probability_below_one_step_of_16_random_bits():
    # 45.8 ones are expected. Left to torch, one number decides for each of 200 calls whether ones are possible at
    # all, so their count is Poisson with mean 0.92 Binomial(200, 1/4): below 10 or above 100 with a chance below
    # 3e-7. Compiled it is Poisson with mean 45.8, and so with a chance below 1e-9.
    p, generator = torch.full((60_001,), 2**-18), torch.Generator().manual_seed(0)
    assert 10 <= sum(chance.bits(p, generator=generator).sum().item() for _ in range(200)) <= 100


@pytest.mark.parametrize(("dtype", "below_1"), [(torch.float32, 1 - 2**-24), (torch.float64, 1 - 2**-53)])
def test_bits_of_probability_1_are_on_even_at_the_largest_random_numbers(dtype, below_1, monkeypatch):
    def largest(self, low, high, generator):
        return self.fill_(-1 if high is None else high - 1)  # -1 has every bit set

    monkeypatch.setattr(torch.Tensor, "random_", largest)
    p = torch.tensor([1.0, below_1, 0.5, 0.0], dtype=dtype)
    assert chance.bits(p, generator=torch.Generator()).tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.usefixtures("engine")
def test_bits_of_one_call_are_independent_of_each_other():
    # Over 600,000 pairs a correlation is off zero by six of its standard deviations 1/√600,000 with chance 2e-9.
    p = torch.full((600_000, 3), 0.4)
    x = chance.bits(p, generator=torch.Generator().manual_seed(1))
    later = chance.bits(p, generator=torch.Generator().manual_seed(2))
    for one, other in ((x[:, 0], x[:, 1]), (x[:, 1], x[:, 2]), (x[1:, 0], x[:-1, 2]), (x[:, 0], later[:, 0])):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 6 / 600_000**0.5


def words_of(stream, count):
    """SFC as its author writes it down, in Python's integers: the words of each generator in turn."""
    mask = 2**32 - 1
    a, b, c = ([int(word) for word in part] for part in np.split(stream, 3))
    for counter in range(count):
        for q in range(len(a)):
            word = (a[q] + b[q] + counter) & mask
            a[q] = b[q] ^ (b[q] >> 9)
            b[q] = (c[q] + (c[q] << 3)) & mask
            c[q] = ((c[q] << 21 | c[q] >> 11) + word) & mask
            yield word


@pytest.fixture
def kernels():
    return pytest.importorskip("ebmkit._chance_kernels", exc_type=ImportError)


def compiled_layer(kernels, field, bias, n_drawn, **sums):
    """p, bits and the words they were drawn with."""
    p, drawn = field.clone(), torch.empty(n_drawn, field.shape[1])
    words = chance.stream(kernels, generator=torch.Generator().manual_seed(3))
    arrays = {name: tensor.numpy() for name, tensor in sums.items()}
    kernels.draw_layer(p.numpy(), bias.numpy(), drawn.numpy(), words.copy(), **arrays)
    return p, drawn, words


def test_a_compiled_bit_is_on_where_its_own_24_random_bits_are_below_its_probability(kernels):
    p = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    p[::7], p[1::7] = 0, 1
    words = chance.stream(kernels, generator=torch.Generator().manual_seed(1))
    drawn = torch.empty_like(p)
    kernels.draw(p.numpy(), drawn.numpy(), words.copy())
    expected = [float((word >> 8) / 2**24 < q) for word, q in zip(words_of(words, 16), p.tolist())]
    assert drawn.tolist() == expected


def test_the_streams_of_several_parts_are_words_of_their_own(kernels):
    words = chance.streams(4, kernels, generator=torch.Generator().manual_seed(1))
    assert words.shape == (4, kernels.STREAM)
    assert len(np.unique(words)) >= words.size - 2  # three pairs of 768 words meet with a chance below 1e-12
    assert np.array_equal(words[0], chance.stream(kernels, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("n", [1, 64, 100])
def test_a_compiled_layer_draws_its_last_rows_with_words_of_their_own(kernels, n):
    field = torch.randn(5, n, generator=torch.Generator().manual_seed(0))
    p, drawn, stream = compiled_layer(kernels, field, torch.zeros(n), 3)
    blocks = -(-n // kernels.BLOCK)
    words = np.array(list(words_of(stream, 3 * blocks))).reshape(3, -1)[:, :n]
    assert np.array_equal(drawn.numpy(), (words >> 8) * 2.0**-24 < p.numpy()[2:])


def test_a_compiled_layer_adds_the_other_half_of_its_field(kernels):
    halves, bias = torch.randn(2, 5, 100), torch.randn(100)
    found, drawn, _ = compiled_layer(kernels, halves[0], bias, 3, more=halves[1])
    expected, same, _ = compiled_layer(kernels, halves.sum(0), bias, 3)
    assert torch.equal(drawn, same)
    assert torch.equal(found, expected)


def test_the_compiled_sigmoid_is_right_to_the_last_bit_of_a_float32_and_lets_nan_through(kernels):
    x = torch.cat([torch.linspace(-120, 120, 2_000_001), torch.tensor([math.inf, -math.inf, math.nan])])
    found, _, _ = compiled_layer(kernels, x[:, None] - 0.5, torch.tensor([0.5]), 0)
    exact = (x[:, None] - 0.5 + torch.tensor(0.5)).double().sigmoid()
    assert (found - exact)[:-1].abs().max() <= 2**-23
    assert found[:-1].min() >= 0
    assert found[:-1].max() <= 1
    assert found[-1].isnan()
    tail = (x >= -80) & (x < 0)
    torch.testing.assert_close(found[tail].double(), exact[tail], rtol=1e-5, atol=0)


def test_a_compiled_layer_shares_out_its_rows_and_sums_them(kernels):
    field, bias = torch.randn(7, 100), torch.randn(100)
    share, total = torch.randn(7), torch.full((100,), math.nan)
    plain, drawn, _ = compiled_layer(kernels, field, bias, 4)
    found, same, _ = compiled_layer(kernels, field, bias, 4, share=share, total=total)
    assert torch.equal(drawn, same)
    torch.testing.assert_close(found, plain * share[:, None])
    torch.testing.assert_close(total, found.sum(0))


def test_draws_are_compiled_for_many_float32_numbers_of_a_torch_generator_alone(kernels):
    many, source = torch.rand(2**13), torch.Generator()
    assert chance.compiled(many, generator=source) is kernels
    for other in (many[1:], many.double(), many.expand(2, -1), many.to("meta")):
        assert chance.compiled(other, generator=source) is None
    assert chance.compiled(many, generator=object()) is None


@pytest.mark.parametrize("trouble", ["no numba", "no folder for what it compiles"])
def test_draws_are_left_to_torch_where_numba_cannot_be_used(trouble, monkeypatch):
    def no_folder(*_, **__):
        raise RuntimeError("cannot cache function: no locator available")

    if trouble == "no numba":
        monkeypatch.setitem(sys.modules, "numba", None)
    else:
        monkeypatch.setattr(pytest.importorskip("numba"), "njit", no_folder)
    monkeypatch.delitem(sys.modules, "ebmkit._chance_kernels", raising=False)
    monkeypatch.delattr("ebmkit._chance_kernels", raising=False)
    chance._kernels.cache_clear()
    try:
        p = torch.full((2**13,), 0.5)
        assert chance.compiled(p, generator=torch.Generator()) is None
        assert set(chance.bits(p, generator=torch.Generator()).tolist()) == {0.0, 1.0}
    finally:
        chance._kernels.cache_clear()


@pytest.mark.slow
def test_numba_is_not_loaded_before_it_is_needed():
    program = """
import sys, torch
from ebmkit.boltzmann_machines import RBM
from ebmkit.contrastive_divergence import fit
fit(RBM(4, 3), torch.ones(6, 4), generator=torch.Generator(), n_epochs=1)
sys.exit("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("draw", ["bernoulli", "bits"])
@pytest.mark.parametrize("wrong", [1.5, -0.1, math.nan, math.inf])
def test_what_is_no_probability_is_not_drawn(draw, wrong):
    for n in (3, 20_000):
        p = torch.full((n,), 0.5)
        p[1] = wrong
        with pytest.raises(ValueError, match=r"a probability must lie in \[0, 1\], got values from"):
            getattr(chance, draw)(p, generator=torch.Generator().manual_seed(0))
        with ebmkit.validation(False):
            getattr(chance, draw)(p, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "wrong", [[0.5, 0.4], [0.7, 0.7], [1.5, -0.5], [math.nan, 1.0], [[0.5, 0.5], [0.5, 0.49]], [0.0, 0.0]]
)
def test_probabilities_that_do_not_add_to_one_are_not_drawn_from(wrong):
    with pytest.raises(ValueError, match=r"sum to 1 along the last axis, got .*; use p / p.sum"):
        chance.categorical(torch.tensor(wrong), generator=torch.Generator().manual_seed(0))
    with ebmkit.validation(False):
        chance.categorical(torch.tensor(wrong), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_no_category_is_drawn_from_none(shape):
    with pytest.raises(ValueError, match=r"\(..., K\) with K at least 1"):
        chance.categorical(torch.ones(shape), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("k", [2, 1000])
def test_rounding_is_no_reason_to_refuse_probabilities(dtype, k):
    p = torch.randn(50, k, generator=torch.Generator().manual_seed(0)).to(dtype).softmax(-1)
    assert chance.categorical(p, generator=torch.Generator().manual_seed(0)).shape == (50,)
    assert chance.categorical(p[:0], generator=torch.Generator().manual_seed(0)).shape == (0,)


def test_lists_are_drawn_from_as_tensors_are():
    generator = torch.Generator().manual_seed(0)
    assert chance.categorical([[0.0, 1.0]], generator=generator).tolist() == [1]
    assert chance.bits([0.0, 1.0], generator=generator).tolist() == [0.0, 1.0]
    for draw in (chance.normal, chance.uniform):
        assert draw([0.0, 0.0], generator=generator).shape == (2,)
