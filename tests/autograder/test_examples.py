"""The example in each command's help runs."""

import re
import shlex
import shutil
import sys

import pytest

from autograder import command

ORDER = "init new check release samples grade collect due feedback report similarity who export gradescope selftest"
EXAMPLES = {
    registered.callback.__name__: registered.epilog.removeprefix("Example: ")
    for registered in command.app.registered_commands
}


def test_every_command_has_an_example_that_calls_it():
    assert set(ORDER.split()) == set(EXAMPLES)
    for name, example in EXAMPLES.items():
        assert example.split()[:2] == ["autograder", name]


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.xdist_group("sandbox")
def test_the_examples_run_one_after_the_other(tmp_path, monkeypatch, capsys, sandbox):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EBM_COURSE", raising=False)
    for name in ORDER.split():
        if name == "collect":
            downloads = tmp_path / "statistics" / "downloads" / "ada"
            downloads.mkdir(parents=True)
            sample = tmp_path / "statistics" / "course" / "submitted" / "right" / "first_steps"
            shutil.copy(sample / "first_steps.ipynb", downloads)
        monkeypatch.setattr(sys, "argv", shlex.split(EXAMPLES[name]))
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert ended.value.code == 0, (name, capsys.readouterr())
        if name == "init":
            monkeypatch.chdir(tmp_path / "statistics")
    grades = (tmp_path / "statistics" / "grades.csv").read_text()
    assert re.search(r"^right,,first_steps,80,", grades, re.M), grades
