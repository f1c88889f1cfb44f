"""Joint energies of classes and images: Gaussians, logistic regression and networks."""

import math

import pytest
import torch
from application_cases import D, generator, randn
from torch import distributions, nn

from ebmkit import applications as app
from ebmkit import data


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
    draws = parts.sample(1, 20_000, generator=generator(1))
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
    history = app.fit_classifier(joint, x, y, l2=0.1)["loss"]
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
