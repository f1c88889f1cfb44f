"""The downloads of other systems, as their own code or tools that read them describe the names.

Canvas        instructure/canvas-lms, lib/content_zipper.rb (names), app/models/assignment.rb (names taken back)
Moodle        moodle/moodle, mod/assign/classes/downloader.php, mod/assign/feedback/file/importziplib.php
Blackboard    nbgrader, "Managing assignment files manually" and tests of zip_collect; BBGradebookOrganiser;
              parselearn (the text beside a hand-in)
Brightspace   OfficeCoffee/GradingFileProject, ToDo.md (flat); bulk graders' documentation (folders, times)
Sakai         sakaiproject/sakai, BaseAssignmentService.zipSubmissions
ILIAS         ILIAS-eLearning/ILIAS, class.ilExSubmission.php; its plugin ExerciseStatusFile
exchange      jupyter/nbgrader, exchange/default/submit.py and collect.py
GitHub        education/classroom: repositories are called ASSIGNMENT-LOGIN
"""

import contextlib
import subprocess
from pathlib import Path

import pytest
from downloads import handed_in, laid_out, zipped

from autograder.classroom.arrivals import noted
from autograder.ways.collect import COLLECTED, IGNORED, NO_NOTEBOOK, REFUSED, NothingCollected, collect


@pytest.fixture
def answer(classroom):
    return lambda text="1": classroom.answered({"double": f"def double(x):\n    return {text}"})


@pytest.fixture
def utc(monkeypatch):
    """This computer's clock shows UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


LAYOUTS = {
    "canvas": {"lovelaceada_4711_100_toy.ipynb": "1", "byronbob_LATE_4712_101_toy-2.ipynb": "2"},
    "canvas anonymous": {"anon_x1y2z_100_toy.ipynb": "1", "LATE_anon_a1b2c_101_toy.ipynb": "2"},
    "moodle": {
        "Ada Lovelace_123_assignsubmission_file/toy.ipynb": "1",
        "Bob Byron_124_assignsubmission_file/deep/toy.ipynb": "2",
        "Bob Byron_124_assignsubmission_onlinetext/onlinetext.html": None,
    },
    "moodle before 4.1": {
        "Ada Lovelace_123_assignsubmission_file_/toy.ipynb": "1",
        "Bob Byron_124_assignsubmission_file_/toy.ipynb": "2",
    },
    "moodle flat": {
        "Ada Lovelace_123_assignsubmission_file_toy.ipynb": "1",
        "Bob Byron_124_assignsubmission_file_my_work.ipynb": "2",
        "Bob Byron_124_assignsubmission_onlinetext_onlinetext.html": None,
    },
    "blackboard": {
        "Toy_one_ada_l_attempt_2026-10-01-12-00-00_toy.ipynb": "1",
        "Toy_one_ada_l_attempt_2026-10-01-12-00-00.txt": None,
        "Toy_one_bob_attempt_2026-10-02-12-00-00_toy.ipynb": "2",
        "Toy_one_bob_attempt_2026-10-02-12-00-00.txt": None,
    },
    "brightspace": {
        "152711-351765 - Ada Lovelace - Oct 1, 2026 1200 PM/toy.ipynb": "1",
        "152712-351765 - Bob Byron - Oct 2, 2026 1200 PM/toy.ipynb": "2",
        "index.html": None,
    },
    "brightspace flat": {
        "152711-351765 - Ada Lovelace - Oct 1, 2026 1200 PM - toy.ipynb": "1",
        "152712-351765 - Bob Byron - Oct 2, 2026 1200 PM - toy.ipynb": "2",
        "index.html": None,
    },
    "exchange": {
        "ada+toy+2026-10-01 12:00:00.000000 UTC+aB3_-x/toy.ipynb": "1",
        "bob+toy+2026-10-02 12:00:00.000000 UTC/toy.ipynb": "2",
        "bob+ising+2026-10-02 12:00:00.000000 UTC/ising.ipynb": "3",
    },
    "sakai": {
        "Toy/Lovelace, Ada(ada)/Submission attachment(s)/toy.ipynb": "1",
        "Toy/Lovelace, Ada(ada)/timestamp.txt": b"20261001120000000",
        "Toy/Byron, Bob(bob)/Submission attachment(s)/toy.ipynb": "2",
        "Toy/grades.csv": None,
    },
    "ilias": {
        "Submissions/Lovelace_Ada_ada_371/toy.ipynb": "1",
        "Submissions/Byron_Bob_bob_b_372/Verspaetete Abgabe - toy.ipynb": "2",
    },
    "google": {
        "Toy-20261001T120000Z-001/Ada Lovelace - toy.ipynb": "1",
        "Toy-20261001T120000Z-001/Bob Byron - toy.ipynb": "2",
    },
}
STUDENTS = {
    "canvas": ["lovelaceada_4711", "byronbob_4712"],
    "canvas anonymous": ["anon_x1y2z", "anon_a1b2c"],
    "moodle": ["Ada Lovelace_123", "Bob Byron_124"],
    "moodle before 4.1": ["Ada Lovelace_123", "Bob Byron_124"],
    "moodle flat": ["Ada Lovelace_123", "Bob Byron_124"],
    "blackboard": ["ada_l", "bob"],
    "brightspace": ["Ada Lovelace", "Bob Byron"],
    "brightspace flat": ["Ada Lovelace", "Bob Byron"],
    "exchange": ["ada", "bob"],
    "sakai": ["ada", "bob"],
    "ilias": ["ada", "bob_b"],
    "google": ["Ada Lovelace", "Bob Byron"],
}
DATED = {"blackboard", "brightspace", "brightspace flat", "exchange"}


@pytest.mark.parametrize("system", LAYOUTS)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_each_system_is_read_whoever_unpacked_it(classroom, answer, tmp_path, utc, system, kind):
    members = {
        name: text if isinstance(text, bytes) else answer(text) if text else b"<p>online</p>"
        for name, text in LAYOUTS[system].items()
    }
    make = laid_out if kind == "folder" else zipped
    found = list(collect(classroom.course, "toy", make(tmp_path / "in.zip", members)))
    assert {o.status for o in found} == {COLLECTED}, found
    there = handed_in(classroom)
    for student, text, day in zip(STUDENTS[system], "12", ("01", "02")):
        assert there.pop(f"{student}/toy/toy.ipynb") == answer(text)
        if system in DATED or (system == "sakai" and text == "1"):
            when = f"2026-10-{day} 12:00:00.000000 UTC"
            assert there.pop(f"{student}/toy/timestamp.txt").decode() == when
    assert there == {}


@pytest.mark.parametrize("system", LAYOUTS)
def test_a_students_own_names_never_say_whose_a_file_is(classroom, answer, tmp_path, system):
    """Each name of the layout lies in eve's folder, alone in the batch."""
    members = {f"eve/{name}": answer("forged") for name in LAYOUTS[system] if name.endswith(".ipynb")}
    with contextlib.suppress(ValueError):  # it is not clear whose
        list(collect(classroom.course, "toy", laid_out(tmp_path / "in", members)))
    assert {name.partition("/")[0] for name in handed_in(classroom)} <= {"eve"}


@pytest.mark.parametrize(
    "name",
    [
        "Toy_eve_attempt_2026-10-01-12-00-00_x_ada_attempt_2026-10-02-12-00-00_toy.ipynb",
        "Eve_7_assignsubmission_file_Ada_8_assignsubmission_file_toy.ipynb",
        "1-2 - eve - Oct 1, 2026 1200 PM - ada - Oct 2, 2026 1200 PM - toy.ipynb",
        "eve_1_2_ada_3_4_toy.ipynb",
        "eve_" + "9" * 5000 + "_1_toy.ipynb",
        "1-2 - eve - Oct 99, 9999 9999 PM - toy.ipynb",
        "eve_attempt_9999-99-99-99-99-99_toy.ipynb",
    ],
)
def test_forged_and_absurd_parts_of_a_name_change_nothing(classroom, answer, tmp_path, name):
    list(collect(classroom.course, "toy", zipped(tmp_path / "in.zip", {name: answer()})))
    students = {path.partition("/")[0] for path in handed_in(classroom)}
    assert all(student.casefold().startswith("eve") for student in students), students


def test_the_newest_hand_in_counts_however_often_and_wherever_it_lies(classroom, answer, tmp_path):
    members = {
        "ada+toy+2026-10-02 12:00:00.000000 UTC+x/homework.ipynb": answer("new"),
        "ada+toy+2026-10-01 12:00:00.000000 UTC+y/toy.ipynb": answer("old"),
    }
    found = {
        o.source: o.status for o in collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members))
    }
    assert list(found.values()).count(IGNORED) == 1
    assert handed_in(classroom)["ada/toy/toy.ipynb"] == answer("new")


def test_two_that_were_handed_in_at_once_and_differ_are_told_and_none_is_taken(classroom, answer, tmp_path):
    members = {"ada/one.ipynb": answer("1"), "ada/two.ipynb": answer("2")}
    found = list(collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members)))
    assert {o.status for o in found} == {REFUSED}
    assert "ada/one.ipynb and ada/two.ipynb were handed in at the same time, and differ" in found[0].reason
    assert handed_in(classroom) == {}


def test_whoever_handed_in_no_notebook_is_told_with_what_there_is_instead(classroom, answer, tmp_path):
    members = {
        "Ada Lovelace_123_assignsubmission_file/toy.ipynb": answer(),
        "Bob Byron_124_assignsubmission_file/report.pdf": b"",
        "Bob Byron_124_assignsubmission_onlinetext/onlinetext.html": b"",
    }
    found = {o.student: o for o in collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members))}
    assert found["Bob Byron_124"].status == NO_NOTEBOOK
    assert found["Bob Byron_124"].reason == "instead of one: report.pdf, onlinetext.html"


def test_who_wrote_online_text_into_sakai_is_told_and_who_wrote_none_is_not(classroom, answer, tmp_path):
    members = {
        "Toy/Lovelace, Ada(ada)/Submission attachment(s)/toy.ipynb": answer(),
        "Toy/Lovelace, Ada(ada)/Lovelace, Ada(ada)_submissionText.html": b"see my notebook",
        "Toy/Byron, Bob(bob)/Byron, Bob(bob)_submissionText.html": b"42",
        "Toy/Cleo, C(cleo)/Cleo, C(cleo)_submissionText.html": b"",
    }
    found = {o.student: o for o in collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members))}
    assert {student: o.status for student, o in found.items()} == {"ada": COLLECTED, "bob": NO_NOTEBOOK}
    assert found["bob"].reason == "instead of one: Byron, Bob(bob)_submissionText.html"


def test_a_batch_without_any_notebook_names_everyone_before_it_ends(classroom, tmp_path):
    archive = zipped(tmp_path / "in.zip", {"lovelaceada_1_2_toy.pdf": b"", "byronbob_2_text.html": b""})
    seen = []
    with pytest.raises(NothingCollected, match="holds no notebooks"):
        seen.extend(collect(classroom.course, "toy", archive))
    found = list(_until_it_raises(collect(classroom.course, "toy", archive)))
    assert {o.student for o in found} == {"lovelaceada_1", "byronbob_2"}


def _until_it_raises(outcomes):
    try:
        yield from outcomes
    except NothingCollected:
        return


def test_canvass_word_for_late_is_kept(classroom, answer, tmp_path):
    archive = zipped(tmp_path / "in.zip", {"byronbob_LATE_4712_101_toy.ipynb": answer()})
    (found,) = collect(classroom.course, "toy", archive)
    assert found.late
    arrival = noted(classroom.course, "toy")["byronbob_4712"]
    assert (arrival.system, arrival.place, arrival.late) == (
        "canvas",
        "byronbob_LATE_4712_101_toy.ipynb",
        True,
    )


def test_a_time_that_one_student_alone_has_in_a_folder_of_the_assignments_name_is_not_believed(
    classroom, answer, tmp_path
):
    members = {
        "ada/toy/toy.ipynb": answer(),
        "ada/toy/timestamp.txt": b"2020-01-01 00:00:00 UTC",
        "bob/toy.ipynb": answer(),
    }
    list(collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members)))
    written = {name: data.decode() for name, data in handed_in(classroom).items() if "timestamp" in name}
    assert not any("2020" in when for when in written.values())


def test_a_time_that_a_student_wrote_into_their_folder_is_not_believed(classroom, answer, tmp_path):
    mark = b"2020-01-01 00:00:00 UTC"
    members = {
        "Ada Lovelace_123_assignsubmission_file/toy.ipynb": answer(),
        "Ada Lovelace_123_assignsubmission_file/timestamp.txt": mark,
        "Ada Lovelace_123_assignsubmission_file/toy/timestamp.txt": mark,
    }
    list(collect(classroom.course, "toy", zipped(tmp_path / "moodle.zip", members)))
    list(
        collect(
            classroom.course,
            "toy",
            zipped(tmp_path / "own.zip", {"bob/toy.ipynb": answer(), "bob/timestamp.txt": mark}),
        )
    )
    assert not [name for name in handed_in(classroom) if name.endswith("timestamp.txt")]


def test_a_pattern_serves_any_other_layout_with_nbgraders_names(classroom, answer, tmp_path, utc):
    members = {"ps1/0815--2026-10-01-12-00-00--toy.ipynb": answer(), "ps1/readme.ipynb": answer()}
    pattern = r".*/(?P<student_id>\d+)--(?P<timestamp>[\d-]+)--"
    found = {
        o.source: o.reason
        for o in collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members), pattern=pattern)
    }
    assert "--pattern does not fit" in found["ps1/readme.ipynb"]
    assert handed_in(classroom) == {
        "0815/toy/toy.ipynb": answer(),
        "0815/toy/timestamp.txt": b"2026-10-01 12:00:00.000000 UTC",
    }


@pytest.mark.parametrize(
    ("pattern", "words"), [("(", "no regular expression"), ("x", "must name the student")]
)
def test_a_pattern_that_cannot_serve_is_refused_by_name(classroom, answer, tmp_path, pattern, words):
    archive = zipped(tmp_path / "in.zip", {"x.ipynb": answer()})
    with pytest.raises(ValueError, match=words):
        list(collect(classroom.course, "toy", archive, pattern=pattern))


def git(where: Path, *words: str) -> None:
    identity = {"GIT_AUTHOR_DATE": WHEN, "GIT_COMMITTER_DATE": WHEN, "GIT_CONFIG_GLOBAL": "/dev/null"}
    names = {
        f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(
        ["git", *words],
        cwd=where,
        check=True,
        capture_output=True,
        env=identity | names | {"PATH": "/usr/bin:/bin"},
    )


WHEN = "2026-10-01T14:00:00+02:00"


@pytest.mark.parametrize("packed", [False, True])
def test_clones_of_github_classroom_give_logins_and_the_time_of_the_commit(
    classroom, answer, tmp_path, packed
):
    top = laid_out(
        tmp_path / "toy-submissions", {"toy-ada-l/toy.ipynb": answer("1"), "toy-bob/toy.ipynb": answer("2")}
    )
    for clone in top.iterdir():
        git(clone, "init", "-q")
        git(clone, "add", ".")
        git(clone, "commit", "-qm", "work")
        if packed:
            git(clone, "gc", "-q")
            git(clone, "pack-refs", "--all")
        # What Git would start if it read the clone's own configuration.
        with (clone / ".git" / "config").open("a") as file:
            file.write(f"[core]\n\tfsmonitor = touch {tmp_path}/ran\n\tpager = touch {tmp_path}/ran\n")
    list(collect(classroom.course, "toy", top))
    when = b"2026-10-01 12:00:00.000000 UTC"
    assert handed_in(classroom) == {
        "ada-l/toy/toy.ipynb": answer("1"),
        "ada-l/toy/timestamp.txt": when,
        "bob/toy/toy.ipynb": answer("2"),
        "bob/toy/timestamp.txt": when,
    }
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("head", [b"ref: ../../etc/passwd\n", b"\xff" * 100, b"", b"f" * 40])
def test_a_clone_that_is_damaged_has_no_time_and_is_collected(classroom, answer, tmp_path, head):
    members = {"ada/toy.ipynb": answer("1"), "ada/.git/HEAD": head, "bob/toy.ipynb": answer("2")}
    list(collect(classroom.course, "toy", laid_out(tmp_path / "in", members)))
    assert set(handed_in(classroom)) == {"ada/toy/toy.ipynb", "bob/toy/toy.ipynb"}


RECEIPT = b"""Name: Ada Lovelace (ada_l)
Assignment: Toy one
Date Submitted: Thursday, October 1, 2026 12:00:00 PM BST
Current Mark: Needs Marking

Submission Field:
Name: Bob Byron (bob)
"""
"""As Blackboard writes it; below "Submission Field" a student may write what they like."""


def test_a_lone_hand_in_of_blackboard_is_of_whom_the_text_beside_names(classroom, answer, tmp_path):
    start = "Toy_one_ada_l_attempt_2026-10-01-12-00-00"
    members = {f"{start}_toy.ipynb": answer("1"), f"{start}.txt": RECEIPT}
    (one,) = collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members))
    assert (one.student, one.status) == ("ada_l", COLLECTED)


@pytest.mark.parametrize(
    "receipt", [RECEIPT.replace(b"(ada_l)", b"(eve)"), b"Name: Ada", b"\xff" * 1000, b""]
)
def test_a_text_of_blackboard_that_says_something_else_decides_nothing(classroom, answer, tmp_path, receipt):
    start = "Toy_ada_attempt_2026-10-01-12-00-00"
    members = {f"{start}_toy.ipynb": answer("1"), f"{start}.txt": receipt}
    (one,) = collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members))
    assert (one.student, one.status) == ("ada", COLLECTED)


def test_blackboards_own_text_is_nothing_that_was_handed_in_unless_it_is_alone(classroom, answer, tmp_path):
    members = {
        "Toy_ada_attempt_2026-10-01-12-00-00.txt": RECEIPT,
        "Toy_ada_attempt_2026-10-01-12-00-00_report.pdf": b"%PDF",
        "Toy_bob_attempt_2026-10-02-12-00-00.txt": RECEIPT,
        "Toy_cleo_attempt_2026-10-03-12-00-00_toy.ipynb": answer("1"),
    }
    found = collect(classroom.course, "toy", zipped(tmp_path / "in.zip", members))
    assert {o.student: o.reason for o in found if o.status == NO_NOTEBOOK} == {
        "ada": "instead of one: Toy_ada_attempt_2026-10-01-12-00-00_report.pdf",
        "bob": "instead of one: Toy_bob_attempt_2026-10-02-12-00-00.txt",
    }


# Moodle's grading worksheet, mod/assign/gradingtable.php: times as strftimedaydatetime shows them


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("Thursday, 1 October 2026, 12:00 PM", "2026-10-01 12:00:00.000000 UTC"),
        ("Thursday, October 1, 2026, 9:05 AM", "2026-10-01 09:05:00.000000 UTC"),
        ("-", ""),
        ("jeudi 1 octobre 2026, 12:00", ""),
        ("", ""),
    ],
)
def test_moodles_worksheet_tells_when_work_came_in(classroom, answer, tmp_path, utc, text, when):
    from autograder.ways.standing import times_in

    worksheet = tmp_path / "worksheet.csv"
    worksheet.write_text(
        f'Identifier,Full name,Last modified (submission)\nParticipant 123,Ada Lovelace,"{text}"\n'
    )
    zip = zipped(tmp_path / "in.zip", {"Ada Lovelace_123_assignsubmission_file/toy.ipynb": answer("1")})
    list(collect(classroom.course, "toy", zip, times=times_in(worksheet)))
    there = handed_in(classroom)
    assert there.get("Ada Lovelace_123/toy/timestamp.txt", b"").decode() == when


def test_a_time_that_is_told_later_is_noted_for_work_that_is_there_and_a_later_one_is_not(
    classroom, answer, tmp_path
):
    zip = zipped(tmp_path / "in.zip", {"Ada Lovelace_123_assignsubmission_file/toy.ipynb": answer("1")})
    said = [
        next(collect(classroom.course, "toy", zip, times=times)).reason
        for times in ({}, {"123": 1.0}, {"123": 9.0})
    ]
    assert said == [
        "",
        "the same is there already; when it was handed in is new",
        "the same is there already",
    ]
    assert handed_in(classroom)["Ada Lovelace_123/toy/timestamp.txt"] == b"1970-01-01 00:00:01.000000 UTC"
