"""Runs a notebook's cells under IPython semantics, bounded in time and bytes, and then answers calls.

This runs inside the sandbox, in the fork that belongs to one submission. Whatever it sends is hearsay: the
judge reads values and decides by itself. Nothing here knows an expected value.
"""

import contextlib
import gc
import io
import math
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
import types
import zlib
from typing import Any

import numpy as np
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

# Mounted flat into the sandbox, beside this file.
import codec  # isort: skip
import environment  # isort: skip
from materialize import changed, materialize, seen  # isort: skip
from meaning import plain  # isort: skip

TEXT_BYTES = 20_000
IMAGE_BYTES = 400_000
IMAGES = 12


class TimeLimit(BaseException):
    """Raised in a cell that has run for too long; not an `Exception`, so `except Exception` lets it pass."""


class BoundedText(io.TextIOBase):
    """Keeps the first `limit` characters written to it and counts the rest; otherwise as in a kernel."""

    encoding = "UTF-8"
    errors = "replace"
    newlines = None
    mode = "w"
    line_buffering = True
    write_through = False

    def __init__(self, name: str = "<stdout>", limit: int = TEXT_BYTES) -> None:
        self.name = name
        self.limit = limit
        self.parts: list[str] = []
        self.kept = 0
        self.dropped = 0
        self.buffer = BytesInto(self)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2 if self.name == "<stderr>" else 1  # of the process, where nothing is kept

    def reconfigure(self, **_settings: Any) -> None:
        """Any encoding is as good as another."""

    def write(self, text: str) -> int:
        part = text[: self.limit - self.kept]
        if part:
            self.parts.append(part)
            self.kept += len(part)
        self.dropped += len(text) - len(part)
        return len(text)

    def text(self) -> str:
        more = f"\n… {self.dropped:,} more characters not kept" if self.dropped else ""
        return "".join(self.parts) + more


class BytesInto(io.BufferedIOBase):
    """The bytes behind a text stream, as in `sys.stdout.buffer.write`."""

    def __init__(self, stream: BoundedText) -> None:
        self.stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, data: Any) -> int:
        self.stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


class Outputs:
    """What one cell showed: text and PNG pictures, nothing that a browser would execute."""

    def __init__(self) -> None:
        self.stdout = BoundedText()
        self.stderr = BoundedText("<stderr>")
        self.displays: list[dict[str, Any]] = []
        self.images = 0

    def show(self, data: dict[str, Any], result: bool) -> None:
        entry: dict[str, Any] = {"result": result, "text": str(data.get("text/plain", ""))[:TEXT_BYTES]}
        png = data.get("image/png")
        if isinstance(png, str) and len(png) <= IMAGE_BYTES and self.images < IMAGES:
            entry["png"] = png  # base64, as IPython encodes it; the judge decodes and checks it
            self.images += 1
        if len(self.displays) < 50:
            self.displays.append(entry)


outputs = Outputs()


class Publisher(DisplayPublisher):
    def publish(self, data: dict[str, Any], *_args: Any, **_kwargs: Any) -> None:
        outputs.show(data, result=False)


class Hook(DisplayHook):
    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], _metadata: Any = None) -> None:
        outputs.show(format_dict, result=True)


class Shell(InteractiveShell):
    """IPython without a terminal, a history or a kernel; what the environment lacks does not end a cell."""

    kernel = environment.Absent("get_ipython().kernel", "a notebook is graded without one")

    def begin(self, source: str) -> None:
        """Forget what was noted of the cell before."""
        self.source = source
        self.failures: list[dict[str, Any]] = []

    async def run_code(self, code_obj: Any, result: Any = None, *, async_: bool = False) -> bool:
        """Run one top-level statement; whether the cell ends with it."""
        failed: bool = await super().run_code(code_obj, result, async_=async_)
        error = getattr(result, "error_in_exec", None)
        if not failed or error is None or not environment.is_environmental(error):
            return failed
        line = environment.first_line(code_obj)
        if len(self.failures) < environment.KEPT:
            self.failures.append(environment.failure(error, line, self.source))
        for name, absent in environment.stand_ins(code_obj, error).items():
            self.user_ns.setdefault(name, absent)
        result.error_in_exec = None
        return False

    def enable_gui(self, gui: Any = None) -> None:
        pass

    def showtraceback(self, *_args: Any, **_kwargs: Any) -> None:
        pass  # the error itself is in the cell's result

    showsyntaxerror = showtraceback

    def system(self, cmd: str) -> None:
        """What `!command` runs; its output is captured like any other."""
        done = subprocess.run(
            self.var_expand(cmd, depth=1), shell=True, capture_output=True, text=True, check=False
        )
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        self.user_ns["_exit_code"] = done.returncode


def make_shell(figures: bool) -> Shell:
    """The shell every submission starts from, warm; so is the drawing of figures, where there will be some."""
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.display_pub_class = Publisher
    config.InlineBackend.print_figure_kwargs = {"bbox_inches": None}  # "tight" draws every figure twice
    shell: Shell = Shell.instance(config=config, displayhook_class=Hook, display_pub_class=Publisher)
    shell.ast_transformers.append(environment.Separately())
    shell.begin("")
    for cell in (WARMING, *([DRAWING] if figures else [])):
        shell.run_cell(cell, store_history=False)
    shell.reset(new_session=False)
    if figures:
        shell.run_cell("%matplotlib inline", store_history=False)
    return shell


WARMING = """
import numpy
def draw(n):
    return numpy.random.default_rng(0).random(n)
print(draw(2))
draw(2)
"""

DRAWING = """
%matplotlib inline
import matplotlib.pyplot, numpy
_ = matplotlib.pyplot.figure()
matplotlib.pyplot.imshow(numpy.eye(2)); matplotlib.pyplot.title("$x$")
matplotlib.pyplot.show(); del _
"""


running = False
"""Whether a student's cell is running: only then may the zygote's signal interrupt anything."""

TIMED = re.compile(r"\A(\s*)%%(?:time|capture|prun|timeit|debug)\b.*")


def run_cell(shell: Shell, source: str) -> dict[str, Any]:
    """Run one cell and say what it printed, showed and raised, and which lines need what is not here."""
    global outputs, running
    outputs = Outputs()
    source = TIMED.sub(r"\1pass", source)  # so that its statements are run one by one, as any cell's
    shell.begin(source)
    start = time.perf_counter()
    signal.signal(signal.SIGALRM, _expire)
    with _captured(outputs):
        try:
            running = True
            error = _run(shell, source)
        except BaseException as escaped:
            error = escaped
        finally:
            running = False
    if isinstance(error, TimeLimit):
        forget_half_imported()
    return {
        "stdout": outputs.stdout.text(),
        "stderr": outputs.stderr.text(),
        "displays": outputs.displays,
        "error": _describe(error) if error is not None else None,
        "failures": shell.failures,
        "seconds": time.perf_counter() - start,
    }


def _run(shell: Shell, source: str) -> BaseException | None:
    """Run a cell; where it is written for a newer Python, what this one can read of it."""
    result = shell.run_cell(source, store_history=True)
    before: BaseException | None = result.error_before_exec
    if isinstance(before, SyntaxError) and (version := environment.newer_syntax(before)):
        note = environment.failure(before, before.lineno or 0, source)
        running_here = ".".join(str(part) for part in sys.version_info[:2])
        note |= {"type": "SyntaxError", "message": f"needs Python {version}; grading runs {running_here}"}
        result = shell.run_cell(environment.parts_that_parse(source), store_history=False)
        shell.failures.insert(0, note)
    error: BaseException | None = result.error_before_exec or result.error_in_exec
    return error


def _expire(_signal: int, _frame: Any) -> None:
    if running:
        half_imported.update(
            name.partition(".")[0]
            for name, module in list(sys.modules.items())
            if getattr(getattr(module, "__spec__", None), "_initializing", False)
        )
        raise TimeLimit


half_imported: set[str] = set()
"""The packages whose import was going on when a cell was stopped."""


def forget_half_imported() -> None:
    """Of packages whose import was cut off, keep nothing: the next import starts afresh."""
    for name in list(sys.modules):
        if name.partition(".")[0] in half_imported:
            del sys.modules[name]
    half_imported.clear()


@contextlib.contextmanager
def _captured(target: Outputs) -> Any:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = target.stdout, target.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _describe(error: BaseException) -> dict[str, Any]:
    """Type, message and the line of the student's own code that raised; never a live object."""
    import traceback

    line, text, function = 0, "", ""
    if isinstance(error, SyntaxError):
        line, text = error.lineno or 0, error.text or ""
    else:
        cell = ""
        for frame in traceback.extract_tb(error.__traceback__):
            if (
                frame.filename.startswith(("<ipython-input", "/tmp/ipykernel"))
                or "ipython-input" in frame.filename
            ):
                line, text = frame.lineno or 0, frame.line or ""
                if not frame.name.startswith("<"):
                    function = frame.name
                elif frame.filename != cell:  # of a lambda that stands elsewhere nothing tells where
                    function = ""
                cell = frame.filename
    try:
        message = str(error)
    except BaseException:
        message = ""
    return {
        "type": type(error).__name__[:80],
        "message": message[:2000],
        "line": line,
        "code": text.strip()[:200],
        "function": function[:80],
        "late": isinstance(error, TimeLimit),
        "memory": isinstance(error, MemoryError),
    }


def serve(shell: Shell, channel: socket.socket) -> None:
    """Answer the judge until it hangs up: run cells, and fork the executed state for each check."""
    while True:
        try:
            message, descriptors = _receive_with_fds(channel)
        except codec.Closed:
            return
        if message["do"] == "cell":
            codec.send(channel, run_cell(shell, message["source"]))
        elif message["do"] == "mark":
            marks[message["name"]] = state_of(shell, message["name"])
        elif message["do"] == "changed":
            codec.send(channel, _changed(shell, message["name"]))
        elif message["do"] == "check":
            codec.send(channel, _fork_check(shell, socket.socket(fileno=descriptors[0]), channel))
        elif message["do"] == "answer":
            with socket.socket(fileno=descriptors[0]) as line:
                answer_calls(shell, line)
            return


def _receive_with_fds(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A frame whose first byte may carry one descriptor."""
    first, descriptors, _flags, _address = socket.recv_fds(channel, 1, 1)
    if not first:
        raise codec.Closed
    size = codec.PREFIX.size
    rest = codec._read_exactly(channel, size - 1, math.inf)
    header, payload = codec.PREFIX.unpack(first + rest)
    return codec.unpack(
        codec._read_exactly(channel, header, math.inf), codec._read_exactly(channel, payload, math.inf)
    ), descriptors


marks: dict[str, dict[str, Any]] = {}
"""How everything that an exercise's function uses stood when the notebook came to its tests."""


def state_of(shell: Shell, name: str) -> dict[str, Any]:
    """A fingerprint of each global name that a function uses, and the functions that it calls, and of settings."""
    torch = sys.modules.get("torch")
    state: dict[str, Any] = {"NumPy's settings": repr(np.geterr())}
    if torch is not None:
        state["torch's settings"] = (torch.is_grad_enabled(), torch.get_default_dtype())
    waiting = [name]
    while waiting:
        found = waiting.pop()
        if found in state or found not in shell.user_ns:
            continue
        value = shell.user_ns[found]
        state[found] = (id(value), _content(value))
        code = getattr(value, "__code__", None)
        while isinstance(code, types.CodeType):
            waiting += code.co_names
            codes = [c for c in code.co_consts if isinstance(c, types.CodeType)]
            waiting += [n for c in codes for n in c.co_names]
            code = None
    return state


def _content(value: Any) -> Any:
    """What of a value may change while it stays the same object."""
    try:
        if isinstance(value, np.ndarray):
            return zlib.crc32(value.tobytes())
        if isinstance(value, (list, dict, set)):
            return repr(value)[:10_000]
    except Exception:
        pass
    return None


def _changed(shell: Shell, name: str) -> list[str]:
    """The names whose value is another one now than it was when the notebook came to the tests."""
    before = marks.get(name, {})
    now = state_of(shell, name)
    return [str(key)[:60] for key in before if before[key] != now.get(key)][:20]


def _fork_check(shell: Shell, line: socket.socket, channel: socket.socket) -> dict[str, Any]:
    """Fork the executed state; the fork answers on `line` until the judge hangs up there."""
    gc.freeze()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            channel.close()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            code = answer_calls(shell, line)
        finally:
            os._exit(code)
    with line:
        status = _wait(child, line)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)  # whatever the check left behind in this pid namespace
        else:
            os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return {"status": status}


LEAVE_SECONDS = 0.3


def _wait(child: int, line: socket.socket) -> str:
    """How the fork ended. Once the judge has hung up it has a moment to leave, and is then killed."""
    descriptor = os.pidfd_open(child)
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.register(line, select.POLLRDHUP)
        ready = dict(poller.poll())
        if descriptor not in ready:
            poller.unregister(line)
            if not poller.poll(LEAVE_SECONDS * 1000):
                os.kill(child, signal.SIGKILL)
    finally:
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    return f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else "done"


def seed_everything(seed: int) -> None:
    """So that code which uses global generators gets the same numbers for the same submission."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # the threads of a fork's parent are not there; it would wait for them
        torch.default_generator.manual_seed(seed % 2**63)  # torch.manual_seed looks for every kind of device


def answer_calls(shell: Shell, line: socket.socket) -> int:
    """Call the student's functions with the judge's inputs and send back what they return."""
    while True:
        try:
            request = codec.receive(line)
        except codec.Closed:
            return 0
        if "seed" in request:
            seed_everything(request["seed"])
        sink = Outputs()
        with _captured(sink):
            reply = {"id": request["id"], "outcomes": _answer(shell, request)}
            try:
                frame = codec.pack(reply)
            except codec.ProtocolError as error:
                frame = codec.pack({"id": request["id"], "outcomes": [{"unsendable": str(error)}]})
        try:
            line.sendall(frame)
        except OSError:
            return 0


def _answer(shell: Shell, request: dict[str, Any]) -> list[dict[str, Any]]:
    function = shell.user_ns.get(request["name"])
    if function is None:
        return [{"missing": True}]
    outcomes: list[dict[str, Any]] = []
    for args, kwargs in request["calls"]:
        arguments = [materialize(a) for a in args]
        keywords = {k: materialize(v) for k, v in kwargs.items()}
        before = seen(arguments)
        start = time.perf_counter()
        try:
            value = plain(function(*arguments, **keywords))
            spent = time.perf_counter() - start
            outcome = {"value": value, "seconds": spent, "changed": changed(arguments, before)}
        except BaseException as error:
            outcomes.append({"raised": _describe(error)})
            break
        outcomes.append(outcome)
    return outcomes
