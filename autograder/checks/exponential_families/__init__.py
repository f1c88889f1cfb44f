"""Hidden checks of the exponential families assignment: natural parameters, log Z, moments, entropy, curvature.

    p(x | θ) = exp(θ·t(x) - A(θ)),   ∇A(θ) = E[t(x)],   ∇²A(θ) = Cov[t(x)]

Every answer has one value, so all checks compare numbers; none needs a statistical test. Where an answer is a
pair, each half has a check of its own. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .fisher_information import fisher_information
from .log_partition_and_means import log_partition_and_means
from .match_moments import match_moments
from .maximum_entropy import maximum_entropy
from .mean_and_variance import mean_and_variance
from .natural_parameters import natural_parameters

assignment = Assignment(
    "exponential_families",
    (
        natural_parameters,
        mean_and_variance,
        log_partition_and_means,
        match_moments,
        maximum_entropy,
        fisher_information,
    ),
    imports=("matplotlib.pyplot", "torch"),
    provides=("chance", "data"),
)
