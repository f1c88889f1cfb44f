"""Exercise 1: the energy of a labelled grid."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import energy_of
from .inputs import both_kinds, labels, shape, strength

energy = Exercise("energy", "The energy of a labelled grid", energy_of)


@energy.check(6, "random grids with a random coupling and field")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [shape(rng) for _ in range(20)]
    attempt.compare([(labels(rng, s), both_kinds(rng, s), strength(rng), strength(rng)) for s in sizes])


@energy.check(3, "grids of one pixel, one row and one column")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(1, 1), (1, 1), (1, 6), (6, 1), (1, 2), (2, 1), (1, 9), (9, 1)]
    attempt.compare([(labels(rng, s), labels(rng, s), strength(rng), strength(rng)) for s in sizes])


@energy.check(3, "without a field, without a coupling, and with negative ones")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    strengths = [(strength(rng), 0.0), (0.0, strength(rng)), (0.0, 0.0), (-strength(rng), -strength(rng))]
    sizes = [(shape(rng), pair) for pair in strengths for _ in range(4)]
    attempt.compare([(labels(rng, s), both_kinds(rng, s), *pair) for s, pair in sizes])


@energy.check(3, "large grids, and labels of other integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    cases = [((40, 30), np.int64), ((24, 30), np.int8), ((5, 6), np.uint8), ((6, 5), np.uint8)]
    attempt.compare([(labels(rng, s, t), labels(rng, s, t), strength(rng), strength(rng)) for s, t in cases])


@energy.mistake("Each pair of neighbours counts once: look right and down from every pixel, not all around.")
def counts_every_edge_twice(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    padded = np.pad(s, 1)
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return -field * (s * t).sum() - coupling * (s * around).sum()


@energy.mistake("The first sum, over the pixels and what was seen there, is missing.")
def forgets_the_field(labels, noisy, coupling, field):
    s = 2.0 * labels - 1
    return -coupling * ((s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum())


@energy.mistake("`np.roll` joins the last row to the first; pixels on the border have fewer neighbours.")
def wraps_around_the_border(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    return -field * (s * t).sum() - coupling * (s * np.roll(s, 1, 0) + s * np.roll(s, 1, 1)).sum()


@energy.mistake("The formula multiplies spins -1 and +1: use 2 * y - 1, not the labels 0 and 1 themselves.")
def uses_labels_in_place_of_spins(labels, noisy, coupling, field):
    y, x = labels.astype(float), noisy.astype(float)
    return -field * (y * x).sum() - coupling * ((y[1:] * y[:-1]).sum() + (y[:, 1:] * y[:, :-1]).sum())


@energy.mistake("Both sums carry a minus sign: agreement lowers the energy.")
def has_the_wrong_sign(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    return field * (s * t).sum() + coupling * ((s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum())


@energy.mistake("A pixel also has neighbours above and below, not only to the left and right.")
def forgets_the_vertical_neighbours(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    return -field * (s * t).sum() - coupling * (s[:, 1:] * s[:, :-1]).sum()


@energy.mistake("Diagonal pixels are not neighbours.")
def counts_diagonal_neighbours(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    straight = (s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum()
    diagonal = (s[1:, 1:] * s[:-1, :-1]).sum() + (s[1:, :-1] * s[:-1, 1:]).sum()
    return -field * (s * t).sum() - coupling * (straight + diagonal)


@energy.mistake("In uint8, 2 * 0 - 1 is 255. Convert the labels to float or int before you subtract.")
def computes_in_the_dtype_of_the_labels(labels, noisy, coupling, field):
    s, t = 2 * labels - 1, 2 * noisy - 1
    neighbours = (s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum()
    return -field * float((s * t).sum()) - coupling * float(neighbours)


@energy.mistake("Neighbours that agree lower the energy: the sum with J carries a minus sign, too.")
def has_the_wrong_sign_before_the_coupling(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    return -field * (s * t).sum() + coupling * ((s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum())


@energy.mistake("Agreement with what was seen lowers the energy: the sum with h carries a minus sign, too.")
def has_the_wrong_sign_before_the_field(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    return field * (s * t).sum() - coupling * ((s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum())


@energy.mistake("The sum over the pairs of neighbours, with J, is missing.")
def forgets_the_neighbours(labels, noisy, coupling, field):
    return -field * ((2.0 * labels - 1) * (2.0 * noisy - 1)).sum()


@energy.alternative
def energy_by_loops(labels, noisy, coupling, field):
    n, m = labels.shape
    total = 0.0
    for i in range(n):
        for j in range(m):
            s = 1 if labels[i, j] else -1
            total -= field * s * (1 if noisy[i, j] else -1)
            if i + 1 < n:
                total -= coupling * s * (1 if labels[i + 1, j] else -1)
            if j + 1 < m:
                total -= coupling * s * (1 if labels[i, j + 1] else -1)
    return total


@energy.alternative
def energy_by_halving_the_sum_over_neighbours(labels, noisy, coupling, field):
    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    padded = np.pad(s, 1)
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return -np.sum(s * (field * t + coupling * around / 2))


@energy.alternative
def energy_by_counting_disagreements(labels, noisy, coupling, field):
    y, x = np.asarray(labels, dtype=bool), np.asarray(noisy, dtype=bool)
    n, m = y.shape
    n_edges = (n - 1) * m + n * (m - 1)
    broken = np.count_nonzero(y[1:] ^ y[:-1]) + np.count_nonzero(y[:, 1:] ^ y[:, :-1])
    return -field * (y.size - 2 * np.count_nonzero(y ^ x)) - coupling * (n_edges - 2 * broken)


@energy.alternative
def energy_by_convolution(labels, noisy, coupling, field):
    from scipy.ndimage import correlate

    s, t = 2.0 * labels - 1, 2.0 * noisy - 1
    right_and_down = correlate(s, [[0, 0, 0], [0, 0, 1], [0, 1, 0]], mode="constant")
    return np.array(-field * np.vdot(s, t) - coupling * np.vdot(s, right_and_down))


@energy.alternative
def energy_by_an_adjacency_matrix(labels, noisy, coupling, field):
    s, t = (2.0 * np.asarray(x, dtype=float).ravel() - 1 for x in (labels, noisy))
    rows, columns = np.divmod(np.arange(s.size), np.shape(labels)[1])
    adjacent = abs(rows[:, None] - rows) + abs(columns[:, None] - columns) == 1
    return -field * (s @ t) - 0.5 * coupling * (s @ adjacent @ s)
