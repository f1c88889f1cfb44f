"""Products against enumeration, closed forms and quadrature; experts against their laws; AND against OR."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import distributions

from ebmkit import EnergyModel, contrastive_divergence, data, enumeration, mcmc, normalization
from ebmkit import product_of_experts as poe

D = torch.float64
INF = math.inf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=D)


def all_bits(*shape):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=math.prod(shape))), dtype=D).reshape(
        -1, *shape
    )


class Table(EnergyModel):
    """Any distribution over three bits, from its eight probabilities."""

    event_shape = (3,)
    values = (0.0, 1.0)

    def __init__(self, probabilities):
        super().__init__()
        self.p = probabilities / probabilities.sum()

    def log_prob(self, x):
        return self.p.log()[(x @ torch.tensor([4.0, 2.0, 1.0], dtype=D)).long()]

    def energy(self, x):
        return -self.log_prob(x)

    def sample(self, n_samples, generator):
        raise AssertionError("not needed")


def random_table(seed, allowed=None):
    p = randn(8, seed=seed).exp()
    return Table(p if allowed is None else p * torch.tensor(allowed, dtype=D))


def total_variation(p, q):
    return 0.5 * (p - q).abs().sum().item()


# --- products and mixtures of anything


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
    log_z, error = normalization.log_quadrature(product)
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
        state, _ = kernel.step(state, g)
    index = (state.position @ torch.tensor([4.0, 2.0, 1.0], dtype=D)).long()
    frequency = torch.bincount(index, minlength=8) / 20_000
    # Stationary start, so each frequency is off by more than 0.03 with probability < 2 exp(-36) (Hoeffding).
    assert (frequency - exact).abs().max() < 0.03


# --- closed forms


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_gaussian_product_equals_its_factors_at_every_point(seed, m, d):
    means = randn(2, m, d, seed=seed)
    a = randn(2, m, d, d, seed=seed + 1)
    covariances = a @ a.mT + 0.5 * torch.eye(d, dtype=D)
    weights = randn(2, m, seed=seed + 2).exp()
    mean, covariance, log_z = poe.product_of_multivariate_gaussians(means, covariances, weights)
    x = randn(2, d, seed=seed + 3)
    factors = distributions.MultivariateNormal(means, covariances).log_prob(x.unsqueeze(1))
    product = distributions.MultivariateNormal(mean, covariance).log_prob(x)
    torch.testing.assert_close((weights * factors).sum(-1), log_z + product, rtol=1e-8, atol=1e-8)


def test_precisions_add_and_a_weight_below_zero_takes_one_away():
    means, variances = torch.tensor([1.0, 3.0], dtype=D), torch.tensor([0.5, 2.0], dtype=D)
    both = poe.product_of_gaussians(means, variances)
    assert 1 / both.covariance.item() == pytest.approx(1 / 0.5 + 1 / 2.0)
    assert both.mean.item() == pytest.approx((1 / 0.5 + 3 / 2.0) / (1 / 0.5 + 1 / 2.0))
    again = poe.product_of_gaussians(
        torch.stack([both.mean, means[1]]),
        torch.stack([both.covariance, variances[1]]),
        torch.tensor([1.0, -1.0]),
    )
    assert (again.mean.item(), again.covariance.item()) == pytest.approx((1.0, 0.5))


def test_gaussian_products_that_cannot_be_normalized_are_refused():
    one = torch.ones(2, dtype=D)
    with pytest.raises(ValueError, match="add to a positive definite one"):
        poe.product_of_gaussians(one, one, torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="must be symmetric and positive definite"):
        poe.product_of_gaussians(one, torch.tensor([1.0, -1.0], dtype=D))
    with pytest.raises(ValueError, match=r"must be symmetric and positive definite, got .*1.0, 0.0, 2.0"):
        poe.product_of_multivariate_gaussians(one[None], torch.tensor([[[2.0, 1.0], [0.0, 2.0]]], dtype=D))
    with pytest.raises(ValueError, match="M ≥ 1"):
        poe.product_of_gaussians(one[:0], one[:0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_categorical_closed_forms_equal_the_enumerated_models(seed, m):
    experts = [random_table(seed + i) for i in range(m)]
    log_probs = torch.stack([e.p.log() for e in experts])
    weights = randn(m, seed=seed).exp()
    product = poe.product_of_categoricals(log_probs, weights)
    model = poe.ProductOfExperts(experts, weights)
    torch.testing.assert_close(product.log_prob.exp(), enumeration.probabilities(model))
    torch.testing.assert_close(product.log_partition, enumeration.log_partition(model))
    mixture = poe.mixture_of_categoricals(log_probs, weights)
    torch.testing.assert_close(mixture.exp(), enumeration.probabilities(poe.Mixture(experts, weights)))


def test_categoricals_that_contradict_each_other_have_no_product():
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log()
    with pytest.raises(ValueError, match="no category is allowed by every expert"):
        poe.product_of_categoricals(certain)
    assert poe.mixture_of_categoricals(certain).exp().tolist() == [0.5, 0.5]
    only_first = poe.product_of_categoricals(certain, torch.tensor([1.0, 0.0]))
    assert only_first.log_prob.exp().tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="not negative"):
        poe.product_of_categoricals(certain, torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="nor all zero"):
        poe.mixture_of_categoricals(certain, torch.zeros(2))


# --- Hinton's experts


def kolmogorov_smirnov(samples, cdf):
    """sup |F_n - F|. Dvoretzky-Kiefer-Wolfowitz: above 0.03 at n = 20000 with probability < 2 exp(-36)."""
    assert len(samples) == 20_000
    return stats.kstest(samples.numpy(), cdf).statistic


@pytest.mark.parametrize("alpha", [0.8, 1.5, 6.0])
def test_one_student_t_expert_is_a_student_t_density(alpha):
    """(1 + w²x²/2)^-α is a t with ν = 2α - 1 degrees of freedom and scale √(2/ν) / w."""
    w, nu = 1.7, 2 * alpha - 1
    model = poe.StudentTExperts(torch.tensor([[w]], dtype=D), torch.tensor([alpha], dtype=D))
    law = distributions.StudentT(torch.tensor(nu, dtype=D), scale=math.sqrt(2 / nu) / w)
    x = randn(5, 1)
    log_z = normalization.log_quadrature(model, rtol=1e-8).value
    torch.testing.assert_close(-model.energy(x) - log_z, law.log_prob(x[:, 0]), rtol=1e-6, atol=1e-6)


def test_gibbs_leaves_a_product_of_student_t_experts_invariant():
    """With as many filters as dimensions the outputs w_m·x are independent t variables."""
    filters, alpha = torch.tensor([[1.0, 0.5], [-0.3, 2.0]], dtype=D), torch.tensor([1.2, 4.0], dtype=D)
    model = poe.StudentTExperts(filters, alpha)
    laws = [stats.t(2 * a - 1, scale=math.sqrt(2 / (2 * a - 1))) for a in alpha.tolist()]
    y = torch.from_numpy(np.stack([law.rvs(20_000, random_state=i) for i, law in enumerate(laws)], -1))
    x = torch.linalg.solve(filters, y.T).T
    g = generator(3)
    for _ in range(2):
        x = model.gibbs_step(x, g)
    moved = x @ filters.T
    assert (moved != y).all()
    assert max(kolmogorov_smirnov(moved[:, m], law.cdf) for m, law in enumerate(laws)) < 0.03


def unigauss_1d(low=-2.0, high=3.0):
    mean = torch.tensor([[-1.0], [0.5], [4.5]], dtype=D)  # The last one sits outside the box.
    scale = torch.tensor([[0.3], [1.0], [0.5]], dtype=D)
    return poe.UnigaussExperts(mean, scale, torch.tensor([0.6, 0.9, 0.5], dtype=D), low, high)


def test_unigauss_energy_is_the_product_of_its_mixtures_and_infinite_outside_the_box():
    model = unigauss_1d()
    x = torch.tensor([[-1.9], [0.0], [2.9]], dtype=D)
    product = torch.ones(3, dtype=D)
    for m, s, share in ((-1.0, 0.3, 0.6), (0.5, 1.0, 0.9), (4.5, 0.5, 0.5)):
        product *= (1 - share) / 5.0 + share * torch.from_numpy(stats.norm(m, s).pdf(x[:, 0].numpy()))
    torch.testing.assert_close(torch.exp(-model.energy(x)), product)
    assert model.energy(torch.tensor([[3.1]], dtype=D)).item() == INF


def test_gibbs_leaves_unigauss_experts_invariant():
    model = unigauss_1d()
    grid = torch.linspace(-2, 3, 20_001, dtype=D)
    density = torch.exp(-model.energy(grid[:, None])).detach()
    cumulative = torch.cat([torch.zeros(1, dtype=D), torch.cumulative_trapezoid(density, grid)])
    cumulative = (cumulative / cumulative[-1]).numpy()
    start = np.interp(np.random.default_rng(0).random(20_000), cumulative, grid.numpy())
    x = torch.from_numpy(start)[:, None]
    g = generator(1)
    for _ in range(2):
        x = model.gibbs_step(x, g)
    assert kolmogorov_smirnov(x[:, 0], lambda v: np.interp(v, grid.numpy(), cumulative)) < 0.03


def test_truncated_normal_is_right_far_in_either_tail():
    u = torch.linspace(0.01, 0.99, 21, dtype=D)
    for mean in (-30.0, 0.0, 30.0):
        ours = poe._hinton._truncated_normal(torch.full_like(u, mean), torch.ones_like(u), -1.0, 2.0, u)
        theirs = stats.truncnorm(-1 - mean, 2 - mean, loc=mean).cdf(ours.numpy())
        torch.testing.assert_close(torch.from_numpy(theirs), u, rtol=1e-7, atol=1e-7)
    far = poe._hinton._truncated_normal(
        torch.tensor([-90.0, 90.0]), torch.ones(2), -1.0, 2.0, torch.full((2,), 0.5)
    )
    assert far.tolist() == [-1.0, 2.0]


def trained_by_cd(model, x, n_steps, rate, seed=0):
    """Exact mean -log p before and after `n_steps` of CD-1 on the whole data.

    Seeds are fixed; over others the gains stay within 0.1 nats of each other, and the bounds are looser than that.
    """
    bounds = (model.low, model.high) if isinstance(model, poe.UnigaussExperts) else (-INF, INF)

    def loss():
        return (model.energy(x).mean() + normalization.log_quadrature(model, *bounds, rtol=1e-4).value).item()

    before, g = loss(), generator(seed)
    for _ in range(n_steps):
        gradient = contrastive_divergence.cd(model, x, generator=g).parameters
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= rate * gradient[name]
    return before, loss()


@pytest.mark.slow
def test_contrastive_divergence_teaches_student_t_experts_the_directions_of_the_data():
    sources = torch.from_numpy(stats.t(3).rvs((500, 2), random_state=0))
    x = sources @ torch.tensor([[1.5, 0.4], [0.3, 0.3]], dtype=D)
    model = poe.StudentTExperts(torch.eye(2, dtype=D), torch.full((2,), 2.0, dtype=D))
    before, after = trained_by_cd(model, x, 400, 0.1)
    exact_best = np.mean(np.sum(stats.t(3).logpdf(sources.numpy()), 1)) - math.log(1.5 * 0.3 - 0.4 * 0.3)
    assert before - after > 0.5
    assert after < -exact_best + 0.05  # CD is biased; the truth, which the model can express, is near.


def test_contrastive_divergence_teaches_unigauss_experts_two_clusters():
    x = torch.cat([0.2 * randn(150, 1) - 1, 0.2 * randn(150, 1, seed=1) + 1]).clamp(-2, 2)
    mean, scale = torch.tensor([[-0.5], [0.6]], dtype=D), torch.full((2, 1), 0.5, dtype=D)
    model = poe.UnigaussExperts(mean, scale, torch.tensor([0.5, 0.5], dtype=D), -2.0, 2.0)
    before, after = trained_by_cd(model, x, 400, 0.05)
    assert before - after > 0.3


def test_experts_refuse_impossible_parameters():
    with pytest.raises(ValueError, match="all positive"):
        poe.StudentTExperts(torch.ones(2, 3), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="filters must span all 3 dimensions"):
        poe.StudentTExperts(torch.ones(2, 3), torch.ones(2)).gibbs_step(torch.ones(1, 3), generator())
    ones = torch.ones(2, 3)
    for mean, scale, share, box, message in (
        (ones, ones[:1], ones[:, 0] / 2, (0, 1), "must be"),
        (ones, ones, ones[:, 0], (0, 1), r"share in \(0, 1\)"),
        (ones, ones, ones[:, 0] / 2, (1, 0), "low must be below high"),
    ):
        with pytest.raises(ValueError, match=message):
            poe.UnigaussExperts(mean, scale, share, *box)


# --- PixelCNN and flow


def small_pixelcnn(shape, seed=0):
    model = poe.PixelCNN(shape, generator(seed), n_channels=6, n_blocks=2, dtype=D)
    model.place.data = randn(*model.place.shape, seed=seed + 1)
    return model


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 3)])
def test_pixelcnn_sums_to_one_over_all_images(shape):
    assert enumeration.log_partition(small_pixelcnn(shape)).item() == pytest.approx(0, abs=1e-12)


def test_pixelcnn_conditionals_see_the_past_and_only_the_past():
    model = small_pixelcnn((4, 4))
    x = (randn(4, 4) > 0).double()
    for i in range(16):
        flipped = x.clone()
        flipped.view(-1)[i] = 1 - flipped.view(-1)[i]
        changed = (model.logits(flipped) != model.logits(x)).flatten()
        assert not changed[: i + 1].any()
        assert changed[i + 1] if i % 4 < 3 else True


def test_every_parameter_of_a_pixelcnn_has_a_say():
    model = small_pixelcnn((4, 4))
    model.log_prob((randn(4, 4) > 0).double()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_pixelcnn_samples_follow_its_distribution():
    model = small_pixelcnn((2, 2))
    index = (model.sample(20_000, generator(2)).flatten(1) @ torch.tensor([8.0, 4, 2, 1], dtype=D)).long()
    exact = model.log_prob(all_bits(2, 2)).exp().detach()
    # Hoeffding: off by more than 0.03 with probability < 2 exp(-36) a state.
    assert (torch.bincount(index, minlength=16) / 20_000 - exact).abs().max() < 0.03


def test_pixelcnn_takes_any_leading_batch_shape_and_refuses_grey():
    model = small_pixelcnn((2, 3))
    x = (randn(4, 5, 2, 3) > 0).double()
    assert model.energy(x).shape == (4, 5)
    torch.testing.assert_close(model.energy(x)[1, 2], model.energy(x[1, 2]))
    assert model.energy(x[:0]).shape == (0, 5)
    with pytest.raises(ValueError, match="bits must be 0 or 1"):
        model.energy(x / 2)
    with pytest.raises(ValueError, match="x must have shape"):
        model.energy(x[..., :2])


def test_a_flow_at_cell_centres_is_an_expert_on_bits():
    flow = poe.AffineCouplingFlow((2, 2), generator(), n_hidden=4)
    pixelcnn = small_pixelcnn((2, 2))
    product = poe.ProductOfExperts([pixelcnn, poe.AtCellCentres(flow)])
    x = all_bits(2, 2)
    assert product.values == (0.0, 1.0)
    torch.testing.assert_close(product.energy(x), pixelcnn.energy(x) - flow.log_prob(x + 0.5))


@pytest.mark.parametrize("fit", ["pixelcnn", "flow"])
def test_fits_refuse_nothing_and_grey_and_repeat_with_the_seed(fit):
    def train(images):
        g = generator(5)
        if fit == "pixelcnn":
            return poe.fit_pixelcnn(poe.PixelCNN((2, 2), g, 4, 1), images, g, n_epochs=2)
        return poe.fit_flow(poe.AffineCouplingFlow((2, 2), g, 2, 4), images, g, n_epochs=2)

    with pytest.raises(ValueError, match="n ≥ 1"):
        train(torch.zeros(0, 2, 2))
    with pytest.raises(ValueError, match="bits must be 0 or 1"):
        train(torch.full((3, 2, 2), 0.5))
    images = (randn(20, 2, 2) > 0).float()
    assert train(images) == train(images)


def independent_pixels(train, test):
    """Mean -log p(x) of the best model with independent pixels, with one count added to each value."""
    p = (train.sum(0) + 1) / (len(train) + 2)
    return -(test * p.log() + (1 - test) * (1 - p).log()).sum((-1, -2)).mean().item()


@pytest.mark.slow
def test_pixelcnn_and_flow_learn_digits_and_their_product_pleases_both():
    """Of 64 samples each, the mean energies compared differ by 3 nats and over 7 standard errors more.

    So a random seed would fail with probability below 1e-10; losses of training vary far less than their margins.
    """
    images = data.digits(binarise=True)[0]
    order = torch.randperm(len(images), generator=generator(1))
    train, test = images[order[:1500]], images[order[1500:]]
    g = generator(2)
    pixelcnn = poe.PixelCNN((8, 8), g)
    poe.fit_pixelcnn(pixelcnn, train, g, n_epochs=10)
    assert -pixelcnn.log_prob(test).mean().item() < independent_pixels(train, test) - 5
    flow = poe.AffineCouplingFlow((8, 8), g, n_layers=6, n_hidden=64, dtype=torch.float32)
    history = poe.fit_flow(flow, train, g, n_epochs=20)
    assert history[-1] < history[0] - 20

    product = poe.ProductOfExperts([pixelcnn, poe.AtCellCentres(flow)])
    kernel = mcmc.Gibbs(product)
    state = kernel.init(pixelcnn.sample(64, g))
    for _ in range(3):
        state, info = kernel.step(state, g)
        assert not info.divergent.any()
    from_flow = flow.sample(64, g).floor().clamp(0, 1)
    ours = product.expert_energies(state.position)
    pixelcnns, flows = (product.expert_energies(x) for x in (pixelcnn.sample(64, g), from_flow))
    for both, one, expert in ((ours, flows, 0), (ours, pixelcnns, 1)):
        gap = one[:, expert] - both[:, expert]
        assert gap.mean() > 3


def test_float32_points_meet_float64_experts_with_the_way_out():
    experts = poe.StudentTExperts(torch.eye(2, dtype=D), torch.ones(2, dtype=D))
    with pytest.raises(TypeError, match=r"x is torch.float32 .*use x.to\('cpu', torch.float64\)"):
        experts.energy(torch.ones(3, 2))
