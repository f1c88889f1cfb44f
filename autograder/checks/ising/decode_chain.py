"""Exercise 6: the normalizer and a most probable labelling of a chain."""

from typing import Any

import numpy as np

from autograder.exercises.attempt import Attempt, Wrong
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise
from autograder.exercises.values import shape_complaint

from .definitions import TIE, Array, chain_of, chain_score
from .inputs import chain

decode_chain = Exercise("decode_chain", "A chain, exactly", chain_of)

PARTS = ("log Z (the first value of the pair)", "the labelling (the second value of the pair)")
Call = tuple[Array, Array]
BEYOND_LISTING = (40, 3)
"""Positions and labels of a chain that every check holds: the recursion is asked for, and a list gets no points."""


def compare_log_z(attempt: Attempt, calls: list[Call]) -> None:
    compare_part(attempt, calls, 0, PARTS)


def compare_labellings(attempt: Attempt, calls: list[Call]) -> None:
    """Every labelling must have the highest score of all; where several have it, any of them will do."""
    wrong = []
    for value, (scores, transitions) in zip(attempt.call_many(calls), calls):
        found = labelling(attempt, value, *scores.shape)
        _, best = chain_of(scores, transitions)
        lost = chain_score(best, scores, transitions) - chain_score(found, scores, transitions)
        wrong.append(lost > TIE * max(1.0, float(np.abs(scores).max()) * len(scores)))
    attempt.refuse(wrong, "labellings are not the most probable one")


def labelling(attempt: Attempt, value: Any, length: int, n_labels: int) -> Array:
    """The second value of the pair as labels, or a clear complaint."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Wrong(f"{shape_complaint(value, (0.0, 0.0))}: {' and '.join(PARTS)}")
    found = attempt.array(value[1], (length,), PARTS[1])
    attempt.expect(
        np.isin(found, np.arange(n_labels)).all(), "labels count from 0 to K - 1; other values came back"
    )
    return found.astype(np.int64)


@decode_chain.check(5, "log Z of random chains, with scores of a neighbour that depend on the order")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(2, 2), (3, 2), (4, 3), (6, 4), (9, 5), BEYOND_LISTING]
    compare_log_z(attempt, [chain(rng, n, k) for n, k in sizes])


@decode_chain.check(4, "the most probable labelling of random chains")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(int(n), int(k)) for n, k in zip(rng.integers(8, 20, 12), rng.integers(2, 6, 12))]
    compare_labellings(attempt, [chain(rng, n, k) for n, k in [*sizes, BEYOND_LISTING]])


@decode_chain.check(3, "long chains with large scores, where exponentials overflow")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for level in (0.0, 800.0, -800.0):
        scores, transitions = chain(rng, 300, 4)
        calls.append((scores + level, transitions))
    compare_log_z(attempt, calls)
    compare_labellings(attempt, calls)


@decode_chain.check(3, "several best labellings, a single position, a single label, whole numbers")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [chain(rng, 1, 4), chain(rng, 5, 1), chain(rng, 1, 1)]
    for n_labels, length in ((2, int(rng.integers(4, 9))), BEYOND_LISTING[::-1]):
        alternate = -int(rng.integers(1, 4)) * np.eye(n_labels, dtype=np.int64)
        calls.append((np.full((length, n_labels), int(rng.integers(-2, 3))), alternate))
    compare_log_z(attempt, calls)
    compare_labellings(attempt, calls)


@decode_chain.mistake(
    "The best label step by step can lead into a dead end. Keep the best way to *every* label, then walk back."
)
def takes_the_best_label_step_by_step(scores, transitions):
    ahead, path = np.asarray(scores[0], dtype=float), [int(np.argmax(scores[0]))]
    for row in scores[1:]:
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
        path.append(int(np.argmax(transitions[path[-1]] + row)))
    return float(np.logaddexp.reduce(ahead)), np.array(path)


@decode_chain.mistake(
    "The likelier label of each position, put together, need not be the likeliest labelling."
)
def takes_the_likeliest_label_of_each_position(scores, transitions):
    ahead, behind = [np.asarray(scores[0], dtype=float)], [np.zeros(len(transitions))]
    for row in scores[1:]:
        ahead.append(np.logaddexp.reduce(ahead[-1][:, None] + transitions, axis=0) + row)
    for row in scores[:0:-1]:
        behind.append(np.logaddexp.reduce(transitions + row + behind[-1], axis=1))
    marginals = np.array(ahead) + np.array(behind[::-1])
    return float(np.logaddexp.reduce(ahead[-1])), marginals.argmax(1)


@decode_chain.mistake("transitions[j, k] is for label j followed by label k: rows come first.")
def reads_the_transitions_the_other_way_round(scores, transitions):
    ahead = best = np.asarray(scores[0], dtype=float)
    back = []
    for row in scores[1:]:
        total = best + transitions
        back.append(total.argmax(1))
        best = total.max(1) + row
        ahead = np.logaddexp.reduce(ahead + transitions, axis=1) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return float(np.logaddexp.reduce(ahead)), np.array(path[::-1])


@decode_chain.mistake(
    "That is the score of the best labelling. Z sums over all labellings: replace max by a sum."
)
def gives_the_score_of_the_best_labelling_for_log_z(scores, transitions):
    best, back = np.asarray(scores[0], dtype=float), []
    for row in scores[1:]:
        total = best[:, None] + transitions
        back.append(total.argmax(0))
        best = total.max(0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return float(best.max()), np.array(path[::-1])


@decode_chain.mistake(
    "exp of a large score is infinite. Stay with logarithms: np.logaddexp.reduce adds in them."
)
def sums_exponentials_that_overflow(scores, transitions):
    with np.errstate(all="ignore"):
        ahead, best, back = np.exp(np.asarray(scores[0], dtype=float)), np.asarray(scores[0], dtype=float), []
        for row in scores[1:]:
            total = best[:, None] + transitions
            back.append(total.argmax(0))
            best = total.max(0) + row
            ahead = (ahead @ np.exp(transitions)) * np.exp(row)
        path = [int(best.argmax())]
        for pointers in reversed(back):
            path.append(int(pointers[path[-1]]))
        return float(np.log(ahead.sum())), np.array(path[::-1])


@decode_chain.mistake("The scores of the first position are missing: both recursions start with them.")
def forgets_the_scores_of_the_first_position(scores, transitions):
    ahead = best = np.zeros(len(transitions))
    back = []
    for row in scores[1:]:
        total = best[:, None] + transitions
        back.append(total.argmax(0))
        best = total.max(0) + row
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return float(np.logaddexp.reduce(ahead)), np.array(path[::-1])


@decode_chain.mistake(
    "The walk back finds the last label first: turn the labelling round before you return it."
)
def returns_the_labelling_from_the_last_to_the_first(scores, transitions):
    ahead = best = np.asarray(scores[0], dtype=float)
    back = []
    for row in scores[1:]:
        total = best[:, None] + transitions
        back.append(total.argmax(0))
        best = total.max(0) + row
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return float(np.logaddexp.reduce(ahead)), np.array(path)


@decode_chain.mistake(
    "The best end of each beginning belongs to other beginnings. Remember where each maximum came from."
)
def takes_the_best_end_of_every_beginning(scores, transitions):
    ahead = best = np.asarray(scores[0], dtype=float)
    path = [int(best.argmax())]
    for row in scores[1:]:
        best = (best[:, None] + transitions).max(0) + row
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
        path.append(int(best.argmax()))
    return float(np.logaddexp.reduce(ahead)), np.array(path)


@decode_chain.mistake(
    "Where several labellings are best, their labels must not be mixed: follow the pointers of one of them."
)
def mixes_the_labels_of_several_best_labellings(scores, transitions):
    ahead = np.asarray(scores[0], dtype=float)
    left, right = [np.asarray(scores[0], dtype=float)], [np.zeros(len(transitions))]
    for row in scores[1:]:
        left.append((left[-1][:, None] + transitions).max(0) + row)
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
    for row in scores[:0:-1]:
        right.append((transitions + row + right[-1]).max(1))
    best = np.array(left) + np.array(right[::-1])
    return float(np.logaddexp.reduce(ahead)), (best > best.max(1, keepdims=True) - 1e-9).argmax(1)


@decode_chain.mistake("That is Z itself; its logarithm is asked for.")
def returns_z_without_the_log(scores, transitions):
    ahead = best = np.asarray(scores[0], dtype=float)
    back = []
    for row in scores[1:]:
        total = best[:, None] + transitions
        back.append(total.argmax(0))
        best = total.max(0) + row
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    with np.errstate(all="ignore"):
        return float(np.exp(np.logaddexp.reduce(ahead))), np.array(path[::-1])


@decode_chain.alternative
def chain_by_loops(scores, transitions):
    import math

    def log_sum(terms):
        top = max(terms)
        return top + math.log(sum(math.exp(term - top) for term in terms))

    labels = range(len(transitions))
    ahead = [float(score) for score in scores[0]]
    best = [(float(scores[0][k]), [k]) for k in labels]
    for row in scores[1:]:
        ahead = [log_sum([ahead[j] + transitions[j][k] for j in labels]) + row[k] for k in labels]
        arriving = [max((best[j][0] + transitions[j][k], j) for j in labels) for k in labels]
        best = [(arriving[k][0] + row[k], [*best[arriving[k][1]][1], k]) for k in labels]
    return log_sum(ahead), max(best)[1]


@decode_chain.alternative
def chain_from_right_to_left(scores, transitions):
    behind = best = np.zeros(len(transitions))
    forward = []
    for row in scores[:0:-1]:
        total = transitions + row + best
        forward.append(total.argmax(1))
        best = total.max(1)
        behind = np.logaddexp.reduce(transitions + row + behind, axis=1)
    path = [int((scores[0] + best).argmax())]
    for pointers in reversed(forward):
        path.append(int(pointers[path[-1]]))
    return np.logaddexp.reduce(scores[0] + behind), np.array(path)


@decode_chain.alternative
def chain_with_rescaled_sums(scores, transitions):
    shift = scores.max(1, keepdims=True)
    u, v = np.exp(scores - shift), np.exp(transitions - transitions.max())
    log_z = float(shift.sum() + (len(scores) - 1) * transitions.max())
    ahead = u[0]
    for row in u[1:]:
        log_z += np.log(ahead.sum())
        ahead = (ahead / ahead.sum()) @ v * row
    best, origins = scores[0] + 0.0, []
    for row in scores[1:]:
        total = best[:, None] + transitions
        origins.append(total.argmax(0))
        best = total.max(0) + row
    labels = np.empty(len(scores), dtype=int)
    labels[-1] = best.argmax()
    for t in range(len(scores) - 1, 0, -1):
        labels[t - 1] = origins[t - 1][labels[t]]
    return log_z + np.log(ahead.sum()), labels


@decode_chain.alternative
def chain_by_comparing_best_scores_on_both_sides(scores, transitions):
    ahead, left = scores[0].astype(float), [scores[0].astype(float)]
    for row in scores[1:]:
        ahead = np.log(np.exp(ahead - ahead.max()) @ np.exp(transitions)) + ahead.max() + row
        left.append(np.max(left[-1][:, None] + transitions, axis=0) + row)
    labels = [int(np.argmax(left[-1]))]
    for before in left[-2::-1]:
        labels.insert(0, int(np.argmax(before + transitions[:, labels[0]])))
    top = ahead.max()
    return top + np.log(np.exp(ahead - top).sum()), np.array(labels, dtype=np.uint8)
