"""Products and mixtures of anything: AND against OR, by enumeration and quadrature."""

import math

import pytest
import torch
from density_cases import assert_frequencies_match, randomized
from expert_cases import INF, D, all_bits, generator, randn, random_table
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

import ebmkit
from ebmkit import (
    EnergyModel,
    annealing,
    applications,
    contrastive_divergence,
    enumeration,
    graphs,
    mcmc,
    normalization,
    testing,
)
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


def ring(coupling, field=0.0):
    return graphs.GraphIsing([(0, 1), (1, 2), (2, 0)], coupling, field)


def test_a_mixture_of_energies_draws_each_component_as_often_as_its_energy_says():
    """Shares are w_k Z_k: a component with an energy alone brings its own Z."""
    mixture = poe.Mixture([ring(2.0), ring(-1.0, 0.4)], weights=[0.2, 0.8])
    exact = enumeration.probabilities(mixture).detach()
    assert_frequencies_match(
        mixture.sample(20_000, generator=generator(5)), enumeration.states(mixture), exact
    )
    torch.testing.assert_close(mixture.exact_log_partition(), enumeration.log_partition(mixture))
    assert "samples follow p" in testing.check_model(mixture)


def test_a_mixture_sums_its_components_states_once_and_again_when_they_change(monkeypatch):
    mixture = poe.Mixture([ring(2.0), ring(-1.0, 0.4)], weights=[0.2, 0.8])
    sums = []
    monkeypatch.setattr(
        enumeration, "exact_log_partition", lambda model: sums.append(model) or model.coupling.sum()
    )
    for _ in range(3):
        mixture.sample(2, generator=generator())
    assert len(sums) == 2
    before = mixture._shares()
    with torch.no_grad():
        mixture.components[0].coupling -= 3.0
    assert (mixture._shares() - before).abs().max() > 0.1
    assert len(sums) == 4
    with torch.no_grad():
        mixture.log_weights.zero_()
    assert len(sums) == 4  # the weights are no part of it, and are looked at every time
    torch.testing.assert_close(mixture._shares(), mixture._log_shares().softmax(-1))


def test_a_mixture_of_bowls_of_other_width_draws_the_wider_one_more_often():
    mixture = poe.Mixture([annealing.GaussianBase((1,), 0.0, 0.01), annealing.GaussianBase((1,), 5.0, 1.0)])
    share = float((mixture.sample(4000, generator=generator()) < 1).double().mean())
    # w_k Z_k: 1 in 101 from the narrow one; 1 in 10 would be 20 standard errors away, below 1e-80.
    assert abs(share - 0.01 / 1.01) < 6 * math.sqrt(0.01 / 4000) + 1e-3


def test_a_chain_of_labels_enters_a_mixture_normalized():
    """It knows both an energy and its log_prob: the mixture's energy and log_prob then agree."""
    parts = [applications.LinearChain(randn(3, 2), randn(2, 2)) for _ in range(2)]
    mixture = poe.Mixture(parts, weights=[0.3, 0.7])
    x = enumeration.states(mixture)
    torch.testing.assert_close(mixture.log_prob(x), -mixture.energy(x))
    torch.testing.assert_close(mixture.log_prob(x).exp().sum(), torch.tensor(1.0, dtype=D))


class Votes(EnergyModel):
    """Three bits, each at the same price, and no method but an energy."""

    event_shape = (3,)
    values = (0.0, 1.0)

    def __init__(self, price):
        super().__init__()
        self.price = torch.nn.Parameter(torch.tensor(price, dtype=D))

    def energy(self, x):
        return self.price * x.sum(-1)


class Wall(EnergyModel):
    """A number within a box, by a sampler alone."""

    event_shape = (1,)

    def energy(self, x):
        return torch.where(x.abs() < 1, 0.0, INF).sum(-1)

    def sample(self, sample_shape, *, generator):
        return 2 * torch.rand(sample_shape, 1, generator=generator) - 1


def test_a_mixture_whose_shares_nobody_knows_refuses_to_draw():
    with pytest.raises(TypeError, match=r"Wall has neither log_prob nor an exact log Z.*use a sampler"):
        poe.Mixture([Wall(), annealing.GaussianBase((1,))]).sample(2, generator=generator())


def test_log_partition_sums_the_states_where_the_components_have_no_log_z_of_their_own():
    mixture = poe.Mixture([Votes(0.5), Votes(-1.5)])
    found, exact = ebmkit.log_partition(mixture), enumeration.log_partition(mixture)
    assert found.kind == "exact"
    torch.testing.assert_close(found.value, exact)
    assert "exact_log_partition is log Z" in testing.check_model(mixture)


class Reluctant(Votes):
    """Its own method is for another case than this one."""

    def exact_log_partition(self):
        raise ValueError("not for this model")


def test_a_model_whose_own_method_refuses_is_summed_state_by_state():
    model, data = Reluctant(0.5), torch.ones(2, 3, dtype=D)
    torch.testing.assert_close(ebmkit.log_partition(model).value, enumeration.log_partition(model))
    learned, wanted = (
        contrastive_divergence.maximum_likelihood(m, data).parameters for m in (model, Votes(0.5))
    )
    torch.testing.assert_close(learned, wanted)
    assert "exact_log_partition is log Z" not in testing.check_model(model)


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
