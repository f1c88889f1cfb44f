"""Every exercise that hands over a random generator demands that the answer draws from it, and nothing else."""

import inspect

import numpy as np
import pytest
import torch

from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.exercises.exercise import Exercise

GENERATORS = {"rng": np.random.default_rng, "generator": lambda seed: torch.Generator().manual_seed(seed)}
SAMPLERS = [
    (exercise, name)
    for assignment in available_assignments()
    for exercise in assignment_named(assignment).exercises
    for name in GENERATORS
    if name in inspect.signature(exercise.reference).parameters and exercise.name != "train"
]
"""Not `train`, which is judged by what it has learned."""


def with_generator(exercise: Exercise, name: str, seeds) -> object:
    """The reference, drawing from generators of its own in place of the one it is given."""
    place = list(inspect.signature(exercise.reference).parameters).index(name)

    def answer(*args):
        return exercise.reference(*args[:place], GENERATORS[name](next(seeds)), *args[place + 1 :])

    return answer


def test_the_samplers_of_the_course_are_found():
    assert {exercise.name for exercise, _ in SAMPLERS} == {
        "gibbs_sweep",
        "sample_product",
        "gibbs_step",
        "metropolis_hastings",
        "gaussian_gibbs",
        "langevin",
        "annealed_importance_sampling",
        "cd_gradient",
        "pcd_step",
    }


@pytest.mark.parametrize(("exercise", "name"), SAMPLERS, ids=[e.name for e, _ in SAMPLERS])
def test_generators_of_ones_own_lose_points(exercise, name, complaints):
    fresh = complaints(exercise, with_generator(exercise, name, iter(range(10**9))))
    assert any("equal random generator" in words for words in fresh.values()), fresh


@pytest.mark.parametrize(("exercise", "name"), SAMPLERS, ids=[e.name for e, _ in SAMPLERS])
def test_one_seed_for_all_calls_loses_points(exercise, name, complaints):
    class Same:
        def __next__(self):
            return 0

    assert complaints(exercise, with_generator(exercise, name, Same()))
