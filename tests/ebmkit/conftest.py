"""Makes what tests share importable (importlib mode adds no folder to the path) and offers fixtures."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from ebmkit import chance, testing

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def transition_matrix() -> Callable[..., Tensor]:
    """`transition_matrix(step, states)`: the exact matrix of `step(x, generator) -> x` over `states`."""
    return testing.transition_matrix


@pytest.fixture
def outcome_probabilities() -> Callable[..., Tensor]:
    """`outcome_probabilities(step, start, outcomes)`: the exact law of where one step from `start` ends."""
    return testing.outcome_probabilities


@pytest.fixture(params=["numba", "torch"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Draws compiled where they can be, and then all of them left to torch."""
    if request.param == "torch":
        monkeypatch.setattr(chance, "_kernels", lambda: None)
    else:
        pytest.importorskip("numba")
    return str(request.param)
