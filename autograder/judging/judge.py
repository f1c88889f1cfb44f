"""The judge: runs a submission in the sandbox, asks it questions, and decides by itself.

Nothing of a student's is executed, imported or unpickled here. What comes back are plain values; printed
text, exit codes and exceptions mean nothing to the verdict. Inputs are drawn from a seed that depends on the
course's key, the submission's bytes and the check, so the same bytes always meet the same questions.
"""

import contextlib
import dataclasses
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from autograder.exercises import pictures
from autograder.exercises.attempt import Attempt, Check, LocalAttempt, Unsolved, Wrong
from autograder.exercises.examples import (
    Example,
    example_of,
    public_seed,
    tells,
    with_answer,
    without_repetition,
)
from autograder.exercises.exercise import Assignment, Exercise, Tried
from autograder.exercises.likeness import matching_mistake
from autograder.judging import causes
from autograder.judging import submission as reading
from autograder.judging.report import GRADED, UNREADABLE, CheckResult, ExerciseResult, Report
from autograder.sandbox.limits import Limits, patience
from autograder.sandbox.sandbox import Sandbox
from autograder.sandbox.session import Dead, Line, Session
from autograder.sandbox.worker import codec, warm

CHECK_RESTARTS = 3
UNFORKED = 3
CELL_RESTARTS = 4
EXAMPLE_SECONDS = 2.0
Answer = TypeVar("Answer")


@dataclasses.dataclass
class CellOutput:
    """What one cell did when it was run for grading."""

    index: int
    stdout: str = ""
    stderr: str = ""
    displays: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Judged:
    """The verdict, and the outputs that the feedback shows beside the student's cells."""

    report: Report
    outputs: tuple[CellOutput, ...] = ()


def seed_for(key: bytes, data: bytes, check: str) -> int:
    """The seed of one check on one submission: HMAC-SHA256(key, SHA-256(submission) · check)."""
    message = hashlib.sha256(data).digest() + check.encode()
    return int.from_bytes(hmac.digest(key, message, "sha256")[:8], "big")


def judge(
    data: bytes, assignment: Assignment, sandbox: Sandbox, key: bytes, limits: Limits | None = None
) -> Judged:
    """Grade the bytes of one notebook, within the course's limits unless others are given."""
    start = time.perf_counter()
    maximum = sum(exercise.points for exercise in assignment.exercises)
    try:
        submission = reading.parse(data)
    except reading.Unreadable as error:
        return Judged(nothing(assignment, str(error), sandbox.description))
    run = _Run(submission, assignment, sandbox, limits or Limits.set_by(assignment.limits))
    try:
        run.execute()
        exercises = tuple(_grade_exercise(e, run, key, data) for e in assignment.exercises)
        changed = {e.name: run.changed(e.name) for e in exercises if e.score < e.points}
        exercises = tuple(_at_its_tests(e, changed.get(e.name, []), run, key, data) for e in exercises)
        exercises = _with_examples(exercises, run)
        exercises = tuple(causes.with_cause(e, submission, run.outputs, run.failures) for e in exercises)
    finally:
        if run.line is not None:
            run.line.channel.close()  # the fork ends with everything else: no need to wait for it alone
        sandbox.dismiss()
    notes = [
        *submission.notes,
        *reading.missing(submission, [e.name for e in assignment.exercises]),
        *run.notes,
    ]
    report = Report(
        assignment.name,
        GRADED,
        exercises,
        tuple(notes),
        sandbox.description,
        time.perf_counter() - start,
        max_score=maximum,
    )
    return Judged(report, tuple(run.outputs.values()))


def _all_failed(exercise: Exercise, message: str) -> ExerciseResult:
    checks = tuple(CheckResult(c.name, c.points, 0.0, c.tries, message) for c in exercise.checks)
    return ExerciseResult(exercise.name, exercise.title, checks)


class _Run:
    """One submission's executed state, made again where a cell or a check destroyed it."""

    def __init__(
        self, submission: reading.Submission, assignment: Assignment, sandbox: Sandbox, limits: Limits
    ) -> None:
        self.submission = submission
        self.assignment = assignment
        self.sandbox = sandbox
        self.limits = limits
        self.skipped: set[int] = set()
        self.outputs: dict[int, CellOutput] = {}
        self.failures: list[causes.Failure] = []
        self.sources, self.notes = reading.runnable(submission, [e.name for e in assignment.exercises])
        self.tests = {
            cell.grade_id.removesuffix("-tests"): index
            for index, cell in enumerate(submission.cells)
            if cell.is_test
        }
        self.wanted = warm.named("\n".join(self.sources.values()))
        self.restarts = 0
        self.unforked = 0
        self.spent = 0.0
        self.begun = 0.0
        self.died = ""  # how the last fork ended
        self.answered: set[str] = set()  # exercises whose function gave the checks something
        self.examples: dict[str, Example] = {}  # by their text
        self.counted_at: dict[str, int] = {}  # those that count as they stood before a cell
        self.session: Session | None = None
        self.line: Line | None = None  # to the fork that serves check after check while they pass

    def execute(self, until: int | None = None) -> None:
        """Run every cell but our tests; a cell that kills its process is left out and the rest run again.

        With `until`, the cells before that one.
        """
        for _ in range(CELL_RESTARTS + 1):
            self.hang_up()
            self.session = None
            self.sandbox.end()
            self.spent = self.spent or self.sandbox.spent
            if self.exhausted():
                return
            self.session = self.sandbox.start(self.limits, self.wanted)
            self.begun = time.monotonic()
            if self._run_cells(len(self.submission.cells) if until is None else until):
                return
        self.session = None
        self.note("the notebook's process died too often; the cells after that were not run")

    def exhausted(self) -> bool:
        """Whether the submission has used up the time that it has in all."""
        used = self.sandbox.spent - self.spent
        if self.session is not None:
            used += self.sandbox.used(self.begun)[0]
        if used > self.limits.total_seconds:
            self.note(
                f"the notebook used more than {self.limits.total_seconds:.0f} seconds in all, and was not run again"
            )
            return True
        return False

    def note(self, text: str) -> None:
        """Tell the student, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _run_cells(self, until: int) -> bool:
        assert self.session is not None
        allowed, end = self.limits.notebook_seconds, time.monotonic() + self.limits.notebook_seconds
        marked = {index: name for name, index in self.tests.items()}
        before = self.sandbox.spent
        self.failures = []
        for index in range(until):
            if index in marked:
                try:
                    self.session.mark(marked[index])
                except Dead:
                    return False
            if index not in self.sources or index in self.skipped:
                continue
            if time.monotonic() > end and (why := self._too_long(allowed, self.sandbox.spent - before)):
                self.note(f"the notebook {why}; the rest was not run")
                return True
            try:
                answer = self.session.run_cell(self.sources[index], self.limits.cell_seconds)
            except Dead as death:
                self._leave_out(index, death.reason)
                return False
            failures = causes.failures_of(index, answer)
            self.failures += failures
            for failure in failures:
                self.note(failure.in_words())
            self.outputs[index] = _cell_output(index, answer, failures, self.limits.cell_seconds)
        return True

    def _too_long(self, allowed: float, slept: float) -> str:
        """What of a notebook's cells together took too long, work or sleep; empty if nothing did."""
        if self.sandbox.used(self.begun)[0] > allowed:
            return f"ran for more than {allowed:.0f} seconds of processor time"
        if slept > patience(allowed):
            return f"slept or waited for more than {patience(allowed):.0f} seconds"
        return ""

    def _leave_out(self, index: int, reason: str) -> None:
        self.skipped.add(index)
        words = DEATHS.get(reason, "its process ended")
        self.outputs[index] = CellOutput(index, error=f"This cell was left out: {words}.")
        self.note(f"cell {index + 1} was left out: {words}")

    def revive(self) -> Session | None:
        """The session, executed again if a check killed it and not too often."""
        if self.session is not None and self.session.channel.fileno() >= 0:
            return self.session
        if self.restarts >= CHECK_RESTARTS:
            return None
        self.restarts += 1
        self.execute()
        return self.session

    def changed(self, exercise: str) -> list[str]:
        """What an exercise uses and is not as it was when the notebook came to its tests."""
        session = self.revive() if exercise in self.tests else None
        try:
            return session.changed(exercise) if session is not None else []
        except Dead:
            return []

    def without_fork(self) -> Line | None:
        """A line to the executed state itself, which has the threads that it started; it is gone afterwards."""
        if self.unforked >= UNFORKED:
            return None
        self.unforked += 1
        self.restarts -= 1  # what comes after this one is not to suffer from it
        self.execute()
        if self.session is None:
            return None
        self.line = self.session.fork(threads=True)
        return self.line

    def hang_up(self) -> None:
        """End the fork, if one is alive; a session that dies of it is executed again for the next check."""
        line, self.line = self.line, None
        if line is not None:
            self.died = "exited"
            with contextlib.suppress(Dead):
                self.died = line.close()


DEATHS = {
    "memory": "it used more memory than allowed",
    "processes": "it started too many processes",
    "disk": "it wrote more to files than allowed",
    "late": "it did not stop when its time was up",
    "exited": "it ended the notebook's process",
    "protocol": "it disturbed the connection to the grader",
}


def _cell_output(
    index: int, answer: dict[str, Any], failures: list[causes.Failure], seconds: float
) -> CellOutput:
    """A cell's outputs as plain, bounded text; anything malformed is dropped."""
    displays = [
        {
            "result": entry.get("result") is True,
            "text": str(entry.get("text", ""))[:20_000],
            "png": entry["png"] if isinstance(entry.get("png"), str) else "",
        }
        for entry in answer.get("displays") or []
        if isinstance(entry, dict)
    ]
    error = answer.get("error")
    text = "\n".join(f"Not here: {failure.in_words()}" for failure in failures)
    if answer.get("stopped"):
        words = "sleeping or waiting for too long" if answer["stopped"] == "slept" else ""
        text = f"This cell was stopped after {words or f'{seconds:g} seconds of processor time'}."
    elif isinstance(error, dict):
        if error.get("late"):
            text = f"This cell was stopped after {seconds:g} seconds of processor time."
        else:
            line = f" (line {error['line']}: {error.get('code', '')})" if error.get("line") else ""
            text = f"{error.get('type', 'Error')}: {error.get('message', '')}{line}"
    return CellOutput(
        index,
        str(answer.get("stdout", ""))[:25_000],
        str(answer.get("stderr", ""))[:25_000],
        displays[:50],
        text[:3000],
    )


class SandboxAttempt(Attempt):
    """An attempt at a student's function, over a line into the sandbox."""

    def __init__(self, exercise: Exercise, seed: int, line: Line) -> None:
        super().__init__(exercise, seed)
        self.line = line

    def outcomes(self, calls: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        try:
            answer: list[dict[str, Any]] = self.line.call(self.exercise.name, [(args, {}) for args in calls])
        except codec.ProtocolError:
            raise Wrong("your function's process sent an answer that makes no sense") from None
        if not answer or not all(isinstance(outcome, dict) for outcome in answer):
            raise Wrong("your function's process sent an answer that makes no sense")
        return answer


def _grade_exercise(exercise: Exercise, run: _Run, key: bytes, data: bytes) -> ExerciseResult:
    grading = _Grading(exercise, run)
    results: list[CheckResult] = []
    for check in exercise.checks:
        result = grading.check(check, seed_for(key, data, check.name))
        if grading.unsolved:
            return _all_failed(exercise, result.message)
        results.append(result)
    return ExerciseResult(exercise.name, exercise.title, tuple(grading.named(results)))


def _at_its_tests(
    result: ExerciseResult, changed: list[str], run: _Run, key: bytes, data: bytes
) -> ExerciseResult:
    """An exercise that lost points, as it stood when the notebook came to its tests, if it has changed since.

    In Jupyter its tests passed there; the better of the two counts.
    """
    place = run.tests.get(result.name)
    if place is None or not changed:
        return result
    run.execute(until=place)
    exercise = run.assignment.exercise(result.name)
    earlier = _grade_exercise(exercise, run, key, data)
    run.hang_up()
    run.session = None
    if earlier.score <= result.score:
        return result
    run.note(causes.changed_later(result.name, changed, run.sources, place))
    run.counted_at[result.name] = place
    return earlier


def _with_examples(results: tuple[ExerciseResult, ...], run: _Run) -> tuple[ExerciseResult, ...]:
    """Failed checks show what the function makes of their public examples.

    The notebook is executed again for them: this process has met no hidden input and no hidden seed, and neither
    has a file beside it. So what the function returns or raises there may be shown as it is.
    """
    pristine = _Pristine(run)
    return tuple(pristine.with_examples(result) for result in results)


class _Pristine:
    """The executed state of a submission, made again when it is needed, that meets nothing but public examples."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.executed: list[int | None] = []

    def with_examples(self, result: ExerciseResult) -> ExerciseResult:
        """Failed checks that have an example say what came of it, and the first with nothing to see is drawn."""
        checks = {check.name: check for check in result.checks}
        failed = [check for check in result.checks if check.score < check.points]
        answered = {c.name: self._answered(result.name, c) for c in failed if c.example}
        for name, text in without_repetition(answered).items():
            checks[name] = dataclasses.replace(checks[name], example=text)
        bare = next((check for check in failed if check.picture is None), None)
        if bare is not None and result.name in self.run.answered:
            shown = self._drawn(self.run.assignment.exercise(result.name), bare)
            if isinstance(shown, str):
                checks[bare.name] = dataclasses.replace(checks[bare.name], example=shown)
            else:
                checks[bare.name] = dataclasses.replace(checks[bare.name], picture=shown)
        return dataclasses.replace(result, checks=tuple(checks.values()))

    def _answered(self, name: str, check: CheckResult) -> str:
        """The first example that shows what is wrong, with what came of it; if none does, the first."""
        example = self.run.examples[check.example]

        def told(line: Line) -> str:
            outcome = line.call(name, [(example.arguments, {})])[0]
            first = with_answer(example.text, outcome)
            for other in () if tells(example.text, outcome) else example.others():
                outcome = line.call(name, [(other.arguments, {})])[0]
                if tells(other.text, outcome):
                    return with_answer(other.text, outcome)
            return first

        told_of = self._asked(name, check, told)
        return with_answer(check.example, {}) if told_of is None else told_of

    def _drawn(self, exercise: Exercise, check: CheckResult) -> pictures.Picture | str | None:
        draw, seed = exercise.example, public_seed(check.name)
        if draw is None:
            return None
        return self._asked(exercise.name, check, lambda line: draw(SandboxAttempt(exercise, seed, line)))

    def _asked(self, name: str, check: CheckResult, question: Callable[[Line], Answer]) -> Answer | None:
        """What a fork answers; whatever goes wrong there costs no verdict."""
        try:
            line = self.run.line = self._session(name).fork()
            line.begin(EXAMPLE_SECONDS, public_seed(check.name))
            return question(line)
        except Exception:  # a student's value may break whatever draws it or puts it in words
            return None
        finally:
            self.run.hang_up()

    def _session(self, name: str) -> Session:
        until = self.run.counted_at.get(name)
        if self.executed[-1:] != [until]:
            self.executed.append(until)
            self.run.execute(until)
        if self.run.session is None:
            raise Dead("exited")
        return self.run.session


class _Grading:
    """The checks of one exercise, in forks of the executed state.

    A fork serves check after check while they pass. A check that fails is repeated in a fork of its own, and
    fails only if it fails there: no check suffers from what an earlier one did, and a right notebook costs one
    fork.
    """

    def __init__(self, exercise: Exercise, run: _Run) -> None:
        self.exercise = exercise
        self.run = run
        self.unsolved = False
        self.hung = self.late = self.slept = self.unforked = False
        self.changed: set[str] = set()
        self.tried: list[Tried] = []

    def check(self, check: Check, seed: int) -> CheckResult:
        """The verdict of one check."""
        start = time.perf_counter()
        complaint, attempt = "", None
        for line in self._lines():
            attempt = SandboxAttempt(self.exercise, seed, line)
            attempt.changed |= self.changed
            complaint = self._complaint(check, attempt, seed)
            if not complaint:
                self._keep(check, seed, attempt)
                seconds = time.perf_counter() - start
                return CheckResult(
                    check.name, check.points, check.points, check.tries, "right", seconds=seconds
                )
            self.run.hang_up()
        self.hung = self.hung or self.late
        picture, example = None, None
        if attempt is None:
            complaint = "the notebook's process died too often, or used too much time in all, to go on"
        else:
            self._keep(check, seed, attempt, complaint)
            example = None if self.unsolved or self.late else example_of(self.exercise, check, attempt)
            if example is not None:
                self.run.examples[example.text] = example
            if not self.unsolved and (attempt.values or attempt.counts):
                self.run.answered.add(self.exercise.name)
                picture = pictures.bars(attempt.counts)
        return CheckResult(
            check.name,
            check.points,
            0.0,
            check.tries,
            complaint,
            seconds=time.perf_counter() - start,
            picture=picture,
            example=example.text if example is not None else "",
        )

    def _keep(self, check: Check, seed: int, attempt: SandboxAttempt, complaint: str = "") -> None:
        self.changed |= attempt.changed
        self.tried.append(Tried(check, seed, attempt, complaint))

    def named(self, results: list[CheckResult]) -> list[CheckResult]:
        """The results; where the function behaves as a named mistake does, the checks that this fails say so."""
        match = matching_mistake(self.exercise, self.tried) if any(t.complaint for t in self.tried) else None
        if match is None:
            return results
        name, hint = match.mistake.name, match.mistake.hint
        return [
            dataclasses.replace(r, mistake=name, hint=hint) if r.name in match.fails else r for r in results
        ]

    def _lines(self) -> Iterator[Line]:
        """The fork that served the check before, if any; a fork of the check's own; the executed state itself.

        The last only where threads that a fork does not have may be missing, and once in an exercise.
        """
        self.late = False
        if self.run.line is not None:
            yield self.run.line
            if self.unsolved or (self.late and self.hung):
                return
        if self.late and self.run.exhausted():
            return
        session = self.run.revive()
        if session is not None:
            with contextlib.suppress(Dead):
                self.run.line = session.fork()
                yield self.run.line
        if self._may_miss_threads() and not self.unforked:
            self.unforked = True
            with contextlib.suppress(Dead):
                if (line := self.run.without_fork()) is not None:
                    yield line

    def _may_miss_threads(self) -> bool:
        return self.slept or self.run.died in ("killed by SIGABRT", "killed by SIGSEGV")

    def _complaint(self, check: Check, attempt: SandboxAttempt, seed: int) -> str:
        """What is wrong with the answer, in words; empty if nothing is."""
        attempt.line.begin(check.seconds, seed)
        self.late = self.slept = False
        try:
            self.exercise.run(check, attempt)
        except Wrong as error:
            self.unsolved = isinstance(error, Unsolved)
            return str(error)
        except codec.Late:
            self.late, self.slept = True, attempt.line.watch.slept
            if self.slept:
                return "your function slept or waited for too long"
            return f"your function took more than {check.seconds:g} seconds of processor time"
        except (codec.Closed, Dead):
            return "your function's process ended before it answered"
        except Exception:
            # Either the student's value broke the check, or the check is broken: the reference tells which.
            LocalAttempt.passes(self.exercise, check, self.exercise.reference, seed)
            return "your function returned a value that could not be checked"
        return ""


def with_notes(judged: Judged, notes: list[str] | tuple[str, ...]) -> Judged:
    """The verdict with notes on how the file lay in the inbox."""
    report = dataclasses.replace(judged.report, notes=(*notes, *judged.report.notes))
    return Judged(report, judged.outputs)


def nothing(assignment: Assignment, reason: str, isolation: str) -> Report:
    """The report on a submission that holds no notebook."""
    message = f"nothing could be graded: {reason}"
    exercises = tuple(_all_failed(exercise, message) for exercise in assignment.exercises)
    maximum = sum(exercise.points for exercise in exercises)
    return Report(assignment.name, UNREADABLE, exercises, (reason,), isolation, max_score=maximum)
