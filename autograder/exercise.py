"""How hidden checks are written: exercises with checks, named mistakes and correct alternatives.

    energy = Exercise("energy", title="The energy of a labelled grid", reference=energy_of)

    @energy.check(points=10, tries="random grids of several sizes")
    def _(attempt):
        attempt.compare([(grid(attempt.rng), ...) for _ in range(20)])

    @energy.mistake(hint="Each edge joins two pixels: count it once.")
    def counts_every_edge_twice(labels, noisy, coupling, field): ...

A check sees a student's function only through `attempt`, which returns plain values. The same check runs
against a mistake or an alternative, called in this process because they are our own code: so a failed
submission is compared with every named mistake on the very inputs it failed on, and the grader grades itself.
"""

import abc
import builtins
import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograder.pictures import Picture
from autograder.sequential import ALPHA, Count, Decision, sequential_test
from autograder.worker import codec

Function = Callable[..., Any]
CheckFunction = Callable[["Attempt"], Any]


class Wrong(Exception):
    """A check found the student's answer wrong; the message is shown and must reveal no hidden value."""


class Unsolved(Wrong):
    """The exercise was left as handed out."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One hidden check: its points, what it tries in words, and the seconds it may take."""

    name: str
    points: float
    tries: str
    seconds: float
    run: CheckFunction


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong implementation that students write."""

    name: str
    hint: str
    function: Function


class Exercise:
    """A function that students write, named as in their notebook."""

    def __init__(self, name: str, title: str, reference: Function) -> None:
        self.name = name
        self.title = title
        self.reference = reference
        self.checks: list[Check] = []
        self.mistakes: list[Mistake] = []
        self.alternatives: list[Function] = []
        self.example: Callable[[Attempt], Picture] | None = None

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)

    def check(
        self, points: float, tries: str, seconds: float = 10.0
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Register a check; it passes unless it raises `Wrong`."""

        def register(run: CheckFunction) -> CheckFunction:
            self.checks.append(Check(f"{self.name}.{len(self.checks) + 1}", points, tries, seconds, run))
            return run

        return register

    def mistake(self, hint: str) -> Callable[[Function], Function]:
        """Register a named mistake; its name is the function's, with spaces."""

        def register(function: Function) -> Function:
            self.mistakes.append(Mistake(_words(function), hint, function))
            return function

        return register

    def alternative(self, function: Function) -> Function:
        """Register a correct implementation written differently."""
        self.alternatives.append(function)
        return function

    def draw(self, picture: Callable[["Attempt"], Picture]) -> Callable[["Attempt"], Picture]:
        """Register what is drawn for who fails a check: their function on an example that students have."""
        self.example = picture
        return picture

    def source(self, function: Function) -> str:
        """The source of a mistake or alternative, renamed so that it can stand in a notebook as the answer."""
        lines = textwrap.dedent(inspect.getsource(function))
        body = lines[lines.index("def ") :]
        return re.sub(rf"\b{function.__name__}\b", self.name, body)


@dataclasses.dataclass(frozen=True)
class Assignment:
    """All exercises of one chapter.

    While graded, a notebook may import the modules of ebmkit that `provides` names, and any other package. What
    its own cells import besides NumPy stands in `imports`: the sandbox imports that beforehand, so that no
    submission waits for it, and nothing else, as whatever it holds makes every fork slower.
    """

    name: str
    exercises: tuple[Exercise, ...]
    provides: tuple[str, ...] = ("chance", "data")
    imports: tuple[str, ...] = ("matplotlib.pyplot",)

    def exercise(self, name: str) -> Exercise:
        return next(e for e in self.exercises if e.name == name)


class Attempt(abc.ABC):
    """What a check sees: a way to call the function under test, and randomness drawn at grading time."""

    def __init__(self, exercise: Exercise, seed: int) -> None:
        self.exercise = exercise
        self.rng = np.random.default_rng(seed)
        self.values: list[Any] = []
        self.counts: tuple[Count, ...] = ()

    @abc.abstractmethod
    def outcomes(self, calls: list[tuple[Any, ...]], arguments: bool) -> list[dict[str, Any]]:
        """Call the function with each of `calls`; stops at the first that raises."""

    def call(self, *args: Any) -> Any:
        """The value the function returns for `args`."""
        return self.call_many([args])[0]

    def call_many(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The values for many inputs, in one exchange."""
        return [outcome["value"] for outcome in self._valid(list(calls), False)]

    def call_and_arguments(self, *args: Any) -> tuple[Any, list[np.ndarray]]:
        """The value, and the array arguments as they are after the call."""
        (outcome,) = self._valid([args], True)
        return outcome["value"], [numpy_of(a) for a in outcome["arguments"]]

    def _valid(self, calls: list[tuple[Any, ...]], arguments: bool) -> list[dict[str, Any]]:
        outcomes = self.outcomes(calls, arguments)
        for outcome in outcomes:
            if "value" not in outcome:
                raise explain(outcome, self.exercise.name)
        if len(outcomes) != len(calls):
            raise Wrong("your function's process stopped in the middle of the check")
        self.values += [outcome["value"] for outcome in outcomes]
        return outcomes

    def draw_rng(self, kind: str = "numpy") -> codec.Rng:
        """A fresh random generator for the function under test."""
        return codec.Rng(int(self.rng.integers(2**62)), kind)

    def compare(self, calls: Sequence[tuple[Any, ...]], rtol: float = 1e-6, atol: float = 1e-9) -> None:
        """The function must agree with the reference on every one of `calls`."""
        expected = [self.exercise.reference(*local(args)) for args in calls]
        values = self.call_many(calls)
        wrong = 0
        for value, target in zip(values, expected):
            if complaint := shape_complaint(value, target):
                raise Wrong(complaint)
            wrong += not close(value, target, rtol, atol)
        if wrong:
            raise Wrong(f"{wrong} of {len(calls)} inputs gave another value than the definition")

    def expect(self, condition: Any, message: str) -> None:
        """The check fails with `message` unless `condition` holds."""
        if not condition:
            raise Wrong(message)

    def array(self, value: Any, shape: tuple[int, ...], what: str = "the result") -> np.ndarray:
        """`value` as a plain array of `shape`, or a clear complaint."""
        if complaint := shape_complaint(value, np.zeros(shape)):
            raise Wrong(complaint.replace("your function returned", f"{what} is"))
        return numpy_of(value)

    def sequential(
        self, draw: Callable[[int], Sequence[Count]], n: int, message: str, alpha: float = ALPHA
    ) -> Decision:
        """The counts of `draw` must follow their exact law; correct code fails with probability ≤ alpha."""
        decision = sequential_test(draw, n, alpha)
        self.counts = decision.counts
        if not decision.passed:
            worst = decision.worst
            side = "often" if worst.hits > worst.probability * worst.draws else "rarely"
            raise Wrong(f"{message}: {worst.name} comes out too {side}")
        return decision


class LocalAttempt(Attempt):
    """An attempt at our own code: a mistake, an alternative or the reference, called in this process."""

    def __init__(self, exercise: Exercise, function: Function, seed: int) -> None:
        super().__init__(exercise, seed)
        self.function = function

    @classmethod
    def passes(cls, exercise: Exercise, check: Check, function: Function, seed: int) -> "LocalAttempt":
        """Run `check` on `function`; raises `Wrong` if it fails, and whatever a broken check raises."""
        attempt = cls(exercise, function, seed)
        check.run(attempt)
        return attempt

    def outcomes(self, calls: list[tuple[Any, ...]], arguments: bool) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for args in calls:
            real = local(args)
            try:
                with np.errstate(all="ignore"):
                    value = self.function(*real)
            except Exception as error:
                results.append(
                    {"raised": {"type": type(error).__name__, "message": "", "line": 0, "code": ""}}
                )
                break
            plain = codec.unpack(*_split(codec.pack(value)))
            results.append({"value": plain, "arguments": [a for a in real if is_array(a)]})
        return results


def _split(frame: bytes) -> tuple[bytes, bytes]:
    size, _payload = codec.PREFIX.unpack(frame[: codec.PREFIX.size])
    body = frame[codec.PREFIX.size :]
    return body[:size], body[size:]


def matching_mistake(exercise: Exercise, check: Check, attempt: Attempt, seed: int) -> Mistake | None:
    """The named mistake that behaves, on this check's own inputs, as the failed attempt did."""
    best: tuple[float, Mistake] | None = None
    for mistake in exercise.mistakes:
        replay = LocalAttempt(exercise, mistake.function, seed)
        try:
            check.run(replay)
            continue
        except Wrong:
            pass
        likeness = _likeness(attempt, replay)
        if likeness > 0 and (best is None or likeness > best[0]):
            best = likeness, mistake
    return best[1] if best else None


def _likeness(attempt: Attempt, replay: Attempt) -> float:
    """1 where all values agree, a two-sample p-value where counts were taken, 0 where they differ."""
    if attempt.counts or replay.counts:
        return _same_law(attempt.counts, replay.counts)
    if not attempt.values or len(attempt.values) != len(replay.values):
        return 0.0
    try:
        agree = all(
            not shape_complaint(a, b) and close(a, b, 1e-6, 1e-9)
            for a, b in zip(attempt.values, replay.values)
        )
    except (TypeError, ValueError):  # a mistake may return what cannot even be compared
        return 0.0
    return float(agree)


def _same_law(left: tuple[Count, ...], right: tuple[Count, ...]) -> float:
    if [c.name for c in left] != [c.name for c in right]:
        return 0.0
    worst = 1.0
    for a, b in zip(left, right):
        pooled = (a.hits + b.hits) / (a.draws + b.draws)
        variance = pooled * (1 - pooled) * (1 / a.draws + 1 / b.draws)
        if variance > 0:
            z = abs(a.hits / a.draws - b.hits / b.draws) / math.sqrt(variance)
            worst = min(worst, math.erfc(z / math.sqrt(2)) * len(left))
    return worst if worst > 1e-4 else 0.0


def explain(outcome: dict[str, Any], name: str) -> Wrong:
    """Why a call gave no value, in words that quote nothing a student's code could fill with hidden inputs."""
    if "missing" in outcome:
        return Wrong(f"your notebook defines no function `{name}`")
    if "unsendable" in outcome:
        return Wrong("your function returned a value that is too large to be checked")
    raised = outcome.get("raised")
    if not isinstance(raised, dict):
        return Wrong("your function's process sent an answer that makes no sense")
    kind = str(raised.get("type", ""))
    if kind == "NotImplementedError":
        return Unsolved("not solved yet: the function still raises NotImplementedError")
    known = getattr(builtins, kind, None)
    shown = (
        kind if isinstance(known, type) and issubclass(known, BaseException) else "an exception of its own"
    )
    return Wrong(f"your function raised {shown}")


def local(args: Sequence[Any]) -> tuple[Any, ...]:
    """Arguments as our own code gets them: copies, with random generators and functions built."""
    from autograder.worker.materialize import materialize

    return tuple(materialize(a) for a in args)


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | codec.Tensor) or hasattr(value, "detach")


def numpy_of(value: Any) -> np.ndarray:
    """A plain array out of an array, a tensor, a number or a nested list of numbers."""
    if isinstance(value, codec.Tensor):
        return value.array
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu())
    return np.asarray(value)


def shape_complaint(value: Any, expected: Any) -> str:
    """What is wrong with the kind or shape of `value`, in words; empty if it can be compared."""
    if isinstance(expected, tuple):
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            return f"your function returned {describe(value)}; expected a tuple of {len(expected)} values"
        return next((c for v, e in zip(value, expected) if (c := shape_complaint(v, e))), "")
    if isinstance(expected, str):
        return "" if isinstance(value, str) else f"your function returned {describe(value)}; expected text"
    if isinstance(value, NUMBER) and isinstance(expected, NUMBER):
        return "your function returned NaN" if value != value and expected == expected else ""
    target = numpy_of(expected)
    wanted = "a number" if target.ndim == 0 else f"an array of shape {target.shape}"
    try:
        found = numpy_of(value)
    except ValueError:
        return f"your function returned {describe(value)}; expected {wanted}"
    if isinstance(value, codec.Foreign | str | dict) or value is None or found.dtype.kind not in "biufc":
        return f"your function returned {describe(value)}; expected {wanted}"
    if found.shape != target.shape and not (target.ndim == 0 and found.size == 1):
        return f"your function returned {describe(value)}; expected {wanted}"
    if np.isnan(found.astype(complex)).any() and not np.isnan(target.astype(complex)).any():
        return "your function returned NaN"
    return ""


KNOWN_TYPES = frozenset(
    """
generator function method builtin_function_or_method type module map filter zip range enumerate set
frozenset bytes complex ellipsis dict_keys dict_values dict_items list_iterator Generator Figure
""".split()
)


def describe(value: Any) -> str:
    """What came back, in words, without its contents."""
    if value is None:
        return "None (is there a `return`?)"
    if isinstance(value, codec.Foreign):
        # A type's name is the student's to choose, and could spell out a hidden input.
        return (
            f"a value of type {value.type_name}"
            if value.type_name in KNOWN_TYPES
            else "something that is not data"
        )
    if isinstance(value, codec.Tensor):
        return f"a tensor of shape {value.array.shape}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}" + (
            "" if value.dtype.kind in "biufc" else f" and dtype {value.dtype}"
        )
    return f"a value of type {type(value).__name__}"


NUMBER = (float, int)
LARGE = 2.0**63
"""From here on NumPy does not calculate with integers as Python does."""


def close(value: Any, expected: Any, rtol: float, atol: float) -> bool:
    """Whether `value` agrees with `expected` in kind, shape and size."""
    if isinstance(expected, tuple):
        return all(close(v, e, rtol, atol) for v, e in zip(value, expected))
    if isinstance(expected, str):
        return bool(value == expected)
    if isinstance(value, NUMBER) and isinstance(expected, NUMBER) and abs(value) < LARGE > abs(expected):
        return bool(abs(value - expected) <= atol + rtol * abs(expected))  # most answers; much quicker
    found, target = numpy_of(value), numpy_of(expected)
    return bool(np.allclose(found.reshape(target.shape), target, rtol=rtol, atol=atol, equal_nan=True))


def _words(function: Function) -> str:
    return function.__name__.replace("_", " ")
