"""The page "With your LMS": every command on it is run, and prints what the page says."""

import re
import shlex
import time
from pathlib import Path

import pytest
from downloads import zipped
from toy_course import RIGHT, ROOT

from autograder import command

PAGE = ROOT / "book" / "lms.md"
SESSION = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORKSHEET = (
    "Identifier,Full name,Username,Status,Grade,Last modified (submission)\n"
    'Participant 123,Ada Lovelace,ada,,,"Wednesday, 2 December 2026, 12:59 AM"\n'
    "Participant 124,Bob Byron,bob,,,-\nParticipant 125,Cleo Curie,cleo,,,-\n"
)


@pytest.mark.slow
def test_every_command_on_the_page_prints_what_the_page_says(classroom, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    monkeypatch.chdir(tmp_path)
    Path("class.csv").write_text(WORKSHEET)
    work = classroom.answered(RIGHT)
    moodle = {
        "Ada Lovelace_123_assignsubmission_file/homework.ipynb": work,
        "Bob Byron_124_assignsubmission_file/report.pdf": b"",
    }
    zipped(Path("submissions.zip"), moodle)
    zipped(Path("others.zip"), {"cleo--2026-12-01-12-00-00.ipynb": work})
    ran = []
    for session in SESSION.findall(PAGE.read_text(encoding="utf-8").replace("ising", "toy")):
        for step in session.split("$ ")[1:]:
            words, _, expected = step.partition("\n")
            ran.append(words.split()[1])
            extra = ["--isolation", "none"] if ran[-1] == "grade" else []
            monkeypatch.setattr("sys.argv", [*shlex.split(words), *extra])
            with pytest.raises(SystemExit) as ended:
                command.main()
            out, err = capsys.readouterr()
            assert ended.value.code == 0, f"{words}: {err}"
            assert not expected or out == expected, words
    assert ran == ["due", "collect", "grade", "feedback", "export", "collect", "due", "who"]
    assert Path("marks.csv").read_text().splitlines()[1].startswith("Participant 123,Ada Lovelace,,")
    monkeypatch.undo()
    time.tzset()


def test_every_system_on_the_page_is_one_that_is_read_and_given_back():
    from autograder.ways.export import TABLES
    from autograder.ways.returned import SYSTEMS

    text = PAGE.read_text(encoding="utf-8")
    for name in (*SYSTEMS, *(table for table in TABLES if table != "full")):
        assert f"`{name}`" in text or f"--zip {name}" in text or f"--format {name}" in text, name
