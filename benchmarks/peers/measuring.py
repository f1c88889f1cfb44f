"""What the benchmarks of this folder share: how they are started, and how they measure.

A topic is a module with `RUNS`, what to measure, and `claims(rows)`, what should come out. Each run is a process of
its own, in the course's environment or in the peers': `python benchmarks/peers/ising.py thrml '{"side": 64}'`
measures one contender and prints what it found as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

Row = dict[str, Any]


class Run(NamedTuple):
    """One process: a contender, the environment it lives in (`course` or `peers`), and its case."""

    contender: str
    environment: str
    case: Row


class Claim(NamedTuple):
    """A sentence with a number in it: the figure measured, and the least or the most that it may be."""

    claim: str
    figure: float
    bound: float
    least: bool

    @property
    def holds(self) -> bool:
        return self.figure >= self.bound if self.least else self.figure <= self.bound


def at_least(claim: str, figure: float, bound: float) -> Claim:
    return Claim(claim, figure, bound, least=True)


def at_most(claim: str, figure: float, bound: float) -> Claim:
    return Claim(claim, figure, bound, least=False)


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rates(work: Callable[[], object], amount: float, rounds: int = 4) -> Row:
    """`amount` a nanosecond: the best of some rounds after one that warms up, and all of them."""
    work()
    found = [amount / timed(work) / 1e9 for _ in range(rounds)]
    return {"value": max(found), "rounds": found}


def main(contenders: dict[str, Callable[..., Row]]) -> None:
    """Measure the contender named on the command line in the case given there."""
    print(json.dumps(contenders[sys.argv[1]](**json.loads(sys.argv[2]))))
