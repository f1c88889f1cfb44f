"""Exercise 5: the most probable picture."""

from collections.abc import Callable

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import TIE, Grid, all_pictures, denoise_of, energy_of, map_of
from .inputs import labels, picture_of, strength

map_estimate = Exercise("map_estimate", "The most probable picture", map_of)


def compare_modes(attempt: Attempt, calls: list[tuple[Grid, float, float]]) -> None:
    """Every result must have the lowest energy of all pictures; where several have it, any of them will do."""
    values = attempt.call_many(calls)
    found = [picture_of(attempt, value, call[0].shape) for value, call in zip(values, calls)]
    wrong = [energy_of(y, *call) > energy_of(map_of(*call), *call) + TIE for y, call in zip(found, calls)]
    attempt.refuse(wrong, "pictures are not the most probable one")


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


@map_estimate.check(4, "random 3×3 pictures with a random coupling and field")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_modes(
        attempt, [(labels(rng, (3, 3)), strength(rng, 0.1, 0.8), strength(rng, 0.4, 1.2)) for _ in range(10)]
    )


@map_estimate.check(
    3, "other shapes, all white or all black, couplings and fields of either sign, ties, other integer types"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(labels(rng, s), strength(rng, 0.1, 0.5), strength(rng, 0.6)) for s in [(1, 1), (1, 6), (5, 1)]]
    calls += [(labels(rng, s, np.uint8), strength(rng, 0.1, 0.4), 0.7) for s in [(2, 4), (4, 2), (4, 3)]]
    calls += [(np.full((2, 3), label), strength(rng), strength(rng)) for label in (0, 1)]
    calls += [(labels(rng, (3, 3)), strength(rng), 0.0), (labels(rng, (3, 2)), -strength(rng), 0.2)]
    calls += [(labels(rng, (2, 3)), J, -strength(rng, 0.4, 0.9)) for J in (0.2, 0.4, -0.3, 0.0)]
    compare_modes(attempt, calls)


@map_estimate.check(3, "3×3 pictures on which a descent gets stuck, or the pixels one by one mislead")
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


@map_estimate.mistake("There are no neighbours across the border: do not join the last row to the first.")
def joins_opposite_borders(noisy, coupling, field):
    n, m = noisy.shape
    y = (np.arange(2 ** (n * m))[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s, t = 2.0 * y - 1, 2.0 * noisy - 1
    neighbours = (s * np.roll(s, 1, 1)).sum((1, 2)) + (s * np.roll(s, 1, 2)).sum((1, 2))
    return y[np.argmax(field * (s * t).sum((1, 2)) + coupling * neighbours)]


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
