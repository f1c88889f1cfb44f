"""How hidden checks are written: exercises with checks, named mistakes and correct alternatives.

    energy = Exercise("energy", title="The energy of a labelled grid", reference=energy_of)

    @energy.check(points=10, tries="random grids of several sizes")
    def _(attempt):
        attempt.compare([(grid(attempt.rng), ...) for _ in range(20)])

    @energy.mistake(hint="Each edge joins two pixels: count it once.")
    def counts_every_edge_twice(labels, noisy, coupling, field): ...

One rule holds for all: a function leaves what it is given as it is, arrays, tensors and lists with what they hold;
only a random generator moves on. Every call is watched, and an exercise's last check costs whoever breaks the rule.

A check sees a student's function only through `attempt`, which returns plain values. The same check runs
against a mistake or an alternative, called in this process because they are our own code: so a failed
submission is compared with every named mistake on the very inputs it failed on, and the grader grades itself.
"""

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator

from autograder.exercises.attempt import Attempt, Check, CheckFunction, Function, LocalAttempt, Wrong
from autograder.exercises.pictures import Picture


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong implementation that students write."""

    name: str
    hint: str
    function: Function


Shown = Callable[[Attempt], Picture | str]
"""A function on an example that students have, drawn or in words."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """A check that was tried: on which seed, what it saw, and what it complained of."""

    check: Check
    seed: int
    attempt: Attempt
    complaint: str


LEAVE = "work on a copy, the caller still needs it as it was"


class Exercise:
    """A function that students write, named as in their notebook."""

    def __init__(self, name: str, title: str, reference: Function) -> None:
        self.name = name
        self.title = title
        self.reference = reference
        self.checks: list[Check] = []
        self.mistakes: list[Mistake] = []
        self.alternatives: list[Function] = []
        self.example: Shown | None = None

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

    def run(self, check: Check, attempt: Attempt) -> None:
        """Try one check; the last one demands, too, that no call has changed what the function was given."""
        check.run(attempt)
        if check is self.checks[-1] and attempt.changed:
            names = " and ".join(f"`{name}`" for name in sorted(attempt.changed))
            raise Wrong(f"your function has changed its argument {names}: {LEAVE}")

    def tried(self, function: Function, seed_of: Callable[[Check], int]) -> Iterator[Tried]:
        """Every check in turn, tried on code of our own in this process."""
        changed: set[str] = set()
        for check in self.checks:
            attempt = LocalAttempt(self, function, seed_of(check))
            attempt.changed |= changed
            complaint = ""
            try:
                self.run(check, attempt)
            except Wrong as wrong:
                complaint = str(wrong)
            changed |= attempt.changed
            yield Tried(check, seed_of(check), attempt, complaint)

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

    def draw(self, shown: Shown) -> Shown:
        """Register what is shown to who fails a check: their function on an example that students have."""
        self.example = shown
        return shown

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
    submission waits for it, and nothing else, as whatever it holds makes every fork slower. The catalogue adds the
    course's packages, and its `limits`, by their names in `course.toml`.
    """

    name: str
    exercises: tuple[Exercise, ...]
    provides: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    limits: tuple[tuple[str, float], ...] = ()

    def exercise(self, name: str) -> Exercise:
        return next(e for e in self.exercises if e.name == name)


AS_WRITTEN = {
    "barkers": "Barker's",
    "gaussian": "Gaussian",
    "hessian": "Hessian",
    "jacobian": "Jacobian",
    "langevin": "Langevin",
    "metropolis": "Metropolis",
    "z": "Z",
}
"""What a function's name cannot say: people, whose names take a capital, and the normalizer."""


def _words(function: Function) -> str:
    return " ".join(AS_WRITTEN.get(word, word) for word in function.__name__.split("_"))
