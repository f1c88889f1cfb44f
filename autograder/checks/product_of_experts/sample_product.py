"""Exercise 4: sampling a product."""

import math

import numpy as np
from scipy.special import ndtri

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Strength
from autograder.sandbox.worker import codec

from .definitions import Array, sample_product_of

sample_product = Exercise("sample_product", "Sampling a product", sample_product_of)

LETTERS = 8
DRAWS = 1000
SINGLE_DRAWS = 150
STRENGTH_DRAWS = 22_000
"""So that a log-density counted 3 % too much or too little is caught with probability 0.99."""


class Letters:
    """Two categoricals: letters come from the first, the second accepts them. All is known exactly."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.first = 0.7 * rng.dirichlet(np.full(LETTERS, 3.0)) + 0.3 / LETTERS
        # The acceptances have a mean near ¼ and differ by a factor of ten, so that each error shows.
        self.accepts = rng.permutation(np.geomspace(0.07, 0.9, LETTERS))
        self.law = self.raised(1.0)

    def raised(self, power: float) -> Array:
        """The product with the second expert to a power."""
        weights = self.first * self.accepts**power
        return np.asarray(weights / weights.sum())

    def contrast(self) -> None:
        """Half of the letters are accepted ten times less often, and proposed as much oftener: power shows best."""
        rare = self.accepts <= np.median(self.accepts)
        self.accepts = np.where(rare, 0.09, 0.9)
        self.first = np.where(rare, 10.0, 1.0) * self.first
        self.first /= self.first.sum()
        self.law = self.raised(1.0)

    @property
    def arguments(self) -> tuple[codec.Source, codec.Source]:
        return (
            codec.Source(
                "lambda n, rng: np.searchsorted(c, rng.random(n)) * 1.0", c=np.cumsum(self.first)[:-1]
            ),
            codec.Source("lambda x: a[np.asarray(x).astype(int)]", a=np.log(self.accepts)),
        )

    def counts(self, x: Array) -> list[Count]:
        """How often each letter comes, and how often two successive draws are alike."""
        found = [Count(f"letter {k}", int((x == k).sum()), len(x), float(p)) for k, p in enumerate(self.law)]
        pairs = x[: len(x) // 2 * 2].reshape(-1, 2)
        alike = int((pairs[:, 0] == pairs[:, 1]).sum())
        return [*found, Count("a pair of equal draws", alike, len(pairs), float(self.law @ self.law))]


def drawn(attempt: Attempt, value: object, n: int) -> Array:
    """The draws as numbers, all finite, or a clear complaint."""
    x = attempt.array(value, (n,))
    attempt.expect(np.isfinite(x.astype(float)).all(), "the draws must be finite numbers")
    return x


@sample_product.check(
    5, "experts that allow or exclude: only what all allow may come, n draws, no draw twice"
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-9: two of 300 uniform numbers of 53 bits coincide."""
    rng = attempt.rng
    low = float(rng.uniform(0.1, 0.6))
    propose = codec.Source("lambda n, rng: rng.random(n)")
    inside = codec.Source("lambda x: np.where((x > low) & (x < low + 0.3), 0.0, -np.inf)", low=low)
    sizes = [1] * 30 + [2, 7, 300]
    values = attempt.call_many([(propose, inside, n, attempt.draw_rng()) for n in sizes])
    found = [drawn(attempt, value, n) for value, n in zip(values, sizes)]
    allowed = all(((x > low) & (x < low + 0.3)).all() for x in found)
    attempt.expect(allowed, "draws came back that one of the experts excludes")
    distinct = all(len(np.unique(x)) == len(x) for x in found)
    attempt.expect(
        distinct, "the same draw came back more than once, from an expert that never repeats itself"
    )


@sample_product.check(8, "two experts on eight letters: the exact law, many draws at once", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ 2 · ALPHA (2e-9).

    The draws must be independent with the law of the product; pairs are disjoint, so their counts are binomial.
    Power, measured over 200 seeds: 100 % for all mistakes but choosing again among proposals,
    which the first check catches for certain.
    """
    letters = Letters(attempt.rng)

    def draw(n: int) -> list[Count]:
        value = attempt.call(*letters.arguments, n, attempt.draw_rng())
        return letters.counts(drawn(attempt, value, n))

    attempt.sequential(draw, DRAWS, "the draws do not follow the product")
    letters.contrast()

    def strength(n: int) -> list[Strength]:
        x = drawn(attempt, attempt.call(*letters.arguments, n, attempt.draw_rng()), n)
        attempt.expect(np.isin(x, np.arange(LETTERS)).all(), "draws came back that were never proposed")
        seen = np.bincount(x.astype(int), minlength=LETTERS)
        return [
            Strength.of("the other experts count", seen[None], letters.law[None], letters.raised(1.03)[None])
        ]

    attempt.sequential(strength, STRENGTH_DRAWS, "the draws do not follow the product")


@sample_product.check(3, "the same law, one draw in a call", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): each call has a generator of its own.

    Power, measured over 200 seeds: 100 % for four mistakes that a single draw shows, 95 % for
    the squared acceptance and 71 % for choosing again. Repeating and sorting cannot show in one draw.
    """
    letters = Letters(attempt.rng)

    def draw(n: int) -> list[Count]:
        calls = [(*letters.arguments, 1, attempt.draw_rng()) for _ in range(n)]
        found = [drawn(attempt, value, 1)[0] for value in attempt.call_many(calls)]
        return letters.counts(np.array(found))

    attempt.sequential(draw, SINGLE_DRAWS, "single draws do not follow the product")


@sample_product.check(4, "a Gaussian expert and a bell-shaped one beside it", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): the product is a Gaussian with known quantiles."""
    rng = attempt.rng
    centre, width = float(rng.choice([-1, 1]) * rng.uniform(1.0, 1.6)), float(rng.uniform(0.4, 0.6))
    propose = codec.Source("lambda n, rng: rng.standard_normal(n)")
    bell = codec.Source("lambda x: -0.5 * ((x - c) / s) ** 2", c=centre, s=width)
    variance = 1 / (1 + 1 / width**2)
    mean = variance * centre / width**2
    shares = np.arange(1, 10) / 10
    cuts = mean + math.sqrt(variance) * ndtri(shares)

    def draw(n: int) -> list[Count]:
        x = drawn(attempt, attempt.call(propose, bell, n, attempt.draw_rng()), n)
        below = [
            Count(f"a draw below the {share:.0%} quantile", int((x < cut).sum()), n, float(share))
            for share, cut in zip(shares, cuts)
        ]
        half = x[: n // 2 * 2].reshape(-1, 2) < mean
        alike = int((half[:, 0] == half[:, 1]).sum())
        return [*below, Count("a pair on the same side", alike, len(half), 0.5)]

    attempt.sequential(draw, DRAWS, "the draws do not follow the product")


@sample_product.mistake(
    "Draws of the first expert came back: the other experts must accept or reject each of them."
)
def ignores_the_other_experts(propose, log_others, n, rng):
    return propose(n, rng)


@sample_product.mistake("Accept where the uniform number lies *below* exp(log_others(x)), not above.")
def keeps_what_should_be_rejected(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[rng.random(len(x)) >= np.exp(log_others(x))])
    return kept[:n]


@sample_product.mistake(
    "Choosing again among a few proposals repeats them, and is right for very many only: reject."
)
def resamples_proposals_by_their_weights(propose, log_others, n, rng):
    x = propose(2 * n, rng)
    weights = np.exp(log_others(x)) + 1e-300
    return x[rng.choice(2 * n, n, p=weights / weights.sum())]


@sample_product.mistake("Rejected proposals leave gaps: go on proposing until n draws are accepted.")
def returns_fewer_than_n(propose, log_others, n, rng):
    x = propose(n, rng)
    return x[rng.random(n) < np.exp(log_others(x))]


@sample_product.mistake(
    "A rejected proposal is thrown away; repeating the last accepted draw belongs to Metropolis."
)
def repeats_the_last_draw_after_a_rejection(propose, log_others, n, rng):
    last = None
    found = []
    while len(found) < n:
        x = propose(1, rng)
        if rng.random() < np.exp(log_others(x))[0]:
            last = x[0]
        if last is not None:
            found.append(last)
    return np.array(found)


@sample_product.mistake(
    "Accept with probability exp(log_others(x)), by chance, not always where it exceeds a threshold."
)
def accepts_above_a_threshold(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[np.exp(log_others(x)) > 0.3])
    return kept[:n]


@sample_product.mistake("The acceptance is exp(log_others(x)), once: it was used with a square or a root.")
def counts_the_other_experts_twice(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[rng.random(len(x)) < np.exp(2 * log_others(x))])
    return kept[:n]


@sample_product.mistake(
    "Draws came back in an order that depends on their values: return them as they were accepted."
)
def sorts_the_draws(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[rng.random(len(x)) < np.exp(log_others(x))])
    return np.sort(kept[:n])


@sample_product.alternative
def one_proposal_at_a_time(propose, log_others, n, rng):
    found = []
    while len(found) < n:
        x = propose(1, rng)
        if rng.random() < np.exp(log_others(x)[0]):
            found.append(x[0])
    return np.array(found)


@sample_product.alternative
def replaces_the_rejected(propose, log_others, n, rng):
    x = propose(n, rng)
    waiting = np.arange(n)
    while True:
        waiting = waiting[np.log(rng.random(len(waiting))) >= log_others(x[waiting])]
        if len(waiting) == 0:
            return x
        x[waiting] = propose(len(waiting), rng)


@sample_product.alternative
def blocks_of_growing_size(propose, log_others, n, rng):
    kept, size = [], 16
    while len(kept) < n:
        x = propose(size, rng)
        exponential = rng.exponential(size=size)
        kept.extend(x[exponential > -log_others(x)].tolist())
        size = min(2 * size, 4096)
    return np.array(kept[:n])


@sample_product.alternative
def a_generator_of_draws(propose, log_others, n, rng):
    import itertools

    def accepted():
        while True:
            x = propose(64, rng)
            u = rng.uniform(size=64)
            yield from x[u < np.exp(log_others(x))]

    return np.fromiter(itertools.islice(accepted(), n), dtype=float, count=n)
