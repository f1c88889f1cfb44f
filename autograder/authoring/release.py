"""From an instructor's solution to what students get: a notebook without solutions, and a zip to download.

solutions/NAME.py → course/source/NAME/ → (nbgrader) → course/release/NAME/ → dist/assignments/NAME.zip
The result depends on the solution and the library alone: the same sources give the same bytes.
"""

import builtins
import contextlib
import io
import json
import logging
import subprocess
import symtable
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.atomic import write_atomically
from autograder.classroom.gradebook import opened, put_tools_on_path, settings
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.exercise import Assignment
from autograder.judging.handout import Handout, NotReleased

TOTAL = 100
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"


class ReleaseError(RuntimeError):
    """The student notebook could not be made, or must not be handed out; the message says why."""


def release(course: Course, name: str) -> Path:
    """Derive the student notebook of a chapter and its zip; returns the zip's path.

    Raises `ReleaseError` if a solution would reach students or the points do not fit.
    """
    from autograder.authoring.percent import nbgrader_notebook

    assignment = assignment_named(name)
    publish(course, assignment, nbgrader_notebook(name))
    return pack(course, name, wheel(course))


def publish(course: Course, assignment: Assignment, notebook: Any) -> Handout:
    """Make nbgrader's source, release and gradebook entry of `notebook`, and check what students get."""
    import nbformat

    name = assignment.name
    source = course.folder("source", name, f"{name}.ipynb")
    text = nbformat.writes(notebook) + "\n"
    _refuse_lost_cells(course, name, notebook)
    _refuse_needs_of_tests(name, notebook)
    write_atomically(source, text.encode())
    _generate(course, name)
    released = course.folder("release", name, f"{name}.ipynb")
    try:
        _refuse_leaks(notebook, released)
        handout = Handout.read(released, name)
        handout.fit(assignment)
        _refuse_other_total(assignment, handout)
    except (ReleaseError, NotReleased) as error:
        released.unlink()
        raise ReleaseError(f"{name} was not released: {error}") from None
    return handout


def _generate(course: Course, name: str) -> None:
    """nbgrader's own `generate_assignment`, in this process."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory

    put_tools_on_path()
    config = settings(course)
    config.CourseDirectory.assignment_id = name
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config, force=True)
    with _captured_log(converter.log) as log:
        try:
            converter.start()
        except NbGraderException:
            raise ReleaseError(
                f"nbgrader could not make the student notebook of {name}: {_cause(log.getvalue())}"
            ) from None


@contextlib.contextmanager
def _captured_log(log: logging.Logger) -> Iterator[io.StringIO]:
    """What nbgrader logs, kept for its error message instead of printed."""
    text = io.StringIO()
    handlers, log.handlers = log.handlers, [logging.StreamHandler(text)]
    propagate, log.propagate = log.propagate, False
    try:
        yield text
    finally:
        log.handlers, log.propagate = handlers, propagate


def _cause(log: str) -> str:
    """The exception's own line out of a logged traceback."""
    lines = [line for line in log.splitlines() if line and not line.startswith((" ", "There was", "Please"))]
    causes = [line for line in lines if "Error: " in line or "Exception: " in line]
    return (causes or lines or ["no reason given"])[-1]


def _refuse_lost_cells(course: Course, name: str, notebook: Any) -> None:
    """nbgrader cannot add or remove graded cells once there are submissions; say so before it deletes anything."""
    from nbgrader.api import MissingEntry

    with opened(course) as book:
        try:
            known = book.find_notebook(name, name)
        except MissingEntry:
            return
        if not known.submissions:
            return
        before = {cell.name for cell in known.source_cells}
        count = len(known.submissions)
    after = {cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata}
    if before != after:
        changed = ", ".join(
            [f"{x} (new)" for x in sorted(after - before)] + [f"{x} (gone)" for x in sorted(before - after)]
        )
        raise ReleaseError(
            f"{name} already has {count} graded submissions, so its graded cells cannot change: {changed}. Keep "
            f"the cells, or forget those grades first: nbgrader db assignment remove {name} --force"
        )


def _refuse_needs_of_tests(name: str, notebook: Any) -> None:
    """No cell may need a name that only locked tests define: grading leaves them out, and all would see it fail."""
    if needed := needs_of_tests(notebook):
        listed = ", ".join(f"{wanted} (cell {cell + 1})" for wanted, cell in needed)
        raise ReleaseError(
            f"{name} was not released: these names stand only in locked tests, which grading does not run, and "
            f"other cells need them: {listed}. Define them in a cell of their own"
        )


def needs_of_tests(notebook: Any) -> list[tuple[str, int]]:
    """Names that cells which are run need, each with its cell, and that only cells of tests define."""
    made: set[str] = set()
    tested: set[str] = set()
    needed: list[tuple[str, int]] = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        marks = cell.metadata.get("nbgrader", {})
        binds, needs = _global_names(cell.source)
        if marks.get("grade") and not marks.get("solution"):
            tested |= binds
        else:
            needed += [(wanted, index) for wanted in sorted(needs)]
            made |= binds
    return [(wanted, index) for wanted, index in needed if wanted in tested - made]


def _global_names(source: str) -> tuple[set[str], set[str]]:
    """The global names that a cell binds, and those that it reads, functions included."""
    lines = [line if not line.lstrip().startswith(("%", "!")) else "" for line in source.splitlines()]
    table = symtable.symtable("\n".join(lines), "cell", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    needs: set[str] = set()
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        symbols = (s for s in scope.get_symbols() if s.is_referenced())
        needs |= {s.get_name() for s in symbols if scope is table or s.is_global()}
    return binds, needs - set(dir(builtins))


def _refuse_leaks(notebook: Any, released: Path) -> None:
    """No line that stands only in a solution may reach students."""
    secret: set[str] = set()
    public: set[str] = set()
    for cell in notebook.cells:
        inside = False
        for line in cell.source.splitlines():
            if BEGIN in line or END in line:
                inside = BEGIN in line
            elif line.strip():
                (secret if inside else public).add(line.strip())
    shown = {
        line.strip()
        for cell in json.loads(released.read_text())["cells"]
        for line in "".join(cell["source"]).splitlines()
    }
    if leaked := (secret - public) & shown:
        raise ReleaseError(f"a line of the solution would reach students: {min(leaked)!r}")
    if any(BEGIN in line or END in line for line in shown):
        raise ReleaseError("a solution's markers would reach students")


def _refuse_other_total(assignment: Assignment, handout: Handout) -> None:
    total = sum(exercise.points for exercise in assignment.exercises) + handout.manual_points
    if abs(total - TOTAL) > 1e-9:
        raise ReleaseError(f"its points sum to {total:g}; they must sum to {TOTAL}")


def wheel(course: Course) -> Path:
    """The students' wheel in `dist/`, built again when the library has changed."""
    import ebmkit

    assert ebmkit.__file__ is not None
    package = Path(ebmkit.__file__).parent
    dist = course.root / "dist"
    for built in sorted(dist.glob("ebm_course-*.whl")):
        if _is_current(built, package):
            return built
        built.unlink()
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--quiet",
            "--disable-pip-version-check",
        ]
        done = subprocess.run(
            [*command, "--wheel-dir", folder, str(package.parent)],
            capture_output=True,
            text=True,
            check=False,
        )
        made = list(Path(folder).glob("ebm_course-*.whl"))
        if done.returncode or not made:
            raise ReleaseError(
                f"the students' wheel could not be built: {done.stderr.strip()[-400:] or 'no reason given'}"
            )
        write_atomically(dist / made[0].name, made[0].read_bytes())
        return dist / made[0].name


def _is_current(built: Path, package: Path) -> bool:
    """Whether the wheel holds the library's files as they are."""
    files = {f"ebmkit/{path.relative_to(package).as_posix()}": path for path in package.rglob("*.py")}
    try:
        with zipfile.ZipFile(built) as archive:
            names = {
                name for name in archive.namelist() if name.startswith("ebmkit/") and name.endswith(".py")
            }
            return names == set(files) and all(archive.read(n) == files[n].read_bytes() for n in names)
    except zipfile.BadZipFile:
        return False


def pack(course: Course, name: str, library: Path) -> Path:
    """`dist/assignments/NAME.zip`: notebook, wheel and a short README; the same bytes every time."""
    notebook = course.folder("release", name, f"{name}.ipynb")
    members = {
        "README.txt": README.format(name=name, wheel=library.name).encode(),
        f"{name}.ipynb": notebook.read_bytes(),
        library.name: library.read_bytes(),
    }
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in sorted(members.items()):
            information = zipfile.ZipInfo(f"{name}/{member}", ZIP_DATE)
            information.compress_type = zipfile.ZIP_DEFLATED
            information.external_attr = 0o644 << 16
            archive.writestr(information, data)
    path = course.root / "dist" / "assignments" / f"{name}.zip"
    write_atomically(path, memory.getvalue())
    return path


README = """\
Assignment: {name}

Start
  You need Python 3.11 or newer. In this folder:

    python3 -m venv .venv
    . .venv/bin/activate            (Windows: .venv\\Scripts\\activate)
    pip install ./{wheel} matplotlib jupyterlab
    jupyter lab {name}.ipynb

Check
  Each exercise is followed by a cell of tests. Run it: no message means that they pass.
  Grading runs further tests, on other inputs. Before you hand in, restart the kernel and
  run all cells from top to bottom.

Submit
  Save the notebook and hand in {name}.ipynb under that name. Write your solutions where the
  notebook says so; do not delete or copy the cells that hold exercises and tests.
"""
