"""How much of a busy machine a submission gets: less than the judge, and no more for being many.

A fork begins at a lower priority than the judge and all else that runs here. Those threads of a submission that ask
for a processor then weigh less, together, than the single thread of a quiet one beside it: the more there are, the
lower they are put, and there they stay. Where the kernel shares processors among sessions first (autogroup), the
zygote and all that it serves are one session, put lower once; the filter lets no submission found another.

A step of `nice` is a quarter of weight; below the lowest the kernel knows a class for what runs when nothing else
does. Sources: sched(7), setpriority(2), and the table `sched_prio_to_weight` of the Linux kernel.
"""

import contextlib
import math
import os

BELOW = 5
LOWEST = 19
STEP = 1.25
SHARE = 0.8
"""Of the weight of a quiet submission: what many threads of another weigh at most, together."""
IDLE = LOWEST + 1
GROUP = "/proc/self/autogroup"


def base() -> int:
    """The priority of a quiet submission, where this process has the judge's."""
    return min(LOWEST, max(0, os.getpriority(os.PRIO_PROCESS, 0)) + BELOW)


def lower_session() -> None:
    """Put the session of this process below others, where the kernel shares processors among sessions."""
    with contextlib.suppress(OSError), open(GROUP, "w") as file:
        file.write(str(BELOW))


def lower() -> None:
    """Put this process, and all that it forks, below the judge."""
    os.setpriority(os.PRIO_PROCESS, 0, base())


def niceness(busy: int, quiet: int) -> int:
    """The priority of each of so many threads, where one has `quiet`; `IDLE` where even the lowest would not do."""
    if busy < 2:
        return quiet
    return min(IDLE, quiet + math.ceil(math.log(busy / SHARE) / math.log(STEP)))


class Standing:
    """How far down a submission has been put, which its busiest moment decides."""

    def __init__(self) -> None:
        self.quiet = self.niceness = base()

    def watch(self, pids: list[int]) -> None:
        """Count the threads that run or want to, and put all of them where so many belong."""
        threads = [thread for pid in pids for thread in threads_of(pid)]
        self.niceness = max(self.niceness, niceness(sum(map(wants_a_processor, threads)), self.quiet))
        if self.niceness == self.quiet:
            return
        for thread in threads:
            with contextlib.suppress(OSError):  # it has ended
                if self.niceness == IDLE:
                    os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
                elif os.getpriority(os.PRIO_PROCESS, thread) < self.niceness:
                    os.setpriority(os.PRIO_PROCESS, thread, self.niceness)


def threads_of(pid: int) -> list[int]:
    """The threads of a process; none if it has ended."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def wants_a_processor(thread: int) -> bool:
    """Whether a thread runs, or would if it were given a processor."""
    try:
        with open(f"/proc/{thread}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"R"
    except OSError:
        return False
