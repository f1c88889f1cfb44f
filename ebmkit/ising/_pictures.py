"""Models of pictures: the slide's potentials, and a picture behind noise."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import as_tensor
from ebmkit.ising._model import Ising, to_spins


def denoising_model(
    noisy: Tensor, flip_probability: float, coupling: float | Tensor | tuple[float | Tensor, float | Tensor]
) -> Ising:
    """p(y | x) of a picture y seen through noise as x: an Ising model on free boundary.

    p(y | x) ∝ exp(Σ J y_i y_j) Π p(x_i | y_i) with p(x_i ≠ y_i) = ε is, in spins, the field
    h_i = ½ ln((1 - ε)/ε) · (2 x_i - 1).

    `noisy` holds labels 0 and 1, `(n, m)`; `flip_probability` ε lies strictly between 0 and 1. Raises
    `ValueError` otherwise. Source: lecture 11, "Ising models"; Geman & Geman 1984.

    >>> import torch
    >>> from ebmkit import ising
    >>> posterior = ising.denoising_model(torch.tensor([[1.0, 0.0]]), 0.1, coupling=0.5)
    >>> posterior.field  # ½ log(0.9 / 0.1), for ink and against
    tensor([[ 1.0986, -1.0986]], dtype=torch.float64)
    """
    if not 0 < flip_probability < 1:
        raise ValueError(
            f"flip_probability must lie strictly between 0 and 1, got {flip_probability}; noise that never "
            "flips leaves nothing to restore"
        )
    noisy = as_tensor(noisy, name="noisy")
    if noisy.ndim != 2:
        raise ValueError(f"noisy must be one picture (rows, columns), got shape {tuple(noisy.shape)}")
    strength = 0.5 * math.log((1 - flip_probability) / flip_probability)
    n, m = noisy.shape
    return Ising((n, m), coupling, field=strength * to_spins(noisy).double())


class FromPotentials(NamedTuple):
    """An Ising model and the constant between it and the potentials: Σψ = constant - model.energy(s).

    >>> import torch
    >>> from ebmkit import ising
    >>> found = ising.from_potentials(torch.zeros(2, 2, 2), torch.zeros(2, 1, 2, 2), torch.zeros(1, 2, 2, 2))
    >>> found.model.event_shape, found.constant
    ((2, 2), tensor(0., dtype=torch.float64))
    """

    model: Ising
    constant: Tensor


def from_potentials(
    unary: Tensor, horizontal: Tensor, vertical: Tensor, periodic: bool = False
) -> FromPotentials:
    """The slide's p(y | x) ∝ exp(Σ_i ψ_i(x_i, y_i) + Σ_{(i,j)∈E} ψ_ij(y_i, y_j)) as an Ising model, exactly.

    With a, b in {0, 1} and spins s = 2a - 1, t = 2b - 1, any table is ψ(a, b) = c + u s + v t + J s t, where
    J = ¼(ψ11 + ψ00 - ψ01 - ψ10), u = ¼(ψ11 + ψ10 - ψ01 - ψ00), v = ¼(ψ11 + ψ01 - ψ10 - ψ00).

    `unary` is `(n, m, 2)`, ψ_i(x_i, ·) at the x that was seen. `horizontal` and `vertical` are `(2, 2)`, or
    one table an edge: `(n, m-1, 2, 2)` and `(n-1, m, 2, 2)`, on a torus both `(n, m, 2, 2)`.
    Source: lecture 11, "Ising models".

    Raises `ValueError` for tables of another shape.

    >>> import torch
    >>> from ebmkit import ising
    >>> found = ising.from_potentials(torch.zeros(2, 2, 2), torch.zeros(2, 1, 2, 2), torch.zeros(1, 2, 2, 2))
    >>> bool(found.model.horizontal.abs().max() == 0)
    True
    """
    unary, horizontal, vertical = (as_tensor(part) for part in (unary, horizontal, vertical))
    if unary.ndim != 3 or unary.shape[-1] != 2:
        raise ValueError(f"unary must have shape (n, m, 2), got {tuple(unary.shape)}")
    n, m = unary.shape[:2]
    unary = unary.double()
    field = (unary[..., 1] - unary[..., 0]) / 2
    constant = unary.mean(-1).sum()
    couplings = []
    for axis, table in ((1, horizontal), (0, vertical)):
        edges = _edge_grid((n, m), axis, periodic)
        c, u, v, coupling = _spin_expansion(_edge_tables(table.double(), edges, axis))
        # Edge (i, j) begins at site (i, j) and ends one site on, on a torus perhaps on the other side.
        padding = (0, m - edges[1], 0, n - edges[0])
        field = field + torch.nn.functional.pad(u, padding)
        field = field + torch.nn.functional.pad(v, padding).roll(1, axis)
        constant = constant + c.sum()
        couplings.append(torch.nn.functional.pad(coupling, padding) if periodic else coupling)
    return FromPotentials(Ising((n, m), (couplings[0], couplings[1]), field, periodic), constant)


def _edge_grid(shape: tuple[int, int], axis: int, periodic: bool) -> tuple[int, int]:
    missing = 0 if periodic and shape[axis] > 1 else 1
    return (shape[0] - missing, shape[1]) if axis == 0 else (shape[0], shape[1] - missing)


def _edge_tables(table: Tensor, edges: tuple[int, int], axis: int) -> Tensor:
    wanted = (*edges, 2, 2)
    if tuple(table.shape) not in ((2, 2), wanted):
        name = ("vertical", "horizontal")[axis]
        raise ValueError(f"{name} must have shape (2, 2) or {wanted}, got {tuple(table.shape)}")
    return table.expand(wanted)


def _spin_expansion(table: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c, u, v, J of ψ(a, b) = c + u s + v t + J s t; each the shape of `table` without its last two axes."""
    spin = torch.tensor([-1.0, 1.0], dtype=table.dtype, device=table.device)
    c = table.mean((-2, -1))
    u = (table * spin[:, None]).mean((-2, -1))
    v = (table * spin).mean((-2, -1))
    return c, u, v, (table * spin[:, None] * spin).mean((-2, -1))
