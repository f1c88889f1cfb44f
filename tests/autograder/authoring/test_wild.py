"""Right notebooks as the world writes them lose no point: every habit on a small notebook, many on real ones."""

import json
import os

import pytest

from autograder.authoring.samples import solution_notebook
from autograder.authoring.wild import WILD
from autograder.exercises.catalogue import assignment_named
from autograder.judging.judge import judge
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

ASSIGNMENTS = (
    "boltzmann_machines exponential_families ising mcmc normalization product_of_experts contrastive_divergence"
).split()
EVERYWHERE = bool(os.environ.get("EBM_WILD"))
"""Whether every habit is tried on all seven assignments, which takes an hour."""


def names(wild):
    return wild.name.replace(" ", "-")


def solved_toy() -> bytes:
    def cell(kind, source, **marks):
        metadata = {"nbgrader": marks} if marks else {}
        return {"cell_type": kind, "id": "c", "metadata": metadata, "source": source, "outputs": []}

    answer = "def double(x):\n    return 2 * np.asarray(x)"
    cells = [
        cell("markdown", "# Twice as much"),
        cell("code", "import numpy as np"),
        cell("code", answer, grade_id="double", solution=True, grade=False),
        cell("code", "assert double(1) == 2", grade_id="double-tests", solution=False, grade=True, points=15),
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def test_the_corpus_holds_eighty_habits_of_six_families_or_more():
    assert len(WILD) >= 80
    assert len({wild.family for wild in WILD}) >= 6
    assert len({wild.name for wild in WILD}) == len(WILD)


@pytest.mark.slow
@pytest.mark.parametrize("wild", WILD, ids=names)
def test_a_habit_costs_a_right_notebook_nothing(wild, sandbox, toy):
    report = judge(wild.applied(solved_toy()), toy, sandbox, b"key", Limits(cell_seconds=5)).report
    assert report.score == 15, report


def chosen():
    """Each habit on one of the seven assignments in turn, a third of them; all on all where that is asked for."""
    for index, wild in enumerate(WILD):
        for place, assignment in enumerate(ASSIGNMENTS):
            if EVERYWHERE or (index % 3 == 0 and index // 3 % len(ASSIGNMENTS) == place):
                yield assignment, wild


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_a_habit_costs_a_solved_assignment_nothing(assignment):
    checked = assignment_named(assignment)
    try:
        with Sandbox(provided=checked.provides, imports=checked.imports) as sandbox:
            for wild in (wild for name, wild in chosen() if name == assignment):
                changed = wild.applied(solution_notebook(assignment))
                report = judge(changed, checked, sandbox, b"key").report
                assert report.score == report.max_score, (wild.name, report)
    except NoIsolation as error:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise
        pytest.skip(f"no isolation on this machine: {error}")
