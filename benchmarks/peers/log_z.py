"""Seconds for an exact log Z: a lattice with random couplings, and a restricted Boltzmann machine."""

from importlib.metadata import version

from measuring import Claim, Row, Run, at_least, at_most, main, timed

TITLE = "Exact log Z"
UNIT = "seconds"

LATTICES = [{"model": "lattice", "side": side} for side in (12, 14, 16)]
LARGER = [{"model": "lattice", "side": side} for side in (20, 22)]
MACHINE = {"model": "machine", "visible": 784, "hidden": 20}
RUNS = [
    *(Run("this ebmkit", "course", case) for case in [*LATTICES, *LARGER, MACHINE]),
    *(Run("dwave-samplers", "peers", case) for case in LATTICES),
    Run("ebmkit of PyPI", "peers", MACHINE),
]


def claims(rows: list[Row]) -> list[Claim]:
    def found(contender: str, key: str, **case: object) -> float | None:
        return next(
            row.get(key) for row in rows if row["contender"] == contender and case.items() <= row.items()
        )

    def compared(peer: str, **case: object) -> tuple[float, float]:
        ours, theirs = (
            [found(contender, key, **case) for key in ("value", "log_z")]
            for contender in ("this ebmkit", peer)
        )
        assert all((*ours, *theirs))
        return theirs[0] / ours[0], abs(theirs[1] - ours[1]) / abs(ours[1])

    solved = [case["side"] for case in LATTICES if found("dwave-samplers", "value", **case)]
    side = max(solved)
    lattice, lattice_difference = compared("dwave-samplers", side=side)
    machine, machine_difference = compared("ebmkit of PyPI", model="machine")
    return [
        at_least(f"{side} × {side} lattice against dwave-samplers", lattice, 20),
        at_most("relative difference of the two log Z of the lattice", lattice_difference, 1e-10),
        at_least("machine with 20 hidden units against ebmkit of PyPI", machine, 10),
        at_most(
            "relative difference of the two log Z of the machine (theirs: float32)", machine_difference, 1e-5
        ),
    ]


def measured(compute: object, name: str) -> Row:
    """The best of three after one that warms up, or why there is none."""
    assert callable(compute)
    try:
        log_z = float(compute())
    except (ValueError, MemoryError, RuntimeError) as refusal:
        return {"value": None, "refused": str(refusal).split("\n")[0], "version": version(name)}
    first = timed(compute)
    rounds = [first] + [timed(compute) for _ in range(2 if first < 5 else 0)]
    return {"value": min(rounds), "rounds": rounds, "log_z": log_z, "version": version(name)}


def couplings(side: int):  # type: ignore[no-untyped-def]
    import numpy as np

    rng = np.random.default_rng(side)
    return rng.normal(size=(side, side - 1)), rng.normal(size=(side - 1, side)), rng.normal(size=(side, side))


def parameters(visible: int, hidden: int):  # type: ignore[no-untyped-def]
    import numpy as np

    rng = np.random.default_rng(1)
    return 0.1 * rng.normal(size=(visible, hidden)), rng.normal(size=visible), rng.normal(size=hidden)


def ours(model: str, **size: int) -> Row:
    import torch

    from ebmkit.boltzmann_machines import RBM
    from ebmkit.ising import Ising

    if model == "machine":
        machine = RBM(size["visible"], size["hidden"])
        with torch.no_grad():
            for own, given in zip((machine.W, machine.a, machine.b), parameters(**size)):
                own.copy_(torch.from_numpy(given))
            return measured(machine.exact_log_partition, "torch")
    side = size["side"]
    horizontal, vertical, field = map(torch.from_numpy, couplings(side))
    return measured(Ising((side, side), (horizontal, vertical), field).exact_log_partition, "torch")


def dwave(model: str, side: int) -> Row:
    """Its sampler by tree decomposition, without marginals; sites are eliminated row by row, a good order."""
    import dimod
    from dwave.samplers import TreeDecompositionSampler

    horizontal, vertical, field = couplings(side)
    bqm = dimod.BinaryQuadraticModel("SPIN")
    bqm.add_linear_from(((i, j), -field[i, j]) for i in range(side) for j in range(side))
    bqm.add_quadratic_from(
        ((i, j), (i, j + 1), -horizontal[i, j]) for i in range(side) for j in range(side - 1)
    )
    bqm.add_quadratic_from(
        ((i, j), (i + 1, j), -vertical[i, j]) for i in range(side - 1) for j in range(side)
    )
    order = [(i, j) for i in range(side) for j in range(side)]
    sampler = TreeDecompositionSampler()

    def log_z() -> float:
        info = sampler.sample(bqm, elimination_order=order, marginals=False, seed=1).info
        return float(info["log_partition_function"])

    return measured(log_z, "dwave-samplers")


def pypi_ebmkit(model: str, visible: int, hidden: int) -> Row:
    import ebm.nets.lattice
    import torch

    machine = ebm.nets.lattice.RBM(visible, hidden)
    weights, a, b = map(torch.from_numpy, parameters(visible, hidden))
    with torch.no_grad():
        machine.W.copy_(weights.T)
        machine.b.copy_(a)
        machine.c.copy_(b)
    return measured(machine.log_z, "ebmkit")


if __name__ == "__main__":
    main({"this ebmkit": ours, "dwave-samplers": dwave, "ebmkit of PyPI": pypi_ebmkit})
