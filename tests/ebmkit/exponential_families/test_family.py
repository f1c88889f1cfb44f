"""Every family against torch.distributions, SciPy and sums; log Z's convexity and derivatives as properties."""

import itertools
import math

import numpy as np
import pytest
import torch
from family_cases import MEMBERS, C, D, M, covariance, distance, generator, t
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import distributions

from ebmkit import contrastive_divergence, normalization
from ebmkit import exponential_families as ef

every_family = pytest.mark.parametrize("name", MEMBERS)


def other_member(name, seed=0):
    """A second θ of the same family: halfway from the first one to a fixed third."""
    third = {
        "Bernoulli": t(1.5), "Categorical": t(0.5, -1, 2), "Poisson": t(-0.4), "Exponential": t(-0.3),
        "Gamma": t(4, -7), "Beta": t(3, 0.2), "Gaussian": t(1, -2),
        "MultivariateGaussian": ef.MultivariateGaussian(3).natural(-M, covariance(seed + 20)),
    }[name]  # fmt: skip
    return (MEMBERS[name][1] + third) / 2


@every_family
def test_log_prob_matches_torch_distributions(name):
    family, theta, twin, x = MEMBERS[name]
    torch.testing.assert_close(family.log_prob(x, theta), twin.log_prob(x), rtol=1e-12, atol=1e-12)


@every_family
def test_kl_divergence_matches_torch_distributions_and_is_zero_only_for_equals(name):
    family, theta, twin, _ = MEMBERS[name]
    other = other_member(name)
    standard = family.standard(other)
    if name == "Gaussian":
        their = distributions.Normal(standard[0], standard[1].sqrt())
    else:
        their = type(twin)(*standard) if isinstance(standard, tuple) else type(twin)(standard)
    torch.testing.assert_close(family.kl_divergence(theta, other), distributions.kl_divergence(twin, their))
    assert family.kl_divergence(theta, theta).abs() < 1e-12
    assert family.kl_divergence(theta, other) > 1e-3


@every_family
def test_natural_and_mean_parameters_are_inverse_maps(name):
    family, theta, _, _ = MEMBERS[name]
    batch = torch.stack([theta, other_member(name)]).reshape(2, 1, -1)
    mean = family.mean_parameters(batch)
    torch.testing.assert_close(family.natural_parameters(mean), batch, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        family.mean_parameters(family.natural_parameters(mean)), mean, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("name", ["Bernoulli", "Categorical", "Poisson", "Exponential", "Gaussian"])
def test_newton_on_the_dual_agrees_with_the_closed_form(name):
    family, theta, _, _ = MEMBERS[name]
    if name == "Exponential":
        family._start = lambda mean: -torch.ones_like(mean)
    if name == "Gaussian":
        family._start = lambda mean: t(0, -0.5).expand_as(mean)
    mean = family.mean_parameters(torch.stack([theta, other_member(name)]))
    torch.testing.assert_close(family._newton(mean), family.natural_parameters(mean), rtol=1e-9, atol=1e-9)


@every_family
def test_derivative_of_the_natural_parameters_is_the_inverse_fisher_information(name):
    family, theta, _, _ = MEMBERS[name]
    jacobian = torch.autograd.functional.jacobian(family.natural_parameters, family.mean_parameters(theta))
    identity = torch.eye(family.n_parameters, dtype=D)
    torch.testing.assert_close(jacobian @ family.fisher_information(theta), identity, rtol=1e-7, atol=1e-7)


@every_family
def test_mean_and_fisher_information_are_the_moments_of_the_sufficient_statistics(name):
    """By sums over the states or by quadrature; for three dimensions by Wick's theorem instead."""
    family, theta, _, _ = MEMBERS[name]
    if name == "MultivariateGaussian":
        mean, fisher = wick(family)
    else:
        mean, fisher = summed_moments(name, family, theta)
    torch.testing.assert_close(family.mean_parameters(theta), mean, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(family.fisher_information(theta), fisher, rtol=1e-6, atol=1e-6)


def summed_moments(name, family, theta):
    def expectation(f):
        def weighted(x):
            return f(family.sufficient_statistics(x)) * family.log_prob(x, theta).exp()

        if family.discrete:
            return weighted(torch.arange(200 if name == "Poisson" else len(family.values), dtype=D)).sum()
        # x = e^s on the half line and x = σ(s) on the interval: no singular ends.
        return {
            "Gaussian": lambda: normalization.quadrature(weighted).value,
            "Beta": lambda: (
                normalization.quadrature(
                    lambda s: weighted(s.sigmoid()) * s.sigmoid() * (-s).sigmoid(), -35.0, 35.0
                ).value
            ),
        }.get(
            name, lambda: normalization.quadrature(lambda s: weighted(s.exp()) * s.exp(), -50.0, 5.0).value
        )()

    k = family.n_parameters
    mean = torch.stack([expectation(lambda s, i=i: s[..., i]) for i in range(k)])
    second = [[expectation(lambda s, i=i, j=j: s[..., i] * s[..., j]) for j in range(k)] for i in range(k)]
    return mean, torch.stack([torch.stack(row) for row in second]) - torch.outer(mean, mean)


def wick(family):
    """E and Cov of (x_i, x_i x_j) for x ~ N(M, C), written with central moments E[zzzz] = three pairings."""
    rows, columns = torch.triu_indices(3, 3).tolist()
    index = [(i,) for i in range(3)] + list(zip(rows, columns))
    one = {(i,): M[i] for i in range(3)}
    two = {(i, j): C[i, j] + M[i] * M[j] for i, j in itertools.product(range(3), repeat=2)}

    def cov(a, b):
        if len(a) == len(b) == 1:
            return C[a[0], b[0]]
        if len(a) == 1:
            return C[a[0], b[0]] * M[b[1]] + C[a[0], b[1]] * M[b[0]]
        if len(b) == 1:
            return cov(b, a)
        (i, j), (k, l) = a, b
        pairs = C[i, k] * C[j, l] + C[i, l] * C[j, k]
        return (
            pairs
            + M[i] * M[k] * C[j, l]
            + M[i] * M[l] * C[j, k]
            + M[j] * M[k] * C[i, l]
            + M[j] * M[l] * C[i, k]
        )

    mean = torch.stack([(one | two)[key] for key in index])
    return mean, torch.stack([torch.stack([cov(a, b) for b in index]) for a in index])


@every_family
def test_fisher_information_is_symmetric_and_positive_definite(name):
    family, theta, _, _ = MEMBERS[name]
    fisher = family.fisher_information(torch.stack([theta, other_member(name)]))
    torch.testing.assert_close(fisher, fisher.mT, rtol=1e-10, atol=1e-10)
    assert (torch.linalg.eigvalsh(fisher) > 0).all()


@every_family
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_log_partition_is_convex(name, share, seed):
    family = MEMBERS[name][0]
    a, b = MEMBERS[name][1], other_member(name, seed)
    middle = family.log_partition(share * a + (1 - share) * b)
    chord = share * family.log_partition(a) + (1 - share) * family.log_partition(b)
    assert middle <= chord + 1e-10


@every_family
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_derivatives_match_finite_differences(name, seed):
    family, theta = MEMBERS[name][0], other_member(name, seed)
    step = 1e-5
    shifts = step * torch.eye(family.n_parameters, dtype=D)
    slope = (family.log_partition(theta + shifts) - family.log_partition(theta - shifts)) / (2 * step)
    curve = (family.mean_parameters(theta + shifts) - family.mean_parameters(theta - shifts)) / (2 * step)
    torch.testing.assert_close(family.mean_parameters(theta), slope, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(family.fisher_information(theta), curve, rtol=1e-5, atol=1e-5)


@every_family
def test_mean_and_fisher_information_are_differentiable_in_theta(name):
    family, theta, _, _ = MEMBERS[name]
    theta = theta.clone().requires_grad_()
    (by_mean,) = torch.autograd.grad(family.mean_parameters(theta).sum(), theta)
    torch.testing.assert_close(
        by_mean, family.fisher_information(theta.detach()).sum(0), rtol=1e-9, atol=1e-9
    )
    assert family.fisher_information(theta).requires_grad


@every_family
def test_maximum_likelihood_matches_the_moments_and_no_neighbour_is_likelier(name):
    family, theta, _, _ = MEMBERS[name]
    x = family.sample(theta, (200,), generator=generator(3))
    fitted = family.maximum_likelihood(x)
    torch.testing.assert_close(
        family.mean_parameters(fitted), family.sufficient_statistics(x).mean(0), rtol=1e-9, atol=1e-9
    )
    best = family.log_prob(x, fitted).mean()
    nearby = fitted + 1e-3 * torch.cat([torch.eye(len(fitted)), -torch.eye(len(fitted))]).to(D)
    for neighbour in nearby[family.in_natural_domain(nearby)]:
        assert family.log_prob(x, neighbour).mean() < best


@pytest.mark.parametrize(
    ("family", "law", "fixed"),
    [(ef.Gamma(), stats.gamma, {"floc": 0}), (ef.Beta(), stats.beta, {"floc": 0, "fscale": 1})],
)
def test_maximum_likelihood_agrees_with_scipy(family, law, fixed):
    x = law.rvs(2.0, *([3.0] if law is stats.beta else []), size=300, random_state=0)
    theirs = law.fit(x, **fixed)
    first, second = family.standard(family.maximum_likelihood(torch.from_numpy(x)))
    expected = (theirs[0], 1 / theirs[2]) if law is stats.gamma else theirs[:2]
    assert (first.item(), second.item()) == pytest.approx(expected, rel=1e-4)


# n samples against the exact law. One-dimensional continuous families: Kolmogorov-Smirnov, where the
# Dvoretzky-Kiefer-Wolfowitz bound gives P(D > d) < 2 exp(-2 n d²) = 2 exp(-36) < 1e-15 at n = 20000, d = 0.03.
# Discrete ones: the same bound holds for the distribution function at each point.
CDF = {
    "Bernoulli": stats.bernoulli(0.3).cdf,
    "Categorical": lambda x: np.array([0.1, 0.3, 0.6, 1.0])[np.asarray(x, int)],
    "Poisson": stats.poisson(3.7).cdf,
    "Exponential": stats.expon(scale=1 / 2.5).cdf,
    "Gamma": stats.gamma(0.7, scale=1 / 2.0).cdf,
    "Beta": stats.beta(0.6, 2.5).cdf,
    "Gaussian": stats.norm(-1.2, 0.7).cdf,
}


@pytest.mark.parametrize("name", CDF)
def test_samples_follow_the_exact_distribution_function(name):
    family, theta, _, _ = MEMBERS[name]
    assert distance(family.sample(theta, (20_000,), generator=generator(1)), CDF[name]) < 0.03


@every_family
def test_samples_have_the_asked_shape_and_dtype(name):
    family, theta, _, _ = MEMBERS[name]
    x = family.sample(theta.expand(2, -1), (3, 4), generator=generator())
    assert x.shape == (3, 4, 2, *family.event_shape)
    assert family.in_support(x).all()
    single = family.sample(theta.float(), (5,), generator=generator())
    assert single.dtype == (torch.int64 if name == "Categorical" else torch.float32)


@every_family
def test_energy_model_has_log_partition_a_and_the_familys_probabilities(name):
    family, theta, twin, x = MEMBERS[name]
    model = family.energy_model(theta)
    torch.testing.assert_close(-model.energy(x) - model.exact_log_partition(), twin.log_prob(x))
    assert model.event_shape == family.event_shape
    assert torch.equal(
        model.sample(5, generator=generator(2)), family.sample(theta, (5,), generator=generator(2))
    )
    if family.discrete:
        with pytest.raises(TypeError, match="discrete"):
            model.score(x)
    else:
        leaf = x.clone().requires_grad_()
        (score,) = torch.autograd.grad(twin.log_prob(leaf).sum(), leaf)
        torch.testing.assert_close(model.score(x), score)


def test_maximum_likelihood_gradient_of_an_energy_model_vanishes_at_the_fit():
    family, theta, _, _ = MEMBERS["MultivariateGaussian"]
    x = family.sample(theta, (50,), generator=generator(1))
    model = family.energy_model(family.maximum_likelihood(x))
    gradient = contrastive_divergence.maximum_likelihood(model, x).parameters["theta"]
    assert gradient.abs().max() < 1e-9


def test_probability_outside_the_support_is_zero():
    outside = {
        "Bernoulli": 2.0,
        "Categorical": 4.0,
        "Poisson": 1.5,
        "Exponential": -1.0,
        "Gamma": 0.0,
        "Beta": 1.0,
    }
    for name, x in outside.items():
        family, theta, _, _ = MEMBERS[name]
        assert family.log_prob(t(x), theta).item() == -math.inf
        assert family.energy_model(theta).energy(t(x)).item() == math.inf


@pytest.mark.parametrize(
    ("family", "theta", "message"),
    [
        (ef.Bernoulli(), t(math.inf), "θ must be real, got"),
        (ef.Exponential(), t(0.5), r"θ = -rate must be negative, got \[0.5\]"),
        (ef.Gamma(), t(-1, -1), "shape > 0 and rate > 0"),
        (ef.Beta(), t(0, -2), "a > 0 and b > 0"),
        (ef.Gaussian(), t(0, 1), "negative second entry"),
        (ef.MultivariateGaussian(2), t(0, 0, -0.5, 0, 0.5), "positive definite"),
        (ef.Gaussian(), t(0), r"of shape \(..., 2\), got torch.float64 of shape \(1,\)"),
        (ef.Poisson(), torch.tensor([1]), "floating point"),
    ],
)
def test_natural_parameters_without_a_finite_log_partition_are_refused(family, theta, message):
    with pytest.raises(ValueError, match=message):
        family.mean_parameters(theta)


@pytest.mark.parametrize(
    ("family", "x", "message"),
    [
        (ef.Bernoulli(), t(1, 1, 1), "strictly between 0 and 1, got"),
        (ef.Categorical(3), t(0, 1, 1), "leave something for the last"),
        (ef.Poisson(), t(0, 0), "the mean must be positive"),
        (ef.Gamma(), t(2, 2, 2), "must not all be equal"),
        (ef.Beta(), t(0.5, 0.5), "must not all be equal"),
        (ef.Gaussian(), t(3, 3), "variance must be positive"),
        (ef.MultivariateGaussian(2), torch.ones(5, 2, dtype=D), "more data than dimensions"),
        (ef.Exponential(), t(1, -1), r"x must be positive, got \[-1.0\]"),
        (ef.Bernoulli(), t(0, 2), r"x must be 0 or 1, got \[2.0\]"),
        (ef.Gaussian(), t(0, math.nan), "got nan"),
        (ef.Gaussian(), t(), "at least one x"),
        (ef.MultivariateGaussian(2), t(1, 2), "at least one x"),
    ],
)
def test_data_without_a_best_member_are_refused(family, x, message):
    with pytest.raises(ValueError, match=message):
        family.maximum_likelihood(x)


@pytest.mark.parametrize("name", MEMBERS)
def test_parameters_of_the_wrong_shape_are_refused_by_every_method(name):
    family, theta, _, _ = MEMBERS[name]
    longer = torch.cat([theta, theta[:1]])
    for method in ("log_partition", "standard", "in_natural_domain", "in_mean_domain", "mean_parameters"):
        for wrong in (longer, torch.tensor(-1.0, dtype=D), torch.full(theta.shape, -1)):
            with pytest.raises(ValueError, match=r"must be floating point of shape \(\.\.\., \d+\), got"):
                getattr(family, method)(wrong)


def test_an_x_of_the_wrong_length_has_no_statistics():
    family = ef.MultivariateGaussian(3)
    for method in ("sufficient_statistics", "in_support", "log_base_measure"):
        with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 3\), got \(2,\)"):
            getattr(family, method)(torch.zeros(2))


OUTSIDE = {
    "Exponential": [[0.0], [0.5]],
    "Poisson": [[800.0]],
    "Gamma": [[-1.5, -1.0], [-3.5, -2.0], [1.0, 0.5], [1.0, 0.0], [-2.5, 1.0]],
    "Beta": [[-1.5, 1.0], [-2.5, -3.5], [1.0, -1.0]],
    "Gaussian": [[0.0, 0.5], [1.0, 0.0], [0.0, 0.0]],
    "MultivariateGaussian": [[0.0] * 9, [1.0] * 9, [0.0, 0.0, 0.0, -0.5, 0.0, 0.0, -0.5, 0.0, 0.5]],
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_log_partition_is_infinite_outside_the_natural_domain_and_right_beside_it(name):
    family, theta, _, _ = MEMBERS[name]
    outside = torch.tensor(OUTSIDE[name], dtype=D)
    found = family.log_partition(torch.cat([outside, theta[None]]))
    assert found[:-1].tolist() == [math.inf] * len(outside)
    torch.testing.assert_close(found[-1], family.log_partition(theta))
    both = torch.stack([outside[0], theta]).requires_grad_(True)
    (slope,) = torch.autograd.grad(family.log_partition(both)[1], both)
    torch.testing.assert_close(slope[1], family.mean_parameters(theta))


def test_what_is_not_a_number_has_no_log_partition():
    assert ef.Gamma().log_partition([math.nan, -1.0]).isnan()


def test_a_fit_that_leaves_the_natural_domain_says_so():
    model = ef.Gamma().energy_model([0.0, -1.0])
    with pytest.raises(
        contrastive_divergence.DivergenceError, match=r"log Z of FamilyEnergy is inf.*learning rate"
    ):
        contrastive_divergence.fit(
            model,
            torch.full((5,), 0.01, dtype=D),
            contrastive_divergence.maximum_likelihood,
            generator=generator(),
            learning_rate=5.0,
        )
