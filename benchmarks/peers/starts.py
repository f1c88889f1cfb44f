"""Seconds until something happens: importing the library, and the first sample of a fresh process."""

import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version

from measuring import Claim, Row, Run, at_most, main, timed

TITLE = "Time to import, and time to the first sample"
UNIT = "seconds"
ROUNDS = 5

IMPORTS = {
    "torch": "import torch",
    "this ebmkit": "import ebmkit",
    "this ebmkit, every module": "import ebmkit; [getattr(ebmkit, name) for name in ebmkit.__all__]",
}
FIRST_SAMPLE = """
import torch
from ebmkit import ising
model = ising.Ising((64, 64), ising.CRITICAL_COUPLING, periodic=True)
ising.simulate(model, 1, 64, generator=torch.Generator())
"""
RUNS = [
    Run("this ebmkit", "course", {"what": "import"}),
    Run("this ebmkit", "course", {"what": "first sample"}),
]


def claims(rows: list[Row]) -> list[Claim]:
    imports = next(row["seconds"] for row in rows if row["what"] == "import")
    sample = next(row["seconds"] for row in rows if row["what"] == "first sample")
    return [
        at_most("import ebmkit against import torch", imports["this ebmkit"] / imports["torch"], 1.5),
        at_most(
            "import of every module of ebmkit against import torch",
            imports["this ebmkit, every module"] / imports["torch"],
            1.5,
        ),
        at_most(
            "first sample with kernels from the cache against compiling them",
            sample["kernels cached"] / sample["kernels compiled"],
            0.5,
        ),
    ]


def run(code: str, **environment: str) -> float:
    command = [sys.executable, "-c", code]
    return timed(lambda: subprocess.run(command, check=True, env=os.environ | environment))


def ours(what: str) -> Row:
    """Medians over processes; the contenders take turns, so that all meet the same machine."""
    if what == "import":
        times = [{name: run(code) for name, code in IMPORTS.items()} for _ in range(ROUNDS + 1)][1:]
        seconds = {name: statistics.median(t[name] for t in times) for name in IMPORTS}
        return {
            "value": seconds["this ebmkit, every module"],
            "seconds": seconds,
            "version": version("torch"),
        }
    with tempfile.TemporaryDirectory() as folder:
        compiled = run(FIRST_SAMPLE, NUMBA_CACHE_DIR=folder)
        cached = statistics.median(run(FIRST_SAMPLE, NUMBA_CACHE_DIR=folder) for _ in range(ROUNDS))
    seconds = {"kernels compiled": compiled, "kernels cached": cached}
    return {"value": cached, "seconds": seconds, "version": version("numba")}


if __name__ == "__main__":
    main({"this ebmkit": ours})
