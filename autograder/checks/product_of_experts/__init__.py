"""Hidden checks of the product-of-experts assignment: products in closed form, AND and OR, sampling, learning.

    p(x) ∝ Π_m p_m(x)^w_m  (AND),   q(x) = (1/M) Σ_m p_m(x)  (OR),   Π_m N(x; μ_m, v_m) = Z N(x; μ, v)

The sampler is asked for laws that are known exactly: a categorical on eight letters, and a Gaussian cut out of
another one. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .and_or import and_or
from .log_product import log_product
from .product_of_gaussians import product_of_gaussians
from .sample_product import sample_product
from .weight_gradient import weight_gradient

assignment = Assignment(
    "product_of_experts",
    (product_of_gaussians, and_or, log_product, sample_product, weight_gradient),
    provides=("chance", "data"),
)
