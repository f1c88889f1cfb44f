"""Exact answers for grids and tori of spins; their public names are in `ebmkit.ising`.

A front of spins sweeps over the grid: v(front) = Σ over the spins behind it of exp(-E of all that is behind).
Sources: Kramers & Wannier 1941 (transfer matrix); Onsager 1944; Kaufman 1949, eq. 75; Yang 1952.

Bonds are `(n, m)` tensors: `horizontal[i, j]` joins (i, j) with (i, j+1), `vertical[i, j]` joins (i, j) with
(i+1, j), indices wrapping round; on a free boundary the last column and row are 0. A front over m sites has
2^m entries, one axis of length 2 a site: index 0 is spin -1, index 1 is spin +1.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad_vec
from scipy.special import ellipkm1, logsumexp
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from ebmkit import chance

# Spins absorbed by one matrix product: 2^4 × 2^4 keeps BLAS busy and wastes little arithmetic.
_BLOCK = 4
# While the weights of a row span less than e^±300, products of them stay normal float64 numbers.
_LINEAR_RANGE = 300.0
# Stands for log 0 in a logarithmic front: far below any weight, yet finite, so that gradients are.
_LOG_ZERO = -1e30
# A front whose inside may be remembered: a row of it is some kilobytes.
_SMALL_FRONT = 2**10


class _Row(NamedTuple):
    """What a row of spins adds to the energy: bonds to the row above, fields, bonds within; each `(m,)`."""

    above: Tensor
    field: Tensor
    horizontal: Tensor


class _FrontKind(NamedTuple):
    """The operations on a front `(copies, 2^m)`, kept either as v or as log v."""

    ones: Callable[[Tensor], Tensor]
    absorb_row: Callable[..., tuple[Tensor, Tensor]]
    diagonal: Callable[[Tensor], Tensor]
    log_sum: Callable[[Tensor, Tensor], Tensor]


def transfer_matrix(horizontal: Tensor, vertical: Tensor, field: Tensor, periodic: bool) -> Tensor:
    """log Z by the transfer matrix, row after row; differentiable in bonds and field; shape `()`.

    On a torus there is one front for every state of the first row, so that the last row can close on it.
    """
    horizontal, vertical, field = oriented(horizontal, vertical, field)
    n, m = field.shape
    kind = _front_kind(horizontal, vertical, field)
    # The first front lies above the grid and hangs on no bond: its m spins add a factor 2 each to Z.
    front, log_z = kind.ones(field), -m * math.log(2.0) * field.new_ones(())
    above = torch.zeros_like(field[0])
    for i in range(n):
        row = _Row(above, field[i], horizontal[i])
        front, log_scale = _remember_little(kind.absorb_row, front, row, periodic)
        log_z = log_z + log_scale
        if i == 0 and periodic:
            front = kind.diagonal(front)
        above = vertical[i]
    closing = _log_bonds_between_rows(above) if periodic else torch.zeros_like(front)
    return log_z + kind.log_sum(front, closing)


def oriented(horizontal: Tensor, vertical: Tensor, field: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same grid turned so that its rows are its shorter side: the front is as short as can be."""
    if field.shape[1] <= field.shape[0]:
        return horizontal, vertical, field
    return vertical.T, horizontal.T, field.T


def _front_kind(horizontal: Tensor, vertical: Tensor, field: Tensor) -> _FrontKind:
    """The fast linear front, unless couplings are so strong that its weights would leave float64."""
    reach = horizontal.abs().sum(1) + vertical.abs().sum(1).roll(1) + field.abs().sum(1)
    return _LINEAR if 2 * float(reach.detach().max()) < _LINEAR_RANGE else _LOGARITHMIC


def _remember_little(
    absorb: Callable[..., tuple[Tensor, Tensor]], front: Tensor, row: _Row, periodic: bool
) -> tuple[Tensor, Tensor]:
    """`absorb`, recomputing a row's inside in the backward pass: memory for a front a row, not a site."""
    differentiated = torch.is_grad_enabled() and any(part.requires_grad for part in (front, *row))
    if (
        not differentiated or front.numel() <= _SMALL_FRONT
    ):  # where torch.func, too, has no use for checkpoints
        return absorb(front, row, periodic)
    result: tuple[Tensor, Tensor] = checkpoint(absorb, front, row, periodic, use_reentrant=False)
    return result


def _linear_absorb_row(front: Tensor, row: _Row, periodic: bool) -> tuple[Tensor, Tensor]:
    """The front below `row`, and the logarithm of the factor taken out of it; four sites a matrix product."""
    m = len(row.field)
    scale = front.detach().max()
    log_scale = scale.log()
    for start in range(0, m, _BLOCK):
        stop = min(start + _BLOCK, m)
        log_weights = _block_log_weights(row, start, stop)
        shift = log_weights.detach().max() + (scale.log() if start == 0 else 0.0)
        log_scale = log_scale + shift
        front = _multiply_axes(torch.exp(log_weights - shift), front, start, stop, m)
        if start > 0:
            front = _times_bond(front, row.horizontal[start - 1], start - 1, start, m)
    if periodic and m > 1:
        front = _times_bond(front, row.horizontal[m - 1], 0, m - 1, m)
    return front, log_scale - scale.log()


def _block_log_weights(row: _Row, start: int, stop: int) -> Tensor:
    """log M[new, old] of sites `start` to `stop`: their bonds upwards, fields and bonds among themselves."""
    spins = _configurations(stop - start, row.field)
    inner = spins[:, :-1] * spins[:, 1:] @ row.horizontal[start : stop - 1] + spins @ row.field[start:stop]
    return inner[:, None] + (spins * row.above[start:stop]) @ spins.T


def _configurations(m: int, like: Tensor) -> Tensor:
    """All states of m spins, the last fastest; `(2^m, m)`."""
    return _kept_configurations(m, like.dtype, like.device)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # or one made in inference mode would be of no use to a later gradient
def _kept_configurations(m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    place = torch.arange(m - 1, -1, -1, device=device)
    bits = torch.arange(2**m, device=device)[:, None] >> place & 1
    return 2.0 * bits.to(dtype) - 1.0


def _multiply_axes(matrix: Tensor, front: Tensor, start: int, stop: int, m: int) -> Tensor:
    """Multiplies `matrix` onto the axes `start` to `stop` of the front."""
    if stop == m:
        return (front.reshape(-1, len(matrix)) @ matrix.T).reshape(front.shape)
    return (matrix @ front.reshape(-1, len(matrix), 2 ** (m - stop))).reshape(front.shape)


def _times_bond(front: Tensor, bond: Tensor, i: int, j: int, m: int) -> Tensor:
    """The front times exp(bond·s_i·s_j)."""
    spin = _configurations(1, front)
    weight = torch.exp(bond * (spin * spin.T)).reshape(1, 2, 1, 2, 1)
    pairs = front.reshape(-1, 2, 2 ** (j - i - 1), 2, 2 ** (m - j - 1))
    in_graph = pairs.requires_grad or weight.requires_grad
    # The front is fresh from a matrix product: without a graph to feed, a wide one need not be copied again.
    return (pairs * weight if in_graph else pairs.mul_(weight)).reshape(front.shape)


def _linear_log_sum(front: Tensor, closing: Tensor) -> Tensor:
    shift = closing.detach().max()
    return (front * torch.exp(closing - shift)).sum().log() + shift


_LINEAR = _FrontKind(
    ones=lambda field: field.new_ones(1, 2 ** field.shape[1]),
    absorb_row=_linear_absorb_row,
    diagonal=lambda front: torch.diag(front[0]),
    log_sum=_linear_log_sum,
)


def _log_absorb_row(front: Tensor, row: _Row, periodic: bool) -> tuple[Tensor, Tensor]:
    """As `_linear_absorb_row` for log v, one site at a time: slower, and right at any coupling."""
    m = len(row.field)
    for j in range(m):
        front = _log_absorb_site(front, row, j)
    if periodic and m > 1:
        front = _plus_log_bond(front, row.horizontal[m - 1], 0, m - 1, m)
    return front, front.new_zeros(())


def _log_absorb_site(front: Tensor, row: _Row, j: int) -> Tensor:
    """log Σ over the old spin at j of v·exp(above·old·new + field·new + bond to the left)."""
    m, up = len(row.field), row.above[j]
    minus, plus = front.reshape(-1, 2, 2 ** (m - j - 1)).unbind(1)
    new = [
        torch.logaddexp(minus + up, plus - up) - row.field[j],
        torch.logaddexp(minus - up, plus + up) + row.field[j],
    ]
    front = torch.stack(new, 1).reshape(front.shape)
    return front if j == 0 else _plus_log_bond(front, row.horizontal[j - 1], j - 1, j, m)


def _plus_log_bond(front: Tensor, bond: Tensor, i: int, j: int, m: int) -> Tensor:
    sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=front.dtype, device=front.device)
    log_weight = (bond * sign).reshape(1, 2, 1, 2, 1)
    return (front.reshape(-1, 2, 2 ** (j - i - 1), 2, 2 ** (m - j - 1)) + log_weight).reshape(front.shape)


def _log_diagonal(front: Tensor) -> Tensor:
    off_diagonal = ~torch.eye(front.shape[1], dtype=torch.bool, device=front.device)
    return torch.diag(front[0]).masked_fill(off_diagonal, _LOG_ZERO)


_LOGARITHMIC = _FrontKind(
    ones=lambda field: field.new_zeros(1, 2 ** field.shape[1]),
    absorb_row=_log_absorb_row,
    diagonal=_log_diagonal,
    log_sum=lambda front, closing: torch.logsumexp((front + closing).flatten(), 0),
)


def _log_bonds_between_rows(bonds: Tensor) -> Tensor:
    """Σ_j bonds_j s_j s'_j for every pair of rows; `(2^m, 2^m)`."""
    spins = _configurations(len(bonds), bonds)
    return (spins * bonds) @ spins.T


def sample_free(
    horizontal: Tensor, vertical: Tensor, field: Tensor, n_samples: int, *, generator: Generator
) -> Tensor:
    """Independent exact samples on a free boundary: sweep forward, then draw the spins backward.

    p(s_ij | all spins after it) needs two entries of the front before site (i, j) was left behind.
    `horizontal`, `vertical` and `field` must be `oriented`. Returns `(n_samples, n, m)`.
    """
    n, m = field.shape
    fronts, above = [_LOGARITHMIC.ones(field)], torch.zeros_like(field[0])
    for i in range(n):
        fronts.append(_log_absorb_row(fronts[-1], _Row(above, field[i], horizontal[i]), False)[0])
        above = vertical[i]
    spins = field.new_empty(n_samples, n, m)
    state = torch.zeros(n_samples, dtype=torch.int64, device=field.device)
    for i in reversed(range(n)):
        below = vertical[i] if i < n - 1 else torch.zeros_like(field[0])
        state = _draw_row(spins[:, i], fronts[i + 1], below, state, generator)
    return spins


def _draw_row(drawn: Tensor, front: Tensor, below: Tensor, state: Tensor, generator: Generator) -> Tensor:
    """Fills `drawn` `(n_samples, m)` given the row below it, numbered by `state`; returns its own number."""
    m = len(below)
    partial = list(_fronts_before_sites(front, below))
    for j in reversed(range(m)):
        bit = 1 << (m - 1 - j)
        up, down = state | bit, state & ~bit
        spin_below = 2.0 * (state & bit > 0).to(below.dtype) - 1.0
        logit = partial[j][up] - partial[j][down] + 2 * below[j] * spin_below
        is_up = chance.bernoulli(torch.sigmoid(logit), generator=generator)
        drawn[:, j] = 2.0 * is_up.to(drawn.dtype) - 1.0
        state = torch.where(is_up, up, down)
    return state


def _fronts_before_sites(front: Tensor, above: Tensor) -> Iterator[Tensor]:
    """log v before each site of the next row is absorbed; that row's own energy cancels in `_draw_row`."""
    row = _Row(above, torch.zeros_like(above), torch.zeros_like(above))
    for j in range(len(above)):
        yield front.flatten()
        front = _log_absorb_site(front, row, j)


def kaufman(n: int, m: int, coupling: float) -> float:
    """log Z of the n×m torus with one coupling J > 0 and no field.

    Z = ½ (2 sinh 2J)^{nm/2} {Π 2cosh(½mγ_{2r-1}) + Π 2sinh(½mγ_{2r-1})
                              + Π 2cosh(½mγ_{2r}) + Π 2sinh(½mγ_{2r})},  r = 1..n,
    with cosh γ_l = cosh²2J / sinh 2J - cos(πl/n) and γ_{2n} = γ_0 = 2J + ln tanh J, which may be negative.
    Source: Kaufman 1949, eq. 75.
    """
    odd, even = np.arange(1, 2 * n, 2), np.arange(2, 2 * n, 2)
    gamma_zero = 2 * coupling + math.log(math.tanh(coupling))
    half_odd = 0.5 * m * _gamma(odd, n, coupling)
    half_even = 0.5 * m * np.append(_gamma(even, n, coupling), abs(gamma_zero))
    log_terms = [f(half).sum() for half in (half_odd, half_even) for f in (_log_2cosh, _log_2sinh)]
    signs = [1.0, 1.0, 1.0, math.copysign(1.0, gamma_zero)]
    log_prefactor = 0.5 * n * m * (_log_sinh(2 * coupling) + math.log(2.0)) - math.log(2.0)
    return log_prefactor + float(logsumexp(log_terms, b=signs))


def _log_sinh(x: float) -> float:
    return x + math.log(-math.expm1(-2 * x) / 2)


def _gamma(l: NDArray[np.int64], n: int, coupling: float) -> NDArray[np.float64]:
    """γ_l > 0, from ½(cosh γ_l - 1) = ½(√u - 1/√u)² + sin²(πl/2n) with u = sinh 2J, as no term cancels.

    Where u or 1/u is beyond all digits of the sine, γ_l = |log u| + log 2.
    """
    distance = abs(_log_sinh(2 * coupling))
    if distance > 80:
        return np.full(len(l), distance + math.log(2.0))
    half_excess = 2 * math.sinh(distance / 2) ** 2 + np.sin(np.pi * l / (2 * n)) ** 2
    return np.asarray(2 * np.arcsinh(np.sqrt(half_excess)))


def _log_2cosh(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x + np.log1p(np.exp(-2 * x)))


def _log_2sinh(x: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):  # log 2sinh 0 = -inf: that product is 0
        return np.asarray(x + np.log(-np.expm1(-2 * x)))


def onsager_log_partition(coupling: NDArray[np.float64]) -> NDArray[np.float64]:
    """lim (log Z)/N = ln(2cosh 2J) + (1/π)∫₀^{π/2} ln ½(1 + √(1 - κ² sin²θ)) dθ, κ = 2 sinh 2J/cosh² 2J."""
    j = np.abs(coupling)
    complement = _complementary_modulus(j)

    def integrand(theta: float) -> NDArray[np.float64]:
        root = np.hypot(math.cos(theta), complement * math.sin(theta))  # √(1 - κ² sin²θ), as 1 - κ² = k'²
        return np.asarray(np.log((1 + root) / 2))

    integral = quad_vec(integrand, 0, math.pi / 2, epsabs=1e-13, epsrel=1e-13, points=[math.pi / 2 - 1e-3])[0]
    return np.asarray(2 * j + np.log1p(np.exp(-4 * j)) + integral / math.pi)


def onsager_energy(coupling: NDArray[np.float64]) -> NDArray[np.float64]:
    """-coth 2J · [1 + (2/π)(2tanh² 2J - 1) K(κ)], K the complete elliptic integral; odd in J."""
    j = np.abs(coupling)
    complement = _complementary_modulus(j)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 2tanh² - 1 = ±k' vanishes at criticality faster than K(κ) ~ ln(4/k') grows.
        wave = np.where(complement > 0, (2 * np.tanh(2 * j) ** 2 - 1) * ellipkm1(complement**2), 0.0)
        energy = -(1 + 2 / np.pi * wave) / np.tanh(2 * j)
    return np.asarray(np.sign(coupling) * np.where(j > 0, energy, 0.0))


def _complementary_modulus(coupling: NDArray[np.float64]) -> NDArray[np.float64]:
    """k' = √(1 - κ²) = |1 - sinh² 2J| / (1 + sinh² 2J), exact near criticality and 1 from J = 10 on."""
    sinh_squared = np.sinh(2 * coupling.clip(max=50)) ** 2
    return np.asarray(np.abs(1 - sinh_squared) / (1 + sinh_squared))


def yang_magnetization(coupling: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 - sinh⁻⁴ 2J)^{1/8} above the critical coupling, 0 up to it."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.clip(1 - np.sinh(2 * coupling.clip(0, 50)) ** -4.0, 0, None) ** 0.125)
