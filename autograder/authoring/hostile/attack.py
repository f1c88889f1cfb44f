"""One hostile submission, and what all of them begin with."""

import dataclasses
import json
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

LEAK = "LEAK"
CANARY = "ebm-course-canary"

PRELUDE = """
NAMES = {names!r}
def wrong(*args, **kwargs):
    return None
for _name in NAMES:
    globals()[_name] = wrong
def answer_with(thing):
    for name in NAMES:
        globals()[name] = thing
def leak(what):
    print("LEAK", str(what)[:200])
def did(action, *arguments):
    try: return action(*arguments) is not False
    except (OSError, ValueError): return False
def system_call(x86_64, aarch64, *arguments):
    import ctypes, platform
    number = x86_64 if platform.machine() == "x86_64" else aarch64
    whole = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return ctypes.CDLL(None, use_errno=True).syscall(number, *whole)
def others():
    import os
    own = {{0, os.getpid()}}
    try: return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in own]
    except OSError: return [n for n in (1, 2, *range(os.getppid() - 40, os.getpid())) if n > 0 and n not in own]
def channel():
    import os, stat
    for fd in range(3, 256):
        if did(lambda: stat.S_ISSOCK(os.fstat(fd).st_mode)): return fd
def frame(header, payload=b""):
    import struct
    return struct.pack("<IQ", len(header), len(payload)) + header + payload
"""


def as_it_is(document: dict[str, Any]) -> bytes:
    """A notebook's bytes."""
    return json.dumps(document).encode()


@dataclasses.dataclass(frozen=True)
class Attack:
    """One hostile submission: its family, its name, the cell that attacks, and how the file is written."""

    family: str
    name: str
    source: str = ""
    written: Callable[[dict[str, Any]], bytes] = as_it_is

    def notebook(self, exercises: Sequence[str]) -> bytes:
        """The submission as a notebook."""
        return self.written(document([PRELUDE.format(names=list(exercises)), self.source]))


def together(attacks: Sequence[Attack], exercises: Sequence[str]) -> bytes:
    """One notebook that tries attacks one after another; each finds its prelude fresh."""
    prelude = PRELUDE.format(names=list(exercises))
    return as_it_is(document([source for attack in attacks for source in (prelude, attack.source)]))


def document(sources: Sequence[str]) -> dict[str, Any]:
    """A notebook of these code cells."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell{index}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for index, source in enumerate(sources)
        ],
    }


def family(name: str, **attacks: str) -> list[Attack]:
    """Attacks of one kind, each by what it does and the cell that does it."""
    return [Attack(name, key.replace("_", " "), textwrap.dedent(source)) for key, source in attacks.items()]
