"""Exercise 7: a log-ratio without Z."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import log_ratio_of
from .inputs import blocks, both_kinds, labels, shape, strength

log_ratio = Exercise("log_ratio", "A log-ratio without Z", log_ratio_of)


@log_ratio.check(4, "pairs of random pictures")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [shape(rng) for _ in range(20)]
    attempt.compare([(both_kinds(rng, s), both_kinds(rng, s), strength(rng)) for s in sizes])


@log_ratio.check(3, "large pictures, where the exponential of an energy overflows")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(*blocks(rng, 30), strength(rng, 1.0, 2.0)) for _ in range(3)])


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
