"""Fits of the slide's experts on digits."""

import pytest
import torch
from expert_cases import generator, randn

from ebmkit import data, mcmc
from ebmkit import product_of_experts as poe


@pytest.mark.parametrize("fit", ["pixelcnn", "flow"])
def test_fits_refuse_nothing_and_grey_and_repeat_with_the_seed(fit):
    def train(images):
        g = generator(5)
        if fit == "pixelcnn":
            return poe.fit_pixelcnn(poe.PixelCNN((2, 2), 4, 1, generator=g), images, generator=g, n_epochs=2)
        return poe.fit_flow(
            poe.AffineCouplingFlow((2, 2), 2, 4, generator=g), images, generator=g, n_epochs=2
        )

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
    pixelcnn = poe.PixelCNN((8, 8), generator=g)
    poe.fit_pixelcnn(pixelcnn, train, generator=g, n_epochs=10)
    assert -pixelcnn.log_prob(test).mean().item() < independent_pixels(train, test) - 5
    flow = poe.AffineCouplingFlow((8, 8), generator=g, n_layers=6, n_hidden=64, dtype=torch.float32)
    history = poe.fit_flow(flow, train, generator=g, n_epochs=20)["loss"]
    assert history[-1] < history[0] - 20

    product = poe.ProductOfExperts([pixelcnn, poe.AtCellCentres(flow)])
    kernel = mcmc.Gibbs(product)
    state = kernel.init(pixelcnn.sample(64, generator=g))
    for _ in range(3):
        state, info = kernel.step(state, generator=g)
        assert not info.divergent.any()
    from_flow = flow.sample(64, generator=g).floor().clamp(0, 1)
    ours = product.expert_energies(state.position)
    pixelcnns, flows = (product.expert_energies(x) for x in (pixelcnn.sample(64, generator=g), from_flow))
    for both, one, expert in ((ours, flows, 0), (ours, pixelcnns, 1)):
        gap = one[:, expert] - both[:, expert]
        assert gap.mean() > 3
