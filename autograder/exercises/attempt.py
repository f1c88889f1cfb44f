"""What a check sees of the function under test: a way to call it, and randomness drawn at grading time.

The same check runs against a student's function in the sandbox and against our own code in this process, so what
it sees are plain values either way.
"""

import abc
import builtins
import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from autograder.exercises.sequential import ALPHA, Count, Decision, Evidence, sequential_test
from autograder.exercises.values import alike, close, numpy_of, shape_complaint
from autograder.sandbox.worker import codec
from autograder.sandbox.worker.materialize import changed, materialize, seen
from autograder.sandbox.worker.meaning import plain as meant

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


class Asked(Protocol):
    """What an attempt must know of its exercise."""

    name: str
    reference: Function

    def run(self, check: "Check", attempt: "Attempt") -> None:
        """Try one check."""


NEARLY = 1e-3
PRECISION = (
    ", which agrees to a thousandth and not to {rtol:g}: is there float32 somewhere, or a rounded constant?"
)


class Attempt(abc.ABC):
    """What a check sees: a way to call the function under test, and randomness drawn at grading time."""

    def __init__(self, exercise: Asked, seed: int) -> None:
        self.exercise = exercise
        self.rng = np.random.default_rng(seed)
        self.values: list[Any] = []
        self.counts: tuple[Count, ...] = ()
        self.changed: set[str] = set()  # names of arguments that a call has changed
        self.cut = False  # whether an exchange did not come to its end
        self.asked = 0  # calls so far
        self.failing: list[int] = []  # the places of calls whose value was wrong, or that raised
        self.raised = False  # whether the call that failed raised an exception
        self.noise = 0.0  # how far apart chance may set two values of one function, where nothing is counted
        self.several = False  # whether a call that failed has other right answers than the reference's
        self._latest: tuple[list[tuple[Any, ...]], list[Any]] = ([], [])

    @abc.abstractmethod
    def outcomes(self, calls: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Call the function with each of `calls`; stops at the first that raises."""

    def call(self, *args: Any) -> Any:
        """The value the function returns for `args`."""
        return self.call_many([args])[0]

    def call_many(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The values for many inputs, in one exchange."""
        values = [outcome["value"] for outcome in self._valid(list(calls))]
        self._latest = list(calls), values
        return values

    def _valid(self, calls: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        self.cut, first = True, self.asked
        self.asked += len(calls)
        outcomes = self.outcomes(calls)
        self.cut = False
        names = list(inspect.signature(self.exercise.reference).parameters)
        for outcome in outcomes:
            places = [p for p in outcome.get("changed", []) if 0 <= p < len(names)]
            self.changed.update(names[p] for p in places)
        for place, outcome in enumerate(outcomes):
            if "value" not in outcome:
                self.failing = [first + place]
                self.raised = "raised" in outcome
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
        wrong = nearly = 0
        for place, (value, target) in enumerate(zip(values, expected), self.asked - len(calls)):
            if complaint := shape_complaint(value, target):
                self.failing = [place]
                raise Wrong(complaint)
            if not close(value, target, rtol, atol):
                self.failing.append(place)
                wrong += 1
                nearly += close(value, target, NEARLY, NEARLY)
        if wrong:
            raise Wrong(
                f"{wrong} of {len(calls)} inputs gave another value than the definition"
                + (PRECISION.format(rtol=rtol) if nearly == wrong else "")
            )

    def expect(self, condition: Any, message: str) -> None:
        """The check fails with `message` unless `condition` holds."""
        if not condition:
            raise Wrong(message)

    def refuse(self, wrong: Sequence[Any], message: str) -> None:
        """The check fails if one of the latest calls is `wrong` by a rule that more than one answer can meet."""
        places = [place for place, failed in enumerate(wrong, self.asked - len(wrong)) if failed]
        if places:
            self.failing, self.several = places, True
            raise Wrong(f"{len(places)} of {len(wrong)} {message}")

    def array(self, value: Any, shape: tuple[int, ...], what: str = "the result") -> np.ndarray:
        """`value` as a plain array of `shape`, or a clear complaint."""
        if complaint := shape_complaint(value, np.zeros(shape)):
            raise Wrong(complaint.replace("your function returned", f"{what} is"))
        if not np.isfinite(array := numpy_of(value)).all():
            raise Wrong(f"{what} holds a number that is not finite")
        return array

    def sequential(
        self, draw: Callable[[int], Sequence[Evidence]], n: int, message: str, alpha: float = ALPHA
    ) -> Decision:
        """What `draw` tells of must follow its exact law; correct code fails with probability ≤ alpha.

        And the given generator decides, nothing else: the last calls are made again with equal generators, which
        must give the same, and with others, which must not.
        """
        decision = sequential_test(draw, n, alpha)
        self.counts = decision.counts or self.counts
        if not decision.passed:
            raise Wrong(f"{message}: {decision.worst.complaint}")
        self._demand_the_given_generator()
        return decision

    def _demand_the_given_generator(self) -> None:
        calls, values = self._latest
        if not any(isinstance(value, codec.Rng) for call in calls for value in call):
            return
        if not alike(self.call_many(calls), values):
            raise Wrong(
                "called again with an equal random generator, your function gave other numbers: draw from the "
                "generator that it is given, and from nothing else"
            )
        others = [
            tuple(self.draw_rng(value.kind) if isinstance(value, codec.Rng) else value for value in call)
            for call in calls
        ]
        if alike(self.call_many(others), values):
            raise Wrong(
                "called again with another random generator, your function gave the same numbers: draw from the "
                "generator that it is given, and make none of your own"
            )


class LocalAttempt(Attempt):
    """An attempt at our own code: a mistake, an alternative or the reference, called in this process."""

    def __init__(self, exercise: Asked, function: Function, seed: int) -> None:
        super().__init__(exercise, seed)
        self.function = function

    @classmethod
    def passes(cls, exercise: Asked, check: Check, function: Function, seed: int) -> "LocalAttempt":
        """Run `check` on `function`; raises `Wrong` if it fails, and whatever a broken check raises."""
        attempt = cls(exercise, function, seed)
        exercise.run(check, attempt)
        return attempt

    def outcomes(self, calls: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for args in calls:
            real = local(args)
            before = [seen(value) for value in real]
            try:
                with np.errstate(all="ignore"):
                    value = self.function(*real)
            except Exception as error:
                results.append(
                    {"raised": {"type": type(error).__name__, "message": "", "line": 0, "code": ""}}
                )
                break
            try:
                plain = codec.unpack(*_split(codec.pack(meant(value))))
            except codec.ProtocolError as error:
                results.append({"unsendable": str(error)})
                break
            results.append({"value": plain, "changed": changed(list(real), before)})
        return results


def _split(frame: bytes) -> tuple[bytes, bytes]:
    size, _payload = codec.PREFIX.unpack(frame[: codec.PREFIX.size])
    body = frame[codec.PREFIX.size :]
    return body[:size], body[size:]


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
    if kind == "NotHere":
        return Wrong("your function uses something that the environment that grades does not have")
    known = getattr(builtins, kind, None)
    shown = (
        kind if isinstance(known, type) and issubclass(known, BaseException) else "an exception of its own"
    )
    return Wrong(f"your function raised {shown}")


def local(args: Sequence[Any]) -> tuple[Any, ...]:
    """Arguments as our own code gets them: copies, with random generators and functions built."""
    return tuple(materialize(a) for a in args)
