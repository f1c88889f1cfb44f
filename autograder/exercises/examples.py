"""One public example for a check that failed: a line to run in the notebook, what it must give, and what it gave.

Drawn for this purpose from a seed that everybody shares: the same kind of input as the one that failed, and none
that counted. What the student's function makes of it, a value or an exception with its message and line, is told
only as it comes from a process that has met no hidden input, so nothing hidden can be carried out in it.

    energy(np.array([[0, 1]], dtype=np.uint8), np.array([[1, 1]], dtype=np.uint8), 0.83, 0.4)
    # must give 0.83
    # your function gave 1.66
"""

import contextlib
import dataclasses
import functools
import math
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.exercises.attempt import Attempt, Check, LocalAttempt, Wrong, local
from autograder.exercises.exercise import Exercise
from autograder.exercises.values import alike, describe, is_array, numpy_of
from autograder.sandbox.worker import codec

LARGEST = 40
"""How many numbers an example may hold: more are no example."""
FEW = 4
DRAWS = 4
"""So many examples are tried, each at the same place of the check's calls, until one shows the failure."""
SENT = 50_000
"""How many numbers a call may hold that is made without being shown."""
TEXT = 300
ANSWER = 100
"""How many numbers of an answer are shown: a pair of matrices for one that an example holds."""
ANSWER_TEXT = 1500


@dataclasses.dataclass(frozen=True)
class Example:
    """A call as text with what it must give, its arguments as they cross into a sandbox, and how to draw others."""

    text: str
    arguments: tuple[Any, ...]
    others: Callable[[], tuple["Example", ...]] = tuple


def example_of(exercise: Exercise, check: Check, attempt: Attempt) -> Example | None:
    """The smallest call of the kinds that failed, and its value; None if none is small enough to read.

    One that raised an exception need not be small: its line says more than its numbers.
    """
    if not attempt.failing:
        return None
    return _drawn(exercise, check, tuple(attempt.failing), attempt.raised, attempt.several)


@functools.lru_cache(maxsize=1024)
def _drawn(
    exercise: Exercise, check: Check, places: tuple[int, ...], raised: bool, several: bool
) -> Example | None:
    """The example at the place of a check's calls where it is smallest."""
    calls = _public_calls(exercise, check, public_seed(check.name))
    sizes = {p: sum(map(size, calls[p])) for p in places if p < len(calls)}
    place = min(sizes, key=sizes.__getitem__, default=None)
    first = None if place is None else _example(exercise, calls[place], raised, several)
    if place is None or first is None:
        return None
    others = functools.partial(_others, exercise, check, place, raised, several)
    return dataclasses.replace(first, others=others)


@functools.lru_cache(maxsize=256)
def _others(exercise: Exercise, check: Check, place: int, raised: bool, several: bool) -> tuple[Example, ...]:
    """Examples at the same place, from other public seeds: they tell no more of what failed than the first."""
    examples = []
    for seed in range(1, DRAWS):
        calls = _public_calls(exercise, check, public_seed(f"{check.name} {seed}"), place)
        examples += [_example(exercise, call, raised, several) for call in calls[place : place + 1]]
    return tuple(example for example in examples if example)


def _public_calls(
    exercise: Exercise, check: Check, seed: int, last: int | None = None
) -> list[tuple[Any, ...]]:
    """What a check asks the reference, all of it or up to the exchange that holds the `last` place."""
    public = _Recorder(exercise, exercise.reference, seed, last)
    with contextlib.suppress(Wrong):
        check.run(public)
    return public.calls


def _example(exercise: Exercise, call: tuple[Any, ...], raised: bool, several: bool) -> Example | None:
    """One call as an example; None if it is too large."""
    numbers = sum(map(size, call))
    if numbers > (SENT if raised else LARGEST):
        return None
    unwritten = Example(f"# {exercise.name}({', '.join(map(_form, call))})", call) if raised else None
    if numbers > LARGEST:
        return unwritten
    # The numbers as they stand there, rounded: what is told must be right for what is run.
    arguments = tuple(rounded(value) for value in call)
    try:
        value, other = (exercise.reference(*local(_reseeded(arguments, seed))) for seed in (0, 1))
    except (ArithmeticError, ValueError):  # probabilities that sum to one, and rounded do not
        return unwritten
    if size(value) > ANSWER:
        return unwritten
    told = "must give" if alike(value, other) and not several else "could give"
    shown = ", ".join(map(code, arguments))
    return Example(f"{exercise.name}({shown})\n# {told} {code(value)}", arguments)


def public_seed(check: str) -> int:
    """The seed of all that a check shows to students, the same for everybody."""
    return zlib.crc32(check.encode())


def rounded(value: Any) -> Any:
    """A value with the five digits that `code` gives it, still as it crosses into a sandbox."""
    if isinstance(value, codec.Rng):
        return codec.Rng(0, value.kind)
    if isinstance(value, codec.Source):
        return codec.Source(value.expression, **{name: rounded(part) for name, part in value.values.items()})
    if isinstance(value, tuple | list):
        return type(value)(rounded(part) for part in value)
    return _made(code(value))


def _reseeded(value: Any, seed: int) -> Any:
    if isinstance(value, codec.Rng):
        return codec.Rng(seed, value.kind)
    return type(value)(_reseeded(part, seed) for part in value) if isinstance(value, tuple | list) else value


def with_answer(text: str, outcome: dict[str, Any]) -> str:
    """An example's text, and what a student's function made of it; empty if neither is worth showing.

    Only for what comes from a process that has met no hidden input.
    """
    if not tells(text, outcome) and text.startswith("#"):
        return ""
    answer = _answer_in_words(outcome)
    if answer and not tells(text, outcome):
        rounding = " to five digits" if re.search(r"\d[.e]", answer) else ""
        answer = f"# your function gave the same{rounding}; other inputs of this kind failed"
    return f"{text}\n{answer}" if answer else text


def tells(text: str, outcome: dict[str, Any]) -> bool:
    """Whether an example shows what is wrong: another value than it says, or, without numbers, an exception."""
    if text.startswith("#"):
        return "raised" in outcome
    return _answer_in_words(outcome) != f"# your function gave {text.partition(' give ')[2]}"


def without_repetition(examples: dict[str, str]) -> dict[str, str]:
    """By their checks: of those that show no numbers, the ones whose kind of exception and line no other shows."""
    shown = {_raised_in(text) for text in examples.values() if not text.startswith("#")}
    kept = {}
    for check, text in examples.items():
        again = text.startswith("#") and _raised_in(text) in shown
        kept[check] = "" if again else text
        shown.add(_raised_in(text))
    return kept


def _raised_in(text: str) -> tuple[str, str]:
    """The type of the exception that an example ends in, and the line that raised it."""
    answer, _, line = text.partition("\n# your function ")[2].partition("\n")
    return answer.partition(":")[0], line


def _answer_in_words(outcome: dict[str, Any]) -> str:
    """The value, or the exception with its message and the student's own line; empty if there is neither."""
    if "value" in outcome:
        return f"# your function gave {_shown(outcome['value'])}"
    if "raised" not in outcome:
        return ""
    raised = outcome["raised"]
    words = f"# your function raised {_line(raised['type'])}"
    words += f": {_line(raised['message'])}" if raised["message"].strip() else ""
    if raised["line"]:
        name = raised.get("function", "")
        place = (
            f"{_line(name)}, line {raised['line']} of its cell"
            if name
            else f"line {raised['line']} of a cell"
        )
        words += f"\n#   in {place}: {_line(raised['code'])}"
    return words


def _shown(value: Any) -> str:
    """A student's value in one bounded line; in words where it is large or no data."""
    plain = is_array(value) or isinstance(value, bool | int | float | str | list | tuple | np.generic)
    if _parts(value) > 2 * ANSWER and size(value) <= ANSWER:  # as many rows as there are, without numbers
        return describe(value)
    if isinstance(value, tuple) and size(value) > ANSWER and len(value) <= FEW and all(map(is_array, value)):
        return "(" + ", ".join(map(_form, value)) + ")"
    if not plain or size(value) > ANSWER:
        return _form(value) if is_array(value) else describe(value)
    try:
        return _line(code(value), TEXT if isinstance(value, str) else ANSWER_TEXT)
    except ValueError:  # an integer of thousands of digits
        return describe(value)


def _parts(value: Any) -> int:
    """How many numbers, rows and lists a text of a value would hold at least."""
    if isinstance(value, list | tuple):
        return 1 + sum(map(_parts, value))
    return math.prod(side for side in numpy_of(value).shape if side) if is_array(value) else 1


def _line(text: str, most: int = TEXT) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= most else f"{words[:most]} …"


def _form(value: Any) -> str:
    """An argument as text, without its numbers where they are many."""
    if size(value) <= FEW:
        return code(value)
    if not is_array(value):
        return (
            f"<{type(value).__name__} of {len(value)}>" if isinstance(value, tuple | list) else "<function>"
        )
    array = numpy_of(value)
    return f"<{array.dtype} {'array' if isinstance(value, np.ndarray) else 'tensor'} of shape {array.shape}>"


def _made(text: str) -> Any:
    names: dict[str, Any] = {"np": np, "math": math}
    if "torch" in text:
        import torch

        names["torch"] = torch
    return eval(text, names)  # our own text, of our own inputs


class _Recorder(LocalAttempt):
    """The reference, and what it was asked."""

    def __init__(self, exercise: Exercise, function: Any, seed: int, last: int | None) -> None:
        super().__init__(exercise, function, seed)
        self.calls: list[tuple[Any, ...]] = []
        self.last = last

    def outcomes(self, calls: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        self.calls += calls
        if self.last is not None and len(self.calls) > self.last:
            raise Wrong("no more is asked")
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
