"""Seconds for an epoch of persistent contrastive divergence, and for annealed importance sampling: RBM 784-500.

An epoch is 60,000 random images in batches of 100, float32. Its floor is measured between the epochs, in the same
process: the five products of 100 x 784 by 784 x 500 that an update cannot do without.
"""

import resource
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from measuring import Claim, Row, Run, at_least, at_most, main, timed

TITLE = "Restricted Boltzmann machine with 784 visible and 500 hidden units"
UNIT = "seconds"
IMAGES, VISIBLE, HIDDEN, BATCH = 60_000, 784, 500, 100

EPOCH = {"what": "epoch"}
ANNEALING = {"what": "annealing", "temperatures": 1_000}
LONG = {"what": "annealing", "temperatures": 10_000}
RUNS = [
    Run("this ebmkit", "course", EPOCH),
    Run("scikit-learn", "peers", {**EPOCH, "dtype": "float32"}),
    Run("scikit-learn", "peers", {**EPOCH, "dtype": "float64"}),
    Run("this ebmkit", "course", ANNEALING),
    Run("this ebmkit", "course", LONG),
    Run("rbms", "peers", ANNEALING),
]


def claims(rows: list[Row]) -> list[Claim]:
    def find(contender: str, **case: object) -> Row:
        return next(row for row in rows if row["contender"] == contender and case.items() <= row.items())

    epoch, annealing = find("this ebmkit", **EPOCH), find("this ebmkit", **ANNEALING)
    learn32, learn64 = (find("scikit-learn", dtype=dtype) for dtype in ("float32", "float64"))
    rbms, long = find("rbms"), find("this ebmkit", **LONG)
    return [
        at_least("an epoch against scikit-learn in float32", learn32["value"] / epoch["value"], 1.5),
        at_least("an epoch against scikit-learn as it comes", learn64["value"] / epoch["value"], 2.5),
        at_most("an epoch against its matrix products alone", epoch["value"] / epoch["products"], 1.2),
        at_least("annealed importance sampling against rbms", rbms["value"] / annealing["value"], 4),
        at_most("memory at ten times the temperatures", long["peak_mib"] / annealing["peak_mib"], 1.02),
    ]


def best(work: Callable[[], object], rounds: int = 5) -> Row:
    """The quickest of some rounds after one that warms up, all of them, and the most memory the process held."""
    work()
    found = [timed(work) for _ in range(rounds)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"value": min(found), "rounds": found, "peak_mib": peak}


def parameters() -> Any:
    """W, a, b of the same machine for everybody."""
    import torch

    generator = torch.Generator().manual_seed(1)
    return (
        0.05 * torch.randn(VISIBLE, HIDDEN, generator=generator),
        torch.randn(VISIBLE, generator=generator),
        torch.randn(HIDDEN, generator=generator),
    )


def ours(what: str, temperatures: int = 0) -> Row:
    return {"version": "this tree"} | (our_epoch() if what == "epoch" else our_annealing(temperatures))


def our_epoch() -> Row:
    import torch

    from ebmkit.boltzmann_machines import RBM
    from ebmkit.contrastive_divergence import fit, pcd

    generator = torch.Generator().manual_seed(1)
    images = (torch.rand(IMAGES, VISIBLE, generator=generator) < 0.2).float()
    model = RBM(VISIBLE, HIDDEN, generator=generator)
    W, v, h = model.W.detach(), images[:BATCH], torch.rand(BATCH, HIDDEN, generator=generator)

    def products() -> None:
        for _ in range(IMAGES // BATCH):
            for left, right in ((v, W), (v, W), (h, W.T), (v.T, h), (v.T, h)):
                torch.mm(left, right)

    def epoch() -> None:
        fit(model, images, pcd, generator=generator, n_epochs=1, batch_size=BATCH, learning_rate=0.01)

    products()
    row = best(epoch)
    floors: list[float] = []
    for _ in range(5):  # in turns, so that both meet the same machine
        floors.append(timed(products))
        row["rounds"].append(timed(epoch))
    return row | {"value": min(row["rounds"]), "products": min(floors), "product_rounds": floors}


def our_annealing(temperatures: int) -> Row:
    import torch

    from ebmkit.annealing import annealed_importance_sampling
    from ebmkit.boltzmann_machines import RBM

    model = RBM(VISIBLE, HIDDEN)
    with torch.no_grad():
        for mine, value in zip((model.W, model.a, model.b), parameters()):
            mine.copy_(value)
        model.base_a.copy_(model.a)
    generator = torch.Generator().manual_seed(2)
    estimates = []

    def anneal() -> None:
        estimate = annealed_importance_sampling(
            model, betas=temperatures - 1, n_chains=100, generator=generator
        )
        estimates.append((estimate.value.item(), estimate.error.item()))

    row = best(anneal, rounds=5 if temperatures <= 1_000 else 1)
    return row | {"log_z": estimates[-1][0], "log_z_standard_error": estimates[-1][1]}


def scikit_learn(what: str, dtype: str) -> Row:
    import numpy as np
    from sklearn.neural_network import BernoulliRBM

    images = (np.random.default_rng(1).random((IMAGES, VISIBLE), np.float32) < 0.2).astype(dtype)
    model = BernoulliRBM(HIDDEN, batch_size=BATCH, n_iter=1, learning_rate=0.01, random_state=1)
    return {"version": version("scikit-learn")} | best(lambda: model.fit(images), rounds=3)


def rbms(what: str, temperatures: int) -> Row:
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.partition_function.ais import compute_partition_function_ais

    model = BBRBM(*parameters())
    torch.manual_seed(2)
    estimates = []

    def anneal() -> None:
        with torch.no_grad():
            estimates.append(compute_partition_function_ais(100, temperatures, model))

    return {"version": version("rbms")} | best(anneal, rounds=3) | {"log_z": estimates[-1]}


if __name__ == "__main__":
    main({"this ebmkit": ours, "scikit-learn": scikit_learn, "rbms": rbms})
