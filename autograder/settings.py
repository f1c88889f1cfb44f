"""The settings of a course: all in `course.toml` at its root. What is left out has the value that `TEMPLATE` shows.

Where a folder has none, the course of this repository is meant, as its own tests and Gradescope's containers do.
"""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

FILE = "course.toml"
HOME = Path(__file__).parent.parent
LIMITS = ("memory_gb", "cell_seconds", "notebook_seconds")

TEMPLATE = """\
# All settings of this course. A line that starts with #, without a space after it,
# shows what holds without it.
name = "{name}"

# What nbgrader calls the course. Keep it once something is graded.
#id = "course"

# The folder of NAME.py, solved notebooks as py:percent text, and that of the hidden
# checks, NAME.py or NAME/.
#solutions = "solutions"
#checks = "checks"

# What notebooks import besides NumPy, such as ["pandas", "sklearn"]. The sandbox
# imports it once for all, and students are told to install it.
#packages = []

# What goes into students' zips: .whl files, or folders to build wheels from.
#wheels = []

# What the points of an assignment must add to. 0: whatever they add to.
#points = 0

# How many named mistakes every exercise has at least, and how many alternatives:
# right code that is written differently.
#mistakes = 1
#alternatives = 1

# Weaker isolation does not grade. From strongest: namespaces, bubblewrap, user,
# landlock, none; "namespaces+seccomp" demands a filter of system calls too.
#isolation_floor = "landlock"

# Whether codes stand for students on pages and lists; `autograder who` resolves them.
#anonymous = false

# What one submission may use: seconds of processor time, and memory.
#[limits]
#cell_seconds = 20
#notebook_seconds = 90
#memory_gb = 2
"""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a course is called, where its parts lie, and what it demands; folders are absolute."""

    path: Path
    name: str
    solutions: Path
    checks: Path
    id: str = "course"
    packages: tuple[str, ...] = ()
    wheels: tuple[Path, ...] = ()
    points: float = 0
    mistakes: int = 1
    alternatives: int = 1
    isolation_floor: str = "landlock"
    anonymous: bool = False
    limits: tuple[tuple[str, float], ...] = ()
    chapters: Path | None = None
    """The folder of a book whose pages go with the assignments; `autograder new` writes a stub there."""

    @property
    def root(self) -> Path:
        return self.path.parent


def settings_of(root: Path) -> Settings:
    """The settings of the course at `root`; raises `ValueError` that names the setting and what it may be."""
    path = root / FILE
    if not path.is_file():
        path = HOME / FILE
    if not path.is_file():  # an installed package, in a folder that is no course
        return Settings(root / FILE, root.name, root / "solutions", HOME / "autograder" / "checks")
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return _Reader(path, written).settings()


KINDS: dict[str, tuple[Any, str]] = {
    "name": (str, "text"),
    "id": (str, "text"),
    "solutions": (str, "a folder"),
    "checks": (str, "a folder"),
    "chapters": (str, "a folder"),
    "packages": (list, "a list of names, as they are imported"),
    "wheels": (list, "a list of .whl files or folders"),
    "points": ((int, float), "a number that is not negative"),
    "mistakes": (int, "a number that is not negative"),
    "alternatives": (int, "a number that is not negative"),
    "isolation_floor": (str, "a level of isolation"),
    "anonymous": (bool, "true or false"),
    "limits": (dict, "a table"),
}


class _Reader:
    """Turns what was written into settings, or says what is wrong with it."""

    def __init__(self, path: Path, written: dict[str, Any]) -> None:
        self.path = path
        self.written = written

    def settings(self) -> Settings:
        for key, value in self.written.items():
            self._validate(key, value)
        plain = {
            key: self.written[key]
            for key in ("id", "points", "mistakes", "alternatives", "isolation_floor", "anonymous")
            if key in self.written
        }
        limits: dict[str, float] = self.written.get("limits", {})
        return Settings(
            self.path,
            self.written.get("name", self.path.parent.name),
            self._place(self.written.get("solutions", "solutions")),
            self._place(self.written.get("checks", "checks")),
            packages=tuple(self.written.get("packages", ())),
            wheels=tuple(map(self._place, self.written.get("wheels", ()))),
            limits=tuple(sorted((name, float(limit)) for name, limit in limits.items())),
            chapters=self._place(self.written["chapters"]) if "chapters" in self.written else None,
            **plain,
        )

    def _validate(self, key: str, value: Any) -> None:
        if key not in KINDS:
            raise ValueError(f"{self.path} sets {key!r}, which is no setting; there are {', '.join(KINDS)}")
        kind, words = KINDS[key]
        negative = isinstance(value, int | float) and value < 0
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or negative:
            raise ValueError(f"{key} in {self.path} must be {words}; got {value!r}")
        if isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
            raise ValueError(f"{key} in {self.path} must be {words}; got {value!r}")
        if key == "limits":
            for name, limit in value.items():
                if name not in LIMITS:
                    raise ValueError(
                        f"{self.path} sets the limit {name!r}; there are limits of {', '.join(LIMITS)}"
                    )
                if isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0:
                    raise ValueError(f"{name} in {self.path} must be a positive number; got {limit!r}")

    def _place(self, text: str) -> Path:
        return (self.path.parent / text).resolve()
