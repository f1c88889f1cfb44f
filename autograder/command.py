"""The command line: what `making` has, and collect, grade, feedback, report, similarity, export, gradescope.

Everything heavy is imported by the command that needs it, so that `autograder --help` answers at once.
"""

import dataclasses
import errno
import gc
import importlib
import importlib.util
import inspect
import os
import signal
import sys
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from autograder import making
from autograder.terminal import (
    EXIT_CODES,
    FAILED_CODE,
    STOPPED_CODE,
    UNGRADED_CODE,
    AsJson,
    Assignment,
    Assignments,
    course_here,
    write_json,
)

if TYPE_CHECKING:
    from autograder.classroom.batch import Row

app = typer.Typer(
    help="Releases assignments, and grades notebooks against hidden checks inside a sandbox.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


making.register(app)


class Isolation(StrEnum):
    """How student code is kept apart."""

    auto = "auto"
    namespaces = "namespaces"
    bubblewrap = "bubblewrap"
    user = "user"
    landlock = "landlock"
    none = "none"


class Table(StrEnum):
    """Which table of grades."""

    full = "full"
    canvas = "canvas"
    moodle = "moodle"
    blackboard = "blackboard"
    brightspace = "brightspace"


class Returning(StrEnum):
    """Which system takes feedback back in bulk."""

    canvas = "canvas"
    moodle = "moodle"
    brightspace = "brightspace"
    sakai = "sakai"
    ilias = "ilias"
    folders = "folders"


class Visibility(StrEnum):
    """When Gradescope shows results to students."""

    visible = "visible"
    after_due_date = "after_due_date"
    after_published = "after_published"
    hidden = "hidden"


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"autograder {version('ebm-course-autograder')}")
        raise typer.Exit


@app.callback(epilog=EXIT_CODES)
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command; a failure that the user can mend is one clear message, without a traceback."""
    signal.signal(signal.SIGINT, _stop)
    gc.set_threshold(20_000, 20)  # what is imported is no garbage: to look for some takes time
    _leave_out_imports()
    try:
        code = app(standalone_mode=False)
        gc.freeze()  # leave at once: nothing is left to be tidied
        sys.exit(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped", STOPPED_CODE)
    except Exception as error:
        _explain(error)


def _stop(_number: int, _frame: object) -> NoReturn:
    """Ctrl-C is answered at once; ending what runs can take some seconds. A second one does not wait for that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = "stopping: what was done is kept, and the next run goes on from there (again Ctrl-C: at once)"
    os.write(2, f"\nautograder: {words}\n".encode())
    raise KeyboardInterrupt


def _leave_out_imports() -> None:
    """Of the libraries below us, what no command needs and what would take most of a short command's time."""
    # jsonschema's checker of IRIs: parsing its grammar takes a second.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # nbgrader's package imports its extensions of Jupyter's server; its modules are there without them.
    nbgrader = importlib.util.find_spec("nbgrader")
    if nbgrader is not None:
        sys.modules.setdefault("nbgrader", importlib.util.module_from_spec(nbgrader))


class _Later(ModuleType):
    """A module that is loaded when something of it is used."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _load_when_used(name: str) -> None:
    """The checks import torch, which takes longer than all else here; only lanes call what is in them."""
    spec = importlib.util.find_spec(name)
    if spec is not None and name not in sys.modules:
        sys.modules[name] = later = _Later(name)
        later.__spec__ = spec


def _explain(error: Exception) -> NoReturn:
    """One line for what the user can mend; anything else is a fault of ours and keeps its traceback."""
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # click's, wherever typer has it from
        error.show()
        sys.exit(error.exit_code)
    if isinstance(error, expected()):
        _fail(f"{error}{_way_out(error)}", FAILED_CODE)
    raise error


def _way_out(error: Exception) -> str:
    """What helps where the file system refuses; Python's words name the file."""
    match error.errno if isinstance(error, OSError) else None:
        case errno.ENOSPC | errno.EDQUOT:
            return "; make room on that disk, and run the same command: what was graded is kept"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "; make it writable for yourself, and run the same command: what was graded is kept"
    return ""


def expected() -> tuple[type[Exception], ...]:
    """Failures that the user can mend; their message says how."""
    from autograder.authoring.release import ReleaseError
    from autograder.classroom.batch import LaneFailure, NothingToGrade
    from autograder.classroom.cluster import ClusterFailure
    from autograder.classroom.gradebook import GradebookError
    from autograder.classroom.store import Busy
    from autograder.judging.handout import NotReleased
    from autograder.sandbox.levels import NoIsolation

    ours = (
        Busy,
        ClusterFailure,
        GradebookError,
        LaneFailure,
        NoIsolation,
        NotReleased,
        NothingToGrade,
        ReleaseError,
    )
    return (*ours, ValueError, OSError)


def _fail(message: str, code: int) -> NoReturn:
    print(f"autograder: {message}", file=sys.stderr)
    sys.exit(code)


@app.command(epilog="Example: autograder collect first_steps downloads")
def collect(
    assignment: Assignment,
    path: Annotated[str, typer.Argument(help="A folder or zip: STUDENT/NOTEBOOK, or a download.")],
    force: Annotated[bool, typer.Option("--force", help="Replace newer submissions too.")] = False,
    roster: Annotated[
        str, typer.Option(metavar="FILE", help="The class, as CSV of any LMS; it is kept for the next time.")
    ] = "",
    pattern: Annotated[
        str,
        typer.Option(
            metavar="REGEX", help="Of paths, for other layouts: (?P<student_id>…), (?P<timestamp>…)."
        ),
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Copy submissions in, from a folder, a zip, or the download of an LMS, and tell who handed in and who did not.

    Read are Canvas, Moodle, Blackboard, Brightspace, Gradescope, Sakai, ILIAS, Google Classroom, clones of GitHub
    Classroom and nbgrader's exchange. Notebooks are recognized by what is in them, whatever they are called. Exits
    with 3 if some were left out.
    """
    from collections import Counter
    from pathlib import Path

    from autograder.classroom.progress import printable
    from autograder.ways.collect import REFUSED
    from autograder.ways.collect import collect as bring_in
    from autograder.ways.standing import enroll, standing, times_in

    course = course_here()
    said = sys.stderr if as_json else sys.stdout
    if roster:
        print(f"{enroll(course, Path(roster))} students on the roster", file=said)
    times = times_in(Path(roster)) if roster else {}
    outcomes = []
    for outcome in bring_in(course, assignment, Path(path), force, pattern, times=times):
        outcomes.append(outcome)
        print(printable(str(outcome)), file=sys.stderr if outcome.status == REFUSED else said)
    counts = Counter(outcome.status for outcome in outcomes)
    found = standing(course, assignment, outcomes)
    if as_json:
        write_json(
            {"files": [dataclasses.asdict(o) for o in outcomes], "standing": dataclasses.asdict(found)}
        )
    else:
        print(", ".join(f"{count} {status}" for status, count in counts.items()))
        for line in found.lines():
            print(printable(line))
    return UNGRADED_CODE if counts[REFUSED] else 0


@app.command(epilog="Example: autograder due first_steps 2026-12-01T23:59")
def due(
    assignment: Assignment,
    when: Annotated[
        str, typer.Argument(help="2026-12-01T23:59, of this computer's zone; none takes the date away.")
    ] = "",
    student: Annotated[str, typer.Option(help="Only this student: an extension.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say when an assignment is due, or for one student; without a date, show it. Grade again to apply it."""
    from autograder.ways.standing import due_dates, set_due

    course = course_here()
    if when:
        set_due(course, assignment, when, student)
    found = due_dates(course, assignment)
    if as_json:
        write_json(found.plain())
        return
    for line in found.lines():
        print(line)


@app.command(epilog="Example: autograder grade first_steps --student right")
def grade(
    assignment: Assignment,
    student: Annotated[list[str] | None, typer.Option(help="Only this student; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Judge again what has a verdict already.")] = False,
    isolation: Annotated[Isolation, typer.Option(help="How student code is kept apart.")] = Isolation.auto,
    jobs: Annotated[int | None, typer.Option(min=1, help="Lanes; as many as processors if left out.")] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Grade on the workers of this Dask scheduler.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Grade the submissions of an assignment. Exits with 3 if some could not be graded.

    The table at the end says what counts: the automatic score, points by hand, late penalties.
    """
    _load_when_used("torch")
    from autograder.classroom.batch import grade as grade_class
    from autograder.classroom.codes import shown
    from autograder.classroom.gradebook import shown_address
    from autograder.classroom.progress import reporting, table

    if dask and jobs:
        raise typer.BadParameter("--jobs is for lanes on this machine; with --dask, the cluster decides")
    course = course_here()
    if isolation is Isolation.none:
        print(
            "WARNING: --isolation=none runs student code on this machine with your rights. Use it only for code "
            "that you trust; it is recorded in every result.",
            file=sys.stderr,
        )
    called = shown(course)
    with reporting(called, as_json) as progress:
        rows = grade_class(course, assignment, student, force, isolation.value, jobs, progress, dask)
    rows = sorted(
        (dataclasses.replace(row, student=called(row.student)) for row in rows), key=lambda row: row.student
    )
    if as_json:
        write_json([dataclasses.asdict(row) for row in rows])
        return UNGRADED_CODE if _list_ungraded(rows) else 0
    table(rows)
    print(f"Feedback:  {course.folder('feedback')}\nGradebook: {shown_address(course)}")
    return UNGRADED_CODE if _list_ungraded(rows) else 0


def _list_ungraded(rows: "list[Row]") -> bool:
    from autograder.judging.report import UNGRADED

    ungraded = [row for row in rows if row.status == UNGRADED]
    for row in ungraded:
        print(f"not graded: {row.student}: {'; '.join(row.notes)}", file=sys.stderr)
    if ungraded:
        print(f"{len(ungraded)} not graded: no score was recorded for them; grade again", file=sys.stderr)
    return bool(ungraded)


@app.command(epilog="Example: autograder feedback first_steps")
def feedback(
    assignment: Assignment,
    zip: Annotated[
        Returning | None, typer.Option("--zip", help="Pack the pages as this system takes them back in bulk.")
    ] = None,
) -> None:
    """Write the feedback pages again, with points and comments given by hand; nothing is graded."""
    from autograder.classroom.feedback_files import regenerate
    from autograder.classroom.gradebook import Book

    course = course_here()
    with Book(course) as book:
        penalties = book.penalties(assignment)
        pages = list(
            regenerate(course, assignment, lambda student: book.by_hand(assignment, student), penalties)
        )
    if not pages:
        raise ValueError(f"nothing of {assignment} is graded yet; run: autograder grade {assignment}")
    print(f"{len(pages)} pages in {course.folder('feedback')}")
    if zip is not None:
        from autograder.ways.returned import pack

        returned = pack(course, assignment, zip.value)
        print(f"{returned.pages} pages for {zip.value}: {returned.path}")
        if returned.left_out:
            print(f"not from {zip.value}, and left out: {', '.join(returned.left_out)}", file=sys.stderr)


@app.command(epilog="Example: autograder report first_steps")
def report(assignment: Assignment, as_json: AsJson = False) -> None:
    """Write one page on how the class did: scores, how hard each check was, mistakes, what was not graded.

    With --json, what the page shows is written as data, too.
    """
    from autograder.classroom.class_report import write

    path, found = write(course_here(), assignment)
    if as_json:
        write_json(found.plain() | {"page": str(path)})
    else:
        print(f"Report: {path}")


@app.command(epilog="Example: autograder similarity first_steps --threshold 0.6")
def similarity(
    assignment: Assignment,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The least share in common that is shown.")
    ] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Write one page on which submissions are alike, or like the solution, with what they share side by side.

    With --json, the pairs are written as data, too.
    """
    from autograder.classroom.similarity import write

    path, found = write(course_here(), assignment, threshold)
    if as_json:
        write_json(found.plain() | {"page": str(path)})
        return
    print(
        f"{found.compared} submissions compared; {found.alike.count} pairs and {len(found.to_sources)} likenesses "
        f"to our own code at {100 * threshold:.0f}% or more\nReport: {path}"
    )


@app.command(epilog="Example: autograder who")
def who(
    code: Annotated[str, typer.Argument(help="A code; all with their students if left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say which student a code stands for, where a course grades without names."""
    from autograder.classroom.codes import everyone, resolve

    course = course_here()
    found = {code: resolve(course, code)} if code else everyone(course)
    if as_json:
        write_json(found)
        return
    for text, student in found.items():
        print(f"{text}  {student}")


@app.command(epilog="Example: autograder export first_steps --output grades.csv")
def export(
    assignments: Assignments = None,
    output: Annotated[str, typer.Option("--output", "-o", help="The CSV file; - is standard output.")] = "-",
    format: Annotated[
        Table, typer.Option("--format", help="Every exercise, or totals as an LMS imports them.")
    ] = Table.full,
) -> int:
    """Write the grades of the class as CSV: each exercise, late penalty and total; or what an LMS imports.

    Exits with 3 if some scores are of older checks or older work: they are listed.
    """
    import io
    from pathlib import Path

    from autograder.exercises.catalogue import available_assignments
    from autograder.ways.export import TABLES, replace
    from autograder.ways.marks import gather

    course = course_here()
    marks = gather(course, assignments or available_assignments())
    text = io.StringIO()
    lines = TABLES[format.value](course, marks, text)
    if output == "-":
        sys.stdout.write(text.getvalue())
    else:
        replace(Path(output), text.getvalue())
        print(f"{lines} lines in {output}")
    for student in marks.left_out:
        print(f"not on the roster, and left out: {student}", file=sys.stderr)
    for name, students in marks.stale.items():
        listed = ", ".join(students)
        print(
            f"graded against older checks or older work: {listed}; run: autograder grade {name}",
            file=sys.stderr,
        )
    return UNGRADED_CODE if marks.stale else 0


@app.command(epilog="Example: autograder gradescope first_steps --visibility after_due_date")
def gradescope(
    assignment: Assignment,
    visibility: Annotated[
        Visibility, typer.Option(help="When students see the results.")
    ] = Visibility.visible,
    leaderboard: Annotated[bool, typer.Option("--leaderboard", help="Show points on a leaderboard.")] = False,
) -> None:
    """Pack an assignment as a Gradescope autograder. The zip holds the hidden checks and the course's key."""
    from autograder.ways.gradescope import pack

    path = pack(course_here(), assignment, visibility.value, leaderboard)
    print(f"{path}\nFor instructors alone: it holds the hidden checks and the course's grading key.")


def _unwrapped(text: str) -> str:
    """Each paragraph in one line: a terminal breaks lines where it ends, not where this file does."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


for _command in app.registered_commands:
    _command.help = _unwrapped(inspect.getdoc(_command.callback) or "")


if __name__ == "__main__":
    main()
