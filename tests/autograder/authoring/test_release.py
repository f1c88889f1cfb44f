"""What students get: no solution, the right points, the same bytes every time."""

import json
import os
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from autograder.authoring.faults import needs_of_tests
from autograder.authoring.hand_out import pack, wheels
from autograder.authoring.percent import nbgrader_notebook
from autograder.authoring.release import ReleaseError, publish
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.sandbox.limits import Limits

pytestmark = pytest.mark.slow


def tree(room, *parts: str) -> str:
    return room.course.folder(*parts).read_text()


def test_the_students_notebook_holds_stubs_and_tests_but_no_solution(classroom):
    text = tree(classroom, "release", "toy", "toy.ipynb")
    assert "return 2 * x" not in text
    assert "Because." not in text
    assert "SOLUTION" not in text
    assert text.count("raise NotImplementedError") == 2
    assert "assert double(1) == 2" in text


def test_an_unsolved_notebook_fails_at_its_first_exercise_and_names_it(classroom):
    cells = [c for c in classroom.released()["cells"] if c["cell_type"] == "code"]
    names: dict = {}
    for cell in cells[:2]:
        exec("".join(cell["source"]), names)
    with pytest.raises(NotImplementedError, match=r"^double is not solved yet"):
        exec("".join(cells[2]["source"]), names)


def test_points_in_notebook_gradebook_and_checks_agree(classroom):
    expected = {f"{e.name}-tests": e.points for e in assignment_named("toy").exercises} | {"why": 20}
    cells = [c["metadata"]["nbgrader"] for c in classroom.released()["cells"] if "nbgrader" in c["metadata"]]
    assert {marks["grade_id"]: marks["points"] for marks in cells if marks["grade"]} == expected
    with classroom.book() as book:
        assert {c.name: c.max_score for c in book.find_notebook("toy", "toy").grade_cells} == expected


def test_release_works_where_the_virtual_environment_is_not_on_path(empty_classroom, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    empty_classroom.publish()
    assert empty_classroom.course.folder("release", "toy", "toy.ipynb").exists()
    assert str(Path(sys.executable).parent) in os.environ["PATH"]


def test_a_release_is_the_same_every_time(classroom, notebook_of_toy):
    before = [tree(classroom, step, "toy", "toy.ipynb") for step in ("source", "release")]
    publish(classroom.course, assignment_named("toy"), notebook_of_toy)
    assert [tree(classroom, step, "toy", "toy.ipynb") for step in ("source", "release")] == before


@pytest.mark.slow
def test_a_release_goes_on_when_there_are_submissions(classroom, right, notebook_of_toy):
    classroom.submit("ada", right)
    classroom.grade()
    notebook_of_toy.cells[0].source = "# Toy, with a typo mended"
    publish(classroom.course, assignment_named("toy"), notebook_of_toy)
    assert "typo mended" in tree(classroom, "release", "toy", "toy.ipynb")
    assert classroom.entries("ada").score["double-tests"] == 40


@pytest.mark.slow
def test_graded_cells_cannot_change_once_there_are_submissions(classroom, right, notebook_of_toy):
    classroom.submit("ada", right)
    classroom.grade()
    before = tree(classroom, "release", "toy", "toy.ipynb")
    del notebook_of_toy.cells[6]
    with pytest.raises(
        ReleaseError, match=r"1 submission is graded.+why \(gone\).+nbgrader db assignment remove toy --force"
    ):
        publish(classroom.course, assignment_named("toy"), notebook_of_toy)
    assert tree(classroom, "release", "toy", "toy.ipynb") == before


def test_a_notebook_whose_points_do_not_fit_is_not_released(empty_classroom, notebook_of_toy):
    notebook_of_toy.cells[3].metadata.nbgrader.update(points=30.0)
    with pytest.raises(ReleaseError, match="gives double 30 points and its checks 40"):
        publish(empty_classroom.course, assignment_named("toy"), notebook_of_toy)
    assert not empty_classroom.course.folder("release", "toy", "toy.ipynb").exists()


def test_a_release_that_fails_leaves_the_one_before_and_says_so(classroom, notebook_of_toy):
    before = [tree(classroom, step, "toy", "toy.ipynb") for step in ("source", "release")]
    notebook_of_toy.cells[3].metadata.nbgrader.update(points=30.0)
    with pytest.raises(ReleaseError, match="toy was not released, and what was released before is as it was"):
        publish(classroom.course, assignment_named("toy"), notebook_of_toy)
    assert [tree(classroom, step, "toy", "toy.ipynb") for step in ("source", "release")] == before


def test_a_solution_that_would_reach_students_is_refused(empty_classroom, notebook_of_toy, monkeypatch):
    from autograder.authoring import release

    def generate(course, name):
        path = course.folder("release", name, f"{name}.ipynb")
        path.parent.mkdir(parents=True)
        path.write_text(tree(empty_classroom, "source", "toy", "toy.ipynb").replace("SOLUTION", ""))

    monkeypatch.setattr(release, "_generate", generate)
    with pytest.raises(ReleaseError, match="a line of the solution would reach students"):
        publish(empty_classroom.course, assignment_named("toy"), notebook_of_toy)
    assert not empty_classroom.course.folder("release", "toy", "toy.ipynb").exists()


def test_nbgraders_complaint_is_passed_on_in_one_line(empty_classroom, notebook_of_toy):
    notebook_of_toy.cells[4].metadata.nbgrader.grade_id = "double"
    with pytest.raises(
        ReleaseError, match=r"toy was not released: nbgrader could not make the notebook: .+"
    ) as caught:
        publish(empty_classroom.course, assignment_named("toy"), notebook_of_toy)
    assert "\n" not in str(caught.value)


def test_the_zip_holds_notebook_library_and_readme_and_is_the_same_every_time(classroom, tmp_path):
    library = tmp_path / "ebm_course-0.1.0-py3-none-any.whl"
    library.write_bytes(b"a wheel")
    path = pack(classroom.course, "toy", [library])
    before = path.read_bytes()
    assert pack(classroom.course, "toy", [library]).read_bytes() == before
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["toy/README.txt", f"toy/{library.name}", "toy/toy.ipynb"]
        readme = archive.read("toy/README.txt").decode()
        assert json.loads(archive.read("toy/toy.ipynb")) == classroom.released()
    assert f"pip install ./{library.name}" in readme
    assert readme.startswith("Energy-based models\nAssignment: toy\n")
    assert "pip install ebmkit" not in readme


@pytest.mark.slow
def test_the_students_wheel_holds_the_library_alone_and_is_rebuilt_when_stale(classroom):
    (built,) = wheels(classroom.course)
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    assert "ebmkit/ising/__init__.py" in names
    assert {name.split("/")[0] for name in names} == {"ebmkit", "ebm_course-0.1.0.dist-info"}
    before = built.read_bytes()
    stamp = built.stat().st_mtime_ns
    assert wheels(classroom.course)[0].stat().st_mtime_ns == stamp
    with zipfile.ZipFile(built, "a") as archive:
        archive.writestr("ebmkit/stale.py", "old = True")
    assert wheels(classroom.course)[0].read_bytes() == before


def test_cells_that_need_names_from_locked_tests_are_named(notebook_of_toy):
    tests = next(
        i for i, c in enumerate(notebook_of_toy.cells) if c.metadata.get("nbgrader", {}).get("grade")
    )
    notebook_of_toy.cells[tests].source += "\nfound = double(1)"
    notebook_of_toy.cells.append(nbformat.v4.new_code_cell("def show():\n    print(found)\nshow()"))
    assert needs_of_tests(notebook_of_toy) == [("found", len(notebook_of_toy.cells) - 1)]


@pytest.mark.parametrize("name", available_assignments())
def test_our_own_notebooks_need_nothing_of_their_tests_and_state_every_limit(name):
    notebook = nbgrader_notebook(name)
    assert needs_of_tests(notebook) == []
    said = notebook.cells[0].source
    assert f"a cell may use {Limits().cell_seconds:g} seconds of processor time" in said
    assert f"together {Limits().notebook_seconds:g}" in said
