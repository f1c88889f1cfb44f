"""Learning without Z: where the likelihood's gradient asks for samples of the model, take a few Markov steps.

    ∇_θ [-mean log p(x)] = E_data[∇_θ E(x)] - E_model[∇_θ E(x)];   the learners differ in the second term

Source: lecture 11, "(Persistent) contrastive divergence"; Hinton (2002); Tieleman (2008).
"""

import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ebmkit import chance, enumeration
from ebmkit.boltzmann_machines import DBM, RBM
from ebmkit.chance import Generator, bernoulli, bits, normal, uniform
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import Kernel

LearnerState = dict[str, Tensor]
History = dict[str, list[float]]
Start = Callable[[Tensor, Generator], Tensor]


class Gradient(NamedTuple):
    """What every learner returns.

    `parameters` is the gradient of minus the mean log-likelihood by parameter name, ready for an optimizer that
    descends; `state` is what the learner wants back at its next call (chains, fast weights), empty at first.
    """

    parameters: dict[str, Tensor]
    state: LearnerState


class Learner(Protocol):
    """A gradient estimator; bind its options with `functools.partial(pcd, k=5)`."""

    def __call__(
        self, model: Any, data: Tensor, *, state: LearnerState | None, generator: Generator
    ) -> Gradient: ...


class DivergenceError(ArithmeticError):
    """Learning left the finite numbers. `history` holds what `fit` had recorded until then."""

    history: History


# --- learners --------------------------------------------------------------------------------------------


def maximum_likelihood(
    model: EnergyModel, data: Tensor, *, state: LearnerState | None = None, generator: Generator = None
) -> Gradient:
    """The exact gradient of -mean log p(data), for models whose log Z can be summed.

        E_data[∇E(x)] - E_model[∇E(x)]

    `data (n, *event_shape)` (visible units alone for a DBM); nothing random is drawn. Raises `ValueError` where
    the model is too large to sum. Source: lecture 11, "Likelihood-based learning".
    """
    _check_data(data, model, _visible_shape(model))
    free_energy = getattr(model, "free_energy", model.energy)
    exact = getattr(model, "exact_log_partition", None)
    log_z = enumeration.log_partition(model) if exact is None else exact()
    return Gradient(_gradients(model, free_energy(data).double().mean() + log_z), {})


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
    """
    _check_steps(k)
    _check_data(data, model, _visible_shape(model))
    if type(model) is RBM and kernel is None:
        return Gradient(_rbm_cd(model, data, k, generator), {})
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
    """
    _check_steps(k)
    _check_data(data, model, _visible_shape(model))
    positive = _complete(model, data)
    chains = _chains(positive, state, n_chains, generator)
    if type(model) is RBM and kernel is None:
        parameters, chains = _rbm_pcd(model, data, chains, k, generator)
        return Gradient(parameters, {"chains": chains})
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
    """
    _check_steps(k)
    _check_data(data, model, _visible_shape(model))
    if not 0 <= decay < 1:
        raise ValueError(f"decay must lie in [0, 1), got {decay}; the paper uses 0.95")
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
    `start(like, generator)` with probability `refresh`, moved k steps by `kernel` (`Langevin(model, ...)`), put
    back and contrasted with the data. `energy_penalty` adds α (E(x)² + E(x')²), which keeps energies small but
    biases the gradient; it is off unless asked for. The buffer is updated in place. Raises `DivergenceError`
    where an energy is not finite or the means of E over data and chains are more than `largest_gap` apart.
    Source: Du & Mordatch (2019); Nijkamp et al. (2020).
    """
    _check_steps(k)
    _check_data(data, model, tuple(model.event_shape))
    if buffer_size < len(data):
        raise ValueError(f"buffer_size must be at least the batch size {len(data)}, got {buffer_size}")
    buffer = (state or {}).get("buffer")
    if buffer is None:
        buffer = start(data.new_empty(buffer_size, *data.shape[1:]), generator)
    row = uniform(buffer.new_empty(len(buffer)), generator).argsort()[: len(data)]
    anew = bernoulli(buffer.new_full((len(row),), refresh), generator)
    x = torch.where(anew.reshape(-1, *[1] * (data.dim() - 1)), start(data, generator), buffer[row])
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
    return Gradient(_gradients(model, gap + penalty), {"buffer": buffer})


def by_loss(loss: Callable[[Any, Tensor, Generator], Tensor]) -> Learner:
    """The learner that follows the gradient of any `loss(model, data, generator)`, score matching for one."""

    @functools.wraps(loss)
    def learner(
        model: Any, data: Tensor, *, state: LearnerState | None = None, generator: Generator = None
    ) -> Gradient:
        _check_data(data, model, data.shape[1:])  # the loss knows what an example is
        return Gradient(_gradients(model, loss(model, data, generator)), {})

    return learner


# --- the exact expectation of CD -------------------------------------------------------------------------


def expected_cd_gradient(
    model: EnergyModel,
    data: Tensor,
    k: int = 1,
    *,
    weights: Tensor | None = None,
    transition: Tensor | None = None,
) -> dict[str, Tensor]:
    """What `cd` estimates, without its noise: every path of the chain is enumerated.

        Σ_x (p_data(x) - (p_data P^k)(x)) ∇E(x)

    `data (n, *event_shape)` with probabilities `weights (n,)`, equal by default. `transition` is the kernel's
    matrix over `enumeration.states(model)`; an RBM has its own. Zero where the data are the model's distribution;
    tends to the gradient of the likelihood as |λ_2|^k. Source: Carreira-Perpiñán & Hinton (2005).
    """
    _check_steps(k)
    _check_data(data, model, tuple(model.event_shape))
    if transition is None:
        if not isinstance(model, RBM):
            raise TypeError(
                f"{type(model).__name__} does not know its transition matrix; pass transition=..."
            )
        transition = model.transition_matrix()
    states = enumeration.states(model)
    if weights is None:
        weights = torch.full((len(data),), 1 / len(data), dtype=torch.float64, device=data.device)
    p_data = torch.zeros(len(states), dtype=torch.float64, device=data.device)
    p_data.index_add_(0, _state_number(model, data), weights.double())
    p_chain = p_data
    for _ in range(k):
        p_chain = p_chain @ transition
    return _gradients(model, ((p_data - p_chain) * model.energy(states)).sum())


def _state_number(model: EnergyModel, x: Tensor) -> Tensor:
    """The row of each x in `enumeration.states(model)`; raises where x is no state."""
    values = torch.tensor(model.values, dtype=x.dtype, device=x.device)
    is_value = x.reshape(len(x), -1, 1) == values
    if not bool(is_value.any(-1).all()):
        raise ValueError(f"the data must take the values {model.values} of {type(model).__name__}")
    digits = is_value.long().argmax(-1)
    place = len(values) ** torch.arange(digits.shape[1] - 1, -1, -1, device=x.device)
    return (digits * place).sum(-1)


# --- the training loop -----------------------------------------------------------------------------------


@dataclass
class _Progress:
    """Where a run of `fit` stands; what a checkpoint holds besides model, optimizer and generator."""

    epoch: int = 0
    step: int = 0
    learner_state: LearnerState = field(default_factory=dict)
    history: History = field(default_factory=dict)


def fit(
    model: EnergyModel,
    data: Tensor,
    learner: Learner = pcd,
    *,
    generator: torch.Generator,
    n_epochs: int = 10,
    batch_size: int | None = 100,
    learning_rate: float | Callable[[int], float] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    transform: Callable[[Tensor, Generator], Tensor] | None = None,
    monitor: Callable[[Any], Mapping[str, float | Tensor]] | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
    checkpoint: str | Path | None = None,
) -> History:
    """Trains `model` in place on `data (n, ...)` with any learner; returns the history, one column a quantity.

    - `batch_size`: examples an update, drawn anew each epoch; None takes all.
    - `learning_rate`: a number (0.01 by default) or a function of the number of updates made.
    - `optimizer`: plain gradient descent by default; with another, `learning_rate=None` leaves its own rate.
    - `transform(batch, generator)`: what to do to each batch, `chance.bernoulli` to binarise grey levels.
    - `monitor(model)`: quantities to record after each epoch; `callback(record)`: called with each record.
    - `checkpoint`: a file written after each epoch. Where it exists the run goes on from it, and ends bit for bit
      as if it had not been interrupted.

    The columns are `epoch`, `step`, `learning_rate`, `gradient_norm` (mean over the epoch) and the monitor's.
    Raises `DivergenceError` naming step and value as soon as a gradient or a parameter is not finite; the model is
    then back at the end of the epoch before. Raises `ValueError` for data that are empty, not finite, or, where
    the model is one of bits, outside [0, 1] (after the transform), and for a checkpoint that is damaged or that
    another run wrote: with another learner, optimizer, model shape, batch size or data.
    """
    _check_batch(data, data.shape[1:])  # a transform may make examples of another shape
    if transform is None:
        _check_numbers(data, model)
    else:
        _finite_range(data)
    if optimizer is None and learning_rate is None:
        learning_rate = 0.01
    progress, size = _Progress(), len(data) if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, or None for all data, got {batch_size}")
    if n_epochs < 0:
        raise ValueError(f"n_epochs must be at least 0, got {n_epochs}")
    path = None if checkpoint is None else Path(checkpoint)
    run = {} if path is None else _marks(data, learner, optimizer, size)
    if path is not None and path.exists():
        progress = _load(path, run, model, optimizer, generator)
    while progress.epoch < n_epochs:
        with _numbers_looked_at():
            record = _epoch(
                model, data, learner, generator, size, learning_rate, optimizer, transform, progress
            )
        for name, value in (monitor(model) if monitor else {}).items():
            record[name] = float(value.detach() if isinstance(value, Tensor) else value)
        for name, value in record.items():
            progress.history.setdefault(name, []).append(value)
        if path is not None:
            _save(path, run, model, optimizer, generator, progress)
        if callback is not None:
            callback(record)
    return progress.history


def _epoch(
    model: EnergyModel,
    data: Tensor,
    learner: Learner,
    generator: torch.Generator,
    batch_size: int,
    learning_rate: float | Callable[[int], float] | None,
    optimizer: torch.optim.Optimizer | None,
    transform: Callable[[Tensor, Generator], Tensor] | None,
    progress: _Progress,
) -> dict[str, float]:
    """One pass over the data in a fresh order; restores the model where it diverges."""
    good = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    order = uniform(torch.empty(len(data), device=data.device), generator).argsort(stable=True)
    batches: list[Tensor] = list(torch.split(order, batch_size))
    parameters = dict(model.named_parameters())
    norms: list[float] = []
    rate = math.nan
    try:
        if learner is pcd and optimizer is None and transform is None and type(model) is RBM:
            full = batches[: len(data) // batch_size]
            norms, rate = _rbm_pcd_in_place(model, data, full, generator, learning_rate, progress)
        for rows in batches[len(norms) :]:
            batch = data.index_select(0, rows)
            if transform is not None:
                batch = transform(batch, generator).to(data.dtype)
                if not norms:
                    _check_numbers(batch, model)
            gradient = learner(model, batch, state=progress.learner_state, generator=generator)
            norms.append(_finite_norm(gradient.parameters, "the gradient of "))
            wanted = learning_rate(progress.step) if callable(learning_rate) else learning_rate
            rate = _descend(parameters, gradient.parameters, optimizer, wanted)
            progress.learner_state, progress.step = gradient.state, progress.step + 1
            del gradient  # its memory is warm: the next gradient shall have it
        _finite_norm(parameters, "")
    except DivergenceError as error:
        model.load_state_dict(good)
        diverged = DivergenceError(
            f"step {progress.step}: {error}; the model is back where epoch {progress.epoch + 1} began"
        )
        diverged.history = progress.history
        raise diverged from error
    progress.epoch += 1
    return {
        "epoch": float(progress.epoch),
        "step": float(progress.step),
        "learning_rate": rate,
        "gradient_norm": math.fsum(norms) / len(norms),
    }


@torch.no_grad()
def _descend(
    parameters: Mapping[str, Tensor],
    gradients: dict[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
    rate: float | None,
) -> float:
    """One update; returns the rate it was made with."""
    if optimizer is None:
        assert rate is not None  # fit has set the default
        for name, gradient in gradients.items():
            parameters[name].sub_(gradient, alpha=rate)
        return rate
    for name, parameter in parameters.items():
        parameter.grad = gradients.get(name)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] if rate is None else rate
    optimizer.step()
    return float(optimizer.param_groups[0]["lr"])


def _finite_norm(tensors: Mapping[str, Tensor], what: str) -> float:
    """The norm of all tensors together; raises where one is not finite, naming it."""
    total = 0.0
    for name, tensor in tensors.items():
        flat = tensor.detach().flatten()
        flat = flat.float() if flat.dtype.itemsize < 4 else flat  # whose squares a float16 cannot hold
        norm = math.sqrt(torch.dot(flat, flat).item())
        if not math.isfinite(norm):
            bad = tensor[~tensor.isfinite()]
            value = bad[0].item() if bad.numel() else f"finite, but its norm is {norm}"
            raise DivergenceError(
                f"{what}{name} is {value}; lower the learning rate, or take more Markov steps"
            )
        total += norm * norm
    return math.sqrt(total)


def _name(learner: Learner) -> str:
    """The learner with its options, so that a checkpoint knows whose it is; objects by their type."""
    if not isinstance(learner, functools.partial):
        return getattr(learner, "__name__", type(learner).__name__)
    plain = (int, float, str, bool, type(None))
    options = {name: v if isinstance(v, plain) else type(v).__name__ for name, v in learner.keywords.items()}
    return f"{_name(learner.func)}({', '.join(f'{name}={value}' for name, value in sorted(options.items()))})"


def _marks(
    data: Tensor,
    learner: Learner,
    optimizer: torch.optim.Optimizer | None,
    batch_size: int,
) -> dict[str, Any]:
    """What tells one run from another. A run may go on with another learning rate: it is what one lowers."""
    return {
        "learner": _name(learner),
        "optimizer": "gradient descent" if optimizer is None else type(optimizer).__name__,
        "examples": len(data),
        "batch_size": batch_size,
        "data_shape": list(data.shape),
        "data_sums": _sums(data),
    }


def _sums(data: Tensor) -> list[float]:
    """Two sums that other data, or the same in another order, are unlikely to share.

    Their terms (x + 1)² weigh more with each row and with each column. None is negative, so that rounding, as
    other processors round, changes the sums by less than the millionth that `_load` overlooks.
    """
    squares = (data.detach().cpu().reshape(len(data), -1) + 1).square_()
    sums = [squares.sum(axis, dtype=torch.float64) for axis in (0, 1)]
    return [(x @ torch.arange(1, len(x) + 1, dtype=x.dtype)).item() for x in sums]


def _save(
    path: Path,
    run: Mapping[str, Any],
    model: EnergyModel,
    optimizer: torch.optim.Optimizer | None,
    generator: torch.Generator,
    progress: _Progress,
) -> None:
    """Writes beside `path` and then renames, so that a reader or a crash never meets half a file."""
    written = path.with_name(path.name + ".writing")
    torch.save(
        {
            "run": dict(run),
            "model": model.state_dict(),
            "optimizer": None if optimizer is None else optimizer.state_dict(),
            "generator": generator.get_state(),
            "progress": vars(progress),
        },
        written,
    )
    os.replace(written, path)


def _load(
    path: Path,
    run: Mapping[str, Any],
    model: EnergyModel,
    optimizer: torch.optim.Optimizer | None,
    generator: torch.Generator,
) -> _Progress:
    saved = _read(path)
    for name, value in run.items():
        before = saved["run"].get(name, value)  # older files lack some marks
        if not (_close(before, value) if name == "data_sums" else before == value):
            raise _refusal(path, f"was written with {name}={before}, this run has {name}={value}")
    found, wanted = ({n: tuple(t.shape) for n, t in s.items()} for s in (saved["model"], model.state_dict()))
    if found != wanted:
        name = min(dict(found.items() ^ wanted.items()))
        theirs, ours = (shapes.get(name, "none") for shapes in (found, wanted))
        raise _refusal(path, f"holds {name} of shape {theirs}, the model has {ours}")
    model.load_state_dict(saved["model"])
    if optimizer is not None:
        optimizer.load_state_dict(saved["optimizer"])
    generator.set_state(saved["generator"])
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    progress = _Progress(**saved["progress"])
    progress.learner_state = {name: tensor.to(device) for name, tensor in progress.learner_state.items()}
    return progress


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # what a damaged file raises depends on where the damage is
            raise _refusal(path, f"is damaged, or fit did not write it ({type(error).__name__})") from error
    if not isinstance(saved, dict) or not saved.keys() >= {"run", "model", "generator", "progress"}:
        raise _refusal(path, "is damaged, or fit did not write it")
    return saved


def _refusal(path: Path, why: str) -> ValueError:
    return ValueError(f"the checkpoint {path} {why}; delete the file or give this run another")


def _close(a: list[float], b: list[float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-6) for x, y in zip(a, b))


def pretrain(
    model: DBM,
    data: Tensor,
    learner: Learner = cd,
    *,
    generator: torch.Generator,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> list[History]:
    """Layerwise pre-training of a DBM: one RBM a pair of layers, each trained on the means of the layer below.

    An inner layer will hear from both sides, so the bottom RBM sees its data twice, the top one its hidden units
    twice, and the weights of those between are halved. Weights and biases start where the model has them.
    `data (n, sizes[0])`; `options` go to `fit`; `checkpoint` names one file for each pair by adding its number.
    Returns a history for each pair.
    Source: Salakhutdinov & Hinton (2009), section 3.1.
    """
    pairs, x, histories = len(model.sizes) - 1, data, []
    biases: list[list[Tensor]] = [[] for _ in model.sizes]
    for l in range(pairs):
        pair = _Doubled(model, l, below=2 if l == 0 < pairs - 1 else 1, above=2 if 0 < l == pairs - 1 else 1)
        path = None if checkpoint is None else f"{checkpoint}.{l}"
        histories.append(fit(pair, x, learner, generator=generator, checkpoint=path, **options))
        with torch.no_grad():
            x = pair.hidden_probability(x)
            model.weights[l].copy_(pair.rbm.W if l in (0, pairs - 1) else pair.rbm.W / 2)
            biases[l].append(pair.rbm.a.detach())
            biases[l + 1].append(pair.rbm.b.detach())
    with torch.no_grad():
        for target, found in zip(model.biases, biases):
            target.copy_(torch.stack(found).mean(0))
    return histories


class _Doubled(EnergyModel):
    """An RBM that counts its visible units `below` times and its hidden ones `above` times, weights tied."""

    values = (0.0, 1.0)

    def __init__(self, model: DBM, l: int, below: int, above: int) -> None:
        super().__init__()
        W: Tensor = model.weights[l]
        self.rbm = RBM(*W.shape, scale=0.0, dtype=W.dtype, device=W.device)
        self.rbm.W.data.copy_(W)
        self.rbm.a.data.copy_(model.biases[l])
        self.rbm.b.data.copy_(model.biases[l + 1])
        self.event_shape, self.below, self.above = self.rbm.event_shape, below, above

    def energy(self, v: Tensor) -> Tensor:
        field = self.rbm.b + self.below * (v @ self.rbm.W)
        return -self.above * torch.nn.functional.softplus(field).sum(-1) - self.below * (v @ self.rbm.a)

    def hidden_probability(self, v: Tensor) -> Tensor:
        return (self.rbm.b + self.below * (v @ self.rbm.W)).sigmoid()

    @torch.no_grad()
    def gibbs_step(self, v: Tensor, generator: Generator) -> Tensor:
        h = bits(self.hidden_probability(v), generator)
        p = (self.rbm.a + self.above * (h @ self.rbm.W.T)).sigmoid()
        return bits(p, generator)


# --- what the learners share -----------------------------------------------------------------------------


def _gradients(model: EnergyModel, loss: Tensor) -> dict[str, Tensor]:
    """∂loss/∂θ by name, zero for a parameter the loss does not depend on."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    _check_trainable(model, parameters)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(parameters.items(), found)}


def _contrast(model: EnergyModel, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
    """The gradient of mean E(positive) - mean E(negative)."""
    if type(model) is RBM:
        both = torch.cat([positive, negative])
        with torch.no_grad():
            return _rbm_gradient(model, both, model.hidden_probability(both), len(positive))
    return _gradients(model, model.energy(positive).mean() - model.energy(negative).mean())


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
    if n_chains < 1:
        raise ValueError(f"n_chains must be at least 1, got {n_chains}")
    row = uniform(positive.new_empty(n_chains), generator) * len(positive)
    return positive[row.long().clamp(max=len(positive) - 1)]


def _advance(model: EnergyModel, x: Tensor, k: int, kernel: Kernel | None, generator: Generator) -> Tensor:
    """k steps of the kernel, or of the model's own Gibbs step."""
    if kernel is None:
        gibbs_step: Callable[[Tensor, Generator], Tensor] | None = getattr(model, "gibbs_step", None)
        if gibbs_step is None:
            name = type(model).__name__
            raise TypeError(f"{name} has no gibbs_step; pass kernel=mcmc.Langevin(model, step_size=...)")
        for _ in range(k):
            x = gibbs_step(x, generator)
        return x
    state = kernel.init(x)
    for step in range(k):
        state, info = kernel.step(state, generator)
        if bool(info.divergent.any()):
            raise DivergenceError(
                f"{int(info.divergent.sum())} of {info.divergent.numel()} chains left the finite numbers at Markov"
                f" step {step + 1} of {k}; take smaller steps or a lower learning rate"
            )
    return state.position.detach()


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


def _check_steps(k: int) -> None:
    if k < 1:
        raise ValueError(f"k counts Markov steps and must be at least 1, got {k}")


def _check_batch(data: Tensor, event: tuple[int, ...]) -> None:
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
    return model.sizes[:1] if isinstance(model, DBM) else tuple(model.event_shape)


def _check_trainable(model: EnergyModel, parameters: Mapping[str, Tensor]) -> None:
    if not parameters:
        raise ValueError(
            f"{type(model).__name__} has no trainable parameter; make what is to be learned an nn.Parameter, or"
            " call model.requires_grad_(True) where it is frozen"
        )


def _check_data(data: Tensor, model: EnergyModel, event: tuple[int, ...]) -> None:
    """The checks of a learner: shapes always, numbers where `fit` has not looked at them."""
    _check_batch(data, event)
    if not _looked_at.get():
        _check_numbers(data, model)


def _check_numbers(data: Tensor, model: EnergyModel) -> None:
    """Raises where data are not finite or, for a model of bits, not bits or probabilities."""
    low, high = _finite_range(data)
    if tuple(model.values or ()) == (0, 1) and not 0 <= low <= high <= 1:
        raise ValueError(
            f"the data of {type(model).__name__} must lie in [0, 1], got values from {low:g} to {high:g};"
            " divide grey levels by 255, or turn spins into (x + 1) / 2"
        )


def _finite_range(data: Tensor) -> tuple[float, float]:
    # The extremes are not finite where any element is not, and are found faster than the elements.
    low, high = (extreme.item() for extreme in data.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = data[~data.isfinite()]
        raise ValueError(f"data must be finite, got {wrong[0].item()} in {len(wrong)} places")
    return low, high


_looked_at = ContextVar("_looked_at", default=False)


@contextmanager
def _numbers_looked_at() -> Iterator[None]:
    """Spares the learners a look at every number of every batch."""
    token = _looked_at.set(True)
    try:
        yield
    finally:
        _looked_at.reset(token)


# --- RBMs without autograd: three or four large matrix products an update --------------------------------


@torch.no_grad()
def _rbm_cd(model: RBM, data: Tensor, k: int, generator: Generator) -> dict[str, Tensor]:
    p_data = model.hidden_probability(data)
    v = model.sample_visible(bits(p_data, generator), generator)
    for _ in range(k - 1):
        v = model.gibbs_step(v, generator)
    p = torch.cat([p_data, model.hidden_probability(v)])
    return _rbm_gradient(model, torch.cat([data, v]), p, len(data))


@torch.no_grad()
def _rbm_pcd(
    model: RBM, data: Tensor, chains: Tensor, k: int, generator: Generator
) -> tuple[dict[str, Tensor], Tensor]:
    both = torch.cat([data, chains])
    share = _share(len(data), len(chains), both.dtype, both.device)
    p, h, total = _hidden_layer(model, both, share, len(data), generator)
    v = model.sample_visible(h, generator)
    for _ in range(k - 1):
        v = model.gibbs_step(v, generator)
    return _rbm_products(model, both, p, share, total), v


def _hidden_layer(
    model: RBM, v: Tensor, share: Tensor, n_data: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities times `share`, bits for the rows after the data, and the sum of the former over rows."""
    kernels = chance.compiled(v, generator)
    if kernels is None:
        p = model.hidden_probability(v)
        h = bits(p[n_data:], generator)
        p *= share[:, None]
        return p, h, p.sum(0)
    p = model._input(v)
    h, total = p.new_empty(len(p) - n_data, p.shape[1]), p.new_empty(p.shape[1])
    field, bias, drawn = p.numpy(), model.b.detach().numpy(), h.numpy()
    words = chance.stream(kernels, generator)
    kernels.draw_layer(field, bias, drawn, words, share.numpy(), total.numpy())
    return p, h, total


def _rbm_gradient(model: RBM, v: Tensor, p: Tensor, n_data: int) -> dict[str, Tensor]:
    """Chain averages minus data averages of (v p, v, p), the first `n_data` rows data; overwrites p."""
    share = _share(n_data, len(v) - n_data, p.dtype, p.device)
    p *= share[:, None]
    return _rbm_products(model, v, p, share, p.sum(0))


@functools.lru_cache(maxsize=8)
def _share(n_data: int, n_chains: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What each row counts for in the gradient: -1/n_data for data, 1/n_chains for the chains after them."""
    shares = [-1 / n_data] * n_data + [1 / n_chains] * n_chains
    return torch.tensor(shares, dtype=dtype, device=device)


def _rbm_products(model: RBM, v: Tensor, p: Tensor, share: Tensor, total: Tensor) -> dict[str, Tensor]:
    gradients = {"W": v.T @ p, "a": share @ v, "b": total}
    trained = {name: g for name, g in gradients.items() if getattr(model, name).requires_grad}
    _check_trainable(model, trained)
    return trained


@torch.no_grad()
def _rbm_pcd_in_place(
    model: RBM,
    data: Tensor,
    batches: list[Tensor],
    generator: torch.Generator,
    learning_rate: float | Callable[[int], float] | None,
    progress: _Progress,
) -> tuple[list[float], float]:
    """`pcd` and plain descent for `batches` of one size; returns the gradients' norms and the last rate.

    Does nothing where the compiled kernels do not fit the case.
    """
    kernels = _in_place_kernels(model, data, batches, generator)
    norms: list[float] = []
    rate = math.nan
    if kernels is None:
        return norms, rate
    machine = _Halves(model, data, batches[0], progress.learner_state, generator)
    words = chance.streams(4 * len(batches), kernels, generator).reshape(len(batches), 2, 2, -1)
    following = [rows.numpy() for rows in (*batches[1:], batches[0][:0])]
    with kernels.sides() as (hidden_side, visible_side):
        for streams, rows in zip(words, following):
            wanted = learning_rate(progress.step) if callable(learning_rate) else learning_rate
            assert wanted is not None  # fit has set the default
            rate = float(wanted)
            norms.append(machine.update(hidden_side, visible_side, rate, streams, rows))
            progress.step += 1
    torch.autograd.graph.increment_version([model.W, model.a, model.b])
    progress.learner_state = {"chains": machine.chains()}
    return norms, rate


def _in_place_kernels(
    model: RBM, data: Tensor, batches: list[Tensor], generator: torch.Generator
) -> ModuleType | None:
    """The kernels where all of them can run: float32 on a CPU, visible units in halves, parameters all trained."""
    W = model.W
    alike = data.dtype == W.dtype and data.device == W.device and data.shape[1:] == W.shape[:1]
    trained = all(p.requires_grad and p.is_contiguous() for p in model.parameters())
    if not (batches and alike and trained) or len(W) % 2:
        return None
    return chance.compiled(data[: len(batches[0])], generator)


class _Halves:
    """Data, chains, W and a of an RBM by halves of the visible units, in buffers that stay from update to update.

    A product is a batch of two, for two threads; the kernels give each the same half. So no part of W changes
    from one core's cache to the other's, which costs as much time as all draws.
    """

    def __init__(
        self, model: RBM, data: Tensor, rows: Tensor, state: LearnerState, generator: torch.Generator
    ) -> None:
        W, a, b = (p.detach() for p in (model.W, model.a, model.b))
        batch = data.index_select(0, rows)
        chains = _chains(batch, state, None, generator)
        m, n = len(W) // 2, W.shape[1]
        self.v = torch.cat([batch, chains]).view(-1, 2, m).transpose(0, 1).contiguous()
        self.W, self.gradient_W = W.view(2, m, n), W.new_empty(2, m, n)
        self.hidden, self.visible = W.new_empty(2, self.v.shape[1], n), W.new_empty(2, len(chains), m)
        self.h = W.new_empty(len(chains), n)
        share = _share(len(batch), len(chains), W.dtype, W.device)
        of_a, of_b, flat = W.new_empty(2, m), W.new_empty(2, n), self.gradient_W.view(2, -1)
        self.gradients = {"W": flat, "a": of_a, "b": of_b[0]}
        self.hidden_arrays = _arrays(self.hidden, b, self.h, self.v, share, of_a, of_b)
        self.visible_arrays = _arrays(
            W.view(2, -1), a.view(2, -1), b, flat, of_a, of_b, self.v, self.visible, data
        )

    def update(self, hidden_side: Any, visible_side: Any, rate: float, streams: Any, following: Any) -> float:
        """Descends and moves the chains, then takes the rows `following` of the data; the gradient's norm."""
        torch.bmm(self.v, self.W, out=self.hidden)  # two terms of the field
        hidden_side(*self.hidden_arrays, streams[0])
        torch.bmm(self.h.expand(2, -1, -1), self.W.mT, out=self.visible)
        torch.bmm(self.v.mT, self.hidden[0].expand_as(self.hidden), out=self.gradient_W)
        square = visible_side(*self.visible_arrays, rate, streams[1], following)
        return (
            math.sqrt(square) if math.isfinite(square) else _finite_norm(self.gradients, "the gradient of ")
        )

    def chains(self) -> Tensor:
        moved = self.v[:, -len(self.h) :].transpose(0, 1)
        return moved.reshape(len(self.h), -1)


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]
