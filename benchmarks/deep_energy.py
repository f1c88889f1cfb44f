"""A deep energy on pictures: does it hold for chains far longer than those that trained it, and what finds it odd?

    python benchmarks/deep_energy.py            two seeds, some minutes on one core
    python benchmarks/deep_energy.py --trial    two epochs and short chains; nothing is written

Protocol: scikit-learn's 8 by 8 digits, grey levels from 0 to 1 with Gaussian noise of 0.15 drawn anew at each use,
so that there is a density; 1,500 to learn from, 297 held out. The energy is a network of two hidden layers beside a
wide Gaussian, learned by short chains of Langevin from a buffer. log Z is estimated by annealed importance sampling
upwards from a Gaussian and downwards from long chains. The results go to `benchmarks/results/deep_energy.json`.
"""

import argparse
import dataclasses
import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

import ebmkit
from ebmkit import EnergyModel, data, mcmc
from ebmkit.annealing import GaussianBase, ais_bracket
from ebmkit.applications import auc
from ebmkit.contrastive_divergence import fit, replay

RESULTS = Path(__file__).parent / "results" / "deep_energy.json"
NOISE = 0.15
SHOWN = 6
"""Pictures of each kind that the file keeps."""


@dataclass(frozen=True)
class Recipe:
    """How the energy is learned and how long it is looked at."""

    width: int = 128
    epochs: int = 36
    batch: int = 100
    steps: int = 20
    step_size: float = 0.005
    buffer: int = 4_000
    refresh: float = 0.02
    rate: float = 1e-3
    long: tuple[int, ...] = (0, 20, 200, 3_000)
    temperatures: int = 1_000
    chains: int = 100


RECIPE = Recipe()
TRIAL = dataclasses.replace(RECIPE, epochs=2, long=(0, 2, 4), temperatures=20, chains=20)


class Deep(EnergyModel):
    """E(x) = network(x) + |x - mean|² / (2 spread²); the second term makes Z finite."""

    event_shape = (64,)
    mean: Tensor
    spread = 0.5

    def __init__(self, mean: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.network = nn.Sequential(
            nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def energy(self, x: Tensor) -> Tensor:
        centred = (x - self.mean) / self.spread
        return self.network(centred)[..., 0] + centred.square().sum(-1) / 2


def noisy(x: Tensor, generator: Generator) -> Tensor:
    return x + NOISE * torch.randn(x.shape, generator=generator)


def trained(recipe: Recipe, seed: int, pictures: Tensor) -> Deep:
    """The energy learned with one seed: the mean of the weights over the second half of the epochs."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Deep(pictures.mean(0), recipe.width)
    optimizer = torch.optim.Adam(model.parameters(), recipe.rate, betas=(0.0, 0.999))
    average = torch.optim.swa_utils.AveragedModel(model)
    rule = functools.partial(
        replay,
        k=recipe.steps,
        kernel=mcmc.Langevin(model, recipe.step_size),
        start=functools.partial(from_the_base, model),
        buffer_size=recipe.buffer,
        refresh=recipe.refresh,
        largest_gap=100.0,
    )

    def average_late(record: dict[str, float]) -> None:
        if record["epoch"] > recipe.epochs // 2:
            average.update_parameters(model)

    fit(
        model,
        pictures,
        rule,
        generator=generator,
        n_epochs=recipe.epochs,
        batch_size=recipe.batch,
        optimizer=optimizer,
        transform=noisy,
        callback=average_late,
    )
    averaged: Deep = average.module
    return averaged.requires_grad_(False)


def from_the_base(model: Deep, like: Tensor, generator: Generator) -> Tensor:
    return model.mean + model.spread * torch.randn(like.shape, generator=generator)


def long_chains(model: Deep, recipe: Recipe, generator: Generator) -> dict[int, Tensor]:
    """Chains from noise, after each of the stated numbers of steps."""
    kernel = mcmc.Langevin(model, recipe.step_size)
    x = from_the_base(model, torch.empty(recipe.chains, 64), generator)
    seen = {0: x}
    for before, after in zip(recipe.long, recipe.long[1:]):
        x = mcmc.sample(kernel, x, 1, generator=generator, thin=after - before)[-1]
        seen[after] = x
    return seen


def others(held_out: Tensor, generator: Generator) -> dict[str, Tensor]:
    """Pictures that are no digits, before the noise; all but the first have a digit's grey levels."""
    image = held_out.reshape(-1, 8, 8)
    order = torch.randperm(64, generator=generator)
    partner = held_out[torch.randperm(len(held_out), generator=generator)]
    return {
        "uniform noise": torch.rand(held_out.shape, generator=generator),
        "pixels in another order": held_out[:, order],
        "negatives": 1 - held_out,
        "upside down": image.flip(1).flatten(1),
        "two digits, blended": (held_out + partner) / 2,
        "empty paper": torch.zeros_like(held_out),
    }


def judged(
    energy: Callable[[Tensor], Tensor], held_out: Tensor, strange: dict[str, Tensor], seed: int
) -> dict[str, float]:
    """Area under the ROC curve of the energy, for each kind of picture against held-out digits."""
    generator = torch.Generator().manual_seed(20_000 + seed)
    known = energy(noisy(held_out, generator))
    table = {}
    for name, x in strange.items():
        scores = torch.cat([known, energy(noisy(x, generator))])
        anomalous = torch.arange(len(scores)) >= len(known)
        table[name] = float(auc(scores, anomalous))
    return table


def gaussian(pictures: Tensor) -> torch.distributions.MultivariateNormal:
    """The Gaussian of greatest likelihood for the noisy pictures; the noise is known, so its variance is added."""
    covariance = torch.cov(pictures.double().T, correction=0) + NOISE**2 * torch.eye(64)
    return torch.distributions.MultivariateNormal(pictures.double().mean(0), covariance)


def levels(x: Tensor) -> list[list[int]]:
    """Pictures as grey levels from 0 to 255."""
    return (255 * x.clamp(0, 1)).round().int().tolist()  # type: ignore[no-any-return]


def run(recipe: Recipe, seed: int) -> dict[str, Any]:
    images = data.digits().images.flatten(1)
    pictures, held_out = images[:1500], images[1500:]
    begin = time.process_time()
    model = trained(recipe, seed, pictures)
    seconds = time.process_time() - begin
    generator = torch.Generator().manual_seed(10_000 + seed)
    seen = long_chains(model, recipe, generator)
    last = seen[recipe.long[-1]]
    fresh = noisy(held_out, generator)
    bracket = ais_bracket(
        model,
        last,
        GaussianBase((64,), model.mean, torch.tensor(model.spread)),
        generator=generator,
        betas=recipe.temperatures,
        transition=lambda energy: mcmc.MALA(energy, recipe.step_size),
    )
    strange = others(held_out, torch.Generator().manual_seed(0))
    bell = gaussian(pictures)
    nearest = torch.cdist(last, pictures).amin(1)
    among = torch.cdist(fresh, pictures).amin(1)
    test = -model.energy(fresh).double().mean()
    return {
        "seed": seed,
        "training_processor_seconds": seconds,
        "energy_of_training": float(model.energy(noisy(pictures, generator)).mean()),
        "energy_of_test": float(-test),
        "energy_of_chains": {steps: float(model.energy(x).mean()) for steps, x in seen.items()},
        "distance_of_chains": float(nearest.median()),
        "distance_of_test": float(among.median()),
        "log_z_up": float(bracket.lower.value),
        "log_z_up_sigma": float(bracket.lower.error),
        "log_z_down": float(bracket.upper.value),
        "log_z_down_sigma": float(bracket.upper.error),
        "test_up": float(test - bracket.upper.value),
        "test_down": float(test - bracket.lower.value),
        "test_gaussian": float(bell.log_prob(fresh.double()).mean()),
        "auc": judged(model.energy, held_out, strange, seed),
        "auc_gaussian": judged(lambda x: -bell.log_prob(x.double()), held_out, strange, seed),
        "pictures": {str(steps): levels(x[:SHOWN]) for steps, x in seen.items()},
    }


def written(recipe: Recipe, runs: list[dict[str, Any]]) -> dict[str, Any]:
    strange = others(data.digits().images.flatten(1)[1500:], torch.Generator().manual_seed(0))
    return {
        "protocol": " ".join((__doc__ or "").split("Protocol: ")[1].split()),
        "recipe": dataclasses.asdict(recipe),
        "ebmkit": ebmkit.__version__,
        "torch": torch.__version__,
        "others": {name: levels(x[:1]) for name, x in strange.items()},
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--trial", action="store_true", help="two epochs and short chains; nothing is written"
    )
    options = parser.parse_args()
    recipe = TRIAL if options.trial else RECIPE
    runs = []
    for seed in options.seeds:
        runs.append(run(recipe, seed))
        shown = {name: value for name, value in runs[-1].items() if name != "pictures"}
        print(json.dumps(shown, indent=1), flush=True)
    if not options.trial:
        RESULTS.write_text(json.dumps(written(recipe, runs)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
