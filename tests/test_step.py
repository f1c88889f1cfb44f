"""`tools/step`, which wraps the long commands of `make`."""

import subprocess
import sys
from pathlib import Path

import pytest

STEP = Path(__file__).parent.parent / "tools" / "step"


@pytest.fixture
def step(tmp_path):
    def run(source: str) -> tuple[int, str, str]:
        log = tmp_path / "new" / "it.log"
        command = [sys.executable, str(STEP), "A title", str(log), sys.executable, "-c", source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, log.read_text()

    return run


def test_a_step_that_succeeds_says_how_long_it_took_and_keeps_its_output_in_the_log(step):
    code, said, log = step("import sys; print('to out'); print('to err', file=sys.stderr)")
    assert code == 0
    assert said.splitlines()[0] == "A title"
    assert said.splitlines()[-1].startswith("  done in ")
    assert "to out" not in said
    assert sorted(log.splitlines()) == ["to err", "to out"]


def test_a_step_that_fails_shows_the_end_of_its_log_and_names_it(step, tmp_path):
    code, said, log = step("for i in range(100): print('line', i)\nraise SystemExit(7)")
    assert code == 7
    assert "line 99\n" in said
    assert "line 3\n" not in said
    assert f"(exit code 7). All it said is in {tmp_path}/new/it.log\n" in said
    assert log.count("\n") == 100


def test_a_command_that_is_not_there_is_named(tmp_path):
    command = [sys.executable, str(STEP), "A title", str(tmp_path / "log"), "no-such-command"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 127
    assert done.stdout.endswith("no-such-command: not found\n")
