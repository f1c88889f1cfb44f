"""What 500 hidden units look for in MNIST, and what they dream: pictures for the book.

    python benchmarks/mnist_pictures.py --data mnist.npz            some minutes on one core

`--data` (or the variable MNIST) is an .npz file or a folder of IDX files. Pictures go to
`benchmarks/results/mnist_pictures.json`: the weights of some units, chosen by their norm, and chains from noise.

Protocol: the machine of `benchmarks/mnist.py`, 784 by 500 with persistent chains, one seed and far fewer epochs, so
that anybody can repeat it; the rate falls linearly to zero, and each image is drawn anew at each use.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

import ebmkit
from ebmkit.boltzmann_machines import RBM
from ebmkit.chance import bits
from ebmkit.contrastive_divergence import fit, pcd
from ebmkit.data import mnist

RESULTS = Path(__file__).parent / "results" / "mnist_pictures.json"


@dataclass(frozen=True)
class Recipe:
    """How the machine is trained and what is kept of it."""

    hidden: int = 500
    epochs: int = 12
    rate: float = 0.1
    seed: int = 1
    units: int = 32
    chains: int = 8
    steps: tuple[int, ...] = (0, 10, 100, 1_000)


RECIPE = Recipe()


def trained(recipe: Recipe, images: Tensor, generator: Generator) -> RBM:
    model = RBM(images.shape[1], recipe.hidden, generator=generator)
    with torch.no_grad():
        model.a.copy_(images.mean(0).clamp(1e-3, 1 - 1e-3).logit())
    updates = recipe.epochs * -(-len(images) // 100)
    fit(
        model,
        images,
        pcd,
        n_epochs=recipe.epochs,
        learning_rate=lambda step: recipe.rate * (1 - step / updates),
        generator=generator,
        transform=bits,
        callback=lambda record: print(f"epoch {record['epoch']:.0f}/{recipe.epochs}", flush=True),
    )
    return model.requires_grad_(False)


def dreams(model: RBM, recipe: Recipe, means: Tensor, generator: Generator) -> dict[str, list[list[int]]]:
    """Chains from independent pixels with the images' means, as probabilities of ink."""
    v = torch.bernoulli(means.expand(recipe.chains, -1), generator=generator)
    kept, made = {}, 0
    for steps in recipe.steps:
        for _ in range(steps - made):
            v = model.gibbs_step(v, generator=generator)
        made = steps
        shade = model.visible_probability(model.sample_hidden(v, generator=generator)) if steps else v
        kept[str(steps)] = (255 * shade).round().int().tolist()
    return kept


def filters(model: RBM, recipe: Recipe) -> dict[str, Any]:
    """Columns of the weights in steps of `level`, those of every so many units in the order of their norms."""
    order = model.W.norm(dim=0).argsort(descending=True)
    units = order[:: len(order) // recipe.units][: recipe.units]
    level = float(model.W[:, units].abs().max()) / 127
    return {"level": level, "weights": (model.W[:, units].T / level).round().int().tolist()}


def run(recipe: Recipe, images: Tensor) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(recipe.seed)
    begin = time.process_time()
    model = trained(recipe, images, generator)
    return {
        "protocol": " ".join((__doc__ or "").split("Protocol: ")[1].split()),
        "recipe": dataclasses.asdict(recipe),
        "ebmkit": ebmkit.__version__,
        "torch": torch.__version__,
        "training_processor_seconds": time.process_time() - begin,
        "active": float(model.hidden_probability(images[:1000]).mean()),
        "filters": filters(model, recipe),
        "dreams": dreams(model, recipe, images.mean(0), generator),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default=os.environ.get("MNIST"), help="an .npz file or a folder of IDX files"
    )
    options = parser.parse_args()
    if options.data is None:
        parser.error("no MNIST: give --data mnist.npz, or set the variable MNIST to its path")
    try:
        images = mnist(options.data).train.images.flatten(1)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    RESULTS.write_text(json.dumps(run(RECIPE, images)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
