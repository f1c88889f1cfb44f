"""Marks and pages on their way back to an LMS: the whole class, nothing stale unsaid, under the LMS's own names."""

import csv
import io
import zipfile

import pytest
from downloads import zipped
from toy_course import RIGHT

from autograder import command
from autograder.classroom.roster import Person, Roster
from autograder.ways.collect import collect
from autograder.ways.export import MISSING, STALE, TABLES
from autograder.ways.marks import gather
from autograder.ways.returned import SYSTEMS, pack

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("marks_out")]  # its class is graded once

CLASS = (
    Person("ada", "Ada", "Lovelace", "ada", "0815", "ada@example.org", "4711", "123"),
    Person("bob", "=Bob()", "@Byron", "+bob", "-0816", "=b@example.org", "4712", "124"),
)
DOWNLOADS = {
    "canvas": "lovelaceada_4711_100_toy.ipynb",
    "moodle": "Ada Lovelace_123_assignsubmission_file/toy.ipynb",
    "brightspace": "1-2 - Ada Lovelace - Oct 1, 2026 1200 PM/toy.ipynb",
    "sakai": "Toy/Lovelace, Ada(ada)/Submission attachment(s)/toy.ipynb",
    "ilias": "Lovelace_Ada_ada_371/toy.ipynb",
    "folders": "ada/toy.ipynb",
}
RETURNS = {
    "canvas": "lovelaceada_4711_100_toy.html",
    "moodle": "Ada Lovelace_123_assignsubmission_file_/toy.html",
    "brightspace": "1-2 - Ada Lovelace - Oct 1, 2026 1200 PM/toy.html",
    "sakai": "Toy/Lovelace, Ada(ada)/Feedback Attachment(s)/toy.html",
    "ilias": "Lovelace_Ada_ada_371/toy.html",
    "folders": "ada/toy.html",
}


@pytest.fixture(scope="module")
def graded(shared_classroom):
    """A class of two of whom one handed in, and one who dropped; 7.5 points are given by hand."""
    room = shared_classroom
    for student in ("ada", "dropped"):
        room.submit(student, RIGHT)
    room.grade()
    with room.book() as book:
        book.find_grade("why", "toy", "toy", "ada").manual_score = 7.5
        book.db.commit()
    Roster(CLASS).save(room.course)
    return room


def table(room, system) -> list[list[str]]:
    text = io.StringIO()
    TABLES[system](room.course, gather(room.course, ["toy"]), text)
    return list(csv.reader(io.StringIO(text.getvalue())))


EXPECTED = {
    "full": [
        ["student", "name", "assignment", "double", "add", "why", "late_penalty", "total", "note"],
        ["ada", "Ada Lovelace", "toy", "40", "40", "7.5", "0", "87.5", ""],
        ["bob", "'=Bob() @Byron", "toy", "", "", "", "", "", MISSING],
    ],
    "canvas": [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Toy"],
        ["    Points Possible", "", "", "", "", "100"],
        ["Lovelace, Ada", "4711", "0815", "ada", "", "87.5"],
        ["'@Byron, =Bob()", "4712", "'-0816", "'+bob", "", ""],
    ],
    "moodle": [
        [
            *(
                "Identifier",
                "Full name",
                "Email address",
                "Status",
                "Grade",
                "Maximum Grade",
                "Grade can be changed",
            ),
            *("Last modified (submission)", "Last modified (grade)", "Feedback comments"),
        ],
        [
            *(
                "Participant 123",
                "Ada Lovelace",
                "ada@example.org",
                "Submitted for grading",
                "87.50",
                "100.00",
            ),
            *("Yes", "-", "-", ""),
        ],
        [
            *("Participant 124", "'=Bob() @Byron", "'=b@example.org", "No submission", "", "100.00"),
            *("Yes", "-", "-", ""),
        ],
    ],
    "blackboard": [
        ["Last Name", "First Name", "Username", "Student ID", "Toy"],
        ["Lovelace", "Ada", "ada", "0815", "87.5"],
        ["'@Byron", "'=Bob()", "'+bob", "'-0816", ""],
    ],
    "brightspace": [
        [
            *("OrgDefinedId", "Username", "Last Name", "First Name", "Email", "Toy Points Grade"),
            "End-of-Line Indicator",
        ],
        ["#0815", "#ada", "Lovelace", "Ada", "ada@example.org", "87.5", "#"],
        ["#-0816", "#+bob", "'@Byron", "'=Bob()", "'=b@example.org", "", "#"],
    ],
}


@pytest.mark.parametrize("system", TABLES)
def test_each_system_gets_the_whole_class_in_its_own_columns_and_no_formula(graded, system):
    assert table(graded, system) == EXPECTED[system]


def test_who_dropped_leaves_the_tables_and_not_the_record(graded):
    assert gather(graded.course, ["toy"]).left_out == ("dropped",)
    with graded.book() as book:
        assert book.find_submission("toy", "dropped").score == 80


def test_what_is_exported_is_read_back_as_a_roster(graded, tmp_path):
    from autograder.classroom.roster import read

    for system in ("canvas", "moodle", "blackboard", "brightspace"):
        path = tmp_path / f"{system}.csv"
        path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in table(graded, system)))
        assert read(path, graded.course).people == CLASS, system


def test_scores_of_older_checks_are_marked_and_told(graded, monkeypatch, capsys):
    monkeypatch.setattr("autograder.classroom.class_report.fingerprint", lambda *_: b"new checks")
    assert table(graded, "full")[1][-1] == STALE
    monkeypatch.setattr("sys.argv", ["autograder", "export", "toy", "--format", "canvas"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 3
    err = capsys.readouterr().err
    assert "graded against older checks or older work: ada; run: autograder grade toy" in err
    assert "not on the roster, and left out: dropped" in err


def test_moodles_worksheet_is_of_one_assignment_and_names_whom_it_does_not_know(graded):
    with pytest.raises(ValueError, match="is of one assignment"):
        TABLES["moodle"](graded.course, gather(graded.course, []), io.StringIO())
    Roster([Person("ada", "Ada", "Lovelace"), CLASS[1]]).save(graded.course)
    try:
        with pytest.raises(
            ValueError, match="Moodle's number is not known of ada; give its grading worksheet"
        ):
            table(graded, "moodle")
    finally:
        Roster(CLASS).save(graded.course)


@pytest.mark.parametrize("system", SYSTEMS)
def test_pages_go_back_under_the_names_that_the_system_takes(graded, tmp_path, system):
    path = zipped(tmp_path / "in.zip", {DOWNLOADS[system]: graded.answered(RIGHT | {"why": system})})
    list(collect(graded.course, "toy", path, force=True))
    returned = pack(graded.course, "toy", system)
    with zipfile.ZipFile(returned.path) as archive:
        assert RETURNS[system] in archive.namelist()
        assert archive.read(RETURNS[system]).decode() == graded.page("ada")
    assert returned.left_out == (() if system == "folders" else ("dropped",))


def test_a_system_from_which_nothing_came_takes_nothing_back(graded, tmp_path):
    path = zipped(tmp_path / "in.zip", {"ada/toy.ipynb": graded.answered(RIGHT | {"why": "again"})})
    list(collect(graded.course, "toy", path, force=True))
    with pytest.raises(ValueError, match="no feedback of toy can go back to canvas"):
        pack(graded.course, "toy", "canvas")


def test_whose_number_the_roster_knows_gets_a_page_through_moodle_however_work_came(graded, tmp_path):
    path = zipped(tmp_path / "in.zip", {"ada/toy.ipynb": graded.answered(RIGHT | {"why": "by a folder"})})
    list(collect(graded.course, "toy", path, force=True))
    with zipfile.ZipFile(pack(graded.course, "toy", "moodle").path) as archive:
        assert archive.namelist() == [RETURNS["moodle"]]
