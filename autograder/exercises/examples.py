"""One public example for a check that failed: a line to run in the notebook, and what it must give.

Drawn for this purpose from a seed that everybody shares: the same kind of input as the one that failed, and none
that counted. Nothing of a student's is in it, so nothing hidden can be carried out in it.

    energy(np.array([[0, 1]], dtype=np.uint8), np.array([[1, 1]], dtype=np.uint8), 0.83, 0.4)
    # must give 0.83
"""

import contextlib
import functools
import math
import zlib
from typing import Any

import numpy as np

from autograder.exercises.attempt import Attempt, Check, LocalAttempt, Wrong
from autograder.exercises.exercise import Exercise
from autograder.exercises.values import is_array, numpy_of
from autograder.sandbox.worker import codec

LARGEST = 40
"""How many numbers an example may hold: more are no example."""


def example_of(exercise: Exercise, check: Check, attempt: Attempt) -> str:
    """The smallest call of the kinds that failed, and its value; empty if none is small enough to read."""
    return _drawn(exercise, check, tuple(attempt.failing)) if attempt.failing else ""


@functools.lru_cache(maxsize=1024)
def _drawn(exercise: Exercise, check: Check, places: tuple[int, ...]) -> str:
    """The example at the place of a check's calls where it is smallest."""
    public = _Recorder(exercise, exercise.reference, zlib.crc32(check.name.encode()))
    with contextlib.suppress(Wrong):
        check.run(public)
    sizes = {p: sum(map(size, public.calls[p])) for p in places if p < len(public.calls)}
    place = min(sizes, key=sizes.__getitem__, default=None)
    if place is None or sizes[place] > LARGEST:
        return ""
    arguments = [code(value) for value in public.calls[place]]
    # Of the numbers as they stand there, rounded: what is told must be right for what is run.
    value = exercise.reference(*(_made(text) for text in arguments))
    return f"{exercise.name}({', '.join(arguments)})\n# must give {code(value)}"


def _made(text: str) -> Any:
    names: dict[str, Any] = {"np": np, "math": math}
    if "torch" in text:
        import torch

        names["torch"] = torch
    return eval(text, names)  # our own text, of our own inputs


class _Recorder(LocalAttempt):
    """The reference, and what it was asked."""

    def __init__(self, exercise: Exercise, function: Any, seed: int) -> None:
        super().__init__(exercise, function, seed)
        self.calls: list[tuple[Any, ...]] = []

    def outcomes(self, calls: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        self.calls += calls
        return super().outcomes(calls)


def size(value: Any) -> int:
    """How many numbers a value holds."""
    if isinstance(value, codec.Source):
        return sum(size(part) for part in value.values.values())
    if isinstance(value, list | tuple):
        return sum(size(part) for part in value)
    return int(numpy_of(value).size) if is_array(value) else 1


def code(value: Any) -> str:
    """A value as Python that makes it, to five digits."""
    if isinstance(value, codec.Rng):
        return "np.random.default_rng(0)" if value.kind == "numpy" else "torch.Generator().manual_seed(0)"
    if isinstance(value, codec.Source):
        expression = value.expression.replace("math.pi", "np.pi")
        given = ", ".join(f"{name}={code(part)}" for name, part in value.values.items())
        return f"(lambda {', '.join(value.values)}: {expression})({given})" if given else f"({expression})"
    if isinstance(value, tuple):
        return "(" + ", ".join(code(part) for part in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(code(part) for part in value) + "]"
    if is_array(value):
        array = numpy_of(value)
        if isinstance(value, codec.Tensor) or hasattr(value, "detach"):
            return f"torch.tensor({_numbers(array)}, dtype=torch.{array.dtype})"
        usual = array.dtype in (np.float64, np.int64) and array.size
        return f"np.array({_numbers(array)}{'' if usual else f', dtype=np.{array.dtype}'})"
    return _number(value)


def _numbers(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _number(array[()])
    return "[" + ", ".join(_numbers(part) for part in array) + "]"


def _number(value: Any) -> str:
    if isinstance(value, bool | np.bool_ | str):
        return repr(value if isinstance(value, str) else bool(value))
    if isinstance(value, float | np.floating):
        return _float(float(value))
    return str(value)


def _float(value: float) -> str:
    if not math.isfinite(value):
        return "np.nan" if math.isnan(value) else f"{'-' if value < 0 else ''}np.inf"
    text = f"{value:.5g}"
    return text if any(mark in text for mark in ".e") else f"{text}."
