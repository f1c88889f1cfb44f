"""The learners: they differ in where the samples of the model come from."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from ebmkit import enumeration
from ebmkit._checks import (
    as_tensor,
    check_at_least_zero,
    check_count,
    check_generator,
    check_share,
    check_values,
    check_whole,
    floating_tensor,
)
from ebmkit._models import check_is_kernel, check_is_model
from ebmkit.chance import bernoulli, normal, uniform
from ebmkit.energy import EnergyModel
from ebmkit.kernel import Kernel

LearnerState = dict[str, Tensor]
History = dict[str, list[float]]


class Start(Protocol):
    """What draws in the shape of a batch, or at random from it: `(like, *, generator) -> Tensor`."""

    def __call__(self, like: Tensor, /, *, generator: Generator) -> Tensor: ...


class Gradient(NamedTuple):
    """What every learner returns.

    `parameters` is the gradient of minus the mean log-likelihood by parameter name, ready for an optimizer that
    descends; `state` is what the learner wants back at its next call (chains, fast weights), empty at first.

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> gradient = contrastive_divergence.cd(rbm, data, generator=generator)
    >>> {name: tuple(g.shape) for name, g in gradient.parameters.items()}
    {'W': (3, 2), 'a': (3,), 'b': (2,)}
    """

    parameters: dict[str, Tensor]
    state: LearnerState


class Learner(Protocol):
    """A gradient estimator; bind its options with `functools.partial(pcd, k=5)`."""

    def __call__(
        self, model: Any, data: Tensor, *, state: LearnerState | None, generator: Generator
    ) -> Gradient: ...


class Backend(Protocol):
    """What a model may offer to learn by instead of autograd: `backend()` returns it, or None.

    Gradients are those of minus the mean log-likelihood, by parameter name. `descent` is for a whole epoch of `pcd`
    with plain descent, in place: a context that gives an `Update`, or None where it cannot serve these data.
    """

    def contrast(self, positive: Tensor, negative: Tensor) -> dict[str, Tensor]: ...

    def cd(self, data: Tensor, k: int, *, generator: Generator) -> dict[str, Tensor]: ...

    def pcd(
        self, data: Tensor, chains: Tensor, k: int, *, generator: Generator
    ) -> tuple[dict[str, Tensor], Tensor]: ...

    def descent(
        self, data: Tensor, batches: list[Tensor], state: LearnerState, *, generator: Generator
    ) -> AbstractContextManager["Update"] | None: ...


class Update(Protocol):
    """Descends by one batch at a rate; returns the squared norm of the gradient, which `gradients` holds."""

    gradients: dict[str, Tensor]

    def __call__(self, rate: float) -> float: ...

    def chains(self) -> Tensor: ...


class DivergenceError(ArithmeticError):
    """Learning left the finite numbers. `history` holds what `fit` had recorded until then.

    >>> from ebmkit import contrastive_divergence
    >>> issubclass(contrastive_divergence.DivergenceError, ArithmeticError)
    True
    """

    history: History


def maximum_likelihood(
    model: EnergyModel, data: Tensor, *, state: LearnerState | None = None, generator: Generator | None = None
) -> Gradient:
    """The exact gradient of -mean log p(data), for models whose log Z can be summed.

        E_data[∇E(x)] - E_model[∇E(x)]

    `data (n, *event_shape)` (visible units alone for a DBM); nothing random is drawn. Raises `ValueError` where
    the model is too large to sum. Source: lecture 11, "Likelihood-based learning".

    Raises `DivergenceError` where log Z is not finite.

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> gradient = contrastive_divergence.maximum_likelihood(rbm, data)
    >>> sorted(gradient.parameters)
    ['W', 'a', 'b']
    """
    check_generator(generator)
    data = check_data(data, model, _visible_shape)
    free_energy = getattr(model, "free_energy", model.energy)
    log_z = enumeration.exact_log_partition(model)
    if not bool(log_z.isfinite()):
        raise DivergenceError(
            f"log Z of {type(model).__name__} is {log_z.item()}; its parameters have left where Z is finite, "
            "lower the learning rate"
        )
    return Gradient(gradients_of(model, free_energy(data).double().mean() + log_z), {})


def cd(
    model: EnergyModel,
    data: Tensor,
    k: int = 1,
    *,
    generator: Generator,
    state: LearnerState | None = None,
    kernel: Kernel | None = None,
) -> Gradient:
    """CD-k: the model's samples are k Markov steps from the data.

        E_data[∇E(x)] - E_{x' ~ P^k(x, ·), x in data}[∇E(x')]

    The chains move by `kernel`, by default the model's own `gibbs_step`. An RBM takes a path of five matrix
    products and no autograd. `data (n, *event_shape)` (visible units alone for a DBM). Raises `ValueError` for
    k < 1, data of another shape, not finite or, where the model is one of bits, outside [0, 1], and a model
    without a trainable parameter; `TypeError` for one without `gibbs_step` or kernel. Source: Hinton (2002).

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> gradient = contrastive_divergence.cd(rbm, data, k=1, generator=generator)
    >>> {name: tuple(g.shape) for name, g in gradient.parameters.items()}
    {'W': (3, 2), 'a': (3,), 'b': (2,)}
    """
    check_steps(k)
    data = check_data(data, model, _visible_shape)
    backend = backend_of(model)
    if backend is not None and kernel is None:
        return Gradient(_trained(model, backend.cd(data, k, generator=generator)), {})
    positive = _complete(model, data)
    negative = _advance(model, positive, k, kernel, generator)
    return Gradient(_contrast(model, positive, negative), {})


def pcd(
    model: EnergyModel,
    data: Tensor,
    k: int = 1,
    *,
    generator: Generator,
    state: LearnerState | None = None,
    kernel: Kernel | None = None,
    n_chains: int | None = None,
) -> Gradient:
    """Persistent CD: the model's samples are chains that go on from call to call, k steps a call.

    The gradient takes the chains where they stand, then they move for the next call, so that an RBM's data and
    chains share one matrix product. `state["chains"] (n_chains, *event_shape)` starts as rows of the data, as
    many as the batch has by default. Raises as `cd`. Source: Tieleman (2008).

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> first = contrastive_divergence.pcd(rbm, data, generator=generator, n_chains=10)
    >>> second = contrastive_divergence.pcd(rbm, data, generator=generator, state=first.state)
    >>> second.state["chains"].shape
    torch.Size([10, 3])
    """
    check_steps(k)
    data = check_data(data, model, _visible_shape)
    positive = _complete(model, data)
    chains = _chains(positive, state, n_chains, generator)
    backend = backend_of(model)
    if backend is not None and kernel is None:
        parameters, chains = backend.pcd(data, chains, k, generator=generator)
        return Gradient(_trained(model, parameters), {"chains": chains})
    parameters = _contrast(model, positive, chains)
    return Gradient(parameters, {"chains": _advance(model, chains, k, kernel, generator)})


def fast_pcd(
    model: EnergyModel,
    data: Tensor,
    k: int = 1,
    *,
    generator: Generator,
    state: LearnerState | None = None,
    kernel: Kernel | None = None,
    n_chains: int | None = None,
    fast_rate: float = 0.05,
    decay: float = 0.95,
) -> Gradient:
    """Fast PCD: chains as in `pcd`, moved by θ + θ_fast, which flattens the energy where the chains linger.

        θ_fast ← decay · θ_fast - fast_rate · gradient

    `state` holds the chains and one fast tensor a parameter. Raises as `cd`, and `ValueError` for a decay outside
    [0, 1). Source: Tieleman & Hinton, "Using fast weights to improve persistent CD" (2009).

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> gradient = contrastive_divergence.fast_pcd(rbm, data, generator=generator, n_chains=10)
    >>> sorted(gradient.parameters), "chains" in gradient.state
    (['W', 'a', 'b'], True)
    """
    check_steps(k)
    data = check_data(data, model, _visible_shape)
    if not 0 <= decay < 1:
        raise ValueError(f"decay must lie in [0, 1), got {decay}; the paper uses 0.95")
    check_at_least_zero("fast_rate", fast_rate)
    positive = _complete(model, data)
    chains = _chains(positive, state, n_chains, generator)
    parameters = _contrast(model, positive, chains)
    fast = {}
    for name, gradient in parameters.items():
        before = (state or {}).get(f"fast.{name}", torch.zeros_like(gradient))
        fast[f"fast.{name}"] = decay * before - fast_rate * gradient
    with _moved(model, fast):
        chains = _advance(model, chains, k, kernel, generator)
    return Gradient(parameters, {"chains": chains, **fast})


def replay(
    model: EnergyModel,
    data: Tensor,
    k: int = 20,
    *,
    kernel: Kernel,
    generator: Generator,
    state: LearnerState | None = None,
    start: Start = normal,
    buffer_size: int = 10_000,
    refresh: float = 0.05,
    energy_penalty: float = 0.0,
    largest_gap: float = 1000.0,
) -> Gradient:
    """Learning for deep energies: short chains from a buffer of earlier ones, some begun anew.

    A batch is taken from `state["buffer"] (buffer_size, *event_shape)`, each chain restarted from
    `start(like, generator=generator)` with probability `refresh`, moved k steps by `kernel`
    (`Langevin(model, ...)`), put back and contrasted with the data. `energy_penalty` adds α (E(x)² + E(x')²),
    which keeps energies small but biases the gradient; it is off unless asked for. The buffer is updated in
    place. Raises `DivergenceError` where an energy is not finite or the means of E over data and chains are
    more than `largest_gap` apart.
    Source: Du & Mordatch (2019); Nijkamp et al. (2020).

    Raises `ValueError` for a buffer smaller than the batch.

    >>> import torch
    >>> import ebmkit
    >>> from ebmkit import contrastive_divergence, mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> model = ebmkit.from_module(network, (2,))
    >>> kernel = mcmc.Langevin(model, 0.01)
    >>> gradient = contrastive_divergence.replay(model, torch.zeros(5, 2), 3, kernel=kernel, generator=generator)
    >>> gradient.state["buffer"].shape
    torch.Size([10000, 2])
    """
    check_steps(k)
    data = check_data(data, model, _event_shape)
    check_share("refresh", refresh)
    check_at_least_zero("energy_penalty", energy_penalty)
    if buffer_size < len(data):
        raise ValueError(f"buffer_size must be at least the batch size {len(data)}, got {buffer_size}")
    buffer = (state or {}).get("buffer")
    if buffer is None:
        buffer = start(data.new_empty(buffer_size, *data.shape[1:]), generator=generator)
    row = uniform(buffer.new_empty(len(buffer)), generator=generator).argsort()[: len(data)]
    anew = bernoulli(buffer.new_full((len(row),), refresh), generator=generator)
    x = torch.where(anew.reshape(-1, *[1] * (data.dim() - 1)), start(data, generator=generator), buffer[row])
    x = _advance(model, x, k, kernel, generator)
    buffer[row] = x
    positive, negative = model.energy(data), model.energy(x)
    gap = positive.mean() - negative.mean()
    if not abs(gap.item()) <= largest_gap:
        raise DivergenceError(
            f"the energies of data and chains are {gap.item():.4g} apart (limit {largest_gap:g}), the chains no"
            " longer follow the model; take more or smaller steps, a lower learning rate, or energy_penalty=1e-3"
        )
    penalty = energy_penalty * (positive.square() + negative.square()).mean()
    return Gradient(gradients_of(model, gap + penalty), {"buffer": buffer})


def by_loss(loss: Callable[..., Tensor]) -> Learner:
    """The learner that follows the gradient of a `loss(model, data, *, generator)`, such as score matching.

    A loss that draws nothing may leave `generator` out of its arguments.

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence, score_matching
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> learner = contrastive_divergence.by_loss(score_matching.pseudo_likelihood)
    >>> sorted(learner(rbm, torch.tensor([[1.0, 1.0, 0.0]]), generator=generator).parameters)
    ['W', 'a', 'b']
    """

    asked = inspect.signature(loss).parameters
    draws = "generator" in asked or any(p.kind is p.VAR_KEYWORD for p in asked.values())

    @functools.wraps(loss)
    def learner(
        model: Any, data: Tensor, *, state: LearnerState | None = None, generator: Generator | None = None
    ) -> Gradient:
        data = check_data(data, model)  # the loss knows what an example is
        value = loss(model, data, generator=generator) if draws else loss(model, data)
        return Gradient(gradients_of(model, value), {})

    return learner


def gradients_of(model: EnergyModel, loss: Tensor) -> dict[str, Tensor]:
    """∂loss/∂θ by name, zero for a parameter the loss does not depend on."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    _check_trainable(model, parameters)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(parameters.items(), found)}


def _contrast(model: EnergyModel, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
    """The gradient of mean E(positive) - mean E(negative)."""
    backend = backend_of(model)
    if backend is not None:
        return _trained(model, backend.contrast(positive, negative))
    return gradients_of(model, model.energy(positive).mean() - model.energy(negative).mean())


def backend_of(model: EnergyModel) -> Backend | None:
    """The model's own way to its gradients, if it has one."""
    make: Callable[[], Backend | None] | None = getattr(model, "backend", None)
    return None if make is None else make()


def _trained(model: EnergyModel, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of the parameters that are trained; raises where none is."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    _check_trainable(model, parameters)
    return {name: gradients[name] for name in parameters}


def _complete(model: EnergyModel, data: Tensor) -> Tensor:
    """The data as x of the model: with the means of hidden units where the model keeps them in x."""
    complete: Callable[[Tensor], Tensor] | None = getattr(model, "complete", None)
    return data if complete is None else complete(data)


def _chains(
    positive: Tensor, state: LearnerState | None, n_chains: int | None, generator: Generator
) -> Tensor:
    if state and "chains" in state:
        return state["chains"]
    if n_chains is None:
        return positive.clone()
    check_count("n_chains", n_chains, 1)
    row = uniform(positive.new_empty(n_chains), generator=generator) * len(positive)
    return positive[row.long().clamp(max=len(positive) - 1)]


def _advance(model: EnergyModel, x: Tensor, k: int, kernel: Kernel | None, generator: Generator) -> Tensor:
    """k steps of the kernel, or of the model's own Gibbs step."""
    if kernel is None:
        gibbs_step: Callable[..., Tensor] | None = getattr(model, "gibbs_step", None)
        if gibbs_step is None:
            way_out = "Langevin(model, step_size=...)" if model.values is None else "Gibbs(model)"
            raise TypeError(f"{type(model).__name__} has no gibbs_step; pass kernel=mcmc.{way_out}")
        for _ in range(k):
            x = gibbs_step(x, generator=generator)
        return x
    _check_kernel(kernel, model)
    state = kernel.init(x)
    for step in range(k):
        state, info = kernel.step(state, generator=generator)
        if bool(info.divergent.any()):
            raise DivergenceError(
                f"{int(info.divergent.sum())} of {info.divergent.numel()} chains left the finite numbers at Markov"
                f" step {step + 1} of {k}; take smaller steps or a lower learning rate"
            )
    return state.position.detach()


def _check_kernel(kernel: Kernel, model: EnergyModel) -> None:
    """Raises where the kernel is none, or names another model, one that does not learn with this one."""
    check_is_kernel(kernel, "a learner")
    moves = getattr(kernel, "model", model)
    shared = {id(p) for p in model.parameters()} & {id(p) for p in moves.parameters()}
    if moves is not model and not shared:
        name = type(kernel).__name__
        raise ValueError(
            f"the kernel {name} moves chains of another model ({type(moves).__name__}) than the one that learns "
            f"({type(model).__name__}), and shares no parameter with it; make it of the model: {name}(model, ...)"
        )


@contextmanager
def _moved(model: EnergyModel, fast: Mapping[str, Tensor]) -> Iterator[None]:
    """The model at θ + θ_fast, and afterwards at θ again, to the bit."""
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if f"fast.{name}" in fast}
    try:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in kept:
                    parameter.add_(fast[f"fast.{name}"])
        yield
    finally:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in kept:
                    parameter.copy_(kept[name])


def check_steps(k: int) -> None:
    if check_whole("k", k) < 1:
        raise ValueError(f"k counts Markov steps and must be at least 1, got {k}")


def check_batch(data: Tensor, event: tuple[int, ...]) -> None:
    """Raises unless data are `(n, *event)`: one batch axis, and one row or more."""
    if data.dim() > 0 and data.numel() > 0 and data.shape[1:] == event:
        return
    wanted = str(("n", *event)).replace("'", "")
    ends_so = data.shape[max(data.dim() - len(event), 0) :] == event
    way_out = ""
    if data.numel() and (ends_so or data.shape[1:].numel() == math.prod(event)):
        way_out = f"; for one batch axis use data.reshape{(-1, *event)}"
    raise ValueError(f"data must have shape {wanted} with n at least 1, got {tuple(data.shape)}{way_out}")


def _visible_shape(model: EnergyModel) -> tuple[int, ...]:
    """The shape of one example: that of one x, without the hidden layers where x holds them."""
    return tuple(getattr(model, "visible_shape", model.event_shape))


def _event_shape(model: EnergyModel) -> tuple[int, ...]:
    return tuple(model.event_shape)


def _check_trainable(model: EnergyModel, parameters: Mapping[str, Tensor]) -> None:
    if not parameters:
        raise ValueError(
            f"{type(model).__name__} has no trainable parameter; make what is to be learned an nn.Parameter, or"
            " call model.requires_grad_(True) where it is frozen"
        )


def check_data(
    data: Tensor, model: EnergyModel, shape: Callable[[EnergyModel], tuple[int, ...]] | None = None
) -> Tensor:
    """The data as a tensor, after the checks of a learner: numbers only where `fit` has not looked at them."""
    check_is_model(model, "a learner")
    data = as_tensor(data, floating_tensor(model), "data")
    check_batch(data, data.shape[1:] if shape is None else shape(model))
    if not _looked_at.get():
        check_numbers(data, model)
    return data


def check_numbers(data: Tensor, model: EnergyModel) -> None:
    """Raises where data are not finite or not values of the model; of bits, means in [0, 1] do as well."""
    low, high = finite_range(data)
    if model.values is None:
        return
    if tuple(model.values) != (0, 1):
        check_values(data, tuple(model.values), f"the data of {type(model).__name__}")
    elif not 0 <= low <= high <= 1:
        raise ValueError(
            f"the data of {type(model).__name__} must lie in [0, 1], got values from {low:g} to {high:g};"
            " divide grey levels by 255, or turn spins into (x + 1) / 2"
        )


def finite_range(data: Tensor) -> tuple[float, float]:
    # The extremes are not finite where any element is not, and are found faster than the elements.
    low, high = (extreme.item() for extreme in data.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = data[~data.isfinite()]
        raise ValueError(f"data must be finite, got {wrong[0].item()} in {len(wrong)} places")
    return low, high


_looked_at = ContextVar("_looked_at", default=False)


@contextmanager
def numbers_looked_at() -> Iterator[None]:
    """Spares the learners a look at every number of every batch."""
    token = _looked_at.set(True)
    try:
        yield
    finally:
        _looked_at.reset(token)
