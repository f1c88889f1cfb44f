"""Grading without names: nowhere on a page or list, and back again by the course's key alone."""

import pytest
from toy_course import RIGHT

from autograder import command
from autograder.classroom.codes import code, everyone, resolve, shown

NAME = "Ada-Lovelace"


@pytest.fixture
def anonymous(classroom):
    with (classroom.course.root / "nbgrader_config.py").open("a") as file:
        file.write("\nc.JudgeNotebook.anonymous = True\n")
    return classroom


def run(monkeypatch, capsys, *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["autograder", *words])
    with pytest.raises(SystemExit):
        command.main()
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.slow
def test_no_page_and_no_list_names_a_student_where_the_course_asks_for_that(anonymous, monkeypatch, capsys):
    anonymous.submit(NAME, RIGHT)
    anonymous.submit("Bob-Byron", b"{")
    said = "".join(
        run(monkeypatch, capsys, *words)
        for words in (
            ("grade", "toy", "--isolation", "none", "--jobs", "1"),
            ("grade", "toy", "--isolation", "none", "--jobs", "1"),
            ("report", "toy"),
            ("similarity", "toy", "--threshold", "0"),
        )
    )
    written = [anonymous.page(NAME), anonymous.page("Bob-Byron")]
    run(monkeypatch, capsys, "feedback", "toy")
    written += [
        anonymous.page(NAME),
        *(p.read_text() for p in anonymous.course.folder("reports").glob("*.html")),
    ]
    mark = code(anonymous.course, NAME)
    assert mark in said
    assert mark in written[0]
    assert not [text for text in (said, *written) if "Lovelace" in text or "Byron" in text]
    assert run(monkeypatch, capsys, "who", mark) == f"{mark}  {NAME}\n"


def test_where_nobody_asks_students_are_called_by_their_names(classroom):
    assert shown(classroom.course)(NAME) == NAME


def test_a_code_leads_back_to_its_student_however_it_is_typed(classroom):
    for student in (NAME, "zoë", "0815"):
        classroom.submit(student, {})
    found = everyone(classroom.course)
    assert sorted(found.values()) == sorted([NAME, "zoë", "0815"])
    for text, student in found.items():
        typed = text.upper().replace("0", "O").replace("1", "l")
        assert resolve(classroom.course, f" {typed} ") == student


def test_a_code_is_another_one_under_another_courses_key(classroom):
    before = code(classroom.course, NAME)
    classroom.course.folder("grading.key").write_text("ab" * 32)
    assert code(classroom.course, NAME) != before


def test_a_code_of_nobody_is_told(classroom):
    with pytest.raises(ValueError, match="'k3f9-x2ab' is nobody's code"):
        resolve(classroom.course, "k3f9-x2ab")
