"""A toy assignment and a shared sandbox: what most tests of the autograder stand on."""

import json
import os
from collections.abc import Iterator

import numpy as np
import pytest

from autograder.exercise import Assignment, Attempt, Count, Exercise
from autograder.sandbox import NoIsolation, Sandbox


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
