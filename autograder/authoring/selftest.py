"""The grader grades itself: every reference, alternative and mistake, against every hidden check; and every attack.

What is right must pass every check on every seed. Every mistake must fail at least one check on every seed,
and be told its own name. The table that `selftest` returns says so, or says where it is not so. No hostile
submission may gain a point; these run through the whole pipeline, in the sandbox, and only where there is one.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

from autograder.authoring.check import lacks, point_faults
from autograder.authoring.hostile import LEAK, Attack
from autograder.authoring.samples import solution_notebook
from autograder.authoring.wild import Wild
from autograder.authoring.wrong import SLIPS, Told, slips, told
from autograder.course import Course
from autograder.exercises.attempt import Check, Function
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.likeness import matching_mistake
from autograder.judging.judge import judge, seed_for
from autograder.judging.report import points
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox

REFERENCE, ALTERNATIVE, MISTAKE, HOSTILE = "reference", "alternative", "mistake", "hostile"
WILD_ROW = "wild"

NAMING_SEEDS = 5
"""On how many seeds the names told are counted; it is slow, since a failed check is replayed by every mistake."""

NAMED_SHARE = 0.9
"""A rejected mistake must be told its own name on at least this share of those seeds."""

ATTACK_LIMITS = Limits(cell_seconds=4.0, notebook_seconds=12.0)
"""What an attack may use; many run for as long as they are let."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One implementation: on how many of `seeds` each check passed, all of them passed, and it was named.

    `named` counts the seeds, of `naming_seeds`, on which a mistake was told its own name, and `misnamed` those on
    which it was told another one.
    """

    exercise: str
    kind: str
    name: str
    seeds: int
    checks: tuple[int, ...]
    accepted: int
    naming_seeds: int = 0
    named: int = 0
    misnamed: int = 0

    @property
    def holds(self) -> bool:
        """Whether the verdict is right on every seed, and a mistake nearly always told its name."""
        if self.kind != MISTAKE:
            return self.accepted == self.seeds
        return self.accepted == 0 and self.named >= NAMED_SHARE * self.naming_seeds

    @property
    def verdict(self) -> str:
        if self.accepted == self.seeds:
            return "accepted"
        return "rejected" if self.accepted == 0 else f"accepted on {self.accepted} of {self.seeds} seeds"


@dataclasses.dataclass(frozen=True)
class Family:
    """Attacks of one kind: how many, the points that they gained, and those that gained some or read a secret."""

    name: str
    attacks: int
    points: float
    succeeded: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.succeeded

    @property
    def verdict(self) -> str:
        return "rejected" if self.holds else f"SUCCEEDED: {', '.join(self.succeeded)}"


@dataclasses.dataclass(frozen=True)
class Slips:
    """Slips of the pen in an exercise: how many failed, how many were told a name, and which a wrong one."""

    exercise: str
    tried: int
    failed: int
    named: int
    misleading: tuple[str, ...]

    @classmethod
    def of(cls, exercise: str, found: Sequence[Told]) -> "Slips":
        wrong = tuple(f"{one.slip}: {one.name}" for one in found if one.misleading)
        failed, named = sum(one.failed for one in found), sum(bool(one.name) for one in found)
        return cls(exercise, len(found), failed, named, wrong)


@dataclasses.dataclass(frozen=True)
class Table:
    """The confusion table of one assignment, and what is missing from its exercises, in words.

    `hostile` is empty unless attacks were run; `not_attacked` then says why not. `wild` are the habits of right
    notebooks that were tried: how many, the points that they lost, and those that lost some.
    """

    assignment: str
    rows: tuple[Row, ...]
    faults: tuple[str, ...]
    hostile: tuple[Family, ...] = ()
    not_attacked: str = ""
    wild: tuple[Family, ...] = ()
    slips: tuple[Slips, ...] = ()

    @property
    def holds(self) -> bool:
        families = (*self.hostile, *self.wild)
        right = all(row.holds for row in self.rows) and all(family.holds for family in families)
        return right and not self.faults and not any(slips.misleading for slips in self.slips)

    def wrong(self) -> list[Row]:
        """The rows that do not hold."""
        return [row for row in self.rows if not row.holds]

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        lines = [f"{self.assignment}: {'holds' if self.holds else 'DOES NOT HOLD'}"]
        exercise = ""
        for row in self.rows:
            if row.exercise != exercise:
                exercise = row.exercise
                lines += ["", exercise]
            checks = "  ".join(f"{passed:>4}/{row.seeds}" for passed in row.checks)
            named = f"named {row.named}/{row.naming_seeds}" if row.kind == MISTAKE else ""
            misnamed = f", another name {row.misnamed} times" if row.misnamed else ""
            mark = " " if row.holds else "✗"
            lines.append(
                f"{mark} {row.kind:<11}  {row.name:<{width}}  {checks}  {row.verdict}  {named}{misnamed}".rstrip()
            )
        return "\n".join(
            [*lines, *self._slip_lines(), *self._attack_lines(), *(f"✗ {fault}" for fault in self.faults)]
        )

    def _slip_lines(self) -> list[str]:
        lines = [
            f"  slips        {s.exercise}: {s.tried} tried, {s.failed} failed, {s.named} told a name, "
            f"{len(s.misleading)} a misleading one"
            for s in self.slips
        ]
        wrong = [f"✗ a misleading name: {one}" for s in self.slips for one in s.misleading]
        return ["", "slips of the pen in right answers", *lines, *wrong] if lines else []

    def _attack_lines(self) -> list[str]:
        if self.not_attacked:
            return ["", f"hostile submissions were not run: {self.not_attacked}"]
        width = max((len(family.name) for family in (*self.hostile, *self.wild)), default=0)
        lines = [
            f"{' ' if f.holds else '✗'} {HOSTILE:<11}  {f.name:<{width}}  {f.attacks:>4} attacks  "
            f"{points(f.points):g} points gained  {f.verdict}"
            for f in self.hostile
        ]
        habits = [
            f"{' ' if f.holds else '✗'} {WILD_ROW:<11}  {f.name:<{width}}  {f.attacks:>4} habits   "
            f"{points(f.points):g} points lost  {_cost(f)}"
            for f in self.wild
        ]
        lines = ["", "hostile submissions", *lines] if lines else []
        return [*lines, "", "right notebooks as the world writes them", *habits] if habits else lines


def selftest(
    assignment: Assignment, seeds: Iterable[int] = range(200), naming_seeds: int = NAMING_SEEDS
) -> Table:
    """Run all of an assignment's own implementations against its hidden checks, in this process."""
    course = Course.here()
    chosen = list(seeds)
    naming = chosen[:naming_seeds]
    rows: list[Row] = []
    for exercise in assignment.exercises:
        rows.append(_row(exercise, REFERENCE, _words(exercise.reference), exercise.reference, chosen, []))
        rows += [_row(exercise, ALTERNATIVE, _words(f), f, chosen, []) for f in exercise.alternatives]
        rows += [_row(exercise, MISTAKE, m.name, m.function, chosen, naming) for m in exercise.mistakes]
    return Table(
        assignment.name, tuple(rows), (*lacks(course, assignment), *_point_faults(course, assignment))
    )


def slipped(assignment: Assignment, most: int = SLIPS) -> tuple[Slips, ...]:
    """Try the corpus of wrong answers: what is told of them must be theirs."""
    return tuple(Slips.of(e.name, [told(e, slip) for slip in slips(e, most)]) for e in assignment.exercises)


def attacked(assignment: Assignment, attacks: Iterable[Attack], sandbox: Sandbox) -> tuple[Family, ...]:
    """Judge hostile submissions, each of which answers every exercise wrongly and then attacks."""
    exercises = [exercise.name for exercise in assignment.exercises]
    gained: dict[str, list[tuple[str, float, bool]]] = {}
    for attack in attacks:
        judged = judge(attack.notebook(exercises), assignment, sandbox, b"selftest", ATTACK_LIMITS)
        leaked = any(LEAK in output.stdout for output in judged.outputs)
        gained.setdefault(attack.family, []).append((attack.name, judged.report.score, leaked))
    return tuple(
        Family(
            family,
            len(tried),
            sum(score for _, score, _ in tried),
            tuple(name for name, score, leaked in tried if score or leaked),
        )
        for family, tried in gained.items()
    )


def _cost(family: Family) -> str:
    return "accepted" if family.holds else f"COSTS POINTS: {', '.join(family.succeeded)}"


def endured(assignment: Assignment, habits: Iterable[Wild], sandbox: Sandbox) -> tuple[Family, ...]:
    """Judge the solved notebook as the world would have written it: no habit may cost a point.

    Without a solution there is nothing to try, which the table's faults say already.
    """
    try:
        solved = solution_notebook(assignment.name)
    except FileNotFoundError:
        return ()
    lost: dict[str, list[tuple[str, float]]] = {}
    for habit in habits:
        report = judge(habit.applied(solved), assignment, sandbox, b"selftest").report
        lost.setdefault(habit.family, []).append((habit.name, report.max_score - report.score))
    return tuple(
        Family(
            family,
            len(tried),
            sum(points for _, points in tried),
            tuple(name for name, points in tried if points),
        )
        for family, tried in lost.items()
    )


def _words(function: Function) -> str:
    return function.__name__.replace("_", " ")


def _row(
    exercise: Exercise, kind: str, name: str, function: Function, seeds: Sequence[int], naming: Sequence[int]
) -> Row:
    passed = [0] * len(exercise.checks)
    accepted = named = misnamed = 0
    for seed in seeds:
        tried = list(exercise.tried(function, functools.partial(_seed, seed)))
        passed = [n + (not one.complaint) for n, one in zip(passed, tried)]
        accepted += not any(one.complaint for one in tried)
        if seed in naming:
            match = matching_mistake(exercise, tried)
            named += match is not None and match.mistake.name == name
            misnamed += match is not None and match.mistake.name != name
    return Row(exercise.name, kind, name, len(seeds), tuple(passed), accepted, len(naming), named, misnamed)


def _seed(seed: int, check: Check) -> int:
    return seed_for(b"selftest", str(seed).encode(), check.name)


def _point_faults(course: Course, assignment: Assignment) -> list[str]:
    """Where the points of the notebook's cells are not those of the checks, or not what the course demands."""
    try:
        return list(point_faults(course, assignment))
    except FileNotFoundError as error:
        return [str(error)]
