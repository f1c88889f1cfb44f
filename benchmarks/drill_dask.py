"""The large drill on a Dask cluster of this machine: workers, scheduler and the command itself killed at random.

    python benchmarks/drill_dask.py [--submissions 10000] [--worker-kills 60] [--scheduler-kills 10]
                                    [--command-kills 10]

As in `drill.py`, but the command is told `--dask ADDRESS`. The scheduler and two workers are started as an
instructor starts them, and again as a service manager would when they end: the scheduler at the same address. A
killed scheduler ends the command, which says so in one line and is started again. Then, exactly:

    nothing lost         as in `drill.py`
    nothing twice        no verdict that was kept was written again. A verdict was begun more than once only if
                         what would have brought it home was killed: the worker of the process that had begun
                         it, or the command or the scheduler of that run; and of those only what was on its
                         way: two for each thread of the cluster
    nothing left behind  the last command's lanes end with it, and with the cluster everything else

Results go to `benchmarks/results/drill_dask.json`.
"""

import os
import shutil
import signal
import tempfile
from collections import defaultdict
from pathlib import Path

import drill
from drill import Drill, below, identity, lanes, peak

WORKERS = 2
ON_THE_WAY = 2 * WORKERS
GONE = "autograder: the Dask scheduler at "


class DaskDrill(Drill):
    """A drill whose lanes are on the workers of a cluster."""

    def __init__(self, root: Path, submissions: int, isolation: str, seed: int) -> None:
        super().__init__(root, submissions, isolation, seed)
        self.killed |= {"worker": [], "scheduler": []}
        self.cut: set[str] = set()
        self.seen = 0
        folder = root / "machines"
        folder.mkdir()
        self.machines = drill.of_the_tests("test_cluster").Machines(folder, WORKERS, **self.environment)
        self.command += ["--dask", self.machines.address]

    def _attend(self) -> None:
        self.machines.mend()

    def _run(self, kills: list[tuple[int, str]]) -> int:
        """One command; notes which of the verdicts that it had begun were cut off with it."""
        before = self._runs_so_far()
        self.seen = len(self._log())
        code = super()._run(kills)
        if code in (1, -signal.SIGKILL):
            self.cut |= self._runs_so_far() - before
        return code

    def _runs_so_far(self) -> set[str]:
        return {run_of(place) for _, _, place in self._log()}

    def _may_end(self, code: int, said: str) -> bool:
        return super()._may_end(code, said) or (code == 1 and said.splitlines()[-1].startswith(GONE))

    def _kill(self, what: str, command: int) -> bool:
        """Whether there was something to kill: not before the command has had a verdict begun."""
        if len(self._log()) == self.seen:
            return False
        nannies = [nanny.pid for nanny in self.machines.nannies]
        if what == "worker":
            victim = self.random.choice([pid for nanny in nannies for pid in (nanny, *workers(nanny))])
        else:
            victim = command if what == "command" else self.machines.scheduler.pid
        try:
            names = [identity(pid) for pid in lanes(victim)]
            if what == "worker" and not names:
                return False
            os.kill(victim, signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            return False
        self.killed["lane"] += names  # lanes die with their worker
        self.killed[what].append(str(victim))
        return True

    def _memory(self, command: int) -> dict[str, float]:
        all_workers = [pid for nanny in self.machines.nannies for pid in workers(nanny.pid)]
        return {
            "command_peak_mib": peak(command),
            "scheduler_peak_mib": peak(self.machines.scheduler.pid),
            "largest_worker_peak_mib": max([peak(pid) for pid in all_workers], default=0.0),
        }

    def begun_again(self) -> int:
        """How many verdicts were begun more than once; complains where nothing was killed that held them."""
        twice = self._begun_twice()
        cut_off: dict[str, set[str]] = defaultdict(set)
        for verdict, before, after in twice:
            run = run_of(before.place)
            if run != run_of(after.place) and run in self.cut:
                cut_off[run].add(verdict)
            elif before.process not in self.killed["lane"] or before.since >= ON_THE_WAY:
                self.wrong.append(f"{verdict} was begun again though nothing that held it was killed")
        for run, verdicts in cut_off.items():
            if len(verdicts) > ON_THE_WAY:
                self.wrong.append(f"{len(verdicts)} verdicts were on their way in {run} when it was cut off")
        return len(twice)

    def look_for_processes(self) -> None:
        last = f"lane-{run_of(self._log()[-1][2])}-"
        for nanny in self.machines.nannies:
            for pid in lanes(nanny.pid):
                if last.encode() in drill.read(f"/proc/{pid}/environ"):
                    self.wrong.append(f"lane {pid} outlived its command")
        self.machines.stop()
        super().look_for_processes()

    def kills(self) -> dict[str, int]:
        return {f"{what}s_killed": len(names) for what, names in self.killed.items()}


def run_of(place: str) -> str:
    """The command that a lane serves: its folder's name tells."""
    return place.split("-")[1]


def workers(nanny: int) -> list[int]:
    """A nanny's worker; nobody while it starts one."""
    return [pid for pid in below(nanny) if b"spawn_main" in drill.read(f"/proc/{pid}/cmdline")]


def main() -> None:
    options = drill.options_of(__doc__, "drill_dask.json", worker=60, scheduler=10, command=10).parse_args()
    root = Path(tempfile.mkdtemp(prefix="drill-"))
    one = DaskDrill(root, options.submissions, options.isolation, options.seed)
    kills = {what: getattr(options, f"{what}_kills") for what in ("worker", "scheduler", "command")}
    try:
        drill.keep({"workers": WORKERS} | drill.drill(one, kills), options.output)
    finally:
        one.machines.stop()
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
