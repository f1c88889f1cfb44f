"""Exact answers by visiting every state.

log Z = log Σ_x exp(-E(x)), the sum over all |values|^size states; the cost grows with the number of states.
Source: Cornell Tech, Deep Generative Models, lecture 11, "The partition function".
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ebmkit._checks import as_tensor, floating_tensor, looks_at
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel

__all__ = [
    "MAX_STATES",
    "Cost",
    "are_few",
    "cost",
    "exact_log_partition",
    "expectation",
    "log_partition",
    "n_states",
    "probabilities",
    "state_chunks",
    "states",
]

MAX_STATES = 2**25
_CHUNK_ELEMENTS = 2**21


class Cost(NamedTuple):
    """What summing over every state would take: their number, and seconds at the speed measured here.

    >>> from ebmkit import enumeration, ising
    >>> enumeration.cost(ising.Ising((2, 2), 0.4)).n_states
    16
    """

    n_states: int
    seconds: float

    def __repr__(self) -> str:
        many = self.n_states > 10**15
        count = f"10^{math.log10(self.n_states):.1f}" if many else f"{self.n_states:,}"
        return f"Cost(n_states={count}, seconds={self.seconds:.3g})"


def n_states(model: EnergyModel) -> int:
    """The number of states of `model`, |values|^size; raises `ValueError` where x is continuous.

    >>> from ebmkit import enumeration, ising
    >>> enumeration.n_states(ising.Ising((10, 10), 0.4)) == 2**100
    True
    """
    n_values = len(_values(model))
    return int(n_values ** math.prod(model.event_shape))


def cost(model: EnergyModel) -> Cost:
    """How many states `model` has and how long their sum would take, from timing a few thousand of them.

    It never refuses, so it shows the growth also where the sum itself is out of reach:
    `[cost(Ising((n, n), 0.4)) for n in (2, 3, 4, 5, 6, 32)]`.

    >>> from ebmkit import enumeration, ising
    >>> enumeration.cost(ising.Ising((4, 4), 0.4)).n_states
    65536
    """
    total = n_states(model)
    timed = min(total, _chunk_states(model) // 8 + 1)
    model.energy(_states_between(model, 0, timed))  # the first call may pay for what later ones reuse
    start = time.perf_counter()
    model.energy(_states_between(model, 0, timed)).logsumexp(-1)
    seconds = (time.perf_counter() - start) / timed
    return Cost(total, seconds * total if total < 2**1000 else math.inf)


def states(model: EnergyModel) -> Tensor:
    """Every state of `model`, in counting order with the last coordinate fastest; `(n_states, *event_shape)`.

    Raises `ValueError` where there are too many (see `log_partition`).

    >>> from ebmkit import enumeration, ising
    >>> enumeration.states(ising.Ising((1, 2), 0.4)).squeeze(1)
    tensor([[-1., -1.],
            [-1.,  1.],
            [ 1., -1.],
            [ 1.,  1.]], dtype=torch.float64)
    """
    return _states_between(model, 0, _checked_n_states(model))


def state_chunks(model: EnergyModel) -> Iterator[Tensor]:
    """The rows of `states(model)` in pieces of bounded memory; each `(n, *event_shape)`.

    >>> from ebmkit import enumeration, ising
    >>> [len(chunk) for chunk in enumeration.state_chunks(ising.Ising((2, 2), 0.4))]
    [16]
    """
    bounds = _chunk_bounds(model, _checked_n_states(model))
    return (_states_between(model, start, stop) for start, stop in bounds)


def log_partition(model: EnergyModel) -> Tensor:
    """log Z = log Σ_x exp(-E(x)), exact, in memory that does not grow with the number of states; shape `()`.

    Its gradient does not either: backward computes each chunk's energies again. Raises `ValueError` beyond
    `MAX_STATES` states, for an energy that is nan or -∞, and where every energy is +∞.

    >>> from ebmkit import enumeration, ising
    >>> enumeration.log_partition(ising.Ising((1, 2), 0.0))  # 2 log 2
    tensor(1.3863, dtype=torch.float64)
    """
    parts = _over_chunks(model, lambda x: torch.logsumexp(-_energies(model, x), -1))
    return _log_sum(torch.stack(list(parts)), model)


def exact_log_partition(model: EnergyModel) -> Tensor:
    """log Z by the model's own `exact_log_partition()`; where that is missing or refuses, as `log_partition`.

    Raises `ValueError` as the model's own method does where its states are too many to sum.

    The shape is `()`.

    >>> from ebmkit import enumeration, ising
    >>> round(float(enumeration.exact_log_partition(ising.Ising((40, 8), 0.0)) / 320), 6)  # log 2
    0.693147
    """
    own: Callable[[], Tensor] | None = getattr(model, "exact_log_partition", None)
    if own is None or isinstance(model, type):
        return log_partition(model)
    try:
        return own()
    except ValueError:
        if not are_few(model):
            raise
    return log_partition(model)


def are_few(model: EnergyModel) -> bool:
    """Whether the states of `model` can be counted, and are few enough to be summed.

    >>> from ebmkit import annealing, enumeration, ising
    >>> enumeration.are_few(ising.Ising((4, 4), 0.4)), enumeration.are_few(annealing.GaussianBase((2,)))
    (True, False)
    """
    check_is_model(model, "are_few")
    return model.values is not None and n_states(model) <= MAX_STATES


def probabilities(model: EnergyModel) -> Tensor:
    """p(x) = exp(-E(x)) / Z of every state, in the order of `states`; shape `(n_states,)`, float64.

    Raises `ValueError` as `log_partition` does.

    >>> from ebmkit import enumeration, ising
    >>> enumeration.probabilities(ising.Ising((1, 2), 0.0))
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """
    log_weights = torch.cat(list(_over_chunks(model, lambda x: -_energies(model, x))))
    return torch.exp(log_weights - _log_sum(log_weights, model))


def expectation(model: EnergyModel, f: Callable[[Tensor], Tensor]) -> Tensor:
    """E[f(x)] = Σ_x p(x) f(x), exact.

    `f` maps states `(n, *event_shape)` to values `(n, *shape)`; returns `shape`, float64. Raises `ValueError` as
    `log_partition` does.

    >>> from ebmkit import enumeration, ising
    >>> enumeration.expectation(ising.Ising((1, 2), 0.4), lambda x: x.flatten(1).prod(1))  # tanh 0.4
    tensor(0.3799, dtype=torch.float64)
    """
    log_z = log_partition(model)

    def part(x: Tensor) -> Tensor:
        p = torch.exp(-_energies(model, x) - log_z)
        values = as_tensor(f(x), x, "f(x)")
        if values.dim() == 0 or len(values) != len(x):
            raise ValueError(
                f"f must return one value for each of the {len(x)} states, shape ({len(x)}, ...), got "
                f"{tuple(values.shape)}; sum over the axes of one x, and over no others"
            )
        share: Tensor = torch.tensordot(p, values.double(), dims=1)
        return share

    total: Tensor = functools.reduce(torch.add, _over_chunks(model, part))
    return total


def _over_chunks(model: EnergyModel, f: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """f of each chunk of states; backward makes the chunk and f's inside anew instead of keeping them."""

    def part(start: int, stop: int) -> Tensor:
        return f(_states_between(model, start, stop))

    total = _checked_n_states(model)
    if total <= _chunk_states(model):  # nothing to save, and torch.func knows no checkpoints
        yield part(0, total)
        return
    for start, stop in _chunk_bounds(model, total):
        yield checkpoint(part, start, stop, use_reentrant=False, preserve_rng_state=False)


def _log_sum(log_weights: Tensor, model: EnergyModel) -> Tensor:
    log_z = torch.logsumexp(log_weights, -1)
    if looks_at(log_z) and bool(log_z == -math.inf):
        raise ValueError(
            f"every state of {type(model).__name__} has energy inf, so none is possible and Z = 0; allow one"
        )
    return log_z


def _energies(model: EnergyModel, x: Tensor) -> Tensor:
    energies = model.energy(x).double()
    impossible = energies.isnan() | (energies == -math.inf)
    if looks_at(energies) and bool(impossible.any()):
        state = x[impossible][0].flatten().tolist()
        raise ValueError(
            f"the energy of {type(model).__name__} must be a number or inf (probability 0), got "
            f"{energies[impossible][0].item()} at x = {state[:6]}{' …' if len(state) > 6 else ''}; "
            "check its parameters"
        )
    return energies


def _values(model: EnergyModel) -> tuple[float, ...]:
    check_is_model(model, "enumeration")
    if model.values is None:
        raise ValueError(
            f"{type(model).__name__} is continuous, its states cannot be counted; use "
            "ebmkit.normalization.quadrature in few dimensions, or log_partition(model, method='ais')"
        )
    return model.values


def _checked_n_states(model: EnergyModel) -> int:
    total = n_states(model)
    if total > MAX_STATES:
        size = math.prod(model.event_shape)
        raise ValueError(
            f"{type(model).__name__} has {len(_values(model))}^{size} states (about 10^{math.log10(total):.0f}), "
            f"more than the {MAX_STATES:,} that are summed one by one; use ebmkit.log_partition(model, "
            "method) with 'transfer_matrix' or 'kaufman' for an Ising model, 'ais' or 'bridge' for any"
        )
    return total


def _chunk_bounds(model: EnergyModel, total: int) -> Iterator[tuple[int, int]]:
    step = _chunk_states(model)
    return ((start, min(start + step, total)) for start in range(0, total, step))


def _chunk_states(model: EnergyModel) -> int:
    return max(1, _CHUNK_ELEMENTS // max(1, math.prod(model.event_shape)))


def _states_between(model: EnergyModel, start: int, stop: int) -> Tensor:
    """States number `start` to `stop`: their numbers written in base |values|, one digit a coordinate."""
    values, size = _values(model), math.prod(model.event_shape)
    like = floating_tensor(model)
    number = torch.arange(start, stop, device=like.device)
    digits = torch.empty(stop - start, size, dtype=torch.int64, device=like.device)
    for place in reversed(range(size)):
        digits[:, place] = number % len(values)
        number = number // len(values)
    alphabet = torch.tensor(values, dtype=like.dtype, device=like.device)
    return alphabet[digits].reshape(-1, *model.event_shape)
