"""The line to one submission behind the walls: cells are run in it, functions called in forks of it.

Every answer is untrusted data, and comes through `door.py`.
"""

import contextlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

from autograder.sandbox import door
from autograder.sandbox.limits import Keeper, Stopwatch
from autograder.sandbox.worker import codec

GRACE_SECONDS = 1.0


class Dead(Exception):
    """The submission's process is gone; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Session:
    """One submission inside the sandbox. Every answer is untrusted data."""

    def __init__(self, channel: socket.socket, keeper: Keeper) -> None:
        self.channel = channel
        self.keeper = keeper
        self.kept = door.Kept()

    def run_cell(self, source: str, seconds: float) -> dict[str, Any]:
        """Run one cell for at most `seconds`; raises `Dead` when the process ends or cannot be interrupted."""
        self._say({"do": "cell", "source": source})
        watch = Stopwatch(self.keeper, seconds)
        grace: Stopwatch | None = None

        def left() -> float:
            nonlocal grace
            if grace is None and (seconds_left := watch.left()) > 0:
                return seconds_left
            grace = grace or Stopwatch(self.keeper, GRACE_SECONDS)
            grace.measure(interrupt=True)  # again and again: code may swallow the first
            return min(0.5, grace.left())

        try:
            answer = door.cell(self._hear(left), self.kept)
        except codec.ProtocolError:
            self.keeper.end()
            raise Dead("protocol") from None
        if grace is not None:
            answer["stopped"] = "slept" if watch.slept else "worked"
        watch.settle()
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
        answer = self._hear(Stopwatch(self.keeper, GRACE_SECONDS).left)
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
            self.keeper.end()
            raise Dead("late") from None
        except (codec.Closed, OSError):  # it hung up, or a limit ended it while nobody waited
            raise Dead(self._why()) from None
        except codec.ProtocolError:
            self.keeper.end()
            raise Dead("protocol") from None

    def _why(self) -> str:
        reason = self.keeper.end()
        return "exited" if reason in ("", "stopped") else reason


class Line:
    """A check's own connection to its fork of the executed state."""

    def __init__(self, channel: socket.socket, session: Session) -> None:
        self.channel = channel
        self.session = session
        self.watch = Stopwatch(session.keeper, math.inf)
        self.watch.stop()
        self.seed: int | None = None

    def begin(self, seconds: float, seed: int) -> None:
        """Give the calls from now on `seconds` in all, and global random generators this seed."""
        self.watch.settle()
        self.watch = Stopwatch(self.session.keeper, seconds)
        self.watch.stop()
        self.seed = seed

    def close(self) -> str:
        """End the fork and say how it ended; raises `Dead` if the whole submission went with it."""
        self.watch.settle()
        self.channel.close()
        answer = self.session._hear(Stopwatch(self.session.keeper, GRACE_SECONDS).left)
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
