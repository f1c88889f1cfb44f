"""Hidden checks of the Ising assignment: energies, conditionals, a sampler, denoising, MAP and a log-ratio.

    E(y) = -h Σ_i t_i s_i - J Σ_(i,j) s_i s_j,   s = 2y - 1, t = 2x - 1,   p(y | x) ∝ exp(-E(y))

Every grid that the checks of the sampler use is small enough to list all its labellings, so the law that a
sampler must have is known exactly. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.pictures import Picture, grids
from autograder.exercises.sequential import Count

Grid = np.ndarray


# --- The definitions


def spins(labels: Grid) -> Grid:
    """-1 and +1 for labels 0 and 1 of any dtype."""
    return np.where(np.asarray(labels) > 0, 1.0, -1.0)


def agreement(labels: Grid) -> Grid:
    """Σ s_i s_j over neighbours, of grids (..., n, m)."""
    s = spins(labels)
    down = np.einsum("...ij,...ij->...", s[..., 1:, :], s[..., :-1, :])
    across = np.einsum("...ij,...ij->...", s[..., :, 1:], s[..., :, :-1])
    return down + across


def energy_of(labels: Grid, noisy: Grid, coupling: float, field: float) -> Grid:
    """E(y) of grids (..., n, m)."""
    return -field * (spins(labels) * spins(noisy)).sum((-2, -1)) - coupling * agreement(labels)


def pull_on(labels: Grid, noisy: Grid, coupling: float, field: float) -> Grid:
    """Half of the log-odds of label 1 at every pixel of grids (..., n, m)."""
    s = coupling * spins(labels)
    total = np.broadcast_to(field * spins(noisy), s.shape).copy()
    total[..., 1:, :] += s[..., :-1, :]
    total[..., :-1, :] += s[..., 1:, :]
    total[..., :, 1:] += s[..., :, :-1]
    total[..., :, :-1] += s[..., :, 1:]
    return total


def sigmoid(log_odds: Grid) -> Grid:
    return np.exp(-np.logaddexp(0.0, -log_odds))


def conditional_of(labels: Grid, noisy: Grid, row: int, column: int, coupling: float, field: float) -> float:
    """p(y = 1) at one pixel, given the rest."""
    return float(sigmoid(2 * pull_on(labels, noisy, coupling, field)[row, column]))


def sweep_of(labels: Grid, noisy: Grid, coupling: float, field: float, rng: np.random.Generator) -> Grid:
    """New labels (B, n, m), even pixels first."""
    new = np.array(labels)
    odd = np.add.outer(np.arange(noisy.shape[0]), np.arange(noisy.shape[1])) % 2 == 1
    for mask in (~odd, odd):
        probability = sigmoid(2 * pull_on(new, noisy, coupling, field)[:, mask])
        new[:, mask] = rng.random(probability.shape) < probability
    return new


def descend(labels: Grid, noisy: Grid, coupling: float, field: float) -> Grid:
    """Iterated conditional modes from `labels` until nothing changes, even pixels first."""
    new = np.array(labels)
    odd = np.add.outer(np.arange(noisy.shape[0]), np.arange(noisy.shape[1])) % 2 == 1
    while True:
        before = new.copy()
        for mask in (~odd, odd):
            uphill = (pull_on(new, noisy, coupling, field) * spins(new) < -TIE) & mask
            new[uphill] = 1 - new[uphill]
        if (new == before).all():
            return new


def denoise_of(noisy: Grid, coupling: float, field: float) -> Grid:
    """Iterated conditional modes from the noisy picture."""
    return descend(noisy, noisy, coupling, field)


def map_of(noisy: Grid, coupling: float, field: float) -> Grid:
    """A picture of lowest energy among all."""
    pictures = all_pictures(noisy.shape)
    return pictures[energy_of(pictures, noisy, coupling, field).argmin()]


def log_ratio_of(image: Grid, other: Grid, coupling: float) -> float:
    """log p(image) / p(other) without a field."""
    return float(coupling * (agreement(image) - agreement(other)))


TIE = 1e-9
"""Energies that differ by less are taken to be equal."""


@functools.cache
def all_pictures(shape: tuple[int, int]) -> Grid:
    """All labellings of a grid, (2^(nm), n, m); labelling k holds the binary digits of k."""
    pictures = np.array(list(itertools.product((0, 1), repeat=shape[0] * shape[1]))).reshape(-1, *shape)
    pictures.flags.writeable = False
    return pictures


# --- Inputs drawn at grading time


def shape(rng: np.random.Generator, largest: int = 7) -> tuple[int, int]:
    n, m = rng.choice(np.arange(2, largest + 1), 2, replace=False)
    return int(n), int(m)


def labels(rng: np.random.Generator, size: tuple[int, ...], dtype: type = np.int64) -> Grid:
    return rng.integers(0, 2, size).astype(dtype)


def strength(rng: np.random.Generator, low: float = 0.2, high: float = 1.5) -> float:
    return float(rng.uniform(low, high))


def both_kinds(rng: np.random.Generator, size: tuple[int, int]) -> Grid:
    """A picture that holds both labels."""
    while True:
        picture = labels(rng, size)
        if picture.any() and not picture.all():
            return picture


def blocks(rng: np.random.Generator, side: int = 24, share: float = 0.1) -> tuple[Grid, Grid]:
    """A picture of a few large patches, and the same with a share of its pixels flipped."""
    truth = np.zeros((side, side), dtype=np.int64)
    row, column = rng.integers(side // 4, side // 2, 2)
    truth[row : row + side // 2, :] = 1
    truth[:, column : column + side // 3] = 1
    return truth, np.where(rng.random(truth.shape) < share, 1 - truth, truth)


def picture_of(attempt: Attempt, value: object, size: tuple[int, ...]) -> Grid:
    """The returned labels as integers, or a clear complaint."""
    found = attempt.array(value, size)
    attempt.expect(np.isin(found, (0, 1)).all(), "labels must be 0 or 1; other values came back")
    return found.astype(np.int64)


# --- Exercise 1: the energy of a labelled grid

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
    cases = [((120, 90), np.int64), ((40, 70), np.int8), ((5, 6), np.uint8), ((6, 5), np.uint8)]
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


# --- Exercise 2: the conditional of one pixel

conditional = Exercise("conditional", "The conditional of one pixel", conditional_of)


@conditional.check(6, "pixels inside random grids")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for _ in range(30):
        n, m = rng.integers(3, 8, 2)
        where = int(rng.integers(1, n - 1)), int(rng.integers(1, m - 1))
        pair = strength(rng, 0.1, 0.6), strength(rng, 0.1, 0.8)
        calls.append((labels(rng, (n, m)), labels(rng, (n, m)), *where, *pair))
    attempt.compare(calls)


@conditional.check(3, "corners, borders, and grids of one pixel, row or column")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for n, m in [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 3)]:
        border = [(i, j) for i in range(n) for j in range(m) if i in (0, n - 1) or j in (0, m - 1)]
        y, x = labels(rng, (n, m)), labels(rng, (n, m))
        pair = strength(rng, 0.1, 0.6), strength(rng, 0.1, 0.8)
        calls += [(y, x, i, j, *pair) for i, j in border]
    attempt.compare(calls)


@conditional.check(3, "strong couplings and fields, where exponentials overflow")
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


@conditional.check(3, "without a field, ties, and labels of other integer types")
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


# --- Exercise 3: one sweep of Gibbs sampling

gibbs_sweep = Exercise("gibbs_sweep", "One sweep of Gibbs sampling", sweep_of)

SIZE = (3, 3)
ORDERS = (
    (0, 2, 4, 6, 8, 1, 3, 5, 7),
    (1, 3, 5, 7, 0, 2, 4, 6, 8),
    tuple(range(9)),
    tuple(range(8, -1, -1)),
    (0, 1, 2, 5, 4, 3, 6, 7, 8),
)
"""Orders in which a sweep may visit the pixels of a 3×3 grid: checkerboards, rows, and back and forth."""

FORGOTTEN = 1e-14
"""How far from the posterior, in total variation, the chain may be when it counts as mixed."""

INVARIANCE_DRAWS = 3000
MOBILITY_DRAWS = 1000


class Posterior:
    """All 512 labellings of a 3×3 grid, with their exact probabilities."""

    def __init__(self, noisy: Grid, coupling: float, field: float) -> None:
        self.noisy, self.coupling, self.field = noisy, coupling, field
        self.pictures = all_pictures(SIZE)
        self.energies = energy_of(self.pictures, noisy, coupling, field)
        weights = np.exp(-(self.energies - self.energies.min()))
        self.probabilities = weights / weights.sum()

    def draw(self, rng: np.random.Generator, n: int) -> Grid:
        """`n` independent pictures, exactly from the posterior."""
        return self.pictures[rng.choice(len(self.pictures), n, p=self.probabilities)].copy()

    def least_probable(self, n: int) -> Grid:
        """`n` copies of the picture that the posterior likes least."""
        return np.repeat(self.pictures[self.energies.argmax()][None], n, axis=0)

    @functools.cached_property
    def features(self) -> list[tuple[str, Grid, float]]:
        """A name, an indicator of every picture, and its exact probability."""
        y, p = self.pictures, self.probabilities
        found = [(f"label 1 at row {i}, column {j}", y[:, i, j] == 1) for i, j in np.ndindex(*SIZE)]
        found += [
            (f"equal labels at row {i}, columns {j} and {j + 1}", y[:, i, j] == y[:, i, j + 1])
            for i, j in np.ndindex(3, 2)
        ]
        found += [
            (f"equal labels at rows {i} and {i + 1}, column {j}", y[:, i, j] == y[:, i + 1, j])
            for i, j in np.ndindex(2, 3)
        ]
        totals = {
            "a low energy": self.energies,
            "few equal neighbours": agreement(y),
            "little agreement with what was seen": (y == self.noisy).sum((1, 2)),
        }
        found += [(name, value <= _weighted_median(value, p) + TIE) for name, value in totals.items()]
        return [(name, indicator, float(p @ indicator)) for name, indicator in found]

    def counts(self, ends: Grid) -> list[Count]:
        """How often each feature shows among the pictures `ends`."""
        codes = ends.reshape(len(ends), -1) @ (1 << np.arange(8, -1, -1))
        seen = np.bincount(codes, minlength=len(self.pictures))
        return [
            Count(name, int(seen[indicator].sum()), len(ends), probability)
            for name, indicator, probability in self.features
        ]

    def distances(self, orders: Sequence[Sequence[int]]) -> Iterator[float]:
        """After each sweep, a bound on how far the chain's law is from the posterior, from any start.

        The distance is total variation, the worst over `orders` of visiting the pixels. For J ≥ 0 a pixel's
        conditional grows with its neighbours, so two chains with common random numbers that start all black
        and all white stay ordered, and a chain from anywhere, the posterior too, stays between them. The two
        differ at pixel i with probability P(upper_i = 1) - P(lower_i = 1); the sum over pixels is the bound.
        The difference of the two laws is propagated exactly, through the transition matrix of one pixel after
        another; rounding would give it a total mass, which no sweep removes.
        """
        codes = np.arange(len(self.pictures))
        ones = self.pictures.reshape(len(codes), -1)
        p_one = sigmoid(2 * pull_on(self.pictures, self.noisy, self.coupling, self.field))
        p_own = np.where(ones == 1, p_one.reshape(ones.shape), 1 - p_one.reshape(ones.shape)).T
        partners = codes ^ (1 << np.arange(8, -1, -1))[:, None]
        difference = np.zeros((len(orders), len(codes)))
        difference[:, -1], difference[:, 0] = 1.0, -1.0
        while True:
            for sites in np.transpose(orders):
                either = difference + np.take_along_axis(difference, partners[sites], -1)
                difference = either * p_own[sites]
            difference -= difference.mean(-1, keepdims=True)
            yield float((difference @ ones).sum(-1).max())

    @functools.cached_property
    def mixing_sweeps(self) -> int:
        """After how many sweeps, in whichever of `ORDERS`, every start is forgotten."""
        return _mixing_sweeps(self.noisy.tobytes(), self.coupling, self.field)


@functools.lru_cache(maxsize=16)
def _mixing_sweeps(noisy: bytes, coupling: float, field: float) -> int:
    posterior = Posterior(np.frombuffer(noisy, dtype=np.int64).reshape(SIZE), coupling, field)
    return next(t for t, d in enumerate(posterior.distances(ORDERS), 1) if d <= FORGOTTEN)


def _weighted_median(values: Grid, probabilities: Grid) -> float:
    order = np.argsort(values, kind="stable")
    return float(values[order][np.searchsorted(np.cumsum(probabilities[order]), 0.5)])


def random_posterior(rng: np.random.Generator) -> Posterior:
    """A posterior of a noisy 3×3 picture: couplings and fields matter, and the chain forgets fast."""
    return Posterior(both_kinds(rng, SIZE), strength(rng, 0.2, 0.24), strength(rng, 0.4, 0.6))


def after_sweeps(attempt: Attempt, posterior: Posterior, start: Grid, sweeps: int) -> Grid:
    """The pictures after so many calls of the student's sweep."""
    pictures = start
    for _ in range(sweeps):
        value = attempt.call(
            pictures, posterior.noisy, posterior.coupling, posterior.field, attempt.draw_rng()
        )
        pictures = picture_of(attempt, value, start.shape)
    return pictures


@gibbs_sweep.check(3, "one strong sweep from many grids: even pixels first, then odd ones")
def _(attempt: Attempt) -> None:
    """Every pull is at least 25 and its sign certain: wrong for correct code with probability below 1e-18."""
    rng = attempt.rng
    sizes = [(1, 4, 5), (3, 5, 4), (6, 3, 3), (2, 1, 1), (4, 1, 6), (3, 6, 1), (5, 2, 2), (1, 7, 7)]
    calls = [
        (labels(rng, s), labels(rng, s[1:]), 60.0, 35.0, attempt.draw_rng()) for s in sizes for _ in range(2)
    ]
    expected = [sweep_of(y, x, coupling, field, rng) for y, x, coupling, field, _ in calls]
    found = [picture_of(attempt, v, c[0].shape) for v, c in zip(attempt.call_many(calls), calls)]
    wrong = sum(not (a == b).all() for a, b in zip(found, expected))
    attempt.expect(
        wrong == 0, f"where the conditionals leave no choice, {wrong} of {len(calls)} sweeps went elsewhere"
    )


@gibbs_sweep.check(3, "other integer types; the input is left as it is; each picture has its own chance")
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-30: exp(-80) a pixel, and 2^-756 for 64 equal pictures."""
    rng = attempt.rng
    for dtype in (np.int64, np.uint8):
        noisy = both_kinds(rng, (3, 4)).astype(dtype)
        start = np.repeat((1 - noisy)[None], 5, axis=0)
        value, arguments = attempt.call_and_arguments(start, noisy, 0.0, 40.0, attempt.draw_rng())
        found = picture_of(attempt, value, start.shape)
        attempt.expect((found == noisy).all(), "a strong field alone must pull every pixel to what was seen")
        same = all((a == b).all() for a, b in zip(arguments, (start, noisy)))
        attempt.expect(same, "the arrays that the function was given have changed")
    start = np.repeat(labels(rng, (1, 3, 4)), 64, axis=0)
    found = picture_of(attempt, attempt.call(start, noisy, 0.0, 0.0, attempt.draw_rng()), start.shape)
    attempt.expect(
        (found != found[:1]).any(),
        "with every label equally probable, all pictures of a batch came out alike",
    )


@gibbs_sweep.check(7, "from exact draws of a posterior: a sweep must leave its law as it is", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): after a sweep the pictures are exact draws again.

    What invariance cannot see, pixels that never move, is counted too: a pixel of these posteriors takes
    either label with probability > 0.04 whatever its neighbours are, so one that stays as it was in each of
    3,000 pictures has probability below 1e-50 and counts as impossible.

    Power, measured: in each of 100 seeds it caught all eight mistakes that change the law or freeze pixels.
    The weakest two, a torus and all pixels at once, come out at p-values near 1e-24 and 1e-45 against the
    threshold 1e-10, and are caught by the first check for certain; the others lie below 1e-130.
    """
    posterior = random_posterior(attempt.rng)

    def draw(n: int) -> list[Count]:
        before = posterior.draw(attempt.rng, n)
        after = after_sweeps(attempt, posterior, before, 1)
        moved = (before != after).any(0)
        moves = [
            Count(f"a change at row {i}, column {j}", n * int(moved[i, j]), n, 1.0)
            for i, j in np.ndindex(*SIZE)
        ]
        return [*posterior.counts(after), *moves]

    attempt.sequential(draw, INVARIANCE_DRAWS, "the pictures no longer follow p(y | x)")


@gibbs_sweep.check(7, "from the worst picture: after enough sweeps the start is forgotten", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA + 25 · MOBILITY_DRAWS · FORGOTTEN < 1.3e-9.

    The end states are independent; their law is within FORGOTTEN of the posterior in total variation, for
    each of `ORDERS`, and all stages together draw at most 1 + 4 · 6 = 25 times MOBILITY_DRAWS of them. That
    1,000 exact draws are all alike has probability below 1e-300.

    Power, measured over 100 seeds: 96 % for a torus, 100 % for the other seven mistakes that move wrongly.
    """
    posterior = random_posterior(attempt.rng)

    def draw(n: int) -> list[Count]:
        start = posterior.least_probable(n)
        ends = after_sweeps(attempt, posterior, start, posterior.mixing_sweeps)
        attempt.expect((ends != ends[:1]).any(), "all pictures of the batch came out alike")
        return posterior.counts(ends)

    attempt.sequential(draw, MOBILITY_DRAWS, "the sampler does not reach p(y | x) from a bad start")


@gibbs_sweep.mistake("Neighbours changed at the same time. The odd pixels must see the new even ones.")
def changes_all_pixels_at_once(labels, noisy, coupling, field, rng):
    s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
    around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
    p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
    return (rng.random(labels.shape) < p).astype(int)


@gibbs_sweep.mistake("A sweep has two halves: after the even pixels, the odd ones get new labels.")
def never_visits_odd_pixels(labels, noisy, coupling, field, rng):
    s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
    around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
    p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
    even = np.indices(noisy.shape).sum(0) % 2 == 0
    return np.where(even, rng.random(labels.shape) < p, labels)


@gibbs_sweep.mistake("The even pixels come first: start with i + j even.")
def visits_odd_pixels_first(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (1, 0):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
        labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return labels


@gibbs_sweep.mistake("Work on a copy, labels.copy(): the caller still needs the old pictures.")
def changes_the_array_it_was_given(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
        labels[:] = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return labels


@gibbs_sweep.mistake("The pictures come back unchanged: store the new labels in the array that you return.")
def returns_what_it_was_given(labels, noisy, coupling, field, rng):
    return labels.copy()


@gibbs_sweep.mistake("The log-odds are twice the pull: σ(2a), or ½(1 + tanh a).")
def leaves_out_the_factor_two(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(0.5 * (field * (2.0 * noisy - 1) + coupling * around)))
        labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return labels


@gibbs_sweep.mistake("What was seen pulls on every pixel: the term with h is missing.")
def samples_without_the_field(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(coupling * around))
        labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return labels


@gibbs_sweep.mistake("`np.roll` joins the last row to the first; pixels on the border have fewer neighbours.")
def samples_on_a_torus(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = 2.0 * labels - 1
        around = np.roll(s, 1, 1) + np.roll(s, -1, 1) + np.roll(s, 1, 2) + np.roll(s, -1, 2)
        p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
        labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return labels


@gibbs_sweep.mistake("Draw from the conditional: label 1 with probability p, also where p is below one half.")
def takes_the_likelier_label(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        likelier = field * (2.0 * noisy - 1) + coupling * around > 0
        labels = np.where(parity == colour, likelier, labels)
    return labels


@gibbs_sweep.mistake("Each picture of the batch needs its own random numbers: rng.random(labels.shape).")
def shares_random_numbers_in_the_batch(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
        labels = np.where(parity == colour, rng.random(noisy.shape) < p, labels)
    return labels


@gibbs_sweep.alternative
def sweep_by_loops(labels, noisy, coupling, field, rng):
    import math

    n, m = noisy.shape
    seen = [[field if x else -field for x in row] for row in noisy.tolist()]
    pictures = labels.tolist()
    uniform = rng.random(labels.shape).tolist()
    for y, u in zip(pictures, uniform):
        for parity in (0, 1):
            for i in range(n):
                for j in range((i + parity) % 2, m, 2):
                    pull = seen[i][j]
                    if i > 0:
                        pull += coupling if y[i - 1][j] else -coupling
                    if i < n - 1:
                        pull += coupling if y[i + 1][j] else -coupling
                    if j > 0:
                        pull += coupling if y[i][j - 1] else -coupling
                    if j < m - 1:
                        pull += coupling if y[i][j + 1] else -coupling
                    y[i][j] = int(u[i][j] < (1 + math.tanh(pull)) / 2)
    return np.array(pictures)


@gibbs_sweep.alternative
def sweep_by_pixels(labels, noisy, coupling, field, rng):
    new = labels.astype(np.int64)
    n, m = noisy.shape
    sites = sorted(np.ndindex(n, m), key=lambda site: sum(site) % 2)
    for i, j in sites:
        log_odds = np.full(len(new), 2 * field if noisy[i, j] else -2 * field)
        for k, l in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= k < n and 0 <= l < m:
                log_odds += np.where(new[:, k, l] == 1, 2 * coupling, -2 * coupling)
        new[:, i, j] = rng.uniform(size=len(new)) < 1 / (1 + np.exp(-log_odds))
    return new


@gibbs_sweep.alternative
def sweep_by_logistic_noise(labels, noisy, coupling, field, rng):
    s = np.where(labels > 0, 1.0, -1.0)
    seen = np.where(noisy > 0, field, -field)
    odd = np.add.outer(np.arange(noisy.shape[0]), np.arange(noisy.shape[1])) % 2
    for colour in (0, 1):
        pull = np.broadcast_to(seen, s.shape).copy()
        pull[:, 1:] += coupling * s[:, :-1]
        pull[:, :-1] += coupling * s[:, 1:]
        pull[:, :, 1:] += coupling * s[:, :, :-1]
        pull[:, :, :-1] += coupling * s[:, :, 1:]
        drawn = np.sign(2 * pull + rng.logistic(size=s.shape))
        s = np.where(odd == colour, drawn, s)
    return (s > 0).astype(np.uint8)


@gibbs_sweep.alternative
def sweep_by_an_adjacency_matrix(labels, noisy, coupling, field, rng):
    n, m = noisy.shape
    i, j = (grid.ravel() for grid in np.indices((n, m)))
    neighbours = (abs(i[:, None] - i) + abs(j[:, None] - j) == 1).astype(float)
    s = (2.0 * labels - 1).reshape(len(labels), n * m)
    t = (2.0 * noisy - 1).reshape(n * m)
    for colour in (0, 1):
        sites = (i + j) % 2 == colour
        p_zero = 1 / (1 + np.exp(2 * (field * t[sites] + coupling * s @ neighbours[:, sites])))
        s[:, sites] = np.where(rng.random(p_zero.shape) < p_zero, -1.0, 1.0)
    return ((s + 1) / 2).reshape(labels.shape)


# --- Exercise 4: denoising

denoise = Exercise("denoise", "Denoising", denoise_of)


def is_local_minimum(picture: Grid, noisy: Grid, coupling: float, field: float) -> bool:
    """Whether no change of one pixel lowers the energy."""
    return bool((pull_on(picture, noisy, coupling, field) * spins(picture) >= -TIE).all())


def compare_descents(attempt: Attempt, calls: list[tuple[Grid, float, float]]) -> None:
    """Every result must be a local minimum, not above the picture that was seen."""
    values = attempt.call_many(calls)
    found = [picture_of(attempt, value, call[0].shape) for value, call in zip(values, calls)]
    stuck = sum(not is_local_minimum(y, *call) for y, call in zip(found, calls))
    attempt.expect(
        stuck == 0,
        f"in {stuck} of {len(calls)} pictures, changing one pixel would lower the energy further",
    )
    above = sum(energy_of(y, *call) > energy_of(call[0], *call) + TIE for y, call in zip(found, calls))
    attempt.expect(above == 0, f"{above} of {len(calls)} pictures have a higher energy than the noisy one")


def noisy_ring() -> Grid:
    """The ring of the students' notebook, seen through noise that flips one pixel in ten."""
    rows, columns = np.indices((48, 48)) - 23.5
    radius = np.hypot(rows, columns)
    ring = ((radius > 9) & (radius < 18)).astype(int)
    return np.where(np.random.default_rng(3).random(ring.shape) < 0.1, 1 - ring, ring)


@denoise.draw
def _(attempt: Attempt) -> Picture:
    noisy, coupling, field = noisy_ring(), 1.0, 1.1
    found = picture_of(attempt, attempt.call(noisy, coupling, field), noisy.shape)
    better = pull_on(found, noisy, coupling, field) * spins(found) < -TIE
    count = int(better.sum())
    return grids(
        noisy,
        found,
        better,
        ("the ring of the notebook", "your result"),
        "Left, the ring of the notebook as it is seen; right, what your function makes of it. "
        + (
            f"In {count} pixels, in red, a change would lower the energy."
            if count
            else "No change of one pixel would lower the energy: here your function does what it should."
        ),
    )


@denoise.check(6, "random pictures of several sizes, down to one pixel, row or column")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(1, 1), (1, 8), (8, 1), (2, 2), (3, 3), (9, 14), (16, 11), (20, 20), (20, 20), (20, 20)]
    calls = [(labels(rng, s), strength(rng, 0.9, 1.1), strength(rng, 0.3, 0.7)) for s in sizes]
    calls += [(labels(rng, (15, 15)), strength(rng, 0.9, 1.0), strength(rng, 2.2, 2.6)) for _ in range(2)]
    compare_descents(attempt, calls)


@denoise.check(5, "pictures of large patches with one pixel in ten flipped: most must be repaired")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    cases: list[tuple[Grid, Grid]] = []
    while len(cases) < 4:
        truth, noisy = blocks(rng)
        repaired = denoise_of(noisy, 1.0, 1.1)
        if (repaired != truth).sum() <= 0.35 * (noisy != truth).sum():
            cases.append((truth, noisy))
    calls = [(noisy, 1.0, 1.1) for _, noisy in cases]
    values = attempt.call_many(calls)
    for value, (truth, noisy) in zip(values, cases):
        found = picture_of(attempt, value, noisy.shape)
        attempt.expect(
            (found != truth).sum() <= 0.7 * (noisy != truth).sum(),
            "too many of the flipped pixels are still wrong, or right ones were changed",
        )
        attempt.expect(
            energy_of(found, noisy, 1.0, 1.1) < energy_of(noisy, noisy, 1.0, 1.1) - TIE,
            "the energy has not come down",
        )


@denoise.check(4, "ties, no coupling, and labels of another integer type; the input is left as it is")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    stripes = np.indices((6, 7)).sum(0) % 2
    for noisy, coupling, field in [
        (labels(rng, (10, 10)), 1.0, 2.0),
        (stripes, 1.0, 2.0),
        (stripes, 1.0, 0.5),
        (labels(rng, (8, 5)), 0.0, 1.0),
        (labels(rng, (12, 12), np.uint8), 1.0, 0.5),
    ]:
        value, arguments = attempt.call_and_arguments(noisy, coupling, field)
        found = picture_of(attempt, value, noisy.shape)
        attempt.expect(
            is_local_minimum(found, noisy, coupling, field),
            "changing one pixel would lower the energy further",
        )
        attempt.expect(
            energy_of(found, noisy, coupling, field) <= energy_of(noisy, noisy, coupling, field) + TIE,
            "the energy is higher than that of the noisy picture",
        )
        attempt.expect((arguments[0] == noisy).all(), "the picture that the function was given has changed")


@denoise.mistake("One pass is not enough: go on until a whole pass changes nothing.")
def makes_one_pass_only(noisy, coupling, field):
    labels = np.array(noisy)
    parity = np.indices(labels.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, 1)
        around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
        pull = field * (2.0 * noisy - 1) + coupling * around
        labels[(parity == colour) & (pull * s[1:-1, 1:-1] < -1e-9)] ^= 1
    return labels


@denoise.mistake(
    "Neighbours that change together can undo each other. Change one pixel, or one colour, at a time."
)
def changes_every_pixel_at_once(noisy, coupling, field):
    labels = np.array(noisy)
    for _ in range(20):
        s = np.pad(2.0 * labels - 1, 1)
        around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
        pull = field * (2.0 * noisy - 1) + coupling * around
        labels = np.where(pull > 1e-9, 1, np.where(pull < -1e-9, 0, labels))
    return labels


@denoise.mistake("What was seen pulls on every pixel: without the term with h the picture is smoothed away.")
def smooths_without_the_field(noisy, coupling, field):
    labels, before = np.array(noisy), None
    parity = np.indices(labels.shape).sum(0) % 2
    while before is None or (labels != before).any():
        before = labels.copy()
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
            labels[(parity == colour) & (coupling * around * s[1:-1, 1:-1] < -1e-9)] ^= 1
    return labels


@denoise.mistake(
    "The field comes from the noisy picture, which stays fixed, not from the labels as they change."
)
def lets_the_field_follow_the_labels(noisy, coupling, field):
    labels, before = np.array(noisy), None
    parity = np.indices(labels.shape).sum(0) % 2
    while before is None or (labels != before).any():
        before = labels.copy()
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
            pull = field * s[1:-1, 1:-1] + coupling * around
            labels[(parity == colour) & (pull * s[1:-1, 1:-1] < -1e-9)] ^= 1
    return labels


@denoise.mistake("Start at the noisy picture: from a blank page the descent ends at a worse one.")
def starts_from_a_blank_page(noisy, coupling, field):
    labels, before = np.zeros_like(noisy), None
    parity = np.indices(labels.shape).sum(0) % 2
    while before is None or (labels != before).any():
        before = labels.copy()
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
            pull = field * (2.0 * noisy - 1) + coupling * around
            labels[(parity == colour) & (pull * s[1:-1, 1:-1] < -1e-9)] ^= 1
    return labels


@denoise.mistake("That climbs: a change is good if it lowers the energy.")
def climbs_in_place_of_descending(noisy, coupling, field):
    labels, before = np.array(noisy), None
    parity = np.indices(labels.shape).sum(0) % 2
    while before is None or (labels != before).any():
        before = labels.copy()
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
            pull = field * (2.0 * noisy - 1) + coupling * around
            labels[(parity == colour) & (pull * s[1:-1, 1:-1] > 1e-9)] ^= 1
    return labels


@denoise.mistake("The picture came back as it was: nothing was denoised.")
def returns_the_noisy_picture(noisy, coupling, field):
    return noisy.copy()


@denoise.mistake(
    "The majority of a 3×3 window is a filter; it knows neither J nor h, and does not minimize E."
)
def takes_the_majority_of_the_window(noisy, coupling, field):
    padded = np.pad(2.0 * noisy - 1, 1)
    n, m = noisy.shape
    votes = sum(padded[i : i + n, j : j + m] for i in range(3) for j in range(3))
    return np.where(votes == 0, noisy, votes > 0).astype(int)


@denoise.alternative
def denoise_by_loops(noisy, coupling, field):
    labels = noisy.copy()
    n, m = labels.shape
    changed = True
    while changed:
        changed = False
        for i in range(n):
            for j in range(m):
                pull = field if noisy[i, j] else -field
                for k, l in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                    if 0 <= k < n and 0 <= l < m:
                        pull += coupling if labels[k, l] else -coupling
                if abs(pull) > 1e-9 and labels[i, j] != (pull > 0):
                    labels[i, j] = 1 - labels[i, j]
                    changed = True
    return labels


@denoise.alternative
def denoise_greedily(noisy, coupling, field):
    s = 2.0 * noisy - 1
    t = s.copy()
    while True:
        pull = field * t
        pull[1:] += coupling * s[:-1]
        pull[:-1] += coupling * s[1:]
        pull[:, 1:] += coupling * s[:, :-1]
        pull[:, :-1] += coupling * s[:, 1:]
        best = np.unravel_index(np.argmin(pull * s), s.shape)
        if (pull * s)[best] > -1e-9:
            return (s > 0).astype(int)
        s[best] = -s[best]


@denoise.alternative
def denoise_by_annealing(noisy, coupling, field):
    rng = np.random.default_rng(1)
    seen = field * (2.0 * noisy - 1)
    parity = np.indices(noisy.shape).sum(0) % 2

    def pass_over(labels, temperature):
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            pull = seen + coupling * (s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:])
            pull = pull + temperature * rng.logistic(size=noisy.shape) / 2
            drawn = np.where(np.abs(pull) < 1e-9, labels, pull > 0)
            labels = np.where(parity == colour, drawn, labels)
        return labels

    def settle(labels):
        before = None
        while before is None or (labels != before).any():
            before, labels = labels, pass_over(labels, 0.0)
        return labels

    def cost(labels):
        s = 2.0 * labels - 1
        return -(s * seen).sum() - coupling * ((s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum())

    annealed = np.array(noisy)
    for temperature in np.geomspace(1.0, 0.05, 30):
        annealed = pass_over(annealed, temperature)
    return min(settle(annealed), settle(np.array(noisy)), key=cost)


# --- Exercise 5: the most probable picture

map_estimate = Exercise("map_estimate", "The most probable picture", map_of)


def compare_modes(attempt: Attempt, calls: list[tuple[Grid, float, float]]) -> None:
    """Every result must have the lowest energy of all pictures; where several have it, any of them will do."""
    values = attempt.call_many(calls)
    found = [picture_of(attempt, value, call[0].shape) for value, call in zip(values, calls)]
    wrong = sum(energy_of(y, *call) > energy_of(map_of(*call), *call) + TIE for y, call in zip(found, calls))
    attempt.expect(wrong == 0, f"{wrong} of {len(calls)} pictures are not the most probable one")


def likelier_pixels(noisy: Grid, coupling: float, field: float) -> Grid:
    """The likelier label of each pixel by itself."""
    pictures = all_pictures(noisy.shape)
    energies = energy_of(pictures, noisy, coupling, field)
    weights = np.exp(energies.min() - energies)
    return (np.tensordot(weights / weights.sum(), pictures, 1) > 0.5).astype(np.int64)


def misleading(
    rng: np.random.Generator, shortcut: Callable[[Grid, float, float], Grid]
) -> tuple[Grid, float, float]:
    """A picture on which a shortcut misses the most probable one."""
    while True:
        call = labels(rng, (3, 3)), strength(rng, 0.3, 1.2), strength(rng, 0.2, 0.8)
        if energy_of(shortcut(*call), *call) > energy_of(map_of(*call), *call) + 0.05:
            return call


@map_estimate.check(6, "random 3×3 pictures with a random coupling and field")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_modes(
        attempt, [(labels(rng, (3, 3)), strength(rng, 0.1, 0.8), strength(rng, 0.4, 1.2)) for _ in range(10)]
    )


@map_estimate.check(5, "other shapes, all white or all black, negative couplings, ties, other integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(labels(rng, s), strength(rng, 0.1, 0.5), strength(rng, 0.6)) for s in [(1, 1), (1, 6), (5, 1)]]
    calls += [(labels(rng, s, np.uint8), strength(rng, 0.1, 0.4), 0.7) for s in [(2, 4), (4, 2), (4, 3)]]
    calls += [(np.full((2, 3), label), strength(rng), strength(rng)) for label in (0, 1)]
    calls += [(labels(rng, (3, 3)), strength(rng), 0.0), (labels(rng, (3, 2)), -strength(rng), 0.2)]
    compare_modes(attempt, calls)


@map_estimate.check(4, "3×3 pictures on which a descent gets stuck, or the pixels one by one mislead")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_modes(attempt, [misleading(rng, s) for s in (denoise_of, likelier_pixels) for _ in range(4)])


@map_estimate.mistake(
    "That is the least probable picture: the probability is highest where the energy is lowest."
)
def takes_the_highest_energy(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s, t = 2.0 * y - 1, 2.0 * noisy - 1
    neighbours = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    return y[np.argmax(-field * (s * t).sum((1, 2)) - coupling * neighbours)]


@map_estimate.mistake("What was seen is missing: the answer must depend on noisy.")
def leaves_out_what_was_seen(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s = 2.0 * y - 1
    return y[
        np.argmax(coupling * ((s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))))
    ]


@map_estimate.mistake("The neighbours are missing: this is the picture that was seen.")
def returns_the_picture_that_was_seen(noisy, coupling, field):
    return noisy.copy()


@map_estimate.mistake(
    "The formula multiplies spins -1 and +1: use 2 * y - 1, not the labels 0 and 1 themselves."
)
def multiplies_labels_in_place_of_spins(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    neighbours = (y[:, 1:] * y[:, :-1]).sum((1, 2)) + (y[:, :, 1:] * y[:, :, :-1]).sum((1, 2))
    return y[np.argmax(field * (y * noisy).sum((1, 2)) + coupling * neighbours)]


@map_estimate.mistake("Each pair of neighbours counts once.")
def weighs_every_edge_twice(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s, t = 2.0 * y - 1, 2.0 * noisy - 1
    neighbours = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    return y[np.argmax(field * (s * t).sum((1, 2)) + 2 * coupling * neighbours)]


@map_estimate.mistake(
    "A descent by single pixels can get stuck. Look at all pictures: there are only 2^(nm)."
)
def stops_at_a_local_minimum(noisy, coupling, field):
    labels, before = np.array(noisy), None
    parity = np.indices(labels.shape).sum(0) % 2
    while before is None or (labels != before).any():
        before = labels.copy()
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            around = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:]
            pull = field * (2.0 * noisy - 1) + coupling * around
            labels[(parity == colour) & (pull * s[1:-1, 1:-1] < -1e-9)] ^= 1
    return labels


@map_estimate.mistake("The likelier label of each pixel, put together, need not be the likeliest picture.")
def decides_pixel_by_pixel(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s, t = 2.0 * y - 1, 2.0 * noisy - 1
    neighbours = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    weight = np.exp(field * (s * t).sum((1, 2)) + coupling * neighbours)
    return (np.tensordot(weight, y, 1) > weight.sum() / 2).astype(int)


@map_estimate.mistake("One picture is never tried: there are 2**(n*m), so count with range(2 ** (n * m)).")
def leaves_out_the_last_picture(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m) - 1)[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s, t = 2.0 * y - 1, 2.0 * noisy - 1
    neighbours = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    return y[np.argmax(field * (s * t).sum((1, 2)) + coupling * neighbours)]


@map_estimate.mistake("The digits of the best code are put back in another order than they were read.")
def decodes_the_answer_in_another_order(noisy, coupling, field):
    n, m = noisy.shape
    digits = np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1
    y = digits.reshape(-1, n, m)
    s, t = 2.0 * y - 1, 2.0 * noisy - 1
    neighbours = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    best = np.argmax(field * (s * t).sum((1, 2)) + coupling * neighbours)
    return digits[best][::-1].reshape(n, m)


@map_estimate.alternative
def mode_by_product(noisy, coupling, field):
    import itertools

    n, m = noisy.shape
    edges = [((i, j), (i, j + 1)) for i in range(n) for j in range(m - 1)]
    edges += [((i, j), (i + 1, j)) for i in range(n - 1) for j in range(m)]
    seen = [1 if x else -1 for x in noisy.ravel().tolist()]
    pairs = [(a * m + b, c * m + d) for (a, b), (c, d) in edges]
    best, lowest = None, float("inf")
    for s in itertools.product((1, -1), repeat=n * m):
        value = -field * sum(a * b for a, b in zip(s, seen)) - coupling * sum(s[a] * s[b] for a, b in pairs)
        if value < lowest:
            best, lowest = s, value
    return (np.array(best).reshape(n, m) + 1) // 2


@map_estimate.alternative
def mode_by_a_quadratic_form(noisy, coupling, field):
    n, m = noisy.shape
    i, j = (grid.ravel() for grid in np.indices((n, m)))
    neighbours = abs(i[:, None] - i) + abs(j[:, None] - j) == 1
    s = 2.0 * np.array([list(np.binary_repr(k, n * m)) for k in range(2 ** (n * m))], dtype=int) - 1
    log_weight = field * s @ (2.0 * noisy.ravel() - 1) + coupling / 2 * np.einsum(
        "ki,ij,kj->k", s, neighbours, s
    )
    probability = np.exp(log_weight - np.logaddexp.reduce(log_weight))
    return (s[probability.argmax()].reshape(n, m) > 0).astype(np.uint8)


@map_estimate.alternative
def mode_by_dynamic_programming_over_rows(noisy, coupling, field):
    n, m = noisy.shape
    rows = 2 * (np.arange(2**m)[:, None] >> np.arange(m) & 1) - 1
    inside = coupling * (rows[:, 1:] * rows[:, :-1]).sum(1)
    between = coupling * rows @ rows.T
    score, choices = inside + field * rows @ (2.0 * noisy[0] - 1), []
    for i in range(1, n):
        total = score[:, None] + between
        choices.append(total.argmax(0))
        score = total.max(0) + inside + field * rows @ (2.0 * noisy[i] - 1)
    path = [int(score.argmax())]
    for choice in reversed(choices):
        path.append(int(choice[path[-1]]))
    return (rows[path[::-1]] + 1) // 2


@map_estimate.alternative
def mode_by_recursion(noisy, coupling, field):
    n, m = noisy.shape
    picture = np.zeros((n, m), dtype=int)
    best = [float("-inf"), picture.copy()]

    def extend(k, value):
        if k == n * m:
            if value > best[0]:
                best[:] = value, picture.copy()
            return
        i, j = divmod(k, m)
        for label in (0, 1):
            picture[i, j] = label
            gain = field if label == noisy[i, j] else -field
            if i > 0:
                gain += coupling if picture[i - 1, j] == label else -coupling
            if j > 0:
                gain += coupling if picture[i, j - 1] == label else -coupling
            extend(k + 1, value + gain)

    extend(0, 0.0)
    return best[1]


# --- Exercise 6: a log-ratio without Z

log_ratio = Exercise("log_ratio", "A log-ratio without Z", log_ratio_of)


@log_ratio.check(4, "pairs of random pictures")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [shape(rng) for _ in range(20)]
    attempt.compare([(both_kinds(rng, s), both_kinds(rng, s), strength(rng)) for s in sizes])


@log_ratio.check(3, "large pictures, where the exponential of an energy overflows")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(*blocks(rng, 80), strength(rng, 1.0, 2.0)) for _ in range(3)])


@log_ratio.check(3, "one pixel, one row, negatives of a picture, and labels of other integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for size, dtype in [((1, 1), np.int64), ((1, 7), np.int8), ((6, 1), np.uint8), ((5, 4), np.uint8)]:
        image, other = labels(rng, size, dtype), labels(rng, size, dtype)
        calls += [(image, other, strength(rng)), (image, 1 - image, strength(rng)), (image, other, -0.5)]
    blank, drawn = np.zeros((4, 6), dtype=np.uint8), both_kinds(rng, (4, 6)).astype(np.uint8)
    calls.append((blank, drawn, strength(rng)))
    attempt.compare(calls)


@log_ratio.mistake("That is log p(other) / p(image): the energies are subtracted the wrong way round.")
def takes_the_ratio_the_wrong_way_round(image, other, coupling):
    a, b = 2.0 * image - 1, 2.0 * other - 1
    return coupling * (
        (b[1:] * b[:-1]).sum()
        + (b[:, 1:] * b[:, :-1]).sum()
        - (a[1:] * a[:-1]).sum()
        - (a[:, 1:] * a[:, :-1]).sum()
    )


@log_ratio.mistake(
    "exp(-E) overflows for large pictures. The log of a ratio is a difference: subtract the energies."
)
def exponentiates_before_it_takes_the_log(image, other, coupling):
    a, b = 2.0 * image - 1, 2.0 * other - 1
    first = np.exp(coupling * ((a[1:] * a[:-1]).sum() + (a[:, 1:] * a[:, :-1]).sum()))
    second = np.exp(coupling * ((b[1:] * b[:-1]).sum() + (b[:, 1:] * b[:, :-1]).sum()))
    return np.log(first / second)


@log_ratio.mistake("That is the ratio itself; its logarithm is asked for.")
def returns_the_ratio_without_the_log(image, other, coupling):
    a, b = 2.0 * image - 1, 2.0 * other - 1
    return np.exp(
        coupling
        * (
            (a[1:] * a[:-1]).sum()
            + (a[:, 1:] * a[:, :-1]).sum()
            - (b[1:] * b[:-1]).sum()
            - (b[:, 1:] * b[:, :-1]).sum()
        )
    )


@log_ratio.mistake(
    "A pair that disagrees counts -1, not 0. Counting equal neighbours alone gives half of the answer."
)
def counts_only_the_equal_neighbours(image, other, coupling):
    first = (image[1:] == image[:-1]).sum() + (image[:, 1:] == image[:, :-1]).sum()
    second = (other[1:] == other[:-1]).sum() + (other[:, 1:] == other[:, :-1]).sum()
    return coupling * (float(first) - float(second))


@log_ratio.mistake(
    "Each pair of neighbours counts once: look right and down from every pixel, not all around."
)
def sums_every_pair_from_both_sides(image, other, coupling):
    a, b = np.pad(2.0 * image - 1, 1), np.pad(2.0 * other - 1, 1)
    first = (a * (np.roll(a, 1, 0) + np.roll(a, -1, 0) + np.roll(a, 1, 1) + np.roll(a, -1, 1))).sum()
    second = (b * (np.roll(b, 1, 0) + np.roll(b, -1, 0) + np.roll(b, 1, 1) + np.roll(b, -1, 1))).sum()
    return coupling * (first - second)


@log_ratio.mistake("`np.roll` joins the last row to the first; pixels on the border have fewer neighbours.")
def joins_opposite_borders(image, other, coupling):
    a, b = 2.0 * image - 1, 2.0 * other - 1
    first = (a * np.roll(a, 1, 0) + a * np.roll(a, 1, 1)).sum()
    return coupling * (first - (b * np.roll(b, 1, 0) + b * np.roll(b, 1, 1)).sum())


@log_ratio.mistake(
    "The formula multiplies spins -1 and +1: use 2 * y - 1, not the labels 0 and 1 themselves."
)
def counts_only_neighbours_with_label_1(image, other, coupling):
    a, b = image.astype(float), other.astype(float)
    first = (a[1:] * a[:-1]).sum() + (a[:, 1:] * a[:, :-1]).sum()
    return coupling * (first - (b[1:] * b[:-1]).sum() - (b[:, 1:] * b[:, :-1]).sum())


@log_ratio.mistake("In uint8, 2 * 0 - 1 is 255. Convert the pictures to float or int before you subtract.")
def subtracts_in_uint8(image, other, coupling):
    a, b = 2 * image - 1, 2 * other - 1
    first = (a[1:] * a[:-1]).sum() + (a[:, 1:] * a[:, :-1]).sum()
    second = (b[1:] * b[:-1]).sum() + (b[:, 1:] * b[:, :-1]).sum()
    return coupling * (float(first) - float(second))


@log_ratio.alternative
def log_ratio_by_loops(image, other, coupling):
    n, m = image.shape
    total = 0
    for i in range(n):
        for j in range(m):
            for k, l in ((i + 1, j), (i, j + 1)):
                if k < n and l < m:
                    total += 1 if image[i, j] == image[k, l] else -1
                    total -= 1 if other[i, j] == other[k, l] else -1
    return coupling * total


@log_ratio.alternative
def log_ratio_by_broken_pairs(image, other, coupling):
    def broken(picture):
        y = picture.astype(bool)
        return int((y[1:] ^ y[:-1]).sum()) + int((y[:, 1:] ^ y[:, :-1]).sum())

    return 2.0 * coupling * (broken(other) - broken(image))


@log_ratio.alternative
def log_ratio_by_differences(image, other, coupling):
    y = np.stack([image, other]).astype(np.int64)
    jumps = np.abs(np.diff(y, axis=1)).sum((1, 2)) + np.abs(np.diff(y, axis=2)).sum((1, 2))
    return np.float64(2 * coupling) * (jumps[1] - jumps[0])


assignment = Assignment(
    "ising",
    (energy, conditional, gibbs_sweep, denoise, map_estimate, log_ratio),
    imports=("matplotlib.pyplot", "ebmkit.data"),
)
