"""Makes this folder an nbgrader course: `nbgrader` and formgrader work from here, graded by our judge."""

from pathlib import Path

from autograder.authoring.percent import STUB, TEXT_STUB
from autograder.course import Course

c = get_config()  # noqa: F821
course = Course(Path(__file__).resolve().parent)

c.CourseDirectory.root = str(course.directory)
c.CourseDirectory.course_id = "ebm"
c.CourseDirectory.db_url = course.db_url

c.ClearSolutions.code_stub = {"python": STUB}
c.ClearSolutions.text_stub = TEXT_STUB

# nbgrader's own steps, and ours after the fourth.
c.GenerateAssignment.preprocessors = [
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

# Below this isolation nothing is graded. From strongest: namespaces, bubblewrap, user, landlock, none; with a
# system-call filter demanded too: namespaces+seccomp. "landlock" accepts everything but no isolation.
c.JudgeNotebook.isolation_floor = "landlock"

# The submission runs in the sandbox, its answers are checked outside it, and no kernel starts.
c.Autograde.autograde_preprocessors = [
    "autograder.ways.nbgrader.JudgeNotebook",
    "autograder.ways.nbgrader.SaveVerdict",
    "nbgrader.preprocessors.AssignLatePenalties",
    "autograder.ways.nbgrader.WriteFeedback",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# nbgrader's and formgrader's feedback is our page.
c.GenerateFeedback.exporter_class = "autograder.ways.nbgrader.FeedbackPage"
c.GenerateFeedback.preprocessors = []
