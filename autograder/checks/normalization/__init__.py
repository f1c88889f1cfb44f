"""Hidden checks of the normalization assignment: sums, closed forms, quadrature, flows, enumeration, ratios.

    p(x) = g(x) / Z,   g = exp f or f²,   Z = Σ_x g(x)  or  ∫ g(x) dx

Every answer has one value, so all checks compare numbers; none needs a statistical test. Where an answer is a
pair, each half has a check of its own. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .enumerate_log_z import enumerate_log_z
from .flow_log_prob import flow_log_prob
from .log_normalizers import log_normalizers
from .log_ratios import log_ratios
from .log_sum_exp import log_sum_exp
from .volumes import volumes

assignment = Assignment(
    "normalization",
    (log_sum_exp, log_normalizers, volumes, flow_log_prob, enumerate_log_z, log_ratios),
    imports=("matplotlib.pyplot", "torch"),
    provides=("chance", "data"),
)
