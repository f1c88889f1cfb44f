"""The process that everything of a student's descends from: it imports once, then forks for each submission.

It runs inside bubblewrap, holds no secret, and never runs a student's code itself. On its control sockets judges
ask for a fork (passing that submission's channel) or for its end; the first judge may let others share it, where
every submission has namespaces of its own. While a fork lives, the zygote watches the whole submission's memory
and processes, which no per-process limit can bound.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import account
import isolation
import priority
import warm

WATCH_SECONDS = 0.05
WEIGH_SECONDS = 0.3


class Submission:
    """A fork that is alive, and what it may use."""

    def __init__(self, pid: int, number: int, limits: dict[str, int], settings: dict[str, Any]) -> None:
        self.pid = pid
        self.number = number
        self.limits = limits
        self.settings = settings
        self.inherited = isolation.held_bytes("self")
        self.peak = 0
        self.weighed = self.counted = time.monotonic()
        self.account = account.Account()
        self.standing = priority.Standing()

    def processes(self) -> list[int]:
        """Its processes, but for the one that only waits for the first of its pid namespace."""
        found: list[int]
        if self.settings["nested"]:
            found = isolation.descendants(self.pid)
        else:
            found = isolation.processes() if self.settings["alone"] else self.adopted()
        return found

    @staticmethod
    def adopted() -> list[int]:
        """All below us: one submission at a time, and what it left behind has become our child."""
        isolation.reap()
        found: list[int] = isolation.descendants(os.getpid())
        return found

    def excess(self) -> str | None:
        """What the submission has too much of, if anything."""
        alive = self.processes()
        counted = self._counted(alive)
        self.account.watch(counted)
        self.standing.watch(counted)
        used = isolation.memory(alive, self.inherited)
        self.peak = max(self.peak, used)
        if used > self.limits["memory"] or self._hides_memory(alive):
            return "memory"
        if len(alive) > self.limits["processes"] + 8:
            return "processes"
        return "disk" if self._stores_too_much(alive) else None

    def _hides_memory(self, alive: list[int]) -> bool:
        """Whether it has too much, counted as if nobody still held what all inherited."""
        most = self.limits["memory"]
        if time.monotonic() < self.counted + WEIGH_SECONDS or not isolation.could_hide(alive, most):
            return False
        self.counted = time.monotonic()
        return bool(isolation.unshared_memory(alive, self.inherited) > most)

    def _stores_too_much(self, alive: list[int]) -> bool:
        """Whether it wrote more than it may, where no mount of its own bounds that."""
        if self.settings["nested"] or time.monotonic() < self.weighed + WEIGH_SECONDS:
            return False
        self.weighed = time.monotonic()
        most = len(isolation.SCRATCH) * self.limits["scratch_bytes"]
        if self.settings["alone"]:
            return bool(isolation.mounted_bytes() > most)
        scratch = self.limits.get("scratch")
        return bool(scratch and isolation.stored_bytes(str(scratch), alive) > most)

    def used(self, since: float) -> tuple[float, float]:
        """Processor seconds, and seconds without a processor, since a moment."""
        used: tuple[float, float] = self.account.since(since, self._counted(self.processes()))
        return used

    def interrupt(self) -> None:
        """Ask its first process to stop the cell that runs; between cells that does nothing."""
        first = isolation.descendants(self.pid)[:1] if self.settings["nested"] else [self.pid]
        for pid in first:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGALRM)

    def _counted(self, alive: list[int]) -> list[int]:
        return alive if self.pid in alive or self.settings["nested"] else [self.pid, *alive]

    def end(self) -> None:
        """Kill whatever is left of it."""
        isolation.kill_all(self.processes, self.pid)


class Judge:
    """One judge's control socket, and its submission that is alive, if any."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.submission: Submission | None = None

    def tell(self, **event: Any) -> None:
        self.control.sendall(json.dumps(event).encode() + b"\n")

    def end(self, reason: str) -> None:
        """End its submission; say, once, why it ended and what it used."""
        if self.submission is None:
            return
        ended, self.submission = self.submission, None
        ended.end()
        if reason != "judge left":
            self.tell(
                event="ended",
                number=ended.number,
                reason=reason,
                peak=ended.peak,
                processor=ended.account.processor,
            )


class Zygote:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.program = b""
        if settings["walls"]:
            self.program = system_call_filter(not settings["alone"], modes=settings["nested"])
        if not settings["alone"]:
            isolation.adopt()
        if settings["walls"] and not settings["alone"]:
            isolation.close_memory()
        self.landlock = isolation.landlock_version() if settings["walls"] else 0
        self.facts = isolation.facts()
        self.judges: dict[int, Judge] = {}
        self.poller = select.poll()
        gc.disable()  # nothing that is imported is garbage; to look for some takes a sixth of the time
        sys.path += settings["packages"]
        isolation.accelerator_libraries()  # looked for once, here
        import notebook  # the imports that are worth forking for

        for name in settings["imports"]:
            importlib.import_module(name)
        self.notebook = notebook
        self.shell = notebook.make_shell(figures="matplotlib.pyplot" in settings["imports"])
        gc.collect()
        gc.freeze()  # or the first collection in every fork would copy every page that holds an object
        gc.enable()

    def welcome(self, control: socket.socket, seconds: float = 0.0) -> None:
        """Serve one more judge."""
        judge = Judge(control)
        self.judges[control.fileno()] = judge
        self.poller.register(control, select.POLLIN)
        walls = ["seccomp"] * bool(self.program) + ["landlock"] * bool(self.landlock)
        judge.tell(event="ready", seconds=seconds, walls=walls, landlock=self.landlock)

    def serve(self, owner: socket.socket) -> None:
        """Until the first judge hangs up."""
        watched = 0.0
        while True:
            left = max(0.0, watched + WATCH_SECONDS - time.monotonic())
            busy = any(judge.submission for judge in self.judges.values())
            for descriptor, _event in self.poller.poll(left * 1000 if busy else None):
                judge = self.judges[descriptor]
                try:
                    self.hear(judge)
                except ConnectionError:
                    if judge.control is owner:
                        for other in self.judges.values():
                            other.end("judge left")
                        return
                    self.dismiss(judge)
            if time.monotonic() >= watched + WATCH_SECONDS:
                self.watch()
                watched = time.monotonic()

    def hear(self, judge: Judge) -> None:
        data, descriptors, _flags, _address = socket.recv_fds(judge.control, 4096, 1)
        if not data:
            raise ConnectionResetError
        for line in data.splitlines():
            self.obey(judge, json.loads(line), descriptors)

    def dismiss(self, judge: Judge) -> None:
        self.poller.unregister(judge.control)
        del self.judges[judge.control.fileno()]
        judge.end("judge left")
        judge.control.close()

    def obey(self, judge: Judge, command: dict[str, Any], descriptors: list[int]) -> None:
        if command["do"] == "start":
            self.start(judge, command, descriptors.pop())
        elif command["do"] == "share":
            self.welcome(socket.socket(fileno=descriptors.pop()))
        elif command["do"] == "used":
            self.say_used(judge, command)
        elif judge.submission is not None and command["number"] == judge.submission.number:
            judge.end("stopped")

    def say_used(self, judge: Judge, command: dict[str, Any]) -> None:
        """Tell what its submission has used since a moment; interrupt it where that is wanted."""
        processor = starved = 0.0
        if judge.submission is not None and command["number"] == judge.submission.number:
            if command["interrupt"]:
                judge.submission.interrupt()
            processor, starved = judge.submission.used(command["since"])
        judge.tell(event="used", processor=processor, starved=starved)

    def start(self, judge: Judge, command: dict[str, Any], descriptor: int) -> None:
        limits = command["limits"]
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                channel = socket.socket(fileno=descriptor)
                for other in self.judges.values():
                    other.control.close()
                self.child(channel, limits, command["warm"])
                code = 0
            except OSError as error:
                os.write(2, f"sandbox: {error}\n".encode())
            finally:
                os._exit(code)
        os.close(descriptor)
        judge.submission = Submission(pid, command["number"], limits, self.settings)

    def child(self, channel: socket.socket, limits: dict[str, int], wanted: list[str]) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        priority.lower()
        os.setpgid(0, 0)  # a signal to one's own group reaches nobody else, whatever namespaces say
        if not self.settings["alone"]:
            limits = limits | {"processes": limits["processes"] + isolation.threads_of_user()}
            if scratch := limits.get("scratch"):
                isolation.take_scratch(str(scratch))
                limits = limits | {"readable": self.settings["readable"]}
        if self.settings["nested"]:
            isolation.become_init(limits, self.program, self.landlock, self.facts)
        else:
            isolation.harden(limits, self.program, self.landlock)
        silence = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        channel.sendall(b"\x01")  # isolated: the judge waits for this byte before it sends a student's code
        if wanted:
            warm.load(wanted)
            channel.sendall(b"\x02")
        self.notebook.seed_everything(0)  # every submission starts from the same numbers
        self.notebook.serve(self.shell, channel)

    def watch(self) -> None:
        for judge in list(self.judges.values()):
            if judge.submission is None:
                continue
            try:
                if isolation.is_reaped(judge.submission.pid):
                    judge.end("exited")
                elif reason := judge.submission.excess():
                    judge.end(reason)
            except ConnectionError:
                pass  # it hung up: the next poll says so


def system_call_filter(outside: bool, modes: bool) -> bytes:
    """The compiled filter; empty where pyseccomp or libseccomp is missing."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return b""
    program: bytes = isolation.compile_filter(pyseccomp, outside, modes)
    return program


def main() -> None:
    settings = json.loads(sys.argv[1])
    for descriptor in range(3, 1024):  # whatever came along with the control socket stays out of every fork
        if descriptor != settings["control"]:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    priority.lower_session()
    start = time.perf_counter()
    control = socket.socket(fileno=settings["control"])
    try:
        zygote = Zygote(settings)
    except ImportError as error:
        control.sendall(json.dumps({"event": "failed", "reason": str(error)}).encode() + b"\n")
        raise
    zygote.welcome(control, time.perf_counter() - start)
    zygote.serve(control)
    os._exit(0)  # without the tidying up of all that was imported


if __name__ == "__main__":
    main()
