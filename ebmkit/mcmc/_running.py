"""Running chains: one step after another, with the positions recorded."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from ebmkit._checks import check_count
from ebmkit.kernel import Kernel, State, StepInfo


def iterate(
    kernel: Kernel, state: State | Tensor, *, generator: Generator
) -> Iterator[tuple[State, StepInfo]]:
    """Yield `(state, info)` after every step of an endless chain; constant memory."""
    current = state if isinstance(state, State) else kernel.init(state)
    while True:
        current, info = kernel.step(current, generator=generator)
        yield current, info


def sample(
    kernel: Kernel,
    state: State | Tensor,
    n_steps: int,
    *,
    generator: Generator,
    burn_in: int = 0,
    thin: int = 1,
    keep: Callable[[State], Tensor] | None = None,
) -> Tensor:
    """Run all chains of the batch and record `n_steps` positions, `(n_steps, ..., *event_shape)`.

    `burn_in` steps are discarded first; one position is recorded after every `thin` steps. `keep` records a
    function of the state instead, for example `lambda state: state.energy`, so that long runs stay small.
    `state` may be a position, which `kernel.init` then checks. Raises `ValueError` for counts out of range.
    """
    for name, count, least in (("n_steps", n_steps, 1), ("burn_in", burn_in, 0), ("thin", thin, 1)):
        check_count(name, count, least)
    chain = iterate(kernel, state, generator=generator)
    for _ in range(burn_in):
        next(chain)
    record = keep or _position
    draws: Tensor | None = None
    for index in range(n_steps):
        for _ in range(thin - 1):
            next(chain)
        draw = record(next(chain)[0])
        if draws is None:
            draws = torch.empty((n_steps, *draw.shape), dtype=draw.dtype, device=draw.device)
        draws[index] = draw
    assert draws is not None
    return draws


def _position(state: State) -> Tensor:
    return state.position
