"""log Z by walking from a base whose normalizer is known to the model whose is not.

    E_0 → … → E_1,   log Z_1 / Z_0 = log E[Π_k exp(E_{k-1}(x_k) - E_k(x_k))] = -∫_0^1 ⟨∂E_β/∂β⟩_β dβ

Source: Neal, "Annealed importance sampling" (2001); Gelman & Meng (1998); Bennett (1976); Meng & Wong (1996).
"""

from ebmkit.annealing._bridge_sampling import bennett_acceptance_ratio, bridge_sampling
from ebmkit.annealing._chains import Transition
from ebmkit.annealing._importance_sampling import (
    AnnealedRun,
    Bracket,
    ais_bracket,
    anneal,
    annealed_importance_sampling,
    reverse_anneal,
    reverse_annealed_importance_sampling,
)
from ebmkit.annealing._paths import (
    AnnealingPath,
    GaussianBase,
    GeometricPath,
    Interpolated,
    TractableBase,
    UniformBase,
)
from ebmkit.annealing._sequential import Particles, sequential_monte_carlo
from ebmkit.annealing._thermodynamic_integration import thermodynamic_integration
from ebmkit.annealing._weights import log_mean_weight, weight_ess

__all__ = [
    "AnnealedRun",
    "AnnealingPath",
    "Bracket",
    "GaussianBase",
    "GeometricPath",
    "Interpolated",
    "Particles",
    "TractableBase",
    "Transition",
    "UniformBase",
    "ais_bracket",
    "anneal",
    "annealed_importance_sampling",
    "bennett_acceptance_ratio",
    "bridge_sampling",
    "log_mean_weight",
    "reverse_anneal",
    "reverse_annealed_importance_sampling",
    "sequential_monte_carlo",
    "thermodynamic_integration",
    "weight_ess",
]
