"""The command line: answers at once, fails in one line, exits with a code that scripts can use."""

import csv
import importlib.metadata
import inspect
import io
import json
import os
import re
import subprocess
import sys
import time

import pytest

from autograder import command, terminal
from autograder.authoring.hostile import ATTACKS
from autograder.classroom import progress
from autograder.classroom.batch import Row
from autograder.classroom.store import Store
from autograder.judging.judge import Judged
from autograder.judging.report import UNREADABLE, Report
from autograder.sandbox.levels import NoIsolation
from autograder.ways.export import export, safe
from autograder.ways.marks import gather

COMMANDS = command.app.registered_commands


def run(*arguments: str, capsys=None, monkeypatch=None) -> tuple[int, str, str]:
    """The command in this process: its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["autograder", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.fixture
def call(capsys, monkeypatch):
    return lambda *arguments: run(*arguments, capsys=capsys, monkeypatch=monkeypatch)


def test_help_answers_without_loading_anything_heavy():
    code = (
        "import sys; from autograder import command\n"
        "sys.argv = ['autograder', '--help']\n"
        "try: command.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'nbgrader.api', 'nbformat', 'tornado', 'scipy'} & set(sys.modules)))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert "release" in done.stdout
    assert time.perf_counter() - start < 30


@pytest.mark.slow
def test_grading_names_its_verdicts_without_loading_torch_which_is_there_when_it_is_used():
    code = (
        "import sys; from autograder import command; command._load_when_used('torch')\n"
        "from autograder.exercises.catalogue import assignment_named, available_assignments\n"
        "from autograder.judging.fingerprint import fingerprint\n"
        "for name in available_assignments(): fingerprint(assignment_named(name), 'none', b'a key')\n"
        "print('torch._C' in sys.modules)\n"
        "from autograder.checks.normalization import definitions\n"
        "import torch.nn; print(isinstance(torch.ones(1), definitions.torch.Tensor))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_version_is_that_of_the_installed_package(call):
    assert call("--version") == (0, f"autograder {importlib.metadata.version('ebm-course-autograder')}\n", "")


@pytest.mark.slow
def test_grading_prints_each_student_and_a_table_and_where_things_are(classroom, right, call):
    classroom.submit("ada", right)
    classroom.submit("bob", b"{")
    code, out, err = call("grade", "toy", "--isolation", "none", "--jobs", "1")
    assert code == 0
    assert "[2/2]" in out
    assert "ada" in out
    assert "80/80" in out
    assert "20 of the points are given by hand" in out
    assert re.search(r"ada +│ graded +│ 80/80 +│ +│ 80/100", out)
    assert "cut off" in out
    assert str(classroom.course.folder("feedback")) in out
    assert "gradebook.db" in out
    assert "WARNING" in err


@pytest.mark.slow
def test_ungraded_submissions_are_listed_and_the_exit_code_is_three(classroom, right, sabotage, call):
    classroom.submit("ada", right)
    sabotage("raise")
    code, out, err = call("grade", "toy", "--isolation", "none", "--jobs", "1")
    assert code == 3
    assert "not graded: ada" in err
    assert "this check is broken" in err
    assert "ungraded" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["grade", "chess"], "no assignment is called 'chess'; there are"),
        (["grade", "toy"], "no submissions of toy; expected"),
        (["feedback", "toy"], "nothing of toy is graded yet; run: autograder grade toy"),
        (["release", "chess"], "no assignment is called 'chess'"),
    ],
)
def test_mistakes_are_answered_in_one_line(classroom, call, arguments, words):
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


def test_an_assignment_that_is_not_released_says_what_to_run(empty_classroom, call):
    code, _, err = call("grade", "toy")
    assert code == 1
    assert "run: autograder release toy" in err


def test_a_folder_that_is_no_course_is_named(tmp_path, monkeypatch, call):
    monkeypatch.setenv("EBM_COURSE", str(tmp_path))
    code, _, err = call("export")
    assert code == 1
    assert "has no nbgrader_config.py" in err


@pytest.mark.slow
def test_a_wrong_option_is_a_usage_error(call):
    code, _, err = call("grade", "toy", "--isolation", "maybe")
    assert code == 2
    assert "maybe" in err


@pytest.mark.slow
def test_feedback_is_written_again_without_grading(classroom, right, call):
    classroom.submit("ada", right)
    classroom.grade()
    classroom.course.folder("feedback", "ada", "toy", "toy.html").unlink()
    code, out, _ = call("feedback", "toy")
    assert code == 0
    assert "1 pages" in out
    assert "Twice as much" in classroom.page("ada")


@pytest.mark.slow
def test_export_holds_each_exercise_and_the_total_with_points_by_hand(classroom, right):
    classroom.submit("ada", right)
    classroom.submit("=2+3", right | {"add": "def add(x, y):\n    return x"})
    classroom.grade()
    with classroom.book() as book:
        book.find_grade("why", "toy", "toy", "ada").manual_score = 7.5
        book.db.commit()
    file = io.StringIO()
    assert export(classroom.course, gather(classroom.course, ["toy"]), file) == 2
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["student"] for row in rows] == ["'=2+3", "ada"]
    assert rows[1] == {
        "student": "ada",
        "name": "",
        "assignment": "toy",
        "double": "40",
        "add": "40",
        "why": "7.5",
        "late_penalty": "0",
        "total": "87.5",
        "note": "",
    }
    assert rows[0]["total"] == "40"


@pytest.mark.slow
def test_a_damaged_gradebook_leaves_an_older_export_as_it_is(classroom, right, call, tmp_path):
    classroom.submit("ada", right)
    classroom.grade()
    file = tmp_path / "grades.csv"
    file.touch(mode=0o600)
    assert call("export", "toy", "-o", str(file))[0] == 0
    before = file.read_text()
    assert "ada,,toy,40,40,0,0,80," in before
    assert file.stat().st_mode & 0o777 == 0o600
    classroom.course.folder("gradebook.db").write_bytes(b"no database" * 1000)
    assert call("export", "toy", "-o", str(file))[0] == 1
    assert file.read_text() == before
    assert [path.name for path in tmp_path.glob("*grades.csv*")] == ["grades.csv"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_exported_text_begins_like_a_formula(start):
    assert safe(start + "1+1") == "'" + start + "1+1"
    assert safe("anna") == "anna"


def test_names_cannot_steer_the_terminal(capsys):
    row = Row("evil\x1b[2J\x9b\udce4", "graded", 1.0, 2.0, ("[bold]note[/bold]",))
    progress.table([row])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "[bold]note[/bold]" in out


def test_the_selftest_runs_no_attack_without_a_sandbox_and_says_so(classroom, call, monkeypatch):
    def refuse(*_):
        raise NoIsolation("there is no bubblewrap;\ninstall it")

    monkeypatch.setattr("autograder.sandbox.sandbox.Sandbox", refuse)
    out = call("selftest", "toy", "--seeds", "1")[1]
    assert "mistake      squares instead" in out
    assert "hostile submissions were not run: there is no bubblewrap; install it\n" in out


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.xdist_group("sandbox")
def test_the_selftest_runs_the_attacks_in_a_sandbox(classroom, call, sandbox, monkeypatch):
    few = [attack for attack in ATTACKS if attack.family == "know the inputs"]
    monkeypatch.setattr("autograder.authoring.hostile.ATTACKS", few)
    out = call("selftest", "toy", "--seeds", "1")[1]
    assert f"know the inputs  {len(few):>4} attacks  0 points gained  rejected" in out


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row("ada", "graded", 80.0, 80.0, by_hand=20.0, counts=80.0), "80/80 +│ +│ 80/100"),
        (Row("ada", "graded", 80.0, 80.0, by_hand=20.0, counts=95.0), r"80/80 +│ \+15 +│ 95/100"),
        (Row("ada", "graded", 80.0, 80.0, by_hand=20.0, penalty=9.0, counts=86.0), r"\+15 +│ -9 +│ 86/100"),
        (Row("ada", "graded", 80.0, 80.0, by_hand=20.0, penalty=200.0, counts=0.0), r"│ +│ -200 +│ 0/100"),
        (Row("ada", "graded", 80.0, 80.0, counts=70.0), r"80/80 +│ -10 +│ 70/80"),
        (Row("ada", "ungraded", None, 80.0, by_hand=20.0), r"not graded +│ +│ +│"),
    ],
)
def test_the_table_says_what_counts_with_points_by_hand_and_late_penalties(row, words, capsys):
    progress.table([row])
    assert re.search(words, capsys.readouterr().out)


def test_the_time_that_is_left_is_told_after_some_verdicts_and_not_from_kept_ones(capsys, monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", iter([0.0, 60.0, 80.0]).__next__)
    with progress.reporting() as report:
        for fresh in (False, True, True, True, True):
            report(Row("ada", "graded", 1.0, 2.0, fresh=fresh), 8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "[3/8] ada: 1/2"
    assert lines[3] == "[4/8] ada: 1/2 (about 80 s left)"
    assert lines[4] == "[5/8] ada: 1/2 (about 60 s left)"
    assert [progress.in_words(s) for s in (0.1, 600, 7200)] == ["about 1 s", "about 10 min", "about 2 h"]


@pytest.mark.slow
def test_json_is_all_that_stands_on_standard_output(classroom, right, call):
    classroom.submit("ada", right)
    code, out, err = call("grade", "toy", "--isolation", "none", "--jobs", "1", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["student"], row["score"], row["counts"], row["by_hand"]) == ("ada", 80.0, 80.0, 20.0)
    assert "[1/1] ada" in err


def test_json_of_what_came_in_when_it_was_due_and_who_it_is(classroom, call, tmp_path):
    work = tmp_path / "downloads" / "ada" / "toy.ipynb"
    work.parent.mkdir(parents=True)
    work.write_bytes(classroom.answered({}))
    (tmp_path / "class.csv").write_text("username\nada\nbob\n")
    code, out, err = call(
        "collect", "toy", str(tmp_path / "downloads"), "--roster", str(tmp_path / "class.csv"), "--json"
    )
    found = json.loads(out)
    assert (code, found["standing"]["handed_in"], found["standing"]["missing"]) == (0, ["ada"], ["bob"])
    assert [(one["student"], one["status"]) for one in found["files"]] == [("ada", "collected")]
    assert "2 students on the roster" in err
    assert json.loads(call("due", "toy", "2026-12-01T12:00Z", "--json")[1]) == {
        "assignment": "toy",
        "due": "2026-12-01T12:00:00Z",
        "extensions": {},
    }
    call("due", "toy", "2026-12-02T12:00Z", "--student", "ada")
    assert json.loads(call("due", "toy", "--json")[1])["extensions"] == {"ada": "2026-12-02T12:00:00Z"}
    assert sorted(json.loads(call("who", "--json")[1]).values()) == ["ada", "bob"]


def test_json_of_how_the_class_did(classroom, call):
    report = Report("toy", UNREADABLE, (), ("the file is empty",), "namespaces", max_score=80.0)
    store = Store(classroom.course, "toy")
    store.save("k1", Judged(report))
    store.record("ada", "k1")
    classroom.submit("bob", {})
    found = json.loads(call("report", "toy", "--json")[1])
    assert found["unreadable"] == {"count": 1, "first": {"ada": "the file is empty"}}
    assert found["ungraded"] == {"count": 1, "first": ["bob"]}
    assert os.path.exists(found["page"])
    pairs = json.loads(call("similarity", "toy", "--threshold", "0.1", "--json")[1])
    assert (pairs["compared"], pairs["threshold"], pairs["pairs"]) == (1, 0.1, {"count": 0, "first": []})


def test_ctrl_c_is_answered_at_once_in_words_and_with_its_own_code():
    code = (
        "import os, signal, time; from autograder import command\n"
        "def hang():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
        "command.app.command('hang')(hang)\n"
        "import sys; sys.argv = ['autograder', 'hang']\n"
        "command.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 130
    assert done.stderr.startswith("\nautograder: stopping: what was done is kept")
    assert "Traceback" not in done.stderr


def test_every_exit_code_is_in_the_help(call):
    codes = {value for name, value in vars(terminal).items() if name.endswith("_CODE")}
    out = " ".join(call("--help")[1].split())
    assert all(re.search(rf"\b{code} [a-z]", out) for code in codes | {0}), out


@pytest.mark.parametrize("code", [terminal.FAILED_CODE, terminal.UNGRADED_CODE])
def test_a_command_that_chooses_an_exit_code_says_so_in_its_help(code):
    (name,) = (name for name, value in vars(terminal).items() if name.endswith("_CODE") and value == code)
    choosing = {c.callback.__name__ for c in COMMANDS if f"return {name}" in inspect.getsource(c.callback)}
    choosing |= {c.callback.__name__ for c in COMMANDS if f"else {name}" in inspect.getsource(c.callback)}
    saying = {c.callback.__name__ for c in COMMANDS if f"Exits with {code} if" in c.help}
    assert saying == choosing != set()


def test_help_breaks_its_lines_where_the_terminal_ends(call, monkeypatch):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 400)
    assert "clones of GitHub Classroom and nbgrader's exchange. Notebooks" in call("collect", "--help")[1]


def test_the_shell_completes_the_names_of_assignments(classroom, call):
    assert terminal._complete("t") == ["toy"]
    assert "ising" in terminal._complete("")
    assert "--install-completion" in call("--help")[1]


def test_the_command_is_installed_beside_the_interpreter():
    program = os.path.join(os.path.dirname(sys.executable), "autograder")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "selftest" in done.stdout
