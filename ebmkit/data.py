"""Pictures to learn from, without a download.

Binary pictures have labels 0 (paper) and 1 (ink); noise flips each pixel with probability ε: x = y XOR noise.
Source: Cornell Tech, Deep Generative Models, lecture 11, "Ising models"; scikit-learn's digits; MNIST.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit import chance
from ebmkit.chance import Generator


class Restoration(NamedTuple):
    """A picture and what is seen of it: labels {0, 1}, both `(height, width)`, float64."""

    truth: Tensor
    noisy: Tensor


class LabelledImages(NamedTuple):
    """Images `(n, height, width)` and their classes `(n,)`, int64."""

    images: Tensor
    labels: Tensor


def slide_image() -> Restoration:
    """The lecture's 3×3 picture: a true letter L, and the same with two pixels flipped by noise."""
    truth = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.float64)
    noisy = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.float64)
    return Restoration(truth, noisy)


def digits(binarise: bool = False) -> LabelledImages:
    """scikit-learn's 1,797 handwritten digits, `(1797, 8, 8)` float32 in [0, 1]; 0 or 1 if `binarise`.

    `binarise` calls a pixel ink from 8 of 16 grey levels on.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "digits() needs scikit-learn, which brings the images; install scikit-learn"
        ) from error
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float() / 16
    labels = torch.from_numpy(bunch.target).long()
    return LabelledImages((images >= 0.5).float() if binarise else images, labels)


def flip(image: Tensor, probability: float, generator: Generator) -> Tensor:
    """Each label of `image` (0 or 1, any shape) flipped with the given probability; the shape of `image`."""
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    if not ((image == 0) | (image == 1)).all():
        raise ValueError("image must hold labels 0 and 1; threshold it first, e.g. (image > 0.5).double()")
    flipped = chance.bernoulli(torch.full(image.shape, probability, device=image.device), generator)
    return torch.where(flipped, 1 - image, image)
