"""Machines with random weights, and sums over their states."""

import torch

from ebmkit.boltzmann_machines import (
    DBM,
    RBM,
    GaussianRBM,
)

EXACT = {"rtol": 0, "atol": 1e-12}


def randomised(model, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.normal_(std=scale, generator=generator)
    return model


def rbm(n_visible=3, n_hidden=4, seed=0, scale=1.0):
    return randomised(RBM(n_visible, n_hidden, dtype=torch.float64), seed, scale)


def gaussian_rbm(n_visible=2, n_hidden=3, seed=0):
    model = randomised(GaussianRBM(n_visible, n_hidden, dtype=torch.float64), seed)
    with torch.no_grad():
        model.log_sigma.mul_(0.3)
    return model


def dbm(sizes=(3, 2, 2), seed=0, scale=1.0):
    return randomised(DBM(sizes, dtype=torch.float64), seed, scale)


def boltzmann(energies):
    return (-energies).softmax(-1)
