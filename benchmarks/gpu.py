"""What a GPU is worth to ebmkit: the same calls on the processor and on the GPU, one after the other.

    python benchmarks/gpu.py            about two minutes; needs a GPU that torch can use
    python benchmarks/gpu.py --trial    small sizes on the processor alone; nothing is written

Each time is the median of five runs after one that is not counted, the GPU waited for at the end of each. They go
to `benchmarks/results/gpu.json`.
"""

import argparse
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ebmkit import annealing, boltzmann_machines, ising, mcmc
from ebmkit.annealing import GaussianBase
from ebmkit.contrastive_divergence import fit, pcd

RESULTS = Path(__file__).parent / "results" / "gpu.json"
RUNS = 5


def seeded(device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)


def sweeps(device: str, small: bool) -> Callable[[], object]:
    """Ten sweeps of Gibbs on an Ising torus, any couplings: no compiled kernel on either side."""
    side, chains = (16, 4) if small else (256, 256)
    model = ising.Ising((side, side), 0.44, periodic=True).float().to(device)
    kernel, generator = mcmc.Gibbs(model), seeded(device)
    start = torch.ones(chains, side, side, device=device)
    return lambda: mcmc.sample(kernel, start, 10, generator=generator)


def training(device: str, small: bool) -> Callable[[], object]:
    """An epoch of persistent contrastive divergence, float32, batches of 500."""
    visible, hidden, n = (20, 10, 1_000) if small else (784, 500, 10_000)
    generator = seeded(device)
    data = (torch.rand(n, visible, device=device, generator=generator) < 0.3).float()
    model = boltzmann_machines.RBM(visible, hidden).to(device)
    return lambda: fit(model, data, pcd, generator=generator, n_epochs=1, batch_size=500)


def annealed(device: str, small: bool) -> Callable[[], object]:
    """log Z of an RBM by annealed importance sampling."""
    visible, hidden, betas, chains = (20, 10, 10, 10) if small else (784, 500, 1_000, 1_000)
    model = boltzmann_machines.RBM(visible, hidden, scale=0.05, generator=torch.Generator().manual_seed(0))
    model, generator = model.to(device), seeded(device)
    return lambda: annealing.annealed_importance_sampling(
        model, betas=betas, n_chains=chains, generator=generator
    )


def trajectories(device: str, small: bool) -> Callable[[], object]:
    """Hundred steps of HMC, ten leapfrog steps each, on a Gaussian of ten dimensions, float64."""
    chains, steps = (100, 3) if small else (100_000, 100)
    kernel = mcmc.HMC(GaussianBase((10,)).to(device), 0.2, 10)
    generator, start = seeded(device), torch.zeros(chains, 10, dtype=torch.float64, device=device)
    return lambda: mcmc.sample(kernel, start, steps, generator=generator)


def small_sweeps(device: str, small: bool, chains: int) -> Callable[[], object]:
    """Hundred sweeps where there is little to do at once."""
    model = ising.Ising((16, 16), 0.44, periodic=True).float().to(device)
    kernel, generator = mcmc.Gibbs(model), seeded(device)
    start = torch.ones(3 if small else chains, 16, 16, device=device)
    return lambda: mcmc.sample(kernel, start, 3 if small else 100, generator=generator)


TASKS = {
    "Gibbs, Ising 256×256, 256 chains, 10 sweeps": sweeps,
    "PCD, RBM 784–500, an epoch of 10,000": training,
    "AIS, RBM 784–500, 1,000 chains, 1,000 temperatures": annealed,
    "HMC, 10 dimensions, 100,000 chains, 100 steps": trajectories,
    "Gibbs, Ising 16×16, 10 chains, 100 sweeps": functools.partial(small_sweeps, chains=10),
    "Gibbs, Ising 16×16, 1,000 chains, 100 sweeps": functools.partial(small_sweeps, chains=1_000),
}


def seconds(run: Callable[[], object], device: str, runs: int) -> float:
    """The median time of a run."""
    times = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def measure(devices: tuple[str, ...], small: bool = False) -> list[dict[str, object]]:
    """One row a task: the seconds on each device."""
    rows = []
    for name, task in TASKS.items():
        found = {device: seconds(task(device, small), device, 1 if small else RUNS) for device in devices}
        print(name, {device: f"{value:.3g} s" for device, value in found.items()}, flush=True)
        rows.append({"what": name, "seconds": found})
    return rows


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", action="store_true", help="small sizes on the processor alone")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args()
    if options.trial:
        measure(("cpu",), small=True)
        return
    if not torch.cuda.is_available():
        parser.exit(1, "torch finds no GPU here; --trial runs small sizes on the processor\n")
    rows = measure(("cpu", "cuda"))
    machine = {
        "gpu": torch.cuda.get_device_name(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
