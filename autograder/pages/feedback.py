"""What a student reads: one self-contained page without scripts, in light and dark, on a phone or on paper.

It shows, for each check, its points, what was tried, what came out, and the named mistake that it matches with a
hint, and what came of a public example; then the student's own cells and what they printed. Never a hidden input,
the value expected of one, or student HTML.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from autograder.judging.handout import Handout, Marked, tests_of
from autograder.judging.judge import CellOutput, Judged
from autograder.judging.report import UNREADABLE, CheckResult, ExerciseResult, points
from autograder.judging.submission import Cell, Submission
from autograder.pages.graded_notebook import NO_RESPONSE, checked_png, with_own_pictures
from autograder.pages.template import template


@dataclasses.dataclass(frozen=True)
class Part:
    """One exercise or free-text answer on the page."""

    title: str
    score: float | None
    points: float
    checks: tuple[CheckResult, ...] = ()
    comment: str = ""
    by_hand: bool = False
    cause: str = ""

    @property
    def state(self) -> str:
        if self.score is None:
            return "waiting"
        if self.score >= self.points:
            return "right"
        return "partly" if self.score > 0 else "wrong"

    @property
    def lines(self) -> list[tuple[CheckResult, str]]:
        """The checks, each with a hint unless the same stands above already."""
        seen: set[str] = set()
        lines = []
        for check in self.checks:
            lines.append((check, "" if check.mistake in seen else check.hint))
            seen.add(check.mistake)
        return lines

    @property
    def common_message(self) -> str:
        """The message of all checks, where they say the same and none passed: it is then shown once."""
        messages = {check.message for check in self.checks}
        return messages.pop() if len(messages) == 1 and not any(c.score for c in self.checks) else ""


@dataclasses.dataclass(frozen=True)
class Shown:
    """One of the student's cells on the page."""

    number: int
    kind: str
    source: Markup
    output: CellOutput | None
    pictures: tuple[str, ...]
    title: str


def page(
    student: str,
    submission: Submission,
    judged: Judged,
    handout: Handout,
    by_hand: dict[str, Any],
    penalty: float = 0.0,
) -> str:
    """The page as HTML; `penalty` is what late work costs."""
    parts = list(_parts(submission, judged, handout, by_hand))
    known = [part for part in parts if part.score is not None]
    earned = points(sum(part.score or 0.0 for part in known))
    html: str = template("feedback.html").render(
        student=student,
        assignment=handout.assignment.replace("_", " "),
        report=judged.report,
        unreadable=judged.report.status == UNREADABLE,
        parts=parts,
        earned=earned,
        penalty=points(min(penalty, earned)),
        score=points(max(0.0, earned - penalty)),
        out_of=points(sum(part.points for part in known)),
        waiting=points(sum(part.points for part in parts if part.score is None)),
        cells=list(_cells(submission, judged, handout)),
        highlight_light=_colours("friendly"),
        highlight_dark=_colours("github-dark"),
    )
    return html


def _parts(
    submission: Submission, judged: Judged, handout: Handout, by_hand: dict[str, Any]
) -> Iterator[Part]:
    """Exercises and questions in the order of the notebook."""
    written = {cell.grade_id: cell.source for cell in submission.cells}
    results = {tests_of(exercise.name): exercise for exercise in judged.report.exercises}
    for grade_id, cell in handout.cells.items():
        if grade_id in results:
            yield _exercise(results[grade_id], by_hand)
        elif cell.is_question:
            yield _question(cell, written, by_hand.get(grade_id, {}))


def _exercise(result: ExerciseResult, by_hand: dict[str, Any]) -> Part:
    decided = by_hand.get(tests_of(result.name), {})
    score = decided.get("score", points(result.score)) + decided.get("extra", 0.0)
    comment = by_hand.get(result.name, {}).get("comment", "")
    return Part(
        result.title, score, points(result.points), result.checks, comment, bool(decided), result.cause
    )


def _question(cell: Marked, written: dict[str, str], decided: dict[str, Any]) -> Part:
    empty = written.get(cell.grade_id, cell.source) == cell.source
    score = decided.get("score", 0.0 if empty else None)
    if score is not None:
        score += decided.get("extra", 0.0)
    comment = decided.get("comment", NO_RESPONSE if empty else "")
    title = cell.heading or cell.grade_id.replace("_", " ")
    return Part(title, score, float(cell.marks["points"]), (), comment, "score" in decided)


def _cells(submission: Submission, judged: Judged, handout: Handout) -> Iterator[Shown]:
    """The student's own cells: neither our tests nor our instructions."""
    outputs = {output.index: output for output in judged.outputs}
    titles = {exercise.name: exercise.title for exercise in judged.report.exercises}
    left = MAX_COLOURED
    for index, cell in enumerate(submission.cells):
        ours = cell.kind == "markdown" and cell.source.strip() in handout.instructions
        if cell.is_test or ours or not cell.source.strip():
            continue
        output = outputs.get(index)
        drawn = [checked_png(display["png"]) for display in output.displays] if output else []
        if cell.kind == "markdown":
            source, attached = with_own_pictures(cell.source, cell)
            cell, drawn = dataclasses.replace(cell, source=source), list(attached.values())
        shown = _highlighted(cell, left)
        left = max(0, left - len(cell.source))
        yield Shown(
            index + 1,
            cell.kind,
            shown,
            output,
            tuple(picture for picture in drawn if picture),
            titles.get(cell.grade_id, ""),
        )


@functools.cache
def _formatter() -> Any:
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]

    return HtmlFormatter(nowrap=True)


@functools.cache
def _colours(style: str) -> Markup:
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]

    rules = HtmlFormatter(style=style).get_style_defs("code").splitlines()
    return Markup("\n".join(rule for rule in rules if rule.startswith("code .")))


MAX_HIGHLIGHTED = 20_000
MAX_COLOURED = 400_000
LONGEST_LINE = 400
"""Characters of a cell that are shown, of a notebook's cells and of a line that are coloured: in a line, the time
that colours take can grow with the square of its length."""


def _highlighted(cell: Cell, left: int = MAX_COLOURED) -> Markup:
    """Source as HTML that holds nothing but the text and, as far as there is room `left`, colours."""
    plain = cell.kind != "code" or len(cell.source) > min(MAX_HIGHLIGHTED, left)
    if plain or max(map(len, cell.source.splitlines()), default=0) > LONGEST_LINE:
        return Markup.escape(cell.source[:MAX_HIGHLIGHTED])
    return _coloured(cell.source)


@functools.lru_cache(maxsize=64)  # most cells of a class are the ones handed out
def _coloured(source: str) -> Markup:
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]

    return Markup(highlight(source, PythonLexer(), _formatter()))
