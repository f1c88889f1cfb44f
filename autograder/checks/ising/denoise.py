"""Exercise 4: denoising."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.exercises.pictures import Picture, grids

from .definitions import TIE, Grid, denoise_of, energy_of, pull_on, spins
from .inputs import blocks, labels, picture_of, strength

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


@denoise.check(4, "random pictures of several sizes, down to one pixel, row or column")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(1, 1), (1, 8), (8, 1), (2, 2), (3, 3), (9, 14), (16, 11), (20, 20), (20, 20), (20, 20)]
    calls = [(labels(rng, s), strength(rng, 0.9, 1.1), strength(rng, 0.3, 0.7)) for s in sizes]
    calls += [(labels(rng, (15, 15)), strength(rng, 0.9, 1.0), strength(rng, 2.2, 2.6)) for _ in range(2)]
    compare_descents(attempt, calls)


@denoise.check(3, "pictures of large patches with one pixel in ten flipped: most must be repaired")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    cases: list[tuple[Grid, Grid]] = []
    while len(cases) < 4:
        truth, noisy = blocks(rng)
        repaired = denoise_of(noisy, 1.0, 1.1)
        if (repaired != truth).sum() <= 0.35 * (noisy != truth).sum():
            cases.append((truth, noisy))
    kinds = (np.int64, np.int64, np.int8, np.uint8)
    cases = [(truth, noisy.astype(kind)) for (truth, noisy), kind in zip(cases, kinds)]
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


@denoise.check(3, "ties, no coupling, and labels of another integer type")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    stripes = np.indices((6, 7)).sum(0) % 2
    for noisy, coupling, field in [
        (labels(rng, (10, 10)), 1.0, 2.0),
        (stripes, 1.0, 2.0),
        (stripes, 1.0, 0.5),
        (labels(rng, (8, 5)), 0.0, 1.0),
        (labels(rng, (12, 12), np.uint8), 1.0, 0.5),
        (labels(rng, (9, 9), np.uint8), 1.0, 2.5),
        (labels(rng, (6, 6), np.uint8), 0.8, 4.5),
    ]:
        found = picture_of(attempt, attempt.call(noisy, coupling, field), noisy.shape)
        attempt.expect(
            is_local_minimum(found, noisy, coupling, field),
            "changing one pixel would lower the energy further",
        )
        attempt.expect(
            energy_of(found, noisy, coupling, field) <= energy_of(noisy, noisy, coupling, field) + TIE,
            "the energy is higher than that of the noisy picture",
        )


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
