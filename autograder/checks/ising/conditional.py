"""Exercise 2: the conditional of one pixel."""

import itertools

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import conditional_of
from .inputs import labels, strength

conditional = Exercise("conditional", "The conditional of one pixel", conditional_of)


@conditional.check(4, "pixels inside random grids")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for _ in range(30):
        n, m = rng.integers(3, 8, 2)
        where = int(rng.integers(1, n - 1)), int(rng.integers(1, m - 1))
        pair = strength(rng, 0.1, 0.6), strength(rng, 0.1, 0.8)
        calls.append((labels(rng, (n, m)), labels(rng, (n, m)), *where, *pair))
    attempt.compare(calls)


@conditional.check(2, "corners, borders, and grids of one pixel, row or column")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for n, m in [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 3)]:
        border = [(i, j) for i in range(n) for j in range(m) if i in (0, n - 1) or j in (0, m - 1)]
        y, x = labels(rng, (n, m)), labels(rng, (n, m))
        pair = strength(rng, 0.1, 0.6), strength(rng, 0.1, 0.8)
        calls += [(y, x, i, j, *pair) for i, j in border]
    attempt.compare(calls)


@conditional.check(2, "strong couplings and fields, where exponentials overflow")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for _ in range(12):
        pair = strength(rng, 450, 900), strength(rng, 100, 400)
        calls.append((labels(rng, (4, 5)), labels(rng, (4, 5)), *map(int, rng.integers(0, 4, 2)), *pair))
    for label in (0, 1):
        alike = np.full((4, 5), label)
        calls.append((alike, alike, *map(int, rng.integers(0, 4, 2)), *pair))
    attempt.compare(calls)


@conditional.check(2, "without a field, ties, and labels of other integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for dtype, field in itertools.product((np.int64, np.uint8, np.int8), (0.0, 0.3, 0.6)):
        y, x = labels(rng, (4, 3), dtype), labels(rng, (4, 3), dtype)
        calls += [(y, x, int(i), int(j), 0.3, field) for i, j in rng.integers(0, 3, (3, 2))]
    attempt.compare(calls)


@conditional.mistake(
    "The two energies differ by twice what pulls on the pixel: the log-odds carry a factor 2."
)
def is_without_the_factor_two(labels, noisy, row, column, coupling, field):
    s = np.pad(2.0 * labels - 1, 1)
    i, j = row + 1, column + 1
    around = s[i - 1, j] + s[i + 1, j] + s[i, j - 1] + s[i, j + 1]
    return 0.5 * (1 + np.tanh(0.5 * (field * (2.0 * noisy[row, column] - 1) + coupling * around)))


@conditional.mistake("What was seen at the pixel pulls on it too: the term with h is missing.")
def forgets_the_field_of_the_pixel(labels, noisy, row, column, coupling, field):
    s = np.pad(2.0 * labels - 1, 1)
    i, j = row + 1, column + 1
    return 0.5 * (1 + np.tanh(coupling * (s[i - 1, j] + s[i + 1, j] + s[i, j - 1] + s[i, j + 1])))


@conditional.mistake("That is the probability of label 0: check the sign inside the exponential.")
def gives_the_probability_of_label_0(labels, noisy, row, column, coupling, field):
    s = np.pad(2.0 * labels - 1, 1)
    i, j = row + 1, column + 1
    around = s[i - 1, j] + s[i + 1, j] + s[i, j - 1] + s[i, j + 1]
    return 0.5 * (1 - np.tanh(field * (2.0 * noisy[row, column] - 1) + coupling * around))


@conditional.mistake("Index -1 is the last row or column. Pixels on the border have fewer neighbours.")
def wraps_around_with_negative_indices(labels, noisy, row, column, coupling, field):
    n, m = labels.shape
    s = 2.0 * labels - 1
    around = s[row - 1, column] + s[(row + 1) % n, column] + s[row, column - 1] + s[row, (column + 1) % m]
    return 0.5 * (1 + np.tanh(field * (2.0 * noisy[row, column] - 1) + coupling * around))


@conditional.mistake("Neighbours enter as spins -1 and +1: a neighbour with label 0 pulls too, towards 0.")
def adds_labels_in_place_of_spins(labels, noisy, row, column, coupling, field):
    y = np.pad(labels.astype(float), 1)
    i, j = row + 1, column + 1
    around = y[i - 1, j] + y[i + 1, j] + y[i, j - 1] + y[i, j + 1]
    return 0.5 * (1 + np.tanh(field * noisy[row, column] + coupling * around))


@conditional.mistake("That is the log-odds. Put it through the logistic function to get a probability.")
def returns_the_log_odds(labels, noisy, row, column, coupling, field):
    s = np.pad(2.0 * labels - 1, 1)
    i, j = row + 1, column + 1
    around = s[i - 1, j] + s[i + 1, j] + s[i, j - 1] + s[i, j + 1]
    return 2 * (field * (2.0 * noisy[row, column] - 1) + coupling * around)


@conditional.mistake("The probability is that of label 1, whatever label the pixel has now.")
def gives_the_probability_of_the_present_label(labels, noisy, row, column, coupling, field):
    s = np.pad(2.0 * labels - 1, 1)
    i, j = row + 1, column + 1
    around = s[i - 1, j] + s[i + 1, j] + s[i, j - 1] + s[i, j + 1]
    pull = field * (2.0 * noisy[row, column] - 1) + coupling * around
    return 0.5 * (1 + np.tanh(s[i, j] * pull))


@conditional.mistake(
    "exp of a large number is infinite, and inf / inf is NaN. Divide first: 1 / (1 + exp(-a))."
)
def overflows_for_strong_couplings(labels, noisy, row, column, coupling, field):
    s = np.pad(2.0 * labels - 1, 1)
    i, j = row + 1, column + 1
    around = s[i - 1, j] + s[i + 1, j] + s[i, j - 1] + s[i, j + 1]
    pull = field * (2.0 * noisy[row, column] - 1) + coupling * around
    return np.exp(pull) / (np.exp(pull) + np.exp(-pull))


@conditional.mistake("In uint8, 2 * 0 - 1 is 255. Convert the labels to float or int before you subtract.")
def computes_the_spins_in_uint8(labels, noisy, row, column, coupling, field):
    s = np.pad(2 * labels - 1, 1)
    i, j = row + 1, column + 1
    around = float(s[i - 1, j]) + float(s[i + 1, j]) + float(s[i, j - 1]) + float(s[i, j + 1])
    return 0.5 * (1 + np.tanh(field * float(2 * noisy[row, column] - 1) + coupling * around))


@conditional.alternative
def conditional_by_two_energies(labels, noisy, row, column, coupling, field):
    energies = []
    t = 2.0 * noisy - 1
    for label in (0, 1):
        y = np.array(labels, dtype=float)
        y[row, column] = label
        s = 2 * y - 1
        neighbours = (s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum()
        energies.append(-field * (s * t).sum() - coupling * neighbours)
    return 1 / (1 + np.exp(energies[1] - energies[0]))


@conditional.alternative
def conditional_by_looking_around(labels, noisy, row, column, coupling, field):
    n, m = labels.shape
    pull = field if noisy[row, column] == 1 else -field
    for di, dj in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        if 0 <= row + di < n and 0 <= column + dj < m:
            pull += coupling if labels[row + di, column + dj] == 1 else -coupling
    if pull >= 0:
        return 1 / (1 + np.exp(-2 * pull))
    return np.exp(2 * pull) / (1 + np.exp(2 * pull))


@conditional.alternative
def conditional_by_padding(labels, noisy, row, column, coupling, field):
    s = np.zeros((labels.shape[0] + 2, labels.shape[1] + 2))
    s[1:-1, 1:-1] = 2.0 * labels - 1
    window = s[row : row + 3, column : column + 3]
    a = 2 * coupling * (window * [[0, 1, 0], [1, 0, 1], [0, 1, 0]]).sum()
    a += 2 * field * (2.0 * noisy[row, column] - 1)
    return np.exp(-np.logaddexp(0, -a))


@conditional.alternative
def conditional_by_distance_to_every_pixel(labels, noisy, row, column, coupling, field):
    i, j = np.indices(labels.shape)
    is_neighbour = abs(i - row) + abs(j - column) == 1
    ones = np.count_nonzero(labels[is_neighbour])
    pull = coupling * (2 * ones - is_neighbour.sum()) + (field if noisy[row, column] else -field)
    return (1 + np.tanh(pull)) / 2
