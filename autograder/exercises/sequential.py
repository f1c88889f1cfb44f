"""Tests of samplers that fail correct code with a probability that is proven, however large the sample.

A sampler is judged by indicators whose probability is known exactly: draw n, count, take exact binomial
p-values, and decide by the sequential rule of Gandy & Scott, "Unit testing for MCMC and other Monte Carlo
methods" (arXiv:2001.06465), section 3: with β = α/k, at most k stages each fail correct code with probability
at most β, so by the union bound P(correct code fails) ≤ α.
"""

import dataclasses
from collections.abc import Callable, Sequence

ALPHA = 1e-9
"""False-failure bound of one check: 10,000 students × 50 such checks fail anyone wrongly with p ≤ 0.0005."""

STAGES = 7
GROWTH = 4


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


@dataclasses.dataclass(frozen=True)
class Decision:
    """The outcome, the stage it was reached at, and the counts of that stage."""

    passed: bool
    stage: int
    counts: tuple[Count, ...]

    @property
    def worst(self) -> Count:
        return min(self.counts, key=lambda count: count.p_value)


def sequential_test(
    draw: Callable[[int], Sequence[Count]], n: int, alpha: float = ALPHA, stages: int = STAGES
) -> Decision:
    """Decide whether `draw(n)` counts fresh draws of the exact law; wrong with probability ≤ alpha if it does.

    `draw` must make fresh, independent draws each time. The sample grows by `GROWTH` after the first stage.
    """
    beta = alpha / stages
    gamma = beta ** (1 / stages)
    counts: tuple[Count, ...] = ()
    for stage in range(1, stages + 1):
        counts = tuple(draw(n))
        q = len(counts) * min(count.p_value for count in counts)
        if q <= beta:
            return Decision(False, stage, counts)
        if q > gamma + beta:
            return Decision(True, stage, counts)
        gamma = beta / gamma
        if stage == 1:
            n *= GROWTH
    return Decision(True, stages, counts)
