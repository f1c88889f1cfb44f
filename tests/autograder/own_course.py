"""A course of one's own in a folder, with the assignment that `autograder new` writes."""

from pathlib import Path

import pytest

from autograder.authoring.new import new_assignment, new_course
from autograder.course import Course


def own_course(root: Path, patch: pytest.MonkeyPatch) -> Course:
    """A course at `root` with the assignment `spread`, entered."""
    patch.delenv("EBM_CHECKS", raising=False)
    patch.delenv("EBM_GRADEBOOK", raising=False)
    patch.setenv("EBM_COURSE", str(root))
    new_course(root)
    course = Course(root)
    new_assignment(course, "spread")
    return course


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
