"""Questions to a machine: what the unknown units are, and which class an image has."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ebmkit._checks import (
    as_tensor,
    check_count,
    check_event,
    check_known,
    check_over_event,
    floating_tensor,
)
from ebmkit._models import check_is_one_of
from ebmkit.boltzmann_machines._dbm import DBM
from ebmkit.boltzmann_machines._gaussian_rbm import GaussianRBM
from ebmkit.boltzmann_machines._rbm import RBM


def inpaint(
    model: RBM | GaussianRBM | DBM, v: Tensor, known: Tensor, n_steps: int, *, generator: Generator
) -> Tensor:
    """Fills the unknown visible units of v by `n_steps` of Gibbs sampling with the known ones clamped.

    `v (..., n_visible)`, with any start where `known` (bool, broadcastable to v) is False; returns v's shape.
    Raises `ValueError` where `n_steps` is negative.

    >>> import torch
    >>> from ebmkit import boltzmann_machines
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> v, known = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([True, False, False])
    >>> bool(boltzmann_machines.inpaint(rbm, v, known, 10, generator=generator)[0] == 1)
    True
    """
    check_is_one_of(model, (RBM, GaussianRBM, DBM), "inpaint", "; use ebmkit.condition(model, v, known)")
    check_count("n_steps", n_steps, 0)
    v = as_tensor(v, floating_tensor(model), "v")
    visible = tuple(getattr(model, "visible_shape", model.event_shape))
    check_event(v, visible, name="v")
    mask = check_known(known)
    check_over_event("known", mask, visible)
    known = mask.expand(v.shape)
    x = model.complete(v) if isinstance(model, DBM) else v
    hidden = torch.zeros(*v.shape[:-1], x.shape[-1] - v.shape[-1], dtype=torch.bool, device=v.device)
    held = torch.cat([known, hidden], -1)
    for _ in range(n_steps):
        x = model.gibbs_step_given(x, held, generator=generator)
    return x[..., : v.shape[-1]]


def classify(free_energy: Callable[[Tensor], Tensor], x: Tensor, n_classes: int) -> Tensor:
    """log p(y | x) of a machine over (pixels, one-hot label), clamping the label units to each class in turn.

        log p(y | x) = -F(x, y) - log Σ_y' exp(-F(x, y'))

    `x (..., n_pixels)` to `(..., n_classes)`; exact with `free_energy=rbm.energy`, Z cancels; a DBM offers
    `dbm.mean_field_free_energy`. Source: Larochelle & Bengio (2008).

    >>> import torch
    >>> from ebmkit import boltzmann_machines
    >>> free_energy = lambda x: x[..., -1]  # 1 for the second class, 0 for the first
    >>> boltzmann_machines.classify(free_energy, torch.zeros(4, 3), n_classes=2)[0].exp()
    tensor([0.7311, 0.2689])
    """
    labels = torch.eye(n_classes, dtype=x.dtype, device=x.device).expand(*x.shape[:-1], -1, -1)
    pixels = x[..., None, :].expand(*x.shape[:-1], n_classes, -1)
    return (-free_energy(torch.cat([pixels, labels], -1))).log_softmax(-1)
