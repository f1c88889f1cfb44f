"""The autograder: judges student notebooks against hidden checks, inside a sandbox.

import autograder
report = autograder.grade("ising.ipynb", "ising")
print(report.score, report.max_score)
"""

from pathlib import Path

from autograder.report import CheckResult, ExerciseResult, Report

__all__ = ["CheckResult", "ExerciseResult", "Report", "grade"]


def grade(notebook: str | Path, assignment: str, isolation: str = "auto") -> Report:
    """Grade one notebook file against the hidden checks of `assignment`.

    The verdict depends on the notebook's bytes and the course's key (`course/grading.key`, made when missing).
    Raises `autograder.sandbox.NoIsolation` where student code cannot be isolated and `isolation` is "auto",
    and `FileNotFoundError` or `ValueError` for a missing file or an unknown assignment.
    """
    from autograder.course import Course
    from autograder.judge import judge, load_assignment
    from autograder.sandbox import Sandbox
    from autograder.submission import read_bytes

    loaded = load_assignment(assignment)
    data = read_bytes(Path(notebook))
    with Sandbox(isolation, loaded.provides, loaded.imports) as sandbox:
        return judge(data, loaded, sandbox, Course.here().key()).report
