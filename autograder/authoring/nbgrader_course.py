"""Makes a folder an nbgrader course: `nbgrader` and formgrader work from it, graded by our judge.

from autograder.authoring.nbgrader_course import configure      in nbgrader_config.py
configure(get_config(), __file__)
"""

from pathlib import Path
from typing import Any

from autograder.authoring.percent import STUB, TEXT_STUB
from autograder.course import Course

GENERATE = [
    "nbgrader.preprocessors.IncludeHeaderFooter",
    "nbgrader.preprocessors.InstantiateTests",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions",
    "autograder.authoring.name_exercises.NameExercises",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
]
"""nbgrader's own steps, and ours after the fourth."""

AUTOGRADE = [
    "autograder.ways.nbgrader.JudgeNotebook",
    "autograder.ways.nbgrader.SaveVerdict",
    "nbgrader.preprocessors.AssignLatePenalties",
    "autograder.ways.nbgrader.WriteFeedback",
    "nbgrader.preprocessors.CheckCellMetadata",
]
"""The submission runs in the sandbox, its answers are checked outside it, and no kernel starts."""


def configure(c: Any, file: str) -> None:
    """Set what nbgrader must know of the course in whose folder the configuration `file` lies."""
    course = Course(Path(file).resolve().parent)
    settings = course.settings
    c.CourseDirectory.root = str(course.directory)
    c.CourseDirectory.course_id = settings.id
    c.CourseDirectory.db_url = course.db_url
    c.ClearSolutions.code_stub = {"python": STUB}
    c.ClearSolutions.text_stub = TEXT_STUB
    c.GenerateAssignment.preprocessors = GENERATE
    c.Autograde.autograde_preprocessors = AUTOGRADE
    c.GenerateFeedback.exporter_class = "autograder.ways.nbgrader.FeedbackPage"
    c.GenerateFeedback.preprocessors = []
    c.JudgeNotebook.isolation_floor = settings.isolation_floor
    c.JudgeNotebook.anonymous = settings.anonymous
