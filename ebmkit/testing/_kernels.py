"""Whether a sampler keeps the contract, and its distribution."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit import chance, enumeration
from ebmkit._checks import floating_tensor
from ebmkit._models import check_is_kernel, check_is_model
from ebmkit.energy import EnergyModel
from ebmkit.kernel import ModelKernel, State
from ebmkit.testing._enumerated_chance import Step, transition_matrix
from ebmkit.testing._models import FEW_STATES


def check_kernel(kernel: ModelKernel, position: Tensor | None = None, seed: int = 0) -> tuple[str, ...]:
    """Hold a kernel to the contract of `ebmkit.kernel`; returns the names of the checks that applied.

    Where the model has few states and the kernel draws by `ebmkit.chance.bernoulli` and `categorical`, its exact
    transition matrix T is built from the code that runs, and p T = p and that every state is reached are checked to
    rounding. Where the model can be sampled exactly, 20,000 exact draws are moved and must stay what they were.

    Parameters
    ----------
    kernel:
        With `init`, `step` and the `model` whose distribution it keeps.
    position:
        Where to start, `(n_chains, *event_shape)` with at least two chains; random values, or standard normal, if
        not given.
    seed:
        Of all that is drawn. The check of exact draws fails by chance with probability below 1e-6.

    Raises `AssertionError`, saying what is wrong, at the first check that fails.

    Raises `TypeError` for a kernel without a model.

    >>> from ebmkit.ising import Ising
    >>> from ebmkit.mcmc import Gibbs
    >>> check_kernel(Gibbs(Ising((2, 2), 0.3)))[-1]
    'every state is reached'
    """
    check_is_kernel(kernel, "check_kernel")
    if not hasattr(kernel, "model"):
        raise TypeError(f"{type(kernel).__name__} has no model; give it the one whose distribution it keeps")
    model = kernel.model
    check_is_model(model, "check_kernel")
    generator = torch.Generator(floating_tensor(model).device).manual_seed(seed)
    position = _start(model, generator) if position is None else position
    done = [_keeps_the_contract(kernel, position, seed)]
    if model.values is not None and enumeration.n_states(model) <= FEW_STATES:
        done += _has_the_right_matrix(kernel)
    elif hasattr(model, "sample"):
        done.append(_keeps_exact_draws(kernel, generator))
    return tuple(done)


def _start(model: EnergyModel, generator: Generator) -> Tensor:
    like = floating_tensor(model).new_empty(8, *model.event_shape)
    if model.values is None:
        return chance.normal(like, generator=generator)
    values = torch.tensor(model.values, dtype=like.dtype, device=like.device)
    p = torch.full((*like.shape, len(values)), 1 / len(values), dtype=torch.float64, device=like.device)
    return values[chance.categorical(p, generator=generator)]


def _keeps_the_contract(kernel: ModelKernel, position: Tensor, seed: int) -> str:
    state = kernel.init(position)
    kept, before = (State(state.position.clone(), state.energy.clone()) for _ in range(2))
    batch = tuple(position.shape[: position.dim() - len(kernel.model.event_shape)])
    moved, info = kernel.step(state, generator=torch.Generator(position.device).manual_seed(seed))
    again, _ = kernel.step(kept, generator=torch.Generator(position.device).manual_seed(seed))
    assert moved.position.shape == position.shape, f"step: positions {tuple(moved.position.shape)}"
    assert moved.position.dtype == position.dtype, f"step: positions are {moved.position.dtype}"
    energy = kernel.model.energy(moved.position)
    assert torch.allclose(moved.energy, energy, rtol=1e-4, atol=1e-6), (
        "step: the state's energy is not that of its position"
    )
    for name in ("acceptance", "divergent"):
        shape = tuple(getattr(info, name).shape)
        assert shape == batch, f"step: {name} has shape {shape}, not {batch}"
    assert info.divergent.dtype == torch.bool, f"step: divergent is {info.divergent.dtype}"
    assert bool(((info.acceptance >= 0) & (info.acceptance <= 1)).all()), "step: acceptance leaves [0, 1]"
    assert torch.equal(again.position, moved.position), "step: the generator does not decide it alone"
    assert torch.equal(state.position, before.position), "step has changed the state it was given"
    assert not moved.position.requires_grad, "step: positions carry a graph"
    return "keeps the contract"


def _has_the_right_matrix(kernel: ModelKernel) -> list[str]:
    model = kernel.model
    states, p = enumeration.states(model), enumeration.probabilities(model).detach()

    def step(x: Tensor, *, generator: Any) -> Tensor:
        state, _ = kernel.step(kernel.init(x), generator=generator)
        return state.position

    possible = p > 0
    matrix = _matrix(step, states[possible])
    if matrix is None:
        return []
    p = p[possible]
    off = float((p @ matrix - p).abs().max())
    assert off <= 1e-6, f"p T differs from p by {off:.3g}: the kernel does not leave exp(-E) invariant"
    reached = matrix > 0
    for _ in range(max(1, math.ceil(math.log2(len(states))))):
        reached |= (reached.double() @ reached.double()) > 0
    assert bool(reached.all()), "some states are never reached from some others"
    return ["leaves p invariant", "every state is reached"]


def _matrix(step: Step, states: Tensor) -> Tensor | None:
    try:
        return transition_matrix(step, states)
    except AssertionError as error:
        if "cannot be enumerated" in str(error):  # uniform or normal draws
            return None
        raise


def _keeps_exact_draws(kernel: ModelKernel, generator: Generator) -> str:
    sample: Any = kernel.model.sample
    n = 20_000
    start, fresh = sample((n,), generator=generator), sample((n,), generator=generator)
    state = kernel.init(start)
    for _ in range(5):
        state, _ = kernel.step(state, generator=generator)
    for name, f in (("x", lambda x: x), ("x²", lambda x: x**2), ("cos x", torch.cos)):
        moved, other = (f(x).reshape(n, -1).double() for x in (state.position, fresh))
        spread = ((moved.var(0) + other.var(0)) / n).sqrt()
        off = ((moved.mean(0) - other.mean(0)).abs() / spread.clamp(min=1e-300)).max()
        # Beyond 7 standard errors of a mean of 20,000: below 1e-11 for each of some thousand numbers.
        assert float(off) <= 7, (
            f"exact draws do not stay so: the mean of {name} moved by {float(off):.1f} standard errors"
        )
    return "keeps exact draws"
