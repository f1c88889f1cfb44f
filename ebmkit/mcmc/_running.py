"""Running chains: one step after another, with the positions recorded."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from ebmkit._checks import check_count
from ebmkit._models import check_is_kernel
from ebmkit.kernel import Kernel, State, StepInfo


def iterate(
    kernel: Kernel, state: State | Tensor, *, generator: Generator
) -> Iterator[tuple[State, StepInfo]]:
    """Yield `(state, info)` after every step of an endless chain; constant memory.

    >>> import torch
    >>> from ebmkit import annealing, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> walk = mcmc.MALA(annealing.GaussianBase((2,)), 0.3)
    >>> steps = mcmc.iterate(walk, torch.zeros(2).double(), generator=generator)
    >>> [next(steps)[0].position.shape for _ in range(2)]
    [torch.Size([2]), torch.Size([2])]
    """
    check_is_kernel(kernel, "mcmc.iterate")
    return _walk(kernel, state if isinstance(state, State) else kernel.init(state), generator)


def _walk(kernel: Kernel, current: State, generator: Generator) -> Iterator[tuple[State, StepInfo]]:
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

    >>> import torch
    >>> from ebmkit import ising, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> gibbs = mcmc.Gibbs(ising.Ising((4, 4), 0.4))
    >>> start = torch.ones(10, 4, 4)
    >>> mcmc.sample(gibbs, start, 20, generator=generator, burn_in=5, thin=2).shape
    torch.Size([20, 10, 4, 4])
    """
    check_is_kernel(kernel, "mcmc.sample")
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
