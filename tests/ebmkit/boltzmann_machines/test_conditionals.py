"""Clamping, inpainting and classifying against the enumerated conditional distributions."""

import pytest
import torch
from machine_cases import EXACT, dbm, gaussian_rbm, rbm

from ebmkit.boltzmann_machines import (
    bit_states,
    classify,
    inpaint,
)


@pytest.mark.parametrize("make", [lambda: rbm(4, 3), lambda: dbm((4, 3, 2)), lambda: gaussian_rbm(4, 3)])
def test_inpainting_keeps_the_known_pixels_and_draws_the_others(make):
    v = torch.full((500, 4), 0.25, dtype=torch.float64)
    v[:, :2] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    known = torch.tensor([True, True, False, False])
    filled = inpaint(make(), v, known, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(filled[:, :2], v[:, :2])
    assert (filled[:, 2:] != 0.25).all()
    assert len(filled[:, 2:].unique()) > 1


def test_inpainting_refuses_a_negative_number_of_steps():
    with pytest.raises(ValueError, match="n_steps must be at least 0, got -1"):
        inpaint(
            rbm(2, 2), torch.zeros(2, dtype=torch.float64), torch.tensor([True, False]), -1, generator=None
        )


@pytest.mark.parametrize(
    ("make", "free_energy"), [(lambda: rbm(5, 4), "energy"), (lambda: dbm((5, 3, 2)), "free_energy")]
)
def test_classifying_by_clamped_labels_is_bayes_rule_over_one_hot_labels(make, free_energy):
    energy = getattr(make(), free_energy)
    pixels, labels = bit_states(3), torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    joint = torch.stack([(-energy(torch.cat([pixels, y.expand(8, -1)], 1))).exp() for y in labels], 1)
    torch.testing.assert_close(classify(energy, pixels, 2).exp(), joint / joint.sum(1, keepdim=True), **EXACT)
