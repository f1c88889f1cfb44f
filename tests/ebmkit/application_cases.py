"""Draws and a quadratic energy that the tests of applications share."""

import torch

D = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=D)
