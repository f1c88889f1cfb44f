"""Boltzmann machines on MNIST, as long as it takes: what log-probability do they reach?

    python benchmarks/mnist.py rbm-500-pcd --data mnist.npz --seeds 1 2 3

`--data` (or the variable MNIST) is an .npz file or a folder of IDX files. Training writes a checkpoint after each
epoch and goes on from it; figures go to `benchmarks/results/mnist.json`, one entry for a model and a seed.

Protocol: grey levels are probabilities. Training draws each image anew whenever it is used; the test images are
drawn once, with seed 1234. log Z of a machine with 25 hidden units is summed exactly; other machines take
annealed importance sampling with the schedule of Salakhutdinov & Murray (2008): 500 temperatures up to 0.5, 4,000
up to 0.9, 10,000 up to 1, and 100 runs. Products are in bfloat16 while training where the processor has it (the
parameters stay float32), and in float32 for every figure.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.annealing import anneal, log_mean_weight, reverse_anneal, weight_ess
from ebmkit.boltzmann_machines import DBM, RBM
from ebmkit.chance import bits
from ebmkit.contrastive_divergence import Learner, cd, fit, pcd
from ebmkit.data import mnist

RESULTS = Path(__file__).parent / "results" / "mnist.json"
SALAKHUTDINOV_MURRAY = [
    *(k / 1_000 for k in range(500)),
    *(0.5 + k / 10_000 for k in range(4_000)),
    *(0.9 + k / 100_000 for k in range(10_000)),
    1.0,
]


@dataclass(frozen=True)
class Recipe:
    """How a machine is trained; the rate falls linearly to zero."""

    sizes: tuple[int, ...]
    learner: Learner
    epochs: int
    rate: float
    first: str = ""
    """The recipe of the machine whose layers a deep one begins with."""


RECIPES = {
    "rbm-25-cd1": Recipe((784, 25), cd, epochs=20, rate=0.1),
    "rbm-25-cd10": Recipe((784, 25), functools.partial(cd, k=10), epochs=20, rate=0.1),
    "rbm-25-pcd1": Recipe((784, 25), pcd, epochs=20, rate=0.1),
    "rbm-500-pcd": Recipe((784, 500), pcd, epochs=400, rate=0.1),
    "dbm-500-1000": Recipe(
        (784, 500, 1000), functools.partial(pcd, k=5), epochs=30, rate=0.003, first="rbm-500-pcd"
    ),
}


def train(name: str, recipe: Recipe, seed: int, images: Tensor, runs: Path) -> tuple[RBM | DBM, float]:
    """The trained machine and the processor's seconds it took, over all interruptions."""
    generator = torch.Generator().manual_seed(seed)
    model, before = (deepened if recipe.first else fresh)(recipe, seed, images, runs, generator)
    updates = recipe.epochs * -(-len(images) // 100)
    history = fit(
        model,
        images,
        recipe.learner,
        n_epochs=recipe.epochs,
        learning_rate=lambda step: recipe.rate * (1 - step / updates),
        generator=generator,
        transform=bits,
        checkpoint=runs / f"{name}-{seed}",
        **clocked(f"{name} seed {seed}", recipe.epochs),
    )
    return model, math.fsum([before, *history["seconds"]])


def fresh(recipe: Recipe, _seed: int, images: Tensor, _runs: Path, generator: Generator) -> tuple[RBM, float]:
    """A machine with small weights, whose pixels are as often on as the images'."""
    model = RBM(*recipe.sizes, generator=generator)
    with torch.no_grad():
        model.a.copy_(images.mean(0).clamp(1e-3, 1 - 1e-3).logit())
    return model, 0.0


def deepened(
    recipe: Recipe, seed: int, images: Tensor, runs: Path, generator: Generator
) -> tuple[DBM, float]:
    """A deep machine that begins as a trained shallow one, its second layer hardly felt, and what that one cost.

    With no weights above, the deep machine is the shallow one and its bound is tight: training begins where the
    shallow one ended.
    """
    rbm, seconds = train(recipe.first, RECIPES[recipe.first], seed, images, runs)
    assert isinstance(rbm, RBM)
    model = DBM(recipe.sizes, scale=0.001, generator=generator)
    with torch.no_grad():
        model.weights[0].copy_(rbm.W)
        model.biases[0].copy_(rbm.a)
        model.biases[1].copy_(rbm.b - model.weights[1].sum(1) / 2)  # the units above are on half of the time
    return model, seconds


def clocked(title: str, epochs: int) -> dict[str, Any]:
    """A monitor of the processor's seconds an epoch takes, and a line of progress for each."""
    last = [time.process_time()]

    def seconds(_: object) -> dict[str, float]:
        begin, last[0] = last[0], time.process_time()
        return {"seconds": last[0] - begin}

    def show(record: dict[str, float]) -> None:
        print(
            f"{title}: epoch {record['epoch']:.0f}/{epochs}, rate {record['learning_rate']:.4f},"
            f" |gradient| {record['gradient_norm']:.3f}, {record['seconds']:.1f} s",
            flush=True,
        )

    return {"monitor": seconds, "callback": show}


def evaluate(model: RBM | DBM, seed: int, train_bits: Tensor, test_bits: Tensor) -> dict[str, Any]:
    """log Z and the mean log-probability of test and training images; of a DBM, its variational bound."""
    generator = torch.Generator().manual_seed(10_000 + seed)
    model.set_base_rates(train_bits)
    begin = time.process_time()
    free_energy = model.energy if isinstance(model, RBM) else model.mean_field_free_energy
    with torch.no_grad():
        test, training = (
            torch.cat([-free_energy(part) for part in x.split(1_000)]).double()
            for x in (test_bits, train_bits)
        )
    figures: dict[str, Any] = annealed(model, train_bits, generator)
    if isinstance(model, RBM) and model.W.shape[1] <= 25:
        figures["log_z_exact"] = model.exact_log_partition().item()
    log_z = figures.get("log_z_exact", figures["log_z_ais"])
    return figures | {
        "test": test.mean().item() - log_z,
        "test_standard_error": test.std().item() / math.sqrt(len(test)),
        "training": training.mean().item() - log_z,
        "kind": "log-probability" if isinstance(model, RBM) else "variational lower bound",
        "evaluation_processor_seconds": time.process_time() - begin,
    }


def annealed(model: RBM | DBM, train_bits: Tensor, generator: torch.Generator) -> dict[str, Any]:
    """AIS upwards, log(Ẑ ± 3σ) as the paper gives it, and downwards from Gibbs chains begun at training images."""
    machine = model if isinstance(model, RBM) else model.bipartite()
    forward = anneal(machine, betas=SALAKHUTDINOV_MURRAY, n_chains=100, generator=generator)
    up = log_mean_weight(forward.log_weights)
    x = model.complete(train_bits[:100]) if isinstance(model, DBM) else train_bits[:100]
    for _ in range(5_000):
        x = model.gibbs_step(x, generator=generator)
    samples = torch.cat(model.split(x)[1::2], -1) if isinstance(model, DBM) else x
    backward = reverse_anneal(machine, samples, betas=SALAKHUTDINOV_MURRAY, generator=generator)
    down = log_mean_weight(backward.log_weights)
    relative = up.error.item()
    return {
        "log_z_ais": up.value.item(),
        "log_z_ais_sigma": relative,
        "log_z_ais_minus_3_sigma": up.value.item() + math.log(1 - 3 * relative) if relative < 1 / 3 else None,
        "log_z_ais_plus_3_sigma": up.value.item() + math.log(1 + 3 * relative),
        "effective_runs": weight_ess(forward.log_weights).item(),
        "log_z_reverse_ais": -down.value.item(),
        "log_z_reverse_ais_sigma": down.error.item(),
    }


def record(entry: dict[str, Any]) -> None:
    """Puts the entry in the place of an earlier one of the same model and seed."""
    runs = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    runs = [run for run in runs if (run["model"], run["seed"]) != (entry["model"], entry["seed"])] + [entry]
    runs.sort(key=lambda run: (run["model"], run["seed"]))
    protocol = " ".join((__doc__ or "").split("Protocol: ")[1].split())
    RESULTS.write_text(json.dumps({"protocol": protocol, "runs": runs}, indent=1, ensure_ascii=False) + "\n")


def hardware() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    name = " / ".join(sorted(names)) or platform.processor()
    return f"{name}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", choices=list(RECIPES), metavar="MODEL", help=", ".join(RECIPES))
    parser.add_argument(
        "--data", default=os.environ.get("MNIST"), help="an .npz file or a folder of IDX files"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--epochs", type=int, help="instead of the recipe's, for a trial; no result is written"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path(__file__).parent / "runs", help="folder of checkpoints"
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("no MNIST: give --data mnist.npz, or set the variable MNIST to its path")
    try:
        images = mnist(arguments.data)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    machine = hardware()  # now, as the compiled exact sum changes the number of threads
    arguments.runs.mkdir(parents=True, exist_ok=True)
    training, test = images.train.images.flatten(1), images.test.images.flatten(1)
    drawing = torch.Generator().manual_seed(1234)
    test_bits, train_bits = bits(test, generator=drawing), bits(training, generator=drawing)
    for name in arguments.models:
        for seed in arguments.seeds:
            recipe = RECIPES[name]
            if arguments.epochs:
                recipe = dataclasses.replace(recipe, epochs=arguments.epochs)
            torch.set_float32_matmul_precision("medium")
            model, seconds = train(name, recipe, seed, training, arguments.runs)
            torch.set_float32_matmul_precision("highest")
            entry = {
                "model": name,
                "seed": seed,
                "sizes": recipe.sizes,
                "epochs": recipe.epochs,
                "rate": recipe.rate,
                "begins_as": recipe.first,
                "training_processor_seconds": seconds,
                "weight_norms": [W.norm().item() for W in model.parameters() if W.dim() == 2],
                **evaluate(model, seed, train_bits, test_bits),
                "hardware": machine,
                "torch": torch.__version__,
            }
            print(json.dumps(entry, indent=1), flush=True)
            if not arguments.epochs:
                record(entry)


if __name__ == "__main__":
    main()
