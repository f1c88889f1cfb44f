"""What a submission has used, as the kernel counts it: processor seconds, and seconds in which it was kept waiting.

A clock on the wall says how busy the machine is. `/proc/PID/stat` says how long a process and the children that it
waited for were at work; `/proc/PID/schedstat` how long it was ready and had no processor. The zygote reads both,
from outside the processes it reads of. Source: proc(5), sched-stats(7) of the Linux kernel.
"""

import bisect
import contextlib
import os
import time

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.1
SAMPLES = 20_000


def processor_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS


def starved_seconds(pid: int) -> float:
    """How long the first thread of a process was ready to run and had to wait for a processor."""
    with open(f"/proc/{pid}/schedstat", "rb") as file:
        return int(file.read().split()[1]) / 1e9


class Account:
    """A submission's use over time; since when is asked after the fact, so that most calls need not ask."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.samples: list[tuple[float, float]] = []
        self.processor = 0.0
        self.starved = 0.0

    def sample(self, pids: list[int]) -> None:
        """Read what the processes used so far; the sums never fall, though processes end."""
        processor = starved = 0.0
        for pid in pids:
            with contextlib.suppress(OSError, ValueError, IndexError):
                processor += processor_seconds(pid)
                starved += starved_seconds(pid)
        self.processor = max(self.processor, processor)
        self.starved = max(self.starved, starved)

    def watch(self, pids: list[int]) -> None:
        """Sample now and then, and remember when."""
        now = time.monotonic()
        if self.times and now < self.times[-1] + SAMPLE_SECONDS:
            return
        self.sample(pids)
        self.times.append(now)
        self.samples.append((self.processor, self.starved))
        if len(self.times) > SAMPLES:
            del self.times[: SAMPLES // 2], self.samples[: SAMPLES // 2]

    def since(self, moment: float, pids: list[int]) -> tuple[float, float]:
        """Processor and starved seconds from `moment` (of `time.monotonic`) until now."""
        self.sample(pids)
        processor, starved = self._at(moment)
        return self.processor - processor, self.starved - starved

    def _at(self, moment: float) -> tuple[float, float]:
        """The sums at a moment, between samples on a straight line."""
        index = bisect.bisect_right(self.times, moment)
        if index == 0:
            return (0.0, 0.0)
        before, (processor, starved) = self.times[index - 1], self.samples[index - 1]
        now = index == len(self.times)
        after = time.monotonic() if now else self.times[index]
        later = (self.processor, self.starved) if now else self.samples[index]
        share = (moment - before) / (after - before) if after > before else 0.0
        return processor + share * (later[0] - processor), starved + share * (later[1] - starved)
