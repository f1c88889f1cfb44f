"""Failures of the environment: what a student's machine has and the grader's has not.

A package, a magic, a backend, a file, the network, standard input: a line that needs one of these fails here
through no fault of the student's. It is noted, and the rest of its cell runs, as it would have there. A name that
such a line would have bound stands for something that is not here: whatever uses it fails in the same way. A
student's own errors stop the cell, as in Jupyter.
"""

import ast
import dis
import re
import sys
from typing import Any

from IPython.core.error import UsageError

KEPT = 20
CHARACTERS = 200
WORDS = ("CUDA", "NVIDIA", "cudnn", "MPS backend", "ipykernel", "X display", "GUI")
DRAWING = ("matplotlib", "matplotlib_inline")
NEWER = (
    (re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\["), "3.12"),
    (re.compile(r"^\s*type\s+\w+\s*(?:\[.*\])?\s*="), "3.12"),
    (re.compile(r"\b[fF][rR]?([\"'])(?:(?!\1).)*\{[^}\"']*\1"), "3.12"),
    (re.compile(r"^\s*except\s+[\w.]+\s*,\s*[\w.]+.*:"), "3.14"),
    (re.compile(r"(?<![\w\"'])[tT][\"']"), "3.14"),
)
"""How syntax looks that Python got later, and since when: PEP 695, PEP 701, PEP 758, PEP 750."""


class NotHere(ModuleNotFoundError):
    """What a name stands for is not in the environment that grades."""


class Absent:
    """Stands for a name that could not be bound here; every use of it says so."""

    def __init__(self, name: str, why: str) -> None:
        self.__dict__["_why"] = f"`{name}` is not here: {why}"

    def _fail(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotHere(self.__dict__["_why"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._fail()

    def __repr__(self) -> str:
        return str(self.__dict__["_why"])

    __call__ = __getitem__ = __setattr__ = __setitem__ = __iter__ = __len__ = __enter__ = __exit__ = _fail
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _fail
    __matmul__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __float__ = __int__ = __array__ = _fail


def is_environmental(error: BaseException) -> bool:
    """Whether a statement failed for something that is not here."""
    if isinstance(error, (ImportError, OSError, EOFError, UsageError)):
        return True
    if type(error).__name__ in ("CalledProcessError", "StdinNotImplementedError", "TclError"):
        return True
    if not isinstance(error, Exception):
        return False
    if _raised_in(error) == "IPython":
        return True  # a magic's own complaint
    if isinstance(error, (RuntimeError, AssertionError, NotImplementedError)):
        return any(word in str(error) for word in WORDS)
    if isinstance(error, (KeyError, ValueError, AttributeError)):
        return _raised_in(error) in DRAWING and _is_setting(error)
    return False


def _raised_in(error: BaseException) -> str:
    """The package whose code raised."""
    trace = error.__traceback__
    package = ""
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        trace = trace.tb_next
    return package


def _is_setting(error: BaseException) -> bool:
    """Whether it is about a backend, a style or a parameter of the drawing package, rather than a drawing."""
    words = ("backend", "rc parameter", "style", "is not a valid value for", "is a read-only", "kernel")
    return any(word in str(error) for word in words)


class Separately(ast.NodeTransformer):
    """`import a, b` and `from a import b, c` as statements of their own: one that fails takes no other with it."""

    def visit_Module(self, tree: ast.Module) -> ast.Module:
        tree.body = [part for node in tree.body for part in self._parts(node)]
        return tree

    def _parts(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.Import) and len(node.names) > 1:
            return [ast.copy_location(ast.Import([name]), node) for name in node.names]
        if isinstance(node, ast.ImportFrom) and len(node.names) > 1 and node.module != "__future__":
            parts = [ast.ImportFrom(node.module, [name], node.level) for name in node.names]
            return [ast.copy_location(part, node) for part in parts]
        return [node]


def stand_ins(code: Any, error: BaseException) -> dict[str, Absent]:
    """What the names stand for that the failed statement would have bound."""
    why = f"{type(error).__name__}: {error}"[:CHARACTERS]
    stored = (i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_NAME", "STORE_GLOBAL"))
    return {name: Absent(name, why) for name in stored}


def failure(error: BaseException, line: int, source: str) -> dict[str, Any]:
    """A note on one failed line: plain text, bounded."""
    lines = source.splitlines()
    text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    try:
        message = str(error)
    except Exception:
        message = ""
    return {
        "line": line,
        "code": text[:CHARACTERS],
        "type": type(error).__name__[:80],
        "message": " ".join(message.split())[:CHARACTERS],
    }


def first_line(code: Any) -> int:
    """The first line of the source that a code object comes from."""
    return min((line for _start, _end, line in code.co_lines() if line), default=0)


def newer_syntax(error: SyntaxError) -> str:
    """The version of Python that the line needs at which parsing stopped; empty if any."""
    line = error.text or ""
    running = sys.version_info[:2]
    for pattern, version in NEWER:
        wanted = tuple(int(part) for part in version.split("."))
        if wanted > running and pattern.search(line):
            return version
    return ""


def parts_that_parse(source: str) -> str:
    """The source with every top-level part blanked that this Python cannot read; lines keep their numbers."""
    lines = source.splitlines()
    inner = re.compile(r"[\s#)\]}]|$|(?:else|elif|except|finally)\b")
    starts = [i for i, line in enumerate(lines) if not inner.match(line)]
    kept = [""] * len(lines)
    begin = 0
    while begin < len(starts):
        for end in range(begin + 1, min(begin + 40, len(starts)) + 1):
            first, last = starts[begin], starts[end] if end < len(starts) else len(lines)
            try:
                ast.parse("\n".join(lines[first:last]))
            except (SyntaxError, ValueError):
                continue
            kept[first:last] = lines[first:last]
            begin = end
            break
        else:
            begin += 1
    return "\n".join(kept)
