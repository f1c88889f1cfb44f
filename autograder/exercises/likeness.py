"""Which named mistake a function behaves like, on the very inputs that it was tried on.

A name is told only where nothing speaks against it: on every check of the exercise, those that were passed
included, the mistake must have returned the same values, or draws of the same law.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autograder.exercises.attempt import Attempt, LocalAttempt, Wrong
from autograder.exercises.exercise import Exercise, Mistake, Tried
from autograder.exercises.sequential import Count
from autograder.exercises.values import close, numpy_of, shape_complaint

DOUBT = 1e-4
"""Two samples with a p-value below are taken for draws of two laws."""

FEW = 100
"""Draws by which moments are not compared yet."""


class Match(NamedTuple):
    """A mistake, and the names of the checks that it fails."""

    mistake: Mistake
    fails: frozenset[str]


def matching_mistake(exercise: Exercise, tried: Sequence[Tried]) -> Match | None:
    """The named mistake that behaves as the function did wherever it was tried; `None` if there is none."""
    best: tuple[float, Match] | None = None
    order = sorted(tried, key=lambda t: not t.complaint)  # most mistakes differ on the first that failed
    for mistake in exercise.mistakes:
        likeness, fails = replayed(exercise, mistake, order, best[0] if best else 0.0)
        if fails and likeness > (best[0] if best else 0.0):
            best = likeness, Match(mistake, fails)
    return best[1] if best else None


def replayed(
    exercise: Exercise, mistake: Mistake, tried: Sequence[Tried], least: float = 0.0
) -> tuple[float, frozenset[str]]:
    """The least likeness over all checks, and which checks both fail; 0 as soon as it is no more than `least`."""
    likeness, fails, compared = 1.0, set(), False
    for one in tried:
        if one.attempt.cut:
            continue
        replay = LocalAttempt(exercise, mistake.function, one.seed)
        try:
            exercise.run(one.check, replay)
        except Wrong:
            if one.complaint:
                fails.add(one.check.name)
        if replay.changed - one.attempt.changed:
            return 0.0, frozenset()
        likeness = min(likeness, _likeness(one.attempt, replay))
        if likeness <= least:
            return 0.0, frozenset()
        compared = compared or bool(one.complaint and one.attempt.values)
    return (likeness, frozenset(fails)) if compared else (0.0, frozenset())


def _likeness(attempt: Attempt, replay: Attempt) -> float:
    """1 where all values agree, a two-sample p-value where counts were taken, 0 where they differ."""
    try:
        if attempt.counts or replay.counts:
            worst = _same_law(attempt.counts, replay.counts)
            if worst > DOUBT:  # or what was returned may be of any size
                worst = min(worst, _same_moments(attempt.values, replay.values))
            return worst if worst > DOUBT else 0.0
        if len(attempt.values) != len(replay.values):
            return 0.0
        agree = all(
            not shape_complaint(a, b) and close(a, b, 1e-6, max(1e-9, replay.noise))
            for a, b in zip(attempt.values, replay.values)
        )
    except (ArithmeticError, TypeError, ValueError):  # what was returned may be such that nothing compares it
        return 0.0
    return float(agree)


def _same_law(left: tuple[Count, ...], right: tuple[Count, ...]) -> float:
    if [c.name for c in left] != [c.name for c in right]:
        return 0.0
    worst = 1.0
    for a, b in zip(left, right):
        pooled = (a.hits + b.hits) / (a.draws + b.draws)
        variance = pooled * (1 - pooled) * (1 / a.draws + 1 / b.draws)
        if variance > 0:
            worst = min(worst, _p_value(abs(a.hits / a.draws - b.hits / b.draws) / math.sqrt(variance)))
    return worst


def _same_moments(left: Sequence[Any], right: Sequence[Any]) -> float:
    """The least p-value of the differences of first and second moments, row by row on the same inputs."""
    worst = 1.0
    for a, b in zip(_columns(left), _columns(right)):
        if a.shape != b.shape or len(a) < FEW:
            continue
        for x, y in ((a, b), (a * a, b * b)):
            difference = x - y
            spread = difference.std(0)
            mean = abs(difference.mean(0))
            z = np.where(
                spread > 0, mean / np.where(spread > 0, spread, 1.0), np.where(mean > 0, np.inf, 0.0)
            )
            worst = min(worst, _p_value(float(z.max(initial=0.0)) * math.sqrt(len(x))))
    return worst


def _columns(values: Sequence[Any]) -> list[np.ndarray]:
    """Every array among the values, one row a draw."""
    found = []
    for value in values:
        for part in value if isinstance(value, tuple | list) else (value,):
            array = np.asarray(numpy_of(part), dtype=float) if _numeric(part) else np.zeros((0, 1))
            rows = array.reshape(len(array), -1) if array.ndim and array.size else np.zeros((0, 1))
            found.append(rows)
    return found


def _numeric(value: Any) -> bool:
    try:
        return numpy_of(value).dtype.kind in "biuf"
    except (TypeError, ValueError):
        return False


def _p_value(z: float) -> float:
    return math.erfc(z / math.sqrt(2))
