"""Hidden checks of the MCMC assignment: Metropolis–Hastings, Gibbs, Langevin, a transition matrix, ESS, AIS.

    one step from a known state has a law that is known exactly:  P_ij on finite spaces, N(0, 1) for the noise

No check waits for a chain to converge. Samplers on finite spaces are compared with their transition matrix,
Gaussian ones by the noise that their step must have drawn, and annealed weights with the law of all paths.
Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .annealed_importance_sampling import annealed_importance_sampling
from .effective_sample_size import effective_sample_size
from .gaussian_gibbs import gaussian_gibbs
from .langevin import langevin
from .metropolis_hastings import metropolis_hastings
from .transition_matrix import transition_matrix

assignment = Assignment(
    "mcmc",
    (
        metropolis_hastings,
        transition_matrix,
        gaussian_gibbs,
        langevin,
        effective_sample_size,
        annealed_importance_sampling,
    ),
    imports=("matplotlib.pyplot", "torch"),
    provides=("chance", "data"),
)
