"""The autograder: judges student notebooks against hidden checks, inside a sandbox.

import autograder
report = autograder.grade("ising.ipynb", "ising")
print(report.score, report.max_score)
"""

from pathlib import Path

from autograder.judging.report import CheckResult, ExerciseResult, Report

__all__ = ["CheckResult", "ExerciseResult", "Report", "grade"]


def grade(notebook: str | Path, assignment: str, isolation: str = "auto") -> Report:
    """Grade one notebook file against the hidden checks of `assignment`, those in `EBM_CHECKS` first.

    The verdict depends on the notebook's bytes and the course's key (`course/grading.key`, made when missing).
    Raises `autograder.sandbox.levels.NoIsolation` where student code cannot be isolated and `isolation` is "auto",
    or is isolated less than the course demands, and `FileNotFoundError` or `ValueError` for a missing file or an
    unknown assignment.
    """
    from autograder.classroom.floor import FLOOR, floor_of, require
    from autograder.course import Course
    from autograder.exercises.catalogue import assignment_named
    from autograder.judging.judge import judge
    from autograder.judging.submission import read_bytes
    from autograder.sandbox.sandbox import Sandbox

    course = Course.here()
    floor = floor_of(course) if (course.root / "nbgrader_config.py").exists() else FLOOR
    chosen = assignment_named(assignment)
    data = read_bytes(Path(notebook))
    with Sandbox(isolation, chosen.provides, chosen.imports) as sandbox:
        require(sandbox.description, floor)
        return judge(data, chosen, sandbox, course.key()).report
