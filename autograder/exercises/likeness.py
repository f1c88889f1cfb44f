"""Which named mistake a failed answer behaves like, on the very inputs on which it failed."""

import math

from autograder.exercises.attempt import Attempt, Check, LocalAttempt, Wrong
from autograder.exercises.exercise import Exercise, Mistake
from autograder.exercises.sequential import Count
from autograder.exercises.values import close, shape_complaint


def matching_mistake(exercise: Exercise, check: Check, attempt: Attempt, seed: int) -> Mistake | None:
    """The named mistake that behaves, on this check's own inputs, as the failed attempt did."""
    best: tuple[float, Mistake] | None = None
    for mistake in exercise.mistakes:
        replay = LocalAttempt(exercise, mistake.function, seed)
        try:
            check.run(replay)
            continue
        except Wrong:
            pass
        likeness = _likeness(attempt, replay)
        if likeness > 0 and (best is None or likeness > best[0]):
            best = likeness, mistake
    return best[1] if best else None


def _likeness(attempt: Attempt, replay: Attempt) -> float:
    """1 where all values agree, a two-sample p-value where counts were taken, 0 where they differ."""
    if attempt.counts or replay.counts:
        return _same_law(attempt.counts, replay.counts)
    if not attempt.values or len(attempt.values) != len(replay.values):
        return 0.0
    try:
        agree = all(
            not shape_complaint(a, b) and close(a, b, 1e-6, 1e-9)
            for a, b in zip(attempt.values, replay.values)
        )
    except (ArithmeticError, TypeError, ValueError):  # a mistake may return what cannot even be compared
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
            z = abs(a.hits / a.draws - b.hits / b.draws) / math.sqrt(variance)
            worst = min(worst, math.erfc(z / math.sqrt(2)) * len(left))
    return worst if worst > 1e-4 else 0.0
