"""What the checks share."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from autograder.exercises.sequential import Count, Evidence, Spread
from autograder.sandbox.worker import codec

from .definitions import Array


def noise_counts(z: Array) -> list[Evidence]:
    """Features of `z` (n, d) that have exact laws if all entries are independent N(0, 1) draws."""
    n, d = z.shape
    tail = float(ndtri(0.1))
    found: list[Evidence] = [Spread("the spread around the exact mean", float((z * z).sum()), n * d)]
    for i in range(d):
        found += [
            Count(f"a draw of coordinate {i} below its mean", int((z[:, i] < 0).sum()), n, 0.5),
            Count(f"a draw of coordinate {i} near its mean", int((abs(z[:, i]) < ndtri(0.75)).sum()), n, 0.5),
            Count(f"a draw of coordinate {i} far below its mean", int((z[:, i] < tail).sum()), n, 0.1),
        ]
        same = z[: n // 2, i] * z[n // 2 : 2 * (n // 2), i] > 0
        found.append(Count(f"two chains alike in coordinate {i}", int(same.sum()), n // 2, 0.5))
    for i in range(1, d):
        same = z[:, i - 1] * z[:, i] > 0
        found.append(Count(f"alike noise in coordinates {i - 1} and {i}", int(same.sum()), n, 0.5))
    return found


def transition_counts(starts: Array, ends: Array, P: Array) -> list[Count]:
    """How often each state was reached from each; `P` is the exact transition matrix."""
    seen = np.zeros(P.shape, dtype=int)
    np.add.at(seen, (starts, ends), 1)
    draws = seen.sum(1)
    return [
        Count(
            f"{'staying' if i == j else f'a move to state {j}'} from state {i}",
            int(seen[i, j]),
            int(draws[i]),
            min(max(float(P[i, j]), 0.0), 1.0),
        )
        for i, j in np.ndindex(*P.shape)
    ]


class FiniteSpace(NamedTuple):
    """Log-probabilities up to a constant, and a proposal matrix."""

    log_p: Array
    Q: Array

    @property
    def arguments(self) -> tuple[codec.Source, codec.Source, codec.Source]:
        """`log_density`, `propose` and `log_proposal` of states that are rows (k // 2, k % 2)."""
        with np.errstate(divide="ignore"):
            log_Q = np.log(self.Q)
        edges = np.cumsum(self.Q, axis=1)[:, :-1]
        index = "(2 * {0}[:, 0] + {0}[:, 1]).astype(int)"
        chosen = f"(rng.random((len(x), 1)) >= edges[{index.format('x')}]).sum(1)"
        return (
            codec.Source(f"lambda x: log_p[{index.format('x')}]", log_p=self.log_p),
            codec.Source(
                f"lambda x, rng: (lambda k: np.stack([k // 2, k % 2], 1).astype(float))({chosen})",
                edges=edges,
            ),
            codec.Source(
                f"lambda to, given: log_Q[{index.format('given')}, {index.format('to')}]", log_Q=log_Q
            ),
        )


def with_correction(space: FiniteSpace, power: float) -> Array:
    """P with the ratio of proposals to a `power`: 1 is right, 0 leaves it out, -1 turns it round."""
    ratio = np.ones_like(space.Q)
    both = (space.Q > 0) & (space.Q.T > 0)
    ratio[both] = (space.Q.T[both] / space.Q[both]) ** power
    P = space.Q * np.minimum(1.0, np.exp(space.log_p[None] - space.log_p[:, None]) * ratio)
    if power > 0:
        P[~both] = 0.0
    np.fill_diagonal(P, 0.0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P
