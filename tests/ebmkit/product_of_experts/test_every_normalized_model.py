"""What holds of every model that is normalized by construction."""

import pytest
import torch
from density_cases import generator
from hypothesis import given, settings
from hypothesis import strategies as st

import ebmkit
from ebmkit import normalization as norm
from ebmkit import product_of_experts as poe


def test_same_seed_same_parameters_and_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    a, b = (poe.AffineCouplingFlow((4,), generator=generator(9)) for _ in range(2))
    a.sample(3, generator=generator())
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))


def test_log_partition_of_a_normalized_block_is_zero_and_of_a_bare_mixture_refused():
    flow, bits = (
        poe.AffineCouplingFlow((2,), generator=generator()),
        norm.AutoregressiveBernoulli(3, generator=generator()),
    )
    for model in (flow, bits, poe.Mixture([bits, bits])):
        assert ebmkit.log_partition(model) == (0.0, 0.0, "exact")
    with pytest.raises(ValueError, match="neither log_prob nor an exact log Z"):
        poe.Mixture([norm.from_exp(lambda x: -(x**2))]).exact_log_partition()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_every_normalized_block_takes_any_leading_batch_shape(seed):
    flow = poe.AffineCouplingFlow((3,), generator=generator(seed), n_hidden=4)
    autoregressive = norm.AutoregressiveBernoulli(3, generator=generator(seed))
    x = torch.rand(2, 4, 3, generator=generator(seed), dtype=torch.float64).round()
    for model in (flow, autoregressive, poe.Mixture([flow, autoregressive])):
        whole = model.energy(x)
        assert whole.shape == (2, 4)
        torch.testing.assert_close(whole[1, 2], model.energy(x[1, 2]))
        assert model.energy(x[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (norm.AutoregressiveBernoulli(2, generator=generator()), torch.ones(3, 2)),
        (norm.AutoregressiveBernoulli(2, generator=generator()), torch.ones(3, 2, dtype=torch.int64)),
        (poe.AffineCouplingFlow((2,), generator=generator(), dtype=torch.float32), torch.ones(3, 2).double()),
    ],
)
def test_numbers_of_another_dtype_than_the_models_are_refused_with_the_way_out(model, x):
    like = next(model.parameters()).dtype
    with pytest.raises(
        TypeError, match=rf"x is {x.dtype} on cpu, the model {like} .*use x.to\('cpu', {like}\)"
    ):
        model.energy(x)
