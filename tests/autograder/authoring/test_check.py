"""What an author did wrong is named before students see it."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from own_course import change, own_course

from autograder.authoring.check import Step, check, is_checked
from autograder.authoring.release import ReleaseError, release_checked
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    return own_course(tmp_path, monkeypatch)


def first_problem(course: Course) -> str:
    """What the first step that finds something says; later ones are not taken."""
    step: Step = next(step for step in check(course, assignment_named("spread")) if step.problems)
    return " / ".join(step.problems)


SOLUTION, CHECKS, SETTINGS = "solutions/spread.py", "checks/spread.py", "course.toml"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (SOLUTION, "points=80", "points=70", "variance: its cell gives 70 points and its checks 80"),
        (SOLUTION, "### END SOLUTION", "", "the cell of 'variance' has no ### BEGIN SOLUTION"),
        (SOLUTION, 'tests="variance"', 'tests="spread"', "must be its tests"),
        (SOLUTION, "import numpy as np", "import numpy as np\nprint(found)", "cell 2 needs 'found'"),
        (
            SOLUTION,
            "import numpy as np",
            'import numpy as np\n\n# %% exercise="other"\n### BEGIN SOLUTION\nother = 1\n### END SOLUTION\n\n'
            '# %% tests="other" points=5\nassert other == 1',
            "other: the solution has this exercise and the checks have not",
        ),
        (SETTINGS, "#points = 0", "points = 90", "the points add to 100; course.toml demands 90"),
        (SETTINGS, "#packages = []", 'packages = ["pandaz"]', "lists the package 'pandaz', which is not"),
        (
            SETTINGS,
            '#isolation_floor = "landlock"',
            'isolation_floor = "high"',
            "isolation_floor must be one of",
        ),
        (SETTINGS, "#mistakes = 1", "mistakes = 3", "1 mistakes; at least 3 are needed"),
        (SETTINGS, "#wheels = []", 'wheels = ["kit"]', "kit, which is neither a .whl file nor a folder"),
        (CHECKS, "np.var(x, ddof=1)", "np.var(x)", "by_numpy is right and fails 'random samples'"),
        (CHECKS, "/ len(x)\n", "/ (len(x) - 1)\n", "the mistake 'divides by n' passes every check"),
        (
            CHECKS,
            "attempt.compare([(attempt.rng.normal",
            "attempt.compares([(attempt.rng.normal",
            "a check broke",
        ),
    ],
)
def test_what_is_wrong_is_named(course, file, old, new, problem):
    change(course.root / file, old, new)
    assert problem in first_problem(course)


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        ("def (", "spread.py, line 4: SyntaxError: invalid syntax"),
        ("wrong(3)", "spread.py, line 4: NameError: name 'wrong' is not defined"),
        ("import pandaz", "spread.py, line 4: ModuleNotFoundError: No module named 'pandaz'"),
        ("np.array('1', int, 3, 4, 5, 6, 7)", "spread.py, line 4: TypeError: array()"),
    ],
)
def test_checks_that_cannot_be_loaded_are_named_with_their_line(course, new, problem):
    change(course.root / CHECKS, "import numpy as np\n", f"import numpy as np\n{new}\n")
    with pytest.raises(ValueError, match=re.escape(problem)):
        assignment_named("spread")


def test_a_mistake_that_behaves_as_another_is_named(course):
    path = course.root / CHECKS
    twin = '@variance.mistake("Divide by n - 1.")\ndef averages(x):\n    return np.var(x)\n\n\n'
    path.write_text(path.read_text().replace("# Right answers", twin + "# Right answers"))
    assert "'averages' fails and is not told its name: it is told 'divides by n'" in first_problem(course)


def test_a_wheel_that_holds_the_checks_is_named(course):
    with zipfile.ZipFile(course.root / "kit.whl", "w") as archive:
        archive.write(course.root / CHECKS, "kit/spread.py")
    change(course.root / SETTINGS, "#wheels = []", 'wheels = ["kit.whl"]')
    assert "kit.whl would bring students spread.py" in first_problem(course)


@pytest.fixture
def looked(monkeypatch) -> list[str]:
    """The assignments whose notebooks were run, but for the running."""
    names: list[str] = []
    monkeypatch.setattr(
        "autograder.authoring.check._runs", lambda assignment: names.append(assignment.name) or ()
    )
    return names


def test_what_has_no_problem_is_looked_at_again_only_when_it_changed(course, looked):
    def is_known() -> bool:
        return is_checked(course, assignment_named("spread"))

    changes = [
        (SOLUTION, "import numpy as np", "import numpy as np  # the only library"),
        (CHECKS, '"random samples"', '"samples at random"'),
        (SETTINGS, "#packages = []", 'packages = ["json"]'),
        (SETTINGS, "#wheels = []", 'wheels = ["kit.whl"]'),
    ]
    with zipfile.ZipFile(course.root / "kit.whl", "w") as archive:
        archive.writestr("kit.py", "")
    assert not is_known()
    for file, old, new in changes:
        assert not any(step.problems for step in check(course, assignment_named("spread")))
        assert is_known()
        change(course.root / file, old, new)
        assert not is_known(), file
    list(check(course, assignment_named("spread")))
    (course.root / "kit.whl").write_bytes((course.root / "kit.whl").read_bytes() + b"\0")
    assert not is_known()
    assert looked == ["spread"] * 5


def test_what_has_a_problem_is_looked_at_again(course, looked):
    change(course.root / SOLUTION, "points=80", "points=70")
    assert any(step.problems for step in check(course, assignment_named("spread")))
    assert not is_checked(course, assignment_named("spread"))
    change(course.root / SOLUTION, "points=70", "points=80")
    assert not is_checked(course, assignment_named("spread"))


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "import numpy as np",
            "import nampy as np",
            "cell 2 of the unsolved notebook fails at line 1: ModuleNotFoundError",
        ),
        (
            "np.isclose(found, 7.0)",
            "np.isclose(found, 8.0)",
            "cell 5 (variance-tests) of the solved notebook fails",
        ),
    ],
)
def test_a_notebook_that_does_not_run_is_named_with_its_cell(course, sandbox, old, new, problem):
    change(course.root / SOLUTION, old, new)
    assert problem in first_problem(course)


@pytest.mark.slow
def test_a_new_assignment_has_no_problem_and_one_with_a_problem_leaves_the_release_before(
    course, monkeypatch
):
    archive = release_checked(course, "spread")
    with monkeypatch.context() as patch:
        patch.setattr("autograder.authoring.check._cells", lambda assignment: ["looked at again"])
        assert release_checked(course, "spread") == archive
    released = course.folder("release", "spread", "spread.ipynb")
    before = released.read_bytes(), archive.read_bytes()
    assert "| 1. the variance of a sample | 80 |\\n" in released.read_text()
    change(course.root / SOLUTION, "points=80", "points=70")
    with pytest.raises(
        ReleaseError, match=r"released before is as it was: variance: its cell gives 70 points"
    ):
        release_checked(course, "spread")
    assert (released.read_bytes(), archive.read_bytes()) == before
    assert json.loads(before[0])["cells"]
