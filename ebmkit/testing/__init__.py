"""Checks for models and samplers of one's own: what the library asks of its own, in one call.

    check_model(model)     shapes, dtypes, gradients, exact log Z, conditionals and draws against enumeration
    check_kernel(kernel)   one contract, and the exact transition matrix of the code that runs

A sampler that draws through `ebmkit.chance` is replayed over all its random choices, so that p T = p is checked to
rounding and not by statistics.
"""

from ebmkit.testing._enumerated_chance import (
    Branches,
    EnumeratedChance,
    branches,
    outcome_probabilities,
    transition_matrix,
)
from ebmkit.testing._kernels import check_kernel
from ebmkit.testing._models import check_model

__all__ = [
    "Branches",
    "EnumeratedChance",
    "branches",
    "check_kernel",
    "check_model",
    "outcome_probabilities",
    "transition_matrix",
]
