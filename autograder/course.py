"""Where a course keeps its things: nbgrader's directory layout, and our results beside it.

course.toml                       its settings (see `autograder/settings.py`)

course/source/ASSIGNMENT/         the instructor's notebooks, made by `release`
course/release/ASSIGNMENT/        the students' notebooks, made by `release`
course/submitted/STUDENT/ASSIGNMENT/   what came in; written to by `collect` alone
course/checked/                   which assignments `check` found without a problem, as they are now
course/autograded/, course/feedback/   made by `grade`
course/gradebook.db               nbgrader's gradebook
course/roster.csv                 the class, from any LMS; `collect --roster`
course/extensions.json            due dates of single students; `due`
course/arrivals/                  where submissions came from, so that feedback goes back there
course/results/                   one JSON file for each verdict, named by what it depends on
course/reports/                   pages on a class, made by `report` and `similarity`
course/grading.key                the secret that seeds hidden inputs
"""

import os
import secrets
from pathlib import Path

from autograder.settings import FILE, Settings, settings_of

KEY_BYTES = 32


class Course:
    """The directories of one course."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "course"

    @classmethod
    def here(cls) -> "Course":
        """The course of the nearest folder upwards with `course.toml` or `nbgrader_config.py`, else of this one.

        The environment variable `EBM_COURSE` names another root.
        """
        if chosen := os.environ.get("EBM_COURSE"):
            return cls(Path(chosen).resolve())
        for folder in (Path.cwd(), *Path.cwd().parents):
            if (folder / FILE).exists() or (folder / "nbgrader_config.py").exists():
                return cls(folder)
        return cls(Path.cwd())

    @property
    def settings(self) -> Settings:
        """What `course.toml` says, read each time: its author may be at work on it."""
        return settings_of(self.root)

    def folder(self, step: str, *parts: str) -> Path:
        """The path of `course/STEP/…`."""
        return self.directory.joinpath(step, *parts)

    @property
    def db_url(self) -> str:
        """nbgrader's gradebook: `EBM_GRADEBOOK` if set (any SQLAlchemy URL), else SQLite in the course."""
        return os.environ.get("EBM_GRADEBOOK") or f"sqlite:///{self.directory / 'gradebook.db'}"

    def key(self) -> bytes:
        """The course's secret, made at first use, readable by its owner alone; raises `ValueError` if damaged."""
        path = self.directory / "grading.key"
        try:
            return _key_in(path)
        except FileNotFoundError:
            pass
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = secrets.token_bytes(KEY_BYTES)
        temporary = path.with_name(f"grading.key.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(fresh.hex() + "\n")
        try:
            os.link(temporary, path)  # whoever comes first wins; nobody overwrites a key
        except FileExistsError:
            fresh = _key_in(path)
        finally:
            temporary.unlink()
        return fresh


def _key_in(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{path} is damaged: it must hold {2 * KEY_BYTES} hexadecimal digits; restore it from a backup, or "
            "delete it: a new one is made then, and everything is graded again, on other inputs"
        )
    return key
