"""The page "Change the course" is played from its first word to the class graded, and prints what it shows.

It runs in an environment with the installed autograder and what that declares to need: no ebmkit, no torch.
Where the page differs, the test's message is what belongs there.
"""

import subprocess
from pathlib import Path

import plain_environment
import pytest
from played import BLOCK, play

from autograder import terminal
from autograder.settings import TEMPLATE

PAGE = (Path(__file__).parents[2] / "book" / "change_the_course.md").read_text(encoding="utf-8")


def test_the_page_shows_every_setting():
    assert TEMPLATE.replace("{name}", "Statistics") in PAGE


def test_the_page_tells_every_exit_code():
    codes = {value for name, value in vars(terminal).items() if name.endswith("_CODE")} | {0}
    assert all(f"| {code} | " in PAGE for code in codes)


def test_every_block_of_commands_can_be_played():
    fences = PAGE.count("\n```console") + PAGE.count("\n```{code-block}")
    assert len(BLOCK.findall(PAGE)) == fences > 10


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.xdist_group("sandbox")
def test_every_command_of_the_page_prints_what_the_page_shows(tmp_path, sandbox):
    programs = plain_environment.build(tmp_path / "environment")
    for absent in ("ebmkit", "torch"):
        done = subprocess.run(
            [programs / "python", "-Ic", f"import {absent}"], capture_output=True, text=True
        )
        assert f"No module named '{absent}'" in done.stderr
    home = tmp_path / "home"
    home.mkdir()
    for played in play(PAGE, home, programs):
        shown, printed = (" ".join(text.split()) for text in (played.shown, played.printed))
        assert printed == shown, f"$ {played.command}\n{played.printed}"
    assert played.command == "cat grades.csv"
