"""A toy assignment, a small course, a shared sandbox, solved notebooks: what most tests here stand on."""

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from toy_course import RIGHT, Classroom, enter, toy_notebook

from autograder.authoring.samples import solution_notebook
from autograder.exercises.attempt import Attempt, Function
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.sequential import Count
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox


def double(x):
    return 2 * np.asarray(x)


def make_toy(seconds: float = 4) -> Assignment:
    exercise = Exercise("double", title="Twice as much", reference=double)

    @exercise.check(points=10, tries="random arrays", seconds=seconds)
    def _(attempt: Attempt) -> None:
        attempt.compare([(attempt.rng.normal(size=3),) for _ in range(5)])

    @exercise.check(points=5, tries="the law of the results", seconds=seconds)
    def _(attempt: Attempt) -> None:
        def draw(n: int) -> list[Count]:
            x = attempt.rng.uniform(size=n)
            values = attempt.array(attempt.call(x), (n,))
            return [Count("a value above one", int((values > 1).sum()), n, 0.5)]

        attempt.sequential(draw, 1000, "the results do not follow the law")

    @exercise.mistake(hint="Twice a number is not its square.")
    def squares_instead(x):
        return np.asarray(x) ** 2

    @exercise.alternative
    def adds(x):
        return np.asarray(x) + np.asarray(x)

    return Assignment("toy", (exercise,))


@pytest.fixture(scope="session")
def toy() -> Assignment:
    return make_toy()


@pytest.fixture(scope="session")
def hasty_toy() -> Assignment:
    """The toy with checks of a second, for code that is expected to use up its time."""
    return make_toy(1)


@pytest.fixture(scope="session")
def notebook():
    """A function from the sources of code cells to a notebook's bytes."""

    def make(*sources: str, **metadata: object) -> bytes:
        cells = [
            {
                "cell_type": "code",
                "id": f"c{index}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for index, source in enumerate(sources)
        ]
        return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}).encode()

    return make


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the whole session; skips where the host cannot isolate, unless everything is required."""
    try:
        with Sandbox() as opened:
            yield opened
    except NoIsolation as error:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise
        pytest.skip(f"no isolation on this machine: {error}")


@functools.cache
def complaints_about(exercise: Exercise, function: Function, seed: int = 0) -> dict[str, str]:
    """What each hidden check that `function` fails says of it; a check that breaks raises."""
    return {
        one.check.name: one.complaint for one in exercise.tried(function, lambda check: seed) if one.complaint
    }


@pytest.fixture(scope="session")
def complaints() -> Callable[..., dict[str, str]]:
    """A function from an exercise, an answer and a seed to what the failed checks say, by check."""
    return complaints_about


class Solved(NamedTuple):
    """A solved notebook that ran from top to bottom, figures included."""

    imports: dict[str, Any]
    """The names after the first code cell, which imports."""
    before: dict[str, dict[str, Any]]
    """The names before each cell that nbgrader knows, by its id: an exercise, or `EXERCISE-tests`."""
    sources: dict[str, str]
    """The sources of those cells."""
    names: dict[str, Any]
    """The names at the end."""


@functools.cache
def run_solved(assignment: str) -> Solved:
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    before: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    names: dict[str, Any] = {}
    imports: dict[str, Any] = {}
    for cell in json.loads(solution_notebook(assignment))["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if marks := cell["metadata"].get("nbgrader"):
                before[marks["grade_id"]], sources[marks["grade_id"]] = dict(names), source
            exec(compile(source, f"{assignment}: {cell['id']}", "exec"), names)
            imports = imports or dict(names)
    plt.close("all")
    return Solved(imports, before, sources, names)


@pytest.fixture(scope="session")
def solved() -> Callable[[str], Solved]:
    """A function from an assignment's name to its solved notebook, run once in a session."""
    return run_solved


@pytest.fixture(scope="session")
def course_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released course, made once and copied for each test."""
    root = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch).publish()
    return root


@pytest.fixture
def empty_classroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classroom:
    """A course where nothing is released."""
    return enter(tmp_path, monkeypatch)


@pytest.fixture
def classroom(empty_classroom: Classroom, course_template: Path) -> Classroom:
    """A course where the toy assignment is released."""
    shutil.copytree(course_template / "course", empty_classroom.course.directory)
    return empty_classroom


@pytest.fixture(scope="module")
def shared_classroom(tmp_path_factory: pytest.TempPathFactory, course_template: Path) -> Iterator[Classroom]:
    """A released course that the tests of a module look at together."""
    root = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        shared = enter(root, patch)
        shutil.copytree(course_template / "course", shared.course.directory)
        yield shared


@pytest.fixture
def notebook_of_toy() -> Any:
    """The instructor's notebook of the toy assignment, to be spoiled."""
    return toy_notebook()


@pytest.fixture
def right() -> dict[str, str]:
    """Correct answers to the toy assignment's exercises."""
    return dict(RIGHT)


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the toy's check misbehave: `sabotage("raise")`, `sabotage("kill 1")`, `sabotage("")`."""
    script = tmp_path / "sabotage"
    monkeypatch.setenv("TOY_SABOTAGE", str(script))

    def misbehave(what: str) -> None:
        script.write_text(what)

    return misbehave
