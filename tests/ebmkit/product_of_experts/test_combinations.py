"""Products and mixtures of anything: AND against OR, by enumeration and quadrature."""

import math

import pytest
import torch
from density_cases import assert_frequencies_match, randomized
from expert_cases import INF, D, all_bits, generator, randn, random_table
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from ebmkit import enumeration, mcmc, normalization
from ebmkit import normalization as norm
from ebmkit import product_of_experts as poe


def test_mixture_of_flows_and_torch_distributions_integrates_to_one():
    components = [
        randomized(poe.AffineCouplingFlow((2,), generator=generator(), n_hidden=4), scale=0.4),
        torch.distributions.MultivariateNormal(torch.ones(2).double(), torch.eye(2).double()),
    ]
    mixture = poe.Mixture(components, weights=[1, 3])
    total, _, _ = norm.quadrature(lambda x: mixture.log_prob(x).exp(), (-INF, -INF), (INF, INF), rtol=1e-7)
    assert total.item() == pytest.approx(1, abs=1e-6)
    assert set(map(id, components[0].parameters())) < set(map(id, mixture.parameters()))


def test_mixture_samples_follow_the_weighted_sum():
    parts = [randomized(norm.AutoregressiveBernoulli(3, generator=generator()), seed, 2.0) for seed in (1, 2)]
    mixture = poe.Mixture(parts, weights=torch.tensor([0.2, 0.8]))
    states = all_bits(3)
    exact = 0.2 * parts[0].log_prob(states).exp() + 0.8 * parts[1].log_prob(states).exp()
    torch.testing.assert_close(mixture.log_prob(states).exp(), exact, rtol=1e-6, atol=0)
    assert mixture.log_prob(states).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert_frequencies_match(mixture.sample(20_000, generator=generator(5)), states, exact)


def test_a_mixture_of_bare_energies_claims_no_log_prob():
    mixture = poe.Mixture([norm.from_exp(lambda x: -(x**2)), norm.from_exp(lambda x: -x.abs())])
    x = torch.tensor([0.3], dtype=torch.float64)
    expected = -math.log(0.5 * math.exp(-0.09) + 0.5 * math.exp(-0.3))
    assert mixture.energy(x).item() == pytest.approx(expected)
    with pytest.raises(TypeError, match="not normalized"):
        mixture.log_prob(x)
    with pytest.raises(TypeError, match="not normalized"):
        poe.Mixture([mixture]).log_prob(x)
    with pytest.raises(TypeError, match="has no sample"):
        mixture.sample(1, generator=generator())


@pytest.mark.parametrize(
    ("components", "weights", "message"),
    [
        ([], None, "at least one expert"),
        ([torch.distributions.Normal(0.0, 1.0)], [-1.0], "non-negative"),
        ([torch.distributions.Normal(0.0, 1.0)], [1.0, 2.0], "must be 1 finite non-negative"),
        ([torch.distributions.Normal(0.0, 1.0)], [INF], r"finite non-negative .* got \[inf\]"),
        ([norm.from_exp(lambda x: x), norm.from_exp(lambda x: x.sum(-1), (2,))], None, "share one space"),
    ],
)
def test_mixture_refuses_what_does_not_fit_together(components, weights, message):
    with pytest.raises(ValueError, match=message):
        poe.Mixture(components, weights)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(-2, 2), min_size=1, max_size=4))
def test_product_is_the_normalized_weighted_product_of_the_experts(seed, weights):
    experts = [random_table(seed + i) for i in range(len(weights))]
    product = poe.ProductOfExperts(experts, weights)
    raw = torch.stack([e.p**w for e, w in zip(experts, weights)]).prod(0)
    torch.testing.assert_close(enumeration.probabilities(product), raw / raw.sum())
    assert enumeration.log_partition(product).item() == pytest.approx(raw.sum().log().item(), abs=1e-10)


A = [1, 1, 1, 1, 0, 0, 0, 0]

B = [0, 0, 1, 1, 1, 1, 0, 0]


def test_a_product_allows_what_all_allow_and_a_mixture_what_any_allows():
    experts = [random_table(1, A), random_table(2, B)]
    product = enumeration.probabilities(poe.ProductOfExperts(experts))
    mixture = enumeration.probabilities(poe.Mixture(experts, [0.3, 0.7]))
    assert [p > 0 for p in product.tolist()] == [bool(a and b) for a, b in zip(A, B)]
    assert [p > 0 for p in mixture.tolist()] == [bool(a or b) for a, b in zip(A, B)]
    torch.testing.assert_close(mixture, 0.3 * experts[0].p + 0.7 * experts[1].p)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_every_expert_likes_the_product_better_than_the_other_expert_and_better_than_the_mixture_does(seed):
    """Tilting by exp(f) never lowers E[f]: E_pq[log q] ≥ E_p[log q], and the same with p and q swapped."""
    p, q = random_table(seed), random_table(seed + 1)
    both = enumeration.probabilities(poe.ProductOfExperts([p, q]))
    assert both @ q.p.log() >= p.p @ q.p.log() - 1e-12
    assert both @ p.p.log() >= q.p @ p.p.log() - 1e-12
    mixed = (p.p + q.p) / 2
    assert both @ (p.p.log() + q.p.log()) >= mixed @ (p.p.log() + q.p.log()) - 1e-12


def test_an_expert_of_weight_zero_has_no_say_even_where_it_forbids():
    experts = [random_table(1), random_table(2, A)]
    product = poe.ProductOfExperts(experts, [1.0, 0.0])
    torch.testing.assert_close(enumeration.probabilities(product), experts[0].p)


def test_expert_energies_tell_who_objects():
    experts = [random_table(1), random_table(2, A)]
    product = poe.ProductOfExperts(experts, [1.0, 2.0])
    x = all_bits(3)
    energies = product.expert_energies(x.reshape(2, 4, 3))
    torch.testing.assert_close(energies, -torch.stack([e.p.log() for e in experts], -1).reshape(2, 4, 2))
    assert product.energy(x[:0]).shape == (0,)


def test_torch_distributions_are_experts_and_their_gaussian_product_is_the_closed_form():
    experts = [distributions.Normal(torch.tensor(m, dtype=D), s) for m, s in ((-1.0, 0.5), (2.0, 1.5))]
    product = poe.ProductOfExperts(experts, weights=[1.0, 0.5])
    closed = poe.product_of_gaussians(
        torch.tensor([-1.0, 2.0], dtype=D), torch.tensor([0.25, 2.25], dtype=D), torch.tensor([1.0, 0.5])
    )
    log_z, error, _ = normalization.log_quadrature(product)
    assert log_z.item() == pytest.approx(closed.log_partition.item(), abs=1e-8)
    assert error < 1e-8
    x = randn(5)
    expected = distributions.Normal(closed.mean, closed.covariance.sqrt()).log_prob(x)
    torch.testing.assert_close(-product.energy(x) - closed.log_partition, expected)


def test_parameters_of_module_experts_are_learnable_and_saved():
    expert = poe.StudentTExperts(randn(3, 2), torch.ones(3, dtype=D))
    law = distributions.MultivariateNormal(torch.zeros(2, dtype=D), torch.eye(2, dtype=D))
    product = poe.ProductOfExperts([expert, law])
    assert {id(p) for p in product.parameters()} == {id(p) for p in expert.parameters()}
    assert "expert_modules.0.filters" in product.state_dict()


@pytest.mark.parametrize(
    ("experts", "weights", "message"),
    [
        ([], None, "at least one expert"),
        ([random_table(0)], [INF], "1 finite numbers"),
        ([random_table(0)], [1.0, 1.0], "1 finite numbers"),
        ([random_table(0), distributions.Normal(0.0, 1.0)], None, "share one space"),
    ],
)
def test_products_refuse_what_does_not_fit_together(experts, weights, message):
    with pytest.raises(ValueError, match=message):
        poe.ProductOfExperts(experts, weights)


def test_an_expert_without_energy_or_log_prob_is_refused():
    product = poe.ProductOfExperts([object()], event_shape=(3,))
    with pytest.raises(TypeError, match="object has neither energy"):
        product.energy(torch.zeros(3))
    with pytest.raises(ValueError, match="pass event_shape"):
        poe.ProductOfExperts([object()])


def test_gibbs_samples_of_a_product_follow_the_enumerated_distribution():
    product = poe.ProductOfExperts([random_table(1), random_table(2)])
    kernel, g = mcmc.Gibbs(product), generator(1)
    exact = enumeration.probabilities(product)
    start = torch.multinomial(exact, 20_000, replacement=True, generator=g)
    state = kernel.init(all_bits(3)[start])
    for _ in range(3):
        state, _ = kernel.step(state, generator=g)
    index = (state.position @ torch.tensor([4.0, 2.0, 1.0], dtype=D)).long()
    frequency = torch.bincount(index, minlength=8) / 20_000
    # Stationary start, so each frequency is off by more than 0.03 with probability < 2 exp(-36) (Hoeffding).
    assert (frequency - exact).abs().max() < 0.03


def test_float32_points_meet_float64_experts_with_the_way_out():
    experts = poe.StudentTExperts(torch.eye(2, dtype=D), torch.ones(2, dtype=D))
    with pytest.raises(TypeError, match=r"x is torch.float32 .*use x.to\('cpu', torch.float64\)"):
        experts.energy(torch.ones(3, 2))
