"""Many chains of one lattice at the speed of the machine."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import (
    check_count,
)
from ebmkit.ising._engines import ByteLattice, MultiSpin, n_bands
from ebmkit.ising._model import Ising, check_spins, detached, gibbs_sweep, require_ising, uniform_coupling

# A word of 32 lanes costs about as much as 3 chains in bytes; below this, most of its lanes would idle.
_MANY_LANES = 8


class Simulation(NamedTuple):
    """What `simulate` returns: the last spins `(n_chains, n, m)`, int8, and what it recorded on the way.

    `energy` and `magnetization`, the mean spin, are `(n_records, n_chains)`, float64.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> run = ising.simulate(ising.Ising((4, 4), 0.4), 10, generator=generator, n_chains=3, record_every=5)
    >>> run.spins.shape, run.energy.shape
    (torch.Size([3, 4, 4]), torch.Size([2, 3]))
    """

    spins: Tensor
    energy: Tensor
    magnetization: Tensor


def simulate(
    model: Ising,
    n_sweeps: int,
    n_chains: int = 64,
    record_every: int = 0,
    start: Tensor | None = None,
    *,
    generator: Generator,
) -> Simulation:
    """Heat-bath sweeps of many chains at the speed of the machine, on the CPU.

    A torus with even sides, one coupling and no field takes one bit a spin and chain (multi-spin coding, for 8
    chains or more, fewer where 2, 4, …, 64 divide the rows); anything else takes a byte. Both are compiled by numba
    where it is installed; without it the bits go through NumPy and the bytes through `gibbs_sweep`. Each word of
    32 lanes, or each chain of bytes, has a thread.

    `record_every` sweeps the energy and the mean spin of every chain are noted; 0 notes nothing. `start` is
    `(n_chains, n, m)`; without it every spin starts as a fair coin. Raises `ValueError` for counts that
    make no sense and a start that does not fit. Source: Creutz, Jacobs & Rebbi 1979.

    >>> import torch
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> run = ising.simulate(ising.Ising((8, 8), 0.4, periodic=True), 20, generator=generator, record_every=10)
    >>> run.magnetization.shape
    torch.Size([2, 64])
    """
    require_ising(model)
    n_sweeps = check_count("n_sweeps", n_sweeps, 0)
    n_chains = check_count("n_chains", n_chains, 1)
    record_every = check_count("record_every", record_every, 0)
    engine = _engine(model, n_chains, generator)
    if start is not None:
        start = check_spins(model, start)
        if start.shape != (n_chains, *model.event_shape):
            raise ValueError(
                f"start must have shape {(n_chains, *model.event_shape)}, got {tuple(start.shape)}"
            )
        engine.set_spins(start.to("cpu", torch.int8).numpy())
    records = np.empty((n_sweeps // record_every if record_every else 0, 2, n_chains))
    for record in records:
        engine.sweep(record_every)
        record[:] = engine.measure()
    engine.sweep(n_sweeps - len(records) * record_every)
    energy, magnetization = torch.from_numpy(records).unbind(1)
    return Simulation(torch.from_numpy(engine.get_spins()), energy, magnetization)


def _engine(model: Ising, n_chains: int, generator: Generator) -> MultiSpin | ByteLattice:
    words = chance.uniform(torch.empty(4, dtype=torch.float64), generator=generator) * 2**32
    seed = np.random.SeedSequence([int(word) for word in words])
    n, m = model.event_shape
    coupling = uniform_coupling(model)
    even_torus = model.periodic and n % 2 == 0 and m % 2 == 0
    lanes = n_chains * n_bands(n, n_chains)
    if even_torus and not math.isnan(coupling) and not model.field.any() and lanes >= _MANY_LANES:
        return MultiSpin((n, m), coupling, n_chains, seed)
    on_cpu = detached(model, "cpu").double()
    slow = torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def sweep_slowly(spins: NDArray[np.int8]) -> NDArray[np.int8]:
        return np.asarray(gibbs_sweep(on_cpu, torch.from_numpy(spins), generator=slow).numpy())

    parts = (on_cpu.horizontal.numpy(), on_cpu.vertical.numpy(), on_cpu.field.numpy())
    return ByteLattice(parts, coupling, model.periodic, n_chains, seed, sweep_slowly)
