"""A PixelCNN sums to one, sees the past alone, and its samples follow it."""

import pytest
import torch
from expert_cases import D, all_bits, generator, randn

from ebmkit import enumeration
from ebmkit import product_of_experts as poe


def small_pixelcnn(shape, seed=0):
    model = poe.PixelCNN(shape, generator=generator(seed), n_channels=6, n_blocks=2, dtype=D)
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
    index = (
        model.sample(20_000, generator=generator(2)).flatten(1) @ torch.tensor([8.0, 4, 2, 1], dtype=D)
    ).long()
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
    flow = poe.AffineCouplingFlow((2, 2), generator=generator(), n_hidden=4)
    pixelcnn = small_pixelcnn((2, 2))
    product = poe.ProductOfExperts([pixelcnn, poe.AtCellCentres(flow)])
    x = all_bits(2, 2)
    assert product.values == (0.0, 1.0)
    torch.testing.assert_close(product.energy(x), pixelcnn.energy(x) - flow.log_prob(x + 0.5))
