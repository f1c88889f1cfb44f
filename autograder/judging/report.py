"""What grading one submission came to: plain data, the same for terminal, gradebook, feedback and exports."""

import dataclasses
import json
from typing import Any

from autograder.exercises.pictures import Picture

GRADED, UNREADABLE, UNGRADED = "graded", "unreadable", "ungraded"


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """One hidden check: `score` of `points`, what it tried in words, and what came out."""

    name: str
    points: float
    score: float
    tried: str
    message: str
    mistake: str = ""
    hint: str = ""
    seconds: float = 0.0
    picture: Picture | None = None
    example: str = ""


@dataclasses.dataclass(frozen=True)
class ExerciseResult:
    """One exercise: the sum of its checks; `cause` says first what stood in the way, if anything did."""

    name: str
    title: str
    checks: tuple[CheckResult, ...]
    cause: str = ""

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)

    @property
    def score(self) -> float:
        return sum(check.score for check in self.checks)


@dataclasses.dataclass(frozen=True)
class Report:
    """The verdict on one submission.

    `status` is "graded"; "unreadable" when the student's file is no notebook (score 0, with the reason in
    `notes`); or "ungraded" when the grader itself failed, in which case no score may be recorded.
    """

    assignment: str
    status: str
    exercises: tuple[ExerciseResult, ...]
    notes: tuple[str, ...] = ()
    isolation: str = ""
    seconds: float = 0.0
    manual_points: float = 0.0  # free-text answers, graded by hand
    max_score: float = 0.0

    @property
    def score(self) -> float:
        return sum(exercise.score for exercise in self.exercises)

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        return json.dumps(self, default=vars, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        data: dict[str, Any] = json.loads(text)
        data["exercises"] = tuple(
            ExerciseResult(e["name"], e["title"], tuple(_check(c) for c in e["checks"]), e.get("cause", ""))
            for e in data["exercises"]
        )
        data["notes"] = tuple(data["notes"])
        return cls(**data)


def _check(data: dict[str, Any]) -> CheckResult:
    return CheckResult(**data | {"picture": Picture.from_data(data.get("picture"))})


def points(value: float) -> float:
    """A sum of points without the noise of adding fractions."""
    return round(value, 6)
