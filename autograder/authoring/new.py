"""A course and an assignment to begin with: both work at once, and are made to be changed."""

import json
import keyword
import re
from pathlib import Path

from autograder.atomic import write_atomically
from autograder.authoring import toy
from autograder.course import Course
from autograder.exercises.catalogue import available_assignments
from autograder.settings import FILE, TEMPLATE, Settings

CONFIG = "nbgrader_config.py"


def new_course(folder: Path) -> list[Path]:
    """Make `folder` a course; raises `ValueError` if it is one. Returns the files that were written."""
    for name in (FILE, CONFIG):
        if (folder / name).exists():
            raise ValueError(f"{folder} is a course already: it has {folder / name}")
    title = json.dumps(
        folder.resolve().name.replace("_", " ").replace("-", " ").capitalize(), ensure_ascii=False
    )
    written = {
        folder / FILE: TEMPLATE.replace('"{name}"', title),
        folder / CONFIG: NBGRADER,
    }
    if not (folder / ".gitignore").exists():
        written[folder / ".gitignore"] = "course/\ndist/\n"
    return _write(written)


def new_assignment(course: Course, name: str) -> list[Path]:
    """Write an assignment with one exercise, and where chapters go with assignments a page and a test.

    Raises `ValueError` for a name that cannot be one or that is taken. Returns the files that were written.
    """
    settings = course.settings
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"{name!r} cannot name an assignment: it names files and modules, so use small letters, digits and _, "
            f"a letter first, such as {_possible(name)}"
        )
    written = {
        settings.solutions / f"{name}.py": toy.solution(name),
        settings.checks / f"{name}.py": toy.checks(name, settings.mistakes, settings.alternatives),
        **(_chapter(settings, name) if settings.chapters else {}),
    }
    taken = [path for path in (*written, settings.checks / name) if path.exists()]
    if taken or name in available_assignments():
        raise ValueError(f"there is an assignment {name} already{f': {taken[0]}' if taken else ''}")
    files = _write(written)
    return files + (_listed(settings, name) if settings.chapters else [])


def _possible(name: str) -> str:
    """The nearest name that can be one: it begins with a letter, and is no word of Python's."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).lstrip("_0123456789").rstrip("_") or "first_steps"
    return f"{plain}_1" if keyword.iskeyword(plain) else plain


def _write(written: dict[Path, str]) -> list[Path]:
    for path, text in written.items():
        write_atomically(path, text.encode())
    return list(written)


def _chapter(settings: Settings, name: str) -> dict[Path, str]:
    assert settings.chapters is not None
    title = name.replace("_", " ").capitalize()
    return {
        settings.chapters / f"{name}.md": CHAPTER.format(name=name, title=title),
        settings.chapters / "exercises" / f"{name}.md": f":::{{assignment}} {name}\n:::\n",
        settings.root / "tests" / "autograder" / "checks" / f"test_{name}.py": TEST.format(
            name=name, title=title
        ),
    }


def _listed(settings: Settings, name: str) -> list[Path]:
    """Add the pages to the table of contents: after the last chapter, and after the last assignment."""
    assert settings.chapters is not None
    path = settings.root / "_toc.yml"
    top = settings.chapters.name
    lines = path.read_text(encoding="utf-8").splitlines()
    for caption, page in (("Chapters", f"{top}/{name}"), ("Assignments", f"{top}/exercises/{name}")):
        place = next((i for i, line in enumerate(lines) if line.strip() == f"- caption: {caption}"), None)
        if place is None:
            raise ValueError(f"{path} has no part {caption!r}; add the page {page} where it belongs")
        place += 2
        while place < len(lines) and lines[place].lstrip().startswith("- file:"):
            place += 1
        lines.insert(place, f"      - file: {page}")
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    return [path]


NBGRADER = '''\
"""Makes this folder an nbgrader course. Its settings stand in course.toml; add nbgrader's own below."""

from autograder.authoring.nbgrader_course import configure

c = get_config()
configure(c, __file__)
'''

CHAPTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {title}

What a reader can do after this chapter, in one sentence.

:::{{downloads}} {name}
:::
"""

TEST = '''\
"""{title}: the references of its hidden checks agree with what is known exactly."""

import pytest

from autograder.checks.{name} import variance_of


def test_the_reference_agrees_with_an_answer_by_hand():
    assert variance_of([1.0, 2.0, 6.0]) == pytest.approx(7.0)
'''
