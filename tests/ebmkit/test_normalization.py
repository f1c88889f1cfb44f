"""Normalizers against closed forms, SciPy and enumeration; normalized blocks sum or integrate to one."""

import copy
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from torch import nn

import ebmkit
from ebmkit import EnergyModel
from ebmkit import normalization as norm
from ebmkit import product_of_experts as poe

INF = math.inf
TRANSFORMS = {
    norm.from_square: lambda f: f**2,
    norm.from_exp: torch.exp,
    norm.from_abs: torch.abs,
    norm.from_softplus: lambda f: torch.log1p(f.exp()),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def all_bits(n):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def randomized(model, seed=1, scale=0.5):
    """The same model with every parameter drawn at random: what holds must hold for any parameters."""
    g = generator(seed)
    for parameter in model.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
    return model


# --- densities from any function


@pytest.mark.parametrize("build", TRANSFORMS)
def test_energy_is_minus_log_of_the_positive_transform_of_f(build):
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    model = build(lambda x: x**3 - 2 * x + 0.1)
    expected = TRANSFORMS[build](x**3 - 2 * x + 0.1)
    torch.testing.assert_close(torch.exp(-model.energy(x)), expected, rtol=1e-12, atol=1e-300)


def test_softplus_density_neither_overflows_nor_underflows():
    x = torch.tensor([-700.0, -41.0, -39.0, 0.0, 700.0], dtype=torch.float64)
    energy = norm.from_softplus(lambda y: y).energy(x)
    expected = torch.tensor([700.0, 41.0, 39.0, -math.log(math.log(2)), -math.log(700)], dtype=torch.float64)
    torch.testing.assert_close(energy, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("build", TRANSFORMS)
def test_score_of_a_network_density_matches_finite_differences(build):
    f = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double()
    model = build(f, (2,))
    assert set(map(id, model.parameters())) == set(map(id, f.parameters()))
    x = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
    step = 1e-6 * torch.eye(2, dtype=torch.float64)
    numeric = torch.stack([(model.energy(x - h) - model.energy(x + h)) / 2e-6 for h in step], -1)
    torch.testing.assert_close(model.score(x), numeric, rtol=1e-5, atol=1e-6)


def test_a_function_that_is_not_one_number_per_x_is_refused():
    with pytest.raises(ValueError, match=r"one number for each x, shape \(3,\), got \(3, 2\)"):
        norm.from_exp(lambda x: x, (2,)).energy(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"x must have shape \(..., 2\), got \(3,\)"):
        norm.from_exp(lambda x: x.sum(-1), (2,)).energy(torch.zeros(3))


# --- closed forms and log_sum_exp


@given(st.floats(0.05, 20))
def test_gaussian_and_exponential_volumes_match_scipy_quadrature(parameter):
    t = torch.tensor(parameter, dtype=torch.float64)
    gaussian = integrate.quad(
        lambda x: math.exp(-(x**2) / (2 * parameter**2)), -40 * parameter, 40 * parameter
    )
    exponential = integrate.quad(lambda x: math.exp(-parameter * x), 0, 40 / parameter)
    assert norm.gaussian_log_normalizer(t).exp().item() == pytest.approx(gaussian[0], rel=1e-7)
    assert norm.exponential_log_normalizer(t).exp().item() == pytest.approx(exponential[0], rel=1e-7)


def test_multivariate_gaussian_volume_is_the_product_along_the_principal_axes():
    a = torch.randn(4, 3, 3, generator=generator(), dtype=torch.float64)
    precision = a @ a.mT + torch.eye(3)
    axes = norm.gaussian_log_normalizer(torch.linalg.eigvalsh(precision) ** -0.5).sum(-1)
    torch.testing.assert_close(norm.multivariate_gaussian_log_normalizer(precision), axes)


def test_volumes_refuse_parameters_without_a_finite_integral():
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        norm.gaussian_log_normalizer(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="rate must be positive and finite"):
        norm.exponential_log_normalizer(torch.tensor(float("nan")))
    with pytest.raises(ValueError, match="positive definite"):
        norm.multivariate_gaussian_log_normalizer(torch.diag(torch.tensor([1.0, -1.0])))
    with pytest.raises(ValueError, match=r"must be symmetric .* got \[\[2.0, 1.0\], \[0.0, 2.0\]\]; .*mT"):
        norm.multivariate_gaussian_log_normalizer(torch.tensor([[2.0, 1.0], [0.0, 2.0]]))
    with pytest.raises(ValueError, match=r"shape \(..., D, D\), got \(2, 3\)"):
        norm.multivariate_gaussian_log_normalizer(torch.ones(2, 3))


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6), st.floats(-1e4, 1e4))
def test_log_sum_exp_moves_with_a_shift_and_equals_torch(terms, shift):
    x = torch.tensor(terms, dtype=torch.float64)
    torch.testing.assert_close(norm.log_sum_exp(x), torch.logsumexp(x, -1), rtol=1e-14, atol=1e-11)
    torch.testing.assert_close(
        norm.log_sum_exp(x + shift), norm.log_sum_exp(x) + shift, rtol=1e-12, atol=1e-11
    )


def test_log_sum_exp_treats_minus_infinity_as_zero_probability():
    x = torch.tensor([[-INF, -INF], [-INF, 2.0], [1e300, 0.0]], dtype=torch.float64)
    assert norm.log_sum_exp(x).tolist() == [-INF, 2.0, 1e300]
    assert norm.log_sum_exp(x, (0, 1)).item() == 1e300
    assert norm.log_sum_exp(x, keepdim=True).shape == (3, 1)


def test_gradient_of_log_sum_exp_is_the_softmax():
    x = torch.randn(4, 5, generator=generator(), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm.log_sum_exp(x).sum(), x)
    torch.testing.assert_close(gradient, x.softmax(-1))


def test_log_sum_exp_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one term"):
        norm.log_sum_exp(torch.zeros(3, 0))


# --- quadrature


def test_the_kronrod_rule_integrates_polynomials_of_degree_22_and_the_gauss_rule_of_degree_13():
    nodes, kronrod, gauss = norm._quadrature._rule_on_unit_cell(1, torch.zeros(0, dtype=torch.float64))
    for degree in range(23):
        powers = nodes[:, 0] ** degree
        assert (powers @ kronrod).item() == pytest.approx(1 / (degree + 1), rel=1e-13)
        if degree <= 13:
            assert (powers @ gauss).item() == pytest.approx(1 / (degree + 1), rel=1e-13)


ONE_DIMENSIONAL = {
    "exp on [0, 1]": (torch.exp, 0, 1, math.e - 1),
    "Gaussian on the line": (lambda x: torch.exp(-(x**2) / 2), -INF, INF, math.sqrt(2 * math.pi)),
    "narrow Gaussian off centre": (
        lambda x: torch.exp(-((x - 3) ** 2) * 5e3), -INF, INF, math.sqrt(math.pi / 5e3)
    ),
    "Cauchy": (lambda x: 1 / (1 + x**2), -INF, INF, math.pi),
    "right half": (lambda x: torch.exp(-2 * x), 1, INF, math.exp(-2) / 2),
    "left half": (lambda x: torch.exp(2 * x), -INF, 1, math.exp(2) / 2),
    "odd": (lambda x: x**3, -1, 1, 0),
    "square-root singularity": (lambda x: x**-0.5, 0, 1, 2),
    "kink": (lambda x: (x - 0.3).abs(), 0, 1, 0.29),
    "oscillation": (lambda x: torch.sin(50 * x), 0, 1, (1 - math.cos(50)) / 50),
    "tiny": (lambda x: 1e-200 * torch.exp(x), 0, 1, 1e-200 * (math.e - 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_DIMENSIONAL)
def test_quadrature_on_an_interval_is_within_its_own_error_estimate(name):
    f, lower, upper, exact = ONE_DIMENSIONAL[name]
    value, error = norm.quadrature(f, lower, upper)
    assert abs(value.item() - exact) <= error.item() + 1e-14 * abs(exact)
    assert error.item() <= max(1e-9 * abs(exact), 1e-13)


TWO_DIMENSIONAL = {
    "polynomial": (lambda x: x[:, 0] ** 2 * x[:, 1], (0, 0), (1, 2), 2 / 3),
    "correlated Gaussian": (
        lambda x: torch.exp(-(x[:, 0] ** 2 + x[:, 0] * x[:, 1] + x[:, 1] ** 2)),
        (-INF, -INF), (INF, INF), 2 * math.pi / math.sqrt(3),
    ),
    "half plane": (lambda x: torch.exp(-x[:, 0] - x[:, 1] ** 2), (0, -INF), (INF, INF), math.sqrt(math.pi)),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO_DIMENSIONAL)
def test_quadrature_on_a_rectangle_is_within_its_own_error_estimate(name):
    f, lower, upper, exact = TWO_DIMENSIONAL[name]
    value, error = norm.quadrature(f, lower, upper, rtol=1e-8)
    assert abs(value.item() - exact) <= error.item() + 1e-14
    assert error.item() <= 1e-8 * exact


def test_quadrature_is_differentiable_in_the_parameters():
    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    value, _ = norm.quadrature(lambda x: torch.exp(-((x / scale) ** 2) / 2))
    (gradient,) = torch.autograd.grad(value, scale)
    assert gradient.item() == pytest.approx(math.sqrt(2 * math.pi), rel=1e-8)


@pytest.mark.parametrize(
    ("f", "lower", "upper", "error", "message"),
    [
        (lambda x: 1 / x, 0, 1, RuntimeError, "does the integral diverge"),
        (torch.ones_like, -INF, INF, RuntimeError, "inf ± nan.*does the integral diverge.*finite bounds"),
        (torch.ones_like, 0, INF, RuntimeError, "does the integral diverge"),
        (
            lambda x: torch.ones_like(x[:, 0]),
            (-INF, 0),
            (INF, INF),
            RuntimeError,
            "does the integral diverge",
        ),
        (lambda x: 1 / (1 + x.abs()), -INF, INF, RuntimeError, "does the integral diverge"),
        (lambda x: torch.exp(x), -INF, INF, ValueError, "not finite at x ="),
        (lambda x: x, 1, 0, ValueError, "lower bound must be below"),
        (lambda x: x, float("nan"), 0, ValueError, "lower bound must be below"),
        (lambda x: x.sum(), 0, 1, ValueError, "f must map x"),
        (lambda x: x.sum(-1), (0, 0, 0), (1, 1, 1), ValueError, "one or two dimensions"),
    ],
)
def test_quadrature_says_what_is_wrong(f, lower, upper, error, message):
    with pytest.raises(error, match=message):
        norm.quadrature(f, lower, upper, max_evaluations=100_000)


def test_an_integrand_that_was_0_wherever_it_was_looked_at_has_no_error_estimate():
    value, error = norm.quadrature(lambda x: torch.exp(-((x - 1e6) ** 2)))
    assert value == 0
    assert error == INF


@pytest.mark.parametrize("offset", [-5000.0, 0.0, 5000.0])
def test_log_quadrature_survives_energies_in_the_thousands(offset):
    model = norm.from_exp(lambda x: offset - x**2 / 2)
    value, error = norm.log_quadrature(model)
    assert value.item() == pytest.approx(offset + 0.5 * math.log(2 * math.pi), abs=1e-8)
    assert error.item() < 1e-8


def test_gradient_of_log_quadrature_is_minus_the_mean_energy_gradient():
    class Quartic(EnergyModel):
        event_shape = (1,)

        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

        def energy(self, x):
            return self.a * x[..., 0] ** 4

    model = Quartic()
    (gradient,) = torch.autograd.grad(norm.log_quadrature(model).value, model.a)
    assert gradient.item() == pytest.approx(-1 / (4 * 0.7), rel=1e-8)  # log Z = const - ¼ log a


def test_log_quadrature_works_in_the_dtype_of_the_model():
    f = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    single = norm.from_exp(f, (2,))
    double = copy.deepcopy(single).double()
    a, b = (norm.log_quadrature(m, -1, 1, rtol=1e-5).value for m in (single, double))
    assert a.dtype == torch.float32
    assert a.item() == pytest.approx(b.item(), abs=1e-4)


def test_log_quadrature_refuses_discrete_or_large_models():
    with pytest.raises(ValueError, match="continuous x"):
        norm.log_quadrature(norm.from_exp(lambda x: x, values=(0.0, 1.0)))
    with pytest.raises(ValueError, match=r"event shape \(3,\)"):
        norm.log_quadrature(norm.from_exp(lambda x: x.sum(-1), (3,)))


# --- blocks that are normalized by construction


@pytest.mark.parametrize("seed", range(3))
def test_autoregressive_product_sums_to_one_for_any_parameters(seed):
    model = randomized(norm.AutoregressiveBernoulli(6, generator()), seed, scale=2.0)
    assert model.log_prob(all_bits(6)).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_autoregressive_conditionals_do_not_see_the_future():
    model = randomized(norm.AutoregressiveBernoulli(4, generator()))
    prefix = torch.tensor([1.0, 0.0], dtype=torch.float64)
    tails = all_bits(2)
    marginal = model.log_prob(torch.cat([prefix.expand(4, 2), tails], -1)).exp().sum()
    short = norm.AutoregressiveBernoulli(2, generator())
    short.weight.data, short.bias.data = model.weight.data[:2, :2], model.bias.data[:2]
    assert marginal.item() == pytest.approx(short.log_prob(prefix).exp().item(), rel=1e-12)


def assert_frequencies_match(samples, states, probabilities):
    """Hoeffding: |frequency - p| > 3e-2 at n = 20000 has probability < 2 exp(-36) a state, < 1e-14 in all."""
    assert len(samples) == 20_000
    hits = (samples[:, None] == states).flatten(2).all(-1).double().mean(0)
    assert (hits - probabilities).abs().max() < 3e-2


def test_autoregressive_samples_follow_the_distribution():
    model = randomized(norm.AutoregressiveBernoulli(3, generator()), scale=1.0)
    states = all_bits(3)
    samples = model.sample(20_000, generator(2))
    assert_frequencies_match(samples, states, model.log_prob(states).exp())


@pytest.mark.parametrize("seed", range(3))
def test_affine_coupling_flow_integrates_to_one_for_any_parameters(seed):
    flow = randomized(poe.AffineCouplingFlow((2,), generator(), n_layers=3, n_hidden=4), seed, 0.4)
    total, error = norm.quadrature(lambda x: flow.log_prob(x).exp(), (-INF, -INF), (INF, INF), rtol=1e-7)
    assert total.item() == pytest.approx(1, abs=1e-6)
    assert error.item() < 1e-6


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3)])
def test_affine_coupling_flow_inverts_and_its_log_det_is_that_of_the_jacobian(shape):
    flow = randomized(poe.AffineCouplingFlow(shape, generator()))
    n = math.prod(shape)
    x = torch.randn(7, *shape, generator=generator(3), dtype=torch.float64)
    z, log_det = flow.to_latent(x)
    torch.testing.assert_close(flow.from_latent(z), x, rtol=1e-10, atol=1e-10)
    for i in range(7):
        jacobian = torch.autograd.functional.jacobian(lambda y: flow.to_latent(y)[0], x[i]).reshape(n, n)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[i])


def test_flow_samples_are_gaussian_in_the_latent_space():
    flow = randomized(poe.AffineCouplingFlow((4,), generator()))
    z, _ = flow.to_latent(flow.sample(20_000, generator(4)))
    # Means of 20000 standard normals are N(0, 1/20000): |mean| > 0.05 is 7 sigma, < 2e-11 for all four.
    # Mean squares have standard deviation 0.01: a deviation over 0.07 is 7 sigma; chi-square tail < 1e-10.
    assert z.mean(0).abs().max() < 0.05
    assert ((z**2).mean(0) - 1).abs().max() < 0.07


def test_mixture_of_flows_and_torch_distributions_integrates_to_one():
    components = [
        randomized(poe.AffineCouplingFlow((2,), generator(), n_hidden=4), scale=0.4),
        torch.distributions.MultivariateNormal(torch.ones(2).double(), torch.eye(2).double()),
    ]
    mixture = poe.Mixture(components, weights=[1, 3])
    total, _ = norm.quadrature(lambda x: mixture.log_prob(x).exp(), (-INF, -INF), (INF, INF), rtol=1e-7)
    assert total.item() == pytest.approx(1, abs=1e-6)
    assert set(map(id, components[0].parameters())) < set(map(id, mixture.parameters()))


def test_mixture_samples_follow_the_weighted_sum():
    parts = [randomized(norm.AutoregressiveBernoulli(3, generator()), seed, 2.0) for seed in (1, 2)]
    mixture = poe.Mixture(parts, weights=torch.tensor([0.2, 0.8]))
    states = all_bits(3)
    exact = 0.2 * parts[0].log_prob(states).exp() + 0.8 * parts[1].log_prob(states).exp()
    torch.testing.assert_close(mixture.log_prob(states).exp(), exact, rtol=1e-6, atol=0)
    assert mixture.log_prob(states).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert_frequencies_match(mixture.sample(20_000, generator(5)), states, exact)


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
        mixture.sample(1, generator())


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


def test_same_seed_same_parameters_and_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    a, b = (poe.AffineCouplingFlow((4,), generator(9)) for _ in range(2))
    a.sample(3, generator())
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))


def test_log_partition_of_a_normalized_block_is_zero_and_of_a_bare_mixture_refused():
    flow, bits = poe.AffineCouplingFlow((2,), generator()), norm.AutoregressiveBernoulli(3, generator())
    for model in (flow, bits, poe.Mixture([bits, bits])):
        assert ebmkit.log_partition(model) == (0.0, 0.0)
    with pytest.raises(ValueError, match="not normalized"):
        poe.Mixture([norm.from_exp(lambda x: -(x**2))]).exact_log_partition()


def test_bits_are_checked():
    with pytest.raises(ValueError, match=r"bits must be 0 or 1, got values \[-1.0, 1.0\]"):
        norm.AutoregressiveBernoulli(2, generator()).log_prob(torch.tensor([-1.0, 1.0], dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_every_normalized_block_takes_any_leading_batch_shape(seed):
    flow = poe.AffineCouplingFlow((3,), generator(seed), n_hidden=4)
    autoregressive = norm.AutoregressiveBernoulli(3, generator(seed))
    x = torch.rand(2, 4, 3, generator=generator(seed), dtype=torch.float64).round()
    for model in (flow, autoregressive, poe.Mixture([flow, autoregressive])):
        whole = model.energy(x)
        assert whole.shape == (2, 4)
        torch.testing.assert_close(whole[1, 2], model.energy(x[1, 2]))
        assert model.energy(x[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (norm.AutoregressiveBernoulli(2, generator()), torch.ones(3, 2)),
        (norm.AutoregressiveBernoulli(2, generator()), torch.ones(3, 2, dtype=torch.int64)),
        (poe.AffineCouplingFlow((2,), generator(), dtype=torch.float32), torch.ones(3, 2).double()),
    ],
)
def test_numbers_of_another_dtype_than_the_models_are_refused_with_the_way_out(model, x):
    like = next(model.parameters()).dtype
    with pytest.raises(
        TypeError, match=rf"x is {x.dtype} on cpu, the model {like} .*use x.to\('cpu', {like}\)"
    ):
        model.energy(x)
