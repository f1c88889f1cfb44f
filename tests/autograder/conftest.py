"""A toy assignment, a shared sandbox, solved notebooks: what most tests of the autograder stand on."""

import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograder.authoring.samples import solution_notebook
from autograder.exercises.attempt import Attempt, Function, LocalAttempt, Wrong
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.sequential import Count
from autograder.sandbox.sandbox import NoIsolation, Sandbox


def double(x):
    return 2 * np.asarray(x)


def make_toy() -> Assignment:
    exercise = Exercise("double", title="Twice as much", reference=double)

    @exercise.check(points=10, tries="random arrays", seconds=4)
    def _(attempt: Attempt) -> None:
        attempt.compare([(attempt.rng.normal(size=3),) for _ in range(5)])

    @exercise.check(points=5, tries="the law of the results", seconds=4)
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
    said = {}
    for check in exercise.checks:
        try:
            LocalAttempt.passes(exercise, check, function, seed)
        except Wrong as wrong:
            said[check.name] = str(wrong)
    return said


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
