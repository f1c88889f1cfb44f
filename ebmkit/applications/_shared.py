"""What prediction by energies shares: labels that are labels, and a minimum found by L-BFGS."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit._checks import looks_at


def minimize(module: nn.Module, loss: Callable[[], Tensor], l2: float, max_iterations: int) -> list[float]:
    """L-BFGS on loss + ½ l2 |parameters|², with its value at each evaluation."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=max_iterations,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )
    history: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        objective = loss() + 0.5 * l2 * torch.stack([(p**2).sum() for p in parameters]).sum()
        if not bool(objective.isfinite()):
            raise ValueError(f"the objective became {objective.item()}; check the data or raise l2")
        objective.backward()  # type: ignore[no-untyped-call]
        history.append(objective.item())
        return objective

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return history


def check_labels(y: Tensor, n_labels: int) -> None:
    if looks_at(y) and not bool(((y >= 0) & (y < n_labels) & (y == y.round())).all()):
        wrong = y[(y < 0) | (y >= n_labels) | (y != y.round())]
        raise ValueError(f"labels must be 0 … {n_labels - 1}, got {wrong.flatten()[:4].tolist()}")
