"""A large class, with the grader's processes killed at random: nothing may be lost, and nothing graded twice.

    python benchmarks/drill.py [--submissions 10000] [--lane-kills 100] [--command-kills 20]

Every submission of the toy assignment is different and right. Lanes and the command itself are killed (SIGKILL)
when randomly chosen numbers of submissions are done, in the first two thirds of the class; a command that was
killed is started again, until one ends by itself with nothing left. Then, by name and exactly:

    nothing lost         everyone has full points in the gradebook, a verdict, a graded notebook and a feedback page
    nothing twice        no verdict that was kept was written again, and a verdict was begun more than once only
                         where the process that had begun it before was killed at that moment's work
    nothing left behind  no process of the grader is alive

Peak memory is read while it runs. Results go to `benchmarks/results/drill.json`.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from autograder.authoring.release import publish
from autograder.classroom.gradebook import Book
from autograder.classroom.store import Store
from autograder.exercises.catalogue import assignment_named

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "autograder"
FULL = 80
POLL_SECONDS = 0.02
STALLED_LOOKS = 15_000
LONGEST_DELAY = 0.05


def of_the_tests(name: str) -> Any:
    """A module of the autograder's tests."""
    sys.path[:0] = [str(TESTS), str(TESTS / "classroom")]
    return importlib.import_module(name)


def toy_classroom(root: Path) -> Any:
    """A course with the toy assignment of the tests, released."""
    module = of_the_tests("toy_course")
    os.environ |= {"EBM_CHECKS": str(module.CHECKS), "EBM_COURSE": str(root)}
    room = module.Classroom(root)
    publish(room.course, assignment_named("toy"), module.toy_notebook())
    return room


class Begun(NamedTuple):
    """A verdict is begun: by which process, in which folder, and how many others that process began since."""

    process: str
    place: str
    since: int


class Drill:
    """One course, its submissions, and what was seen while they were graded."""

    def __init__(self, root: Path, submissions: int, isolation: str, seed: int) -> None:
        self.root = root
        self.count = submissions
        self.random = random.Random(seed)
        self.room = toy_classroom(root)
        self.course = self.room.course
        self.store = Store(self.course, "toy")
        self.log = root / "begun.log"
        self.command = [sys.executable, "-m", "autograder.command", "grade", "toy", "--isolation", isolation]
        self.temporary = root / "tmp"
        self.temporary.mkdir()
        self.environment = {"TOY_LOG": str(self.log), "TMPDIR": str(self.temporary)}
        self.killed: dict[str, list[str]] = {"lane": [], "command": []}
        self.kept: dict[str, tuple[int, int]] = {}
        self.memory: list[dict[str, float]] = []
        self.seconds = 0.0
        self.with_command = 0
        self.wrong: list[str] = []
        self.runs = 0

    def hand_in(self) -> None:
        for number in range(self.count):
            source = f"import numpy as np  # the work of student {number}"
            self.room.submit(
                f"student{number:05d}",
                {
                    "toy-01": source,
                    "double": "def double(x):\n    return 2 * x",
                    "add": "def add(x, y):\n    return x + y",
                },
            )

    def run_until_done(self, wanted: dict[str, int]) -> None:
        """Grade, killing at random points, until a command ends with nothing left to do."""
        kills = sorted((self._moment(), what) for what, count in wanted.items() for _ in range(count))
        start = time.perf_counter()
        while True:
            self.runs += 1
            code = self._run(kills)
            self._look_at_verdicts()
            if code == 0:
                break
            said = (self.root / "said").read_text()
            if not self._may_end(code, said):
                raise SystemExit(f"the command ended with {code}:\n{said[-2000:]}")
        self.seconds = time.perf_counter() - start
        self.wrong += [f"a {what} was not killed at {moment} verdicts" for moment, what in kills]

    def _may_end(self, code: int, said: str) -> bool:
        """Whether that is how a command may end before all is done: with something ungraded, or killed."""
        return code in (3, -signal.SIGKILL)

    def _moment(self) -> int:
        """When to kill: early enough that work is left to do, however fast the machine."""
        return self.random.randrange(1, 2 * self.count // 3)

    def _run(self, kills: list[tuple[int, str]]) -> int:
        environment = os.environ | self.environment
        with (self.root / "said").open("wb") as said:
            running = subprocess.Popen(self.command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        before, idle = -1, 0
        while running.poll() is None:
            time.sleep(POLL_SECONDS)
            done = len(self.store.students())
            idle = idle + 1 if done == before else 0  # counted, so that a pause of all of us is none
            before = done
            if idle > STALLED_LOOKS:
                running.kill()
                raise SystemExit(f"nothing was graded in {idle} looks, {done} are done")
            self._attend()
            self._note_memory(running.pid, done)
            if kills and kills[0][0] <= done:
                time.sleep(self.random.uniform(0, LONGEST_DELAY))  # at any point of a submission's grading
                if self._kill(kills[0][1], running.pid):
                    kills.pop(0)
        return running.wait()

    def _attend(self) -> None:
        """What the surroundings do meanwhile."""

    def _kill(self, what: str, command: int) -> bool:
        """Whether there was something to kill: not while the command starts its lanes, or has ended."""
        try:
            alive = lanes(command)
            victims = alive if what == "command" else [self.random.choice(alive)]
            names = [identity(pid) for pid in victims]
            if not names:
                return False
            os.kill(command if what == "command" else victims[0], signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            return False
        self.killed["lane"] += names  # lanes die with their command
        if what == "command":
            self.killed["command"].append(str(command))
            self.with_command += len(names)
        return True

    def _note_memory(self, command: int, done: int) -> None:
        """What the grader's processes hold, each time another tenth of the class is done."""
        if done < (len(self.memory) + 1) * self.count / 10:
            return
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, IndexError):
            self.memory.append({"done": done} | self._memory(command))

    def _memory(self, command: int) -> dict[str, float]:
        return {
            "command_peak_mib": peak(command),
            "largest_lane_peak_mib": max([peak(pid) for pid in lanes(command)], default=0.0),
            "all_processes_mib": round(sum(share(pid) for pid in [command, *below(command)]), 1),
        }

    def _look_at_verdicts(self) -> None:
        """A verdict that was kept is never written again."""
        now = {}
        with (
            contextlib.suppress(FileNotFoundError),
            os.scandir(self.store.folder) as entries,
        ):  # none kept yet
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    now[entry.name] = (entry.inode(), entry.stat().st_mtime_ns)
        changed = [name for name, mark in self.kept.items() if now.get(name) != mark]
        self.wrong += [f"the kept verdict {name} was lost or written again" for name in changed]
        self.kept = now

    def begun_again(self) -> int:
        """How many verdicts were begun more than once; complains where no kill was the reason."""
        twice = self._begun_twice()
        for verdict, before, _ in twice:
            if before.since != 0 or before.process not in self.killed["lane"]:
                self.wrong.append(f"{verdict} was begun again though {before.process} was not killed at it")
        return len(twice)

    def _log(self) -> list[list[str]]:
        """Verdict, process and folder, each time that a verdict was begun."""
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def _begun_twice(self) -> list[tuple[str, "Begun", "Begun"]]:
        """Each verdict that was begun again: as it was begun before, and as it was then."""
        begun: dict[str, list[Begun]] = defaultdict(list)
        later: dict[str, int] = defaultdict(int)
        for verdict, process, place in reversed(self._log()):
            begun[verdict].insert(0, Begun(process, place, later[process]))
            later[process] += 1
        if len(begun) != self.count:
            self.wrong.append(f"{len(begun)} verdicts were begun, not {self.count}")
        return [(verdict, *pair) for verdict, all_ in begun.items() for pair in pairwise(all_)]

    def kills(self) -> dict[str, int]:
        """How often what was killed."""
        return {
            "lanes_killed": len(self.killed["lane"]),
            "of_them_with_their_command": self.with_command,
            "commands_killed": len(self.killed["command"]),
        }

    def look_for_losses(self) -> None:
        """Everyone must have everything."""
        students = {f"student{number:05d}" for number in range(self.count)}
        with Book(self.course) as book:
            scores = book.scores("toy")
        for student in sorted(students):
            score = sum(scores.get(student, {}).values())
            if score != FULL:
                self.wrong.append(f"{student} has {score:g} points in the gradebook")
            key = self.store.recorded(student)
            report = self.store.load_report(key) if key else None
            if report is None or report.score != FULL:
                self.wrong.append(f"{student} has no whole verdict")
            for step, end in (("autograded", "ipynb"), ("feedback", "html")):
                if not self.course.folder(step, student, "toy", f"toy.{end}").is_file():
                    self.wrong.append(f"{student} has no file in {step}")
        if set(scores) != students or len(self.kept) != self.count:
            self.wrong.append(f"{len(scores)} students and {len(self.kept)} verdicts, not {self.count}")

    def look_for_processes(self) -> None:
        """Nothing of the grader may be alive: lanes, and sandboxes, which name the folder for temporary files."""
        end = time.monotonic() + 20
        while (left := list(processes_of(self.root))) and time.monotonic() < end:
            time.sleep(0.2)
        self.wrong += [f"process {pid} is still alive" for pid in left]


def lanes(command: int) -> list[int]:
    """The lanes of a command."""
    return [pid for pid in below(command) if b"autograder.classroom.lane" in read(f"/proc/{pid}/cmdline")]


def below(pid: int) -> list[int]:
    """A process's descendants."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for thread in threads for child in read(str(thread)).split()]
    return children + [one for child in children for one in below(child)]


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def identity(pid: int) -> str:
    """A process by its id and when it started, as `TOY_LOG` has it."""
    return f"{pid}.{read(f'/proc/{pid}/stat').decode().rpartition(')')[2].split()[19]}"


def peak(pid: int) -> float:
    """The most resident memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def share(pid: int) -> float:
    """The memory of a process in MiB, shared pages divided among those that share them; 0 if it may not be read."""
    found = read(f"/proc/{pid}/smaps_rollup").partition(b"Pss:")[2].split()
    return int(found[0]) / 1024 if found else 0.0


def processes_of(root: Path) -> Iterator[int]:
    mark = str(root).encode()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            state = read(f"/proc/{entry}/stat").rpartition(b")")[2].split()[:1]
            if mark in read(f"/proc/{entry}/environ") + read(f"/proc/{entry}/cmdline") and state != [b"Z"]:
                yield int(entry)


def drill(one: Drill, kills: dict[str, int]) -> dict[str, Any]:
    """Run the drill in an empty folder; raises `SystemExit` if a promise does not hold."""
    one.hand_in()
    one.run_until_done(kills)
    memory = list(one.memory)
    again = one.begun_again()
    lines = one._log()
    start = time.perf_counter()
    if one._run([]) != 0 or one._log() != lines:
        one.wrong.append("one more run found something to do")
    idle = time.perf_counter() - start
    one._look_at_verdicts()
    one.look_for_losses()
    one.look_for_processes()
    if one.wrong:
        raise SystemExit("\n".join([f"{len(one.wrong)} promises broken in {one.root}:", *one.wrong[:20]]))
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "submissions": one.count,
        "isolation": one.store.load_report(one.store.recorded("student00000")).isolation,
        **one.kills(),
        "runs": one.runs,
        "lost": 0,
        "kept_verdicts_written_again": 0,
        "begun_again_after_a_kill_at_work": again,
        "seconds": round(one.seconds, 1),
        "submissions_per_second_with_restarts": round(one.count / one.seconds, 1),
        "seconds_of_a_run_with_nothing_to_do": round(idle, 1),
        "memory": memory,
    }


def options_of(description: str | None, output: str, **kills: int) -> argparse.ArgumentParser:
    """What can be chosen, with how often what is killed unless chosen otherwise."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=10_000)
    for what, count in kills.items():
        parser.add_argument(f"--{what}-kills", type=int, default=count)
    parser.add_argument("--isolation", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / output)
    return parser


def keep(result: dict[str, Any], output: Path) -> None:
    text = json.dumps(result, indent=1) + "\n"
    output.write_text(text)
    print(text)


def main() -> None:
    options = options_of(__doc__, "drill.json", lane=100, command=20).parse_args()
    root = Path(tempfile.mkdtemp(prefix="drill-"))
    one = Drill(root, options.submissions, options.isolation, options.seed)
    keep(drill(one, {"lane": options.lane_kills, "command": options.command_kills}), options.output)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
