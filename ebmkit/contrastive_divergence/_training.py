"""The training loop: one pass after another, restored where it diverges."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit._checks import as_tensor, check_count, check_whole, floating_tensor
from ebmkit._models import check_is_model
from ebmkit.chance import uniform
from ebmkit.contrastive_divergence._checkpoints import Progress, load_run, marks, save_run
from ebmkit.contrastive_divergence._learners import (
    DivergenceError,
    History,
    Learner,
    Start,
    backend_of,
    check_batch,
    check_numbers,
    finite_range,
    numbers_looked_at,
    pcd,
)
from ebmkit.energy import EnergyModel

_COLUMNS = ("epoch", "step", "learning_rate", "gradient_norm")


def fit(
    model: EnergyModel,
    data: Tensor,
    learner: Learner = pcd,
    *,
    generator: Generator,
    n_epochs: int = 10,
    batch_size: int | None = 100,
    learning_rate: float | Callable[[int], float] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    transform: Start | None = None,
    monitor: Callable[[Any], Mapping[str, float | Tensor]] | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
    checkpoint: str | Path | None = None,
) -> History:
    """Trains `model` in place on `data (n, ...)` with any learner; returns the history, one column a quantity.

    - `batch_size`: examples an update, drawn anew each epoch; None takes all.
    - `learning_rate`: a number (0.01 by default) or a function of the number of updates made.
    - `optimizer`: plain gradient descent by default; with another, `learning_rate=None` leaves its own rate.
    - `transform(batch, generator=generator)`: what to do to each batch, `chance.bernoulli` to binarise grey levels.
    - `monitor(model)`: quantities to record after each epoch; `callback(record)`: called with each record.
    - `checkpoint`: a file written after each epoch. Where it exists the run goes on from it, and ends bit for bit
      as if it had not been interrupted.

    The columns are `epoch`, `step`, `learning_rate`, `gradient_norm` (mean over the epoch) and the monitor's;
    without an epoch these four are empty.
    Raises `DivergenceError` naming step and value as soon as a gradient or a parameter is not finite; the model is
    then back at the end of the epoch before. Raises `ValueError` for data that are empty, not finite, or, where
    the model is one of bits, outside [0, 1] (after the transform), and for a checkpoint that is damaged or that
    another run wrote: with another learner, optimizer, model shape, batch size or data.

    Raises `TypeError` for a learner that is no function.

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> history = contrastive_divergence.fit(rbm, data, generator=generator, n_epochs=3, learning_rate=0.1)
    >>> history["epoch"]
    [1.0, 2.0, 3.0]
    """
    check_is_model(model, "fit")
    data = as_tensor(data, floating_tensor(model), "data")
    check_batch(data, data.shape[1:])  # a transform may make examples of another shape
    if transform is None:
        check_numbers(data, model)
    else:
        finite_range(data)
    if optimizer is None and learning_rate is None:
        learning_rate = 0.01
    if optimizer is not None:
        _check_optimizer(optimizer, model)
    if not callable(learner):
        raise TypeError(
            f"learner must be a function such as contrastive_divergence.pcd, got {learner!r}; give the function "
            "itself, not its name"
        )
    progress, size = Progress(), len(data) if batch_size is None else batch_size
    if check_whole("batch_size", size) < 1:
        raise ValueError(f"batch_size must be at least 1, or None for all data, got {batch_size}")
    check_count("n_epochs", n_epochs, 0)
    path = None if checkpoint is None else Path(checkpoint)
    run = {} if path is None else marks(data, learner, optimizer, size)
    if path is not None and path.exists():
        progress = load_run(path, run, model, optimizer, generator=generator)
    for name in _COLUMNS:
        progress.history.setdefault(name, [])
    while progress.epoch < n_epochs:
        with numbers_looked_at():
            record = _epoch(
                model, data, learner, generator, size, learning_rate, optimizer, transform, progress
            )
        for name, value in (monitor(model) if monitor else {}).items():
            record[name] = float(value.detach() if isinstance(value, Tensor) else value)
        for name, value in record.items():
            progress.history.setdefault(name, []).append(value)
        if path is not None:
            save_run(path, run, model, optimizer, progress, generator=generator)
        if callback is not None:
            callback(record)
    return progress.history


def _epoch(
    model: EnergyModel,
    data: Tensor,
    learner: Learner,
    generator: Generator,
    batch_size: int,
    learning_rate: float | Callable[[int], float] | None,
    optimizer: torch.optim.Optimizer | None,
    transform: Start | None,
    progress: Progress,
) -> dict[str, float]:
    """One pass over the data in a fresh order; restores the model where it diverges."""
    good = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    order = uniform(torch.empty(len(data), device=data.device), generator=generator).argsort(stable=True)
    batches: list[Tensor] = list(torch.split(order, batch_size))
    parameters = dict(model.named_parameters())
    norms: list[float] = []
    rate = math.nan
    try:
        if learner is pcd and optimizer is None and transform is None:
            full = batches[: len(data) // batch_size]
            norms, rate = _in_place(model, data, full, generator, learning_rate, progress)
        for rows in batches[len(norms) :]:
            batch = data.index_select(0, rows)
            if transform is not None:
                batch = transform(batch, generator=generator).to(data.dtype)
                if not norms:
                    check_numbers(batch, model)
            gradient = learner(model, batch, state=progress.learner_state, generator=generator)
            norms.append(_finite_norm(gradient.parameters, "the gradient of "))
            wanted = _rate(learning_rate, progress.step)
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


def _in_place(
    model: EnergyModel,
    data: Tensor,
    batches: list[Tensor],
    generator: Generator,
    learning_rate: float | Callable[[int], float] | None,
    progress: Progress,
) -> tuple[list[float], float]:
    """`pcd` and plain descent for `batches` of one size, by the model's backend where it serves these data.

    Returns the gradients' norms and the last rate.
    """
    norms: list[float] = []
    rate = math.nan
    backend = backend_of(model)
    descent = (
        None
        if backend is None
        else backend.descent(data, batches, progress.learner_state, generator=generator)
    )
    if descent is None:
        return norms, rate
    with descent as update:
        while len(norms) < len(batches):
            wanted = _rate(learning_rate, progress.step)
            assert wanted is not None  # fit has set the default
            rate = wanted
            square = update(rate)
            norms.append(
                math.sqrt(square)
                if math.isfinite(square)
                else _finite_norm(update.gradients, "the gradient of ")
            )
            progress.step += 1
    progress.learner_state = {"chains": update.chains()}
    return norms, rate


def _rate(learning_rate: float | Callable[[int], float] | None, step: int) -> float | None:
    """The learning rate of this update; raises `ValueError` where it would climb or is no number."""
    wanted = learning_rate(step) if callable(learning_rate) else learning_rate
    if wanted is None:
        return None
    rate = float(wanted)
    if not 0 <= rate < math.inf:
        raise ValueError(f"the learning rate must be finite and not negative, got {rate} at step {step}")
    return rate


def _check_optimizer(optimizer: torch.optim.Optimizer, model: EnergyModel) -> None:
    ours = {id(p) for p in model.parameters()}
    theirs = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not ours & theirs:
        raise ValueError(
            f"the optimizer holds none of the parameters of this {type(model).__name__}; make it of "
            "model.parameters()"
        )


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
