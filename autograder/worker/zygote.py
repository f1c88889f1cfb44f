"""The process that everything of a student's descends from: it imports once, then forks for each submission.

It runs inside bubblewrap, holds no secret, and never runs a student's code itself. On its control socket the
judge asks for a fork (passing that submission's channel) or for its end. While a fork lives, the zygote
watches the whole submission's memory and processes, which no per-process limit can bound.
"""

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

import isolation

CONTROL = 3
WATCH_SECONDS = 0.03


class Submission:
    """The one fork that is alive, and what it may use."""

    def __init__(self, pid: int, number: int, limits: dict[str, int], session: int | None) -> None:
        self.pid = pid
        self.number = number
        self.limits = limits
        self.session = session
        self.inherited = isolation.anonymous_bytes("self")
        self.peak = 0

    def excess(self) -> str | None:
        """What the submission has too much of, if anything."""
        alive = isolation.processes(self.session)
        used = isolation.memory(alive, self.inherited)
        self.peak = max(self.peak, used)
        if used > self.limits["memory"]:
            return "memory"
        if len(alive) > self.limits["processes"] + 8:
            return "processes"
        return None


class Zygote:
    def __init__(self, control: socket.socket, settings: dict[str, Any], program: bytes) -> None:
        self.control = control
        self.nested = settings["nested"]
        self.alone = settings["alone"]  # in a pid namespace that holds nobody else
        self.program = program  # the system-call filter; empty for none
        self.submission: Submission | None = None
        import notebook  # the imports that are worth forking for

        for name in settings["provided"]:  # compiled once, not in every fork
            importlib.import_module(f"ebmkit.{name}")
        self.notebook = notebook
        self.shell = notebook.make_shell()
        gc.collect()
        gc.freeze()  # or the first collection in every fork would copy every page that holds an object

    def tell(self, **event: Any) -> None:
        self.control.sendall(json.dumps(event).encode() + b"\n")

    def serve(self) -> None:
        """Until the judge hangs up."""
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        while True:
            if poller.poll(WATCH_SECONDS * 1000 if self.submission else None):
                data, descriptors, _flags, _address = socket.recv_fds(self.control, 4096, 1)
                if not data:
                    self.end("judge left")
                    return
                for line in data.splitlines():
                    self.obey(json.loads(line), descriptors)
            self.watch()

    def obey(self, command: dict[str, Any], descriptors: list[int]) -> None:
        if command["do"] == "start":
            self.start(command, descriptors.pop())
        elif self.submission is not None and command["number"] == self.submission.number:
            self.end("stopped")

    def start(self, command: dict[str, Any], descriptor: int) -> None:
        limits = command["limits"]
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                channel = socket.socket(fileno=descriptor)
                self.control.close()
                self.child(channel, limits)
                code = 0
            except OSError as error:
                os.write(2, f"sandbox: {error}\n".encode())
            finally:
                os._exit(code)
        os.close(descriptor)
        self.submission = Submission(pid, command["number"], limits, session=None if self.alone else pid)

    def child(self, channel: socket.socket, limits: dict[str, int]) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not self.alone:
            os.setsid()
        if self.nested:
            isolation.become_init(limits, self.program)
        else:
            isolation.harden(limits, self.program)
        silence = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        channel.sendall(b"\x01")  # isolated: the judge waits for this byte before it sends a student's code
        self.notebook.serve(self.shell, channel)

    def watch(self) -> None:
        if self.submission is None:
            return
        pid, _status = os.waitpid(self.submission.pid, os.WNOHANG)
        if pid:
            self.end("exited")
        elif reason := self.submission.excess():
            self.end(reason)

    def end(self, reason: str) -> None:
        """Kill whatever is left of the submission; say, once, why it ended and what it used."""
        if self.submission is None:
            return
        ended, self.submission = self.submission, None
        isolation.kill_all(ended.session)
        if reason != "judge left":
            self.tell(event="ended", number=ended.number, reason=reason, peak=ended.peak)


def system_call_filter() -> bytes:
    """The compiled filter; empty where pyseccomp or libseccomp is missing."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return b""
    program: bytes = isolation.compile_filter(pyseccomp)
    return program


def main() -> None:
    os.closerange(CONTROL + 1, 1024)  # whatever came along with the control socket stays out of every fork
    settings = json.loads(sys.argv[1])
    program = system_call_filter() if settings["seccomp"] else b""
    start = time.perf_counter()
    control = socket.socket(fileno=CONTROL)
    try:
        zygote = Zygote(control, settings, program)
    except ImportError as error:
        control.sendall(json.dumps({"event": "failed", "reason": str(error)}).encode() + b"\n")
        raise
    zygote.tell(event="ready", seconds=time.perf_counter() - start, seccomp=bool(program))
    zygote.serve()


if __name__ == "__main__":
    main()
