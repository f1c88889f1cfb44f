"""Hidden checks of a toy assignment: cheap, and able to fail in every way the machinery must survive."""

import os
import signal
from pathlib import Path

import numpy as np

from autograder.exercises.attempt import Attempt, LocalAttempt
from autograder.exercises.exercise import Assignment, Exercise


def double(x):
    return 2 * np.asarray(x)


def add(x, y):
    return x + y


doubling = Exercise("double", title="Twice as much", reference=double)
adding = Exercise("add", title="A sum", reference=add)


@doubling.check(points=30, tries="random arrays")
def _(attempt: Attempt) -> None:
    record(attempt)
    attempt.compare([(attempt.rng.normal(size=3),) for _ in range(5)])


@doubling.check(points=10, tries="large numbers")
def _(attempt: Attempt) -> None:
    attempt.compare([(attempt.rng.normal(size=3) * 1e6,) for _ in range(5)])


@doubling.mistake(hint="Twice a number is not its square.")
def squares_instead(x):
    return np.asarray(x) ** 2


@adding.check(points=40, tries="random numbers", seconds=5)
def _(attempt: Attempt) -> None:
    sabotage(attempt)
    attempt.compare([tuple(attempt.rng.normal(size=2)) for _ in range(5)])


def record(attempt: Attempt) -> None:
    """Note in the file named by `TOY_LOG` which verdict is made, by its inputs, by which process, and where."""
    if (path := os.environ.get("TOY_LOG")) and not isinstance(attempt, LocalAttempt):
        inputs = attempt.rng.bit_generator.state["state"]["state"]
        started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        with open(path, "ab", buffering=0) as file:
            course = Path(os.environ["EBM_COURSE"]).name
            file.write(f"{inputs:x} {os.getpid()}.{started} {course}\n".encode())


def sabotage(attempt: Attempt) -> None:
    """Misbehave as the file named by `TOY_SABOTAGE` says: the judge itself breaks, or is killed."""
    script = Path(os.environ.get("TOY_SABOTAGE", "/nonexistent"))
    if not script.exists():
        return
    what, _, count = script.read_text().partition(" ")
    if what == "raise":
        raise RuntimeError("this check is broken")
    if what == "kill" and int(count) > 0 and not isinstance(attempt, LocalAttempt):
        script.write_text(f"kill {int(count) - 1}")
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "kill-parent" and int(count) > 0 and not isinstance(attempt, LocalAttempt):
        script.write_text(f"kill-parent {int(count) - 1}")
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()  # whoever started this judge is gone, and takes it along


assignment = Assignment("toy", (doubling, adding), provides=("data", "chance"))
