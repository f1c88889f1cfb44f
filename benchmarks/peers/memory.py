"""Peak memory, in MiB beyond what the process held when it began: one process a figure, Linux only."""

import math
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from measuring import Claim, Row, Run, at_most, main

TITLE = "Peak memory"
UNIT = "MiB beyond the start"
MIB = 2**20

RUNS = [
    Run("this ebmkit", "course", {"what": "64 chains of 1024 × 1024, swept and measured"}),
    Run("this ebmkit, NumPy alone", "course", {"what": "64 chains of 1024 × 1024, swept and measured"}),
    Run("this ebmkit", "course", {"what": "exact log Z of a 22 × 22 lattice"}),
]


def claims(rows: list[Row]) -> list[Claim]:
    swept, numpy, lattice = (row["value"] for row in rows)
    return [
        at_most("64 chains of 1024 × 1024, 8 MiB of bits and scratch of three times that: MiB", swept, 32),
        at_most("the same without a compiler: MiB", numpy, 32),
        at_most("exact log Z of a 22 × 22 lattice: MiB", lattice, 256e6 / MIB),
    ]


def status(field: str) -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024 / MIB


def growth(work: Callable[[], object]) -> float:
    """How far the peak of `work` lies above the start; writing 5 sets the process's high-water mark back."""
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    work()
    return status("VmHWM") - before


def ours(what: str) -> Row:
    import numpy as np

    from ebmkit.ising import Ising
    from ebmkit.ising._engines import MultiSpin

    if what.startswith("exact"):
        Ising((4, 4), 0.4).exact_log_partition()
        return {"value": growth(Ising((22, 22), 0.4).exact_log_partition), "version": version("torch")}

    def simulate(side: int) -> MultiSpin:
        engine = MultiSpin((side, side), math.log(1 + math.sqrt(2)) / 2, 64, np.random.SeedSequence(1))
        engine.sweep(3)
        engine.measure()
        return engine

    simulate(64)  # compiles the kernels, which has nothing to do with the lattice
    kept = []
    value = growth(lambda: kept.append(simulate(1024)))
    return {"value": value, "MiB_of_bits": kept[0].words.nbytes / MIB, "version": version("numpy")}


def without_compiler(what: str) -> Row:
    import sys

    sys.modules["numba"] = None  # type: ignore[assignment]
    return ours(what)


if __name__ == "__main__":
    main({"this ebmkit": ours, "this ebmkit, NumPy alone": without_compiler})
