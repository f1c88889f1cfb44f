"""What samplers cost: a record, a cluster update, a trajectory, a sweep of an irregular graph.

In processor seconds of all threads together, so that it hardly matters what else the machine does.
"""

import math
import time
from importlib.metadata import version

from measuring import Claim, Row, Run, at_least, at_most, main

TITLE = "Samplers"
UNIT = "processor seconds"
COUPLING = math.log(1 + math.sqrt(2)) / 2

RECORD = {"what": "a record of 64 chains of 256 × 256, in sweeps"}
CLUSTERS = {"what": "Swendsen–Wang, 64 chains of 64 × 64 at the critical point"}
TRAJECTORY = {"what": "HMC with 10 leapfrog steps, 1,000 chains of a Gaussian in 10 dimensions"}
GRAPH = {"what": "a Gibbs sweep, 64 chains on a random 3-regular graph of 10,000 sites"}
RUNS = [
    Run("this ebmkit", "course", RECORD),
    Run("this ebmkit", "course", CLUSTERS),
    Run("peapods", "peers", CLUSTERS),
    Run("this ebmkit", "course", TRAJECTORY),
    Run("blackjax", "peers", TRAJECTORY),
    Run("this ebmkit", "course", GRAPH),
    Run("thrml", "peers", GRAPH),
]


def claims(rows: list[Row]) -> list[Claim]:
    def found(contender: str, case: Row, key: str = "value") -> float:
        row = next(row for row in rows if row["contender"] == contender and row["what"] == case["what"])
        return float(row[key])

    def speed(peer: str, case: Row) -> float:
        return found(peer, case) / found("this ebmkit", case)

    gradients = [found(contender, TRAJECTORY, "gradients") for contender in ("this ebmkit", "blackjax")]
    return [
        at_most(
            "a record of 64 chains, in sweeps of the same chains, compiled", found("this ebmkit", RECORD), 5
        ),
        at_least("Swendsen–Wang, compiled, against peapods", speed("peapods", CLUSTERS), 2),
        at_least("HMC, in eager torch, against blackjax compiled", speed("blackjax", TRAJECTORY), 0.4),
        at_most("gradients of a trajectory against blackjax", gradients[0] / gradients[1], 1.1),
        at_least("Gibbs on a graph, compiled, against thrml", speed("thrml", GRAPH), 1.5),
    ]


def best(work, repeats: int, rounds: int = 5) -> Row:  # type: ignore[no-untyped-def]
    """What one of `repeats` in a round costs: the best round after one that warms up, and all of them."""
    work(repeats)
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work(repeats)
        found.append((time.process_time() - start) / repeats)
    return {"value": min(found), "rounds": found}


def ours(what: str) -> Row:
    import torch

    torch.set_num_threads(1)  # threads that wait for each other would be paid for
    measured = {
        RECORD["what"]: our_record,
        CLUSTERS["what"]: our_clusters,
        TRAJECTORY["what"]: our_trajectory,
        GRAPH["what"]: our_sweep,
    }[what]
    return {"version": "this tree"} | measured()


def our_record() -> Row:
    import numpy as np

    from ebmkit.ising._engines import MultiSpin

    engine = MultiSpin((256, 256), COUPLING, 64, np.random.SeedSequence(1))
    engine.sweep(1)
    sweep = best(engine.sweep, 100)["value"]
    found = best(lambda repeats: [engine.measure() for _ in range(repeats)], 100)
    return {"value": found["value"] / sweep, "rounds": [x / sweep for x in found["rounds"]]}


def our_clusters() -> Row:
    import torch

    from ebmkit import ising

    model = ising.Ising((64, 64), COUPLING, periodic=True)
    generator, spins = torch.Generator().manual_seed(1), torch.ones(64, 64, 64)

    def update(repeats: int) -> None:
        nonlocal spins
        for _ in range(repeats):
            spins = ising.swendsen_wang(model, spins, generator=generator)

    update(20)  # to where clusters are of all sizes
    return best(update, 10)


def peapods(what: str) -> Row:
    """What a cluster update adds to a sweep, as it does none without; a chain is a temperature, all of them T_c."""
    import numpy as np
    from peapods import Ising

    model = Ising((64, 64), temperatures=np.full(64, 1 / COUPLING))
    sweeps = best(lambda repeats: model.sample(repeats), 20)
    both = best(lambda repeats: model.sample(repeats, cluster_update_interval=1), 20)
    return {
        "value": both["value"] - sweeps["value"],
        "rounds": both["rounds"],
        "sweep": sweeps["value"],
        "version": version("peapods"),
    }


SCALES = [0.5 + 0.1 * i for i in range(10)]


def our_trajectory() -> Row:
    import torch

    from ebmkit import mcmc
    from ebmkit.annealing import GaussianBase

    model = GaussianBase((10,), 0.0, torch.tensor(SCALES))
    kernel = mcmc.HMC(model, 0.3, 10)
    generator = torch.Generator().manual_seed(1)
    state = kernel.init(torch.zeros(1000, 10))

    def move(repeats: int) -> None:
        nonlocal state
        for _ in range(repeats):
            state, _info = kernel.step(state, generator=generator)

    calls = 0
    score = type(model).score

    class Counted(GaussianBase):
        def score(self, x: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return score(self, x)

    counted = mcmc.HMC(Counted((10,), 0.0, torch.tensor(SCALES)), 0.3, 10)
    there = counted.init(torch.zeros(1000, 10))
    for _ in range(20):
        there, _info = counted.step(there, generator=generator)
    return best(move, 200) | {"gradients": calls / 20}


def blackjax(what: str) -> Row:
    """All chains in one compiled call, 200 trajectories in a loop that is compiled, too."""
    import blackjax as library
    import jax
    import jax.numpy as jnp

    scale = jnp.array(SCALES)
    kernel = library.hmc(lambda x: -0.5 * ((x / scale) ** 2).sum(), 0.3, jnp.ones(10), 10)
    states = jax.vmap(kernel.init)(jnp.zeros((1000, 10)))

    @jax.jit
    def run(key, states):  # type: ignore[no-untyped-def]
        def once(states, key):  # type: ignore[no-untyped-def]
            return jax.vmap(kernel.step)(jax.random.split(key, 1000), states)[0], None

        return jax.lax.scan(once, states, jax.random.split(key, 200))[0]

    found = best(lambda repeats: jax.block_until_ready(run(jax.random.key(repeats), states)), 200)
    return {**found, "gradients": 10, "version": f"{version('blackjax')}, JAX {version('jax')}"}


def regular_graph():  # type: ignore[no-untyped-def]
    """Three random matchings of 10,000 sites, drawn again until no edge stands twice; `(15000, 2)`."""
    import numpy as np

    rng = np.random.default_rng(1)
    while True:
        stubs = rng.permutation(np.repeat(np.arange(10_000), 3)).reshape(-1, 2)
        stubs.sort(axis=1)
        for _ in range(100):  # mend the few loops and pairs by swapping partners at random
            bad = (stubs[:, 0] == stubs[:, 1]) | ~first_of_each(stubs)
            if not bad.any():
                return stubs
            chosen = np.concatenate([np.flatnonzero(bad), rng.integers(0, len(stubs), 10)])
            chosen = np.unique(chosen)
            stubs[chosen] = rng.permutation(stubs[chosen].ravel()).reshape(-1, 2)
            stubs.sort(axis=1)


def first_of_each(pairs):  # type: ignore[no-untyped-def]
    import numpy as np

    _, where = np.unique(pairs[:, 0] * 10_000 + pairs[:, 1], return_index=True)
    first = np.zeros(len(pairs), bool)
    first[where] = True
    return first


def our_sweep() -> Row:
    import torch

    from ebmkit.graphs import GraphIsing

    model = GraphIsing(torch.from_numpy(regular_graph()), 0.4)
    generator, spins = torch.Generator().manual_seed(1), torch.ones(64, 10_000)

    def sweep(repeats: int) -> None:
        nonlocal spins
        for _ in range(repeats):
            spins = model.gibbs_step(spins, generator=generator)

    return best(sweep, 50)


def thrml(what: str) -> Row:
    """A block a colour of a greedy colouring; all chains in one compiled call."""
    import jax
    import jax.numpy as jnp
    from thrml import Block, SamplingSchedule, SpinNode, sample_states
    from thrml.models import IsingEBM, IsingSamplingProgram, hinton_init

    pairs = regular_graph().tolist()
    near: list[list[int]] = [[] for _ in range(10_000)]
    for i, j in pairs:
        near[i].append(j)
        near[j].append(i)
    colour = [-1] * 10_000
    for i in range(10_000):
        taken = {colour[j] for j in near[i]}
        colour[i] = next(c for c in range(4) if c not in taken)
    nodes = [SpinNode() for _ in range(10_000)]
    edges = [(nodes[i], nodes[j]) for i, j in pairs]
    model = IsingEBM(nodes, edges, jnp.zeros(10_000), jnp.ones(len(edges)), jnp.array(0.4))
    blocks = [Block([nodes[i] for i in range(10_000) if colour[i] == c]) for c in range(max(colour) + 1)]
    program = IsingSamplingProgram(model, blocks, [])
    schedule = SamplingSchedule(n_warmup=50, n_samples=1, steps_per_sample=1)
    keys = jax.random.split(jax.random.key(1), 64)
    state = hinton_init(jax.random.key(2), model, blocks, (64,))

    @jax.jit
    def sweep(keys, state):  # type: ignore[no-untyped-def]
        return jax.vmap(lambda key, one: sample_states(key, program, schedule, one, [], blocks))(keys, state)

    found = best(lambda repeats: jax.block_until_ready(sweep(keys, state)), 50)
    return {**found, "version": f"{version('thrml')}, JAX {version('jax')}", "colours": len(blocks)}


if __name__ == "__main__":
    main({"this ebmkit": ours, "peapods": peapods, "blackjax": blackjax, "thrml": thrml})
