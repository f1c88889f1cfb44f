"""What an instructor reads about one assignment: a self-contained page without scripts, in light and dark.

    discrimination of a check = correlation of its points with the points of all other checks, over students

The verdicts are read one at a time and only sums are kept, so memory does not grow with the class, except for the
names of those whose work could not be read or graded (the first `LISTED` of each).
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.classroom.codes import shown
from autograder.classroom.progress import printable
from autograder.classroom.store import Store
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.fingerprint import fingerprint, result_key
from autograder.judging.report import UNREADABLE, CheckResult, ExerciseResult, Report, points
from autograder.pages.template import template

LISTED = 200
BARS = 10
LOW = 0.2
"""A check that discriminates less is marked: those who do well elsewhere do hardly better on it."""

ENOUGH = 10
"""Below this many students a correlation says nothing, and none is shown."""


class Correlation:
    """Pearson's correlation of two streams, by Welford's updates: constant streams are recognized exactly."""

    def __init__(self) -> None:
        self.n = 0
        self.mean_x = self.mean_y = 0.0
        self._xx = self._yy = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        self.n += 1
        dx, dy = x - self.mean_x, y - self.mean_y
        self.mean_x += dx / self.n
        self.mean_y += dy / self.n
        self._xx += dx * (x - self.mean_x)
        self._yy += dy * (y - self.mean_y)
        self._xy += dx * (y - self.mean_y)

    @property
    def value(self) -> float | None:
        """The correlation; None where one of the streams is constant."""
        if self._xx <= 0 or self._yy <= 0:
            return None
        return max(-1.0, min(1.0, self._xy / math.sqrt(self._xx * self._yy)))


@dataclasses.dataclass
class Item:
    """A check or an exercise, summed over the students who were graded."""

    title: str
    points: float
    rest: Correlation = dataclasses.field(default_factory=Correlation)
    full: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    def add(self, score: float, total: float, seconds: float) -> None:
        self.rest.add(score, points(total - score))
        self.full += score >= self.points
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)

    @property
    def difficulty(self) -> float:
        """The mean share of the points: 1 is easy, 0 is hard."""
        return self.rest.mean_x / self.points if self.points and self.rest.n else 0.0

    @property
    def discrimination(self) -> float | None:
        return self.rest.value if self.rest.n >= ENOUGH else None

    @property
    def is_weak(self) -> bool:
        return self.discrimination is not None and self.discrimination < LOW

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "title": self.title,
            "points": self.points,
            "mean_share": self.difficulty,
            "full_marks": self.full,
            "discrimination": self.discrimination,
            "mean_seconds": self.mean_seconds,
        }

    @property
    def mean_seconds(self) -> float:
        return self.seconds / self.rest.n if self.rest.n else 0.0


@dataclasses.dataclass
class Chapter:
    """One exercise: itself, its checks, and how many students made which of its mistakes."""

    item: Item
    checks: dict[str, Item]
    mistakes: Counter[str] = dataclasses.field(default_factory=Counter)
    hints: dict[str, str] = dataclasses.field(default_factory=dict)
    unnamed: int = 0

    def add(self, result: ExerciseResult, total: float) -> None:
        self.item.add(points(result.score), total, sum(check.seconds for check in result.checks))
        for check in result.checks:
            if check.name in self.checks:
                self.checks[check.name].add(check.score, total, check.seconds)
        self._name(result.checks)

    def _name(self, checks: Iterable[CheckResult]) -> None:
        failed = [check for check in checks if check.score < check.points]
        named = {check.mistake: check.hint for check in failed if check.mistake}
        self.mistakes.update(named.keys())
        self.hints |= named
        self.unnamed += bool(failed and not named)


@dataclasses.dataclass(frozen=True)
class Bar:
    """One line of the distribution."""

    label: str
    students: int
    share: float


class Overview:
    """Everything on the page, built up from one verdict after another."""

    def __init__(self, assignment: str) -> None:
        self.assignment = assignment
        exercises = assignment_named(assignment).exercises
        self.chapters = {
            e.name: Chapter(Item(e.title, e.points), {c.name: Item(c.tries, c.points) for c in e.checks})
            for e in exercises
        }
        self.maximum = sum(exercise.points for exercise in exercises)
        self.scores: Counter[float] = Counter()
        self.isolation: Counter[str] = Counter()
        self.unreadable: list[tuple[str, str]] = []
        self.ungraded: list[str] = []
        self.outdated: list[str] = []
        self.count_unreadable = self.count_ungraded = self.count_outdated = 0
        self.seconds = 0.0

    def add(self, student: str, report: Report) -> None:
        """Count a verdict. Work that could not be read is listed, and says nothing about the checks."""
        self.isolation[report.isolation] += 1
        if report.status == UNREADABLE:
            self.count_unreadable += 1
            if len(self.unreadable) < LISTED:
                self.unreadable.append((printable(student), "; ".join(report.notes)))
            return
        total = points(report.score)
        self.scores[round(total, 1)] += 1
        self.seconds += report.seconds
        for result in report.exercises:
            if result.name in self.chapters:
                self.chapters[result.name].add(result, total)

    def miss(self, student: str) -> None:
        """Count a submission without a verdict."""
        self.count_ungraded += 1
        if len(self.ungraded) < LISTED:
            self.ungraded.append(printable(student))

    def mark_outdated(self, student: str) -> None:
        """Note that a counted verdict is on other work than now lies in the inbox, or by other checks."""
        self.count_outdated += 1
        if len(self.outdated) < LISTED:
            self.outdated.append(printable(student))

    def plain(self) -> dict[str, Any]:
        """What the page shows, for programs."""
        return {
            "assignment": self.assignment,
            "graded": self.graded,
            "maximum": self.maximum,
            "mean": self.mean,
            "median": self.median,
            "exercises": {
                name: chapter.item.plain()
                | {
                    "checks": {check: item.plain() for check, item in chapter.checks.items()},
                    "mistakes": dict(chapter.mistakes),
                    "unnamed_mistakes": chapter.unnamed,
                }
                for name, chapter in self.chapters.items()
            },
            "unreadable": {"count": self.count_unreadable, "first": dict(self.unreadable)},
            "ungraded": {"count": self.count_ungraded, "first": self.ungraded},
            "outdated": {"count": self.count_outdated, "first": self.outdated},
            "isolation": dict(self.isolation),
        }

    @property
    def graded(self) -> int:
        return self.scores.total()

    @property
    def mean(self) -> float:
        return (
            sum(score * count for score, count in self.scores.items()) / self.graded if self.graded else 0.0
        )

    @property
    def median(self) -> float:
        """The middle score; between two, their mean."""
        middle = ((self.graded - 1) // 2, self.graded // 2)
        return sum(self._ranked(rank) for rank in middle) / 2 if self.graded else 0.0

    def _ranked(self, rank: int) -> float:
        seen = 0
        for score in sorted(self.scores):
            seen += self.scores[score]
            if seen > rank:
                return score
        raise IndexError(rank)

    @property
    def bars(self) -> list[Bar]:
        """The distribution in `BARS` equal ranges, of which the last holds full marks."""
        width = self.maximum / BARS
        counts = [0] * BARS
        for score, count in self.scores.items():
            counts[min(BARS - 1, int(score / width))] += count
        most = max(counts) or 1
        return [
            Bar(f"{i * width:g} to {(i + 1) * width:g}", count, 100 * count / most)
            for i, count in enumerate(counts)
        ]

    @property
    def named(self) -> list[tuple[str, str, int, str]]:
        """Exercise, mistake, students and hint, the most frequent first."""
        found = [
            (chapter.item.title, mistake, count, chapter.hints[mistake])
            for chapter in self.chapters.values()
            for mistake, count in chapter.mistakes.items()
        ]
        return sorted(found, key=lambda line: (-line[2], line[0], line[1]))

    @property
    def unnamed(self) -> list[tuple[str, int]]:
        return [(c.item.title, c.unnamed) for c in self.chapters.values() if c.unnamed]


def overview(course: Course, name: str) -> Overview:
    """Read every verdict of an assignment once; raises `ValueError` where there is none."""
    found = Overview(name)
    store = Store(course, name)
    environment = _environments(course, name)
    called = shown(course)
    for student in _everyone(course, name, store):
        key = store.recorded(student)
        report = store.load_report(key) if key else None
        if report is None:
            found.miss(called(student))
        else:
            found.add(called(student), report)
            if not _is_current(course, name, student, key, environment(report.isolation)):
                found.mark_outdated(called(student))
    if not found.graded and not found.count_unreadable:
        raise ValueError(f"nothing of {name} is graded yet; run: autograder grade {name}")
    return found


def _everyone(course: Course, name: str, store: Store) -> Iterator[str]:
    yield from sorted(set(inbox.students(course, name)) | set(store.students()))


def _environments(course: Course, name: str) -> Callable[[str], bytes]:
    """What verdicts depend on now, for each isolation that they were reached in."""
    assignment, key = assignment_named(name), course.key()
    return functools.cache(lambda isolation: fingerprint(assignment, isolation, key))


def outdated(course: Course, name: str) -> set[str]:
    """Everyone whose recorded verdict is of older checks, another environment or older work."""
    store = Store(course, name)
    environment = _environments(course, name)
    found = set()
    for student in store.students():
        key = store.recorded(student)
        report = store.load_report(key)
        if report is not None and not _is_current(course, name, student, key, environment(report.isolation)):
            found.add(student)
    return found


def _is_current(course: Course, name: str, student: str, key: str, environment: bytes) -> bool:
    """Whether the verdict `key` is on what lies in the inbox; one whose work is gone stands."""
    try:
        data = inbox.read(inbox.find(course, student, name).path)
    except FileNotFoundError:
        return True
    except inbox.Rejected as rejection:
        data = b"rejected: " + str(rejection).encode()
    return result_key(environment, data) == key


def write(course: Course, name: str) -> tuple[Path, Overview]:
    """Write `course/reports/ASSIGNMENT.html`; returns its path, and what it shows."""
    found = overview(course, name)
    path = course.folder("reports", f"{name}.html")
    write_atomically(path, page(found).encode("utf-8", "replace"), durable=False)
    return path, found


def page(found: Overview) -> str:
    """The page as HTML."""
    html: str = template("overview.html").render(found=found, listed=LISTED, low=LOW, enough=ENOUGH)
    return html
