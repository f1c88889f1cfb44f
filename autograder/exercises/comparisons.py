"""A comparison that several chapters make: one of several values that are returned together."""

from collections.abc import Sequence
from typing import Any

from autograder.exercises.attempt import Attempt, Wrong, local
from autograder.exercises.values import close, shape_complaint

PAIR = ("the first value of the pair", "the second value of the pair")


def compare_part(
    attempt: Attempt,
    calls: Sequence[tuple[Any, ...]],
    part: int,
    names: Sequence[str] = PAIR,
    rtol: float = 1e-6,
    atol: float = 1e-6,
) -> None:
    """One of the values that the function returns together must agree with the reference on every call."""
    wrong = 0
    values = attempt.call_many(calls)
    for place, (value, call) in enumerate(zip(values, calls), attempt.asked - len(calls)):
        expected = attempt.exercise.reference(*local(call))
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            attempt.failing = [place]
            raise Wrong(f"{shape_complaint(value, expected)}: {' and '.join(names)}")
        if complaint := shape_complaint(value[part], expected[part]):
            attempt.failing = [place]
            raise Wrong(complaint.replace("your function returned", f"{names[part]} is"))
        if not close(value[part], expected[part], rtol, atol):
            attempt.failing.append(place)
            wrong += 1
    if wrong:
        raise Wrong(f"{names[part]} differs from the definition for {wrong} of {len(calls)} inputs")
