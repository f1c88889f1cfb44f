"""Every public door: what is no generator, no numbers, no count ends in an error of ours that says so."""

import traceback

import numpy as np
import pytest
import torch

from ebmkit import (
    annealing,
    applications,
    chance,
    condition,
    data,
    graphs,
    ising,
    kernel,
    mcmc,
)
from ebmkit import boltzmann_machines as bm
from ebmkit import contrastive_divergence as cdv
from ebmkit import exponential_families as ef
from ebmkit import normalization as nz
from ebmkit import product_of_experts as poe
from ebmkit import score_matching as sm

F64 = torch.float64
GRID = ising.Ising((2, 2), 0.4)
TORUS = ising.Ising((8, 8), 0.4, periodic=True)
SPINS = torch.ones(3, 2, 2, dtype=F64)
PATH = graphs.GraphIsing([(0, 1), (1, 2)], 0.4)
ON_PATH = torch.ones(3, 3, dtype=F64)
RBM = bm.RBM(3, 2, dtype=F64)
GAUSSIAN_RBM = bm.GaussianRBM(2, 2, dtype=F64)
DBM = bm.DBM((3, 2, 2), dtype=F64)
BITS = torch.ones(4, 3, dtype=F64)
BOWL = annealing.GaussianBase((2,))
PLANE = torch.zeros(3, 2, dtype=F64)
PLANE_LAW = ef.MultivariateGaussian(2)
PLANE_THETA = PLANE_LAW.natural(torch.zeros(2), torch.eye(2))
KNOWN = torch.tensor([True, False, False])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


DRAWS = {
    "bernoulli": lambda g: chance.bernoulli(torch.ones(2), generator=g),
    "many bits": lambda g: chance.bits(torch.ones(9000), generator=g),
    "gibbs_sweep": lambda g: ising.gibbs_sweep(GRID, SPINS, generator=g),
    "metropolis_sweep": lambda g: ising.metropolis_sweep(GRID, SPINS, generator=g),
    "swendsen_wang": lambda g: ising.swendsen_wang(GRID, SPINS, generator=g),
    "wolff": lambda g: ising.wolff(GRID, SPINS, generator=g),
    "simulate": lambda g: ising.simulate(GRID, 3, generator=g),
    "simulate a torus": lambda g: ising.simulate(TORUS, 3, generator=g),
    "exact_sample": lambda g: ising.exact_sample(GRID, 3, generator=g),
    "sweep of a graph": lambda g: PATH.gibbs_step(ON_PATH, generator=g),
    "sample of a graph": lambda g: PATH.sample(3, generator=g),
    "clusters of a graph": lambda g: graphs.swendsen_wang(PATH, ON_PATH, generator=g),
    "a cluster of a graph": lambda g: graphs.wolff(PATH, ON_PATH, generator=g),
    "RBM": lambda g: RBM.gibbs_step(BITS, generator=g),
    "Gaussian RBM": lambda g: GAUSSIAN_RBM.gibbs_step(PLANE, generator=g),
    "DBM": lambda g: DBM.gibbs_step(torch.ones(2, 7, dtype=F64), generator=g),
    "inpaint": lambda g: bm.inpaint(RBM, BITS, KNOWN, 2, generator=g),
    "fit": lambda g: cdv.fit(RBM, BITS, generator=g),
    "cd": lambda g: cdv.cd(RBM, BITS, generator=g),
    "pcd": lambda g: cdv.pcd(RBM, BITS, generator=g),
    "fast_pcd": lambda g: cdv.fast_pcd(RBM, BITS, generator=g),
    "replay": lambda g: cdv.replay(BOWL, PLANE, 1, kernel=mcmc.Langevin(BOWL, 0.1), generator=g),
    "pretrain": lambda g: cdv.pretrain(DBM, BITS, generator=g, n_epochs=1),
    "MALA": lambda g: mcmc.sample(mcmc.MALA(BOWL, 0.1), PLANE, 3, generator=g),
    "Gibbs": lambda g: mcmc.sample(mcmc.Gibbs(GRID), SPINS, 3, generator=g),
    "HMC": lambda g: mcmc.sample(mcmc.HMC(BOWL, 0.1), PLANE, 3, generator=g),
    "NUTS": lambda g: mcmc.sample(mcmc.NUTS(BOWL, 0.1), PLANE, 3, generator=g),
    "GibbsWithGradients": lambda g: mcmc.sample(mcmc.GibbsWithGradients(GRID), SPINS, 3, generator=g),
    "DiscreteLangevin": lambda g: mcmc.sample(mcmc.DiscreteLangevin(GRID, 0.1), SPINS, 3, generator=g),
    "warm_up": lambda g: mcmc.warm_up(mcmc.HMC(BOWL, 0.1), PLANE, 30, generator=g),
    "adapt_step_size": lambda g: mcmc.adapt_step_size(mcmc.HMC(BOWL, 0.1), PLANE, 30, generator=g),
    "simulated_annealing": lambda g: mcmc.simulated_annealing(GRID, SPINS, [0.1, 1.0], generator=g),
    "anneal": lambda g: annealing.anneal(GRID, generator=g, betas=5),
    "sequential_monte_carlo": lambda g: annealing.sequential_monte_carlo(GRID, generator=g),
    "thermodynamic_integration": lambda g: annealing.thermodynamic_integration(GRID, generator=g),
    "bridge_sampling": lambda g: annealing.bridge_sampling(GRID, generator=g),
    "a Gaussian": lambda g: ef.Gaussian().sample([0.0, -0.5], 3, generator=g),
    "a Poisson": lambda g: ef.Poisson().sample([0.1], 3, generator=g),
    "a Gamma": lambda g: ef.Gamma().sample([1.0, -1.0], 3, generator=g),
    "autoregression": lambda g: nz.AutoregressiveBernoulli(3, generator=g),
    "a flow": lambda g: poe.AffineCouplingFlow((2,), generator=g),
    "a PixelCNN": lambda g: poe.PixelCNN((2, 2), generator=g),
    "flip": lambda g: data.flip(torch.zeros(3), 0.1, generator=g),
    "noisy_picture": lambda g: data.noisy_picture(0.1, generator=g),
    "denoising scores": lambda g: sm.denoising_score_matching(BOWL, PLANE, 0.1, generator=g),
    "sliced scores": lambda g: sm.sliced_score_matching(BOWL, PLANE, generator=g),
    "a base": lambda g: BOWL.sample(3, generator=g),
    "a chain of labels": lambda g: applications.LinearChain(PLANE, torch.zeros(2, 2)).sample(2, generator=g),
}


@pytest.mark.parametrize("door", DRAWS)
def test_what_is_no_generator_is_refused_and_torchs_is_named(door):
    for wrong in (None, 3, np.random.default_rng(0), "seed"):
        with pytest.raises(TypeError, match=r"torch.Generator, got .*; use torch.Generator\(\)"):
            DRAWS[door](wrong)


NUMBERS = {
    "energy of a grid": GRID.energy,
    "sweep of a grid": lambda x: GRID.gibbs_step(x, generator=seeded()),
    "local_field": GRID.local_field,
    "metropolis_sweep": lambda x: ising.metropolis_sweep(GRID, x, generator=seeded()),
    "swendsen_wang": lambda x: ising.swendsen_wang(GRID, x, generator=seeded()),
    "wolff": lambda x: ising.wolff(GRID, x, generator=seeded()),
    "icm": lambda x: ising.icm(GRID, x),
    "energy of a graph": PATH.energy,
    "sweep of a graph": lambda x: PATH.gibbs_step(x, generator=seeded()),
    "log_conditionals": PATH.log_conditionals,
    "clusters of a graph": lambda x: graphs.swendsen_wang(PATH, x, generator=seeded()),
    "free energy of an RBM": RBM.energy,
    "step of an RBM": lambda x: RBM.gibbs_step(x, generator=seeded()),
    "hidden_probability": RBM.hidden_probability,
    "visible_probability": RBM.visible_probability,
    "set_base_rates": RBM.set_base_rates,
    "energy of a Gaussian RBM": GAUSSIAN_RBM.energy,
    "energy of a DBM": DBM.energy,
    "mean_field": DBM.mean_field,
    "complete": DBM.complete,
    "MALA": lambda x: mcmc.sample(mcmc.MALA(BOWL, 0.1), x, 2, generator=seeded()),
    "NUTS": lambda x: mcmc.sample(mcmc.NUTS(BOWL, 0.1), x, 2, generator=seeded()),
    "Gibbs": lambda x: mcmc.sample(mcmc.Gibbs(GRID), x, 2, generator=seeded()),
    "initial_state": lambda x: kernel.initial_state(BOWL, x),
    "leapfrog": lambda x: mcmc.leapfrog(BOWL, x, PLANE, 0.1, 2),
    "cd": lambda x: cdv.cd(RBM, x, generator=seeded()),
    "pcd": lambda x: cdv.pcd(RBM, x, generator=seeded()),
    "fit": lambda x: cdv.fit(RBM, x, generator=seeded(), n_epochs=1),
    "maximum_likelihood": lambda x: cdv.maximum_likelihood(RBM, x),
    "explicit scores": lambda x: sm.explicit_score_matching(BOWL, x),
    "denoising scores": lambda x: sm.denoising_score_matching(BOWL, x, 0.1, generator=seeded()),
    "pseudo_likelihood": lambda x: sm.pseudo_likelihood(RBM, x),
    "ratio_matching": lambda x: sm.ratio_matching(RBM, x),
    "log_prob of a family": lambda x: PLANE_LAW.log_prob(x, PLANE_THETA),
    "fit of a family": PLANE_LAW.maximum_likelihood,
    "means of a family": PLANE_LAW.mean_parameters,
    "condition": lambda x: condition(GRID, x, torch.eye(2).bool()),
    "energy of a base": BOWL.energy,
    "score of a base": BOWL.score,
    "log_prob of a flow": poe.AffineCouplingFlow((2,), generator=seeded()).log_prob,
    "log_prob of an autoregression": nz.AutoregressiveBernoulli(3, generator=seeded()).log_prob,
    "product_of_gaussians": lambda x: poe.product_of_gaussians(x, torch.ones(2)),
    "roc_curve": lambda x: applications.roc_curve(x, torch.tensor([True, False])),
    "a chain of labels": lambda x: applications.LinearChain(x, torch.zeros(2, 2)),
    "edges_of": graphs.edges_of,
}
ANY_SHAPE = {
    "to_labels": ising.to_labels,
    "flip": lambda x: data.flip(x, 0.1, generator=seeded()),
    "log_sum_exp": nz.log_sum_exp,
    "bernoulli": lambda x: chance.bernoulli(x, generator=seeded()),
    "r_hat": mcmc.r_hat,
    "ess_bulk": mcmc.ess_bulk,
    "summary": mcmc.summary,
    "autocorrelation": mcmc.autocorrelation,
    "denoising_model": lambda x: ising.denoising_model(x, 0.1, 0.5),
}
NO_NUMBERS = {
    "nothing": None,
    "a word": "ab",
    "a thing": object(),
    "a ragged list": [[1.0], [1.0, 2.0]],
    "complex numbers": torch.ones(3, 2, 2) * 1j,
}


def assert_refused(door, given) -> None:
    """A TypeError or ValueError that our own code raises, not one that falls out of torch."""
    with pytest.raises((TypeError, ValueError)) as refused:
        door(given)
    last = traceback.extract_tb(refused.value.__traceback__)[-1]
    assert "/ebmkit/" in last.filename, f"{last.filename}: {refused.value}"
    assert last.line is not None
    assert last.line.startswith("raise"), f"not meant: {last.line}: {refused.value}"


@pytest.mark.parametrize("door", [*NUMBERS, *ANY_SHAPE])
def test_what_holds_no_real_numbers_is_refused(door):
    for given in NO_NUMBERS.values():
        assert_refused((NUMBERS | ANY_SHAPE)[door], given)


@pytest.mark.parametrize("door", NUMBERS)
def test_numbers_of_the_wrong_shape_are_refused(door):
    assert_refused(NUMBERS[door], torch.ones(4, 9, dtype=F64))


COUNTS = {
    "sweeps": lambda n: ising.simulate(GRID, n, generator=seeded()),
    "chains": lambda n: ising.simulate(GRID, 1, generator=seeded(), n_chains=n),
    "exact draws": lambda n: ising.exact_sample(GRID, n, generator=seeded()),
    "draws of a graph": lambda n: PATH.sample(n, generator=seeded()),
    "draws of a base": lambda n: BOWL.sample(n, generator=seeded()),
    "steps": lambda n: mcmc.sample(mcmc.MALA(BOWL, 0.1), PLANE, n, generator=seeded()),
    "burn_in": lambda n: mcmc.sample(mcmc.MALA(BOWL, 0.1), PLANE, 1, generator=seeded(), burn_in=n),
    "leapfrog steps": lambda n: mcmc.HMC(BOWL, 0.1, n),
    "doublings": lambda n: mcmc.NUTS(BOWL, 0.1, n),
    "steps of warm_up": lambda n: mcmc.warm_up(mcmc.HMC(BOWL, 0.1), PLANE, n, generator=seeded()),
    "k of CD": lambda n: cdv.cd(RBM, BITS, n, generator=seeded()),
    "epochs": lambda n: cdv.fit(RBM, BITS, generator=seeded(), n_epochs=n),
    "a batch": lambda n: cdv.fit(RBM, BITS, generator=seeded(), n_epochs=1, batch_size=n),
    "steps of inpaint": lambda n: bm.inpaint(RBM, BITS, KNOWN, n, generator=seeded()),
    "visible units": lambda n: bm.RBM(n, 2),
    "hidden units": lambda n: bm.RBM(2, n),
    "a layer": lambda n: bm.DBM((2, n)),
    "categories": ef.Categorical,
    "dimensions": ef.MultivariateGaussian,
    "annealed chains": lambda n: annealing.anneal(GRID, generator=seeded(), betas=3, n_chains=n),
    "temperatures": lambda n: annealing.anneal(GRID, generator=seeded(), betas=n, n_chains=3),
    "particles": lambda n: annealing.sequential_monte_carlo(GRID, generator=seeded(), n_chains=n),
    "bars": data.bars_and_stripes,
    "bits": bm.bit_states,
    "projections": lambda n: sm.sliced_score_matching(BOWL, PLANE, n, generator=seeded()),
    "coordinates": lambda n: nz.AutoregressiveBernoulli(n, generator=seeded()),
    "iterations": lambda n: graphs.belief_propagation(PATH, n_iterations=n),
    "values": lambda n: graphs.GraphPotts([(0, 1)], n_values=n),
    "labels": lambda n: applications.LinearChainCRF(n, 2),
    "steps of mean_field": lambda n: DBM.mean_field(torch.ones(3, dtype=F64), n),
}


@pytest.mark.parametrize("door", COUNTS)
def test_what_is_no_count_is_refused(door):
    for given in (-1, 2.5, "3"):
        assert_refused(COUNTS[door], given)
