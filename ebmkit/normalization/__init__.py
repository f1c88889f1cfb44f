"""What it costs to make a density sum to one, and the models built so that it costs nothing.

    p(x) = g(x) / Z,   g = f² or exp f or |f| or log(1 + exp f),   Z = Σ_x g(x)  or  ∫ g(x) dx
Source: Cornell Tech, Deep Generative Models, lecture 11, "Energy-based models": parameterizing probabilities.
"""

from typing import NoReturn

from ebmkit._checks import renamed
from ebmkit.normalization._autoregressive import AutoregressiveBernoulli, bernoulli_log_prob
from ebmkit.normalization._densities import (
    Function,
    UnnormalizedDensity,
    from_abs,
    from_exp,
    from_softplus,
    from_square,
)
from ebmkit.normalization._quadrature import log_quadrature, quadrature
from ebmkit.normalization._volumes import (
    exponential_log_partition,
    gaussian_log_partition,
    log_sum_exp,
    multivariate_gaussian_log_partition,
)

__all__ = [
    "AutoregressiveBernoulli",
    "Function",
    "UnnormalizedDensity",
    "bernoulli_log_prob",
    "exponential_log_partition",
    "from_abs",
    "from_exp",
    "from_softplus",
    "from_square",
    "gaussian_log_partition",
    "log_quadrature",
    "log_sum_exp",
    "multivariate_gaussian_log_partition",
    "quadrature",
]


def __getattr__(name: str) -> NoReturn:
    raise renamed(__name__, name, {"Integral": "ebmkit.Estimate"})
