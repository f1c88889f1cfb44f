"""Tests of samplers that fail correct code with a probability that is proven, however large the sample.

A sampler is judged by indicators whose probability is known exactly: draw n, count, take exact binomial
p-values, and decide by the sequential rule of Gandy & Scott, "Unit testing for MCMC and other Monte Carlo
methods" (arXiv:2001.06465), section 3: with β = α/k, at most k stages each fail correct code with probability
at most β, so by the union bound P(correct code fails) ≤ α.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

ALPHA = 1e-9
"""False-failure bound of one check: 10,000 students × 50 such checks fail anyone wrongly with p ≤ 0.0005."""

STAGES = 7
GROWTH = 4


class Evidence(Protocol):
    """What a sample says of its law: a p-value, super-uniform if the law is right, and what is wrong if not."""

    @property
    def p_value(self) -> float:
        """At most u with probability at most u, if the law is right."""

    @property
    def complaint(self) -> str:
        """What is wrong, in words without a number."""


@dataclasses.dataclass(frozen=True)
class Count:
    """`hits` of `draws` showed the feature `name`, which has probability `probability` under the exact law."""

    name: str
    hits: int
    draws: int
    probability: float

    @property
    def p_value(self) -> float:
        """Twice the smaller exact binomial tail: super-uniform if the law is right."""
        from scipy.special import bdtr, bdtrc  # here: whoever only reads checks starts without SciPy

        if self.probability <= 0.0 or self.probability >= 1.0:
            return 1.0 if self.hits == round(self.probability) * self.draws else 0.0
        at_most = bdtr(self.hits, self.draws, self.probability)
        at_least = bdtrc(self.hits - 1, self.draws, self.probability) if self.hits else 1.0
        return float(min(1.0, 2 * min(at_most, at_least)))

    @property
    def complaint(self) -> str:
        return (
            f"{self.name} comes out too {'often' if self.hits > self.probability * self.draws else 'rarely'}"
        )


@dataclasses.dataclass(frozen=True)
class Strength:
    """A sum of one statistic over independent draws from a few finite laws: it sees small errors of a strength.

        T = Σ t(outcome),   P(T ≥ τ) ≤ exp(K(λ) - λ τ) for every λ ≥ 0,   K(λ) = Σ n_g log Σ_o p_go exp(λ t_go)

    Chernoff's bound, at the best λ, so that the p-value is proven, not approximate. With t the logarithm of the
    ratio of the law at a strength a little off to the exact one, nothing sees that error sooner (Neyman & Pearson).
    """

    name: str
    total: float
    draws: np.ndarray
    law: np.ndarray
    statistic: np.ndarray

    @classmethod
    def of(cls, name: str, seen: np.ndarray, law: np.ndarray, off: np.ndarray) -> "Strength":
        """From how often each outcome was seen in each group, its probability, and that of the law a little off."""
        possible = (law > 0) & (off > 0)
        statistic = np.log(np.where(possible, off, 1.0) / np.where(possible, law, 1.0))
        return cls(name, float((seen * statistic).sum()), seen.sum(-1), law, statistic)

    @property
    def expected(self) -> float:
        return float((self.draws * (self.law * self.statistic).sum(-1)).sum())

    @property
    def p_value(self) -> float:
        """Twice Chernoff's bound on the tail that was reached."""
        side = 1.0 if self.total > self.expected else -1.0
        statistic, total = side * self.statistic, side * self.total

        def slope(strength: float) -> float:
            weights = self.law * np.exp(strength * statistic)
            mean = (weights * statistic).sum(-1) / weights.sum(-1)
            return float((self.draws * mean).sum()) - total

        low, high = 0.0, 1.0
        while slope(high) < 0 and high < 64:
            high *= 2
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        cumulant = float((self.draws * np.log((self.law * np.exp(low * statistic)).sum(-1))).sum())
        return min(1.0, 2 * math.exp(min(0.0, cumulant - low * total)))

    @property
    def complaint(self) -> str:
        return f"{self.name} too {'strong' if self.total > self.expected else 'weak'}"


@dataclasses.dataclass(frozen=True)
class Spread:
    """A sum of squares of `draws` standard normal numbers, whose law is χ²."""

    name: str
    sum_of_squares: float
    draws: int

    @property
    def p_value(self) -> float:
        from scipy.special import chdtr, chdtrc

        tails = chdtr(self.draws, self.sum_of_squares), chdtrc(self.draws, self.sum_of_squares)
        return float(min(1.0, 2 * min(tails)))

    @property
    def complaint(self) -> str:
        return f"{self.name} is too {'large' if self.sum_of_squares > self.draws else 'small'}"


@dataclasses.dataclass(frozen=True)
class Decision:
    """The outcome, the stage it was reached at, and the evidence of that stage."""

    passed: bool
    stage: int
    evidence: tuple[Evidence, ...]

    @property
    def counts(self) -> tuple[Count, ...]:
        return tuple(one for one in self.evidence if isinstance(one, Count))

    @property
    def worst(self) -> Evidence:
        return min(self.evidence, key=lambda one: one.p_value)


def sequential_test(
    draw: Callable[[int], Sequence[Evidence]], n: int, alpha: float = ALPHA, stages: int = STAGES
) -> Decision:
    """Decide whether `draw(n)` tells of fresh draws of the exact law; wrong with probability ≤ alpha if it does.

    `draw` must make fresh, independent draws each time. The sample grows by `GROWTH` after the first stage.
    """
    beta = alpha / stages
    gamma = beta ** (1 / stages)
    found: tuple[Evidence, ...] = ()
    for stage in range(1, stages + 1):
        found = tuple(draw(n))
        q = len(found) * min(one.p_value for one in found)
        if q <= beta:
            return Decision(False, stage, found)
        if q > gamma + beta:
            return Decision(True, stage, found)
        gamma = beta / gamma
        if stage == 1:
            n *= GROWTH
    return Decision(True, stages, found)
