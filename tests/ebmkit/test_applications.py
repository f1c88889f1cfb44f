"""Detection, recognition and labelling: against all pairs, closed forms and all label sequences."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import distributions, nn

from ebmkit import EnergyModel, data, enumeration
from ebmkit import applications as app

D = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=D)


class Quadratic(EnergyModel):
    event_shape = (2,)

    def energy(self, x):
        return (x**2).sum(-1)


# --- anomaly detection

# Few distinct scores, so that ties are common; ±inf are scores like any other.
scored = st.lists(
    st.tuples(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0, math.inf]), st.booleans()),
    min_size=2,
    max_size=30,
).filter(lambda pairs: 0 < sum(a for _, a in pairs) < len(pairs))


@given(scored)
def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_counted_half(pairs):
    bad = [s for s, anomalous in pairs if anomalous]
    good = [s for s, anomalous in pairs if not anomalous]
    wins = sum(1.0 if b > g else 0.5 if b == g else 0.0 for b, g in itertools.product(bad, good))
    scores, anomalous = torch.tensor([s for s, _ in pairs]), torch.tensor([a for _, a in pairs])
    assert app.auc(scores, anomalous).item() == wins / (len(bad) * len(good))


@given(scored)
def test_area_under_the_roc_curve_is_the_auc(pairs):
    scores, anomalous = torch.tensor([s for s, _ in pairs]), torch.tensor([a for _, a in pairs])
    curve = app.roc_curve(scores, anomalous)
    area = torch.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area.item() == pytest.approx(app.auc(scores, anomalous).item(), abs=1e-12)
    for rate, kind in ((curve.false_positive_rate, ~anomalous), (curve.true_positive_rate, anomalous)):
        for r, threshold in list(zip(rate, curve.thresholds))[1:]:
            assert r.item() == pytest.approx((scores[kind] >= threshold).double().mean().item())


def test_scores_may_be_whole_numbers():
    curve = app.roc_curve(torch.tensor([1, 2, 2]), torch.tensor([False, True, False]))
    assert curve.thresholds.tolist() == [math.inf, 2, 1]
    assert app.auc(torch.tensor([1, 2, 2]), torch.tensor([False, True, False])).item() == 0.75


def test_roc_and_auc_agree_with_scikit_learn():
    scores = randn(500).round(decimals=1)
    anomalous = randn(500, seed=1) > 0.5
    curve = app.roc_curve(scores, anomalous)
    flagged, found, _ = metrics.roc_curve(anomalous, scores, drop_intermediate=False)
    torch.testing.assert_close(curve.false_positive_rate, torch.from_numpy(flagged))
    torch.testing.assert_close(curve.true_positive_rate, torch.from_numpy(found))
    assert app.auc(scores, anomalous).item() == pytest.approx(metrics.roc_auc_score(anomalous, scores))


def test_the_ranking_of_anomaly_scores_does_not_depend_on_the_reference():
    x, anomalous = randn(50, 2), torch.arange(50) % 2 == 0
    curves = [app.roc_curve(app.anomaly_scores(Quadratic(), x, r), anomalous) for r in randn(2, 2, seed=1)]
    assert torch.equal(curves[0].true_positive_rate, curves[1].true_positive_rate)
    assert app.anomaly_scores(Quadratic(), x, x[0])[0] == 0


@pytest.mark.parametrize(
    ("scores", "anomalous", "message"),
    [
        (torch.zeros(3), torch.tensor([True, True, True]), "3 anomalous of 3"),
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool), "0 anomalous of 0"),
        (torch.tensor([0.0, math.nan]), torch.tensor([True, False]), "got nan"),
        (torch.zeros(3), torch.tensor([1, 0, 0]), "anomalous bool"),
    ],
)
def test_detection_refuses_what_has_no_roc_curve(scores, anomalous, message):
    for function in (app.roc_curve, app.auc):
        with pytest.raises(ValueError, match=message):
            function(scores, anomalous)
    with pytest.raises(ValueError, match="1 anomaly scores are nan"):
        app.anomaly_scores(Quadratic(), torch.tensor([[math.nan, 0.0]]), torch.zeros(2))


# --- object recognition


@pytest.fixture(scope="module")
def digits():
    """Images and labels in a fixed split, to train on and to test on."""
    images, labels = data.digits()
    order = torch.randperm(len(images), generator=generator(3))
    images, labels = images.double()[order], labels[order]
    return (images[:1200], labels[:1200]), (images[1200:], labels[1200:])


def gaussian_joint(images, labels, n_classes=10):
    return app.JointEnergy(
        app.QuadraticClassEnergies.fit(images, labels, n_classes), n_classes, images.shape[1:]
    )


def test_quadratic_joint_energy_recognizes_digits(digits):
    (x, y), (x_test, y_test) = digits
    joint = gaussian_joint(x, y)
    assert (joint.classify(x_test) == y_test).double().mean() > 0.95


def test_a_class_left_out_of_training_is_an_anomaly(digits):
    (x, y), (x_test, y_test) = digits
    seen = y != 0
    joint = gaussian_joint(x[seen], y[seen] - 1, 9)
    scores = app.anomaly_scores(joint, x_test, reference=x[seen].mean(0))
    assert app.auc(scores, y_test == 0) > 0.95


def test_fitted_quadratic_energies_are_the_normalized_gaussian_mixture():
    x, y = randn(60, 2), torch.arange(60) % 3
    joint = gaussian_joint(x + y[:, None], y, 3)
    parts = joint.class_energies
    law = distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(3, dtype=D)),
        distributions.MultivariateNormal(parts.mean.detach(), scale_tril=parts.covariance_factor.detach()),
    )
    torch.testing.assert_close(-joint.energy(x), law.log_prob(x))


def test_shrinkage_moves_the_covariance_from_the_data_to_a_ball():
    x = randn(40, 3) * torch.tensor([1.0, 2.0, 3.0])
    y = torch.zeros(40, dtype=torch.int64)
    sigma = {
        s: (f := app.QuadraticClassEnergies.fit(x, y, 1, s).covariance_factor[0].detach()) @ f.T
        for s in (0.0, 0.3, 1.0)
    }
    torch.testing.assert_close(sigma[0.0], x.T.cov(correction=0))
    torch.testing.assert_close(sigma[1.0], x.T.cov(correction=0).diagonal().mean() * torch.eye(3, dtype=D))
    torch.testing.assert_close(sigma[0.3], 0.7 * sigma[0.0] + 0.3 * sigma[1.0])


def test_samples_of_a_class_have_its_mean_and_covariance():
    x, y = randn(60, 2, 2), torch.arange(60) % 2
    parts = app.QuadraticClassEnergies.fit(x, y, 2)
    draws = parts.sample(1, 20_000, generator(1))
    assert draws.shape == (20_000, 2, 2)
    white = torch.linalg.solve_triangular(
        parts.covariance_factor[1].detach(), (draws.flatten(1) - parts.mean[1].detach()).T, upper=False
    )
    # Means of 20000 standard normals have deviation 0.0071, products of two 0.0071, squares 0.01; the bounds are
    # at least 7 of these, so 14 comparisons fail by chance with probability below 1e-10.
    assert white.mean(1).abs().max() < 0.05
    assert (white @ white.T / 20_000 - torch.eye(4)).abs().max() < 0.07


def test_linear_energies_with_fit_classifier_are_logistic_regression():
    """At the optimum the gradient vanishes; it is written out here without autograd."""
    x, y = randn(80, 3), (randn(80, seed=1) > 0).long() + (randn(80, seed=2) > 0).long()
    joint = app.JointEnergy(linear := app.LinearClassEnergies(3, (3,)), 3, (3,))
    history = app.fit_classifier(joint, x, y, l2=0.1)
    p = (x @ linear.weight.T + linear.bias).softmax(-1).detach()
    error = p - nn.functional.one_hot(y, 3)
    torch.testing.assert_close(error.T @ x / 80, -0.1 * linear.weight.detach(), atol=1e-7, rtol=0)
    torch.testing.assert_close(error.mean(0), -0.1 * linear.bias.detach(), atol=1e-7, rtol=0)
    assert history[0] == pytest.approx(math.log(3))
    assert history[-1] < history[0]


def test_a_network_is_a_joint_energy_too(digits):
    (x, y), (x_test, y_test) = digits
    network = nn.Sequential(nn.Flatten(-2), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 10)).double()
    for p in network.parameters():
        p.data = 0.2 * torch.randn(p.shape, generator=generator(4), dtype=D)
    joint = app.JointEnergy(network, 10, (8, 8))
    app.fit_classifier(joint, x, y, max_iterations=60)
    assert (joint.classify(x_test) == y_test).double().mean() > 0.9
    assert joint.class_log_prob(x_test[:5]).exp().sum(-1).tolist() == pytest.approx([1] * 5)


def test_joint_marginal_and_conditional_energies_agree():
    joint = gaussian_joint(randn(30, 2), torch.arange(30) % 3, 3)
    x, y = randn(4, 5, 2, seed=2), torch.arange(20).reshape(4, 5) % 3
    assert joint.joint_energies(x).shape == (4, 5, 3)
    picked = torch.stack([joint.conditional(k).energy(x) for k in range(3)], -1)
    torch.testing.assert_close(picked, joint.joint_energies(x))
    torch.testing.assert_close(joint.joint_energy(y, x), picked.gather(-1, y[..., None]).squeeze(-1))
    torch.testing.assert_close(torch.exp(-joint.energy(x)), torch.exp(-picked).sum(-1))
    torch.testing.assert_close(joint.class_log_prob(x), joint.energy(x)[..., None] - picked)
    torch.testing.assert_close(joint.classify(x), joint.class_log_prob(x).argmax(-1))


def test_recognition_refuses_bad_classes_and_data():
    joint = gaussian_joint(randn(30, 2), torch.arange(30) % 3, 3)
    with pytest.raises(ValueError, match="y must be one of 0 … 2, got 3"):
        joint.conditional(3)
    with pytest.raises(ValueError, match=r"labels must be 0 … 2, got \[5\]"):
        joint.joint_energy(torch.tensor([5]), randn(1, 2))
    with pytest.raises(ValueError, match=r"none of \[2\]"):
        app.QuadraticClassEnergies.fit(randn(4, 2), torch.tensor([0, 1, 0, 1]), 3)
    with pytest.raises(ValueError, match="class 0 has too few"):
        app.QuadraticClassEnergies.fit(randn(2, 2), torch.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match=r"class_energies must give shape \(1, 2\), got \(1, 3\)"):
        app.JointEnergy(app.LinearClassEnergies(3, (2,)), 2, (2,)).energy(randn(1, 2))
    with pytest.raises(ValueError, match="at least one"):
        app.fit_classifier(joint, randn(0, 2), torch.zeros(0, dtype=torch.int64))


# --- sequence labelling

CHAINS = {
    "T=1, K=3": app.LinearChain(randn(1, 3), randn(3, 3)),
    "T=5, K=3, one v": app.LinearChain(2 * randn(5, 3), 2 * randn(3, 3, seed=1)),
    "T=6, K=2, v for each t": app.LinearChain(3 * randn(6, 2), 3 * randn(5, 2, 2, seed=1)),
    "forbidden": app.LinearChain(
        randn(4, 3), randn(3, 3).masked_fill(torch.eye(3, dtype=torch.bool), -math.inf)
    ),
}
every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def enumerated(chain):
    """All label sequences and their probabilities; log Z by torch over all of them."""
    y = enumeration.states(chain).long()
    log_weight = -chain.energy(y)
    return y, (log_weight - log_weight.logsumexp(0)).exp(), log_weight.logsumexp(0)


def test_energy_of_a_chain_is_the_sum_of_its_potentials():
    chain = CHAINS["T=6, K=2, v for each t"]
    y = [0, 1, 1, 0, 1, 0]
    total = sum(chain.unary[t, y[t]] for t in range(6)) + sum(
        chain.pairwise[t, y[t], y[t + 1]] for t in range(5)
    )
    assert chain.energy(torch.tensor(y)).item() == pytest.approx(-total.item(), abs=1e-12)


@every_chain
def test_log_partition_of_a_chain_equals_enumeration(chain):
    assert chain.exact_log_partition().item() == pytest.approx(enumerated(chain)[2].item(), abs=1e-10)


@every_chain
def test_marginals_equal_enumeration(chain):
    y, p, _ = enumerated(chain)
    one_hot = nn.functional.one_hot(y, chain.unary.shape[-1]).double()
    exact = torch.einsum("n,ntk->tk", p, one_hot)
    exact_pairs = torch.einsum("n,ntj,ntk->tjk", p, one_hot[:, :-1], one_hot[:, 1:])
    torch.testing.assert_close(chain.marginals(), exact, rtol=0, atol=1e-10)
    torch.testing.assert_close(chain.pair_marginals(), exact_pairs, rtol=0, atol=1e-10)


@every_chain
def test_viterbi_finds_the_lowest_energy(chain):
    y, _, _ = enumerated(chain)
    best = chain.viterbi()
    assert chain.energy(best).item() == pytest.approx(chain.energy(y).min().item(), abs=1e-10)


@every_chain
def test_samples_of_a_chain_follow_its_distribution(chain):
    y, p, _ = enumerated(chain)
    index = chain.sample(20_000, generator(1)) @ (
        chain.unary.shape[-1] ** torch.arange(y.shape[1] - 1, -1, -1)
    )
    frequency = torch.bincount(index, minlength=len(y)) / 20_000
    # Hoeffding: a frequency is off by more than 0.03 with probability < 2 exp(-36); over 243 states < 1e-12.
    assert (frequency - p).abs().max() < 0.03
    assert (frequency[p == 0] == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-500, 500))
def test_chains_in_a_batch_are_those_alone_and_large_potentials_do_not_overflow(seed, shift):
    unary, pairwise = 50 * randn(3, 4, 2, seed=seed) + shift, 50 * randn(2, 2, seed=seed + 1)
    batch = app.LinearChain(unary, pairwise)
    alone = [app.LinearChain(u, pairwise) for u in unary]
    for method in ("exact_log_partition", "marginals", "pair_marginals", "viterbi"):
        together = getattr(batch, method)()
        torch.testing.assert_close(together, torch.stack([getattr(c, method)() for c in alone]))
        assert together.isfinite().all()
    labels = batch.sample(5, generator())
    assert labels.shape == (5, 3, 4)
    torch.testing.assert_close(batch.energy(labels)[:, 1], alone[1].energy(labels[:, 1]))


def random_crf(n_labels, n_features, seed=0):
    crf = app.LinearChainCRF(n_labels, n_features)
    for i, p in enumerate(crf.parameters()):
        p.data = randn(*p.shape, seed=seed + i)
    return crf


def test_log_likelihood_of_a_crf_equals_enumeration():
    crf, x = random_crf(3, 2), randn(4, 2, seed=9)
    y = torch.tensor(list(itertools.product(range(3), repeat=4)))

    def energy(labels):
        w, b, a, s, e = (p.detach() for p in crf.parameters())
        score = sum(w[k] @ x[t] + b[k] for t, k in enumerate(labels))
        score = score + sum(a[j, k] for j, k in itertools.pairwise(labels))
        return -(score + s[labels[0]] + e[labels[-1]])

    energies = torch.stack([energy(labels) for labels in y.tolist()])
    torch.testing.assert_close(crf.energy(y, x), energies, rtol=0, atol=1e-10)
    torch.testing.assert_close(
        crf.log_likelihood(y, x), -energies - (-energies).logsumexp(0), rtol=0, atol=1e-10
    )


def test_gradient_of_the_crf_likelihood_is_observed_minus_expected_features():
    crf, x, y = random_crf(3, 2), randn(5, 2, seed=9), torch.tensor([0, 2, 1, 1, 0])
    crf.log_likelihood(y, x).backward()
    chain = crf.given(x)
    p, pairs = chain.marginals().detach(), chain.pair_marginals().detach()
    one_hot = nn.functional.one_hot(y, 3).double()
    torch.testing.assert_close(crf.weight.grad, (one_hot - p).T @ x, rtol=0, atol=1e-10)
    torch.testing.assert_close(crf.bias.grad, (one_hot - p).sum(0), rtol=0, atol=1e-10)
    torch.testing.assert_close(
        crf.transition.grad, one_hot[:-1].T @ one_hot[1:] - pairs.sum(0), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(crf.first.grad, one_hot[0] - p[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(crf.last.grad, one_hot[-1] - p[-1], rtol=0, atol=1e-10)


def test_gradient_of_the_crf_likelihood_equals_the_enumerated_one():
    crf, x, y = random_crf(2, 2), randn(4, 2, seed=9), torch.tensor([0, 1, 1, 0])
    every = torch.tensor(list(itertools.product(range(2), repeat=4)))
    exact = -crf.energy(y, x) - (-crf.energy(every, x)).logsumexp(0)
    ours, theirs = (torch.autograd.grad(v, list(crf.parameters())) for v in (crf.log_likelihood(y, x), exact))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_maximum_likelihood_beats_the_truth_and_independent_labels_on_the_training_data():
    """The best of a set is at least as good as any of its members, for any data."""
    truth = random_crf(3, 2)
    sequences = []
    for length in range(1, 9):
        x = randn(20, length, 2, seed=length)
        sequences += list(zip(x, truth.given(x).sample(1, generator(length))[0]))
    crf = app.LinearChainCRF(3, 2)
    history = app.fit_crf(crf, sequences, l2=1e-4)
    independent = app.JointEnergy(app.LinearClassEnergies(3, (2,)), 3, (2,))
    x, y = (torch.cat(parts) for parts in zip(*sequences))
    alone = app.fit_classifier(independent, x, y, l2=0.0)[-1] * len(y) / len(sequences)
    mean = torch.stack([truth.log_likelihood(b, a) for a, b in sequences]).mean()
    penalty = 0.5e-4 * sum((p**2).sum() for p in truth.parameters())
    assert history[-1] <= (penalty - mean).item() + 1e-8
    assert history[-1] < alone


@pytest.mark.parametrize(
    ("unary", "pairwise", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 3), "unary must have shape"),
        (torch.zeros(0, 3), torch.zeros(3, 3), "neither zero"),
        (torch.zeros(4, 3), torch.zeros(2, 2), r"pairwise must be \(3, 3\)"),
        (torch.full((4, 3), math.nan), torch.zeros(3, 3), "unary must be finite"),
    ],
)
def test_chains_refuse_potentials_that_do_not_fit(unary, pairwise, message):
    with pytest.raises(ValueError, match=message):
        app.LinearChain(unary, pairwise)


def test_labelling_refuses_bad_labels_and_observations():
    with pytest.raises(ValueError, match=r"labels must be 0 … 2, got \[3\]"):
        app.LinearChain(torch.zeros(2, 3), torch.zeros(3, 3)).energy(torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"\(..., T, 2\) with T ≥ 1, got \(0, 2\)"):
        app.LinearChainCRF(3, 2).given(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="at least one sequence"):
        app.fit_crf(app.LinearChainCRF(3, 2), [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.exact_log_partition(),
        lambda c: c.marginals(),
        lambda c: c.pair_marginals(),
        lambda c: c.viterbi(),
        lambda c: c.sample(2, generator()),
    ],
)
def test_a_chain_that_forbids_every_labelling_is_refused_not_answered_with_nan(ask):
    forbidding = torch.zeros(2, 3, 2)
    forbidding[1, 1] = -math.inf
    with pytest.raises(ValueError, match="1 of 2 chains forbid every labelling"):
        ask(app.LinearChain(forbidding, torch.zeros(2, 2)))


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda x: app.JointEnergy(app.LinearClassEnergies(2, (3,)), 2, (3,)).energy(x), "x"),
        (lambda x: app.LinearChainCRF(2, 3).given(x), "observations"),
    ],
)
def test_float32_data_meet_a_float64_model_with_the_way_out(ask, name):
    message = (
        rf"{name} is torch.float32 on cpu, the model torch.float64 .*use {name}.to\('cpu', torch.float64\)"
    )
    with pytest.raises(TypeError, match=message):
        ask(torch.ones(4, 3))
