"""Spin updates a nanosecond: the torus at its critical point, J = 1 and T = T_c, one chain and many."""

import math
from importlib.metadata import version

from measuring import Claim, Row, Run, at_least, main, rates

TITLE = "Ising model on a torus at the critical point"
UNIT = "spin updates per nanosecond"
COUPLING = math.log(1 + math.sqrt(2)) / 2

MANY = [{"side": side, "chains": 64} for side in (64, 256, 1024)]
ONE = [{"side": side, "chains": 1} for side in (64, 256, 1024)]
RUNS = [
    *(Run("this ebmkit", "course", case) for case in MANY + ONE),
    *(Run("this ebmkit, NumPy alone", "course", case) for case in MANY[:2]),
    *(Run("this ebmkit, a byte a spin", "course", case) for case in MANY[:2]),
    *(Run("int8 loop in numba", "course", case) for case in MANY[:2]),
    *(Run("thrml", "peers", case) for case in [*MANY[:2], *ONE]),
    *(Run("peapods", "peers", case) for case in [*MANY[:2], ONE[2]]),
]


def claims(rows: list[Row]) -> list[Claim]:
    def best(contender: str, chains: int, side: int | None = None) -> float:
        return max(
            row["value"]
            for row in rows
            if row["contender"] == contender and row["chains"] == chains and side in (None, row["side"])
        )

    def alone(row: Row) -> bool:
        return bool(row["contender"] == "this ebmkit, NumPy alone" and row["chains"] == 64)

    ours = min(best("this ebmkit", 64, case["side"]) for case in MANY)
    one = best("this ebmkit", 1, 1024)
    return [
        at_least("64 chains, our slowest lattice against thrml's best", ours / best("thrml", 64), 40),
        at_least("64 chains, our slowest lattice against peapods' best", ours / best("peapods", 64), 50),
        at_least(
            "64 chains, our slowest lattice against an int8 loop in numba",
            ours / best("int8 loop in numba", 64),
            8,
        ),
        at_least(
            "the same against our own loop with a byte for each spin",
            ours / best("this ebmkit, a byte a spin", 64),
            8,
        ),
        at_least("one chain of 1024 × 1024 against thrml", one / best("thrml", 1, 1024), 40),
        at_least(
            "64 chains without a compiler, our slowest lattice against thrml's best",
            min(best("this ebmkit, NumPy alone", 64, row["side"]) for row in rows if alone(row))
            / best("thrml", 64),
            2,
        ),
    ]


def sweeps_for(side: int, chains: int, per_nanosecond: float) -> int:
    """Sweeps that take about half a second at the speed given."""
    return max(2, round(per_nanosecond * 0.5e9 / (side * side * chains)))


def ours(side: int, chains: int) -> Row:
    import numpy as np

    from ebmkit.ising._engines import MultiSpin

    engine = MultiSpin((side, side), COUPLING, chains, np.random.SeedSequence(1))
    n_sweeps = sweeps_for(side, chains, 1 if engine._kernels is None else 8)
    found = rates(lambda: engine.sweep(n_sweeps), n_sweeps * side * side * chains)
    return {
        **found,
        "version": "NumPy " + version("numpy") if engine._kernels is None else "numba " + version("numba"),
    }


def without_compiler(side: int, chains: int) -> Row:
    import sys

    sys.modules["numba"] = None  # type: ignore[assignment]
    return ours(side, chains)


def ours_in_bytes(side: int, chains: int) -> Row:
    """The kernel for lattices that bits do not serve, here on one that they do."""
    import numpy as np

    from ebmkit.ising._engines import ByteLattice

    bonds = (np.full((side, side), COUPLING), np.full((side, side), COUPLING), np.zeros((side, side)))
    engine = ByteLattice(bonds, COUPLING, True, chains, np.random.SeedSequence(1), lambda spins: spins)
    n_sweeps = sweeps_for(side, chains, 1)
    found = rates(lambda: engine.sweep(n_sweeps), n_sweeps * side * side * chains)
    return {**found, "version": "numba " + version("numba")}


def int8_loop(side: int, chains: int) -> Row:
    """The loop that one writes first: a byte a spin, a table of probabilities, a thread a chain."""
    import numpy as np
    from numba import njit, prange

    @njit(parallel=True)
    def sweep(spins, accept, n_sweeps):  # type: ignore[no-untyped-def]
        n, m = spins.shape[1:]
        for chain in prange(len(spins)):
            s = spins[chain]
            for _ in range(n_sweeps):
                for i in range(n):
                    for j in range(m):
                        around = s[i - 1, j] + s[(i + 1) % n, j] + s[i, j - 1] + s[i, (j + 1) % m]
                        if np.random.random() < accept[4 + s[i, j] * around]:  # noqa: NPY002, numba's own
                            s[i, j] = -s[i, j]

    spins = np.where(np.random.default_rng(1).random((chains, side, side)) < 0.5, -1, 1).astype(np.int8)
    accept = np.exp(-2 * COUPLING * np.arange(-4, 5)).clip(max=1)
    n_sweeps = sweeps_for(side, chains, 0.2)
    found = rates(lambda: sweep(spins, accept, n_sweeps), n_sweeps * spins.size)
    return {**found, "version": "numba " + version("numba")}


def thrml(side: int, chains: int) -> Row:
    """Two blocks, as on a checkerboard; all chains in one compiled call."""
    import time

    import jax
    import jax.numpy as jnp
    from thrml import Block, SamplingSchedule, SpinNode, sample_states
    from thrml.models import IsingEBM, IsingSamplingProgram, hinton_init

    start = time.perf_counter()
    nodes = [[SpinNode() for _ in range(side)] for _ in range(side)]
    flat = [node for row in nodes for node in row]
    ahead = [((i, j), ((i + 1) % side, j)) for i in range(side) for j in range(side)]
    ahead += [((i, j), (i, (j + 1) % side)) for i in range(side) for j in range(side)]
    edges = [(nodes[i][j], nodes[k][l]) for (i, j), (k, l) in ahead]
    model = IsingEBM(flat, edges, jnp.zeros(len(flat)), jnp.ones(len(edges)), jnp.array(COUPLING))
    blocks = [
        Block([nodes[i][j] for i in range(side) for j in range(side) if (i + j) % 2 == colour])
        for colour in (0, 1)
    ]
    program = IsingSamplingProgram(model, blocks, [])
    n_sweeps = sweeps_for(side, chains, 0.05)
    schedule = SamplingSchedule(n_warmup=n_sweeps, n_samples=1, steps_per_sample=1)
    keys = jax.random.split(jax.random.key(1), chains)
    state = hinton_init(jax.random.key(2), model, blocks, (chains,))

    @jax.jit
    def sweep(keys, state):  # type: ignore[no-untyped-def]
        return jax.vmap(lambda key, one: sample_states(key, program, schedule, one, [], blocks))(keys, state)

    jax.block_until_ready(sweep(keys, state))
    ready = time.perf_counter() - start
    found = rates(
        lambda: jax.block_until_ready(sweep(keys, state)), n_sweeps * side * side * chains, rounds=3
    )
    return {**found, "version": f"{version('thrml')}, JAX {version('jax')}", "seconds_until_ready": ready}


def peapods(side: int, chains: int) -> Row:
    """The quicker of its two local updates; a chain is a temperature, all of them T_c."""
    import numpy as np
    from peapods import Ising

    model = Ising((side, side), temperatures=np.full(chains, 1 / COUPLING))
    n_sweeps = sweeps_for(side, chains, 0.08)
    by_mode = {
        mode: rates(
            lambda mode=mode: model.sample(n_sweeps, sweep_mode=mode),
            n_sweeps * side * side * chains,
            rounds=3,
        )
        for mode in ("metropolis", "gibbs")
    }
    mode, found = max(by_mode.items(), key=lambda item: item[1]["value"])
    return {**found, "version": version("peapods"), "update": mode}


if __name__ == "__main__":
    main(
        {
            "this ebmkit": ours,
            "this ebmkit, NumPy alone": without_compiler,
            "this ebmkit, a byte a spin": ours_in_bytes,
            "int8 loop in numba": int8_loop,
            "thrml": thrml,
            "peapods": peapods,
        }
    )
