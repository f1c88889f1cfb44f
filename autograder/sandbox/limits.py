"""What a submission may use, and the stopwatch that says when it has used it.

How busy the machine is decides nothing: processor time counts, and sleep of the submission's own accord.
"""

import contextlib
import dataclasses
import os
import time
from typing import Protocol

from autograder.sandbox.worker.account import starved_seconds

PATIENCE = (2.0, 5.0)
"""Who may work for s seconds may also sleep or wait for 2 s + 5."""
SHORT = 0.1
"""A shorter wait is not asked about."""
STARVED = (30.0, 120.0)
"""Who may work for s seconds and did not get to it within 30 s + 120 on the wall's clock, was not let."""


def patience(seconds: float) -> float:
    """How long who may work for so many seconds may sleep or wait."""
    return PATIENCE[0] * seconds + PATIENCE[1]


def starved_here() -> float:
    """How long this process itself was ready and had no processor: no submission's waiting."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return starved_seconds(os.getpid())
    return 0.0


class Starved(RuntimeError):
    """The machine was too busy to say anything about a submission, which stays ungraded."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one submission may use: bytes, processes, and seconds of processor time (see `Stopwatch`)."""

    memory: int = 2 << 30
    cpu_seconds: int = 180
    processes: int = 48
    file_bytes: int = 32 << 20
    scratch_bytes: int = 64 << 20
    cell_seconds: float = 20.0
    notebook_seconds: float = 90.0
    total_seconds: float = 600.0
    """At work or asleep, however often the notebook is executed again."""

    @classmethod
    def set_by(cls, settings: tuple[tuple[str, float], ...]) -> "Limits":
        """These limits, but for what a course sets: `cell_seconds`, `notebook_seconds`, `memory_gb`."""
        limits, chosen = cls(), dict(settings)
        if gigabytes := chosen.pop("memory_gb", None):
            limits = dataclasses.replace(limits, memory=int(gigabytes * (1 << 30)))
        limits = dataclasses.replace(limits, **chosen)  # type: ignore[arg-type]
        longest = max(limits.notebook_seconds, limits.cell_seconds)
        return dataclasses.replace(
            limits,
            cpu_seconds=max(limits.cpu_seconds, int(2 * longest)),
            total_seconds=max(limits.total_seconds, 6 * longest),
        )


class Keeper(Protocol):
    """Whoever has the running submission: says what it used and ends it, as `Sandbox` does."""

    spent: float
    """Seconds, of all submissions until now."""

    def used(self, since: float, interrupt: bool = False) -> tuple[float, float]:
        """Processor seconds, and seconds without a processor, since a moment; may stop the cell that runs."""

    def end(self) -> str:
        """End the submission; returns why it ended."""


class Stopwatch:
    """How long a submission may still be at work: the deadline of whoever waits for its answer.

    What counts is processor time of all its processes, and apart from that the time in which it slept or waited
    of its own accord. The time in which it was ready and another program had the processor does not count: how
    busy the machine is decides nothing. It asks the zygote only when the wall's clock could mean a limit.
    """

    def __init__(self, keeper: Keeper, seconds: float) -> None:
        self.keeper = keeper
        self.seconds = seconds
        self.begun = time.monotonic()
        self.paused = 0.0  # while nobody waited: the judge's own work costs the student no time
        self._stopped: float | None = None
        self._starved_before = starved_here()
        self._told = 0.0  # of what it slept, what the keeper knows
        self.worked = self.waited = 0.0

    @property
    def elapsed(self) -> float:
        """On the wall's clock, but for the pauses."""
        return (self._stopped or time.monotonic()) - self.begun - self.paused

    @property
    def slept(self) -> bool:
        """Whether it was sleeping or waiting that used up the time, rather than work."""
        return self.worked < self.seconds

    def left(self) -> float:
        """Seconds until it is worth looking again; none once a limit is reached. Raises `Starved`."""
        elapsed = self.elapsed
        if elapsed < self.seconds:
            return self.seconds - elapsed
        self.measure()
        left = min(self.seconds - self.worked, patience(self.seconds) - self.waited)
        if left > 0 and elapsed > STARVED[0] * self.seconds + STARVED[1]:
            raise Starved(
                f"the machine was too busy: in {elapsed:.0f} seconds the submission was given {self.worked:.1f} "
                "seconds of a processor; grade it again when less is running"
            )
        if left <= 0:
            self._tell()
            return 0.0
        return max(left, 0.02)

    def settle(self) -> None:
        """Nobody waits any more: what the submission slept counts towards what it may use in all."""
        if self.elapsed >= SHORT:
            self.measure()
            self._tell()

    def _tell(self) -> None:
        self.keeper.spent += max(0.0, self.waited - self._told)
        self._told = max(self._told, self.waited)

    def measure(self, interrupt: bool = False) -> None:
        """Ask what was used, and have the cell that runs stopped if that is wanted."""
        elapsed = self.elapsed
        self.worked, starved = self.keeper.used(self.begun, interrupt)
        starved += starved_here() - self._starved_before
        self.waited = max(0.0, elapsed - self.worked - starved)

    def stop(self) -> None:
        """Nobody waits from now on, until `go`."""
        self._stopped = time.monotonic()

    def go(self) -> None:
        """Somebody waits again."""
        if self._stopped is not None:
            self.paused += time.monotonic() - self._stopped
            self._stopped = None
