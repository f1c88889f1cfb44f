"""Exercise 3: one sweep of Gibbs sampling."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Strength

from .definitions import TIE, Grid, agreement, all_pictures, energy_of, pull_on, sigmoid, sweep_of
from .inputs import both_kinds, labels, picture_of, strength

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

STRENGTH_DRAWS = 900
"""Pictures of 15×15 pixels, so that J or h 3 % too strong or too weak is caught with probability 0.99."""

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

    def after_one_sweep(self, order: Sequence[int]) -> Grid:
        """P(label 1 at pixel b after one sweep | the picture before), shape (512, 9): b is the last axis.

        A visit to pixel i averages what comes after it: (T_i f)(y) = p_i(y) f(y with y_i = 1) + (1 - p_i(y))
        f(y with y_i = 0). Pixel b, visited at place t, has the probability T_1 … T_{t-1} p_b.
        """
        codes, bits = np.arange(len(self.pictures)), 1 << np.arange(8, -1, -1)
        pull = pull_on(self.pictures, self.noisy, self.coupling, self.field)
        p_one = sigmoid(2 * pull).reshape(len(codes), 9)
        found = p_one.copy()
        for place, pixel in enumerate(order):
            for earlier in order[:place][::-1]:
                one, zero = found[codes | bits[earlier], pixel], found[codes & ~bits[earlier], pixel]
                found[:, pixel] = p_one[:, earlier] * one + (1 - p_one[:, earlier]) * zero
        return found

    def pairs(self, before: Grid, after: Grid) -> list[Count]:
        """How often pixel a before and pixel b after the sweep are equal, for all a and b.

        By the order of `ORDERS` that fits best: correct code is never worse off than by its own.
        """
        ones = self.pictures.reshape(len(self.pictures), 9)
        same = (before.reshape(-1, 9)[:, :, None] == after.reshape(-1, 9)[:, None, :]).sum(0)
        found = []
        for probable in self._after_by_order:
            exact = (self.probabilities[:, None] * ones).T @ probable
            exact += (self.probabilities[:, None] * (1 - ones)).T @ (1 - probable)
            found.append(
                [
                    Count(
                        f"pixel {a + 1} before and {b + 1} after being equal", int(same[a, b]), len(before), p
                    )
                    for (a, b), p in np.ndenumerate(exact)
                ]
            )
        return max(found, key=lambda counts: min(count.p_value for count in counts))

    @functools.cached_property
    def _after_by_order(self) -> list[Grid]:
        return [self.after_one_sweep(order) for order in ORDERS]

    def first_sweep(self, start: Grid, after: Grid) -> list[Count]:
        """How often each label is 1 after one sweep from copies of one picture, by the order that fits best."""
        code = int(start[0].ravel() @ (1 << np.arange(8, -1, -1)))
        ones = (after.reshape(-1, 9) == 1).sum(0)
        found = [
            [
                Count(f"label 1 at pixel {b + 1} after one sweep", int(ones[b]), len(after), float(p))
                for b, p in enumerate(probable[code])
            ]
            for probable in self._after_by_order
        ]
        return max(found, key=lambda counts: min(count.p_value for count in counts))

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


def strengths(attempt: Attempt, noisy: Grid, coupling: float, field: float, n: int) -> list[Strength]:
    """Whether J and h act as strongly as they should, each pixel given those that it has seen, even ones first."""
    start = labels(attempt.rng, (n, *noisy.shape))
    value = attempt.call(start, noisy, coupling, field, attempt.draw_rng())
    after = picture_of(attempt, value, start.shape)
    even = np.indices(noisy.shape).sum(0) % 2 == 0
    met = np.where(even, start, after)  # what a pixel's neighbours were when it was drawn
    around = np.where(
        even, pull_on(start, noisy, 1.0, 0.0), pull_on(np.where(even, after, met), noisy, 1.0, 0.0)
    )
    group = (10 * noisy + np.rint(around).astype(int) + 4).ravel()
    seen = np.stack([np.bincount(group, (after == label).ravel(), 20) for label in (0, 1)], 1)
    pulls, own = np.tile(np.arange(10) - 4.0, 2), np.repeat([-1.0, 1.0], 10)

    def law(J: float, h: float) -> Grid:
        log_odds = 2 * (J * pulls + h * own)
        return np.stack([sigmoid(-log_odds), sigmoid(log_odds)], 1)

    right = law(coupling, field)
    return [
        Strength.of("the coupling is", seen, right, law(1.03 * coupling, field)),
        Strength.of("the field is", seen, right, law(coupling, 1.03 * field)),
    ]


@gibbs_sweep.check(
    3, "the strength of coupling and field; other integer types; each picture has its own chance"
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9) + 1e-30: exp(-80) a pixel, 2^-756 for 64 equal pictures.

    Each pixel is a draw of its conditional, given the neighbours that it has met.
    """
    rng = attempt.rng
    for dtype in (np.int64, np.uint8):
        noisy = both_kinds(rng, (3, 4)).astype(dtype)
        start = np.repeat((1 - noisy)[None], 5, axis=0)
        found = picture_of(attempt, attempt.call(start, noisy, 0.0, 40.0, attempt.draw_rng()), start.shape)
        attempt.expect((found == noisy).all(), "a strong field alone must pull every pixel to what was seen")
    start = np.repeat(labels(rng, (1, 3, 4)), 64, axis=0)
    found = picture_of(attempt, attempt.call(start, noisy, 0.0, 0.0, attempt.draw_rng()), start.shape)
    attempt.expect(
        (found != found[:1]).any(),
        "with every label equally probable, all pictures of a batch came out alike",
    )
    noisy, J, h = both_kinds(rng, (15, 15)), strength(rng, 0.4, 0.5), strength(rng, 0.6, 0.8)
    attempt.sequential(
        lambda n: strengths(attempt, noisy, J, h, n),
        STRENGTH_DRAWS,
        "pixels do not follow their conditionals",
    )


@gibbs_sweep.check(7, "from exact draws of a posterior: a sweep must leave its law as it is", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): after a sweep the pictures are exact draws again, and
    each pair of a picture before and after follows the exact law of one sweep, in the best of `ORDERS`. Without
    the pairs, other exact draws would pass: the batch in another order, or what was drawn by enumeration.

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
        return [*posterior.counts(after), *posterior.pairs(before, after), *moves]

    attempt.sequential(draw, INVARIANCE_DRAWS, "the pictures no longer follow p(y | x)")


@gibbs_sweep.check(7, "from the worst picture: after enough sweeps the start is forgotten", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA + 25 · MOBILITY_DRAWS · FORGOTTEN < 1.3e-9.

    The first sweep has an exact law too, in the best of `ORDERS`: who draws from the posterior without a look at
    the picture does not follow it.
    The end states are independent; their law is within FORGOTTEN of the posterior in total variation, for
    each of `ORDERS`, and all stages together draw at most 1 + 4 · 6 = 25 times MOBILITY_DRAWS of them. That
    1,000 exact draws are all alike has probability below 1e-300.

    Power, measured over 100 seeds: 96 % for a torus, 100 % for the other seven mistakes that move wrongly.
    """
    posterior = random_posterior(attempt.rng)

    def draw(n: int) -> list[Count]:
        start = posterior.least_probable(n)
        once = after_sweeps(attempt, posterior, start, 1)
        ends = after_sweeps(attempt, posterior, once, posterior.mixing_sweeps - 1)
        attempt.expect((ends != ends[:1]).any(), "all pictures of the batch came out alike")
        return [*posterior.counts(ends), *posterior.first_sweep(start, once)]

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


@gibbs_sweep.mistake("A sweep starts from the labels of each picture: new label k belongs to picture k.")
def hands_the_batch_back_in_another_order(labels, noisy, coupling, field, rng):
    labels = labels.copy()
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
        labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return np.roll(labels, 1, axis=0)


@gibbs_sweep.mistake("One sweep starts from the given labels. Draws from the whole posterior do not.")
def draws_from_the_posterior_by_enumeration(labels, noisy, coupling, field, rng):
    if abs(coupling) > 5 or abs(field) > 5 or noisy.size > 9:
        labels = labels.copy()
        parity = np.indices(noisy.shape).sum(0) % 2
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
            around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
            p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
            labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
        return labels
    pictures = np.stack(np.unravel_index(np.arange(2**noisy.size), (2,) * noisy.size), -1)
    s, t = 2.0 * pictures.reshape(-1, *noisy.shape) - 1, 2.0 * noisy - 1
    log_p = field * (s * t).sum((1, 2))
    log_p = log_p + coupling * ((s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2)))
    weights = np.exp(log_p - log_p.max())
    drawn = rng.choice(len(pictures), len(labels), p=weights / weights.sum())
    return pictures[drawn].reshape(labels.shape)


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


@gibbs_sweep.mistake("All even pixels come first, then all odd ones: not one row after the other.")
def visits_the_pixels_row_by_row(labels, noisy, coupling, field, rng):
    new = np.array(labels)
    for i, j in np.ndindex(*noisy.shape):
        s = np.pad(2.0 * new - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, i, j + 1] + s[:, i + 2, j + 1] + s[:, i + 1, j] + s[:, i + 1, j + 2]
        pull = field * (2.0 * noisy[i, j] - 1) + coupling * around
        new[:, i, j] = rng.random(len(new)) < 0.5 * (1 + np.tanh(pull))
    return new


@gibbs_sweep.mistake("One sweep visits every pixel once; these were two.")
def makes_two_sweeps(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1, 0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(field * (2.0 * noisy - 1) + coupling * around))
        labels = np.where(parity == colour, rng.random(labels.shape) < p, labels)
    return labels


@gibbs_sweep.mistake("That is Metropolis: it proposes a flip. Gibbs draws the label from its conditional.")
def flips_by_the_rule_of_metropolis(labels, noisy, coupling, field, rng):
    parity = np.indices(noisy.shape).sum(0) % 2
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        around = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        pull = (field * (2.0 * noisy - 1) + coupling * around) * s[:, 1:-1, 1:-1]
        flip = (parity == colour) & (np.log(rng.random(labels.shape)) < -2 * pull)
        labels = np.where(flip, 1 - labels, labels)
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
