"""A product of conditionals sums to one, and its samples follow it."""

import pytest
import torch
from density_cases import all_bits, assert_frequencies_match, generator, randomized

from ebmkit import normalization as norm


@pytest.mark.parametrize("seed", range(3))
def test_autoregressive_product_sums_to_one_for_any_parameters(seed):
    model = randomized(norm.AutoregressiveBernoulli(6, generator=generator()), seed, scale=2.0)
    assert model.log_prob(all_bits(6)).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_autoregressive_conditionals_do_not_see_the_future():
    model = randomized(norm.AutoregressiveBernoulli(4, generator=generator()))
    prefix = torch.tensor([1.0, 0.0], dtype=torch.float64)
    tails = all_bits(2)
    marginal = model.log_prob(torch.cat([prefix.expand(4, 2), tails], -1)).exp().sum()
    short = norm.AutoregressiveBernoulli(2, generator=generator())
    short.weight.data, short.bias.data = model.weight.data[:2, :2], model.bias.data[:2]
    assert marginal.item() == pytest.approx(short.log_prob(prefix).exp().item(), rel=1e-12)


def test_autoregressive_samples_follow_the_distribution():
    model = randomized(norm.AutoregressiveBernoulli(3, generator=generator()), scale=1.0)
    states = all_bits(3)
    samples = model.sample(20_000, generator=generator(2))
    assert_frequencies_match(samples, states, model.log_prob(states).exp())


def test_bits_are_checked():
    with pytest.raises(ValueError, match=r"bits must be 0 or 1, got values \[-1.0, 1.0\]"):
        norm.AutoregressiveBernoulli(2, generator=generator()).log_prob(
            torch.tensor([-1.0, 1.0], dtype=torch.float64)
        )
