"""Questions to a machine: what the unknown units are, and which class an image has."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ebmkit.boltzmann_machines._dbm import DBM
from ebmkit.boltzmann_machines._gaussian_rbm import GaussianRBM
from ebmkit.boltzmann_machines._rbm import RBM
from ebmkit.energy import EnergyModel


class Clamped(EnergyModel):
    """A Boltzmann machine with some units held fast: p(x) conditioned on x = `values` wherever `known`.

    `values` and the bool tensor `known` have the shape of one x or broadcast with a batch of them.
    Its `gibbs_step` keeps the known units and leaves the conditional distribution of the others invariant.
    Raises `ValueError` for units of a DBM's odd layers: those are drawn first, only even ones can be held.
    """

    fixed: Tensor
    known: Tensor

    def __init__(self, model: RBM | GaussianRBM | DBM, values: Tensor, known: Tensor) -> None:
        super().__init__()
        if known.dtype != torch.bool:
            raise TypeError(f"known must be a bool tensor, got {known.dtype}; use known.bool()")
        if isinstance(model, DBM) and any(part.any() for part in model.split(known)[1::2]):
            raise ValueError(
                "known holds units of an odd layer; only even layers, 0 is the visible one, can be held"
            )
        self.model, self.event_shape, self.values = model, model.event_shape, model.values
        self.register_buffer("fixed", values)
        self.register_buffer("known", known)

    def energy(self, x: Tensor) -> Tensor:
        """The machine's energy with the known units put in place; `(..., *event_shape)` to `(...)`."""
        return self.model.energy(self.hold(x))

    def hold(self, x: Tensor) -> Tensor:
        """x with the known units put in place."""
        return torch.where(self.known, self.fixed.to(x), x)

    def gibbs_step(self, x: Tensor, generator: Generator) -> Tensor:
        """One block Gibbs step of the unknown units given the known ones; the shape of x."""
        return self.hold(self.model.gibbs_step(self.hold(x), generator))


def inpaint(
    model: RBM | GaussianRBM | DBM, v: Tensor, known: Tensor, n_steps: int, generator: Generator
) -> Tensor:
    """Fills the unknown visible units of v by `n_steps` of Gibbs sampling with the known ones clamped.

    `v (..., n_visible)`, with any start where `known` (bool, broadcastable to v) is False; returns v's shape.
    Raises `ValueError` where `n_steps` is negative.
    """
    if n_steps < 0:
        raise ValueError(f"n_steps must be at least 0, got {n_steps}")
    if not isinstance(model, DBM):
        clamped, x = Clamped(model, v, known), v
    else:
        x = model.complete(v)
        hidden = torch.zeros(*v.shape[:-1], x.shape[-1] - v.shape[-1], dtype=torch.bool, device=v.device)
        clamped = Clamped(model, x, torch.cat([known.expand(v.shape), hidden], -1))
    for _ in range(n_steps):
        x = clamped.gibbs_step(x, generator)
    return x[..., : v.shape[-1]]


def classify(free_energy: Callable[[Tensor], Tensor], x: Tensor, n_classes: int) -> Tensor:
    """log p(y | x) of a machine over (pixels, one-hot label), clamping the label units to each class in turn.

        log p(y | x) = -F(x, y) - log Σ_y' exp(-F(x, y'))

    `x (..., n_pixels)` to `(..., n_classes)`; exact with `free_energy=rbm.energy`, Z cancels; a DBM offers
    `dbm.mean_field_free_energy`. Source: Larochelle & Bengio (2008).
    """
    labels = torch.eye(n_classes, dtype=x.dtype, device=x.device).expand(*x.shape[:-1], -1, -1)
    pixels = x[..., None, :].expand(*x.shape[:-1], n_classes, -1)
    return (-free_energy(torch.cat([pixels, labels], -1))).log_softmax(-1)
