"""Files from which a run goes on, bit for bit, and which refuse to serve another run."""

import functools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.contrastive_divergence._learners import History, Learner, LearnerState
from ebmkit.energy import EnergyModel


@dataclass
class Progress:
    """Where a run of `fit` stands; what a checkpoint holds besides model, optimizer and generator."""

    epoch: int = 0
    step: int = 0
    learner_state: LearnerState = field(default_factory=dict)
    history: History = field(default_factory=dict)


def _name(learner: Learner) -> str:
    """The learner with its options, so that a checkpoint knows whose it is; objects by their type."""
    if not isinstance(learner, functools.partial):
        return getattr(learner, "__name__", type(learner).__name__)
    plain = (int, float, str, bool, type(None))
    options = {name: v if isinstance(v, plain) else type(v).__name__ for name, v in learner.keywords.items()}
    return f"{_name(learner.func)}({', '.join(f'{name}={value}' for name, value in sorted(options.items()))})"


def marks(
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
    other processors round, changes the sums by less than the millionth that `load_run` overlooks.
    """
    squares = (data.detach().cpu().reshape(len(data), -1) + 1).square_()
    sums = [squares.sum(axis, dtype=torch.float64) for axis in (0, 1)]
    return [(x @ torch.arange(1, len(x) + 1, dtype=x.dtype)).item() for x in sums]


def save_run(
    path: Path,
    run: Mapping[str, Any],
    model: EnergyModel,
    optimizer: torch.optim.Optimizer | None,
    progress: Progress,
    *,
    generator: Generator,
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


def load_run(
    path: Path,
    run: Mapping[str, Any],
    model: EnergyModel,
    optimizer: torch.optim.Optimizer | None,
    *,
    generator: Generator,
) -> Progress:
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
    progress = Progress(**saved["progress"])
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
