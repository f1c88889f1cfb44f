"""nbgrader's gradebook: our scores go in, what a human decided stays."""

import datetime

import pytest

from autograder.classroom.gradebook import Book, GradebookError, Graded
from autograder.exercises.catalogue import assignment_named
from autograder.judging.handout import NotReleased
from autograder.pages.graded_notebook import Entry


def grade_by_hand(room, student: str, cell: str, score: float, comment: str) -> None:
    """What a human does in formgrader."""
    with room.book() as book:
        grade = book.find_grade(cell, "toy", "toy", student)
        grade.manual_score, grade.needs_manual_grade = score, False
        book.find_comment("why", "toy", "toy", student).manual_comment = comment
        book.db.commit()


@pytest.mark.slow
def test_what_a_human_graded_survives_regrading(classroom, right):
    classroom.submit("ada", right | {"why": "Because."})
    classroom.grade()
    grade_by_hand(classroom, "ada", "why", 15, "Say more.")
    grade_by_hand(classroom, "ada", "add-tests", 39, "Say more.")
    classroom.submit("ada", right | {"why": "Because!", "double": "def double(x):\n    return x"})
    classroom.grade()
    entries = classroom.entries("ada")
    assert entries.score == {"double-tests": 0, "add-tests": 39, "why": 15}
    assert entries.auto["add-tests"] == 40
    assert entries.shown["why"] == "Say more."
    assert entries.waiting["add-tests"]
    page = classroom.page("ada")
    assert "Say more." in page
    assert ">54 <" in page


@pytest.mark.slow
def test_free_text_waits_for_a_human_unless_it_is_untouched(classroom, right):
    classroom.submit("ada", right | {"why": "Because."})
    classroom.submit("bob", right)
    classroom.grade()
    ada, bob = classroom.entries("ada"), classroom.entries("bob")
    assert (ada.auto["why"], ada.waiting["why"], ada.comment["why"]) == (None, True, None)
    assert (bob.auto["why"], bob.waiting["why"], bob.comment["why"]) == (0, False, "No response.")


@pytest.mark.slow
def test_the_time_of_handing_in_is_recorded_and_nonsense_is_not(classroom, right):
    for student, when in (("ada", "2026-03-01 12:30:00 UTC"), ("bob", "soon")):
        path = classroom.submit(student, right)
        (path.parent / "timestamp.txt").write_text(when)
    classroom.grade()
    with classroom.book() as book:
        assert book.find_submission("toy", "ada").timestamp == datetime.datetime(2026, 3, 1, 12, 30)
        assert book.find_submission("toy", "bob").timestamp is None


def test_a_record_is_written_whole_or_not_at_all(classroom):
    with Book(classroom.course) as book:
        book.record("toy", [Graded("ada", "", (Entry("double-tests", 1.0),))])
        with pytest.raises(GradebookError, match="could not be written"):
            book.record(
                "toy", [Graded("ada", "", (Entry("add-tests", 2.0), Entry("double-tests", object())))]
            )
    entries = classroom.entries("ada")
    assert entries.auto == {"double-tests": 1.0, "add-tests": None, "why": None}


def test_a_corrupt_gradebook_is_named_with_the_way_out(classroom):
    (classroom.course.directory / "gradebook.db").write_bytes(b"not a database, not at all, not even close")
    with pytest.raises(GradebookError, match=r"cannot be opened.+backup"):
        Book(classroom.course)


def test_points_that_changed_since_the_release_are_refused(classroom):
    with classroom.book() as book:
        book.find_grade_cell("add-tests", "toy", "toy").max_score = 10
        book.db.commit()
    with Book(classroom.course) as book, pytest.raises(NotReleased, match="add 10 points and its checks 40"):
        book.require(assignment_named("toy"))


@pytest.mark.slow
def test_a_gradebook_without_the_assignment_says_what_to_run(empty_classroom):
    with (
        Book(empty_classroom.course) as book,
        pytest.raises(NotReleased, match="run: autograder release toy"),
    ):
        book.require(assignment_named("toy"))
