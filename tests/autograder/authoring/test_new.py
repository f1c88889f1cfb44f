"""Courses and assignments to begin with: what is written, and what is refused."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from own_course import change, own_course

from autograder.authoring.new import new_assignment, new_course
from autograder.authoring.release import release_checked
from autograder.authoring.selftest import selftest
from autograder.classroom.batch import grade
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.judging.fingerprint import fingerprint
from autograder.sandbox import view
from autograder.sandbox.limits import Limits
from autograder.settings import KINDS, TEMPLATE, Settings, settings_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    return own_course(tmp_path, monkeypatch)


def test_a_course_of_ones_own_has_its_own_assignments_alone(course):
    assert available_assignments() == ["spread"]
    assert selftest(assignment_named("spread"), range(3)).holds


def test_a_folder_that_is_a_course_is_not_made_one_again(course):
    change(course.root / "course.toml", "#points = 0", "points = 10")
    with pytest.raises(ValueError, match=r"is a course already: it has .*course\.toml"):
        new_course(course.root)
    assert course.settings.points == 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Spread Two", "such as spread_two"),
        ("../spread", "such as spread"),
        ("class", "cannot name an assignment: .* such as class_1"),
        ("2nd_week", "a letter first, such as nd_week"),
        ("42", "such as first_steps"),
        ("", "such as first_steps"),
        ("spread", "there is an assignment spread already: .*solutions/spread.py"),
    ],
)
def test_names_that_cannot_be_and_names_that_are_taken_are_refused(course, name, words):
    before = sorted(course.root.rglob("*.py"))
    with pytest.raises(ValueError, match=words):
        new_assignment(course, name)
    assert sorted(course.root.rglob("*.py")) == before


def test_an_assignment_of_this_course_brings_a_page_an_entry_and_a_test(tmp_path, monkeypatch):
    for file in ("course.toml", "_toc.yml", "nbgrader_config.py"):
        shutil.copy(ROOT / file, tmp_path)
    monkeypatch.setenv("EBM_COURSE", str(tmp_path))
    written = {path.relative_to(tmp_path).as_posix() for path in new_assignment(Course(tmp_path), "spread")}
    assert written == {
        "solutions/spread.py",
        "autograder/checks/spread.py",
        "book/spread.md",
        "book/exercises/spread.md",
        "tests/autograder/checks/test_spread.py",
        "_toc.yml",
    }
    before, after = (yaml.safe_load((root / "_toc.yml").read_text()) for root in (ROOT, tmp_path))
    for part, page in ((0, "book/spread"), (1, "book/exercises/spread")):
        assert after["parts"][part]["chapters"] == [*before["parts"][part]["chapters"], {"file": page}]
    table = selftest(assignment_named("spread"), range(2))
    assert table.holds, str(table)
    assert sum(row.kind == "mistake" for row in table.rows) == 5


TOC = """\
format: jb-book
root: book/index
parts:
  - caption: Chapters
    chapters:
  - caption: Assignments
    chapters:
"""


@pytest.mark.slow
def test_the_book_builds_the_pages_of_a_new_assignment_and_lists_what_the_chapter_misses(
    tmp_path, monkeypatch
):
    for file in ("course.toml", "nbgrader_config.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    change(tmp_path / "course.toml", 'wheels = ["."]\n', "")
    for folder in ("_ext", "_static", "live"):
        shutil.copytree(ROOT / "book" / folder, tmp_path / "book" / folder)
    shutil.copy(ROOT / "book" / "references.bib", tmp_path / "book")
    (tmp_path / "book" / "index.md").write_text("# A course\n\nIts pages.\n")
    (tmp_path / "_toc.yml").write_text(TOC)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["sphinx"]["config"]["course_expected_pages"] = ["book/index", "book/exercises/spread"]
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("EBM_COURSE", str(tmp_path))
    monkeypatch.delenv("EBM_REQUIRE_DOWNLOADS", raising=False)
    new_assignment(Course(tmp_path), "spread")
    release_checked(Course(tmp_path), "spread", unchecked=True)
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", tmp_path, "-W", "-n", "--keep-going"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    complaints = re.findall(r"^  (book/.*|downloads/.*)$", done.stderr, flags=re.M)
    assert complaints, done.stderr[-3000:]
    assert all(line.startswith("book/spread: ") for line in complaints)
    assert re.search(r"^  book/spread: \d+ words, expected \d+ or more$", done.stderr, flags=re.M)
    site = tmp_path / "_build" / "html"
    assert "The assignment" in (site / "book" / "spread.html").read_text()
    assert "Exercise 1: the variance of a sample" in (site / "book" / "exercises" / "spread.html").read_text()
    assert (site / "downloads" / "spread.ipynb").exists()


def test_the_sandbox_imports_beforehand_what_the_settings_list_and_nothing_else(course):
    assert assignment_named("spread").imports == ()
    change(course.root / "course.toml", "#packages = []", 'packages = ["json"]')
    assert assignment_named("spread").imports == ("json",)


def test_checks_share_what_begins_with_an_underscore(course):
    (course.root / "checks" / "_shared.py").write_text("HINT = 'Divide by n - 1.'\n")
    path = course.root / "checks" / "spread.py"
    path.write_text(path.read_text().replace("import numpy", "from ._shared import HINT\nimport numpy"))
    change(path, '"Divide by n - 1: the numbers lie closer to their own mean than to the true one."', "HINT")
    assert assignment_named("spread").exercises[0].mistakes[0].hint == "Divide by n - 1."
    assert available_assignments() == ["spread"]


# --- Settings


def test_the_template_says_what_holds_without_it(tmp_path):
    (tmp_path / "course.toml").write_text(TEMPLATE.replace("{name}", "Statistics"))
    bare = settings_of(tmp_path)
    active = re.sub(r"^#(?=\S)", "", TEMPLATE, flags=re.M)
    (tmp_path / "course.toml").write_text(active.replace("{name}", "Statistics"))
    said = settings_of(tmp_path)
    assert Limits.set_by(said.limits) == Limits.set_by(()) == Limits()
    assert bare == Settings(**{**vars(said), "limits": ()})
    assert set(tomllib.loads(active)) == set(KINDS) - {"chapters"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = 'x'", "sets 'title', which is no setting; there are name"),
        ("points = 'many'", "points in .*course.toml must be a number that is not negative; got 'many'"),
        ("points = -1", "points in .* got -1"),
        ("packages = 'numpy'", "packages in .* must be a list of names"),
        ("packages = [1]", "packages in .* must be a list of names"),
        ("[limits]\nminutes = 1", "sets the limit 'minutes'; there are limits of memory_gb, cell_seconds"),
        ("[limits]\ncell_seconds = 0", "cell_seconds in .* must be a positive number; got 0"),
        ("name = ", "course.toml cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_it_may_be(tmp_path, text, words):
    (tmp_path / "course.toml").write_text(text)
    with pytest.raises(ValueError, match=words):
        settings_of(tmp_path)


def test_limits_reach_the_sandbox_the_students_and_the_name_of_a_verdict(course):
    from autograder.authoring.percent import limits_in_words

    before = fingerprint(assignment_named("spread"), "namespaces", b"key")
    change(course.root / "course.toml", "#[limits]", "[limits]\ncell_seconds = 300\nmemory_gb = 4")
    assignment = assignment_named("spread")
    limits = Limits.set_by(assignment.limits)
    assert (limits.cell_seconds, limits.memory, limits.cpu_seconds) == (300, 4 << 30, 600)
    assert "a cell may use 300 seconds" in limits_in_words("spread")
    assert "Memory is limited to 4 GB" in limits_in_words("spread")
    assert fingerprint(assignment, "namespaces", b"key") != before


def test_only_the_assignment_whose_checks_changed_is_graded_again(course):
    new_assignment(course, "other")

    def names() -> list[bytes]:
        return [fingerprint(assignment_named(name), "namespaces", b"key") for name in ("spread", "other")]

    before = names()
    change(course.root / "solutions" / "spread.py", "the variance of a sample", "the sample's variance")
    assert names() == before
    change(course.root / "checks" / "spread.py", "check(50", "check(45")
    assert [now == then for now, then in zip(names(), before)] == [False, True]


@pytest.mark.slow
def test_a_check_that_changes_has_its_own_assignment_graded_again_and_no_other(course):
    change(course.root / "course.toml", '#isolation_floor = "landlock"', 'isolation_floor = "none"')
    new_assignment(course, "other")

    def fresh() -> dict[str, bool]:
        rows = {name: grade(course, name, None, isolation="none", jobs=1) for name in ("spread", "other")}
        return {name: row.fresh for name, (row,) in rows.items()}

    for name in ("spread", "other"):
        release_checked(course, name, unchecked=True)
        path = course.folder("submitted", "ada", name, f"{name}.ipynb")
        path.parent.mkdir(parents=True)
        path.write_bytes(course.folder("release", name, f"{name}.ipynb").read_bytes())
    assert fresh() == {"spread": True, "other": True}
    change(course.root / "checks" / "spread.py", "check(50", "check(45")
    change(course.root / "checks" / "spread.py", "check(30", "check(35")
    assert fresh() == {"spread": True, "other": False}
    assert fresh() == {"spread": False, "other": False}


def test_no_submission_sees_the_solutions_and_checks_wherever_the_course_has_them(course):
    change(course.root / "course.toml", '#checks = "checks"', 'checks = "secret"')
    (course.root / "checks").rename(course.root / "secret")
    assert {course.root / "secret", course.root / "solutions"} <= view.hidden()


def test_a_gradescope_zip_brings_the_packages_limits_and_checks_of_a_course_of_ones_own(course, monkeypatch):
    import autograder.ways.gradescope as gradescope

    change(course.root / "course.toml", "#packages = []", 'packages = ["sklearn.linear_model"]')
    change(course.root / "course.toml", "#[limits]", "[limits]\ncell_seconds = 300")
    monkeypatch.setattr(gradescope.importlib.util, "find_spec", lambda name: None)
    with zipfile.ZipFile(gradescope.pack(course, "spread")) as archive:
        names = archive.namelist()
        said = tomllib.loads(archive.read("lib/course.toml").decode())
        requirements = archive.read("requirements.txt").decode().splitlines()
    assert said["packages"] == ["sklearn.linear_model"]
    assert said["limits"] == {"cell_seconds": 300.0}
    assert "scikit-learn" in requirements
    assert "checks/spread.py" in names
    assert not [name for name in names if "ebmkit" in name or name.startswith("lib/autograder/checks/ising")]
