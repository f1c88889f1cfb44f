"""Plays a page: writes the files that it shows, runs its commands, and says what they print."""

import dataclasses
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

BLOCK = re.compile(r"^```(console|\{code-block\} \w+)\n(.*?)^```$", re.M | re.S)
CAPTION = re.compile(r":caption: (\S+), (at the end|in place of the last line)\n\n")


@dataclasses.dataclass(frozen=True)
class Played:
    """A command, what the page shows below it, and what it printed; `HOME` stands for the folder."""

    command: str
    shown: str
    printed: str


def play(page: str, folder: Path, programs: Path) -> Iterator[Played]:
    """Every command of a page in turn, run in `folder`, where `cd` leads to."""
    place = folder
    # A file that is changed within a second of the last change has the same time: no bytecode is kept.
    kept = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    path = f"{programs}:/usr/bin:/bin"
    code = 0
    for kind, text in BLOCK.findall(page):
        if kind != "console":
            write(place, text)
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            if command.startswith("cd "):
                place /= command[3:]
                continue
            done = subprocess.run(
                f"(exit {code}); {command}",
                shell=True,
                cwd=place,
                env=kept | {"PATH": path, "LANG": os.environ.get("LANG", "C.UTF-8"), "PYTHONUTF8": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
            )
            code = done.returncode
            yield Played(command, shown, done.stdout.replace(str(folder), "/home/you"))


def write(place: Path, text: str) -> None:
    """Do with a file what a block's caption says."""
    caption = CAPTION.search(text)
    assert caption is not None, text[:100]
    path, body = place / caption[1], text[caption.end() :]
    before = path.read_text()
    if caption[2] == "in place of the last line":
        before = before[: before.rstrip("\n").rindex("\n") + 1]
    path.write_text(f"{before}\n{body}")
