"""What stood in the way of an exercise, said first: a line that needs what is not here, a stopped cell, a new name.

All of it is said of the student's own cells, which ran before any hidden input was met.
"""

import dataclasses
import difflib
import re
from typing import Any, Protocol

from autograder.judging.report import ExerciseResult
from autograder.judging.submission import Submission, defines

KEPT = 20
MOST_NAMES = 10_000
DEFINITION = re.compile(r"^def\s+(\w+)", re.MULTILINE)
SAID = 300
SUFFERING = ("defines no function", "NameError", "ImportError", "ModuleNotFoundError", "does not have")
"""What is said of a function that lacks something its cells should have made."""


class Output(Protocol):
    error: str


@dataclasses.dataclass(frozen=True)
class Failure:
    """A line that needs what is not in the environment that grades; the rest of its cell ran."""

    cell: int
    line: int
    code: str
    reason: str

    def in_words(self) -> str:
        return (
            f"cell {self.cell + 1}, line {self.line} (`{self.code}`) needs what the grader's environment does not "
            f"have ({self.reason}); the other lines of the cell ran"
        )


def failures_of(index: int, answer: dict[str, Any]) -> list[Failure]:
    """The failures that the worker tells of one cell, as bounded text."""
    told = answer.get("failures")
    return [
        Failure(
            index,
            entry["line"] if isinstance(entry.get("line"), int) else 0,
            _text(entry.get("code")),
            f"{_text(entry.get('type'))}: {_text(entry.get('message'))}",
        )
        for entry in (told[:KEPT] if isinstance(told, list) else [])
        if isinstance(entry, dict)
    ]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return " ".join(text.encode(errors="replace").decode().split())[:200]


def with_cause(
    result: ExerciseResult, submission: Submission, outputs: dict[int, Any], failures: list[Failure]
) -> ExerciseResult:
    """The result of an exercise that lost points, with what stood in its way, if that can be told."""
    if result.score >= result.points:
        return result
    cause = _cause(result, submission, outputs, failures)
    return dataclasses.replace(result, cause=cause) if cause else result


def _cause(
    result: ExerciseResult, submission: Submission, outputs: dict[int, Any], failures: list[Failure]
) -> str:
    said = [check.message for check in result.checks]
    suffers = any(word in message for message in said for word in SUFFERING)
    own = [i for i, cell in enumerate(submission.cells) if defines(cell.source, result.name)]
    ended = {
        i: o.error.rstrip(".")[:SAID]
        for i, o in outputs.items()
        if o.error and not o.error.startswith("Not here")
    }
    for index in reversed(own):
        if suffers and index in ended:
            return f"cell {index + 1}, which defines {result.name}, did not run to its end: {ended[index]}"
    if suffers and failures:
        return failures[0].in_words()
    above = [
        index for index in ended if not own or index < max(own)
    ]  # what stands below defines nothing for it
    if suffers and above:
        return f"cell {min(above) + 1} did not run to its end: {ended[min(above)]}"
    if not own and any("defines no function" in message for message in said):
        return _renamed(result.name, submission)
    return ""


def _renamed(name: str, submission: Submission) -> str:
    """The function that is probably meant, if there is one with nearly that name."""
    found = {
        function: index
        for index, cell in enumerate(submission.cells)
        if cell.kind == "code" and not cell.is_test
        for function in DEFINITION.findall(cell.source)
    }
    close = difflib.get_close_matches(name, list(found)[:MOST_NAMES], 1, 0.75)
    if not close:
        return ""
    return (
        f"cell {found[close[0]] + 1} defines `{close[0]}`; the exercise asks for a function named `{name}`, "
        "and nothing else is looked for"
    )


def changed_later(name: str, changed: list[str], sources: dict[int, str], place: int) -> str:
    """A note on an exercise that counts as it stood when its tests ran."""
    for index in sorted(i for i in sources if i > place):
        for other in changed:
            word = re.escape(other)
            if re.search(
                rf"(?:^|[\s,;(*]){word}\s*(?:[-+*/@|&]?=(?!=)|,|\))|\b(?:def|class|as|import|del)\s+{word}\b",
                sources[index],
            ):
                return (
                    f"{name} counts as it stood when its tests ran: cell {index + 1} changes `{other}`, "
                    "which it uses"
                )
    return f"{name} counts as it stood when its tests ran: a later cell changes something that it uses"
