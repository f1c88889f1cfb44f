"""Where the time of one submission goes: the student's own code, and everything around it.

    python benchmarks/breakdown.py [--copies 40] [--assignment ising]

Grades COPIES different copies of a solution in one lane, one after the other, and takes the mean of each part.
Wall time is split by what the grader waits for; processor time is the grader's own and its zygote's, every fork
included. Results go to `benchmarks/results/breakdown.json`.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from throughput import BIN, RESULTS, ROOT, copies, run

from autograder.authoring.percent import nbgrader_notebook

CLOCK = os.sysconf("SC_CLK_TCK")


def timed(spent: Counter[str], owner: Any, name: str, label: str) -> None:
    """Let `owner.name` add the wall time of its calls to `spent[label]`."""
    function: Callable[..., Any] = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[label] += time.perf_counter() - start

    setattr(owner, name, wrapper)


def processor_seconds() -> float:
    """Of this process and of its zygote, with all forks that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    ours = descendants(os.getpid())
    for pid in ours:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(fields[i]) for i in (11, 12, 13, 14)) / CLOCK
    return total


def descendants(pid: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return children + [below for child in children for below in descendants(child)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, default=40)
    parser.add_argument("--assignment", default="ising")
    options = parser.parse_args()
    name, count = options.assignment, options.copies
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy(ROOT / "nbgrader_config.py", root)
        run([str(BIN / "autograder"), "release", name], root, EBM_COURSE=folder)
        copies(nbgrader_notebook(name), count + 1, root / "course", name)
        os.environ["EBM_COURSE"] = folder
        result = measure(name, count)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "breakdown.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(name: str, count: int) -> dict[str, Any]:
    """Mean milliseconds of each part."""
    from autograder.classroom import inbox, lane
    from autograder.classroom.gradebook import Book, Graded
    from autograder.course import Course
    from autograder.pages.graded_notebook import Entry
    from autograder.sandbox.sandbox import Sandbox
    from autograder.sandbox.session import Line, Session

    course = Course.here()
    spent: Counter[str] = Counter()
    timed(spent, Sandbox, "start", "isolate a fork of the zygote")
    timed(spent, Session, "run_cell", "run the student's cells")
    timed(spent, Line, "call", "call the student's functions")
    timed(spent, Line, "close", "end the fork for the checks")
    timed(spent, Sandbox, "end", "end the submission")
    timed(spent, lane, "judge", "judge")
    timed(spent, lane.Lane, "write", "write the graded notebook and the feedback")
    timed(spent, Book, "record", "write the gradebook")
    students = inbox.students(course, name)
    with lane.Lane(course, name, "auto") as grader, Book(course) as book:
        isolation = grader.sandbox.description
        for number, student in enumerate(students):
            if number == 1:  # the first one warms up
                spent.clear()
                start, processor = time.perf_counter(), processor_seconds()
            found = inbox.find(course, student, name)
            data = inbox.read(found.path)
            judged = grader.verdict(f"{number:064x}", data)
            if judged.report.score != sum(e.points for e in grader.assignment.exercises):
                raise SystemExit(f"a right notebook got {judged.report.score:g}")
            entries = grader.write(student, data, judged, [], {})
            book.record(name, [Graded(student, "", tuple(Entry(**entry) for entry in entries))])
        wall = time.perf_counter() - start
        processor = processor_seconds() - processor
    inside = sum(spent[part] for part in list(spent) if part not in ("judge",) and "write" not in part)
    parts = {part: seconds for part, seconds in spent.items() if part != "judge"}
    parts["draw inputs, compute references, decide"] = spent["judge"] - inside
    parts["keep the verdict, and all else"] = wall - sum(parts.values())
    student_code = spent["run the student's cells"] + spent["call the student's functions"]
    return {
        "assignment": name,
        "copies": count,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "isolation": isolation,
        "milliseconds": {part: round(1e3 * seconds / count, 1) for part, seconds in parts.items()},
        "wall_milliseconds": round(1e3 * wall / count, 1),
        "processor_milliseconds": round(1e3 * processor / count, 1),
        "processor_milliseconds_beyond_cells_and_calls": round(1e3 * (processor - student_code) / count, 1),
    }


if __name__ == "__main__":
    main()
