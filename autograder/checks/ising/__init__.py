"""Hidden checks of the Ising assignment: energies, a sampler, denoising, MAP, a chain and a log-ratio.

    E(y) = -h Σ_i t_i s_i - J Σ_(i,j) s_i s_j,   s = 2y - 1, t = 2x - 1,   p(y | x) ∝ exp(-E(y))

Every grid that the checks of the sampler use is small enough to list all its labellings, so the law that a
sampler must have is known exactly. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .conditional import conditional
from .decode_chain import decode_chain
from .denoise import denoise
from .energy import energy
from .gibbs_sweep import gibbs_sweep
from .log_ratio import log_ratio
from .map_estimate import map_estimate

assignment = Assignment(
    "ising",
    (energy, conditional, gibbs_sweep, denoise, map_estimate, decode_chain, log_ratio),
    imports=("matplotlib.pyplot", "ebmkit.data"),
    provides=("chance", "data"),
)
