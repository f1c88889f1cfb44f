"""Hidden checks of the Boltzmann machine assignment: energies, conditionals, block Gibbs, likelihood, mean field.

    E(v, h) = -a·v - b·h - v·W h,   F(v) = -a·v - Σ_j log(1 + exp(b_j + (v W)_j)),   p(v) = exp(-F(v)) / Z

The machine of the sampler's check has three visible and two hidden units: the law of a step is summed exactly.
Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .conditionals import conditionals
from .dbm_energy import dbm_energy
from .energies import energies
from .gibbs_step import gibbs_step
from .log_likelihood import log_likelihood
from .mean_field_pass import mean_field_pass

assignment = Assignment(
    "boltzmann_machines",
    (energies, conditionals, gibbs_step, log_likelihood, dbm_energy, mean_field_pass),
    provides=("chance", "data"),
)
