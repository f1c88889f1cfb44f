"""Markov chain Monte Carlo: samples from p(x) = exp(-E(x)) / Z that never ask for Z.

    every kernel T leaves p invariant:  Σ_x p(x) T(x → x') = p(x');   Langevin does so only as its step → 0

Source: lecture 11, "Sampling from energy-based models"; Brooks et al., Handbook of MCMC (2011).
"""

from ebmkit.mcmc._diagnostics import (
    Summary,
    autocorrelation,
    autocorrelation_time,
    ess_bulk,
    ess_tail,
    r_hat,
    summary,
    to_arviz,
)
from ebmkit.mcmc._discrete_gradients import DiscreteLangevin, GibbsWithGradients
from ebmkit.mcmc._gibbs import Gibbs
from ebmkit.mcmc._hmc import DIVERGENCE_THRESHOLD, HMC, leapfrog
from ebmkit.mcmc._langevin import MALA, Langevin
from ebmkit.mcmc._metropolis_hastings import CoordinateFlip, GaussianRandomWalk, MetropolisHastings, Proposal
from ebmkit.mcmc._nuts import NUTS, NUTSInfo
from ebmkit.mcmc._running import iterate, sample
from ebmkit.mcmc._simulated_annealing import simulated_annealing
from ebmkit.mcmc._tempering import ParallelTempering, Tempered, TemperingInfo, tempered_kernels
from ebmkit.mcmc._warm_up import TunableKernel, adapt_step_size, warm_up

__all__ = [
    "DIVERGENCE_THRESHOLD",
    "HMC",
    "MALA",
    "NUTS",
    "CoordinateFlip",
    "DiscreteLangevin",
    "GaussianRandomWalk",
    "Gibbs",
    "GibbsWithGradients",
    "Langevin",
    "MetropolisHastings",
    "NUTSInfo",
    "ParallelTempering",
    "Proposal",
    "Summary",
    "Tempered",
    "TemperingInfo",
    "TunableKernel",
    "adapt_step_size",
    "autocorrelation",
    "autocorrelation_time",
    "ess_bulk",
    "ess_tail",
    "iterate",
    "leapfrog",
    "r_hat",
    "sample",
    "simulated_annealing",
    "summary",
    "tempered_kernels",
    "to_arviz",
    "warm_up",
]
